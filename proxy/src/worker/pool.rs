//! A group of servers as one worker sees it: the group, which all workers share, and the idle connections to
//! its servers, which they do not.

use slotmap::SecondaryMap;

use super::generation::SharedGroup;
use super::net::UpstreamKey;
use crate::config::{Balance, Until, Upstream};
use crate::ids::GroupId;
use crate::time::{Duration, Time};
use crate::upstream::Idle;

/// All pools of a worker.
pub(super) type Pools = SecondaryMap<GroupId, Pool>;

/// See the [module's page](self).
pub(super) struct Pool {
    pub(super) group: SharedGroup,
    pub(super) idle: Idle<UpstreamKey>,
    /// How long a connection may be idle.
    pub(super) idle_timeout: Duration,
    /// The most requests over one connection.
    pub(super) requests_max: u64,
    time_max: Duration,
    /// How long a request waits for a server; `None`: not at all.
    pub(super) queue_timeout: Option<Duration>,
    /// What a response says of a session is learnt with its head.
    pub(super) learns_at_head: bool,
    /// It wants to hear when the head of a response is there.
    pub(super) awaits_heads: bool,
    /// No configuration names the group any more: it is there for requests that go by an older one.
    pub(super) is_retired: bool,
}

impl Pool {
    pub(super) fn new(config: &Upstream, group: SharedGroup) -> Pool {
        Pool {
            group,
            idle: Idle::new(config.keepalive),
            idle_timeout: config.idle_timeout,
            requests_max: config.requests_max,
            time_max: config.time_max,
            queue_timeout: config.queue.map(|queue| queue.timeout),
            learns_at_head: config
                .sticky
                .as_ref()
                .and_then(|rule| rule.learn.as_ref())
                .is_some_and(|learn| learn.at_header),
            awaits_heads: matches!(config.balance, Balance::LeastTime(measure) if measure.until == Until::Header),
            is_retired: false,
        }
    }

    /// Pools nothing any more. Gives the connections that were idle.
    pub(super) fn retire(&mut self) -> Idle<UpstreamKey> {
        self.is_retired = true;
        std::mem::replace(&mut self.idle, Idle::new(0))
    }

    /// Until when a connection opened `now` takes requests.
    pub(super) fn retires(&self, now: Time) -> Time {
        now + self.time_max
    }

    /// When the connection that is idle for longest has been so for long enough.
    pub(super) fn expires(&self) -> Time {
        // An entry's time of expiry lies that far behind its beginning.
        self.idle.oldest().map_or(Time::NEVER, |(_, since)| since + self.idle_timeout)
    }
}
