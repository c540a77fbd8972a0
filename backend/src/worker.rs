//! A worker: one thread with its own poll, listeners and clients.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime};

use mio::event::Event;
use mio::{Events, Poll, Token, Waker};
use slotmap::{Key as _, KeyData, SlotMap};

use crate::client::{Client, Next, Scratch};
use crate::connection::{Connection, Context};
use crate::counter::{Counter, Shared};
use crate::listen::Listener;
use crate::redis_counter::{Batch, Counted, Key};

/// Wakes the poll. A client's [`Key`] as a token is at least 2^32, so that smaller ones are free: this one,
/// and the site's index for its listener.
const WAKE: Token = Token(u32::MAX as usize);

/// How often deadlines are looked at; they are no more exact than that.
const SWEEP: Duration = Duration::from_secs(1);

/// How long accepting pauses when there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections accepted in one turn from one listener.
const ACCEPT_BATCH: usize = 256;

/// What a worker is given and what its owner keeps of it.
pub(crate) struct Setup {
    pub(crate) poll: Poll,
    pub(crate) waker: Arc<Waker>,
    /// One per site, in their order.
    pub(crate) listeners: Vec<Listener>,
    pub(crate) inbox: Receiver<Counted>,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Setup {
    /// A poll with a way to wake it.
    pub(crate) fn poll() -> io::Result<(Poll, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        Ok((poll, Arc::new(waker)))
    }
}

/// A worker's state.
pub(crate) struct Worker {
    number: usize,
    setup: Setup,
    /// Listeners that may have a connection waiting.
    acceptable: Vec<bool>,
    /// Until when accepting pauses.
    accept_after: Option<Instant>,
    clients: SlotMap<Key, Client>,
    scratch: Scratch,
    context: Context,
    date_until: Instant,
    /// Clients whose share was used up in this turn.
    again: Vec<Key>,
    /// Answers that wait; those of clients that have left stay until the next sweep.
    delays: BinaryHeap<Reverse<(Instant, Key)>>,
    /// Hits that need a number from Redis. They are sent at the end of a turn; one that is refused then may bring its
    /// client's next one, for the turn after.
    hits: Vec<Key>,
    next_sweep: Instant,
}

impl Worker {
    pub(crate) fn new(number: usize, mut setup: Setup, shared: Arc<Shared>) -> io::Result<Self> {
        for (site, listener) in setup.listeners.iter_mut().enumerate() {
            listener.register(setup.poll.registry(), Token(site))?;
        }
        let now = Instant::now();
        Ok(Self {
            number,
            acceptable: vec![false; setup.listeners.len()],
            setup,
            accept_after: None,
            clients: SlotMap::with_key(),
            scratch: Scratch::new(),
            context: Context { now, date: [0; 29], shared },
            date_until: now,
            again: Vec::new(),
            delays: BinaryHeap::new(),
            hits: Vec::new(),
            next_sweep: now + SWEEP,
        })
    }

