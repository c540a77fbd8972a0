//! TCP as far as a program sees it: connections of two pipes, their ends, and the edges that are reported.
//!
//! One end of each connection is the proxy's, the other ("far") is a scripted client's or origin's. Bytes
//! are under way for a while, then lie in the reader's buffer. A pipe takes only so many. Events follow
//! epoll's edge-triggered rules: a socket is put on the ready list when something happens to it (bytes, an
//! end, a reset, room after a send that came short, the outcome of connecting, its registration), and what
//! is reported is what it can do when the list is read (Linux: `tcp_poll`, `ep_send_events`).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::ErrorKind;

use proxy::time::{Duration, Time};
use proxy::worker::net::{Event, Token};

use super::chance::Chance;
use super::conn::{Conn, ConnId, FAR, Got, PROXY, Pipe, Segment, State};
use super::trace::Trace;
use super::weather::Weather;

/// Who has the far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Actor {
    Client(usize),
    Serving(usize),
}

/// What is due at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    /// Something that is under way to this end arrives.
    Deliver(ConnId, usize),
    /// The pipe that this end writes to takes bytes again.
    Unblock(ConnId, usize),
    /// A client's connection comes to the listener.
    Arrive(ConnId, usize),
    /// An origin's machine answers to an attempt to connect.
    Answer(ConnId),
    /// An actor goes on.
    Step(Actor),
    /// The world changes: see `net.rs`.
    Happening(usize),
}

pub(crate) struct Wires {
    pub(crate) now: Time,
    pub(crate) chance: Chance,
    pub(crate) weather: Weather,
    pub(crate) trace: Trace,
    pub(crate) conns: Vec<Conn>,
    queue: BinaryHeap<Reverse<(Time, u64, Action)>>,
    numbered: u64,
    /// Times are rounded up to multiples of this, so that things happen at once.
    grain: Duration,
    ready: VecDeque<ConnId>,
    /// Waiting for `accept`, by listener, and whether that is still to be reported.
    backlogs: Vec<VecDeque<ConnId>>,
    listener_edges: Vec<bool>,
    pub(crate) listening: bool,
    /// Tokens of closed sockets.
    dead: Vec<Token>,
}

impl Wires {
    pub(crate) fn new(mut chance: Chance, weather: Weather, trace: Trace, listeners: usize) -> Wires {
        let grain = Duration::from_micros(chance.of(&[1, 100, 1000, 20_000]));
        Wires {
            now: Time::ZERO + Duration::from_secs(3600),
            chance,
            weather,
            trace,
            conns: Vec::new(),
            queue: BinaryHeap::new(),
            numbered: 0,
            grain,
            ready: VecDeque::new(),
            backlogs: vec![VecDeque::new(); listeners],
            listener_edges: vec![false; listeners],
            listening: true,
            dead: Vec::new(),
        }
    }

    // Time.

    pub(crate) fn schedule(&mut self, at: Time, action: Action) {
        let grain = self.grain.as_nanos() as u64;
        let at = Time::from_nanos(at.as_nanos().div_ceil(grain) * grain);
        self.numbered += 1;
        self.queue.push(Reverse((at, self.numbered, action)));
    }

    pub(crate) fn schedule_in(&mut self, span: Duration, action: Action) {
        self.schedule(self.now + span, action);
    }

    /// When the next thing happens.
    pub(crate) fn next_at(&self) -> Time {
        self.queue.peek().map_or(Time::NEVER, |Reverse((at, ..))| *at)
    }

    /// Takes what is due. Deliveries and the like are done at once; what concerns actors is handed out.
    pub(crate) fn due(&mut self) -> Option<Action> {
        while self.next_at() <= self.now {
            let Reverse((_, _, action)) = self.queue.pop()?;
            match action {
                Action::Deliver(id, reader) => self.deliver(id, reader),
                Action::Unblock(id, writer) => {
                    self.conns[id].pipes[1 - writer].blocked = false;
                    self.room_came(id, writer);
                }
                Action::Arrive(id, listener) => self.arrive(id, listener),
                other => return Some(other),
            }
        }
        None
    }

