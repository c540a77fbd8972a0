//! The group: its lines, its two tiers of peers, and the way of a request through them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use slotmap::SlotMap;

use super::PeerKey;
use super::attempt::{Attempt, ClientHash, KeyWalk, Misses, Tier, Walk};
use super::balance::Choice;
use super::change::{Change, Checks, Failures, Label};
use super::health::Opinion;
use super::queue::Queue;
use super::ring::Ring;
use super::server::{Address, Peer};
use super::session::Session;
use super::sessions::Sessions;
use super::timing::Clock;
use crate::chance::Chance;
use crate::config::{Balance, HealthCheck, Host, Server, Upstream};
use crate::key::{Digest, Key, Lesson};
use crate::time::Time;

/// The servers of an upstream, and what is known of them. See the module's page.
#[derive(Debug)]
pub struct Group {
    name: Arc<str>,
    balance: Balance,
    /// Clients keep to their peers, so these have names for them.
    is_sticky: bool,
    /// Where requests name sessions, not peers.
    sessions: Option<Sessions>,
    servers: Vec<Server>,
    names: Vec<Arc<str>>,
    /// Requests in flight by line.
    in_flight: Vec<u32>,
    /// By [`Tier`].
    pub(super) tiers: [Peers; 2],
    /// Where each peer stands. Invariant: `tiers[place.tier].peers[place.index].key` is the key of the place.
    pub(super) places: SlotMap<PeerKey, Place>,
    queue: Queue,
    /// Without points where the method needs none.
    ring: Ring,
    chance: Chance,
    pub(super) checks: Vec<HealthCheck>,
    /// Apart from `chance`, so that checks do not move the choice.
    pub(super) jitter: Chance,
}

/// The peers of a tier, flat and in order, since every choice goes over all of them.
#[derive(Debug, Default)]
pub(super) struct Peers {
    pub(super) peers: Vec<Peer>,
    total_weight: u64,
    /// How many are not `down`: each may be tried once.
    tries: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) tier: Tier,
    pub(super) index: u32,
}

/// What came of a request that went to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, and the answer goes to the client. That includes a status that would count as a failure
    /// but found no try left ([`Attempt::is_last_try`]).
    Served,
    /// The server failed it: refused, reset, timed out, closed early, sent an invalid response, or a status for
    /// which another server is asked.
    Failed,
    /// Not the server's doing: the client went away, or a reused idle connection was dead. Nothing counts but the
    /// end of the request, and the attempt has as many tries as before.
    Neutral,
    /// It was answered with 403 or 404 and another server is asked (nginx's `NGX_PEER_NEXT`): no failure, but tried.
    Next,
}

/// No server is open to the attempt: every one is down, failed, full or tried. The answer is a 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no live server")]
pub struct NoLivePeer;

/// A `server` line that has to be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// The index of the line, for [`Group::resolved`].
    pub server: usize,
    /// The DNS name, of a host or of a service.
    pub host: &'a str,
    /// The port that goes with every address; `None`: it is a service, whose records say it.
    pub port: Option<u16>,
    /// Whether it has an address already.
    pub is_resolved: bool,
}

/// An address that a line's name has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Where it is.
    pub address: SocketAddr,
    /// Its share, at least 1, which counts where the line has no weight of its own but 1; `None`: the line's.
    pub weight: Option<u32>,
    /// It comes behind those of the line that are not.
    pub is_backup: bool,
}

impl<A: Into<SocketAddr>> From<A> for Resolved {
    /// An address of a host, of which nothing else is known.
    fn from(address: A) -> Resolved {
        Resolved { address: address.into(), weight: None, is_backup: false }
    }
}

impl Group {
    /// A group of these lines. Literals and Unix sockets have their peer at once, names after [`Group::resolved`].
    pub fn new(config: &Upstream) -> Group {
        let servers = config.servers.as_slice();
        let mut group = Group {
            name: config.name.as_str().into(),
            balance: config.balance,
            is_sticky: config.sticky.is_some(),
            sessions: config.sticky.as_ref().and_then(|sticky| sticky.learn.as_ref()).map(Sessions::new),
            servers: servers.to_vec(),
            names: servers.iter().map(|server| server.name.as_str().into()).collect(),
            in_flight: vec![0; servers.len()],
            tiers: Default::default(),
            places: SlotMap::with_key(),
            queue: Queue::new(config.queue),
            ring: match config.balance {
                Balance::ConsistentHash => Ring::new(servers),
                _ => Ring::default(),
            },
            chance: Chance::new(0),
            checks: config.checks.clone(),
            jitter: Chance::new(0),
        };
        for (line, server) in servers.iter().enumerate() {
            let address = match &server.host {
                Host::Literal(address) => Address::Inet(*address),
                Host::Unix(path) => Address::Unix(path.as_path().into()),
                Host::Name(..) => continue,
            };
            let peer = group.new_peer(line, address, server.weight);
            group.tiers[tier_of(server) as usize].peers.push(peer);
        }
        group.reindex(Tier::Primary);
        group.reindex(Tier::Backup);
        group
    }

