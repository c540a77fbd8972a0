//! The binary: arguments to [`Config`], then workers.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use proxy::config::flags;
use proxy::config::nginx::cli::{self, Command, CommandLine};
use proxy::config::nginx::{self, Disk, Loaded, Refused, Warning};
use proxy::logging;
use proxy::process::{self, order, successor};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if cli::is_nginx(&args) {
        return as_nginx(&args);
    }
    let config = match flags::parse(std::env::args_os()) {
        Ok(config) => config,
        Err(exit) => return exit.print(),
    };
    match process::run(config, None) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("proxy: {error}\n"));
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
            tell(&format!("nginx: {error}\n"));
            return ExitCode::FAILURE;
        }
    };
    match line.command {
        Command::Version { is_long } => tell(&cli::version(is_long)),
        Command::Help => tell(&cli::help()),
        Command::Test { .. } => {
            if let Some(is_long) = line.version {
                tell(&cli::version(is_long));
            }
            open_log(&line);
            let loaded = load(&line, successor::is_privileged());
            log_warnings(&loaded);
            let loaded = loaded.and_then(check);
            if let Err(refused) = &loaded {
                log(&emerg(refused));
            }
            let report = cli::report(&line, &loaded);
            tell(&report.stderr);
            // Whoever reads it may have gone.
            let _ = std::io::stdout().write_all(&report.stdout);
            return if report.is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Command::Signal(signal) => {
            open_log(&line);
            let sent = load_aloud(&line, successor::is_privileged()).and_then(|loaded| {
                process::hand_over_log(&loaded.config);
                let pid_file = loaded.config.process.pid_file.unwrap_or_default();
                if logging::file().is_some() {
                    log::info!("signal process started");
                }
                order::send(signal, &pid_file)
            });
            if let Err(error) = sent {
                return fail(&error);
            }
        }
        Command::Run => return run(&line),
    }
    ExitCode::SUCCESS
}

fn run(line: &CommandLine) -> ExitCode {
    open_log(line);
    // As another user it goes on as root's process: a server without `listen` stays where it is.
    let is_root = successor::is_privileged();
    let loaded = match load_aloud(line, is_root) {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error),
    };
    // nginx would leave root to its master, which this process has to be as well: it reads the file again, and opens
    // logs anew.
    if is_root && loaded.config.process.user.is_none() {
        let warning =
            "clients are served as root: name another user in \"user\", or \"user root\" if it is meant";
        tell(&format!("nginx: [warn] {warning}\n"));
        if logging::file().is_some() {
            log::warn!("{warning}");
        }
    }
    let reload = || {
        let loaded = load(line, is_root);
        for warning in warnings(&loaded) {
            log::warn!("{warning}");
        }
        loaded.map(|loaded| loaded.config).map_err(|refused| emerg(&refused))
    };
    match process::run(loaded.config, Some(&reload)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("nginx: [emerg] {}\n", error.as_nginx()));
            ExitCode::FAILURE
        }
    }
}

/// Until the configuration says where messages go, they go where `-e` says.
fn open_log(line: &CommandLine) {
    if line.error_log == "stderr" {
        return;
    }
    // One that begins with a slash stands for itself.
    let path: PathBuf = Path::new(&line.prefix).join(&line.error_log);
    match logging::open(Some(&path)) {
        Ok(file) => logging::direct(file, log::LevelFilter::Info),
        Err(error) => tell(&format!(
            "nginx: [alert] could not open error log file: open() \"{}\" failed ({})\n",
            path.display(),
            nginx::shown(&error.source)
        )),
    }
}

/// Writes to standard error. Whoever reads it may have gone, which is no reason to do anything else.
fn tell(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn emerg(refused: &Refused) -> String {
    format!("[emerg] {}", refused.error)
}

/// Tells standard error and the log of an error, which ends the program.
fn fail(error: &str) -> ExitCode {
    tell(&format!("nginx: {error}\n"));
    log(error);
    ExitCode::FAILURE
}

/// Logs an error that begins with its level, `[emerg] …`, where there is a file: standard error is told apart.
fn log(error: &str) {
    if logging::file().is_none() {
        return;
    }
    match error.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((level, text)) => log::error!(target: level, "{text}"),
        None => log::error!("{error}"),
    }
}

/// A configuration is of no use whose pid file or logs cannot be opened, or whose addresses cannot be bound.
fn check(loaded: Loaded) -> Result<Loaded, Box<Refused>> {
    match process::check(&loaded.config) {
        Ok(()) => Ok(loaded),
        Err(error) => Err(Box::new(Refused {
            error: nginx::Error { message: error.as_nginx(), place: None },
            warnings: loaded.warnings,
            is_syntax_ok: true,
        })),
    }
}

fn load(line: &CommandLine, is_root: bool) -> Result<Loaded, Box<Refused>> {
    let name = rustix::system::uname();
    nginx::load(&Disk, &line.options(is_root, &name.nodename().to_string_lossy()))
}

/// Reads the configuration, and tells standard error and the log's file of what is doubtful in it.
fn load_aloud(line: &CommandLine, is_root: bool) -> Result<Loaded, String> {
    let loaded = load(line, is_root);
    for warning in warnings(&loaded) {
        tell(&format!("nginx: [warn] {warning}\n"));
    }
    log_warnings(&loaded);
    loaded.map_err(|refused| emerg(&refused))
}

/// Tells the log's file alone.
fn log_warnings(loaded: &Result<Loaded, Box<Refused>>) {
    if logging::file().is_some() {
        for warning in warnings(loaded) {
            log::warn!("{warning}");
        }
    }
}

fn warnings(loaded: &Result<Loaded, Box<Refused>>) -> &[Warning] {
    match loaded {
        Ok(loaded) => &loaded.warnings,
        Err(refused) => &refused.warnings,
    }
}