    // Opening.

    fn open(&mut self, origin: Option<usize>, actor: Option<Actor>, state: State) -> ConnId {
        let max = self.weather.buffer_max;
        let mut pipe =
            || Pipe { capacity: (1 + self.chance.size(max - 1)).max(max / 200), ..Pipe::default() };
        let pipes = [pipe(), pipe()];
        let latency = self.chance.span(self.weather.latency);
        self.conns.push(Conn {
            origin,
            actor,
            state,
            pipes,
            ends: Default::default(),
            latency,
            token: None,
            queued: false,
            far_sent: 0,
            proxy_took: 0,
            proxy_moved: self.now,
            idled: Duration::ZERO,
            far_idle_from: None,
            warned: false,
        });
        self.conns.len() - 1
    }

    /// A client connects.
    pub(crate) fn dial(&mut self, client: usize) -> ConnId {
        let id = self.open(None, Some(Actor::Client(client)), State::Open);
        let listener = self.chance.below(self.backlogs.len());
        let latency = self.conns[id].latency;
        // What it sends at once must not be there before itself.
        for pipe in &mut self.conns[id].pipes {
            pipe.last = self.now + latency;
        }
        self.schedule_in(latency, Action::Arrive(id, listener));
        id
    }

    fn arrive(&mut self, id: ConnId, listener: usize) {
        if self.listening {
            self.backlogs[listener].push_back(id);
            self.listener_edges[listener] = true;
        } else {
            self.close(id, PROXY, true);
        }
    }

    pub(crate) fn accept(&mut self, listener: usize) -> Result<ConnId, ErrorKind> {
        let id = self.backlogs[listener].pop_front().ok_or(ErrorKind::WouldBlock)?;
        if self.conns[id].pipes[PROXY].reset && self.chance.yes(0.5) {
            self.close(id, PROXY, false);
            return Err(ErrorKind::ConnectionAborted);
        }
        Ok(id)
    }

    /// Whether a connection waits to be accepted.
    pub(crate) fn is_waiting(&self, listener: usize) -> bool {
        !self.backlogs[listener].is_empty()
    }

    pub(crate) fn stop_listening(&mut self) {
        self.listening = false;
        for listener in 0..self.backlogs.len() {
            while let Some(id) = self.backlogs[listener].pop_front() {
                self.close(id, PROXY, true);
            }
        }
    }

    /// The proxy begins to connect to an origin.
    pub(crate) fn connect(&mut self, origin: usize) -> ConnId {
        let id = self.open(Some(origin), None, State::Connecting);
        let latency = self.conns[id].latency;
        self.schedule_in(latency, Action::Answer(id));
        id
    }

    pub(crate) fn refuse(&mut self, id: ConnId) {
        self.conns[id].state = State::Refused;
        self.edge(id, PROXY);
    }

    /// The connection stands, unless the proxy has given it up. Says whether it does.
    pub(crate) fn establish(&mut self, id: ConnId, actor: Actor) -> bool {
        if self.conns[id].ends[PROXY].closed {
            return false;
        }
        self.conns[id].actor = Some(actor);
        self.conns[id].state = State::Open;
        self.edge(id, PROXY);
        true
    }

    /// The error of an attempt to connect.
    pub(crate) fn outcome(&self, id: ConnId) -> Result<(), ErrorKind> {
        match self.conns[id].state {
            State::Refused => Err(ErrorKind::ConnectionRefused),
            State::Connecting | State::Open => Ok(()),
        }
    }

    // Moving bytes.

    fn push(&mut self, id: ConnId, reader: usize, segment: Segment) {
        let jitter = if self.chance.yes(0.2) { self.chance.span(self.weather.gap) } else { Duration::ZERO };
        let conn = &mut self.conns[id];
        let at = (self.now + conn.latency + jitter).max(conn.pipes[reader].last);
        conn.pipes[reader].last = at;
        conn.pipes[reader].wire.push_back((at, segment));
        self.schedule(at, Action::Deliver(id, reader));
    }

