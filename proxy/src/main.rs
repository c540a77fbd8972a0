//! The binary: arguments to [`Config`], then workers.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use proxy::config::nginx::cli::{self, Command, CommandLine};
use proxy::config::nginx::{self, Disk, Loaded, Options, Refused};
use proxy::config::{Config, flags};
use proxy::run;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if cli::is_nginx(&args) {
        return as_nginx(&args);
    }
    let config = match flags::parse(std::env::args_os()) {
        Ok(config) => config,
        Err(exit) => return exit.print(),
    };
    serve(&config, "proxy: ")
}

fn serve(config: &Config, prefix: &str) -> ExitCode {
    match run::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{prefix}{error}");
            ExitCode::FAILURE
        }
    }
}

/// Does what nginx would with these arguments.
fn as_nginx(args: &[OsString]) -> ExitCode {
    let folder = std::env::current_dir().unwrap_or_default();
    let line = match cli::parse(args, &folder.to_string_lossy()) {
        Ok(line) => line,
        Err(error) => {
            eprintln!("nginx: {error}");
            return ExitCode::FAILURE;
        }
    };
    match line.command {
        Command::Version { is_long } => eprint!("{}", cli::version(is_long)),
        Command::Help => eprint!("{}", cli::help()),
        Command::Test { .. } => {
            let report = cli::report(&line, &load(&line));
            eprint!("{}", report.stderr);
            // Whoever reads it may have gone.
            let _ = std::io::stdout().write_all(&report.stdout);
            return if report.is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Command::Signal(_) => {
            eprintln!(
                "nginx: [emerg] -s is not supported yet; send the signal to the process in the pid file"
            );
            return ExitCode::FAILURE;
        }
        Command::Run => match load(&line) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    eprintln!("nginx: [warn] {warning}");
                }
                return serve(&loaded.config, "nginx: [emerg] ");
            }
            Err(refused) => {
                eprintln!("nginx: [emerg] {}", refused.error);
                return ExitCode::FAILURE;
            }
        },
    }
    ExitCode::SUCCESS
}

fn load(line: &CommandLine) -> Result<Loaded, Box<Refused>> {
    let name = rustix::system::uname();
    nginx::load(
        &Disk,
        &Options {
            path: line.path.clone(),
            prefix: line.prefix.clone(),
            globals: &line.globals,
            error_log: &line.error_log,
            is_root: rustix::process::geteuid().is_root(),
            hostname: &name.nodename().to_string_lossy(),
        },
    )
}
