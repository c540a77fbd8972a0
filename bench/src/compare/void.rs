//! When figures are not to be believed, and why.
//!
//! - A *round* is void where something else than the subject shaped it; it is made again, up to twice the rounds that
//!   were asked for.
//! - A *load* is withheld where that was not enough: it has no figures then.
//! - A *figure* is withheld where its rounds lie too far apart, and a ratio where its rounds do. A machine may drift by more than
//!   subjects differ; a ratio taken within rounds does not drift with it, so it is held to a bound of its own, a
//!   tighter one.
//! - A *run* is void where a response was not what it should be, a subject left its core, the generator could not offer
//!   what it was told to, or too much is withheld. It is shown, with the reasons, and ends with an error.
//!
//! An unoptimised build is not even begun with ([`crate::lab::refuse_debug_build`]), nor two sides on one core
//! ([`crate::lab::Cores::new`]).

use super::CompareError;
use super::model::{Entry, Figure, Round, Scenario, Void, figure};
use crate::lab::{Cores, Process};
use crate::load::{Failures, Percentiles, Summary};
use crate::stats::Sample;

/// The generator may be so late, at its 99th percentile, before latencies are its own.
pub(super) const LAG_P99_US_MAX: f64 = 500.0;

/// So large a share of what was due may be left unsent: of those there is no latency.
const UNSENT_MAX: f64 = 0.002;

/// The load's core may be so busy under an offered rate, before it is what limits.
pub(super) const LOAD_CORE_BUSY_MAX: f64 = 0.95;

/// So much of the time may the subject wait for its core because of others: the smaller one of what they used and of what it
/// waited, since the kernel's own work is part of the one, and threads that wait for each other of the other.
const DISPLACED_MAX: f64 = 0.1;

/// So much may the hypervisor take.
const STEAL_MAX: f64 = 0.02;

/// So wide may the interval of a figure be, as a share of its median.
const UNCERTAINTY_MAX: f64 = 0.2;

/// So wide may that of a ratio be. Two runs are to agree within 10 %; the interval of their difference is √2 times as wide as
/// that of either, and reaches 10 % to both sides.
const RATIO_UNCERTAINTY_MAX: f64 = 0.14;

/// So wide may the interval of a 99th percentile be, or of a ratio of two. It is made by the hundredth part of the requests, and by one
/// stall in the wrong moment: wider than others, but no wider than itself.
const P99_UNCERTAINTY_MAX: f64 = 1.0;

/// A figure that is held against bounds.
struct Steady {
    name: &'static str,
    /// Of its interval, and of those of its ratios.
    bounds: [f64; 2],
    /// What is made from it, and falls with it.
    made_from_it: &'static [&'static str],
}

const STEADY: [Steady; 4] = [
    Steady {
        name: figure::CPU,
        bounds: [UNCERTAINTY_MAX, RATIO_UNCERTAINTY_MAX],
        made_from_it: &[figure::CPU_USER, figure::CPU_SYSTEM, figure::MB_PER_CPU_S],
    },
    Steady { name: figure::REQUESTS, bounds: [UNCERTAINTY_MAX, RATIO_UNCERTAINTY_MAX], made_from_it: &[] },
    Steady {
        name: figure::P50,
        bounds: [UNCERTAINTY_MAX, RATIO_UNCERTAINTY_MAX],
        made_from_it: &[figure::P99, figure::ADDED_P50, figure::ADDED_P99],
    },
    Steady {
        name: figure::P99,
        bounds: [P99_UNCERTAINTY_MAX, P99_UNCERTAINTY_MAX],
        made_from_it: &[figure::ADDED_P99],
    },
];

/// So large a share of the comparisons of CPU time may be withheld.
const WITHHELD_MAX: f64 = 0.25;

/// Why a round does not count; `keep_alive`: whether a connection was to serve many requests.
pub(super) fn of_round(round: &Round, keep_alive: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    reasons.extend(of_answers(&round.load));
    if keep_alive && round.load.reopened > 0 {
        let count = round.load.reopened;
        reasons.push(format!(
            "{count} connections ended and were opened again, which costs more than keeping them"
        ));
    }
    reasons.extend(of_generator(round).or_else(|| of_backlog(&round.load)));
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
    // Where none was sent, nobody could answer.
    (load.answered == 0 && load.unsent == 0).then(|| "no request was answered".into())
}

