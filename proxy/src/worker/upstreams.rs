//! Upstream connections: acquiring one for a request, pooling it, parting with it.

use slotmap::SlotMap;

use super::Worker;
use super::clients::{Chosen, Client, Readiness};
use super::complaints::{Stage, complain};
use super::generation::SharedGroup;
use super::local::{is_local, is_short, remedy};
use super::net::{ClientKey, Event, Net, Target, Token, UpstreamKey};
use super::pool::{Pool, Pools};
use super::queue::{Waiting, waiter};
use super::resolver::Unresolved;
use super::shared::Suspect;
use crate::config::Host;
use crate::exchange::{Failure, Sequel};
use crate::ids::GroupId;
use crate::time::{Duration, Time};
use crate::upstream::{Group, Idle, Outcome, PeerKey, Waiter};

/// An upstream connection.
pub(super) struct Upstream<S> {
    pub(super) socket: S,
    pub(super) is_connected: bool,
    pub(super) ready: Readiness,
    /// Whom it serves; `None` while it is idle.
    pub(super) client: Option<ClientKey>,
    /// The group that its server is in.
    group: GroupId,
    peer: PeerKey,
    /// Requests that it was taken for, this one included.
    requests: u64,
    /// After this it takes no further request.
    retires: Time,
}

impl<N: Net> Worker<N> {
    /// Takes in what an event says, before any request of its batch is driven: so that none is sent on a
    /// connection that is known to be spoilt.
    pub(super) fn upstream_changed(&mut self, key: UpstreamKey, event: &Event) {
        let Some(up) = self.upstreams.get_mut(key) else { return };
        up.ready.note(event);
        // Nothing is expected of an idle connection: bytes, an end or an error all spoil it.
        if up.client.is_none() && event.readable && !planted!(UnaskedResponse) {
            self.pools[up.group].idle.remove(up.peer, key);
            self.close_upstream(key);
        }
    }

    /// Goes on with the client of a connection that has changed.
    pub(super) fn upstream_event(&mut self, key: UpstreamKey, event: &Event) {
        let Some(up) = self.upstreams.get_mut(key) else { return };
        self.at_work = up.client;
        let Some(client) = up.client else { return };
        if up.is_connected || self.has_connected(key, client, event) {
            self.drive(client);
        }
    }

    /// Takes in that a connection has been opened, or could not be. False where neither is known yet.
    #[cold]
    fn has_connected(&mut self, key: UpstreamKey, client: ClientKey, event: &Event) -> bool {
        let Some(up) = self.upstreams.get_mut(key) else { return false };
        let Some(client) = self.clients.get_mut(client) else { return false };
        if event.writable || event.broken {
            up.is_connected = true;
            match self.net.connected(&mut up.socket) {
                Ok(()) => client.exchange.acquired(false, self.env.now),
                Err(error) => client.exchange.connect_failed(Failure::Connect(error.kind())),
            }
        }
        up.is_connected
    }

    /// Chooses a server for the client's request, unless the one it has is to be kept, and takes an idle
    /// connection to it or opens one.
    pub(super) fn acquire(&mut self, key: ClientKey, same_server: bool, replay_safe: bool) {
        let Some(mut client) = self.clients.get_mut(key) else { return };
        let group =
            if same_server { client.chosen.map(|chosen| chosen.group) } else { client.exchange.upstream() };
        let Some((group, mut pool)) = group.and_then(|group| Some((group, self.pools.get_mut(group)?)))
        else {
            return self.without_group(key);
        };
        if !same_server {
            debug_assert!(client.chosen.is_none() && client.upstream.is_none(), "one is parted with first");
            match choose(client, pool, group, waiter(self.number, key), self.env.now) {
                Choice::Server if client.waiting.is_none() => {}
                Choice::Server => {
                    self.leave_queue(key);
                    let same = (self.clients.get_mut(key), self.pools.get_mut(group));
                    let (Some(same_client), Some(same_pool)) = same else { return };
                    (client, pool) = (same_client, same_pool);
                }
                Choice::Wait => return,
                Choice::None => {
                    self.leave_queue(key);
                    return self.no_live_server(key);
                }
            }
        }
        let Some(chosen) = client.chosen else { return };
        // The youngest is the likeliest to live. Where a pooled connection was dead already, whatever else is
        // pooled may be as dead.
        // One that is to come from a certain address is always new.
        let is_new = same_server || client.exchange.local().is_some();
        while let Some(up_key) = if is_new { None } else { pool.idle.take(chosen.peer) } {
            let up = &mut self.upstreams[up_key];
            // A request that must not be sent twice deserves a look: the server may have closed the connection,
            // or sent something, just now.
            if replay_safe || !self.net.has_input(&mut up.socket) {
                up.client = Some(key);
                up.requests += 1;
                client.upstream = Some(up_key);
                return client.exchange.acquired(true, self.env.now);
            }
            close(&mut self.net, &mut self.upstreams, up_key);
        }
        self.connect(key, chosen);
    }

