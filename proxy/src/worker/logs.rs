//! The logs of requests that one worker writes to: opened when a line is due, or before, each once.

use crate::access_log::{OpenError, Writer};
use crate::config::Config;
use crate::config::site::{Location, Log};
use crate::time::{Duration, Time};

/// See the [module's page](self).
#[derive(Debug, Default)]
pub struct Logs {
    open: Vec<Open>,
    /// Files that could not be opened, so that it is said once each.
    missing: Vec<Vec<u8>>,
    /// When lines are to be written that wait now.
    due: Option<Time>,
}

#[derive(Debug)]
struct Open {
    path: Vec<u8>,
    writer: Writer,
    /// When its lines are to be written that wait now; `None`: none wait.
    due: Option<Time>,
}

impl Logs {
    /// Opens all files whose paths do not depend on a request.
    ///
    /// # Errors
    ///
    /// Where one cannot be opened.
    pub fn open(config: &Config) -> Result<Logs, OpenError> {
        let mut logs = Logs::default();
        for site in &config.sites {
            logs.open_all(&site.location)?;
            for location in &site.locations {
                logs.open_all(location)?;
            }
        }
        Ok(logs)
    }

    fn open_all(&mut self, location: &Location) -> Result<(), OpenError> {
        for path in location.rules.logs.iter().filter_map(|log| log.path.as_text()) {
            self.find(path)?;
        }
        location.nested.iter().try_for_each(|nested| self.open_all(nested))
    }

    fn find(&mut self, path: &[u8]) -> Result<usize, OpenError> {
        if let Some(number) = self.open.iter().position(|open| open.path == path) {
            return Ok(number);
        }
        let writer = Writer::open(&String::from_utf8_lossy(path))?;
        self.open.push(Open { path: path.to_vec(), writer, due: None });
        Ok(self.open.len() - 1)
    }

    /// Adds a line, which comes without its line feed, to the log at `path`.
    pub(super) fn push(&mut self, path: &[u8], log: &Log, line: &[u8], now: Time) {
        let number = match self.find(path) {
            Ok(number) => number,
            Err(error) => {
                if !self.missing.iter().any(|missing| missing == path) {
                    log::error!("{error}");
                    self.missing.push(path.to_vec());
                }
                return;
            }
        };
        let open = &mut self.open[number];
        open.writer.push(line);
        // Lines that are not to be gathered still share the writing of one turn of the loop.
        let delay = if log.buffer == 0 { Duration::ZERO } else { log.flush };
        let never = log.buffer > 0 && log.flush.is_zero();
        if !never && open.due.is_none_or(|due| due > now + delay) {
            open.due = Some(now + delay);
            self.due = Some(self.due.map_or(now + delay, |due| due.min(now + delay)));
        }
    }

    /// When to come back for lines that wait.
    pub(super) fn due(&self) -> Time {
        self.due.unwrap_or(Time::NEVER)
    }

    /// Writes the lines that have waited for long enough.
    pub(super) fn write_due(&mut self, now: Time) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        for open in self.open.iter_mut().filter(|open| open.due.is_some_and(|due| due <= now)) {
            open.writer.flush();
            open.due = None;
        }
        self.due = self.open.iter().filter_map(|open| open.due).min();
    }

    /// Writes all lines.
    pub(super) fn flush(&mut self) {
        for open in &mut self.open {
            open.writer.flush();
            open.due = None;
        }
        self.due = None;
    }

    /// Writes all lines and opens the files anew.
    pub(super) fn reopen(&mut self) {
        self.flush();
        self.missing.clear();
        for open in &mut self.open {
            open.writer.reopen();
        }
    }
}