    fn deliver(&mut self, id: ConnId, reader: usize) {
        while self.conns[id].pipes[reader].wire.front().is_some_and(|(at, _)| *at <= self.now) {
            self.deliver_one(id, reader);
        }
    }

    fn deliver_one(&mut self, id: ConnId, reader: usize) {
        let harsh = self.chance.yes(self.weather.harsh_resets);
        let conn = &mut self.conns[id];
        let (pipe, end) = (&mut conn.pipes[reader], &mut conn.ends[reader]);
        let Some((_, segment)) = pipe.wire.pop_front() else { return };
        match segment {
            Segment::Bytes(bytes) if end.closed => {
                pipe.outstanding -= bytes.len();
                if !std::mem::replace(&mut end.protested, true) {
                    self.send_reset(id, reader);
                }
                return;
            }
            _ if end.closed || pipe.reset => return,
            Segment::Bytes(bytes) => pipe.buffer.extend(bytes),
            Segment::Fin => pipe.fin = true,
            Segment::Reset => {
                pipe.reset = true;
                if harsh {
                    pipe.outstanding -= pipe.buffer.len();
                    pipe.buffer.clear();
                }
            }
        }
        self.edge(id, reader);
    }

    /// `from` resets: what it had under way may be lost with it.
    fn send_reset(&mut self, id: ConnId, from: usize) {
        let reader = 1 - from;
        if self.chance.yes(self.weather.harsh_resets) {
            let pipe = &mut self.conns[id].pipes[reader];
            for (_, segment) in pipe.wire.drain(..) {
                if let Segment::Bytes(bytes) = segment {
                    pipe.outstanding -= bytes.len();
                }
            }
        }
        self.push(id, reader, Segment::Reset);
    }

    /// Something that is under way arrives in this very moment, perhaps.
    pub(crate) fn race(&mut self, id: ConnId) {
        if self.chance.yes(self.weather.race) && self.conns[id].state == State::Open {
            self.deliver_one(id, PROXY);
        }
    }

    pub(crate) fn send(&mut self, id: ConnId, from: usize, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let (short, one) = match from {
            PROXY => (self.weather.short_write, self.weather.one_byte),
            _ => (0.0, 0.0),
        };
        let conn = &mut self.conns[id];
        match conn.state {
            State::Connecting => {
                conn.pipes[1 - from].stuffed = true;
                return Err(ErrorKind::WouldBlock);
            }
            State::Refused => return Err(ErrorKind::ConnectionRefused),
            State::Open => {}
        }
        if conn.pipes[from].reset {
            let told = std::mem::replace(&mut conn.ends[from].error_taken, true);
            return Err(if told { ErrorKind::BrokenPipe } else { ErrorKind::ConnectionReset });
        }
        if conn.ends[from].shut {
            return Err(ErrorKind::BrokenPipe);
        }
        let pipe = &mut conn.pipes[1 - from];
        let mut n = pipe.room().min(bytes.len());
        if n > 1 && self.chance.yes(short) {
            n = if self.chance.yes(one) { 1 } else { self.chance.between(1, n) };
            if n < bytes.len() && n < pipe.room() {
                pipe.blocked = true;
                let pause = self.chance.span(self.weather.gap);
                self.schedule_in(pause, Action::Unblock(id, from));
            }
        }
        let pipe = &mut self.conns[id].pipes[1 - from];
        pipe.stuffed |= n < bytes.len();
        if n == 0 {
            return if bytes.is_empty() { Ok(0) } else { Err(ErrorKind::WouldBlock) };
        }
        pipe.outstanding += n;
        match from {
            PROXY => self.conns[id].proxy_moved = self.now,
            _ => self.conns[id].far_sent += n as u64,
        }
        // Now and then in two parts, so that any border can be met.
        let cut = if n > 1 && self.chance.yes(0.2) { self.chance.between(1, n - 1) } else { n };
        self.push(id, 1 - from, Segment::Bytes(bytes[..cut].to_vec()));
        if cut < n {
            self.push(id, 1 - from, Segment::Bytes(bytes[cut..n].to_vec()));
        }
        Ok(n)
    }