/// What is wrong with a subject whose answers in a sweep, which has no rounds, are not what they should be. That it
/// takes too long, or closes, is another matter: the load may be beyond it.
pub(super) fn of_wrong_answers(what: &str, subject: &str, load: &Summary) -> Option<Void> {
    let Failures { status, length, body, malformed, .. } = load.failures;
    of_visit(what, subject, load).filter(|_| status + length + body + malformed > 0)
}

/// What was wrong with the answers in a visit beside the rounds.
pub(super) fn of_visit(what: &str, subject: &str, load: &Summary) -> Option<Void> {
    let of = |reason| Void { scenario: what.into(), subject: subject.into(), figure: String::new(), reason };
    of_answers(load).map(of)
}

/// How the generator fell short of what it should have offered; in a closed loop it offers what it can.
fn of_generator(round: &Round) -> Option<String> {
    let Round { load, load_core_busy, .. } = round;
    load.offered_per_s?;
    if load.lag_us.p99 > LAG_P99_US_MAX {
        return Some(format!(
            "the generator lagged: {:.0} µs at its 99th percentile, {LAG_P99_US_MAX} µs are allowed",
            load.lag_us.p99
        ));
    }
    if *load_core_busy > LOAD_CORE_BUSY_MAX {
        return Some(format!(
            "the load's core was {:.0} % busy: it limits what is offered",
            100.0 * load_core_busy
        ));
    }
    let is_behind = load.answered == 0 && load.failed_in_all == 0 && load.unsent > 0;
    is_behind.then(|| {
        format!(
            "the generator was late: it sent none of the {} requests that were due while it was measured",
            load.unsent
        )
    })
}

/// What a subject, or the generator, left behind.
fn of_backlog(load: &Summary) -> Option<String> {
    let due = load.answered + load.failed_in_all + load.unsent;
    (load.unsent as f64 > UNSENT_MAX * due as f64).then(|| {
        format!("{} of {due} requests that were due were never sent, as no connection was free", load.unsent)
    })
}

/// Whether a subject keeps to its core.
pub(super) fn of_cores(subject: &str, process: &Process, cores: Cores) -> Option<Void> {
    let (wanted, found) = (cores.subject.to_string(), process.cores());
    (found != [wanted]).then(|| Void {
        scenario: String::new(),
        subject: subject.into(),
        figure: String::new(),
        reason: format!("it may run on cores {}, not on {} alone", found.join(" and "), cores.subject),
    })
}

/// Whether the two sides have a core each.
pub(super) fn of_siblings(cores: Cores) -> Option<Void> {
    cores.are_siblings().then(|| {
        of_whole_run(format!(
            "cores {} and {} are threads of one core: what the load does slows the subject down",
            cores.subject, cores.load
        ))
    })
}

/// A run that an error ended.
pub(super) fn of_early_end(error: &CompareError) -> Void {
    of_whole_run(format!("it ended early: {error}"))
}

fn of_whole_run(reason: String) -> Void {
    Void { scenario: String::new(), subject: String::new(), figure: String::new(), reason }
}

/// Where CPU time is shown and its split is not.
pub(super) fn of_ticks(scenario: &Scenario) -> Option<Void> {
    let lacks =
        |entry: &&Entry| entry.sample(figure::CPU).is_some() && entry.figure(figure::CPU_USER).is_none();
    let subjects: Vec<&str> = scenario.entries.iter().filter(lacks).map(|entry| &*entry.subject).collect();
    (!subjects.is_empty()).then(|| Void {
        scenario: scenario.key.clone(),
        subject: String::new(),
        figure: figure::CPU_USER.into(),
        reason: format!(
            "the kernel sampled fewer than {} clock ticks in all good rounds of {}",
            super::figures::TICKS_MIN,
            subjects.join(", ")
        ),
    })
}

