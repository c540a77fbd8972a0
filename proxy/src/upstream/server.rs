//! One peer: where it is, its share, what is in flight to it, and what its failures mean.
//!
//! All that changes a peer's standing is here: [`Peer::chosen`], [`Peer::failed`], [`Peer::succeeded`], [`Peer::checked`],
//! and [`Peer::eligible`] and [`Peer::share`] that read it. The theory is in the module's page.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::PeerKey;
use super::health::{Checked, Health, Opinion};
use super::session::Session;
use super::timing::Timing;
use crate::config::{HealthCheck, Server};
use crate::key::Digest;
use crate::time::{Duration, Time};

/// Where a peer is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP over IPv4 or IPv6.
    Inet(SocketAddr),
    /// A Unix stream socket.
    Unix(Arc<Path>),
}

impl fmt::Display for Address {
    /// As nginx writes it: `10.0.0.3:5000`, `[::1]:5000`, `unix:/run/app.sock`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Inet(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One address of a `server` line.
#[derive(Debug)]
pub struct Peer {
    pub(super) key: PeerKey,
    /// The index of its `server` line.
    pub(super) line: u32,
    /// Requests in flight. Invariant: the sum over a line's peers is that line's entry in the group's `in_flight`.
    pub(super) active: u32,
    pub(super) weight: u32,
    /// The weight less what failures took; grows back by 1 with each choice it takes part in. 0 to `weight`.
    pub(super) effective_weight: u32,
    /// The credit of the smooth round robin, in the units of [`Peer::share`].
    pub(super) current_weight: i64,
    /// Untouched by other methods than `least_time`.
    pub(super) timing: Timing,
    max_fails: u32,
    /// Failures so far. Invariant: 0 where this is the only peer of its group.
    fails: u32,
    fail_timeout_ns: u64,
    /// When it last failed.
    accessed: Time,
    /// When it last failed, or was chosen after `fail_timeout` without either.
    checked: Time,
    max_conns: u32,
    /// It is not chosen by a method.
    down: bool,
    /// It is chosen for those who are bound to it all the same.
    drain: bool,
    pub(super) health: Health,
    /// No request may go to it, whatever came of others. Invariant: it is `down`, or its checks think so.
    is_out: bool,
    /// Where its group binds clients.
    pub(super) session: Option<Session>,
    slow_start_ns: u64,
    /// When its share has grown to what its weight says.
    grown: Time,
    name: Arc<str>,
    address: Address,
    address_text: Arc<str>,
}

impl Peer {
    pub(super) fn new(
        key: PeerKey,
        line: u32,
        server: &Server,
        name: Arc<str>,
        address: Address,
        checks: &[HealthCheck],
    ) -> Peer {
        let mut peer = Peer {
            key,
            line,
            active: 0,
            weight: server.weight,
            effective_weight: server.weight,
            current_weight: 0,
            timing: Timing::default(),
            max_fails: server.max_fails,
            fails: 0,
            fail_timeout_ns: u64::try_from(server.fail_timeout.as_nanos()).unwrap_or(u64::MAX),
            accessed: Time::ZERO,
            checked: Time::ZERO,
            max_conns: server.max_conns,
            down: server.down || server.drain,
            drain: server.drain && !server.down,
            health: Health::new(checks),
            is_out: false,
            session: None,
            slow_start_ns: u64::try_from(server.slow_start.as_nanos()).unwrap_or(u64::MAX),
            grown: Time::ZERO,
            address_text: address.to_string().into(),
            name,
            address,
        };
        peer.update();
        peer
    }

    /// Where to connect, as text.
    pub fn address_text(&self) -> &Arc<str> {
        &self.address_text
    }

    /// Where to connect.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its `server` line as written: `app1:5000`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The index of its `server` line.
    pub fn server(&self) -> usize {
        self.line as usize
    }

    /// What clients that keep to it call it; `None` where its group has no such clients.
    pub fn session(&self) -> Option<&Arc<str>> {
        self.session.as_ref().map(Session::text)
    }

    /// Requests in flight to it, over all workers.
    pub fn active(&self) -> u32 {
        self.active
    }

    /// Failures that count against it now.
    pub fn fails(&self) -> u32 {
        self.fails
    }

    /// Whether its line says `down` or `drain`.
    pub fn is_down(&self) -> bool {
        self.down
    }

    /// Whether its line says `drain`.
    pub fn is_draining(&self) -> bool {
        self.drain
    }

    /// Whether anybody may ever come to it, so that its health matters.
    pub(super) fn is_of_use(&self) -> bool {
        !self.down || self.drain
    }

    /// What `weight`, which is its own or its effective one, is worth now, in units of 1/1024: all of it, but for the
    /// time of `slow_start` after it came back a part that grows with that time.
    #[inline]
    pub(super) fn share(&self, weight: u32, now: Time) -> u64 {
        let whole = u64::from(weight) << 10;
        if now >= self.grown { whole } else { self.part(whole, now) }
    }

    /// Never nothing, so that loads can be compared.
    #[cold]
    fn part(&self, whole: u64, now: Time) -> u64 {
        let left = self.grown.as_nanos() - now.as_nanos();
        let gone = u128::from(self.slow_start_ns.saturating_sub(left));
        let part = u128::from(whole) * gone / u128::from(self.slow_start_ns);
        u64::try_from(part).unwrap_or(whole).max(1)
    }

    /// How long it may take to be through with its requests and one more, in milliseconds. Its response time counts half
    /// for each `fail_timeout` in which it was not asked, so that one that was slow gets another chance.
    pub(super) fn outlook_ms(&self, now: Time) -> u64 {
        let halvings = match now.as_nanos().saturating_sub(self.checked.as_nanos()) {
            unasked if unasked > self.fail_timeout_ns => unasked / self.fail_timeout_ns.saturating_add(1),
            _ => 0,
        };
        self.timing.outlook_ms(u32::try_from(halvings).unwrap_or(u32::MAX)) * (1 + u64::from(self.active))
    }

