//! `bench faults`, the failure lab: the same misfortune for every proxy, and what their clients saw of it.
//!
//! Each case starts two servers and one subject, puts an even load of idempotent requests on it, lets app2 go wrong
//! in one way, ends that, and keeps a time line in short buckets:
//!
//! ```text
//! load   |── calm ──|────── fault ──────|────── after ──────|
//! app2     well      refuses, hangs, …    well
//! seen               failed? how slow?    who answers, when again?
//!                    out after …          back after …
//! ```
//!
//! - `fault.rs`: what goes wrong, and for whom
//! - `servers.rs`: the two servers, scripted or real, and Redis
//! - `play.rs`: one case
//! - `watch.rs`: the moment at which a subject's log says that a server is out
//! - `model.rs`, `table.rs`: the figures as data and on a terminal
//!
//! Rules are the same for all subjects as far as they have the same words (`lab/setup.rs` says where not). The
//! load counts a request as failed that has no whole 200, and repeats nothing.

mod fault;
pub mod model;
mod play;
mod servers;
mod table;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;

pub use fault::Fault;
pub use play::PlayError;

use crate::compare::model::Machine;
use crate::lab::{self, Arranged, Binaries, Cores, Kind};
use crate::output::{self, ResultFile};
use model::{Case, Rules, Run};

/// What is tried on whom.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// The faults, separated by commas; all where none is named
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FAULT")]
    pub faults: Vec<Fault>,
    /// The subjects, separated by commas: proxy, nginx, haproxy; those that are not installed are left out
    #[arg(long, value_delimiter = ',', default_value = "proxy,nginx,haproxy", value_parser = subject)]
    pub subjects: Vec<Kind>,
    /// fail_timeout in seconds; the fault lasts 2.5 times as long, and the load
    /// goes on twice as long after it
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub fail_timeout: u32,
    /// Requests a second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=5000))]
    pub rate: u32,
    /// The subject's core
    #[arg(long, default_value_t = 0)]
    pub subject_core: usize,
    /// The core of load and servers
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
    /// Take proxy, backend and bench from this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    pub binaries: Option<PathBuf>,
    /// Write everything to this file as well; bench report reads it as faults.json
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

fn subject(name: &str) -> Result<Kind, String> {
    let kind = [Kind::Proxy, Kind::Nginx, Kind::Haproxy].into_iter().find(|kind| kind.name() == name);
    kind.ok_or_else(|| format!("there is no subject {name:?}; say proxy, nginx or haproxy"))
}

/// Plays all cases and prints.
///
/// # Errors
///
/// Where something does not start, does not come back, or the file cannot be written.
pub fn run(options: &Options) -> Result<(), PlayError> {
    lab::refuse_debug_build()?;
    let file = options.json.as_deref().map(ResultFile::open).transpose()?;
    lab::raise_open_files()?;
    let binaries = match &options.binaries {
        Some(folder) => Binaries::find(folder)?,
        None => Binaries::build()?,
    };
    let cores = Cores::new(options.subject_core, options.load_core)?;
    let faults = if options.faults.is_empty() { Fault::value_variants() } else { &options.faults };
    let mut run = Run::new(&rules(options));
    let result = play_all(faults, &options.subjects, &binaries, cores, has_redis(), &mut run);
    // What there is took minutes: it is kept, whatever happened then.
    if !run.cases.is_empty() {
        if let Some(file) = file {
            // Not for eyes: time lines are long, and the report shows them.
            file.write(&serde_json::to_string(&run).expect("numbers and words"))?;
        }
        output::print(table::text(&run))?;
    }
    result
}

/// Plays every fault to every subject that is installed.
///
/// # Errors
///
/// Where something does not start or does not come back.
pub fn measure(
    faults: &[Fault],
    subjects: &[Kind],
    rules: &Rules,
    binaries: &Binaries,
    cores: Cores,
) -> Result<Run, PlayError> {
    let mut run = Run::new(rules);
    play_all(faults, subjects, binaries, cores, has_redis(), &mut run)?;
    Ok(run)
}

fn has_redis() -> bool {
    lab::installed("redis-server").is_some()
}

