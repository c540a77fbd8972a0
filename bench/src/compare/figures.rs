//! From rounds to figures: medians over the good rounds, and ratios taken within rounds.

use std::collections::BTreeMap;

use super::model::{Entry, Figure, Round, figure};
use super::scenario::Scenario;
use crate::load::Percentiles;
use crate::stats::Sample;

/// So many requests have to lie beyond a percentile for it to be one.
const BEYOND_MIN: f64 = 10.0;

/// So many clock ticks it takes to tell user from system time: the share is then known to 5 points, one standard error.
pub(crate) const TICKS_MIN: u64 = 100;

/// The percentiles of `count` requests that have enough of them beyond; the others are 0.
pub(super) fn supported(latency: Percentiles, count: u64) -> Percentiles {
    let keep = |value, one_of: f64| if count as f64 / one_of >= BEYOND_MIN { value } else { 0.0 };
    Percentiles {
        p99: keep(latency.p99, 100.0),
        p99_9: keep(latency.p99_9, 1_000.0),
        p99_99: keep(latency.p99_99, 10_000.0),
        ..latency
    }
}

/// The figures that are compared with those of the floor and of nginx.
const COMPARED: [&str; 4] = [figure::CPU, figure::REQUESTS, figure::P50, figure::P99];

/// Fills in the figures of a scenario's entries from the rounds at `good`.
pub(super) fn fill(scenario: &Scenario, entries: &mut [Entry], good: &[usize]) {
    let all: Vec<Values> = entries.iter().map(|entry| values(scenario, entry, good, entries)).collect();
    for (entry, values) in entries.iter_mut().zip(&all) {
        let of = |(name, sample): (&&'static str, &Sample)| {
            let figure = Figure { sample: Some(sample.clone()), to_floor: None, to_nginx: None };
            ((*name).to_owned(), figure)
        };
        entry.figures = values.iter().map(of).collect();
    }
    // What the load's core limits says how fast that is; CPU time is the subject's own all the same.
    let limited: Vec<bool> = entries.iter().map(|entry| !entry.at_least().is_empty()).collect();
    let at = |name: &str| entries.iter().position(|entry| entry.subject == name);
    let (floor, nginx) = (at("relay"), at("nginx"));
    // At an offered rate all answer as many as are asked for.
    let is_closed = scenario.pace.rate().is_none();
    for (mine, entry) in entries.iter_mut().enumerate() {
        for (name, figure) in &mut entry.figures {
            let has_ratio = COMPARED.contains(&name.as_str()) && (is_closed || name != figure::REQUESTS);
            let ratio = |other: Option<usize>| {
                let other =
                    other.filter(|other| name == figure::CPU || !limited[mine] && !limited[*other])?;
                let to = all[other].get(name.as_str())?;
                let is_positive = to.rounds.iter().all(|value| *value > 0.0);
                Sample::of_ratios(figure.sample.as_ref()?, to).filter(|_| has_ratio && is_positive)
            };
            (figure.to_floor, figure.to_nginx) = (ratio(floor), ratio(nginx));
        }
    }
}

/// The samples of one entry, by name.
type Values = BTreeMap<&'static str, Sample>;

fn values(scenario: &Scenario, entry: &Entry, good: &[usize], entries: &[Entry]) -> Values {
    let rounds: Vec<&Round> = good.iter().map(|at| &entry.rounds[*at]).collect();
    let mut values = Values::new();
    let mut add = |name, of: &dyn Fn(&Round) -> f64| {
        values.extend(Sample::of(rounds.iter().map(|round| of(round))).map(|sample| (name, sample)));
    };
    add(figure::REQUESTS, &|round| round.load.answered_per_s);
    add(figure::P50, &|round| latency(round).p50);
    // Of a large body a round has a few hundred: their 99th percentile would be one of the slowest.
    let has_p99 = rounds.iter().all(|round| supported(*latency(round), round.load.answered).p99 > 0.0);
    if has_p99 {
        add(figure::P99, &|round| latency(round).p99);
    }
    if entry.rounds.iter().any(|round| round.cpu_ns > 0) {
        let requests = |round: &Round| round.load.answered_in_all.max(1) as f64;
        let cpu_us = move |round: &Round| round.cpu_ns as f64 / 1e3 / requests(round);
        add(figure::CPU, &cpu_us);
        if let Some(share) = user_share(&rounds) {
            add(figure::CPU_USER, &|round| cpu_us(round) * share);
            add(figure::CPU_SYSTEM, &|round| cpu_us(round) * (1.0 - share));
        }
        add(figure::BUSY, &|round| round.cpu_ns as f64 / 1e9 / round.seconds);
        add(figure::MEMORY, &|round| round.memory_kib as f64);
        add(figure::MB_PER_CPU_S, &|round| {
            let per_request = scenario.body_bytes(&round.load) as f64 / round.load.answered.max(1) as f64;
            per_request / cpu_us(round)
        });
    }
    let direct = entries.iter().find(|entry| entry.subject == super::DIRECT);
    let direct = direct.filter(|direct| direct.subject != entry.subject);
    if let Some(direct) = direct.filter(|_| scenario.model().has_added_latency()) {
        let added = |of: fn(&Percentiles) -> f64| {
            let pair = |at: &usize| of(latency(&entry.rounds[*at])) - of(latency(&direct.rounds[*at]));
            Sample::of(good.iter().map(pair))
        };
        values.extend(added(|latency| latency.p50).map(|sample| (figure::ADDED_P50, sample)));
        if has_p99 {
            values.extend(added(|latency| latency.p99).map(|sample| (figure::ADDED_P99, sample)));
        }
    }
    values
}

