//! Names of servers, looked up off the loop: at start, from time to time, and when a connection fails; and those that
//! requests come with, when they do.
//!
//! A name that does not resolve (yet) keeps the addresses it had; it is said once, and tried again.
//!
//! One thread does it all but for the look-ups of the system, which block.
//!
//! - `line.rs`: how other threads ask, and are answered
//! - `lookups.rs`: the look-ups that are under way, and who asks for them
//! - `lookup.rs`: one look-up, as if it were alone
//! - `transport.rs`: asking one name server
//! - `system.rs`: asking the system
//! - `engine.rs`: how many look-ups go on at once on one thread

mod engine;
mod line;
mod lookup;
mod lookups;
mod system;
mod transport;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use line::{Called, Caller, Mailbox, line};
pub use lookup::{Answer, Found, LookedUp, Offer, Question, Unresolved};

use super::generation::{Generation, SharedGroup};
use super::shared::{Call, Shared, Suspect};
use crate::upstream::Resolved;
use engine::Selector;
use lookup::{LONG, Preferences};
use lookups::{Asker, Ended, Lookups};

/// Between two look-ups of a name that failed connections ask for, and before the next one of a name that has never
/// had an address: without one a server is of no use.
const SHORT_PAUSE: Duration = Duration::from_secs(1);

/// Before the next look-up of a name that name servers did not know this time.
const FAILED_PAUSE: Duration = Duration::from_secs(5);

/// How long names may keep the process from starting where name servers do not answer.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// Looks names up and tells their groups.
#[derive(Debug)]
pub struct Resolver {
    names: Vec<Name>,
    preferences: Arc<Preferences>,
}

#[derive(Debug)]
struct Name {
    /// Whose name it is.
    of: Suspect,
    group: SharedGroup,
    question: Question,
    /// `None`: the records of the service say it.
    port: Option<u16>,
    /// How long addresses hold of which nobody says it.
    interval: Duration,
    /// When it is to be looked up; `None` while it is.
    due: Option<Instant>,
    /// When that was begun last.
    begun: Instant,
    /// Its last look-up failed, and that has been said.
    failing: bool,
    /// It has had an address.
    known: bool,
    /// What was missing of it last, and has been said.
    left_out: Vec<String>,
}

impl Resolver {
    /// For the names in all groups of a configuration.
    pub fn new(generation: &Generation) -> Resolver {
        let interval = generation.config.process.resolve_interval;
        let now = Instant::now();
        let mut names = Vec::new();
        let upstreams = generation.config.upstreams.iter();
        for ((&id, group), upstream) in generation.ids.groups.iter().zip(&generation.groups).zip(upstreams) {
            names.extend(group.lock().names().map(|name| Name {
                of: Suspect { group: id, server: name.server },
                group: group.clone(),
                question: Question {
                    resolver: upstream.servers[name.server].resolver.clone(),
                    host: name.host.into(),
                    is_service: name.port.is_none(),
                },
                port: name.port,
                interval,
                due: Some(now),
                begun: now,
                failing: false,
                known: name.is_resolved,
                left_out: Vec::new(),
            }));
        }
        Resolver { names, preferences: Arc::default() }
    }

    /// Looks all names up that have no address yet, at once. Returns those that do not resolve, and why; with
    /// `is_strict` it says nothing of them itself, since whoever asks gives up for it.
    ///
    /// No thread is left behind, since the process may go to the background after it.
    ///
    /// # Errors
    ///
    /// The kernel gives no poller.
    pub fn resolve_unknown(&mut self, is_strict: bool) -> io::Result<Vec<String>> {
        let mut lookups = Lookups::new(Selector::new()?, self.preferences.clone());
        let until = Instant::now() + START_PATIENCE;
        for name in self.names.iter().filter(|name| !name.known) {
            lookups.begin(name.question.clone(), Asker::Server(name.of), until);
        }
        let mut missing = Vec::new();
        while !lookups.is_empty() {
            for Ended { what, askers } in lookups.turn(None)? {
                for name in self.names.iter_mut().filter(|name| name.has_asked(&what.question, &askers)) {
                    if let Err(error) = &what.found {
                        missing.push(format!("{} ({error})", name.label()));
                    }
                    if !is_strict || what.found.is_ok() {
                        name.found(what.found.clone());
                    }
                }
            }
        }
        missing.sort();
        Ok(missing)
    }

