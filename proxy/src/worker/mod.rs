//! The only code that knows the kernel: poll, dispatch, drive, expire.
//!
//! A [`Worker`] is one thread's event loop over a [`Net`]. It holds the client connections and the
//! upstream connections in two generational slot maps; every event, deadline and pool entry goes through
//! a lookup, and a stale one finds nothing. What the protocol wants it learns from
//! [`Exchange::next`](crate::exchange::Exchange::next) and does.
//!
//! One turn: wait for a batch of events; note for each what its socket can do now and drive its client;
//! go on with clients whose share was used up; expire; accept. A short read or write means that the
//! socket is drained or full, so no call is spent on hearing `WouldBlock`; the next change is reported.
//!
//! - `clients.rs`: accepting, driving and closing clients
//! - `upstreams.rs`: acquiring and parting with upstream connections
//! - `complaints.rs`: what is logged of a try that failed
//! - `destinations.rs`: requests to what is no configured group
//! - `files.rs`: opening and reading files
//! - `room.rs`: who gives way where connections run out
//! - `local.rs`: what fails for want of something on this machine
//! - `counts.rs`: what `stub_status` tells
//! - `queue.rs`: requests that wait for a server
//! - `pool.rs`: a group of servers as one worker sees it
//! - `checker/`: health checks, a loop of its own beside the workers
//! - `generation.rs`, `reload.rs`: a new configuration, and what becomes of the old one
//! - `panics.rs`: what becomes of a panic

pub mod checker;
mod clients;
mod complaints;
pub mod counts;
pub mod deadlines;
mod destinations;
mod files;
pub mod generation;
pub mod listen;
mod local;
pub mod logs;
pub mod mio_net;
pub mod net;
mod panics;
mod pool;
mod queue;
mod reload;
pub mod resolver;
mod room;
pub mod shared;
#[cfg(test)]
mod tests;
mod upstreams;

use std::collections::VecDeque;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::vec::Drain;

use slotmap::SlotMap;

use crate::exchange::{Env, Wall};
use crate::site::Routes;
use crate::time::{Duration, Time};
use clients::Client;
use counts::Counts;
use deadlines::Deadlines;
use destinations::Names;
use generation::Generation;
use logs::Logs;
use net::{ClientKey, Event, Net, Target, UpstreamKey};
use pool::Pools;
use room::Spare;
use shared::{Command, Shared};
use upstreams::Upstream;

/// How long accepting pauses when descriptors or connections have run out, unless one is closed before.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One event loop and all that it serves. See the [module's page](self).
pub struct Worker<N: Net> {
    net: N,
    shared: Arc<Shared>,
    /// What the workers call it among themselves.
    number: usize,
    env: Env,
    /// The configuration that it works by.
    generation: Arc<Generation>,

    clients: SlotMap<ClientKey, Client<N::Socket, N::File>>,
    upstreams: SlotMap<UpstreamKey, Upstream<N::Socket>>,
    pools: Pools,
    names: Names,
    /// When to look for connections that have been idle for too long: no later than the first of them has.
    idle_due: Time,
    /// When to look whether groups that are gone are still in use.
    sweep_at: Time,
    deadlines: Deadlines,
    /// Clients whose share was used up before their work was done.
    ready: VecDeque<ClientKey>,
    /// Listeners that may have more connections waiting.
    acceptable: Vec<usize>,
    /// No connection is accepted before.
    accept_after: Time,
    spare: Spare,
    events: Vec<Event>,
    /// Whose work is being done, so that a panic costs this connection only. `None` in between.
    at_work: Option<ClientKey>,
    /// Clients lost to a panic so far.
    lost: u64,

    /// When `env.date` is to be made anew.
    date_until: Time,
    logs: Logs,
    log_line: Vec<u8>,
    reopened: u32,
    /// What `stub_status` tells of this worker, where the configuration has that.
    counts: Option<Counts>,
    /// Something is to be noted of a client whenever nothing is left to do for it: see `Worker::note`.
    notes: bool,
    /// When draining takes too long: what is left is closed.
    drained_by: Time,
    /// When those who connected last and said nothing are closed.
    last_call: Time,
    /// It drains, and ends with its last client.
    ending: bool,
    no_live_server: Seldom,
    unresolved: Seldom,
    accept_failed: Seldom,
    connect_failed: Seldom,
    head_too_large: Seldom,
    file_failed: Seldom,
}

