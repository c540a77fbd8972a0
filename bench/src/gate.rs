//! `bench gate`: what a fixed exchange costs, held against what it cost when the figures were committed.
//!
//! Time cannot gate on a machine that others use too; counts can. Instructions in user space (callgrind), the system calls
//! that move data, and all system calls but waiting (`strace`), each from N and from 2N requests, so that the start does
//! not count. How often the proxy waits depends on how fast the other side is, and is left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::compare::instructions::{CONNECTIONS, Callgrind, exchange};
use crate::lab::{self, Binaries, Cores, Kind, LabError, Launch, Origins, installed};
use crate::output;

/// What is counted and against what.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// The committed figures
    #[arg(long, value_name = "FILE", default_value = "bench/gate.json")]
    pub baseline: PathBuf,
    /// Write what was counted to that file, as the new figures
    #[arg(long)]
    pub update: bool,
    /// Take proxy, backend and bench from this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    pub binaries: Option<PathBuf>,
}

/// The figures, per request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Figures {
    /// Instructions in user space.
    instructions: f64,
    /// System calls that move data: receive and send.
    data_calls: f64,
    /// System calls of every kind, without waiting.
    calls: f64,
}

/// The calls that move data.
const DATA: [&str; 8] = ["recvfrom", "recvmsg", "sendto", "sendmsg", "read", "readv", "write", "writev"];

/// The calls that wait.
const WAITING: [&str; 3] = ["epoll_wait", "epoll_pwait", "epoll_pwait2"];

/// How much more is allowed, and how much less before the committed figures have to follow: what was won would
/// otherwise be lost again unseen.
const MARGIN: f64 = 0.03;

/// Requests of the shorter run.
const REQUESTS: u32 = 3200;

/// Why the gate is closed.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// Something could not be counted.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The committed figures cannot be read or written.
    #[error("{}: {source}; bench gate --update writes it", path.display())]
    Baseline {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: std::io::Error,
    },
    /// A request costs more than it did.
    #[error(
        "{what} per request: {now:.2}, more than 3 % above {then:.2}; make it cheaper, or say why and run bench gate --update"
    )]
    Dearer {
        /// What is counted.
        what: &'static str,
        /// What it is now.
        now: f64,
        /// What is committed.
        then: f64,
    },
    /// A request costs less than it did.
    #[error(
        "{what} per request: {now:.2}, more than 3 % below {then:.2}; run bench gate --update, so that it stays so cheap"
    )]
    Cheaper {
        /// What is counted.
        what: &'static str,
        /// What it is now.
        now: f64,
        /// What is committed.
        then: f64,
    },
}

/// Counts, prints and compares.
///
/// # Errors
///
/// See [`GateError`].
pub fn run(options: &Options) -> Result<(), GateError> {
    lab::refuse_debug_build()?;
    let binaries = match &options.binaries {
        Some(folder) => Binaries::find(folder)?,
        None => Binaries::build()?,
    };
    let now = count(&binaries)?;
    let text = format!(
        "instructions per request: {:.0}\ndata calls per request:   {:.2}\ncalls per request:        {:.2}",
        now.instructions, now.data_calls, now.calls
    );
    output::print(text).map_err(LabError::from)?;
    let at = |source| GateError::Baseline { path: options.baseline.clone(), source };
    if options.update {
        let text = serde_json::to_string_pretty(&now).map_err(|error| at(error.into()))?;
        return fs::write(&options.baseline, text + "\n").map_err(at);
    }
    let text = fs::read_to_string(&options.baseline).map_err(at)?;
    let then: Figures = serde_json::from_str(&text).map_err(|error| at(error.into()))?;
    hold("instructions", now.instructions, then.instructions)?;
    hold("data calls", now.data_calls, then.data_calls)?;
    hold("calls", now.calls, then.calls)
}

fn hold(what: &'static str, now: f64, then: f64) -> Result<(), GateError> {
    if now > then * (1.0 + MARGIN) {
        Err(GateError::Dearer { what, now, then })
    } else if now < then * (1.0 - MARGIN) {
        Err(GateError::Cheaper { what, now, then })
    } else {
        Ok(())
    }
}

