//! When figures are not to be believed, and why.
//!
//! A *round* is void where something else than the subject shaped it; it is made again, up to twice the rounds that
//! were asked for. A *run* is void where that was not enough, where a response was not what it should be, or where
//! its figures lie too far apart. A void run is shown, with the reasons, and ends with an error.
//! An unoptimised build is not even begun with ([`crate::lab::refuse_debug_build`]), nor two sides on one core
//! ([`crate::lab::Cores::new`]).

use super::model::{Entry, Round, Scenario, Void, figure};
use crate::lab::{Cores, Process};
use crate::load::Summary;

/// The generator may be so late, at its 99th percentile, before latencies are its own.
pub(super) const LAG_P99_US_MAX: f64 = 500.0;

/// The load's core may be so busy under an offered rate, before it is what limits.
pub(super) const LOAD_CORE_BUSY_MAX: f64 = 0.95;

/// So much of the time may the subject wait for its core because of others: the smaller one of what they used and of what it
/// waited, since the kernel's own work is part of the one, and threads that wait for each other of the other.
const DISPLACED_MAX: f64 = 0.1;

/// So much may the hypervisor take.
const STEAL_MAX: f64 = 0.02;

/// So wide may the confidence interval of a figure be, as a share of its median.
const UNCERTAINTY_MAX: f64 = 0.2;

/// The figures whose spread is held against [`UNCERTAINTY_MAX`].
const STEADY: [&str; 2] = [figure::CPU, figure::REQUESTS];

/// Why a round does not count.
pub(super) fn of_round(round: &Round) -> Vec<String> {
    let mut reasons = Vec::new();
    reasons.extend(of_answers(&round.load));
    if round.load.offered_per_s.is_some() {
        reasons.extend(of_generator(&round.load, round.load_core_busy));
    }
    reasons.extend(of_surroundings(round));
    reasons
}

/// What else ran on this machine, or beside it.
pub(super) fn of_surroundings(round: &Round) -> Vec<String> {
    let mut reasons = Vec::new();
    if round.subject_core_others.min(round.waited) > DISPLACED_MAX {
        reasons.push(format!(
            "other processes used {:.0} % of the subject's core, and it waited {:.0} % of the time",
            100.0 * round.subject_core_others,
            100.0 * round.waited
        ));
    }
    if round.steal > STEAL_MAX {
        reasons.push(format!("the hypervisor took {:.0} % of a core", 100.0 * round.steal));
    }
    reasons
}

/// What was wrong with the answers.
pub(super) fn of_answers(load: &Summary) -> Option<String> {
    if load.failed_in_all > 0 {
        let kinds = load.failures.by_name().into_iter().filter(|(_, count)| *count > 0);
        let kinds: Vec<_> = kinds.map(|(name, count)| format!("{name}: {count}")).collect();
        let statuses: Vec<_> = load.statuses.iter().map(|(status, n)| format!("{status}: {n}")).collect();
        return Some(format!(
            "{} requests failed ({}; statuses {})",
            load.failed_in_all,
            if kinds.is_empty() { "in the warm-up".into() } else { kinds.join(", ") },
            statuses.join(", ")
        ));
    }
    (load.answered == 0).then(|| "no request was answered".into())
}

/// How the generator fell short of what it should have offered.
pub(super) fn of_generator(load: &Summary, load_core_busy: f64) -> Option<String> {
    if load.lag_us.p99 > LAG_P99_US_MAX {
        return Some(format!(
            "the generator lagged: {:.0} µs at its 99th percentile, {LAG_P99_US_MAX} µs are allowed",
            load.lag_us.p99
        ));
    }
    (load_core_busy > LOAD_CORE_BUSY_MAX).then(|| {
        format!("the load's core was {:.0} % busy: it limits what is offered", 100.0 * load_core_busy)
    })
}

/// Whether a subject keeps to its core.
pub(super) fn of_cores(subject: &str, process: &Process, cores: Cores) -> Option<Void> {
    let (wanted, found) = (cores.subject.to_string(), process.cores());
    (found != [wanted]).then(|| Void {
        scenario: String::new(),
        subject: subject.into(),
        reason: format!("it may run on cores {}, not on {} alone", found.join(" and "), cores.subject),
    })
}

/// Why a scenario does not count, after all its rounds.
pub(super) fn of_scenario(scenario: &Scenario, rounds: u32) -> Vec<Void> {
    let mut voids = Vec::new();
    let mut add = |entry: &Entry, reason: String| {
        voids.push(Void { scenario: scenario.key.clone(), subject: entry.subject.clone(), reason });
    };
    let good = good_rounds(scenario).len();
    for entry in &scenario.entries {
        if let Some(reason) = entry.rounds.iter().find_map(|round| of_answers(&round.load)) {
            add(entry, reason);
        }
        // Without enough rounds that is reason enough.
        for name in STEADY.into_iter().filter(|_| good >= rounds as usize) {
            let Some(sample) = entry.figure(name).map(|figure| &figure.sample) else { continue };
            if sample.uncertainty() > UNCERTAINTY_MAX {
                let [low, high] = sample.confidence;
                add(
                    entry,
                    format!("{name} is not steady: {:.2}, between {low:.2} and {high:.2}", sample.median),
                );
            }
        }
    }
    if good < rounds as usize {
        let mut reasons: Vec<_> = scenario
            .entries
            .iter()
            .flat_map(|entry| entry.rounds.iter().map(move |round| (entry, round)))
            .flat_map(|(entry, round)| {
                round
                    .voids
                    .iter()
                    .map(|reason| format!("round {} of {}: {reason}", round.number, entry.subject))
            })
            .collect();
        let more = reasons.len().saturating_sub(3);
        reasons.truncate(3);
        if more > 0 {
            reasons.push(format!("and {more} more"));
        }
        voids.push(Void {
            scenario: scenario.key.clone(),
            subject: String::new(),
            reason: format!("{good} good rounds of the {rounds} asked for; {}", reasons.join("; ")),
        });
    }
    voids
}

/// The places, in every entry, of the rounds that are good for all subjects.
pub(super) fn good_rounds(scenario: &Scenario) -> Vec<usize> {
    let rounds = scenario.entries.iter().map(|entry| entry.rounds.len()).min().unwrap_or_default();
    (0..rounds).filter(|at| scenario.entries.iter().all(|entry| entry.rounds[*at].voids.is_empty())).collect()
}

#[cfg(test)]
#[path = "void_tests.rs"]
mod tests;
