//! Client connections: accepting them, driving their exchanges, closing them.

use std::io;

use super::generation::SharedGroup;
use super::local::is_local;
use super::net::{ClientKey, Event, Net, Target, Token, UpstreamKey};
use super::queue::Waiting;
use super::{ACCEPT_PAUSE, Worker};
use crate::exchange::{Env, Exchange, Ready, Side, Stage, Step};
use crate::ids::GroupId;
use crate::time::Time;
use crate::upstream::{Attempt, PeerKey};

/// Bytes that one client may move in one go, so that a large body does not keep the others waiting.
const SHARE: isize = 256 * 1024;

/// What a receive or a send counts for beside its bytes: it takes time however few those are.
const CALL_BYTES: isize = 2 * 1024;

/// Connections taken from a listener in one go.
const ACCEPT_BATCH: usize = 64;

/// What a socket can do without blocking, as far as is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Readiness {
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The other side has stopped sending: a short read does not mean that nothing is left.
    pub(super) read_closed: bool,
}

impl Readiness {
    /// What an event says holds until a call would block or comes short.
    pub(super) fn note(&mut self, event: &Event) {
        self.readable |= event.readable;
        self.writable |= event.writable;
        self.read_closed |= event.read_closed;
    }
}

/// A server that was chosen for a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen {
    pub(super) group: GroupId,
    pub(super) peer: PeerKey,
}

/// A client connection.
pub(super) struct Client<S, F> {
    pub(super) socket: S,
    /// The file that is being sent.
    pub(super) file: Option<F>,
    ready: Readiness,
    /// It waits in `Worker::ready`.
    queued: bool,
    pub(super) exchange: Exchange,
    pub(super) upstream: Option<UpstreamKey>,
    /// The server that was chosen and has not been accounted for yet.
    pub(super) chosen: Option<Chosen>,
    /// The request's place in a queue, where it waits for a server.
    pub(super) waiting: Option<Waiting>,
    /// A server has been chosen for the request in hand, so that further choices are retries.
    pub(super) has_chosen: bool,
    pub(super) attempt: Attempt,
    /// The servers of a request that goes to none of the groups.
    pub(super) own: Option<SharedGroup>,
    /// The time of its entry in the heap of deadlines.
    scheduled: Time,
    /// As what it is counted.
    pub(super) stage: Stage,
}

impl<N: Net> Worker<N> {
    /// Takes waiting connections in, a batch from each listener.
    pub(super) fn accept(&mut self) {
        if self.accept_after > self.env.now {
            return;
        }
        let mut at = 0;
        while let Some(&listener) = self.acceptable.get(at) {
            if (0..ACCEPT_BATCH).all(|_| self.accept_one(listener)) {
                at += 1;
            } else if self.accept_after > self.env.now {
                return;
            } else {
                self.acceptable.swap_remove(at);
            }
        }
    }

    /// Takes all connections in that wait at these listeners, before those close.
    pub(super) fn accept_all(&mut self, listeners: Vec<usize>) {
        self.acceptable = listeners;
        while !self.acceptable.is_empty() && self.accept_after <= self.env.now {
            self.accept();
        }
    }

    /// Takes one connection in; says whether there may be more.
    fn accept_one(&mut self, listener: usize) -> bool {
        let most = self.generation.config.process.max_connections;
        if !self.shared.enter(most) && !self.enter_for_another(most) {
            if self.accept_failed.is_due(self.env.now) {
                log::warn!("accepting pauses until a connection ends: {}", self.bound_reached());
            }
            self.accept_after = self.env.now + ACCEPT_PAUSE;
            return false;
        }
        let (mut socket, address) = match self.net.accept(listener) {
            Ok(accepted) => accepted,
            Err(error) => {
                self.shared.leave();
                return self.accept_failed(listener, &error);
            }
        };
        let mut exchange = Exchange::new(listener, address, &self.env);
        // A call of the kernel for each connection: only where it makes a difference.
        if self.env.routes.asks_address(listener)
            && let Ok(address) = self.net.local_address(&socket)
        {
            exchange.came_to(address.ip());
        }
        let net = &mut self.net;
        let inserted = self.clients.try_insert_with_key(|key| {
            net.register(&mut socket, Token::from(Target::Client(key)))?;
            Ok(Client {
                socket,
                file: None,
                stage: Stage::default(),
                // A new socket can always take bytes.
                ready: Readiness { writable: true, ..Readiness::default() },
                queued: false,
                exchange,
                upstream: None,
                chosen: None,
                waiting: None,
                has_chosen: false,
                attempt: Attempt::default(),
                own: None,
                scheduled: Time::NEVER,
            })
        });
        match inserted {
            Ok(key) => {
                let serial = self.shared.accepted();
                if let Some(client) = self.clients.get_mut(key) {
                    client.exchange.numbered(serial);
                }
                self.rearm(key);
                true
            }
            Err(error) => {
                self.shared.leave();
                self.accept_failed(listener, &error)
            }
        }
    }