    /// The proxy receives.
    pub(crate) fn receive(&mut self, id: ConnId, space: &mut [u8]) -> Result<usize, ErrorKind> {
        let pause = self.chance.span(self.weather.gap);
        let short = self.chance.yes(self.weather.short_read);
        let one = self.chance.yes(self.weather.one_byte);
        let conn = &mut self.conns[id];
        match conn.state {
            State::Connecting => return Err(ErrorKind::WouldBlock),
            State::Refused => return Err(ErrorKind::ConnectionRefused),
            State::Open => {}
        }
        let pipe = &mut conn.pipes[PROXY];
        if short && pipe.buffer.len() > 1 && !pipe.fin && !pipe.reset {
            // The rest is not there yet.
            let n = if one { 1 } else { self.chance.between(1, pipe.buffer.len() - 1) };
            let rest = pipe.buffer.split_off(n);
            let at = self.now + pause;
            pipe.wire.push_front((at, Segment::Bytes(rest.into())));
            pipe.last = pipe.last.max(at);
            self.schedule(at, Action::Deliver(id, PROXY));
        }
        match self.take(id, PROXY, space.len()) {
            Got::Bytes(bytes) => {
                space[..bytes.len()].copy_from_slice(&bytes);
                self.conns[id].proxy_took += bytes.len() as u64;
                self.conns[id].proxy_moved = self.now;
                self.conns[id].warned |=
                    self.conns[id].far_idle_from.is_some_and(|from| from < self.conns[id].proxy_took);
                Ok(bytes.len())
            }
            Got::End => Ok(0),
            Got::Reset => Err(ErrorKind::ConnectionReset),
            Got::Nothing => Err(ErrorKind::WouldBlock),
        }
    }

    /// An end receives `most` bytes at most.
    pub(crate) fn take(&mut self, id: ConnId, reader: usize, most: usize) -> Got {
        let conn = &mut self.conns[id];
        let pipe = &mut conn.pipes[reader];
        if !pipe.buffer.is_empty() {
            let n = most.min(pipe.buffer.len());
            let bytes: Vec<u8> = pipe.buffer.drain(..n).collect();
            pipe.outstanding -= n;
            self.room_came(id, 1 - reader);
            return Got::Bytes(bytes);
        }
        if pipe.reset {
            let told = std::mem::replace(&mut conn.ends[reader].error_taken, true);
            return if told { Got::End } else { Got::Reset };
        }
        if pipe.fin { Got::End } else { Got::Nothing }
    }

    /// Whether the proxy has taken a client's connection in.
    pub(crate) fn is_accepted(&self, id: ConnId) -> bool {
        self.conns[id].token.is_some() || self.conns[id].ends[PROXY].closed
    }

    /// How much a slow reader reads at once: room in a full buffer comes before any send timeout.
    pub(crate) fn lazy_portion(&mut self) -> usize {
        let max = self.weather.buffer_max;
        (1 + self.chance.size(max)).max(max / 100)
    }

    /// Whether a receive of the proxy's would give anything.
    pub(crate) fn has_input(&self, id: ConnId) -> bool {
        self.conns[id].mask().0
    }

    /// Room is reported when a third of the buffer is free, after a send that came short.
    fn room_came(&mut self, id: ConnId, writer: usize) {
        let pipe = &mut self.conns[id].pipes[1 - writer];
        if pipe.stuffed && pipe.room() * 3 >= pipe.capacity {
            pipe.stuffed = false;
            self.edge(id, writer);
        }
    }