    /// What the configuration calls it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Those who wait for a peer.
    pub fn queue(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// Whether clients keep to its peers.
    pub fn is_sticky(&self) -> bool {
        self.is_sticky
    }

    /// The same group, with this seed for what it leaves to chance. Without it all groups choose alike.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Group {
        self.chance = Chance::new(seed);
        self.jitter = Chance::new(!seed);
        self
    }

    /// Makes `attempt` that of a new request. `client` counts for `ip_hash`; `None` is a client on a Unix socket.
    /// `key` counts for `hash`. `tries` bounds how many servers are asked; 0: each one once, `backup` included
    /// (`proxy_next_upstream_tries`).
    #[inline]
    pub fn begin(&self, attempt: &mut Attempt, client: Option<IpAddr>, key: Key, tries: u32) {
        let all = self.tiers[0].tries + self.tiers[1].tries;
        attempt.restart(if tries == 0 { all } else { all.min(tries) });
        // Each writes no more than its own part.
        match self.balance {
            Balance::RoundRobin => attempt.walk = Walk::RoundRobin,
            Balance::LeastConn => attempt.walk = Walk::LeastConn,
            Balance::IpHash => attempt.walk = Walk::IpHash(ClientHash::new(client)),
            Balance::Hash => attempt.walk = Walk::Hash(KeyWalk::new(key, 0)),
            Balance::ConsistentHash => {
                attempt.walk = Walk::ConsistentHash(KeyWalk::new(key, self.ring.find(key.crc())));
            }
            Balance::Random => attempt.walk = Walk::Random(Misses::default()),
            Balance::RandomTwo => attempt.walk = Walk::RandomTwo(Misses::default()),
            Balance::LeastTime(measure) => attempt.walk = Walk::LeastTime(Clock::new(measure)),
        }
    }

    /// Binds an attempt that has just begun to the peer that the request calls so, or to that of the session it names so.
    pub fn bind(&mut self, attempt: &mut Attempt, name: Option<Digest>, now: Time) {
        attempt.bound_to = match &mut self.sessions {
            Some(sessions) => name.and_then(|session| sessions.peer(session, now)),
            None => name,
        };
    }

    /// A response of `key` has said something of a session.
    pub fn learn(&mut self, key: PeerKey, lesson: Lesson, now: Time) {
        let name = self.peer(key).and_then(|peer| peer.session.as_ref()).map(Session::digest);
        if let (Some(sessions), Some(name)) = (&mut self.sessions, name) {
            sessions.learn(lesson, name, now);
        }
    }

    /// Chooses a peer and counts the request there. Every choice is to be given back by [`Group::release`].
    #[inline(always)]
    pub fn pick(&mut self, attempt: &mut Attempt, now: Time) -> Result<PeerKey, NoLivePeer> {
        loop {
            if let Some(key) = self.pick_in_tier(attempt, now) {
                return Ok(key);
            }
            if attempt.tier == Tier::Backup || self.tiers[Tier::Backup as usize].peers.is_empty() {
                return Err(NoLivePeer);
            }
            attempt.fall_back();
        }
    }

    fn pick_in_tier(&mut self, attempt: &mut Attempt, now: Time) -> Option<PeerKey> {
        let tier = &mut self.tiers[attempt.tier as usize];
        let mut choice = Choice {
            peers: &mut tier.peers,
            total_weight: tier.total_weight,
            in_flight: &self.in_flight,
            tried: &attempt.tried,
            now,
        };
        let bound = attempt.bound_to.and_then(|name| choice.bound(name));
        if let (Some(index), Walk::RoundRobin) = (bound, &attempt.walk) {
            choice.charge(index);
        }
        let index = bound.or_else(|| match &mut attempt.walk {
            Walk::RoundRobin => choice.round_robin(),
            Walk::LeastConn => choice.least_conn(),
            Walk::IpHash(client) => choice.ip_hash(client),
            Walk::Hash(walk) => choice.hash(walk),
            Walk::ConsistentHash(walk) => choice.consistent_hash(&self.ring, walk),
            Walk::Random(misses) => choice.random(&mut self.chance, misses),
            Walk::RandomTwo(misses) => choice.random_two(&mut self.chance, misses),
            Walk::LeastTime(_) => choice.least_time(),
        })?;
        let peer = &mut tier.peers[index];
        peer.chosen(now);
        if let Walk::LeastTime(clock) = &mut attempt.walk {
            clock.start(&mut peer.timing, now);
        }
        self.in_flight[peer.line as usize] += 1;
        Some(peer.key)
    }

