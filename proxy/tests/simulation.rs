//! The worker that ships, on a network that can do anything a network can do: see `simulation/mod.rs`.
//!
//! - `cargo test --test simulation` runs some hundred seeds;
//! - `SIM_SEED=n` replays one and prints all that happened;
//! - `SIM_SEEDS=n` runs that many, from `SIM_FROM` (default 0) on; `--profile sim` makes them quick, with all
//!   assertions on;
//! - `--features planted-bugs` adds the test that planted bugs are found; `SIM_BUG=name` looks for one alone.

#[path = "simulation/mod.rs"]
mod simulation;

use std::collections::BTreeMap;

use simulation::run;

/// Seeds of a normal run.
const SEEDS: u64 = 600;

/// Lines of the trace that a failure shows.
const TAIL: usize = 80;

/// What a normal run must meet, or it shows less than it seems to.
const MET: [&str; 27] = [
    "100 of the proxy's own",
    "a client that went away",
    "a name resolved anew",
    "a pooled connection used again",
    "a request refused",
    "a request sent by another method",
    "a request sent in HTTP/1.0",
    "a request sent again",
    "a request sent again after a part of a head",
    "a request sent again after a part of a short response",
    "a request that waited for a server",
    "a response broken off",
    "a response passed on",
    "a tunnel ended from both sides",
    "an answer before the request's end",
    "an attempt to connect refused",
    "an attempt to connect swallowed",
    "an error of the proxy's own",
    "an idle connection ended by its origin",
    "an interim response passed on",
    "another configuration",
    "no descriptor left",
    "reset",
    "stall",
    "trailers passed on to a client",
    "trailers passed on to an origin",
    "truncate",
];

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is to be a number, not {text:?}")))
}

/// Tells how to see a failed seed again, and what came last.
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
    if count >= SEEDS {
        let missed: Vec<_> = MET.iter().filter(|what| !seen.contains_key(**what)).collect();
        assert!(missed.is_empty(), "the runs never met {missed:?}: the simulation no longer bites");
    }
}

/// Seeds in which each planted bug is found at the latest.
#[cfg(feature = "planted-bugs")]
const FOUND_WITHIN: u64 = 4000;

/// The simulation bites: see `proxy/src/planted.rs`.
#[cfg(feature = "planted-bugs")]
#[test]
fn planted_bugs_are_found() {
    use proxy::planted::{Bug, plant};

    let only = std::env::var("SIM_BUG").ok();
    let wanted = |bug: &Bug| only.as_ref().is_none_or(|only| *only == format!("{bug:?}"));
    let mut missed = Vec::new();
    for bug in Bug::ALL.into_iter().filter(wanted) {
        plant(Some(bug));
        let found = (0..FOUND_WITHIN).find_map(|seed| Some((seed, run(seed, false).violation?)));
        match found {
            Some((seed, violation)) => println!("{bug:?}: seed {seed}: {violation}"),
            None => missed.push(bug),
        }
    }
    plant(None);
    assert!(missed.is_empty(), "not found within {FOUND_WITHIN} seeds: {missed:?}");
}