    pub(crate) fn shutdown(&mut self, id: ConnId, from: usize) {
        if !self.conns[id].ends[from].shut && !self.conns[id].pipes[from].reset {
            self.conns[id].ends[from].shut = true;
            self.push(id, 1 - from, Segment::Fin);
            self.edge(id, from);
        }
    }

    /// Says whether that resets the connection.
    pub(crate) fn close(&mut self, id: ConnId, from: usize, reset: bool) -> bool {
        let conn = &mut self.conns[id];
        if conn.ends[from].closed {
            return false;
        }
        conn.ends[from].closed = true;
        if from == PROXY {
            self.dead.extend(conn.token.take());
        }
        if conn.state != State::Open || conn.pipes[from].reset {
            return false;
        }
        // Closing with unread bytes is a reset too (RFC 2525 section 2.17).
        let unread = std::mem::take(&mut conn.pipes[from].buffer);
        conn.pipes[from].outstanding -= unread.len();
        let resets = reset || !unread.is_empty();
        if from == PROXY && !resets {
            conn.idled = self.now.since(conn.proxy_moved);
        }
        if resets {
            conn.ends[from].protested = true;
            self.send_reset(id, from);
        } else if !std::mem::replace(&mut conn.ends[from].shut, true) {
            self.push(id, 1 - from, Segment::Fin);
        }
        resets
    }

    // Events.

    /// Something has happened to this end.
    fn edge(&mut self, id: ConnId, end: usize) {
        let conn = &mut self.conns[id];
        if end == FAR {
            if let Some(actor) = conn.actor {
                self.schedule(self.now, Action::Step(actor));
            }
        } else if conn.token.is_some() && !conn.queued {
            conn.queued = true;
            self.ready.push_back(id);
        }
    }

    pub(crate) fn register(&mut self, id: ConnId, token: Token) {
        self.conns[id].token = Some(token);
        self.edge(id, PROXY);
    }

    /// Sockets that the proxy has open.
    pub(crate) fn open_files(&self) -> usize {
        let queued: usize = self.backlogs.iter().map(VecDeque::len).sum();
        self.conns.iter().filter(|conn| !conn.ends[PROXY].closed).count() - queued
    }

    /// Reads the ready list.
    pub(crate) fn harvest(&mut self, events: &mut Vec<Event>) {
        use proxy::worker::net::Target;
        let blank =
            |token| Event { token, readable: false, writable: false, read_closed: false, broken: false };
        for (listener, edge) in self.listener_edges.iter_mut().enumerate() {
            if std::mem::take(edge) {
                events.push(Event { readable: true, ..blank(Target::Listener(listener).into()) });
            }
        }
        while let Some(id) = self.ready.pop_front() {
            let conn = &mut self.conns[id];
            conn.queued = false;
            let (readable, writable, read_closed, broken) = conn.mask();
            if let (Some(token), true) = (conn.token, readable || writable || read_closed || broken) {
                events.push(Event { token, readable, writable, read_closed, broken });
            }
        }
        for conn in &mut self.conns {
            conn.warned |= conn.has_unasked_bytes();
        }
        if self.chance.yes(self.weather.spurious) && !self.conns.is_empty() {
            let id = self.chance.below(self.conns.len());
            if let Some(token) = self.conns[id].token {
                let (readable, writable) = (self.chance.yes(0.6), self.chance.yes(0.6));
                events.push(Event { readable, writable, ..blank(token) });
            }
        }
        if self.chance.yes(self.weather.stale) && !self.dead.is_empty() {
            let token = self.dead[self.dead.len() - 1 - self.chance.size(self.dead.len() - 1)];
            let (read_closed, broken) = (self.chance.yes(0.5), self.chance.yes(0.5));
            events.push(Event { token, readable: true, writable: true, read_closed, broken });
        }
        self.chance.shuffle(events);
    }

    pub(crate) fn has_events(&self) -> bool {
        !self.ready.is_empty() || self.listener_edges.contains(&true)
    }
}
