//! `bench cost`: what one proxied request costs, subject beside subject.
//!
//! Three figures, each from the instrument that disturbs it least, in rounds of its own:
//!
//! - CPU time per request: what the scheduler accounts to the subject's threads while `wrk` keeps its
//!   connections busy, over the requests that were answered (`cpu.rs`);
//! - system calls per request: the kernel's tracepoint, counted by `perf stat`, in separate rounds
//!   (`syscalls.rs`);
//! - instructions per request in user space: `callgrind`, from a fixed exchange of N and one of 2N
//!   requests; their difference has no start in it (`instructions.rs`).
//!
//! The load is closed: each connection asks again as soon as it is answered. That is right for cost at
//! saturation and says nothing about latency.

mod cpu;
mod instructions;
mod report;
mod syscalls;
mod wrk;

use std::fs;
use std::path::PathBuf;

use crate::lab::{self, Binaries, Cores, Kind, LabError, Launch, Origins, Subject};
use report::{Report, Row};

/// What is measured and for how long.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Rounds; each visits every subject at every number of connections
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Seconds of load in each visit
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: u32,
    /// Connections that are kept busy
    #[arg(long, value_delimiter = ',', default_value = "64,1")]
    pub connections: Vec<u32>,
    /// Requests under callgrind, first run; the second has twice as many. 0: no instructions are counted
    #[arg(long, default_value_t = 6400)]
    pub instruction_requests: u32,
    /// The subject's core
    #[arg(long, default_value_t = 0)]
    pub subject_core: usize,
    /// The core of load and origins
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
    /// Take proxy, backend and bench from this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    pub binaries: Option<PathBuf>,
    /// Write everything to this file as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A subject with what was measured of it so far.
struct Entry {
    launch: Launch,
    subject: Subject,
    row: Row,
}

/// Measures and prints.
///
/// # Errors
///
/// Where something needed is not there, a subject does not answer, or a response is not what it should be:
/// then no figure is printed.
pub fn run(options: &Options) -> Result<(), LabError> {
    lab::refuse_debug_build()?;
    let cores = Cores::new(options.subject_core, options.load_core)?;
    let wrk = lab::installed("wrk").ok_or(LabError::Missing("wrk"))?;
    let counter = syscalls::Counter::find()?;
    let binaries = match &options.binaries {
        Some(folder) => Binaries::find(folder)?,
        None => Binaries::build()?,
    };
    let folder = lab::folder()?;
    let origins = Origins::start(&binaries, cores)?;

    let mut entries = Vec::new();
    for kind in Kind::ALL {
        let Some(launch) = Launch::new(kind, &binaries, &origins.addresses, folder.path())? else {
            println!("{} is not installed: left out", kind.name());
            continue;
        };
        let subject = launch.start(cores, &[])?;
        let row = Row::new(kind.name(), &launch.version);
        entries.push(Entry { launch, subject, row });
    }

    for &connections in &options.connections {
        let load =
            wrk::Load { program: wrk.clone(), connections, seconds: options.seconds, core: cores.load };
        for entry in &entries {
            load.warm_up(entry.subject.address)?;
        }
        for round in 1..=options.rounds {
            eprintln!("{connections} connections, round {round} of {}", options.rounds);
            for entry in &mut entries {
                let visit = cpu::visit(&entry.subject, &load)?;
                entry.row.add_cpu(connections, &visit);
            }
        }
        for entry in &mut entries {
            let calls = counter.visit(&entry.subject, &load)?;
            entry.row.add_calls(connections, calls);
        }
    }

    if options.instruction_requests > 0 {
        match instructions::Callgrind::find(folder.path()) {
            Some(callgrind) => {
                for Entry { launch, row, .. } in &mut entries {
                    eprintln!("instructions of {}", row.name);
                    row.instructions = Some(callgrind.visit(launch, cores, options.instruction_requests)?);
                }
            }
            None => println!("valgrind is not installed: no instructions are counted"),
        }
    }

    let report = Report::new(options, entries.into_iter().map(|entry| entry.row).collect());
    println!("{}", report.table());
    if let Some(file) = &options.json {
        fs::write(file, report.json())?;
    }
    Ok(())
}
