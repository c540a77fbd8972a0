//! What a run gave: counts and histograms, which add up over threads, generators and machines.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::response::{ServerName, Wrong};

/// What a run gave. Times are in nanoseconds.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When the first request was due.
    pub started: SystemTime,
    /// The time that was measured: without the warm-up.
    pub measured: Duration,
    /// Requests per second that were offered; `None` in a closed loop.
    pub offered: Option<f64>,
    /// What was measured.
    pub tally: Tally,
    /// Requests answered as expected, those of the warm-up included: what a subject's CPU time is divided by.
    pub answered_in_all: u64,
    /// Requests that failed, those of the warm-up included.
    pub failed_in_all: u64,
    /// CPU time of the generator's threads.
    pub cpu: Duration,
    /// The busiest thread's CPU time over the time it ran, 0 to 1.
    pub busy: f64,
}

/// Counts and histograms of the requests that were due while it was measured.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Requests answered as expected.
    pub answered: u64,
    /// Requests that failed.
    pub failures: Failures,
    /// Requests that were due and never sent, since no connection got free.
    pub unsent: u64,
    /// Responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Bytes of response bodies.
    pub body_bytes: u64,
    /// Connections that opened after the warm-up in place of one that ended. Attempts do not count.
    pub reopened: u64,
    /// From when a request was due to the end of its response.
    pub from_due: Histogram<u64>,
    /// From when it was sent.
    pub from_sent: Histogram<u64>,
    /// The longest time from when a request was due to its failure.
    pub slowest_failure: Duration,
    /// How late the generator was: from when the request was due and a connection was free to when it was handed to
    /// the kernel.
    pub lag: Histogram<u64>,
    /// The time line.
    pub intervals: Vec<Interval>,
}

/// A part of the time line, by when responses ended.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Its number, from the start of what is measured.
    pub number: u64,
    /// Requests that failed in it.
    pub failed: u64,
    /// Latency from when they were due of the requests answered in it.
    pub from_due: Histogram<u64>,
    /// Latency from when they were sent.
    pub from_sent: Histogram<u64>,
    /// Bytes of response bodies.
    pub body_bytes: u64,
    /// The same requests by who answered, where `X-Backend` says that.
    pub by_server: BTreeMap<ServerName, u64>,
}

/// Requests that failed, by how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// No connection could be opened.
    pub connect: u64,
    /// The connection ended or broke before the response did.
    pub closed: u64,
    /// No complete response in time.
    pub timeout: u64,
    /// Not the expected status.
    pub status: u64,
    /// A body of another length.
    pub length: u64,
    /// A body with other bytes.
    pub body: u64,
    /// Bytes that are no HTTP response, or that nobody asked for.
    pub malformed: u64,
}

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Connect,
    Closed,
    Timeout,
    Wrong(Wrong),
    Malformed,
}

impl Failures {
    /// All of them.
    pub fn sum(&self) -> u64 {
        self.by_name().iter().map(|(_, count)| count).sum()
    }

    /// Each with its name.
    pub fn by_name(&self) -> [(&'static str, u64); 7] {
        [
            ("no connection", self.connect),
            ("closed too early", self.closed),
            ("timeout", self.timeout),
            ("unexpected status", self.status),
            ("wrong length", self.length),
            ("wrong body", self.body),
            ("no HTTP response", self.malformed),
        ]
    }

    fn count(&mut self, failure: Failure) {
        let counter = match failure {
            Failure::Connect => &mut self.connect,
            Failure::Closed => &mut self.closed,
            Failure::Timeout => &mut self.timeout,
            Failure::Wrong(Wrong::Status) => &mut self.status,
            Failure::Wrong(Wrong::Length) => &mut self.length,
            Failure::Wrong(Wrong::Body) => &mut self.body,
            Failure::Malformed => &mut self.malformed,
        };
        *counter += 1;
    }

    pub(super) fn add(&mut self, other: &Failures) {
        self.connect += other.connect;
        self.closed += other.closed;
        self.timeout += other.timeout;
        self.status += other.status;
        self.length += other.length;
        self.body += other.body;
        self.malformed += other.malformed;
    }
}

/// A histogram from 1 µs, to three digits; it grows with what is recorded.
pub(super) fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1_000, 10_000_000, 3).expect("bounds in order");
    histogram.auto(true);
    histogram
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            answered: 0,
            failures: Failures::default(),
            unsent: 0,
            statuses: BTreeMap::new(),
            body_bytes: 0,
            reopened: 0,
            from_due: histogram(),
            from_sent: histogram(),
            slowest_failure: Duration::ZERO,
            lag: histogram(),
            intervals: Vec::new(),
        }
    }
}

