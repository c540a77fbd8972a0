//! The command line of the laboratory.

use std::process::ExitCode;

use bench::{balance, compare, faults, gate, lab, load, output, relay, report};
use clap::{Parser, Subcommand};

/// Measures the proxy beside nginx, HAProxy and a plain TCP relay.
#[derive(Parser)]
#[command(name = "bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Subjects side by side: throughput, latency, CPU time, system calls, memory
    Compare(compare::Options),
    /// Whether two comparisons on one machine say the same
    Agree(compare::AgreeOptions),
    /// Who gets how many requests under each method, and who queues
    Balance(balance::Options),
    /// HTTP load on a schedule, with latencies that count from when requests were due
    Load(Box<load::Options>),
    /// The failure lab: what clients see while a server refuses, dies, hangs, lies or comes back
    Faults(faults::Options),
    /// The raw data of a folder as a page with plots, and as Markdown
    Report(report::Options),
    /// Instructions and system calls of a fixed exchange, against the committed figures
    Gate(gate::Options),
    /// A plain TCP relay: what no proxy on the same system calls can go below
    Relay(relay::Options),
}

impl Command {
    /// Whether it starts others that it has to end. `load` starts none, and ends early in its own way.
    fn starts_others(&self) -> bool {
        matches!(self, Command::Compare(_) | Command::Balance(_) | Command::Faults(_) | Command::Gate(_))
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::tell(format_args!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn std::error::Error>> {
    if command.starts_others() {
        lab::end_on_signals()?;
    }
    match command {
        Command::Compare(options) => compare::main(&options).map_err(Into::into),
        Command::Agree(options) => compare::agree(&options).map_err(Into::into),
        Command::Balance(options) => balance::run(&options).map_err(Into::into),
        Command::Load(options) => load::main(&options).map_err(Into::into),
        Command::Faults(options) => faults::run(&options).map_err(Into::into),
        Command::Report(options) => report::run(&options).map_err(Into::into),
        Command::Gate(options) => gate::run(&options).map_err(Into::into),
        Command::Relay(options) => relay::run(&options).map_err(Into::into),
    }
}