/// The share of user space, 0 to 1, of all good rounds together: what is sampled in a single one is a handful of ticks. `None` where it
/// is few in all of them.
fn user_share(rounds: &[&Round]) -> Option<f64> {
    let ticks: u64 = rounds.iter().map(|round| round.ticks).sum();
    let user: u64 = rounds.iter().map(|round| round.user_ticks).sum();
    (ticks >= TICKS_MIN).then(|| user as f64 / ticks as f64)
}

/// From when requests were due; in a closed loop that is when they were sent.
fn latency(round: &Round) -> &Percentiles {
    if round.load.offered_per_s.is_some() { &round.load.from_due_us } else { &round.load.from_sent_us }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Pace, Summary};

    #[test]
    fn the_split_of_cpu_time_is_that_of_all_rounds() {
        let round = |ticks, user_ticks| Round { ticks, user_ticks, ..Round::default() };
        let share = |rounds: [Round; 3]| user_share(&rounds.iter().collect::<Vec<_>>());
        assert_eq!(share([round(40, 0), round(50, 20), round(10, 10)]), Some(0.3));
        assert_eq!(share([round(40, 0), round(50, 20), round(9, 9)]), None);
    }

    #[test]
    fn what_the_load_does_not_limit_is_compared() {
        let ratios = |scenario: &Scenario, load_core_busy: [f64; 2]| -> Vec<String> {
            let entry = |(number, load_core_busy): (usize, f64)| {
                let scale = 1.0 + number as f64;
                let us = Percentiles { p50: scale, p99: scale, ..Percentiles::default() };
                let offered_per_s = scenario.pace.rate();
                let load =
                    Summary { answered: 2000, answered_in_all: 2000, offered_per_s, ..Summary::default() };
                let load = Summary { answered_per_s: scale, from_due_us: us, from_sent_us: us, ..load };
                let round =
                    Round { load, cpu_ns: 1_000_000, seconds: 1.0, load_core_busy, ..Round::default() };
                Entry { rounds: vec![round; 3], ..Entry::new(["proxy", "nginx"][number]) }
            };
            let mut entries = load_core_busy.into_iter().enumerate().map(entry).collect::<Vec<_>>();
            fill(scenario, &mut entries, &[0, 1, 2]);
            let figures = entries[0].figures.iter();
            let ratio = |(name, figure): (&String, &Figure)| {
                assert!(figure.to_floor.is_none());
                Some(format!("{name} {}", figure.to_nginx.as_ref()?.median))
            };
            figures.filter_map(ratio).collect()
        };
        let open = Scenario::sweep(8000.0);
        let mut closed = open.clone();
        closed.pace = Pace::Saturate;
        assert_eq!(ratios(&open, [0.5, 0.5]), ["cpu_us 1", "p50_us 0.5", "p99_us 0.5"]);
        let all = ["cpu_us 1", "p50_us 0.5", "p99_us 0.5", "requests_per_s 0.5"];
        assert_eq!(ratios(&closed, [0.5, 0.5]), all);
        for limited in [[0.99, 0.5], [0.5, 0.99]] {
            assert_eq!(ratios(&closed, limited), ["cpu_us 1"]);
        }
    }

    #[test]
    fn a_round_of_few_requests_has_no_p99() {
        let settings = || crate::compare::options::Settings {
            is_full: true,
            redis: false,
            may_sleep: false,
            rounds: 2,
            seconds: 0.6,
            rate_seconds: 0.6,
            rates: Vec::new(),
            only: vec!["body-1m".into()],
            kinds: Vec::new(),
        };
        let scenario = &Scenario::all(&settings())[0];
        let names = |answered: [u64; 2]| -> Vec<String> {
            let round = |answered| {
                let from_sent_us = Percentiles { p50: 1.0, p99: 2.0, ..Percentiles::default() };
                Round { load: Summary { answered, from_sent_us, ..Summary::default() }, ..Round::default() }
            };
            let mut entries = [Entry { rounds: answered.map(round).into(), ..Entry::new("x") }];
            fill(scenario, &mut entries, &[0, 1]);
            entries[0].figures.keys().cloned().collect()
        };
        assert_eq!(names([1000, 1000]), [figure::P50, figure::P99, figure::REQUESTS]);
        assert_eq!(names([1000, 600]), [figure::P50, figure::REQUESTS]);
    }

    #[test]
    fn a_percentile_needs_requests_beyond_it() {
        let all = Percentiles { p50: 1.0, p99: 2.0, p99_9: 3.0, p99_99: 4.0, ..Percentiles::default() };
        let tails = |count| {
            let Percentiles { p50, p99, p99_9, p99_99, .. } = supported(all, count);
            [p50, p99, p99_9, p99_99]
        };
        assert_eq!(tails(999), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(tails(10_000), [1.0, 2.0, 3.0, 0.0]);
        assert_eq!(tails(100_000), [1.0, 2.0, 3.0, 4.0]);
    }
}