/// Takes out of a load, after all its rounds, what cannot be stood behind, and says why.
pub(super) fn withhold(scenario: &mut Scenario, rounds: u32) -> Vec<Void> {
    let void = |subject: &str, figure: String, reason: String| Void {
        scenario: scenario.key.clone(),
        subject: subject.into(),
        figure,
        reason,
    };
    let good = good_rounds(scenario).len();
    if good < rounds as usize {
        let reason = format!("{good} good rounds of the {rounds} asked for; {}", causes(scenario));
        let all = vec![void("", String::new(), reason)];
        for entry in &mut scenario.entries {
            entry.figures.clear();
            entry.latency_us = Percentiles::default();
        }
        return all;
    }
    let mut voids = Vec::new();
    for entry in &mut scenario.entries {
        for Steady { name, bounds: [bound, ratio_bound], made_from_it } in STEADY {
            let Some(Figure { sample, to_floor, to_nginx }) = entry.figures.get_mut(name) else { continue };
            for (sample, to, bound) in [
                (&mut *sample, "", bound),
                (to_floor, ", to floor", ratio_bound),
                (to_nginx, ", to nginx", ratio_bound),
            ] {
                if let Some(unsteady) = sample.take_if(|sample| sample.uncertainty() > bound) {
                    voids.push(void(&entry.subject, format!("{name}{to}"), not_steady(&unsteady)));
                }
            }
            if sample.is_none() {
                entry.figures.retain(|figure, _| !made_from_it.contains(&figure.as_str()));
                match name {
                    figure::P50 => entry.latency_us = Percentiles::default(),
                    // What lies beyond it is made by the same few requests.
                    figure::P99 => entry.latency_us = super::figures::supported(entry.latency_us, 0),
                    _ => {}
                }
            }
        }
    }
    voids
}

fn not_steady(sample: &Sample) -> String {
    let [low, high] = sample.confidence;
    format!("not steady: {:.2}, between {low:.2} and {high:.2}", sample.median)
}

/// Why rounds of a load were void: the first few reasons.
fn causes(scenario: &Scenario) -> String {
    let rounds =
        scenario.entries.iter().flat_map(|entry| entry.rounds.iter().map(move |round| (entry, round)));
    let reasons = rounds.flat_map(|(entry, round)| {
        let of = move |reason| format!("round {} of {}: {reason}", round.number, entry.subject);
        round.voids.iter().map(of)
    });
    let mut reasons: Vec<String> = reasons.collect();
    let more = reasons.len().saturating_sub(3);
    reasons.truncate(3);
    if more > 0 {
        reasons.push(format!("and {more} more"));
    }
    reasons.join("; ")
}

/// Whether a load is withheld since the generator could not put it on.
fn of_starved_generator(scenario: &Scenario, rounds: u32) -> Option<Void> {
    if good_rounds(scenario).len() >= rounds as usize {
        return None;
    }
    let of = |entry: &Entry| {
        let reason = entry.rounds.iter().find_map(of_generator)?;
        Some(Void {
            scenario: scenario.key.clone(),
            subject: entry.subject.clone(),
            figure: String::new(),
            reason: format!(
                "{reason}, so that too few rounds are good; offer less, or leave the machine alone"
            ),
        })
    };
    scenario.entries.iter().find_map(of)
}

/// Why a run is void, by all its loads, after what they withhold; `rounds` are those asked for.
pub(super) fn of_run(scenarios: &[Scenario], rounds: u32) -> Vec<Void> {
    let mut voids = Vec::new();
    let (mut wanted, mut withheld) = (0, 0);
    for scenario in scenarios {
        voids.extend(of_starved_generator(scenario, rounds));
        let mut add = |entry: &Entry, figure: &str, reason: String| {
            let (scenario, subject) = (scenario.key.clone(), entry.subject.clone());
            voids.push(Void { scenario, subject, figure: figure.into(), reason });
        };
        let has_nginx = scenario.entry("nginx").is_some();
        for entry in &scenario.entries {
            if let Some(reason) = entry.rounds.iter().find_map(|round| of_answers(&round.load)) {
                add(entry, "", reason);
            }
            if entry.subject == super::DIRECT || has_nginx && entry.subject == "nginx" {
                continue;
            }
            let cpu = entry.figure(figure::CPU);
            let stands =
                cpu.and_then(|cpu| if has_nginx { cpu.to_nginx.as_ref() } else { cpu.sample.as_ref() });
            wanted += 1;
            withheld += u32::from(stands.is_none());
            if stands.is_none() && scenario.key == "saturated" && entry.subject == "proxy" {
                add(entry, figure::CPU, "what the run is first of all about is withheld".into());
            }
        }
    }
    if f64::from(withheld) > WITHHELD_MAX * f64::from(wanted) {
        voids.push(Void {
            scenario: String::new(),
            subject: String::new(),
            figure: figure::CPU.into(),
            reason: format!("{withheld} of its {wanted} comparisons are withheld"),
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