    /// Says whether there may be more.
    fn accept_failed(&mut self, listener: usize, error: &io::Error) -> bool {
        match error.kind() {
            io::ErrorKind::WouldBlock => false,
            // The client has gone while it waited.
            io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => true,
            // A client is worth more than an idle connection, but for the last one, which may serve it.
            _ if is_local(error) && (self.give_up_idle(1) || self.give_up_client()) => true,
            _ => {
                if self.accept_failed.is_due(self.env.now) {
                    self.say_accept_failed(listener, error);
                }
                self.accept_after = self.env.now + ACCEPT_PAUSE;
                false
            }
        }
    }

    pub(super) fn client_event(&mut self, key: ClientKey, event: &Event) {
        self.at_work = Some(key);
        let Some(client) = self.clients.get_mut(key) else { return };
        client.ready.note(event);
        if event.broken && !client.exchange.has_shut_client() {
            client.exchange.client_gone();
        }
        self.drive(key);
    }

    /// Goes on where a used-up share interrupted.
    pub(super) fn resume(&mut self, key: ClientKey) {
        self.at_work = Some(key);
        if let Some(client) = self.clients.get_mut(key) {
            client.queued = false;
            self.drive(key);
        }
    }

    pub(super) fn client_deadline(&mut self, key: ClientKey, time: Time) {
        self.at_work = Some(key);
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.scheduled != time {
            return;
        }
        client.scheduled = Time::NEVER;
        let deadline = client.exchange.deadline();
        if deadline > self.env.now {
            if !planted!(DeadlineLost) {
                self.deadlines.schedule(key, deadline, &mut client.scheduled);
            }
        } else {
            client.exchange.expired(&mut self.env);
            self.drive(key);
        }
    }

    /// Does what the exchange wants until it has to wait.
    pub(super) fn drive(&mut self, key: ClientKey) {
        let mut share = SHARE;
        loop {
            match self.drive_sockets(key, &mut share) {
                Step::Wait => return self.note(key),
                Step::Receive(_) | Step::Send(_) => return self.postpone(key),
                Step::Open => self.open_file(key),
                Step::Read => self.read_file(key),
                Step::Count => self.count(key),
                Step::Acquire { same_server, replay_safe } => self.acquire(key, same_server, replay_safe),
                Step::Release { reusable, served } => {
                    if self.release(key, reusable, served) {
                        self.finish(key);
                    }
                }
                Step::Abandon => self.abandon(key),
                Step::Finish => self.finish(key),
                Step::Shutdown(side) => self.shutdown(key, side),
                Step::Close { reset } => return self.close_client(key, reset),
            }
        }
    }

    /// The client has used up its share: it goes on after the others.
    #[cold]
    fn postpone(&mut self, key: ClientKey) {
        self.drive_later(key);
        self.rearm(key);
        self.note(key);
    }

    /// Has a client driven after the others.
    pub(super) fn drive_later(&mut self, key: ClientKey) {
        if let Some(client) = self.clients.get_mut(key).filter(|client| !client.queued) {
            client.queued = true;
            self.ready.push_back(key);
        }
    }

    /// Notes what has become of a client, where the configuration has something that goes by it.
    #[inline]
    fn note(&mut self, key: ClientKey) {
        if self.notes {
            self.restage(key);
            self.note_answer(key);
        }
    }

    /// Whether something is to be noted of clients.
    pub(super) fn renew_notes(&mut self) {
        self.notes =
            self.counts.is_some() || self.pools.values().any(|pool| pool.awaits_heads || pool.learns_at_head);
    }

