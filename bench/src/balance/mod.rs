//! `bench balance`: what the methods do to servers that are alike, that are not, and of which one degrades.
//!
//! A server is a queue (`station.rs`): a few slots, and a line of those who wait for one. That is what an
//! application server with a fixed number of workers is, and without it no method would differ from another:
//! a server that works on everything at once never makes anybody wait.
//!
//! One schedule of arrivals (`plan.rs`) is played twice: to the production balancer in virtual time
//! (`simulated.rs`), and over sockets to the proxy, and to nginx where it is installed, before origins that
//! queue by the same code (`real.rs`). Where the two disagree, one of them is wrong, or the machine had no time.

pub mod model;
mod plan;
mod real;
mod simulated;
mod station;
mod table;

use std::path::PathBuf;

pub(crate) use table::{HEADER, groups, row, title};

use crate::compare::model::Machine;
use crate::lab::{self, Arranged, Binaries, Kind, LabError};
use crate::output::{self, ResultFile};
use model::{Plan, Run};
use plan::{CHOICES, CLIENTS_MAX, Servers};

/// What is asked of the balancers.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Seconds of load in each case
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Requests a second in the mean; the three servers at full speed can do 600
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub rate: u32,
    /// Clients, each in a network of its own; ip_hash is as even as they are many
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=CLIENTS_MAX as i64))]
    pub clients: u32,
    /// What arrivals and service times are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Play in virtual time only: no sockets, a second instead of minutes
    #[arg(long)]
    pub virtual_only: bool,
    /// The subject's core
    #[arg(long, default_value_t = 0)]
    pub subject_core: usize,
    /// Take proxy, backend and bench from this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    pub binaries: Option<PathBuf>,
    /// Write everything to this file as well; bench report reads it as balance.json
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Plays and prints.
///
/// # Errors
///
/// Where a subject or an origin does not start, or the file cannot be written.
pub fn run(options: &Options) -> Result<(), LabError> {
    let plan = Plan {
        seconds: options.seconds.into(),
        rate_per_s: options.rate.into(),
        clients: options.clients as usize,
        seed: options.seed,
        slots: 4,
        service_ms: 20.0,
    };
    let file = options.json.as_deref().map(ResultFile::open).transpose()?;
    let folder = lab::folder()?;
    let subjects = if options.virtual_only { Vec::new() } else { subjects(options, &folder)? };
    let versions = subjects.iter().map(|subject| (subject.kind.name().into(), subject.version.clone()));
    let mut run = Run {
        command: std::env::args().skip(1).collect(),
        machine: Machine::here(),
        versions: versions.collect(),
        plan,
        cases: Vec::new(),
    };
    let result = play_all(options, &subjects, &mut run);
    // What there is took minutes: it is kept, whatever happened then.
    if !run.cases.is_empty() {
        if let Some(file) = file {
            file.write(&serde_json::to_string_pretty(&run).expect("numbers and words"))?;
        }
        output::print(table::text(&run))?;
    }
    result
}

fn play_all(options: &Options, subjects: &[Arranged], run: &mut Run) -> Result<(), LabError> {
    for servers in Servers::ALL {
        for choice in &CHOICES {
            run.cases.push(simulated::play(&run.plan, servers, choice));
            for subject in subjects.iter().filter(|subject| subject.has(choice.method)) {
                let (seconds, name) = (options.seconds, subject.kind.name());
                output::tell(format_args!(
                    "{} servers, {}, {name}: {seconds} s",
                    servers.name(),
                    choice.name
                ));
                run.cases.push(real::play(&run.plan, servers, choice, subject, options.subject_core)?);
            }
        }
    }
    Ok(())
}

fn subjects(options: &Options, folder: &tempfile::TempDir) -> Result<Vec<Arranged>, LabError> {
    lab::refuse_debug_build()?;
    let binaries = match &options.binaries {
        Some(folder) => Binaries::find(folder)?,
        None => Binaries::build()?,
    };
    let mut subjects = Vec::new();
    for kind in [Kind::Proxy, Kind::Nginx] {
        match Arranged::new(kind, &binaries, folder.path())? {
            Some(subject) => subjects.push(subject),
            None => output::tell(format_args!("{} is not installed: left out", kind.name())),
        }
    }
    Ok(subjects)
}
