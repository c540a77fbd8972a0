//! What all workers of a process share: the configuration at work with the servers' state, the count of
//! connections, commands.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::counts::Published;
use super::generation::{Generation, Registry};
use super::mio_net::Remote;
use super::queue::Mailboxes;
use super::resolver::{Caller, Mailbox, Question, Resolver};
use crate::config::Config;
use crate::exchange::{Counters, Sequel};
use crate::ids::GroupId;

/// What a worker is to do with itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Command {
    /// Serve.
    Run = 0,
    /// Finish what is in flight, then end (QUIT).
    Drain = 1,
    /// End at once (TERM, INT).
    Stop = 2,
}

/// A server whose name may have moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Its group.
    pub group: GroupId,
    /// Its line in it.
    pub server: usize,
}

/// What the resolver is told.
#[derive(Debug)]
pub enum Call {
    /// A connection to this server failed, its name may have moved.
    Suspect(Suspect),
    /// Another configuration is at work, with these names.
    Reloaded(Resolver),
    /// A request waits for this.
    Ask(Question, Mailbox),
}

/// One truth over all workers.
#[derive(Debug)]
pub struct Shared {
    generation: Mutex<Arc<Generation>>,
    registry: Mutex<Registry>,
    connections: AtomicUsize,
    /// A worker has clients waiting that are one too many, and none to spare.
    wants_room: AtomicBool,
    /// Client connections since the start.
    accepted: AtomicU64,
    seed: u64,
    /// What the workers have counted, where something asks for it.
    published: Mutex<Vec<Arc<Published>>>,
    command: AtomicU8,
    reopened: AtomicU32,
    /// What became of requests whose upstream connection failed, by [`Sequel`].
    sequels: [AtomicU64; Sequel::ALL.len()],
    resolver: Option<Caller>,
    /// There once a configuration has had health checks.
    checker: OnceLock<Remote>,
    pub(super) mailboxes: Mailboxes,
}

impl Shared {
    /// Around the process's first configuration; failed connections are told to `resolver`. What is left to chance
    /// follows from `seed`.
    pub fn new(config: Config, resolver: Option<Caller>, seed: u64) -> Shared {
        let mut registry = Registry::new(seed);
        Shared {
            generation: Mutex::new(Arc::new(registry.next(config, None))),
            registry: Mutex::new(registry),
            connections: AtomicUsize::new(0),
            wants_room: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            seed,
            published: Mutex::default(),
            command: AtomicU8::new(Command::Run as u8),
            reopened: AtomicU32::new(0),
            sequels: Default::default(),
            resolver,
            checker: OnceLock::new(),
            mailboxes: Mailboxes::default(),
        }
    }

    /// The configuration at work.
    pub fn generation(&self) -> Arc<Generation> {
        self.generation.lock().clone()
    }

    /// What would follow with `config`. Nothing is different before it is published.
    pub fn next(&self, config: Config) -> Generation {
        let last = self.generation();
        self.registry.lock().next(config, Some(&last))
    }

    /// Puts a configuration to work; the workers are to be woken after it.
    pub fn publish(&self, generation: Generation) {
        *self.generation.lock() = Arc::new(generation);
        self.wake_checker();
    }

    /// Asks all workers for this; they are to be woken after it. A stop is not taken back.
    pub fn order(&self, command: Command) {
        self.command.fetch_max(command as u8, Ordering::Relaxed);
        self.wake_checker();
    }

    /// Whether there is a loop for health checks.
    pub fn has_checker(&self) -> bool {
        self.checker.get().is_some()
    }

    /// There is one now, which is woken this way.
    pub fn set_checker(&self, remote: Remote) {
        self.checker.set(remote).expect("there is one loop for health checks");
    }

    /// Has the loop for health checks look around: something is different, for one the addresses of a name.
    pub fn wake_checker(&self) {
        if let Some(Err(error)) = self.checker.get().map(Remote::wake) {
            log::error!("the loop for health checks cannot be woken: {error}");
        }
    }

    /// What workers are to do.
    pub fn command(&self) -> Command {
        match self.command.load(Ordering::Relaxed) {
            0 => Command::Run,
            1 => Command::Drain,
            _ => Command::Stop,
        }
    }

    /// Asks all workers to reopen their logs; they are to be woken after it.
    pub fn reopen(&self) {
        self.reopened.fetch_add(1, Ordering::Relaxed);
    }

    /// How often reopening has been asked for.
    pub fn reopened(&self) -> u32 {
        self.reopened.load(Ordering::Relaxed)
    }

    /// Counts a client connection in, unless there are `most` already.
    pub fn enter(&self, most: usize) -> bool {
        let entered = self.connections.fetch_add(1, Ordering::Relaxed) < most;
        if !entered {
            self.leave();
        }
        entered
    }

    /// Has the other workers look for a client to spare; `worker` has none.
    pub(super) fn want_room(&self, worker: usize) {
        self.wants_room.store(true, Ordering::Relaxed);
        self.mailboxes.wake_all_but(worker);
    }

    /// Whether a worker waits for that.
    pub(super) fn wants_room(&self) -> bool {
        self.wants_room.load(Ordering::Relaxed)
    }

    /// A client has given way.
    pub(super) fn has_room(&self) {
        self.wants_room.store(false, Ordering::Relaxed);
    }

    /// Counts a client connection as accepted. Returns its number, counted from 1.
    pub fn accepted(&self) -> u64 {
        self.accepted.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What no two processes have in common.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Where another worker publishes its counts.
    pub fn publisher(&self) -> Arc<Published> {
        let published = Arc::<Published>::default();
        self.published.lock().push(published.clone());
        published
    }

    /// The counts of all workers.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters {
            accepted: self.accepted.load(Ordering::Relaxed),
            active: self.connections() as u64,
            ..Counters::default()
        };
        for published in self.published.lock().iter() {
            published.add_to(&mut sum);
        }
        sum
    }

    /// Counts a client connection out.
    pub fn leave(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Client connections over all workers.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Counts what became of a request whose upstream connection failed.
    pub fn count(&self, sequel: Sequel) {
        self.sequels[sequel as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often that has been the outcome since the start, over all workers.
    pub fn counted(&self, sequel: Sequel) -> u64 {
        self.sequels[sequel as usize].load(Ordering::Relaxed)
    }

    /// The configuration that has been published has these names, of which some have been looked up.
    pub fn follow_names(&self, names: Resolver) {
        self.call(Call::Reloaded(names));
    }

    /// A connection to this server failed: has its name looked up again.
    pub fn suspect(&self, suspect: Suspect) {
        self.call(Call::Suspect(suspect));
    }

    /// A request waits for the addresses of a name: has them looked up and sent to `mailbox`.
    pub fn ask(&self, question: Question, mailbox: Mailbox) {
        self.call(Call::Ask(question, mailbox));
    }

    fn call(&self, call: Call) {
        if let Some(resolver) = &self.resolver {
            resolver.call(call);
        }
    }
}