    #[cold]
    pub(super) fn connect(&mut self, key: ClientKey, chosen: Chosen) {
        let mut connection = self.open(key, chosen);
        if connection.as_ref().is_err_and(is_short) && self.give_up_idle(0) {
            connection = self.open(key, chosen);
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        client.exchange.connecting();
        match connection {
            Ok(up) => client.upstream = Some(up),
            Err(error) if is_local(&error) => {
                client.exchange.connect_failed(Failure::Local(error.kind()));
                self.say_local(key, chosen, &error);
            }
            Err(error) => client.exchange.connect_failed(Failure::Connect(error.kind())),
        }
    }

    fn say_local(&mut self, key: ClientKey, chosen: Chosen, error: &std::io::Error) {
        let Some(client) = self.clients.get(key).filter(|_| self.connect_failed.is_due(self.env.now)) else {
            return;
        };
        let group = group_of(client, &self.pools, chosen.group);
        // Not locked while the line is written.
        let to = group.and_then(|group| Some(group.lock().peer(chosen.peer)?.address_text().clone()));
        let (to, from) = (to.as_deref().unwrap_or("a server"), client.exchange.local());
        let from = from.map(|from| format!(" from {}", from.ip())).unwrap_or_default();
        let remedy = remedy(error, &self.generation.config.process);
        log::error!("no connection to {to} could be opened{from}: {error}{remedy}");
    }

    /// Opens a connection to the chosen server for a client.
    fn open(&mut self, key: ClientKey, chosen: Chosen) -> std::io::Result<UpstreamKey> {
        let Chosen { group, peer } = chosen;
        let shared = self.clients.get(key).and_then(|client| group_of(client, &self.pools, group));
        let shared = shared.ok_or(std::io::ErrorKind::NotFound)?;
        let address = shared.lock().peer(peer).map(|peer| peer.address().clone());
        // Without an address, the name has moved in this very moment.
        let address = address.ok_or(std::io::ErrorKind::NotFound)?;
        let from = self.clients.get(key).and_then(|client| client.exchange.local());
        let mut socket = self.net.connect(&address, from)?;
        // What is not kept retires at once.
        let retires = match (self.pools.get(group), from) {
            (Some(pool), None) => pool.retires(self.env.now),
            (Some(_), Some(_)) => Time::ZERO,
            (None, _) => self.env.now,
        };
        let net = &mut self.net;
        self.upstreams.try_insert_with_key(|up| {
            net.register(&mut socket, Token::from(Target::Upstream(up)))?;
            let client = Some(key);
            let ready = Readiness::default();
            Ok(Upstream { socket, is_connected: false, ready, client, group, peer, requests: 1, retires })
        })
    }

    /// Closes the connection idle for longest, for want of its descriptor, unless only `kept` are left.
    /// Says whether it did.
    pub(super) fn give_up_idle(&mut self, kept: usize) -> bool {
        let all: usize = self.pools.values().map(|pool| pool.idle.len()).sum();
        let oldest = self.pools.values_mut().min_by_key(|pool| pool.expires()).filter(|_| all > kept);
        let oldest = oldest.and_then(|pool| pool.idle.take_expired(Time::NEVER));
        if let Some(key) = oldest {
            self.close_upstream(key);
        }
        oldest.is_some()
    }

    /// The request goes to no group, or to one that is there no more.
    #[cold]
    fn without_group(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get(key) else { return };
        match (client.exchange.upstream(), client.exchange.destination()) {
            (None, Some(_)) => self.set_out(key),
            _ => self.no_live_server(key),
        }
    }

    #[cold]
    fn no_live_server(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if let Some(group) = client.exchange.upstream()
            && self.no_live_server.is_due(self.env.now)
        {
            match self.pools.get(group) {
                Some(pool) => {
                    log::error!("no live server: {}", pool.group.lock().servers_state(self.env.now));
                }
                None => log::error!("no live server: the group is gone"),
            }
        }
        // nginx's word for it: the group stands where a server would.
        if let Some(group) = client.exchange.upstream()
            && let Some(pool) = self.pools.get(group)
            && let Some(record) = client.exchange.record()
        {
            let name = pool.group.lock().name().clone();
            record.tried(name.clone(), name, self.env.now);
        }
        client.exchange.unavailable(&mut self.env);
    }

    /// Tells the group that the head of a response is there, where it goes by that.
    #[cold]
    pub(super) fn note_answer(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(chosen) = client.chosen.filter(|_| client.exchange.has_head()) else { return };
        // A group of the request's own goes by nothing of the kind.
        let Some(pool) = self.pools.get(chosen.group) else { return };
        if client.attempt.awaits_head() {
            pool.group.lock().answered(chosen.peer, &mut client.attempt, self.env.now);
        }
        if let Some(lesson) = pool.learns_at_head.then(|| client.exchange.take_lesson()).flatten() {
            pool.group.lock().learn(chosen.peer, lesson, self.env.now);
        }
    }

    /// Parts with the upstream connection in peace: pools it or closes it. Says whether the request is over
    /// with it.
    pub(super) fn release(&mut self, key: ClientKey, reusable: bool, served: bool) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return false };
        let mut pool = client.chosen.and_then(|chosen| self.pools.get_mut(chosen.group));
        if let Some(up_key) = client.upstream.take() {
            let up = &mut self.upstreams[up_key];
            // The last read may have ended where the bytes did, without saying so.
            let silent = !up.ready.readable || !self.net.has_input(&mut up.socket);
            let keeper = pool.as_deref_mut().filter(|pool| {
                let spent = up.requests >= pool.requests_max || up.retires < self.env.now;
                let clean = reusable && silent && !up.ready.read_closed && !spent;
                (clean || (planted!(PooledUnclean) && up.is_connected)) && !self.env.draining
            });
            let closed = match keeper {
                Some(pool) => {
                    up.ready.readable = false;
                    up.client = None;
                    // It may be taken again long before: then that is found when it comes up, as with deadlines.
                    self.idle_due = self.idle_due.min(self.env.now + pool.idle_timeout);
                    pool.idle.put(up.peer, up_key, self.env.now)
                }
                None => Some(up_key),
            };
            if let Some(closed) = closed {
                close(&mut self.net, &mut self.upstreams, closed);
            }
        }
        client.exchange.released(&mut self.env);
        let outcome = if served { Outcome::Served } else { Outcome::Neutral };
        let next = account(client, pool.as_deref(), self.env.now, outcome, "");
        let is_over = client.exchange.is_over();
        self.call(next);
        is_over
    }

    /// Closes an upstream connection that failed; the exchange decides how the request goes on.
    #[cold]
    pub(super) fn abandon(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(failure) = client.exchange.failure() else { return };
        let (stale, stage) = (client.exchange.is_stale(failure), Stage::of(client));
        let logs_tries = self.generation.config.process.logs_tries;
        if (logs_tries && !stale)
            || (failure == Failure::HeadTooLarge && self.head_too_large.is_due(self.env.now))
        {
            complain(client, &self.pools, failure, stage);
        }
        if let Some(up) = client.upstream.take() {
            close(&mut self.net, &mut self.upstreams, up);
        }
        if failure == Failure::ResolveTimeout
            && self.unresolved.is_due(self.env.now)
            && let Some((_, Host::Name(host, _))) = client.exchange.destination()
        {
            log::error!("{host} could not be resolved ({})", Unresolved::TimedOut);
        }
        let sequel = client.exchange.abandoned(failure, &mut self.env);
        self.shared.count(sequel);
        // One that is sent again over a new connection has not failed yet.
        if logs_tries && stale && sequel != Sequel::Renewed {
            complain(client, &self.pools, failure, stage);
        }
        if client.exchange.keeps_server() {
            return;
        }
        let outcome = match failure {
            // The server has answered; how the tunnel then ends is a matter between it and the client.
            _ if client.exchange.is_tunnel() => Outcome::Served,
            Failure::Status(403 | 404) => Outcome::Next,
            Failure::Intercepted(_) => Outcome::Served,
            failure if failure.blames_server(stale) => Outcome::Failed,
            _ => Outcome::Neutral,
        };
        let pool = client.chosen.and_then(|chosen| self.pools.get(chosen.group));
        let unreached = matches!(failure, Failure::Connect(_) | Failure::ConnectTimeout);
        if let (true, Some(Chosen { group, peer })) = (unreached, client.chosen) {
            let server = pool.and_then(|pool| Some(pool.group.lock().peer(peer)?.server()));
            if let Some(server) = server {
                self.shared.suspect(Suspect { group, server });
            }
        }
        let next = account(client, pool, self.env.now, outcome, &failure.cause());
        self.call(next);
    }

    /// The client goes away: closes the upstream connection, for which the server is not to blame.
    #[cold]
    pub(super) fn call_off(&mut self, key: ClientKey) {
        self.leave_queue(key);
        let Some(client) = self.clients.get_mut(key) else { return };
        if planted!(LeakedActive) {
            client.chosen = None;
        }
        let served = client.exchange.was_answered();
        if let Some(up) = client.upstream.take() {
            close(&mut self.net, &mut self.upstreams, up);
        }
        let outcome = if served { Outcome::Served } else { Outcome::Neutral };
        let pool = client.chosen.and_then(|chosen| self.pools.get(chosen.group));
        let next = account(client, pool, self.env.now, outcome, "");
        self.call(next);
    }

    pub(super) fn close_upstream(&mut self, key: UpstreamKey) {
        close(&mut self.net, &mut self.upstreams, key);
    }

    pub(super) fn expire_idle(&mut self) {
        if self.idle_due > self.env.now {
            return;
        }
        for pool in self.pools.values_mut() {
            while pool.expires() <= self.env.now {
                if let Some(key) = pool.idle.take_expired(Time::NEVER) {
                    close(&mut self.net, &mut self.upstreams, key);
                }
            }
        }
        self.idle_due = self.pools.values().map(Pool::expires).min().unwrap_or(Time::NEVER);
    }

    pub(super) fn close_idle_upstreams(&mut self) {
        for pool in self.pools.values_mut() {
            close_pooled(&mut self.net, &mut self.upstreams, &mut pool.idle);
        }
    }
}