impl Interval {
    fn new(number: u64) -> Interval {
        Interval {
            number,
            failed: 0,
            from_due: histogram(),
            from_sent: histogram(),
            body_bytes: 0,
            by_server: BTreeMap::new(),
        }
    }
}

impl Tally {
    /// A response as expected, in interval `number`.
    pub(super) fn answered(&mut self, number: u64, due_ns: u64, sent_ns: u64, now_ns: u64) {
        self.answered += 1;
        record(&mut self.from_due, now_ns - due_ns);
        record(&mut self.from_sent, now_ns - sent_ns);
        let interval = self.interval(number);
        record(&mut interval.from_due, now_ns - due_ns);
        record(&mut interval.from_sent, now_ns - sent_ns);
    }

    /// The response as expected, in interval `number`, came from `server`.
    pub(super) fn served(&mut self, number: u64, server: ServerName) {
        if !server.is_empty() {
            *self.interval(number).by_server.entry(server).or_default() += 1;
        }
    }

    /// The body of a response, in interval `number`.
    pub(super) fn received(&mut self, number: u64, body: u64) {
        self.body_bytes += body;
        self.interval(number).body_bytes += body;
    }

    /// A failure in interval `number`, `took_ns` after its request was due.
    pub(super) fn failed(&mut self, number: u64, failure: Failure, took_ns: u64) {
        self.failures.count(failure);
        self.slowest_failure = self.slowest_failure.max(Duration::from_nanos(took_ns));
        self.interval(number).failed += 1;
    }

    fn interval(&mut self, number: u64) -> &mut Interval {
        if self.intervals.last().is_none_or(|last| last.number < number) {
            self.intervals.push(Interval::new(number));
        }
        // Time does not run backwards: the last one is meant.
        self.intervals.last_mut().expect("one was pushed")
    }

    fn add(&mut self, other: &Tally) {
        self.answered += other.answered;
        self.failures.add(&other.failures);
        self.unsent += other.unsent;
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.body_bytes += other.body_bytes;
        self.reopened += other.reopened;
        add(&mut self.from_due, &other.from_due);
        add(&mut self.from_sent, &other.from_sent);
        self.slowest_failure = self.slowest_failure.max(other.slowest_failure);
        add(&mut self.lag, &other.lag);
        for interval in &other.intervals {
            match self.intervals.binary_search_by_key(&interval.number, |mine| mine.number) {
                Ok(at) => {
                    self.intervals[at].failed += interval.failed;
                    add(&mut self.intervals[at].from_due, &interval.from_due);
                    add(&mut self.intervals[at].from_sent, &interval.from_sent);
                    self.intervals[at].body_bytes += interval.body_bytes;
                    for (server, count) in &interval.by_server {
                        *self.intervals[at].by_server.entry(*server).or_default() += count;
                    }
                }
                Err(at) => self.intervals.insert(at, interval.clone()),
            }
        }
    }
}

/// Records in a histogram that grows as it must.
pub(super) fn record(to: &mut Histogram<u64>, value_ns: u64) {
    to.record(value_ns).expect("a growing histogram takes every value");
}

/// Adds a histogram to one that grows as it must.
pub(super) fn add(to: &mut Histogram<u64>, from: &Histogram<u64>) {
    to.add(from).expect("a growing histogram takes every value");
}

impl Outcome {
    /// As [`Outcome::new`], at no time that matters.
    #[cfg(test)]
    pub(crate) fn of_nothing(plan: &Plan) -> Outcome {
        Outcome::new(plan, SystemTime::UNIX_EPOCH)
    }

    /// Of nothing yet.
    pub(super) fn new(plan: &Plan, started: SystemTime) -> Outcome {
        Outcome {
            started,
            measured: plan.duration,
            offered: plan.pace.rate(),
            tally: Tally::default(),
            answered_in_all: 0,
            failed_in_all: 0,
            cpu: Duration::ZERO,
            busy: 0.0,
        }
    }