    /// Receives and sends as the exchange wants until it wants something else, or its share is used up.
    /// Returns the step that is still to be done; where that is to wait, it is known until when.
    fn drive_sockets(&mut self, key: ClientKey, share: &mut isize) -> Step {
        let Some(client) = self.clients.get_mut(key) else { return Step::Wait };
        let upstream = client.upstream.and_then(|key| self.upstreams.get_mut(key));
        let mut upstream = upstream.filter(|up| up.is_connected);
        let (net, env) = (&mut self.net, &mut self.env);
        loop {
            let upstream_ready = upstream.as_ref().map_or(Readiness::default(), |up| up.ready);
            let step = client.exchange.next(Ready {
                client_readable: client.ready.readable,
                client_writable: client.ready.writable,
                upstream_readable: upstream_ready.readable,
                upstream_writable: upstream_ready.writable,
            });
            let side = match step {
                Step::Receive(side) | Step::Send(side) if *share > 0 => side,
                Step::Wait => {
                    let deadline = client.exchange.rearm(env);
                    self.deadlines.schedule(key, deadline, &mut client.scheduled);
                    return step;
                }
                _ => return step,
            };
            let exchange = &mut client.exchange;
            let moved = match (side, &mut upstream) {
                (Side::Client, _) => {
                    let (socket, ready) = (&mut client.socket, &mut client.ready);
                    transfer(step, Side::Client, net, socket, ready, exchange, env)
                }
                (Side::Upstream, Some(up)) => {
                    transfer(step, Side::Upstream, net, &mut up.socket, &mut up.ready, exchange, env)
                }
                (Side::Upstream, None) => unreachable!("an upstream that is not there is not ready"),
            };
            *share -= moved as isize + CALL_BYTES;
        }
    }

    /// Works out what the client waits for now, and until when.
    fn rearm(&mut self, key: ClientKey) {
        if let Some(client) = self.clients.get_mut(key) {
            let deadline = client.exchange.rearm(&self.env);
            self.deadlines.schedule(key, deadline, &mut client.scheduled);
        }
    }

    #[cold]
    fn shutdown(&mut self, key: ClientKey, side: Side) {
        let Some(client) = self.clients.get_mut(key) else { return };
        match side {
            Side::Client => self.net.shutdown(&mut client.socket),
            Side::Upstream => {
                if let Some(up) = client.upstream.and_then(|key| self.upstreams.get_mut(key)) {
                    self.net.shutdown(&mut up.socket);
                }
            }
        }
        client.exchange.shut(side);
    }

    fn finish(&mut self, key: ClientKey) {
        let Some(mut client) = self.clients.get_mut(key) else { return };
        if client.exchange.keeps_record() {
            self.log_request(key);
            let Some(same) = self.clients.get_mut(key) else { return };
            client = same;
        }
        client.has_chosen = false;
        client.exchange.finish(&mut self.env);
    }

    /// Closes a client, and its upstream connection.
    #[cold]
    pub(super) fn close_client(&mut self, key: ClientKey, reset: bool) {
        self.log_request(key);
        self.call_off(key);
        if let Some(mut client) = self.clients.remove(key) {
            self.shared.leave();
            if let Some(counts) = &mut self.counts {
                counts.moves(&mut client.stage, Stage::Waiting);
            }
            client.exchange.dismantle(&mut self.env);
            self.net.close(client.socket, reset);
            // A place is free: accepting need not pause any longer.
            self.accept_after = self.accept_after.min(self.env.now);
            let clients = &self.clients;
            let is_current = |key, time| clients.get(key).is_some_and(|client| client.scheduled == time);
            self.deadlines.prune(clients.len(), is_current);
        }
    }

    /// Closes the clients that are idle and that `wanted` wants closed.
    pub(super) fn close_idle_clients(&mut self, wanted: impl Fn(&Exchange) -> bool) {
        let is_idle = |client: &Client<_, _>| client.exchange.is_idle() && wanted(&client.exchange);
        let idle: Vec<_> = self.clients.iter().filter(|(_, c)| is_idle(c)).map(|(key, _)| key).collect();
        for key in idle {
            self.at_work = Some(key);
            self.close_idle_client(key);
        }
        self.at_work = None;
    }