/// What came of choosing.
enum Choice {
    Server,
    /// The request waits for one.
    Wait,
    None,
}

/// Chooses a server for the client, who is called `me` where it has to wait for one.
fn choose<S, F>(client: &mut Client<S, F>, pool: &Pool, id: GroupId, me: Waiter, now: Time) -> Choice {
    let mut group = pool.group.lock();
    if let Some(timeout) = pool.queue_timeout {
        return choose_or_wait(client, &mut group, id, me, timeout, now);
    }
    if choose_from(client, &mut group, id, now).is_some() { Choice::Server } else { Choice::None }
}

/// The same where the request may wait, unless it has been at a server.
#[cold]
fn choose_or_wait<S, F>(
    client: &mut Client<S, F>,
    group: &mut Group,
    id: GroupId,
    me: Waiter,
    timeout: Duration,
    now: Time,
) -> Choice {
    // Who waits chooses anew.
    client.has_chosen &= client.waiting.is_none();
    let may_wait = !client.has_chosen || client.exchange.starts_anew();
    let is_behind = may_wait && group.queue().is_behind(me);
    if !is_behind && choose_from(client, group, id, now).is_some() {
        return Choice::Server;
    }
    let until = client.waiting.map_or(now + timeout, |waiting| waiting.until);
    if may_wait && now < until && group.queue().join(me) {
        client.waiting = Some(Waiting { group: id, until });
        client.exchange.queued(until);
        return Choice::Wait;
    }
    Choice::None
}

