//! From one configuration to the next (HUP), and resting (WINCH).
//!
//! Everything that can fail comes first, beside the configuration at work: reading, names, logs, listeners. Only then
//! is anything changed, so a bad configuration costs one line in the log.

use std::thread;
use std::time::{Duration, Instant};

use super::pid_file::PidFile;
use super::{Process, RunError, background, bind, open_logs, set_limits, wake};
use crate::config::Config;
use crate::logging;
use crate::worker::generation::Generation;
use crate::worker::resolver::Resolver;

/// How long the workers may take to take up a configuration. They do at their next wake-up.
const ADOPTION_MAX: Duration = Duration::from_secs(10);

impl Process<'_> {
    /// Goes over to what the source says now, or says why not.
    pub(super) fn reload(&mut self) {
        let Some(source) = self.source else {
            if self.shared.generation().rests {
                return self.rest(false);
            }
            log::info!("nothing to reload: the configuration is the command line's; start another process");
            return;
        };
        if self.is_ending {
            log::info!("nothing is reloaded: this process ends");
            return;
        }
        if self.successor.is_some() && self.shared.generation().rests {
            // It serves again as it did, whatever the file says by now (nginx: "Upgrading Executable on the Fly").
            return self.rest(false);
        }
        log::info!("reconfiguring");
        match source().and_then(|config| self.adopt(config).map_err(|error| error.as_nginx())) {
            Ok(()) => log::info!("the new configuration is at work"),
            // A source may say how bad it is itself.
            Err(text) => {
                log::error!(target: "emerg", "{}", text.strip_prefix("[emerg] ").unwrap_or(&text));
            }
        }
    }

    fn adopt(&mut self, mut config: Config) -> Result<(), RunError> {
        let last = self.shared.generation();
        self.wait_for_workers(&last)?;
        let workers = last.config.process.workers;
        if config.process.workers != workers {
            log::warn!("the number of workers stays {workers} until another process is started (USR2)");
            config.process.workers = workers;
        }
        if config.process.user != last.config.process.user {
            log::warn!("the user stays as it is until another process is started");
        }
        let error_log = logging::open(config.process.error_log.as_deref())?;
        let next = self.shared.next(config);
        let is_strict = next.config.process.strict_names;
        let mut names = Resolver::new(&next);
        let missing = names.resolve_unknown(is_strict)?;
        if is_strict && !missing.is_empty() {
            return Err(RunError::Names(missing.join(", ")));
        }
        let (new, old) = (&next.config.process, &last.config.process);
        next.supply_logs(open_logs(&next.config)?);
        self.check_health(&next)?;
        let before: Vec<usize> = self.bound.keys().copied().collect();
        bind(&next, &mut self.bound, &mut self.inheritance, false)?;
        if new.pid_file != old.pid_file {
            match new.pid_file.as_deref().map(PidFile::write).transpose() {
                Ok(file) => self.pid_file = file,
                Err(error) => {
                    self.bound.retain(|number, _| before.contains(number));
                    return Err(error.into());
                }
            }
        }

        logging::direct(error_log, new.log_level);
        self.redirect_errors();
        set_limits(&next.config);
        self.supply(|number| last.rests || !before.contains(&number));
        // The workers still have theirs, until they have taken in who waits there.
        self.settle_files(|number| !next.ids.listeners.contains(number));
        self.bound.retain(|number, _| next.ids.listeners.contains(number));
        for (number, listener) in next.ids.listeners.iter().zip(&next.config.listeners) {
            if let Some(Err(error)) = self.bound.get(number).map(|bound| bound.configure(listener)) {
                log::error!("{} keeps its old settings: {error}", listener.address);
            }
        }
        self.publish(next, names);
        Ok(())
    }

    /// Serves those who are being served and nobody else, or everybody again.
    pub(super) fn rest(&mut self, rests: bool) {
        let last = self.shared.generation();
        if self.is_ending || last.rests == rests {
            return;
        }
        if let Err(error) = self.wait_for_workers(&last) {
            log::error!(target: "alert", "{error}");
            return;
        }
        let mut next = self.shared.next(last.config.clone());
        next.rests = rests;
        if rests {
            log::info!("accepting nobody any more; the requests in flight are finished");
        } else {
            log::info!("accepting again");
            self.supply(|_| true);
        }
        let names = Resolver::new(&next);
        self.publish(next, names);
    }

    /// What would be lost goes where messages go, once there is no terminal any more.
    pub(super) fn redirect_errors(&self) {
        if self.in_background
            && let Err(error) = background::redirect_errors()
        {
            log::error!("standard error cannot be redirected: {error}");
        }
    }

    /// Has listeners ready for the workers: those whose number is wanted.
    fn supply(&self, wanted: impl Fn(usize) -> bool) {
        for (number, bound) in self.bound.iter().filter(|(number, _)| wanted(**number)) {
            for (remote, socket) in self.remotes.iter().zip(&bound.sockets) {
                remote.supply([(*number, socket.clone())]);
            }
        }
    }

    fn publish(&self, next: Generation, names: Resolver) {
        self.shared.publish(next);
        self.shared.follow_names(names);
        wake(&self.remotes);
    }

    /// Until all workers have taken up a configuration, there is no other: none of them skips one, so that each
    /// closes what it has to.
    fn wait_for_workers(&self, last: &Generation) -> Result<(), RunError> {
        let start = Instant::now();
        while last.adoptions() < self.remotes.len() {
            if start.elapsed() > ADOPTION_MAX {
                return Err(RunError::Busy);
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}
