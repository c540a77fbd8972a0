//! Health checks, beside the workers: one event loop of its own asks the servers of all groups and tells the groups.
//!
//! Which check is due the groups say, and what its response is worth the [probe](crate::probe) says; here are
//! connections and time. At most [`VISITS_MAX`] checks run at once, each with a bound on every wait. A check that ends
//! changes nothing but its group, which the workers ask anyway for every request: they need not be told.
//!
//! The loop is woken for another configuration, for names that have moved, and for the end of the process. Where no
//! configuration has had a check yet there is no such loop.

#[cfg(test)]
mod tests;
mod visit;

use std::io;
use std::sync::Arc;

use slotmap::{SecondaryMap, SlotMap};

use super::Seldom;
use super::generation::{Generation, SharedGroup};
use super::local::{is_local, remedy};
use super::net::{Event, Net, Target, Token, UpstreamKey};
use super::shared::{Command, Shared, Suspect};
use crate::exchange::Failure;
use crate::ids::GroupId;
use crate::probe::Report;
use crate::time::Time;
use crate::upstream::{Checked, DueCheck};
use visit::{Going, Visit};

/// How many checks run at once. Those beyond wait for one of them to end.
pub const VISITS_MAX: usize = 512;

/// See the [module's page](self).
pub struct Checker<N: Net> {
    net: N,
    shared: Arc<Shared>,
    generation: Option<Arc<Generation>>,
    /// The groups with checks.
    groups: SecondaryMap<GroupId, SharedGroup>,
    visits: SlotMap<UpstreamKey, Visit<N::Socket>>,
    now: Time,
    local_failed: Seldom,
}

impl<N: Net> Checker<N> {
    /// Over `net`, which listens nowhere, for the configuration at work.
    pub fn new(net: N, shared: Arc<Shared>) -> Checker<N> {
        let now = net.now();
        let (groups, visits) = (SecondaryMap::new(), SlotMap::with_key());
        let mut checker =
            Checker { net, shared, generation: None, groups, visits, now, local_failed: Seldom::default() };
        checker.follow();
        checker
    }

    /// Runs until the process is to end.
    ///
    /// # Errors
    ///
    /// When the kernel no longer reports events, which nothing can be done about.
    pub fn run(mut self) -> io::Result<()> {
        while self.turn()? {}
        Ok(())
    }

    /// One wake-up, after which it goes on or not.
    fn turn(&mut self) -> io::Result<bool> {
        self.begin_due();
        let mut events = Vec::new();
        self.net.poll(&mut events, self.wake_at())?;
        self.now = self.net.now();
        if self.shared.command() != Command::Run {
            return Ok(false);
        }
        for event in events {
            match event.token.target() {
                Target::Upstream(key) => self.event(key, &event),
                _ => self.follow(),
            }
        }
        self.expire();
        Ok(true)
    }

    /// When to come back though nothing happens.
    fn wake_at(&self) -> Time {
        let deadline = self.visits.values().map(|visit| visit.deadline).min().unwrap_or(Time::NEVER);
        match self.room() {
            0 => deadline,
            _ => self.groups.values().map(|group| group.lock().next_check()).fold(deadline, Time::min),
        }
    }

    /// How many more checks may run.
    fn room(&self) -> usize {
        VISITS_MAX.saturating_sub(self.visits.values().filter(|visit| !visit.is_idle()).count())
    }

    /// Goes over to the newest configuration, if there is a newer one. A group that is in both goes on as it is.
    fn follow(&mut self) {
        let newest = self.shared.generation();
        if self.generation.as_ref().is_some_and(|last| Arc::ptr_eq(last, &newest)) {
            return;
        }
        let mut groups = SecondaryMap::new();
        // A process that rests leaves the checks to the one that has taken its place.
        for (&id, group) in newest.ids.groups.iter().zip(&newest.groups).filter(|_| !newest.rests) {
            if !group.lock().checks().is_empty() {
                groups.insert(id, group.clone());
            }
        }
        let gone = self.visits.iter().filter(|(_, visit)| !groups.contains_key(visit.group));
        for key in gone.map(|(key, _)| key).collect::<Vec<_>>() {
            self.give_up(key);
        }
        self.groups = groups;
        self.generation = Some(newest);
    }