    /// Whether it failed `max_fails` times: it gets no request but one each `fail_timeout`.
    pub fn is_failed(&self) -> bool {
        self.max_fails != 0 && self.fails >= self.max_fails
    }

    /// How long a failed peer is still left alone; zero where the next request may try it.
    pub fn rest(&self, now: Time) -> Duration {
        if !self.is_failed() {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.fail_timeout_ns).saturating_sub(now.since(self.checked))
    }

    /// Its `fail_timeout`.
    pub fn fail_timeout(&self) -> Duration {
        Duration::from_nanos(self.fail_timeout_ns)
    }

    /// Whether a request may go to it; `in_flight` counts each line's requests.
    pub(super) fn eligible(&self, in_flight: &[u32], now: Time) -> bool {
        !self.is_out && self.is_able(in_flight, now)
    }

    /// The same for one that is bound to it under this name.
    pub(super) fn eligible_for(&self, name: Digest, in_flight: &[u32], now: Time) -> bool {
        let is_its = self.session.as_ref().is_some_and(|session| session.digest() == name);
        let is_in = !self.is_out || (self.drain && self.health.opinion() == Opinion::Healthy);
        is_its && is_in && self.is_able(in_flight, now)
    }

    fn is_able(&self, in_flight: &[u32], now: Time) -> bool {
        (!self.is_failed() || self.check_is_due(now))
            && (self.max_conns == 0 || in_flight[self.line as usize] < self.max_conns)
    }

    /// Its line's `max_conns` is used up.
    pub(super) fn is_full(&self, in_flight: &[u32]) -> bool {
        self.max_conns != 0 && in_flight[self.line as usize] >= self.max_conns
    }

    fn check_is_due(&self, now: Time) -> bool {
        now.as_nanos().saturating_sub(self.checked.as_nanos()) > self.fail_timeout_ns
    }

    /// A request goes to it.
    pub(super) fn chosen(&mut self, now: Time) {
        self.active += 1;
        if self.check_is_due(now) {
            self.checked = now;
        }
    }

    /// It did what counts as a failure. True where that takes it out.
    pub(super) fn failed(&mut self, now: Time) -> bool {
        let was_failed = self.is_failed();
        self.fails = self.fails.saturating_add(1);
        self.accessed = now;
        self.checked = now;
        if let Some(loss) = self.weight.checked_div(self.max_fails) {
            self.effective_weight = self.effective_weight.saturating_sub(loss);
        }
        !was_failed && self.is_failed()
    }

    /// It answered. True where that takes it back in.
    pub(super) fn succeeded(&mut self, now: Time) -> bool {
        let is_back = self.accessed < self.checked && self.forgive();
        if is_back {
            self.starts_slowly(now);
        }
        is_back
    }

    /// From now on its share grows, if it is to start slowly. Otherwise it has all of it at once, also for those whose
    /// clock has not come so far yet.
    fn starts_slowly(&mut self, now: Time) {
        if self.slow_start_ns > 0 {
            self.grown = now + Duration::from_nanos(self.slow_start_ns);
        }
    }

    /// Its failures are forgotten. True where that takes it back in.
    pub(super) fn forgive(&mut self) -> bool {
        let was_failed = self.is_failed();
        self.fails = 0;
        was_failed
    }

    /// A check of it is over, and the next one is due then. Gives what its checks thought of it and what they think now,
    /// where that is not the same.
    pub(super) fn checked(
        &mut self,
        check: usize,
        rule: &HealthCheck,
        how: Checked,
        due: Time,
        now: Time,
    ) -> Option<(Opinion, Opinion)> {
        let before = self.health.opinion();
        self.health.end(check, rule, how, due);
        let after = self.health.opinion();
        self.update();
        if before != Opinion::Healthy && after == Opinion::Healthy {
            self.fails = 0;
            self.starts_slowly(now);
        }
        (before != after).then_some((before, after))
    }

    /// Keeps the invariant of `is_out`.
    fn update(&mut self) {
        self.is_out = self.down || self.health.opinion() != Opinion::Healthy;
    }

    /// Takes over the standing of `old`, the same server in a group that was configured otherwise.
    pub(super) fn remember(&mut self, checks: &[HealthCheck], old: &Peer) {
        self.health.remember(checks, &old.health);
        self.update();
        self.fails = old.fails;
        self.accessed = old.accessed;
        self.checked = old.checked;
        self.effective_weight = self.weight.min(old.effective_weight.max(1));
        if self.slow_start_ns > 0 {
            self.grown = old.grown;
        }
    }

    /// Its weight is this from now on.
    pub(super) fn reweigh(&mut self, weight: u32) {
        if weight != self.weight {
            self.weight = weight;
            self.effective_weight = weight;
        }
    }

    /// Its next turn comes as if all began anew.
    pub(super) fn forget_turns(&mut self) {
        self.current_weight = 0;
    }

    /// Takes over the standing of `gone`, a peer of the same line whose address vanished.
    pub(super) fn inherit(&mut self, gone: &Peer) {
        self.health.inherit(&gone.health);
        self.update();
        self.fails = gone.fails;
        self.accessed = gone.accessed;
        self.checked = gone.checked;
        self.effective_weight = self.weight.min(gone.effective_weight);
        self.grown = gone.grown;
        // The credits of a tier add up to zero; a successor keeps it so.
        self.current_weight = gone.current_weight;
    }
}
