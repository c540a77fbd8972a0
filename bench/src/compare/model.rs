//! A run as data: what `run.json` holds, and all that a report is made from.
//!
//! ```text
//! Run ─┬─ machine, command, revision, subjects (with version and configuration)
//!      ├─ scenarios ── one load ── entries ── one subject under it ─┬─ rounds: raw, good and void
//!      │                                                           └─ figures: medians with ratios
//!      ├─ sweeps ── one subject ── points ── one offered rate
//!      ├─ memory, instructions ── by subject
//!      ├─ withheld: which figures are left out, and why
//!      └─ voids: why the whole run is not to be believed; empty for a good one
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::lab::IdleCores;
use crate::load::{Percentiles, Summary};
use crate::stats::{self, Sample};

/// The number of this format; it changes when readers have to.
pub const FORMAT: u32 = 3;

/// A whole run of `bench compare`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// [`FORMAT`].
    pub format: u32,
    /// The command line.
    pub command: Vec<String>,
    /// The commit that was measured; with `+` where the tree had changes. Empty where that is not known, and marked where it is that
    /// of the tree and the binaries may be of another.
    pub revision: String,
    /// When it began: RFC 3339, UTC.
    pub started: String,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// What it ran on.
    pub machine: Machine,
    /// The core of the subject.
    pub subject_core: usize,
    /// The core of load and origins.
    pub load_core: usize,
    /// What cores without work did.
    pub idle_cores: IdleCores,
    /// Visits that were made again, since they were disturbed; none in older runs, which did not look.
    #[serde(default)]
    pub again: u32,
    /// Good rounds that each figure was to have.
    pub rounds: u32,
    /// In the order of the tables: direct, relay, proxy, then the others that are there.
    pub subjects: Vec<SubjectInfo>,
    /// What was not measured, and why.
    pub left_out: Vec<String>,
    /// The loads.
    pub scenarios: Vec<Scenario>,
    /// Offered rate against latency, up to the knee.
    pub sweeps: Vec<Sweep>,
    /// By subject; not of direct.
    pub memory: Vec<Memory>,
    /// User space instructions per request, by subject; empty where valgrind is not there. Not of direct.
    pub instructions: BTreeMap<String, f64>,
    /// Figures that are missing above since they cannot be stood behind; their rounds are there.
    pub withheld: Vec<Void>,
    /// Why the whole run is not to be believed.
    pub voids: Vec<Void>,
}

/// The machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Its name.
    pub host: String,
    /// Its kernel's release.
    pub kernel: String,
    /// Its processor's model.
    pub processor: String,
    /// Cores that the run could use.
    pub cores: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
}

/// A subject: what is measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SubjectInfo {
    /// `direct`, `relay` (the floor), `proxy`, `nginx`, `haproxy`, …
    pub name: String,
    /// What it says of its version.
    pub version: String,
    /// How it was started: its command line, then its configuration file if it has one.
    pub configuration: String,
}

/// One load that every subject was put under, in rounds that alternate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scenario {
    /// Short and stable: `saturated`, `single`, `rate-8000`, `connections`, `body-16k`, `body-1m`, `upload-1m`, `redis`.
    pub key: String,
    /// In words.
    pub title: String,
    /// The request line: `GET /`.
    pub request: String,
    /// Connections.
    pub connections: usize,
    /// Requests per second; `None`: each connection asks again as soon as it is answered.
    pub offered_per_s: Option<f64>,
    /// Whether a connection serves many requests.
    pub keep_alive: bool,
    /// Seconds of load in a round.
    pub seconds: f64,
    /// By subject, in the order of [`Run::subjects`].
    pub entries: Vec<Entry>,
}

/// One subject under one load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub subject: String,
    /// All rounds, void ones too.
    pub rounds: Vec<Round>,
    /// By the names in [`figure`]; from good rounds alone, without those that are withheld.
    pub figures: BTreeMap<String, Figure>,
    /// Latency over all good rounds together: from when requests were due, or sent in a closed loop. In µs; 0 where
    /// it is withheld, or too few requests lie beyond a percentile.
    pub latency_us: Percentiles,
    /// The histograms of the good rounds, beside `run.json`.
    pub hlog: Option<String>,
    /// System calls per request, where they were counted.
    pub calls: Option<Calls>,
}