fn count(binaries: &Binaries) -> Result<Figures, LabError> {
    let cores = Cores::new(0, 1)?;
    let folder = lab::folder()?;
    let origins = Origins::start(binaries, cores)?;
    let launch = Launch::new(Kind::Proxy, binaries, &origins.addresses, folder.path())?;
    let launch = launch.ok_or(LabError::Missing("proxy"))?;
    let callgrind = Callgrind::find(folder.path()).ok_or(LabError::Missing("valgrind"))?;
    let strace = installed("strace").ok_or(LabError::Missing("strace"))?;

    let instructions = callgrind.visit(&launch, cores, REQUESTS)?;
    let rounds = REQUESTS / CONNECTIONS;
    let once = calls(&launch, cores, &strace, folder.path(), rounds)?;
    let twice = calls(&launch, cores, &strace, folder.path(), 2 * rounds)?;
    let per_request =
        |of: fn(&Calls) -> u32| f64::from(of(&twice) - of(&once)) / f64::from(rounds * CONNECTIONS);
    Ok(Figures {
        instructions,
        data_calls: per_request(|calls| calls.data),
        calls: per_request(|calls| calls.all),
    })
}

/// System calls of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Calls {
    data: u32,
    /// Without those that wait.
    all: u32,
}

/// What the proxy calls in a run of so many rounds.
fn calls(
    launch: &Launch,
    cores: Cores,
    strace: &Path,
    folder: &Path,
    rounds: u32,
) -> Result<Calls, LabError> {
    let file = folder.join(format!("calls-{rounds}"));
    let wrapper = [
        strace.display().to_string(),
        // The proxy is the child, so that it is what ends first; the counts are written behind it.
        "-D".into(),
        "-f".into(),
        "-c".into(),
        "-U".into(),
        "name,calls".into(),
        "-o".into(),
        file.display().to_string(),
    ];
    let mut subject = launch.start(cores, &wrapper)?;
    exchange(subject.address, rounds)?;
    subject.process.end();
    let start = Instant::now();
    loop {
        match fs::read_to_string(&file).ok().and_then(|text| Calls::read(&text)) {
            Some(calls) => return Ok(calls),
            None if start.elapsed() > Duration::from_secs(10) => {
                return Err(LabError::Tool { tool: "strace", said: "no counts".into() });
            }
            None => thread::sleep(Duration::from_millis(50)),
        }
    }
}

impl Calls {
    /// From a table of `name calls`, which ends with `total 1234`; `None` while it does not.
    fn read(text: &str) -> Option<Calls> {
        text.lines().rev().find(|line| line.starts_with("total"))?;
        let count = |line: &str| {
            let (name, count) = line.split_once(' ')?;
            Some((name.to_owned(), count.trim().parse::<u32>().ok()?))
        };
        let rows: Vec<(String, u32)> = text.lines().filter_map(count).collect();
        let sum = |is_meant: &dyn Fn(&str) -> bool| {
            rows.iter().filter(|(name, _)| is_meant(name)).map(|(_, count)| count).sum::<u32>()
        };
        Some(Calls {
            data: sum(&|name| DATA.contains(&name)),
            all: sum(&|name| name != "total" && !WAITING.contains(&name)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_once_they_are_there() {
        let text = "syscall  calls\n-------- -----\nrecvfrom 12\nepoll_wait 4\nclose 3\n";
        assert_eq!(Calls::read(text), None);
        let text = format!("{text}-------- -----\ntotal    19\n");
        assert_eq!(Calls::read(&text), Some(Calls { data: 12, all: 15 }));
    }

    #[cfg(debug_assertions)]
    #[test]
    fn a_debug_build_counts_nothing() {
        let options = Options { baseline: "none".into(), update: false, binaries: None };
        assert!(matches!(run(&options), Err(GateError::Lab(LabError::DebugBuild))));
    }

    #[test]
    fn three_percent_more_or_less_are_too_much() {
        assert!(hold("x", 103.0, 100.0).is_ok());
        assert!(hold("x", 97.0, 100.0).is_ok());
        let error = hold("calls", 96.9, 100.0).expect_err("too little").to_string();
        assert!(error.contains("3 % below 100.00; run bench gate --update"), "{error}");
        let error = hold("instructions", 103.1, 100.0).expect_err("too much");
        assert!(
            error.to_string().starts_with("instructions per request: 103.10, more than 3 % above 100.00")
        );
    }
}