    /// Begins the checks that are due. The group that has waited for longest comes first, lest one whose servers all
    /// hang takes every room that becomes free.
    fn begin_due(&mut self) {
        let mut room = self.room();
        let mut groups: Vec<_> = self
            .groups
            .iter()
            .map(|(id, group)| (group.lock().next_check(), id, group.clone()))
            .filter(|(due, ..)| *due <= self.now)
            .collect();
        groups.sort_by_key(|(due, ..)| *due);
        for (_, id, group) in groups {
            let due = if room == 0 { Vec::new() } else { group.lock().begin_checks(self.now, room) };
            room -= due.len();
            for due in due {
                self.begin(id, due);
            }
        }
    }

    /// Begins a check, over the connection that is kept for it where there is one.
    fn begin(&mut self, group: GroupId, due: DueCheck) {
        let kept = self.visits.iter().find(|(_, visit)| visit.is_kept_for(group, &due)).map(|(key, _)| key);
        match kept {
            Some(key) => {
                self.visits[key].ask_again(self.now);
                self.go_on(key);
            }
            None => self.open(group, due),
        }
    }

    fn open(&mut self, id: GroupId, due: DueCheck) {
        let group = &self.groups[id];
        let rule = group.lock().checks()[due.check].clone();
        let net = &mut self.net;
        let opened = visit::connect(net, &due.address, rule.port).and_then(|mut socket| {
            self.visits.try_insert_with_key(|key| {
                net.register(&mut socket, Token::from(Target::Upstream(key)))?;
                Ok(Visit::new(socket, id, due.clone(), rule, self.now))
            })
        });
        match opened {
            Ok(_) => {}
            Err(error) if is_local(&error) => {
                if self.local_failed.is_due(self.now) {
                    let process = &self.shared.generation().config.process;
                    let remedy = remedy(&error, process);
                    log::error!("the health of {} cannot be checked: {error}{remedy}", due.address);
                }
                self.report(id, &due, Checked::NotAsked, "");
            }
            Err(error) => {
                self.report(id, &due, Checked::Failed, &Failure::Connect(error.kind()).cause());
                self.shared.suspect(Suspect { group: id, server: due.server });
            }
        }
    }

    fn event(&mut self, key: UpstreamKey, event: &Event) {
        let is_connecting = self.visits.get(key).is_some_and(Visit::is_connecting);
        if !is_connecting || event.writable || event.broken {
            self.go_on(key);
        }
    }

    /// Goes on with a check as far as that is possible now.
    fn go_on(&mut self, key: UpstreamKey) {
        let Some(visit) = self.visits.get_mut(key) else { return };
        match visit.go_on(&mut self.net, self.now) {
            Going::Waits => {}
            Going::Over(report) => self.over(key, report),
            Going::Stale => {
                let (group, due) = (visit.group, visit.due.clone());
                self.close(key);
                self.open(group, due);
            }
            Going::Spoilt => self.close(key),
        }
    }

    /// Ends what takes too long, and closes what is kept for too long.
    fn expire(&mut self) {
        let late = self.visits.iter().filter(|(_, visit)| visit.deadline <= self.now);
        for key in late.map(|(key, _)| key).collect::<Vec<_>>() {
            match self.visits[key].expired() {
                Some(report) => self.over(key, report),
                None => self.close(key),
            }
        }
    }

    /// A check has come to its end.
    fn over(&mut self, key: UpstreamKey, report: Report) {
        let visit = &mut self.visits[key];
        let is_unreached = visit.is_connecting();
        let (group, server) = (visit.group, visit.due.server);
        let is_kept = report.is_reusable && visit.keep(self.now);
        let due = visit.due.clone();
        if !is_kept {
            self.close(key);
        }
        match report.result {
            Ok(()) => self.report(group, &due, Checked::Passed, ""),
            Err(cause) => self.report(group, &due, Checked::Failed, &cause),
        }
        if is_unreached {
            self.shared.suspect(Suspect { group, server });
        }
    }

    /// Closes a connection without a word about the server.
    fn give_up(&mut self, key: UpstreamKey) {
        let visit = &self.visits[key];
        if !visit.is_idle() {
            self.report(visit.group, &visit.due, Checked::NotAsked, "");
        }
        self.close(key);
    }

    /// Tells the group, and logs what that changes.
    fn report(&self, group: GroupId, due: &DueCheck, how: Checked, cause: &str) {
        let Some(group) = self.groups.get(group) else { return };
        let change = group.lock().checked(due.peer, due.check, how, self.now);
        if let Some(change) = change {
            log::warn!("{}", change.line(cause));
        }
    }

    fn close(&mut self, key: UpstreamKey) {
        if let Some(visit) = self.visits.remove(key) {
            self.net.close(visit.socket, false);
        }
    }
}
