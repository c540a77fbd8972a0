//! The worker that ships, on a network that can do anything a network can do: see `simulation/mod.rs`.
//!
//! - `cargo test --test simulation` runs a few hundred seeds;
//! - `SIM_SEED=n` replays one and prints all that happened;
//! - `SIM_SEEDS=n` runs that many, from `SIM_FROM` (default 0) on.

#[path = "simulation/mod.rs"]
mod simulation;

use std::collections::BTreeMap;

use simulation::run;

/// Seeds of a normal run.
const SEEDS: u64 = 400;

/// Lines of the trace that a failure shows.
const TAIL: usize = 80;

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is to be a number, not {text:?}")))
}

/// Runs a seed that is known to fail, again with its trace, and tells about it.
fn fail(seed: u64, violation: &str) -> ! {
    let trace = run(seed, true).trace;
    for line in &trace[trace.len().saturating_sub(TAIL)..] {
        println!("{line}");
    }
    panic!(
        "seed {seed}: {violation}\n  replay with everything that happened: \
         SIM_SEED={seed} cargo test --test simulation seeds -- --nocapture"
    );
}

#[test]
fn seeds() {
    if let Some(seed) = variable("SIM_SEED") {
        let report = run(seed, true);
        for line in &report.trace {
            println!("{line}");
        }
        if let Some(violation) = report.violation {
            panic!("seed {seed}: {violation}");
        }
        return;
    }
    let from = variable("SIM_FROM").unwrap_or(0);
    let count = variable("SIM_SEEDS").unwrap_or(SEEDS);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in from..from + count {
        let report = run(seed, false);
        if let Some(violation) = report.violation {
            fail(seed, &violation);
        }
        for (what, times) in report.seen {
            *seen.entry(what).or_default() += times;
        }
    }
    for (what, times) in &seen {
        println!("{times:>8} {what}");
    }
}

/// Seeds in which each planted bug is found at the latest.
#[cfg(feature = "planted-bugs")]
const FOUND_WITHIN: u64 = 40000;

/// The simulation bites: see `proxy/src/planted.rs`. Run with
/// `cargo test --features planted-bugs --test simulation planted`.
#[cfg(feature = "planted-bugs")]
#[test]
fn planted_bugs_are_found() {
    use proxy::planted::{Bug, plant};

    // What a planted bug does to an assertion is found like all else, and not worth a page each.
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    let only = std::env::var("SIM_BUG").ok();
    for bug in Bug::ALL.into_iter().filter(|bug| only.as_ref().is_none_or(|only| format!("{bug:?}") == *only))
    {
        plant(Some(bug));
        let found = (0..FOUND_WITHIN).find_map(|seed| Some((seed, run(seed, false).violation?)));
        match found {
            Some((seed, violation)) => println!("{bug:?}: seed {seed}: {violation}"),
            None => missed.push(bug),
        }
    }
    plant(None);
    let _ = std::panic::take_hook();
    assert!(missed.is_empty(), "not found within {FOUND_WITHIN} seeds: {missed:?}");
}