/// Whether the loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There is more to come.
    GoOn,
    /// The worker has ended: all its connections are closed.
    End,
}

impl<N: Net> Worker<N> {
    /// A worker over `net`, which listens already, by the configuration at work.
    pub fn new(net: N, shared: Arc<Shared>) -> Worker<N> {
        let generation = shared.generation();
        let config = &generation.config;
        let mut env = Env::new(Routes::new(config, &generation.ids), net.now());
        env.world.seed = shared.seed();
        let logs = generation.take_logs().unwrap_or_default();
        let names = Names::new(&net);
        generation.adopted();
        let number = shared.mailboxes.enroll(net.waker());
        let mut worker = Worker {
            env,
            net,
            number,
            shared,
            generation,
            clients: SlotMap::with_key(),
            upstreams: SlotMap::with_key(),
            pools: Pools::new(),
            names,
            idle_due: Time::NEVER,
            sweep_at: Time::NEVER,
            deadlines: Deadlines::default(),
            ready: VecDeque::new(),
            acceptable: Vec::new(),
            accept_after: Time::ZERO,
            spare: Spare::default(),
            events: Vec::new(),
            at_work: None,
            lost: 0,
            date_until: Time::ZERO,
            logs,
            log_line: Vec::new(),
            reopened: 0,
            drained_by: Time::NEVER,
            last_call: Time::NEVER,
            ending: false,
            no_live_server: Seldom::default(),
            unresolved: Seldom::default(),
            accept_failed: Seldom::default(),
            connect_failed: Seldom::default(),
            head_too_large: Seldom::default(),
            file_failed: Seldom::default(),
            counts: None,
            notes: false,
        };
        worker.renew_pools();
        worker.renew_counts();
        worker.renew_notes();
        worker
    }

    /// Runs until told to end.
    ///
    /// # Errors
    ///
    /// When the kernel no longer reports events, which nothing can be done about.
    pub fn run(mut self) -> std::io::Result<()> {
        while self.turn()? == Turn::GoOn {}
        Ok(())
    }

