//! One thread of the generator: an event loop that sends what is due on connections that are free.
//!
//! For a request and its response on a kept connection there is one write, one read and a share of a wake. A request goes
//! out as it lies in its [`Target`]; sockets are registered once, edge-triggered; a short read means
//! that the socket is drained. Between due times it sleeps on a timer of the kernel's, since the poll's own timeout
//! has milliseconds.
//!
//! Connections wait for work in the order in which they got free. In an open loop the next request is taken from
//! the schedule when it is due *and* a connection is free: what is due meanwhile waits there, and its latency
//! runs. In a closed loop it is always due.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use mio::event::Event;
use mio::{Events, Poll, Token};

use super::connection::{Connection, Flight, Progress};
use super::outcome::{Failure, Tally, record};
use super::plan::{Pace, Plan};
use super::response::Complete;
use super::schedule::{Schedule, nanoseconds};
use super::timer::Timer;
use crate::lab;

const TIMER: Token = Token(usize::MAX);

/// One read takes at most so much.
const SCRATCH: usize = 256 * 1024;

/// Requests sent between two looks at what has come.
const SENT_AT_ONCE: usize = 32;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(50);

/// A connection that could not be opened is tried again after so long.
const REOPEN_AFTER: Duration = Duration::from_millis(10);

/// Below this it is not worth going to sleep.
const SLEEP_MIN_NS: u64 = 2_000;

/// What threads and whoever waits for them share.
#[derive(Debug, Default)]
pub struct Shared {
    /// Requests answered so far.
    pub answered: AtomicU64,
    /// Requests that failed so far.
    pub failed: AtomicU64,
    /// Set to end the run early: what is due from then on is not sent.
    pub stop: Arc<AtomicBool>,
}

/// What one thread gave.
pub(super) struct Done {
    pub(super) tally: Tally,
    pub(super) answered_in_all: u64,
    pub(super) failed_in_all: u64,
    pub(super) cpu: Duration,
    pub(super) ran: Duration,
}

/// A thread's generator.
pub(super) struct Engine<'a> {
    plan: &'a Plan,
    shared: Arc<Shared>,
    poll: Poll,
    timer: Timer,
    connections: Vec<Connection>,
    /// Connections that can take a request, longest free first.
    free: VecDeque<usize>,
    schedule: Schedule,
    random: Rng,
    weights: u64,
    start: Instant,
    warm_up_ns: u64,
    counts: Counts,
    scratch: Vec<u8>,
}

