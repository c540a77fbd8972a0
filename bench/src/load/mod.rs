//! `bench load`: an HTTP/1.1 load generator whose latencies count from when requests were due.
//!
//! A closed loop, as most generators have it, asks again only when it is answered: while the server stalls
//! it asks nothing, and the stall shows up as one slow request instead of the thousands that users would have
//! sent meanwhile (*coordinated omission*). Here requests are due on a schedule that no server slows down,
//! and a request that had to wait for a free connection has waited.
//!
//! - `plan.rs`: what is to be done, complete and checked
//! - `schedule.rs`: when requests are due
//! - `engine.rs`, `connection.rs`, `timer.rs`: one thread's event loop
//! - `response.rs`: reads and checks responses
//! - `outcome.rs`: counts and histograms, which add up
//! - `hlog.rs`: histograms as files that any HdrHistogram tool reads, and that add up too
//! - `command.rs`, `show.rs`: the command line and what it prints

mod command;
mod connection;
mod engine;
mod hlog;
mod outcome;
mod plan;
mod response;
mod schedule;
mod show;
mod timer;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

pub use command::{Options, duration, main};
pub use engine::Shared;
pub use hlog::Log;
pub use outcome::{Failures, Interval, Outcome, Percentiles, Summary, Tally};
pub use plan::{Check, Pace, Plan, Request, Target};
pub use response::ServerName;

use crate::lab::{self, LabError};
use engine::{Done, Engine};
use rustix::io::Errno;

/// Why no load could be put on, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not one connection opened.
    #[error("cannot connect to {address}: {source}; is the server running?")]
    NoConnection {
        /// The server.
        address: SocketAddr,
        /// What failed.
        source: io::Error,
    },
    /// This process may not open as many connections.
    #[error(
        "cannot open {connections} connections to {address}: {source}; raise the limit (ulimit -n), or say fewer --connections"
    )]
    TooMany {
        /// How many were asked for.
        connections: usize,
        /// The server.
        address: SocketAddr,
        /// What failed.
        source: io::Error,
    },
    /// Something on the command line makes no sense.
    #[error("{0}")]
    Option(String),
    /// A file could not be read or written.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The kernel refused something that always works.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl LoadError {
    /// Why no connection opened: it may be this process that has no room for it, and not the server.
    fn of_opening(plan: &Plan, source: io::Error) -> LoadError {
        let (connections, address) = (plan.connections, plan.address);
        let of_this_process = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
        if of_this_process.contains(&source.raw_os_error()) {
            LoadError::TooMany { connections, address, source }
        } else {
            LoadError::NoConnection { address, source }
        }
    }
}

/// Puts the load on and waits for its end.
///
/// # Errors
///
/// [`LoadError::NoConnection`] where the server cannot be reached at the start, and [`LoadError::TooMany`] where this process may
/// not open so many connections. What happens to single requests later is counted, and no error.
pub fn run(plan: &Plan) -> Result<Outcome, LoadError> {
    run_shared(plan, &Arc::default())
}

/// As [`run`]; `shared` tells how far it has come and can stop it.
///
/// # Errors
///
/// As [`run`].
pub fn run_shared(plan: &Plan, shared: &Arc<Shared>) -> Result<Outcome, LoadError> {
    let ready = Barrier::new(plan.threads);
    let start = OnceLock::new();
    let open = |number: usize| -> Result<Engine<'_>, LoadError> {
        if let Some(&core) = plan.cores.get(number % plan.cores.len().max(1)) {
            lab::stay_on_core(core)?;
        }
        let engine = Engine::open(plan, number, Arc::clone(shared));
        engine.map_err(|source| LoadError::of_opening(plan, source))
    };
    let thread = |number: usize| -> Result<(SystemTime, Done), LoadError> {
        let engine = open(number);
        // Whatever came of it: the others wait.
        ready.wait();
        let (instant, started) = *start.get_or_init(|| (Instant::now(), SystemTime::now()));
        Ok((started, engine?.run(instant)?))
    };
    let done = thread::scope(|scope| {
        let threads: Vec<_> = (0..plan.threads).map(|number| scope.spawn(move || thread(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread does not panic")).collect::<Vec<_>>()
    });
    let mut outcome: Option<Outcome> = None;
    let mut ran = Duration::ZERO;
    for done in done {
        let (started, done) = done?;
        ran = ran.max(done.ran);
        let part = Outcome {
            tally: done.tally,
            answered_in_all: done.answered_in_all,
            failed_in_all: done.failed_in_all,
            cpu: done.cpu,
            busy: done.cpu.as_secs_f64() / done.ran.as_secs_f64().max(1e-9),
            ..Outcome::new(plan, started)
        };
        match &mut outcome {
            Some(outcome) => outcome.add(&part),
            None => outcome = Some(part),
        }
    }
    let mut outcome = outcome.expect("a plan has a thread");
    let ran = ran.saturating_sub(plan.warm_up);
    let measured = match plan.pace {
        // Answers that come after the end are counted. With a warm-up as many of its own, which come after it, are not; without
        // one they would make the rate too high.
        Pace::Saturate if plan.warm_up.is_zero() => ran,
        // It is over early where all requests of a limited plan were sent, or it was stopped.
        _ => plan.duration.min(ran),
    };
    outcome.measured = measured.max(Duration::from_nanos(1));
    Ok(outcome)
}