    /// One wake-up: waits for events or the next deadline, and does everything that follows.
    ///
    /// # Errors
    ///
    /// As [`Worker::run`].
    pub fn turn(&mut self) -> std::io::Result<Turn> {
        let mut events = std::mem::take(&mut self.events);
        self.net.poll(&mut events, self.wake_at())?;
        self.env.now = self.net.now();
        self.refresh_date();
        for event in &events {
            if let Target::Upstream(key) = event.token.target() {
                self.upstream_changed(key, event);
            }
        }
        let mut left = events.drain(..);
        // Once for a whole batch, so that it costs a request nothing.
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.serve(&mut left))) {
            self.survive(panic);
        }
        drop(left);
        self.events = events;

        self.accept();
        self.logs.write_due(self.env.now);
        if let Some(counts) = &self.counts {
            counts.publish(self.env.requests);
            self.env.world.counters = self.shared.counters();
        }
        if self.ended() {
            self.close_all();
            return Ok(Turn::End);
        }
        Ok(Turn::GoOn)
    }

    /// Makes the HTTP date (RFC 9110 section 5.6.7) once a second.
    fn refresh_date(&mut self) {
        let now = self.env.now;
        if now < self.date_until {
            return;
        }
        let wall = self.net.wall();
        self.env.wall = Wall { time: wall, read: now };
        self.date_until =
            now + (Duration::from_secs(1) - Duration::from_nanos(u64::from(wall.subsec_nanos())));
        let date = httpdate::HttpDate::from(std::time::UNIX_EPOCH + Duration::from_secs(wall.as_secs()));
        // In place, so that no second costs an allocation. Writing to a String cannot fail.
        self.env.date.clear();
        let _ = write!(self.env.date, "{date}");
    }

    /// When to come back though nothing happens.
    fn wake_at(&self) -> Time {
        if !self.ready.is_empty() {
            return Time::ZERO;
        }
        let accept = if self.acceptable.is_empty() { Time::NEVER } else { self.accept_after };
        let late = self.sweep_at.min(self.drained_by).min(self.last_call);
        self.deadlines.first().min(accept).min(self.idle_due).min(self.logs.due()).min(late)
    }

    /// Drives all clients for which there is something to do. It can be called again to go on where a panic
    /// has ended it.
    fn serve(&mut self, events: &mut Drain<'_, Event>) {
        for event in events {
            self.dispatch(&event);
        }
        self.go_on();
        self.expire();
    }

    fn dispatch(&mut self, event: &Event) {
        let target = event.token.target();
        #[cfg(feature = "planted-bugs")]
        let target = match target {
            Target::Client(key) => Target::Client(crate::planted::slot_of(&self.clients, key)),
            other => other,
        };
        match target {
            Target::Client(key) => self.client_event(key, event),
            Target::Upstream(key) => self.upstream_event(key, event),
            Target::Listener(number) => {
                self.at_work = None;
                if !self.acceptable.contains(&number) {
                    self.acceptable.push(number);
                }
            }
            Target::Wake => {
                self.at_work = None;
                self.obey();
            }
        }
    }

    /// Goes on with the clients whose share was used up, each once.
    fn go_on(&mut self) {
        for _ in 0..self.ready.len() {
            if let Some(key) = self.ready.pop_front() {
                self.resume(key);
            }
        }
    }

    fn expire(&mut self) {
        while let Some((time, key)) = self.deadlines.due(self.env.now) {
            self.client_deadline(key, time);
        }
        self.at_work = None;
        self.expire_idle();
        if self.sweep_at <= self.env.now {
            self.sweep();
        }
        if self.last_call <= self.env.now {
            self.close_late();
        }
        if self.drained_by <= self.env.now {
            self.drained_by = Time::NEVER;
            log::warn!("the time for finishing is over: {} connections are cut", self.clients.len());
            self.close_all();
        }
    }

    /// Does what another thread asked for.
    fn obey(&mut self) {
        self.take_answers();
        self.take_calls();
        self.make_room();
        let reopened = self.shared.reopened();
        if reopened != self.reopened {
            self.reopened = reopened;
            self.logs.reopen();
        }
        match self.shared.command() {
            Command::Run => self.follow(),
            Command::Drain if !self.ending => {
                // A configuration that came just before holds for the end, too.
                self.follow();
                self.drain();
            }
            Command::Drain | Command::Stop => {}
        }
    }

    /// Finishes what is in flight and takes nothing new.
    fn drain(&mut self) {
        // Connections that wait in the queue have been promised service.
        self.accept_all(self.generation.ids.listeners.clone());
        self.net.listen(&[]);
        self.acceptable.clear();
        self.ending = true;
        self.begin_rest(true);
    }

    fn ended(&self) -> bool {
        match self.shared.command() {
            Command::Run => false,
            Command::Drain => self.ending && self.clients.is_empty(),
            Command::Stop => true,
        }
    }

    /// How much is held, for tests that look for leaks.
    pub fn census(&self) -> Census {
        Census {
            clients: self.clients.len(),
            upstreams: self.upstreams.len(),
            idle: self.pools.values().map(|pool| pool.idle.len()).sum(),
            pools: self.pools.len(),
            buffers: self.env.buffers.lent(),
            deadlines: self.deadlines.len(),
            lost: self.lost,
        }
    }

    /// The network.
    pub fn net(&self) -> &N {
        &self.net
    }

    /// The network, to be changed.
    pub fn net_mut(&mut self) -> &mut N {
        &mut self.net
    }
}

/// A complaint that is logged at most once a second: said again for each request, it would say nothing new
/// and fill the disk.
#[derive(Debug, Default)]
struct Seldom {
    last: Time,
}

impl Seldom {
    fn is_due(&mut self, now: Time) -> bool {
        let due = now.since(self.last) >= Duration::from_secs(1);
        if due {
            self.last = now;
        }
        due
    }
}

/// What a worker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// Client connections.
    pub clients: usize,
    /// Upstream connections, idle ones included.
    pub upstreams: usize,
    /// Idle upstream connections.
    pub idle: usize,
    /// Groups of servers that are configured or still in use.
    pub pools: usize,
    /// Buffers that are with connections.
    pub buffers: usize,
    /// Entries in the heap of deadlines.
    pub deadlines: usize,
    /// Clients lost to a panic so far: bugs that were survived.
    pub lost: u64,
}
