//! The real binary under attack and under strain: thousands of slow clients, floods, noise, origins that
//! misbehave. While it lasts every normal request is served; memory stays within bounds; afterwards memory and
//! descriptors are back where they were.
//!
//! - `cargo test --test strain` runs all of it in about a minute;
//! - `STRAIN_STRINGS=100000` throws that many random byte strings (`noise.rs`).
//!
//! What happens without descriptors stands in `loopback/limits.rs`.

#[path = "../support/mod.rs"]
mod support;

mod crowd;
mod floods;
mod load;
mod mill;
mod noise;
mod origins;
mod slow;

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets one test run at a time: they share the machine's processors and the process's descriptors. Raises the
/// limit on descriptors.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("a limit");
    guard
}

/// `wanted` connections, or as many as the limit on descriptors allows where each takes up to three here.
fn as_many_as_allowed(wanted: usize) -> usize {
    let allowed = getrlimit(Resource::Nofile).maximum.map_or(usize::MAX, |most| most as usize);
    let count = wanted.min(allowed.saturating_sub(200) / 3);
    if count < wanted {
        eprintln!("only {allowed} descriptors are allowed here: {count} connections instead of {wanted}");
    }
    assert!(count >= 250, "{allowed} descriptors are too few to strain anything; raise the hard limit");
    count
}
