//! The way of a request to an upstream connection, as the driver tells it.
//!
//! ```text
//!         want_server           resolving         connecting
//! None ───────────────▶ Wanted ───────────▶ Resolving ──┐
//!                       ▲ │  │  queued                  ▼            acquired
//!                called │ │  └──────────▶ Queued    Connecting ──────────────────▶ Up
//!                       └─┼──────────────────┘          ▲                          ▲
//!                         ├─────────────────────────────┘                          │
//!                         └────────────────────────────────────────────────────────┘ pooled
//! ```
//!
//! `unavailable`, `abandoned` and `released` lead back to `None`, or to `Wanted` for another try.

use super::{Env, Exchange, Failure};
use crate::http::Refusal;
use crate::time::Time;

/// The upstream connection of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Link {
    /// None is there and none is needed.
    #[default]
    None,
    /// One is needed.
    Wanted { same_server: bool },
    /// One is needed, and the request waits in its group's queue until that time.
    Queued { until: Time },
    /// The name of the server is being looked up.
    Resolving,
    /// One is being opened.
    Connecting,
    /// One is there.
    Up { reused: bool },
}

impl Exchange {
    /// A server is needed, the first one for what is asked.
    pub(super) fn want_server(&mut self, now: Time) {
        let span = self.place.rules.tries_timeout;
        self.tries_end = if span.is_zero() { Time::NEVER } else { now + span };
        self.link = Link::Wanted { same_server: false };
    }

    /// A server has been chosen; `tries_left` says that another may be tried after it.
    pub fn chosen(&mut self, tries_left: bool) {
        self.tries_left = tries_left;
    }

    /// No server can take the request for now: it waits for one, until that time at most.
    pub fn queued(&mut self, until: Time) {
        self.link = Link::Queued { until };
        self.waits.upstream_moved();
    }

    /// A server may be able to take the request that waits for one.
    pub fn called(&mut self) {
        if let Link::Queued { .. } = self.link {
            self.link = Link::Wanted { same_server: false };
        }
    }

    /// Until when it waits there.
    pub(super) fn queue_end(&self) -> Time {
        if let Link::Queued { until } = self.link { until } else { Time::NEVER }
    }

    /// The name of the server is being looked up: after it, say `chosen` or `connect_failed`.
    pub fn resolving(&mut self) {
        self.link = Link::Resolving;
        self.waits.upstream_moved();
    }

    /// A connection to the chosen server is being opened.
    pub fn connecting(&mut self) {
        self.link = Link::Connecting;
        self.waits.upstream_moved();
    }

    /// It could not be opened.
    pub fn connect_failed(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// A connection to the chosen server is there; `reused` says that it has served before.
    pub fn acquired(&mut self, reused: bool, now: Time) {
        if let Some(record) = &mut self.record {
            record.connected(now);
        }
        self.link = Link::Up { reused };
        self.waits.upstream_moved();
        self.response.expect_head();
    }

    /// No server can take the request.
    pub fn unavailable(&mut self, env: &mut Env) {
        self.link = Link::None;
        if let Some(one) = self.record.as_mut().and_then(|record| record.current()) {
            (one.status, one.ended) = (502, Some(env.now));
        }
        self.refuse(Refusal::new(502, "no live upstream server"), env);
    }
}
