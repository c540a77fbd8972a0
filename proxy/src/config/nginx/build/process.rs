//! What stands outside of `http`: the process, and `events`.

use log::LevelFilter;

use super::super::directives::Context;
use super::super::error::Error;
use super::super::reader::Statement;
use super::Builder;
use super::slots::{flag, number, number_of, once, text, time};
use crate::config::{Process, Terms, User, workers_auto};
use crate::time::Duration;

/// The most workers.
const WORKERS_MAX: u64 = 1024;

/// What is said so far.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) has_events: bool,
    pub(super) has_http: bool,
    daemon: Option<bool>,
    pid: Option<String>,
    user: Option<User>,
    workers: Option<u64>,
    connections: Option<u64>,
    open_files: Option<u64>,
    shutdown_timeout: Option<Duration>,
    /// The file and the level of the first `error_log`: of the main level, and of an inner one.
    error_log: Option<(String, LevelFilter)>,
    inner_error_log: Option<(String, LevelFilter)>,
}

impl Builder<'_> {
    /// A directive outside of all blocks.
    pub(super) fn main(&mut self, statement: &Statement) -> Result<(), Error> {
        let settings = &mut self.process;
        match statement.directive.name {
            "events" if settings.has_events => return Err(statement.fault("is duplicate")),
            "events" => {
                settings.has_events = true;
                return self.events();
            }
            "http" if settings.has_http => return Err(statement.fault("is duplicate")),
            "http" => {
                settings.has_http = true;
                return self.http();
            }
            "daemon" => flag(&mut settings.daemon, statement)?,
            "pid" => text(&mut settings.pid, statement)?,
            "user" => self.user(statement)?,
            "worker_processes" => once(&mut settings.workers, statement, || match statement.arg(0) {
                "auto" => Ok(u64::try_from(workers_auto()).unwrap_or(1)),
                _ => number_of(statement, 0)
                    .ok()
                    .filter(|workers| *workers <= WORKERS_MAX)
                    .ok_or_else(|| statement.fault("invalid value")),
            })?,
            "worker_rlimit_nofile" => number(&mut settings.open_files, statement)?,
            "worker_shutdown_timeout" => time(&mut settings.shutdown_timeout, statement)?,
            "error_log" => {
                let log = error_log(statement)?;
                settings.error_log.get_or_insert(log);
            }
            _ => {}
        }
        Ok(())
    }

    /// The `events` block.
    fn events(&mut self) -> Result<(), Error> {
        while let Some(statement) = self.reader.next(Context::EVENTS)? {
            match statement.directive.name {
                "worker_connections" => once(&mut self.process.connections, &statement, || {
                    let word = statement.arg(0);
                    number_of(&statement, 0)
                        .map_err(|_| statement.error(format!("invalid number \"{word}\"")))
                })?,
                "use" if !matches!(statement.arg(0), "epoll" | "poll" | "select") => {
                    let word = statement.arg(0);
                    return Err(statement.error(format!("invalid event type \"{word}\"")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// `user NAME [GROUP]`, each looked for in the system's files.
    fn user(&mut self, statement: &Statement) -> Result<(), Error> {
        if self.process.user.is_some() {
            return Err(statement.fault("is duplicate"));
        }
        if !self.options.is_root {
            self.warnings.push(statement.error(
                "the \"user\" directive makes sense only if the master process runs with super-user privileges, \
                 ignored",
            ));
            return Ok(());
        }
        let group = statement.args.get(1).cloned();
        let name = statement.arg(0).to_owned();
        let group_name = group.as_ref().unwrap_or(&name);
        for (file, name, call) in [("/etc/passwd", &name, "getpwnam"), ("/etc/group", group_name, "getgrnam")]
        {
            // Where there is no such file names are known some other way, and it shows at start.
            let Ok(known) = self.files.read(file) else { continue };
            let entry = format!("{name}:");
            if !String::from_utf8_lossy(&known).lines().any(|line| line.starts_with(&entry)) {
                return Err(statement.error(format!("{call}(\"{name}\") failed")));
            }
        }
        self.process.user = Some(User { name, group });
        Ok(())
    }

    /// An `error_log` within `http`: it holds where there is none outside.
    pub(super) fn inner_error_log(&mut self, statement: &Statement) -> Result<(), Error> {
        let log = error_log(statement)?;
        self.process.inner_error_log.get_or_insert(log);
        Ok(())
    }

    /// The finished values.
    pub(super) fn finish_process(&mut self) -> Process {
        let full = |path: &str| self.options.full(path);
        let settings = &self.process;
        let workers = settings.workers.unwrap_or(1).max(1);
        let connections = settings.connections.unwrap_or(512).max(1).saturating_mul(workers);
        let log = settings.error_log.as_ref().or(settings.inner_error_log.as_ref());
        let default = (self.options.error_log.to_owned(), LevelFilter::Error);
        let (path, log_level) = log.unwrap_or(&default);
        Process {
            workers: usize::try_from(workers).unwrap_or(1),
            max_connections: usize::try_from(connections).unwrap_or(usize::MAX),
            log_level: *log_level,
            error_log: (path != "stderr").then(|| full(path).into()),
            terms: Terms::NGINX,
            logs_tries: true,
            daemon: settings.daemon.unwrap_or(true),
            user: settings.user.clone(),
            open_files: settings.open_files,
            // 0 is no time, but no bound.
            shutdown_timeout: settings.shutdown_timeout.filter(|time| !time.is_zero()),
            pid_file: Some(full(settings.pid.as_deref().unwrap_or("logs/nginx.pid")).into()),
            ..Process::default()
        }
    }
}

/// `error_log FILE [LEVEL]`.
fn error_log(statement: &Statement) -> Result<(String, LevelFilter), Error> {
    let path = statement.arg(0);
    if let Some(kind) = ["memory:", "syslog:"].iter().find(|kind| path.starts_with(**kind)) {
        let message = format!("\"{kind}\" in the \"error_log\" directive is not supported by this proxy");
        return Err(statement.error(message));
    }
    let mut level = None;
    for word in statement.args.iter().skip(1) {
        let known = match word.as_str() {
            "emerg" | "alert" | "crit" | "error" => LevelFilter::Error,
            "warn" => LevelFilter::Warn,
            "notice" | "info" => LevelFilter::Info,
            "debug" => LevelFilter::Debug,
            // Parts of nginx that can be debugged by themselves.
            word if word.starts_with("debug_") => continue,
            _ => return Err(statement.error(format!("invalid log level \"{word}\""))),
        };
        if level.replace(known).is_some() {
            return Err(statement.error(format!("duplicate log level \"{word}\"")));
        }
    }
    Ok((path.to_owned(), level.unwrap_or(LevelFilter::Error)))
}