    /// Goes on looking names up, those of the configuration at work: from time to time and when a call names a
    /// server; and those that requests come with. `shared` is whose calls come.
    ///
    /// # Errors
    ///
    /// The kernel gives no poller, or cannot wait any more.
    pub fn run(mut self, shared: &Shared, called: Called) -> io::Result<()> {
        let Called { calls, selector } = called;
        let mut lookups = Lookups::new(selector, self.preferences.clone());
        loop {
            let now = Instant::now();
            for name in self.names.iter_mut().filter(|name| name.due.is_some_and(|due| due <= now)) {
                (name.due, name.begun) = (None, now);
                lookups.begin(name.question.clone(), Asker::Server(name.of), now + LONG);
            }
            let due = self.names.iter().filter_map(|name| name.due).min();
            for ended in lookups.turn(due)? {
                self.tell(ended, shared);
            }
            for call in calls.try_iter() {
                match call {
                    Call::Suspect(of) => {
                        self.names.iter_mut().filter(|name| name.of == of).for_each(Name::suspect);
                    }
                    Call::Reloaded(next) => self.follow(next),
                    Call::Ask(question, mailbox) => {
                        lookups.begin(question, Asker::Requests(mailbox), Instant::now() + LONG);
                    }
                }
            }
        }
    }

    /// Tells whoever has asked.
    fn tell(&mut self, ended: Ended, shared: &Shared) {
        let Ended { what, askers } = ended;
        let mut is_news = false;
        for name in self.names.iter_mut().filter(|name| name.has_asked(&what.question, &askers)) {
            name.found(what.found.clone());
            is_news = true;
        }
        if is_news {
            shared.wake_checker();
        }
        for asker in askers {
            if let Asker::Requests(mailbox) = asker {
                mailbox.tell(what.clone());
            }
        }
    }

    /// Goes over to the names of another configuration. What has been said of a name is not said again.
    fn follow(&mut self, next: Resolver) {
        let old = std::mem::replace(&mut self.names, next.names);
        for name in &mut self.names {
            let is_same = |old: &&Name| (&old.question.host, old.port) == (&name.question.host, name.port);
            for old in old.iter().filter(is_same) {
                name.failing |= old.failing;
                name.left_out.extend_from_slice(&old.left_out);
            }
            // The same line of the same group: its look-ups go on.
            let is_kept = |old: &&Name| old.of == name.of && old.question == name.question;
            if let Some(old) = old.iter().find(is_kept) {
                (name.due, name.begun) = (old.due, old.begun);
            }
        }
    }
}

impl Name {
    /// What is asked for, as logs have it: `app.test:5000`, and a service without a port.
    fn label(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.question.host),
            None => self.question.host.to_string(),
        }
    }

    /// Whether it is among the askers of this question.
    fn has_asked(&self, question: &Question, askers: &[Asker]) -> bool {
        let is_it = |asker: &Asker| matches!(asker, Asker::Server(of) if *of == self.of);
        self.question == *question && askers.iter().any(is_it)
    }

    /// A connection to it failed. Many do at once: one look-up serves them all.
    fn suspect(&mut self) {
        let again = self.begun + SHORT_PAUSE.min(self.interval);
        self.due = self.due.map(|due| due.min(again));
    }

    fn found(&mut self, found: Result<Answer, Unresolved>) {
        let pause = match found {
            Ok(answer) => {
                self.failing = false;
                self.known = true;
                let addresses: Vec<Resolved> =
                    answer.addresses.iter().map(|found| resolved(found, self.port)).collect();
                let changes = self.group.lock().resolved(self.of.server, &addresses);
                for change in changes {
                    log::info!("{}", change.line(""));
                }
                for what in answer.left_out.iter().filter(|what| !self.left_out.contains(what)) {
                    log::warn!("without {what}");
                }
                self.left_out = answer.left_out;
                // No answer makes it a name server's only business.
                answer.valid.map_or(self.interval, |valid| valid.max(SHORT_PAUSE))
            }
            Err(error) => {
                if !self.failing {
                    log::warn!("{} does not resolve ({error}); it is tried again", self.label());
                }
                self.failing = true;
                match self.question.resolver {
                    _ if !self.known => SHORT_PAUSE.min(self.interval),
                    Some(_) => FAILED_PAUSE,
                    None => self.interval,
                }
            }
        };
        self.due = Some(Instant::now() + pause);
    }
}

/// What a group is told of an address, whose port is `port` unless the service says it.
fn resolved(found: &Found, port: Option<u16>) -> Resolved {
    let at = |port| Resolved::from((found.ip, port));
    match found.offer {
        Some(offer) => Resolved { weight: Some(offer.weight), is_backup: offer.is_backup, ..at(offer.port) },
        None => at(port.unwrap_or_default()),
    }
}