    /// The head of the final response to the request that went to `key` is there. Need not be told where it comes
    /// together with the end, or where the attempt does not [want to hear](Attempt::awaits_head) of it.
    pub fn answered(&mut self, key: PeerKey, attempt: &mut Attempt, now: Time) {
        if let (Walk::LeastTime(clock), Some(place)) = (&mut attempt.walk, self.places.get(key)) {
            let peer = &mut self.tiers[place.tier as usize].peers[place.index as usize];
            clock.head_came(&mut peer.timing, now);
        }
    }

    /// The request that went to `key` is over there. Returns what is worth a log line.
    /// The release of a vanished peer changes nothing but the attempt.
    pub fn release(
        &mut self,
        key: PeerKey,
        attempt: &mut Attempt,
        outcome: Outcome,
        now: Time,
    ) -> Option<Change> {
        let is_single = self.is_single();
        if outcome != Outcome::Neutral {
            attempt.tries = if is_single { 0 } else { attempt.tries.saturating_sub(1) };
        }
        let place = *self.places.get(key)?;
        let peer = &mut self.tiers[place.tier as usize].peers[place.index as usize];
        peer.active -= 1;
        self.in_flight[peer.line as usize] -= 1;
        if let Walk::LeastTime(clock) = &mut attempt.walk {
            clock.stop(&mut peer.timing, outcome == Outcome::Served, now);
        }

        let (is_down, is_up) = match outcome {
            Outcome::Neutral => (false, false),
            _ if is_single => (false, peer.forgive()),
            Outcome::Failed => (peer.failed(now), false),
            Outcome::Served | Outcome::Next => (false, peer.succeeded(now)),
        };
        if matches!(outcome, Outcome::Failed | Outcome::Next) {
            attempt.mark_tried(key);
        }
        if is_down {
            let (failures, fail_timeout) = (peer.fails(), peer.fail_timeout());
            let (name, address) = self.label(place);
            Some(Change::Down { name, address, failures, fail_timeout })
        } else if is_up {
            let (name, address) = self.label(place);
            Some(Change::Up { name, address })
        } else {
            None
        }
    }

    /// A peer that still is one.
    pub fn peer(&self, key: PeerKey) -> Option<&Peer> {
        let place = self.places.get(key)?;
        Some(self.peer_at(*place))
    }

    /// All peers: the primary ones in their order, then the backup ones.
    pub fn peers(&self) -> impl Iterator<Item = (PeerKey, &Peer)> {
        self.tiers.iter().flat_map(|tier| &tier.peers).map(|peer| (peer.key, peer))
    }