    /// Adds what another thread gave in the same time.
    pub(super) fn add(&mut self, other: &Outcome) {
        self.tally.add(&other.tally);
        self.answered_in_all += other.answered_in_all;
        self.failed_in_all += other.failed_in_all;
        self.cpu += other.cpu;
        self.busy = self.busy.max(other.busy);
    }

    /// Adds what another run of the same plan gave, behind this one.
    pub fn join(&mut self, other: &Outcome) {
        self.add(other);
        self.measured += other.measured;
    }

    /// The same, with one interval for the whole of its time line.
    #[must_use]
    pub fn in_one_interval(self) -> Outcome {
        let Outcome { measured, answered_in_all, cpu, .. } = self;
        let failed = self.tally.intervals.iter().map(|part| part.failed).sum();
        let mut whole = Outcome { measured, answered_in_all, cpu, ..self.only(measured, |_| true) };
        whole.tally.intervals[0].failed = failed;
        whole
    }

    /// What was answered in some intervals of the time line, which have this length: answers, their bodies and latencies, and the
    /// generator's CPU time in proportion. All else is that of the whole: failures, what was never sent, and lag. The
    /// time line is one interval.
    #[must_use]
    pub fn only(&self, interval: Duration, is_wanted: impl Fn(u64) -> bool) -> Outcome {
        let mut whole = Interval::new(0);
        let mut count = 0;
        for part in self.tally.intervals.iter().filter(|part| is_wanted(part.number)) {
            add(&mut whole.from_due, &part.from_due);
            add(&mut whole.from_sent, &part.from_sent);
            whole.body_bytes += part.body_bytes;
            count += 1;
        }
        let answered = whole.from_due.len();
        let tally = Tally {
            answered,
            body_bytes: whole.body_bytes,
            from_due: whole.from_due.clone(),
            from_sent: whole.from_sent.clone(),
            intervals: vec![whole],
            ..self.tally.clone()
        };
        Outcome {
            measured: interval * count,
            tally,
            answered_in_all: answered,
            cpu: self.cpu.mul_f64(answered as f64 / self.answered_in_all.max(1) as f64),
            ..self.clone()
        }
    }

    /// Requests answered as expected, per second.
    pub fn rate(&self) -> f64 {
        self.tally.answered as f64 / self.measured.as_secs_f64()
    }

    /// As data.
    pub fn summary(&self) -> Summary {
        let tally = &self.tally;
        Summary {
            measured_s: self.measured.as_secs_f64(),
            offered_per_s: self.offered,
            answered_per_s: self.rate(),
            answered: tally.answered,
            answered_in_all: self.answered_in_all,
            failed_in_all: self.failed_in_all,
            failures: tally.failures,
            unsent: tally.unsent,
            statuses: tally.statuses.clone(),
            body_bytes: tally.body_bytes,
            reopened: tally.reopened,
            from_due_us: Percentiles::of(&tally.from_due),
            from_sent_us: Percentiles::of(&tally.from_sent),
            lag_us: Percentiles::of(&tally.lag),
            generator_cpu_us_per_request: self.cpu.as_secs_f64() * 1e6
                / (self.answered_in_all + self.failed_in_all).max(1) as f64,
            generator_busy: self.busy,
        }
    }
}

/// An [`Outcome`] as data, without its histograms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Seconds that were measured.
    pub measured_s: f64,
    /// Requests per second that were offered; `None` in a closed loop.
    pub offered_per_s: Option<f64>,
    /// Requests per second that were answered as expected.
    pub answered_per_s: f64,
    /// Requests answered as expected.
    pub answered: u64,
    /// The same with those of the warm-up.
    pub answered_in_all: u64,
    /// Failed requests, those of the warm-up included.
    pub failed_in_all: u64,
    /// Failed requests by kind, without the warm-up.
    pub failures: Failures,
    /// Requests that were due and never sent, since no connection got free.
    pub unsent: u64,
    /// Responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Bytes of response bodies.
    pub body_bytes: u64,
    /// Connections that opened in place of one that ended.
    pub reopened: u64,
    /// Latency from when requests were due.
    pub from_due_us: Percentiles,
    /// Latency from when requests were sent.
    pub from_sent_us: Percentiles,
    /// How late the generator was.
    pub lag_us: Percentiles,
    /// CPU time of the generator for each request.
    pub generator_cpu_us_per_request: f64,
    /// The busiest thread's CPU time over the time it ran, 0 to 1.
    pub generator_busy: f64,
}

