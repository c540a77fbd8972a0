//! What all workers of a process share: the servers' state, the count of connections, commands.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use parking_lot::{Mutex, MutexGuard};

use super::counts::Published;
use crate::exchange::{Counters, Sequel};
use crate::upstream::Group;

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
    pub group: usize,
    /// Its line in it.
    pub server: usize,
}

/// One truth over all workers.
#[derive(Debug)]
pub struct Shared {
    groups: Vec<Arc<Mutex<Group>>>,
    connections: AtomicUsize,
    /// Client connections since the start.
    accepted: AtomicU64,
    /// What the workers have counted, where something asks for it.
    published: Mutex<Vec<Arc<Published>>>,
    command: AtomicU8,
    reopened: AtomicU32,
    /// What became of requests whose upstream connection failed, by [`Sequel`].
    sequels: [AtomicU64; Sequel::ALL.len()],
    /// To the resolver: a connection to this server failed, its name may have moved.
    resolver: Option<Sender<Suspect>>,
}

impl Shared {
    /// Around the groups of servers; failed connections are told to `resolver`.
    pub fn new(groups: Vec<Group>, resolver: Option<Sender<Suspect>>) -> Shared {
        Shared {
            groups: groups.into_iter().map(|group| Arc::new(Mutex::new(group))).collect(),
            connections: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            published: Mutex::default(),
            command: AtomicU8::new(Command::Run as u8),
            reopened: AtomicU32::new(0),
            sequels: Default::default(),
            resolver,
        }
    }

    /// All groups of servers.
    ///
    /// One is to be locked for a choice or an account, never across a system call. It does not matter to the
    /// next holder if this one panics: every change of a group is complete before anything in it could.
    pub fn groups(&self) -> &[Arc<Mutex<Group>>] {
        &self.groups
    }

    /// One of them.
    pub fn group(&self, index: usize) -> MutexGuard<'_, Group> {
        self.groups[index].lock()
    }

    /// Asks all workers for this; they are to be woken after it. A stop is not taken back.
    pub fn order(&self, command: Command) {
        self.command.fetch_max(command as u8, Ordering::Relaxed);
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

    /// Counts a client connection as accepted.
    pub fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
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

    /// A connection to this server failed: has its name looked up again.
    pub fn suspect(&self, suspect: Suspect) {
        if let Some(resolver) = &self.resolver {
            // The resolver ends only with the process.
            let _ = resolver.send(suspect);
        }
    }
}