/// Adds the cases to `run` as they are played: those before an error are there.
fn play_all(
    faults: &[Fault],
    subjects: &[Kind],
    binaries: &Binaries,
    cores: Cores,
    has_redis: bool,
    run: &mut Run,
) -> Result<(), PlayError> {
    let folder = lab::folder()?;
    let mut arranged = Vec::new();
    for &kind in subjects {
        match Arranged::new(kind, binaries, folder.path())? {
            Some(subject) => arranged.push(subject),
            None => output::tell(format_args!("{} is not installed: left out", kind.name())),
        }
    }
    let versions = arranged.iter().map(|subject| (subject.kind.name().into(), subject.version.clone()));
    run.versions.extend(versions);
    if !has_redis {
        output::tell("redis-server is not installed: faults of servers that count in it are left out");
    }
    for &fault in faults {
        for subject in &arranged {
            let (seen, note) = match fault.obstacle(subject.kind, has_redis) {
                Some(why) => (None, Some(why)),
                None => {
                    output::tell(format_args!("{}, {}", fault.name(), subject.kind.name()));
                    (Some(play::play(fault, subject, &run.rules, binaries, cores)?), fault.note())
                }
            };
            run.cases.push(Case {
                fault: fault.name(),
                what: fault.what(),
                can_be_hidden: fault.can_be_hidden(),
                subject: subject.kind.name().into(),
                seen,
                note: note.map(Into::into),
            });
        }
    }
    Ok(())
}

impl Run {
    /// Of nothing yet.
    fn new(rules: &Rules) -> Run {
        Run {
            command: std::env::args().skip(1).collect(),
            machine: Machine::here(),
            versions: BTreeMap::new(),
            rules: rules.clone(),
            cases: Vec::new(),
        }
    }
}

fn rules(options: &Options) -> Rules {
    let fail_timeout_ms = 1000 * u64::from(options.fail_timeout);
    Rules {
        rate_per_s: options.rate.into(),
        // Enough that nobody waits for a connection while a whole read timeout's requests hang.
        connections: (options.rate as usize * 3 / 2).max(64),
        max_fails: 1,
        fail_timeout_ms,
        connect_timeout_ms: 500,
        read_timeout_ms: 1000,
        slow_ms: 300,
        calm_ms: fail_timeout_ms / 2,
        // No multiple: who tries again just as it ends would look quick to come back.
        fault_ms: fail_timeout_ms * 5 / 2,
        after_ms: 2 * fail_timeout_ms,
        bucket_ms: 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_leaves_the_cases_before_it() {
        let nowhere = PathBuf::from("/nonexistent");
        let binaries = Binaries { proxy: nowhere.clone(), backend: nowhere.clone(), bench: nowhere };
        let line = <Line as clap::Parser>::parse_from(["faults"]);
        let short = Rules { calm_ms: 100, fault_ms: 100, after_ms: 100, ..rules(&line.options) };
        let mut run = Run::new(&short);
        // Scripted servers, then two backends.
        let faults = [Fault::Status500, Fault::Kill];
        let error =
            play_all(&faults, &[Kind::Nginx], &binaries, Cores { subject: 0, load: 1 }, true, &mut run);
        assert!(error.unwrap_err().to_string().starts_with("cannot start app1"));
        let cases: Vec<_> = run.cases.iter().map(|case| (&*case.fault, case.seen.is_some())).collect();
        assert_eq!(cases, [("status500", true)]);
        assert!(run.versions.contains_key("nginx"));
    }

    #[test]
    fn without_redis_its_cases_alone_are_left_out() {
        let nowhere = PathBuf::from("/nonexistent");
        let binaries = Binaries { proxy: nowhere.clone(), backend: nowhere.clone(), bench: nowhere };
        let line = <Line as clap::Parser>::parse_from(["faults"]);
        let short = Rules { calm_ms: 100, fault_ms: 100, after_ms: 100, ..rules(&line.options) };
        let mut run = Run::new(&short);
        let faults = [Fault::Kill, Fault::Reload, Fault::Status500];
        play_all(&faults, &[Kind::Nginx], &binaries, Cores { subject: 0, load: 1 }, false, &mut run).unwrap();
        let played: Vec<bool> = run.cases.iter().map(|case| case.seen.is_some()).collect();
        assert_eq!(played, [false, false, true]);
        let text = table::text(&run);
        assert!(
            text.contains("kill, nginx: redis-server, in which its servers count, is not installed"),
            "{text}"
        );
    }

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }
}