/// The names of figures.
pub mod figure {
    /// Requests answered per second.
    pub const REQUESTS: &str = "requests_per_s";
    /// CPU time of the subject per request, user and system, in µs, as the scheduler accounts it. Of direct, that of the
    /// origin.
    pub const CPU: &str = "cpu_us";
    /// Its user part.
    pub const CPU_USER: &str = "cpu_user_us";
    /// Its system part.
    pub const CPU_SYSTEM: &str = "cpu_system_us";
    /// The share of its core that the subject used, 0 to 1; the origin shares its core with the load.
    pub const BUSY: &str = "busy";
    /// Bytes of bodies, either way, per second of the subject's CPU time; in MB.
    pub const MB_PER_CPU_S: &str = "mb_per_cpu_s";
    /// Latency percentiles in µs, round by round: from when requests were due, or sent in a closed loop.
    pub const P50: &str = "p50_us";
    /// See [`P50`].
    pub const P99: &str = "p99_us";
    /// The median latency less that of direct in the same round, in µs; see
    /// [`has_added_latency`](super::Scenario::has_added_latency).
    pub const ADDED_P50: &str = "added_p50_us";
    /// The 99th percentile less that of direct in the same round, in µs.
    pub const ADDED_P99: &str = "added_p99_us";
    /// The most resident memory under the load, in KiB.
    pub const MEMORY: &str = "memory_kib";
}

/// A figure over the good rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// Its values; `None` where they are withheld.
    pub sample: Option<Sample>,
    /// Round by round as a ratio to the relay's, where there is one: of CPU time, and of throughput and latency percentiles that the
    /// load's core did not limit on either side.
    pub to_floor: Option<Sample>,
    /// The same to nginx's.
    pub to_nginx: Option<Sample>,
}

/// One visit of the load.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Round {
    /// Its number from 1.
    pub number: u32,
    /// What the generator saw.
    pub load: Summary,
    /// CPU time of the subject in ns; of direct, that of the origin, on the load's core.
    pub cpu_ns: u64,
    /// Clock ticks at which the kernel found the subject at work. They are few in a round, other than its CPU time, which
    /// is measured; 0 in older runs.
    #[serde(default)]
    pub ticks: u64,
    /// Those of them in user space.
    #[serde(default)]
    pub user_ticks: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The most resident memory of the subject meanwhile, in KiB; of direct, that of the origin. In older runs: after it.
    pub memory_kib: u64,
    /// How busy the load's core was, 0 to 1, whoever used it.
    pub load_core_busy: f64,
    /// The share of the subject's core that something else than the subject used, 0 to 1: other processes, and what
    /// the kernel accounts to nobody, such as interrupts and waking up.
    pub subject_core_others: f64,
    /// How long the subject's threads were ready to run and did not, as a share of the visit; all together, so it may
    /// exceed 1. They may have waited for each other.
    pub waited: f64,
    /// What the hypervisor took from either core, as a share of the visit, 0 to 1.
    pub steal: f64,
    /// The share of a visit in which a core was slow, 1 at most: somebody beside this machine may share it. Below 0 where visits that
    /// were made again have more quiet time than one. 0 in older runs, which did
    /// not look. Where such time was cut out, requests, CPU time and seconds are those of the rest.
    #[serde(default)]
    pub slow: f64,
    /// Why this round does not count; empty for a good one. A round that does not count is void for all
    /// subjects, so that ratios are taken within rounds.
    pub voids: Vec<String>,
}

/// System calls for each request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Calls {
    /// Of every kind.
    pub all: f64,
    /// Of the kinds that serve, where there are any.
    pub by_name: BTreeMap<String, f64>,
}

/// One subject's latency at rising offered rates.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sweep {
    /// Its name.
    pub subject: String,
    /// By rising rate.
    pub points: Vec<Point>,
    /// The highest rate that was served: nearly all answered, and the 99th percentile within bounds.
    pub knee_per_s: f64,
    /// What ended the sweep: the subject's knee, or a load core that could not offer more. In the latter case the
    /// knee lies higher. See [`Sweep::ended_before_knee`] as well.
    pub limited_by_load: bool,
    /// What else disturbed its last point, in words; empty where nothing did.
    pub disturbances: Vec<String>,
}

/// One offered rate of a sweep.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Point {
    /// Requests per second that were due.
    pub offered_per_s: f64,
    /// Requests per second that were answered.
    pub answered_per_s: f64,
    /// Latency from when requests were due.
    pub latency_us: Percentiles,
    /// How busy the subject's core was, 0 to 1, by the subject; of direct, the load's by the origin.
    pub busy: f64,
    /// How busy the load's core was, 0 to 1.
    pub load_core_busy: f64,
}

/// Resident memory of a subject, in KiB, all its processes together. Pages that they share count in each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Its name.
    pub subject: String,
    /// After it has started and answered a few requests.
    pub rest_kib: u64,
    /// With [`Memory::idle_connections`] more client connections, each of which was answered once.
    pub idle_kib: u64,
    /// How many those were.
    pub idle_connections: usize,
    /// The difference for each of them, in bytes.
    pub per_idle_connection: f64,
}

