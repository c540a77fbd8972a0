//! The look-ups that are under way, and who asks for them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::super::panics::cause;
use super::super::shared::Suspect;
use super::Mailbox;
use super::engine::{Engine, Selector};
use super::lookup::{Answer, LookedUp, Means, Preferences, Question, Unresolved, look_up};

/// The most look-ups at once that only requests wait for. One more takes the place of the oldest, which is the least
/// likely to be answered.
const FOR_REQUESTS_MAX: usize = 1024;

/// Look-ups, of which each may have several askers.
pub(super) struct Lookups {
    engine: Engine<Result<Answer, Unresolved>>,
    means: Means,
    /// By the number of their task: the oldest first.
    open: BTreeMap<usize, Open>,
    tasks: HashMap<Question, usize>,
    /// Those that have had to make place.
    displaced: Vec<Ended>,
}

/// Who asks for a name.
#[derive(Debug)]
pub(super) enum Asker {
    /// A server of a group.
    Server(Suspect),
    /// Requests of the worker that this belongs to.
    Requests(Mailbox),
}

struct Open {
    question: Question,
    askers: Vec<Asker>,
}

/// A look-up that has come to its end, and for whom it was.
pub(super) struct Ended {
    pub(super) what: LookedUp,
    pub(super) askers: Vec<Asker>,
}

impl Lookups {
    pub(super) fn new(selector: Selector, preferences: Arc<Preferences>) -> Lookups {
        Lookups {
            engine: Engine::new(selector),
            means: Means { preferences, system: Rc::default(), system_for_servers: Rc::default() },
            open: BTreeMap::new(),
            tasks: HashMap::new(),
            displaced: Vec::new(),
        }
    }

    /// Whether none is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.displaced.is_empty()
    }

    /// Looks the name up for `asker`, or has it wait with those who have asked for the same already. Name servers are
    /// asked until `until`.
    pub(super) fn begin(&mut self, question: Question, asker: Asker, until: Instant) {
        let under_way = self.tasks.get(&question).and_then(|task| self.open.get_mut(task));
        if let Some(open) = under_way {
            return open.askers.push(asker);
        }
        if matches!(asker, Asker::Requests(_)) {
            self.make_place();
        }
        let means = self.means.clone();
        let task = self.engine.spawn(|io| look_up(question.clone(), means, io, until));
        self.tasks.insert(question.clone(), task);
        self.open.insert(task, Open { question, askers: vec![asker] });
    }

    fn make_place(&mut self) {
        let mut for_requests = self.open.iter().filter(|(_, open)| open.is_for_requests());
        let Some((&oldest, _)) = for_requests.next() else { return };
        if for_requests.count() + 1 >= FOR_REQUESTS_MAX {
            self.engine.cancel(oldest);
            let ended = self.end(oldest, Err(Unresolved::Busy));
            self.displaced.extend(ended);
        }
    }

    /// Goes on with all of them, waiting until one can, at most until `until`. Returns those that have come to their
    /// end.
    pub(super) fn turn(&mut self, until: Option<Instant>) -> io::Result<Vec<Ended>> {
        let until = if self.displaced.is_empty() { until } else { Some(Instant::now()) };
        let tasks = self.engine.turn(until)?;
        let mut ended = std::mem::take(&mut self.displaced);
        for (task, end) in tasks {
            let found = end.unwrap_or_else(|panic| {
                let host = self.open.get(&task).map_or("a name", |open| &open.question.host);
                log::error!(
                    "a bug in the proxy: the look-up of {host} is lost to a panic: {}",
                    cause(&*panic)
                );
                Err(Unresolved::Panicked)
            });
            ended.extend(self.end(task, found));
        }
        Ok(ended)
    }

    fn end(&mut self, task: usize, found: Result<Answer, Unresolved>) -> Option<Ended> {
        let Open { question, askers } = self.open.remove(&task)?;
        self.tasks.remove(&question);
        Some(Ended { what: LookedUp { question, found }, askers })
    }
}

impl Open {
    fn is_for_requests(&self) -> bool {
        self.askers.iter().all(|asker| matches!(asker, Asker::Requests(_)))
    }
}