/// Chooses a server of this group. Inlined where each request comes by.
#[inline(always)]
pub(super) fn choose_from<S, F>(
    client: &mut Client<S, F>,
    group: &mut Group,
    id: GroupId,
    now: Time,
) -> Option<Chosen> {
    if !client.has_chosen || client.exchange.starts_anew() {
        client.exchange.has_started_anew();
        client.has_chosen = true;
        group.begin(
            &mut client.attempt,
            client.exchange.client(),
            client.exchange.key(),
            client.exchange.place().tries(),
        );
        if group.is_sticky() {
            group.bind(&mut client.attempt, client.exchange.session(), now);
        }
    }
    let peer = group.pick(&mut client.attempt, now).ok();
    if group.is_sticky() {
        let session = peer.and_then(|key| group.peer(key)?.session().cloned());
        client.exchange.is_bound_to(session);
    }
    if let Some(record) = client.exchange.record()
        && let Some(peer) = peer.and_then(|key| group.peer(key))
    {
        record.tried(peer.name().clone(), peer.address_text().clone(), now);
    }
    client.chosen = peer.map(|peer| Chosen { group: id, peer });
    client.exchange.chosen(!client.attempt.is_last_try());
    client.chosen
}

/// The group that a client's server was chosen from: one of the configuration's, or the request's own.
pub(super) fn group_of<'a, S, F>(
    client: &'a Client<S, F>,
    pools: &'a Pools,
    id: GroupId,
) -> Option<&'a SharedGroup> {
    pools.get(id).map(|pool| &pool.group).or(client.own.as_ref())
}