/// Why something is not to be believed: a figure, a subject, a load or a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Void {
    /// The scenario's key; empty: the whole run.
    pub scenario: String,
    /// The subject; empty: all.
    pub subject: String,
    /// The figure, by its name in [`figure`], with `, to floor` or `, to nginx` where it is the ratio; empty: all.
    pub figure: String,
    /// In words.
    pub reason: String,
}

impl Void {
    /// In a line: of what, and the reason.
    pub fn text(&self) -> String {
        let place = [&*self.scenario, &*self.subject, &*self.figure];
        let place: Vec<&str> = place.into_iter().filter(|word| !word.is_empty()).collect();
        if place.is_empty() { self.reason.clone() } else { format!("{}: {}", place.join(", "), self.reason) }
    }
}

impl Run {
    /// What the intervals of its figures are: those of few rounds cover less than one thinks of.
    pub fn interval_in_words(&self) -> String {
        let percent = (100.0 * stats::coverage(self.rounds)).floor();
        format!("bootstrap interval, which covers the true one in {percent} % of all cases")
    }

    /// The most resident memory of a subject under the saturated load, in KiB.
    pub fn memory_under_load_kib(&self, subject: &str) -> Option<f64> {
        self.scenario("saturated")?.entry(subject)?.median(figure::MEMORY)
    }

    /// A scenario by its key.
    pub fn scenario(&self, key: &str) -> Option<&Scenario> {
        self.scenarios.iter().find(|scenario| scenario.key == key)
    }
}

impl Sweep {
    /// The highest rate that was served; `None` where something else than the subject or the load may have ended the sweep, or
    /// the load at its first rate: that tells nothing.
    pub fn knee(&self) -> Option<f64> {
        let is_known = self.knee_per_s > 0.0 || !self.limited_by_load;
        (self.disturbances.is_empty() && is_known).then_some(self.knee_per_s)
    }

    /// Whether its highest rate was served as well: there was no higher one, and the knee lies there.
    pub fn ended_before_knee(&self) -> bool {
        self.points.last().is_some_and(|last| last.offered_per_s == self.knee_per_s)
    }

    /// Its point at the knee.
    pub fn point(&self) -> Option<&Point> {
        let knee = self.knee()?;
        self.points.iter().find(|point| point.offered_per_s == knee)
    }
}

impl Scenario {
    /// Whether latency less that of direct is what a subject adds. In a closed loop of many connections all of them always wait:
    /// latency is the length of that queue over the throughput.
    pub fn has_added_latency(&self) -> bool {
        self.offered_per_s.is_some() || self.connections == 1
    }

    /// What was measured of a subject.
    pub fn entry(&self, subject: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.subject == subject)
    }
}

impl Entry {
    /// A figure by its name in [`figure`].
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.get(name)
    }

    /// A figure's values.
    pub fn sample(&self, name: &str) -> Option<&Sample> {
        self.figure(name)?.sample.as_ref()
    }

    /// A mark before throughput, where the load's core was the limit and the subject could have done more; else empty.
    pub fn at_least(&self) -> &'static str {
        let is_closed = self.rounds.first().is_some_and(|round| round.load.offered_per_s.is_none());
        let is_idle = self.median(figure::BUSY).is_some_and(|busy| busy < 0.95);
        let is_limited =
            self.rounds.iter().any(|round| round.load_core_busy > super::void::LOAD_CORE_BUSY_MAX);
        if is_closed && is_idle && is_limited { "> " } else { "" }
    }

    /// A mark before latencies where [`Entry::at_least`] marks throughput: requests waited for the load's core, and would
    /// have waited less.
    pub fn at_most(&self) -> &'static str {
        if self.at_least().is_empty() { "" } else { "< " }
    }

    /// A figure's median.
    pub fn median(&self, name: &str) -> Option<f64> {
        Some(self.sample(name)?.median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_load_limits_is_marked() {
        let entry = |offered_per_s, load_core_busy, busy| {
            let load = Summary { offered_per_s, ..Summary::default() };
            let sample = Sample::of([busy]);
            let figure = Figure { sample, to_floor: None, to_nginx: None };
            Entry {
                rounds: vec![Round { load, load_core_busy, ..Round::default() }],
                figures: [(figure::BUSY.to_owned(), figure)].into(),
                ..Entry::new("x")
            }
        };
        let marks = |entry: Entry| [entry.at_least(), entry.at_most()];
        assert_eq!(marks(entry(None, 0.99, 0.8)), ["> ", "< "]);
        // The subject was full, the load was not, or its rate was its own.
        for entry in [entry(None, 0.99, 0.99), entry(None, 0.9, 0.8), entry(Some(8000.0), 0.99, 0.8)] {
            assert_eq!(marks(entry), ["", ""]);
        }
    }
}