    /// Runs until it is told to stop; `Setup::waker` makes it look.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.setup.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            if self.setup.stop.load(Ordering::Acquire) {
                return Ok(());
            }
            self.tick();
            for event in &events {
                self.event(event);
            }
            self.accept();
            for key in std::mem::take(&mut self.again) {
                self.drive(key);
            }
            self.expire_delays();
            self.sweep();
            self.count();
        }
    }

    /// How long the poll may sleep; `None`: until something happens.
    fn timeout(&self) -> Option<Duration> {
        let may_accept = self.accept_after.is_none() && self.acceptable.contains(&true);
        if may_accept || !self.again.is_empty() || !self.hits.is_empty() {
            return Some(Duration::ZERO);
        }
        let delay = self.delays.peek().map(|Reverse((until, _))| *until);
        let sweep = (!self.clients.is_empty()).then_some(self.next_sweep);
        let next = [delay, sweep, self.accept_after].into_iter().flatten().min()?;
        // The poll counts whole milliseconds; one more keeps it from waking too early again and again.
        Some(next.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    /// The clock, once per turn; the date, once per second.
    fn tick(&mut self) {
        self.context.now = Instant::now();
        if self.context.now >= self.date_until {
            let now = SystemTime::now();
            let text = httpdate::fmt_http_date(now);
            self.context.date.copy_from_slice(text.as_bytes());
            let into_second =
                now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
            self.date_until =
                self.context.now + Duration::from_secs(1) - Duration::from_nanos(into_second.into());
        }
    }

    fn event(&mut self, event: &Event) {
        match event.token() {
            WAKE => self.hand_out(),
            Token(site) if site < self.acceptable.len() => self.acceptable[site] = true,
            Token(packed) => {
                let key = Key::from(KeyData::from_ffi(packed as u64));
                match self.clients.get_mut(key).map(|client| client.notice(event)) {
                    Some(true) => self.drive(key),
                    Some(false) => self.drop_client(key),
                    None => {}
                }
            }
        }
    }

    fn drive(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        match client.drive(&mut self.scratch, &self.context) {
            Next::Keep => {}
            Next::Again => self.again.push(key),
            Next::Count => self.hits.push(key),
            Next::Wait(until) => self.delays.push(Reverse((until, key))),
            Next::Gone => self.drop_client(key),
        }
    }

    /// Closing the socket also takes it out of the poll.
    fn drop_client(&mut self, key: Key) {
        self.clients.remove(key);
    }

    fn accept(&mut self) {
        if self.accept_after.is_some_and(|until| self.context.now < until) {
            return;
        }
        self.accept_after = None;
        for site in 0..self.acceptable.len() {
            for _ in 0..ACCEPT_BATCH {
                if !self.acceptable[site] {
                    break;
                }
                if self.accept_after.is_some() {
                    return;
                }
                if let Err(error) = self.accept_one(site) {
                    self.accept_failed(site, &error);
                }
            }
        }
    }

    fn accept_one(&mut self, site: usize) -> io::Result<()> {
        let mut socket = self.setup.listeners[site].accept()?;
        let now = self.context.now;
        let registry = self.setup.poll.registry();
        let mut registered = Ok(());
        let key = self.clients.insert_with_key(|key| {
            registered = socket.register(registry, Token(key.data().as_ffi() as usize));
            Client::new(socket, Connection::new(site, now))
        });
        if registered.is_err() {
            self.drop_client(key);
        }
        registered
    }

    fn accept_failed(&mut self, site: usize, error: &io::Error) {
        match error.kind() {
            ErrorKind::WouldBlock => self.acceptable[site] = false,
            ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
            // Out of descriptors or memory: the connection waits in the backlog.
            _ => {
                let name = &self.context.shared.sites[site].name;
                log::warn!("{name}: cannot accept: {error}; trying again in {} ms", ACCEPT_PAUSE.as_millis());
                self.accept_after = Some(self.context.now + ACCEPT_PAUSE);
                // What made it fail may be this very connection.
                self.acceptable[site] = true;
            }
        }
    }

    fn expire_delays(&mut self) {
        while let Some(Reverse((until, key))) = self.delays.peek().copied()
            && until <= self.context.now
        {
            self.delays.pop();
            self.drive(key);
        }
    }

    fn sweep(&mut self) {
        let now = self.context.now;
        if now >= self.next_sweep {
            self.next_sweep = now + SWEEP;
            self.clients.retain(|_, client| now < client.connection.deadline);
            // Else one who asks for long delays and leaves at once would pile them up.
            self.delays.retain(|Reverse((_, key))| self.clients.contains_key(*key));
        }
    }

    /// Sends the hits of this turn to be counted.
    fn count(&mut self) {
        if self.hits.is_empty() {
            return;
        }
        let Counter::Redis(redis) = &self.context.shared.counter else { return };
        let batch = Batch { worker: self.number, hits: std::mem::take(&mut self.hits) };
        if let Err(batch) = redis.count(batch) {
            let reason = Arc::from("too many hits wait for redis");
            self.answer(Counted { hits: batch.hits, first: Err(reason) });
        }
    }

    /// Takes what has been counted.
    fn hand_out(&mut self) {
        while let Ok(counted) = self.setup.inbox.try_recv() {
            self.answer(counted);
        }
    }

    /// Numbers are handed out in the order of the hits; that of a client that has left stays unused.
    fn answer(&mut self, counted: Counted) {
        for (offset, key) in counted.hits.into_iter().enumerate() {
            let number = counted.first.clone().map(|first| first + offset as i64);
            if let Some(client) = self.clients.get_mut(key) {
                client.connection.counted(number);
                self.drive(key);
            }
        }
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
