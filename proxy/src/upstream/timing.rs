//! How long peers take to answer, as `least_time` weighs it (nginx 1.31:
//! `modules/ngx_http_upstream_least_time_module.c`).
//!
//! A [`Clock`] is with the request and runs from its choice to the head of its response or to the last byte; a
//! [`Timing`] is with the peer and remembers what clocks have shown. As in nginx all is in milliseconds.

use crate::config::{Measure, Until};
use crate::time::{Duration, Time};

/// Times within one span of this length are alike, so that peers that are about as fast take turns.
const SPAN_MS: u64 = 20;

/// Beyond this, one peer is as bad as another, and requests in flight decide.
const MOST_MS: u64 = 5000;

/// What is known of one peer's times.
#[derive(Debug, Default)]
pub(super) struct Timing {
    /// The moving average of its response times; 0 before the first.
    response_ms: u64,
    /// The moving average of how long its unanswered requests have been waiting; 0 before there were any.
    waiting_ms: u64,
    unanswered: u32,
    /// The sum of the times, since the clock's start, at which the unanswered ones were sent.
    sent_ms: u64,
}

impl Timing {
    /// Looks how long the requests that are unanswered have been waiting.
    pub(super) fn look(&mut self, now: Time) {
        let count = u64::from(self.unanswered);
        if count > 0 {
            let waited = (count * millis(now)).saturating_sub(self.sent_ms);
            average(&mut self.waiting_ms, waited / count);
        }
    }

    /// How long the next response may take. An average that lies back is halved so often.
    pub(super) fn outlook_ms(&self, halvings: u32) -> u64 {
        let mut time = self.response_ms.checked_shr(halvings).unwrap_or(0);
        if self.unanswered > 0 {
            time = time.max(self.waiting_ms);
        }
        if time > MOST_MS { MOST_MS } else { time + SPAN_MS - time % SPAN_MS }
    }
}

/// The state of `least_time` in one attempt: what it measures at the peer that it has now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    measure: Measure,
    /// When that peer was chosen.
    since: Time,
    runs: bool,
}

impl Clock {
    pub(super) fn new(measure: Measure) -> Clock {
        Clock { measure, since: Time::ZERO, runs: false }
    }

    /// Whether it is to be told of a response's head.
    pub(super) fn awaits_head(&self) -> bool {
        self.runs && self.measure.until == Until::Header
    }

    /// The request goes to a peer.
    pub(super) fn start(&mut self, timing: &mut Timing, now: Time) {
        (self.since, self.runs) = (now, true);
        if self.measure.counts_unanswered {
            timing.unanswered += 1;
            timing.sent_ms += millis(now);
        }
    }

    /// The head of the response is there.
    pub(super) fn head_came(&mut self, timing: &mut Timing, now: Time) {
        if self.awaits_head() {
            self.stop(timing, true, now);
        }
    }

    /// The request is over at the peer. Only what was `served` counts, so that failing fast is no merit.
    pub(super) fn stop(&mut self, timing: &mut Timing, served: bool, now: Time) {
        if !std::mem::take(&mut self.runs) {
            return;
        }
        if self.measure.counts_unanswered {
            timing.unanswered -= 1;
            timing.sent_ms -= millis(self.since);
        }
        if served {
            average(&mut timing.response_ms, millis(now).saturating_sub(millis(self.since)));
        }
    }
}

/// Moves an average one twentieth towards a value; the first value is the average
/// (`ngx_http_upstream_response_time_avg`).
fn average(average: &mut u64, value: u64) {
    *average = if *average == 0 { value } else { (value + 19 * *average + 10) / 20 };
}

fn millis(time: Time) -> u64 {
    time.as_nanos() / Duration::from_millis(1).as_nanos() as u64
}