/// Tells the group, which is that of `pool`, how the chosen server did, and logs what that changes. Gives the first of
/// those who wait for a server.
#[inline(always)]
fn account<S, F>(
    client: &mut Client<S, F>,
    pool: Option<&Pool>,
    now: Time,
    outcome: Outcome,
    cause: &str,
) -> Option<Waiter> {
    let chosen = client.chosen.take()?;
    if let Some(record) = client.exchange.record() {
        record.parted(now);
    }
    let Some(pool) = pool else {
        account_own(client, chosen.peer, now, outcome);
        return None;
    };
    let mut group = pool.group.lock();
    if group.is_sticky()
        && outcome == Outcome::Served
        && let Some(lesson) = client.exchange.take_lesson()
    {
        group.learn(chosen.peer, lesson, now);
    }
    let change = group.release(chosen.peer, &mut client.attempt, outcome, now);
    let next = pool.queue_timeout.and_then(|_| group.queue().first());
    drop(group);
    if let Some(change) = change {
        log::warn!("{}", change.line(cause));
    }
    next
}

/// The same for a server of the request's own. What changes for it ends with the request, so that it is not said.
#[cold]
fn account_own<S, F>(client: &mut Client<S, F>, peer: PeerKey, now: Time, outcome: Outcome) {
    if let Some(own) = &client.own {
        own.lock().release(peer, &mut client.attempt, outcome, now);
    }
}

fn close<N: Net>(net: &mut N, upstreams: &mut SlotMap<UpstreamKey, Upstream<N::Socket>>, key: UpstreamKey) {
    if let Some(up) = upstreams.remove(key) {
        net.close(up.socket, false);
    }
}

/// Closes all connections of a pool.
pub(super) fn close_pooled<N: Net>(
    net: &mut N,
    upstreams: &mut SlotMap<UpstreamKey, Upstream<N::Socket>>,
    idle: &mut Idle<UpstreamKey>,
) {
    for key in idle.drain() {
        close(net, upstreams, key);
    }
}