/// A distribution of times in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    #[serde(rename = "p99.9")]
    pub p99_9: f64,
    /// The 99.99th percentile.
    #[serde(rename = "p99.99")]
    pub p99_99: f64,
    /// The largest value.
    pub max: f64,
}

impl Percentiles {
    /// Of a histogram of nanoseconds; all 0 where it is empty.
    pub fn of(histogram: &Histogram<u64>) -> Percentiles {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Percentiles {
            mean: histogram.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: histogram.max() as f64 / 1e3,
        }
    }

    /// Each with its name, in ascending order; without the mean.
    pub fn by_name(&self) -> [(&'static str, f64); 6] {
        [
            ("p50", self.p50),
            ("p90", self.p90),
            ("p99", self.p99),
            ("p99.9", self.p99_9),
            ("p99.99", self.p99_99),
            ("max", self.max),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up() {
        let mut one = Tally::default();
        one.answered(0, 0, 1_000, 2_000_000);
        one.answered(2, 0, 1_000, 90_000_000_000);
        let mut other = Tally::default();
        other.answered(1, 0, 1_000, 3_000_000);
        for tally in [&mut one, &mut other] {
            tally.served(2, ServerName::new(b"app1"));
        }
        other.failed(2, Failure::Timeout, 5_000_000_000);
        other.statuses.insert(200, 1);
        one.add(&other);
        assert_eq!(one.answered, 3);
        assert_eq!(one.failures, Failures { timeout: 1, ..Failures::default() });
        assert_eq!(one.slowest_failure, Duration::from_secs(5));
        assert_eq!(one.from_due.len(), 3);
        let numbers: Vec<_> = one.intervals.iter().map(|i| (i.number, i.failed, i.from_due.len())).collect();
        assert_eq!(numbers, [(0, 0, 1), (1, 0, 1), (2, 1, 1)]);
        assert_eq!(one.intervals[2].by_server, [(ServerName::new(b"app1"), 2)].into());
        let p = Percentiles::of(&one.from_due);
        assert!((p.p50 / 3_000.0 - 1.0).abs() < 2e-3, "{p:?}");
        assert!((p.max / 90e6 - 1.0).abs() < 2e-3, "{p:?}");
    }

    #[test]
    fn a_part_of_the_time_line() {
        let address = "127.0.0.1:1".parse().unwrap();
        let target = super::super::plan::Target::get(address, "/", b"");
        let plan = Plan::saturate(target, address, 1, Duration::from_secs(1));
        let mut tally = Tally { unsent: 3, ..Tally::default() };
        for (number, took_ns) in [(0, 9_000_000), (1, 2_000_000), (1, 4_000_000), (2, 9_000_000)] {
            tally.answered(number, 0, 1_000_000, took_ns);
            tally.received(number, 10 * (number + 1));
        }
        tally.failed(0, Failure::Timeout, 1);
        let whole = Outcome {
            tally,
            answered_in_all: 5,
            failed_in_all: 1,
            cpu: Duration::from_millis(5),
            ..Outcome::new(&plan, SystemTime::UNIX_EPOCH)
        };
        let part = whole.only(Duration::from_millis(50), |number| number == 1);
        assert_eq!((part.tally.answered, part.answered_in_all, part.tally.body_bytes), (2, 2, 40));
        assert_eq!((part.tally.from_due.len(), part.tally.from_sent.len()), (2, 2));
        assert!((part.tally.from_sent.max() as f64 / 3e6 - 1.0).abs() < 2e-3);
        assert_eq!((part.measured, part.cpu), (Duration::from_millis(50), Duration::from_millis(2)));
        assert_eq!((part.failed_in_all, part.tally.unsent, part.tally.failures.timeout), (1, 3, 1));
        assert_eq!(part.tally.intervals.len(), 1);
    }

    #[test]
    fn data_survives_json() {
        let mut tally = Tally::default();
        tally.answered(0, 0, 1_000, 2_000_000);
        let address = "127.0.0.1:1".parse().unwrap();
        let target = super::super::plan::Target::get(address, "/", b"");
        let plan = Plan::saturate(target, address, 1, Duration::from_secs(1));
        let outcome = Outcome { tally, ..Outcome::new(&plan, SystemTime::UNIX_EPOCH) };
        let json = serde_json::to_string(&outcome.summary()).unwrap();
        assert!(json.contains("\"p99.9\":2000"), "{json}");
        assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), outcome.summary());
    }
}