impl<'a> Engine<'a> {
    /// Opens the connections of thread `number` and waits for them, as far as they serve many requests.
    ///
    /// # Errors
    ///
    /// Where none of them opens.
    pub(super) fn open(plan: &'a Plan, number: usize, shared: Arc<Shared>) -> io::Result<Engine<'a>> {
        let poll = Poll::new()?;
        let timer = Timer::new(poll.registry(), TIMER)?;
        let share = plan.connections / plan.threads + usize::from(number < plan.connections % plan.threads);
        let mut engine = Engine {
            plan,
            shared,
            poll,
            timer,
            connections: (0..share).map(|_| Connection::default()).collect(),
            free: VecDeque::with_capacity(share),
            schedule: Schedule::new(plan, number),
            random: Rng::with_seed(!plan.seed.wrapping_add(number as u64)),
            weights: plan.targets.iter().map(|target| u64::from(target.weight)).sum(),
            start: Instant::now(),
            warm_up_ns: nanoseconds(plan.warm_up),
            counts: Counts::default(),
            scratch: vec![0; SCRATCH],
        };
        if plan.keep_alive {
            engine.open_all()?;
        } else {
            engine.free.extend(0..share);
        }
        Ok(engine)
    }

    fn open_all(&mut self) -> io::Result<()> {
        for number in 0..self.connections.len() {
            self.connections[number].open(self.plan.address, self.poll.registry(), Token(number), 0)?;
        }
        let mut events = Events::with_capacity(1024);
        let mut failure = None;
        let mut waiting = self.connections.len();
        let deadline = Instant::now() + self.plan.timeout;
        while waiting > 0 && Instant::now() < deadline {
            self.poll.poll(&mut events, Some(TICK)).or_else(ignore_interrupt)?;
            for event in events.iter().filter(|event| event.token() != TIMER) {
                let number = event.token().0;
                match self.connections[number].writable(event.is_error()) {
                    Ok(Progress::Opened) => {
                        waiting -= 1;
                        self.offer(number, 0);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        waiting -= 1;
                        self.connections[number].close(0);
                        failure = Some(error);
                    }
                }
            }
        }
        if self.free.is_empty() {
            return Err(failure.unwrap_or_else(|| io::ErrorKind::TimedOut.into()));
        }
        Ok(())
    }

    /// Runs from `start` to the last response, or to the last one's deadline.
    ///
    /// # Errors
    ///
    /// Where the kernel no longer reports events.
    pub(super) fn run(mut self, start: Instant) -> io::Result<Done> {
        let cpu_before = lab::thread_cpu();
        self.start = start;
        let mut events = Events::with_capacity(1024);
        let mut next_tick_ns = 0;
        let end_ns = nanoseconds(self.plan.warm_up + self.plan.duration);
        let mut is_past_end = false;
        loop {
            let mut now_ns = self.now_ns();
            if now_ns >= next_tick_ns {
                next_tick_ns = now_ns + nanoseconds(TICK);
                self.tick(now_ns);
                now_ns = self.now_ns();
            }
            let stopped = self.shared.stop.load(Ordering::Relaxed);
            // What was due before the end goes out once more behind it: a generator that was late then says so.
            if !stopped && !is_past_end {
                is_past_end = now_ns >= end_ns;
                while self.send_what_is_due(now_ns) == SENT_AT_ONCE && is_past_end {}
                now_ns = self.now_ns();
            }
            let is_over = stopped || now_ns >= end_ns || self.schedule.peek(now_ns).is_none();
            if is_over && self.counts.in_flight == 0 {
                break;
            }
            let pause = if is_over { Some(TICK) } else { self.sleep_until_due(now_ns)? };
            self.poll.poll(&mut events, pause).or_else(ignore_interrupt)?;
            for event in events.iter().filter(|event| event.token() != TIMER) {
                self.happened(event);
            }
        }
        if !self.shared.stop.load(Ordering::Relaxed) {
            self.counts.tally.unsent = self.schedule.overdue(end_ns);
        }
        self.counts.tell(&self.shared);
        Ok(Done {
            tally: self.counts.tally,
            answered_in_all: self.counts.answered_in_all,
            failed_in_all: self.counts.failed_in_all,
            cpu: lab::thread_cpu() - cpu_before,
            ran: self.start.elapsed(),
        })
    }

    fn now_ns(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }

    /// Sets the timer for the next request, if a connection is free for it; says how long the poll may wait.
    fn sleep_until_due(&mut self, now_ns: u64) -> io::Result<Option<Duration>> {
        if self.free.is_empty() {
            return Ok(Some(TICK));
        }
        match self.schedule.peek(now_ns) {
            Some(due_ns) if due_ns > now_ns + SLEEP_MIN_NS => {
                self.timer.set(due_ns, now_ns)?;
                Ok(Some(TICK))
            }
            _ => Ok(Some(Duration::ZERO)),
        }
    }

    /// Sends no more than [`SENT_AT_ONCE`]; says how many it sent.
    fn send_what_is_due(&mut self, mut now_ns: u64) -> usize {
        for count in 0..SENT_AT_ONCE {
            let Some(&number) = self.free.front() else { return count };
            let due = self.schedule.peek(now_ns).filter(|due_ns| *due_ns <= now_ns);
            let Some(due_ns) = due else { return count };
            self.schedule.take();
            self.free.pop_front();
            self.send(number, due_ns, now_ns);
            now_ns = self.now_ns();
        }
        SENT_AT_ONCE
    }

    /// Sends a request, and in a closed loop as many as the connection may have in flight.
    fn send(&mut self, number: usize, due_ns: u64, now_ns: u64) {
        let connection = &mut self.connections[number];
        connection.is_offered = false;
        let mut is_opened = true;
        if connection.is_closed() {
            let opened = connection.open(self.plan.address, self.poll.registry(), Token(number), now_ns);
            is_opened = opened.is_ok();
        }
        let ready_ns = due_ns.max(connection.free_since_ns);
        let is_measured = due_ns >= self.warm_up_ns;
        if is_measured {
            record(&mut self.counts.tally.lag, now_ns.saturating_sub(ready_ns));
        }
        let target = self.choose();
        self.connections[number].push(Flight { due_ns, sent_ns: now_ns, target });
        self.counts.in_flight += 1;
        if !is_opened {
            return self.broken(number, Failure::Connect);
        }
        if self.plan.pace == Pace::Saturate {
            while self.connections[number].in_flight() < self.plan.pipeline
                && self.schedule.peek(now_ns).is_some()
            {
                self.schedule.take();
                let target = self.choose();
                self.connections[number].push(Flight { due_ns: now_ns, sent_ns: now_ns, target });
                self.counts.in_flight += 1;
            }
        }
        match self.connections[number].write(&self.plan.targets) {
            Ok(()) => self.offer(number, now_ns),
            Err(_) => self.broken(number, Failure::Closed),
        }
    }

    fn choose(&mut self) -> usize {
        if self.plan.targets.len() == 1 {
            return 0;
        }
        let mut at = self.random.u64(0..self.weights);
        for (number, target) in self.plan.targets.iter().enumerate() {
            match at.checked_sub(u64::from(target.weight)) {
                Some(rest) => at = rest,
                None => return number,
            }
        }
        unreachable!("the weights add up to {}", self.weights)
    }

    /// Queues a connection that can take one more request, unless it is queued already.
    fn offer(&mut self, number: usize, now_ns: u64) {
        let plan = self.plan;
        let connection = &mut self.connections[number];
        let can_take = if plan.keep_alive {
            connection.is_open() && !connection.is_ending() && connection.in_flight() < plan.pipeline
        } else {
            connection.is_closed()
        };
        if can_take && !connection.is_offered {
            connection.is_offered = true;
            connection.free_since_ns = now_ns;
            self.free.push_back(number);
        }
    }

    fn happened(&mut self, event: &Event) {
        let number = event.token().0;
        let ends = event.is_read_closed() || event.is_error();
        if self.connections[number].is_closed() {
            return;
        }
        if event.is_writable() {
            let connection = &mut self.connections[number];
            let opened = connection.writable(event.is_error());
            let written = match opened {
                Ok(_) => connection.write(&self.plan.targets),
                Err(_) => return self.broken(number, Failure::Connect),
            };
            if written.is_err() {
                return self.broken(number, Failure::Closed);
            }
            if matches!(opened, Ok(Progress::Opened)) && self.plan.keep_alive {
                let now_ns = self.now_ns();
                self.counts.tally.reopened += u64::from(now_ns >= self.warm_up_ns);
                self.offer(number, now_ns);
            }
        }
        if event.is_readable() || ends {
            self.receive(number, ends);
        }
    }

    /// Reads what has come and accounts for the responses in it.
    fn receive(&mut self, number: usize, ends: bool) {
        loop {
            let read = self.connections[number].read(&mut self.scratch);
            let now_ns = self.now_ns();
            match read {
                Ok(0) => return self.ended(number, now_ns),
                Ok(count) => {
                    if let Err(failure) = self.take_in(number, count, now_ns) {
                        return self.broken(number, failure);
                    }
                    if count < self.scratch.len() && !ends {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.broken(number, Failure::Closed),
            }
        }
        let now_ns = self.now_ns();
        self.offer(number, now_ns);
    }

    fn take_in(&mut self, number: usize, count: usize, now_ns: u64) -> Result<(), Failure> {
        let mut bytes = &self.scratch[..count];
        while !bytes.is_empty() {
            let connection = &mut self.connections[number];
            let flight = connection.oldest().ok_or(Failure::Malformed)?;
            let target = &self.plan.targets[flight.target];
            let complete = connection.response.feed(&mut bytes, target).map_err(|_| Failure::Malformed)?;
            if let Some(complete) = complete {
                connection.answered(complete.closes);
                self.counts.complete(self.plan, flight, complete, now_ns);
            }
        }
        Ok(())
    }

    /// The server has closed.
    fn ended(&mut self, number: usize, now_ns: u64) {
        let connection = &mut self.connections[number];
        if let Some(flight) = connection.oldest() {
            let target = &self.plan.targets[flight.target];
            if let Some(complete) = connection.response.ended(target) {
                connection.answered(true);
                self.counts.complete(self.plan, flight, complete, now_ns);
            }
        }
        self.broken(number, Failure::Closed);
    }

    /// Gives a connection up: what is in flight on it has failed.
    fn broken(&mut self, number: usize, failure: Failure) {
        let now_ns = self.now_ns();
        let connection = &mut self.connections[number];
        let failure = match failure {
            Failure::Closed if !connection.is_open() => Failure::Connect,
            other => other,
        };
        if failure == Failure::Malformed && connection.oldest().is_none() {
            self.counts.unasked(self.plan, now_ns);
        }
        while let Some(flight) = connection.oldest() {
            connection.answered(true);
            self.counts.failed(self.plan, flight, failure, now_ns);
        }
        connection.close(now_ns);
        if connection.is_offered {
            connection.is_offered = false;
            self.free.retain(|free| *free != number);
        }
        if self.plan.keep_alive {
            self.reopen(number, now_ns, failure == Failure::Connect);
        } else {
            self.offer(number, now_ns);
        }
    }

    fn reopen(&mut self, number: usize, now_ns: u64, waits: bool) {
        let connection = &mut self.connections[number];
        let mut open =
            || connection.open(self.plan.address, self.poll.registry(), Token(number), now_ns).is_ok();
        if !waits && open() {
            return;
        }
        connection.close(now_ns);
    }

    /// Looks after deadlines and closed connections, and tells the counts.
    fn tick(&mut self, now_ns: u64) {
        let (timeout_ns, reopen_ns) = (nanoseconds(self.plan.timeout), nanoseconds(REOPEN_AFTER));
        for number in 0..self.connections.len() {
            let connection = &self.connections[number];
            if connection.is_closed() {
                if self.plan.keep_alive && now_ns >= connection.since_ns + reopen_ns {
                    self.reopen(number, now_ns, false);
                }
                continue;
            }
            match connection.oldest() {
                Some(flight) if now_ns > flight.sent_ns + timeout_ns => {
                    self.broken(number, Failure::Timeout);
                }
                None if !connection.is_open() && now_ns > connection.since_ns + timeout_ns => {
                    self.broken(number, Failure::Connect);
                }
                None if connection.is_ending() && now_ns > connection.since_ns + timeout_ns => {
                    self.broken(number, Failure::Closed);
                }
                _ => {}
            }
        }
        self.counts.tell(&self.shared);
    }
}

/// What has become of the requests so far.
#[derive(Debug, Default)]
struct Counts {
    in_flight: usize,
    tally: Tally,
    answered_in_all: u64,
    failed_in_all: u64,
    /// How many of both have been told to the other threads.
    told: (u64, u64),
}

impl Counts {
    fn complete(&mut self, plan: &Plan, flight: Flight, complete: Complete, now_ns: u64) {
        if let Err(wrong) = complete.verdict {
            self.failed(plan, flight, Failure::Wrong(wrong), now_ns);
        } else {
            self.in_flight -= 1;
            self.answered_in_all += 1;
        }
        if let Some(number) = interval(plan, flight.due_ns, now_ns) {
            *self.tally.statuses.entry(complete.status).or_default() += 1;
            self.tally.received(number, complete.body);
            if complete.verdict.is_ok() {
                self.tally.answered(number, flight.due_ns, flight.sent_ns, now_ns);
                self.tally.served(number, complete.server);
            }
        }
    }

    fn failed(&mut self, plan: &Plan, flight: Flight, failure: Failure, now_ns: u64) {
        self.in_flight -= 1;
        self.failed_in_all += 1;
        if let Some(number) = interval(plan, flight.due_ns, now_ns) {
            self.tally.failed(number, failure, now_ns - flight.due_ns);
        }
    }

    /// Bytes that no request asked for are a failure of their own: no flight is there to bear it.
    fn unasked(&mut self, plan: &Plan, now_ns: u64) {
        self.failed_in_all += 1;
        if let Some(number) = interval(plan, now_ns, now_ns) {
            self.tally.failed(number, Failure::Malformed, 0);
        }
    }

    fn tell(&mut self, shared: &Shared) {
        shared.answered.fetch_add(self.answered_in_all - self.told.0, Ordering::Relaxed);
        shared.failed.fetch_add(self.failed_in_all - self.told.1, Ordering::Relaxed);
        self.told = (self.answered_in_all, self.failed_in_all);
    }
}

/// The interval that a request is counted in; `None` where it was due in the warm-up.
fn interval(plan: &Plan, due_ns: u64, now_ns: u64) -> Option<u64> {
    let warm_up_ns = nanoseconds(plan.warm_up);
    (due_ns >= warm_up_ns).then(|| (now_ns - warm_up_ns) / nanoseconds(plan.interval))
}

fn ignore_interrupt(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}