    /// Closes a client that is idle, unless it has a request.
    fn close_idle_client(&mut self, key: ClientKey) {
        if let Some(client) = self.clients.get_mut(key) {
            // One may have come that no event has told of yet.
            client.ready.readable = true;
            self.drive(key);
        }
        if self.clients.get(key).is_some_and(|client| client.exchange.is_idle()) {
            self.close_client(key, false);
        }
    }

    pub(super) fn close_all(&mut self) {
        let all: Vec<_> = self.clients.iter().map(|(key, c)| (key, c.exchange.is_responding())).collect();
        for (key, reset) in all {
            self.close_client(key, reset);
        }
        self.close_idle_upstreams();
        self.logs.flush();
    }

    /// Writes the lines that the request in hand leaves in logs, if they are due.
    #[cold]
    fn log_request(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if !client.exchange.takes_log_lines() {
            return;
        }
        for log in &client.exchange.place().logs {
            if let Some(condition) = &log.log.condition {
                self.log_line.clear();
                client.exchange.log_text(condition, &self.env, &mut self.log_line);
                if matches!(self.log_line.as_slice(), b"" | b"0") {
                    continue;
                }
            }
            self.log_line.clear();
            client.exchange.log_line(&log.format.line, log.format.escape, &self.env, &mut self.log_line);
            match log.log.path.as_text() {
                Some(path) => self.logs.push(path, &log.log, &self.log_line, self.env.now),
                None => {
                    let mut path = Vec::new();
                    client.exchange.log_text(&log.log.path, &self.env, &mut path);
                    self.logs.push(&path, &log.log, &self.log_line, self.env.now);
                }
            }
        }
    }
}

/// One receive or send, as `step` says. Returns the bytes that moved. Compiled for each side.
#[inline(always)]
fn transfer<N: Net>(
    step: Step,
    side: Side,
    net: &mut N,
    socket: &mut N::Socket,
    ready: &mut Readiness,
    exchange: &mut Exchange,
    env: &mut Env,
) -> usize {
    match step {
        Step::Receive(_) => receive(net, socket, ready, exchange, side, env),
        _ => send(net, socket, ready, exchange, side, env),
    }
}

/// One receive. Returns the bytes that came.
#[inline(always)]
fn receive<N: Net>(
    net: &mut N,
    socket: &mut N::Socket,
    ready: &mut Readiness,
    exchange: &mut Exchange,
    side: Side,
    env: &mut Env,
) -> usize {
    let space = exchange.space(side, env);
    let room = space.len();
    match net.receive(socket, space) {
        Ok(0) => {
            ready.readable = false;
            exchange.nothing_came(side, env);
            exchange.eof(side, env);
            0
        }
        Ok(n) => {
            // A short read has drained the socket; with an end behind it, that is still to be read.
            if (n < room || planted!(LostReadEdge)) && !ready.read_closed {
                ready.readable = false;
            }
            exchange.filled(side, n, env);
            n
        }
        Err(error) => {
            exchange.nothing_came(side, env);
            match error.kind() {
                io::ErrorKind::WouldBlock => ready.readable = false,
                io::ErrorKind::Interrupted => {}
                kind => exchange.failed(side, false, kind),
            }
            0
        }
    }
}

/// One send. Returns the bytes that went.
#[inline(always)]
fn send<N: Net>(
    net: &mut N,
    socket: &mut N::Socket,
    ready: &mut Readiness,
    exchange: &mut Exchange,
    side: Side,
    env: &mut Env,
) -> usize {
    let (first, second) = exchange.outgoing(side);
    let length = first.len() + second.len();
    match net.send(socket, first, second) {
        Ok(n) => {
            ready.writable &= n == length && !planted!(LostWriteEdge);
            exchange.flushed(side, n, env);
            n
        }
        Err(error) => {
            match error.kind() {
                io::ErrorKind::WouldBlock => ready.writable = false,
                io::ErrorKind::Interrupted => {}
                kind => {
                    // What it sent before it closed is to be looked at.
                    ready.readable = true;
                    exchange.failed(side, true, kind);
                }
            }
            0
        }
    }
}