    /// The lines that are names, resolved or not yet.
    pub fn names(&self) -> impl Iterator<Item = Name<'_>> {
        self.servers.iter().enumerate().filter_map(|(line, server)| match &server.host {
            Host::Name(host, port) => {
                let is_resolved = self.places_of(line).next().is_some();
                Some(match &server.service {
                    Some(service) => Name { server: line, host: service, port: None, is_resolved },
                    None => Name { server: line, host, port: Some(*port), is_resolved },
                })
            }
            Host::Literal(_) | Host::Unix(_) => None,
        })
    }

    /// The name in line `server` has these addresses now. Whoever resolves keeps the last ones on a failure by not
    /// calling this; no address leaves the line without peers.
    ///
    /// An address that stays keeps its peer. A new one takes over the standing of one that is gone, if there is one,
    /// and else starts afresh; the keys of the gone ones are stale. Nothing happens where the line is not a name.
    ///
    /// # Panics
    ///
    /// Where there is no line `server`.
    pub fn resolved(&mut self, server: usize, found: &[Resolved]) -> Vec<Change> {
        let line = &self.servers[server];
        if !matches!(line.host, Host::Name(..)) {
            return Vec::new();
        }
        let (own_tier, own_weight) = (tier_of(line), line.weight);
        let tier = |found: &Resolved| if found.is_backup { Tier::Backup } else { own_tier };
        let weight = |found: &Resolved| found.weight.filter(|_| own_weight == 1).unwrap_or(own_weight);

        let mut found = found.to_vec();
        // Behind a line that is `backup` itself there is nothing.
        found.retain(|found| own_tier == Tier::Primary || !found.is_backup);
        found.sort_by_key(|found| (found.address, found.is_backup));
        // Several names of one server are as many shares.
        found.dedup_by(|more, kept| {
            let is_same = more.address == kept.address;
            let adds = is_same && more.is_backup == kept.is_backup;
            if let (true, Some(share), Some(more)) = (adds, &mut kept.weight, more.weight) {
                *share = share.saturating_add(more);
            }
            is_same
        });

        let mut old: Vec<Peer> = Vec::new();
        for tier in Tier::ALL {
            let range = self.range(tier, server);
            old.extend(self.tiers[tier as usize].peers.drain(range));
        }
        let is_found = |peer: &Peer| inet(peer).is_some_and(|a| found.iter().any(|found| found.address == a));
        let (mut kept, gone): (Vec<Peer>, Vec<Peer>) = old.into_iter().partition(is_found);
        let mut heirs = gone.iter();
        let (mut added, mut shares_change) = (Vec::new(), false);
        for found in &found {
            let peer = match kept.iter().position(|peer| inet(peer) == Some(found.address)) {
                Some(index) => {
                    let mut peer = kept.swap_remove(index);
                    let was = (peer.weight, self.places[peer.key].tier);
                    shares_change |= was != (weight(found), tier(found));
                    peer.reweigh(weight(found));
                    peer
                }
                None => {
                    added.push(found.address);
                    let mut peer = self.new_peer(server, Address::Inet(found.address), weight(found));
                    if let Some(gone) = heirs.next() {
                        let was = (gone.weight, self.places[gone.key].tier);
                        shares_change |= was != (peer.weight, tier(found));
                        peer.inherit(gone);
                    }
                    peer
                }
            };
            // In the order of their addresses, as they come here.
            let tier = tier(found);
            let end = self.range(tier, server).end;
            self.tiers[tier as usize].peers.insert(end, peer);
        }
        for peer in &gone {
            self.places.remove(peer.key);
            // Their requests end unnoticed, so they stop counting here.
            self.in_flight[server] -= peer.active;
        }
        Tier::ALL.into_iter().for_each(|tier| self.reindex(tier));
        if shares_change {
            // Turns that were run up with other shares would have one wait for as many.
            self.tiers.iter_mut().flat_map(|tier| &mut tier.peers).for_each(Peer::forget_turns);
        }

        let mut changes = Vec::new();
        if !added.is_empty() || !gone.is_empty() {
            let removed = gone.iter().filter_map(inet).collect();
            changes.push(Change::Address { name: self.names[server].clone(), added, removed });
        }
        if self.is_single() && self.tiers[0].peers[0].forgive() {
            let (name, address) = self.label(Place { tier: Tier::Primary, index: 0 });
            changes.push(Change::Up { name, address });
        }
        changes
    }

    /// Takes over what `old` knows of the servers that are in both: those are the lines of the same name. It
    /// is the failures, what checks think of them, and for a name its addresses, so that no request has to wait for the resolver. Turns, and
    /// requests in flight, begin anew: those of `old` end there.
    ///
    /// To be called before the first request.
    pub fn inherit(&mut self, old: &Group) {
        for line in 0..self.servers.len() {
            let server = &self.servers[line];
            let is_same = |old: &Server| old.name == server.name && old.service == server.service;
            let Some(old_line) = old.servers.iter().position(is_same) else { continue };
            let is_service = server.service.is_some();
            let old_tier = tier_of(&old.servers[old_line]);
            let known: Vec<(Tier, &Peer)> =
                old.places_of(old_line).map(|place| (place.tier, old.peer_at(place))).collect();
            let resolved = known.iter().filter_map(|(tier, peer)| {
                Some(Resolved {
                    address: inet(peer)?,
                    weight: is_service.then_some(peer.weight),
                    is_backup: *tier != old_tier,
                })
            });
            let resolved: Vec<Resolved> = resolved.collect();
            self.resolved(line, &resolved);
            let places: Vec<Place> = self.places_of(line).collect();
            for Place { tier, index } in places {
                let peer = &mut self.tiers[tier as usize].peers[index as usize];
                if let Some((_, old)) = known.iter().find(|(_, old)| old.address() == peer.address()) {
                    peer.remember(&self.checks, old);
                }
            }
        }
        if self.is_single() {
            self.tiers[0].peers[0].forgive();
        }
    }

    /// Each server's state in one line, for the log line of a request that found none:
    /// `app1:5000 down (3 failures, next try in 7s), app2:5000 not resolved`.
    pub fn servers_state(&self, now: Time) -> String {
        let mut states = Vec::new();
        for (line, server) in self.servers.iter().enumerate() {
            if self.places_of(line).next().is_none() {
                states.push(format!("{} not resolved", server.name));
            }
            for place in self.places_of(line) {
                let (name, address) = self.label(place);
                let state = self.state(self.peer_at(place), now);
                states.push(format!("{} {state}", Label(&name, &address)));
            }
        }
        states.join(", ")
    }

    fn state(&self, peer: &Peer, now: Time) -> String {
        if peer.is_draining() {
            return format!("draining ({} in flight)", peer.active());
        }
        if peer.is_down() {
            return "down by configuration".to_owned();
        }
        match peer.health.opinion() {
            Opinion::Unhealthy => {
                return format!("unhealthy ({} failed)", Checks(peer.health.failed_in_a_row()));
            }
            Opinion::Unchecked => return "not checked yet".to_owned(),
            Opinion::Healthy => {}
        }
        if peer.is_failed() {
            // Rounded up: "in 0s" would say the next request goes there.
            let next_try = match peer.rest(now).as_nanos().div_ceil(1_000_000_000) {
                0 => "now".to_owned(),
                seconds => format!("in {seconds}s"),
            };
            return format!("down ({}, next try {next_try})", Failures(peer.fails()));
        }
        if peer.is_full(&self.in_flight) {
            return format!("full ({} in flight)", self.in_flight[peer.server()]);
        }
        "up".to_owned()
    }

    /// Whether there is only one peer, which then is never counted against.
    fn is_single(&self) -> bool {
        self.tiers[0].peers.len() == 1 && self.tiers[1].peers.is_empty()
    }

    fn new_peer(&mut self, line: usize, address: Address, weight: u32) -> Peer {
        let server = &self.servers[line];
        // The index is set by `reindex`, which follows every change of a tier.
        let key = self.places.insert(Place { tier: tier_of(server), index: 0 });
        let mut peer = Peer::new(key, line as u32, server, self.names[line].clone(), address, &self.checks);
        peer.reweigh(weight);
        if self.is_sticky {
            peer.session = Some(Session::new(server, peer.address_text()));
        }
        peer
    }

    fn reindex(&mut self, tier: Tier) {
        let peers = &mut self.tiers[tier as usize];
        peers.total_weight = peers.peers.iter().map(|peer| u64::from(peer.weight)).sum();
        peers.tries = peers.peers.iter().filter(|peer| !peer.is_down()).count() as u32;
        for (index, peer) in peers.peers.iter().enumerate() {
            self.places[peer.key] = Place { tier, index: index as u32 };
        }
    }

    /// Where the peers of a line stand in a tier; an empty range stands where they would.
    fn range(&self, tier: Tier, line: usize) -> std::ops::Range<usize> {
        let peers = &self.tiers[tier as usize].peers;
        let start = peers.partition_point(|peer| peer.server() < line);
        let end = peers.partition_point(|peer| peer.server() <= line);
        start..end
    }

    /// Where the peers of a line stand.
    fn places_of(&self, line: usize) -> impl Iterator<Item = Place> {
        let in_tier =
            move |tier| self.range(tier, line).map(move |index| Place { tier, index: index as u32 });
        Tier::ALL.into_iter().flat_map(in_tier)
    }

    fn peer_at(&self, place: Place) -> &Peer {
        &self.tiers[place.tier as usize].peers[place.index as usize]
    }

    /// How a peer is called: by its line, and by its address where the line has several.
    pub(super) fn label(&self, place: Place) -> (Arc<str>, Option<Address>) {
        let peer = self.peer_at(place);
        let has_siblings = self.places_of(peer.server()).nth(1).is_some();
        (peer.name().clone(), has_siblings.then(|| peer.address().clone()))
    }
}

fn tier_of(server: &Server) -> Tier {
    if server.backup { Tier::Backup } else { Tier::Primary }
}

fn inet(peer: &Peer) -> Option<SocketAddr> {
    match peer.address() {
        Address::Inet(address) => Some(*address),
        Address::Unix(_) => None,
    }
}
