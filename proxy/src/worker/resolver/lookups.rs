//! The look-ups that are under way, each on a thread of its own, so that none waits for a name server that another
//! one has trouble with.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use super::super::shared::Call;
use super::lookup::{LookedUp, Preferences, Question, Unresolved};

/// The most look-ups at once; the others wait for their turn.
const AT_ONCE: usize = 32;

/// The most that wait for it.
const WAITING_MAX: usize = 4096;

/// Longer than any look-up may take by itself.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Look-ups for whoever asks, of which several may ask the same.
#[derive(Debug)]
pub(super) struct Lookups<A> {
    /// What is being looked up or waits for its turn, and for whom.
    open: HashMap<Question, Vec<A>>,
    waiting: VecDeque<Question>,
    running: usize,
    preferences: Arc<Preferences>,
    /// How it is told that one has come to its end.
    call: fn(LookedUp) -> Call,
}

impl<A> Lookups<A> {
    pub(super) fn new(preferences: Arc<Preferences>, call: fn(LookedUp) -> Call) -> Lookups<A> {
        Lookups { open: HashMap::new(), waiting: VecDeque::new(), running: 0, preferences, call }
    }

    /// Whether too much waits already for more to be looked up.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    /// Looks the name up for `asker`. What comes of it is sent to `calls` and is then to be told to
    /// [`Lookups::ended`].
    pub(super) fn begin(&mut self, question: &Question, asker: A, calls: &Sender<Call>) {
        if let Some(askers) = self.open.get_mut(question) {
            return askers.push(asker);
        }
        self.open.insert(question.clone(), vec![asker]);
        self.waiting.push_back(question.clone());
        self.run(calls);
    }

    /// A look-up has come to its end. Returns for whom it was.
    pub(super) fn ended(&mut self, question: &Question, calls: &Sender<Call>) -> Vec<A> {
        self.running -= 1;
        let askers = self.open.remove(question).unwrap_or_default();
        self.run(calls);
        askers
    }

    fn run(&mut self, calls: &Sender<Call>) {
        while self.running < AT_ONCE
            && let Some(question) = self.waiting.pop_front()
        {
            self.running += 1;
            let (preferences, call) = (self.preferences.clone(), self.call);
            let body = {
                let (question, calls) = (question.clone(), calls.clone());
                move || {
                    let found = question.look_up(&preferences, Instant::now() + LONG);
                    // Whoever asked may be gone with the process.
                    let _ = calls.send(call(LookedUp { question, found }));
                }
            };
            if let Err(error) = thread::Builder::new().name("look-up".into()).spawn(body) {
                let found = Err(Unresolved::System(error.to_string()));
                let _ = calls.send(call(LookedUp { question, found }));
            }
        }
    }
}
