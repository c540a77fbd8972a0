//! The logs of requests that one worker writes to: opened when a line is due, or before, each once.

use std::fs::File;

use crate::access_log::Writer;
use crate::config::Config;
use crate::config::site::{Location, Log};
use crate::log_file::OpenError;
use crate::time::{Duration, Time};

/// So many files are kept open whose paths come from requests: these may be as many as a client thinks of. The one that
/// was written to least recently is closed for another one.
const MADE_MAX: usize = 16;

/// So many files are remembered that could not be opened.
const MISSING_MAX: usize = 64;

/// See the [module's page](self).
#[derive(Debug, Default)]
pub struct Logs {
    open: Vec<Open>,
    /// Files that could not be opened, so that it is said once each.
    missing: Vec<Vec<u8>>,
    /// When lines are to be written that wait now.
    due: Option<Time>,
    /// Counts lines.
    clock: u64,
}

#[derive(Debug)]
struct Open {
    path: Vec<u8>,
    writer: Writer,
    /// Its path comes from a request.
    is_made: bool,
    /// When it was last written to.
    used: u64,
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
            self.find(path, false)?;
        }
        location.nested.iter().try_for_each(|nested| self.open_all(nested))
    }

    fn find(&mut self, path: &[u8], is_made: bool) -> Result<usize, OpenError> {
        if let Some(number) = self.open.iter().position(|open| open.path == path) {
            return Ok(number);
        }
        let made = self.open.iter().enumerate().filter(|(_, open)| open.is_made);
        if is_made && made.clone().count() >= MADE_MAX {
            let oldest = made.min_by_key(|(_, open)| open.used).map(|(number, _)| number);
            // Dropped, it writes what it has.
            oldest.map(|number| self.open.swap_remove(number));
        }
        let writer = Writer::open(&String::from_utf8_lossy(path))?;
        self.open.push(Open { path: path.to_vec(), writer, is_made, used: 0, due: None });
        Ok(self.open.len() - 1)
    }

    /// The files that are open.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.open.iter().filter_map(|open| open.writer.file())
    }

    /// Adds a line, which comes without its line feed, to the log at `path`.
    pub(super) fn push(&mut self, path: &[u8], log: &Log, line: &[u8], now: Time) {
        let number = match self.find(path, log.path.as_text().is_none()) {
            Ok(number) => number,
            Err(error) => {
                if !self.missing.iter().any(|missing| missing == path) {
                    log::error!("{error}");
                    if self.missing.len() >= MISSING_MAX {
                        self.missing.clear();
                    }
                    self.missing.push(path.to_vec());
                }
                return;
            }
        };
        self.clock += 1;
        let open = &mut self.open[number];
        open.used = self.clock;
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::template::{Part, Template, Variable};

    #[test]
    fn few_files_are_open_at_a_time_whose_paths_come_from_requests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).into_os_string().into_encoded_bytes();
        let log = |path| Log { path, format: 0, buffer: 0, flush: Duration::ZERO, condition: None };
        let made = log(Template { parts: [Part::Variable(Variable::Host)].into() });
        let named = log(Template::text("named"));
        let mut logs = Logs::default();
        for round in 0..3 {
            for number in 0..100 {
                let line = format!("{number} {round}");
                logs.push(&path(&format!("{number}.log")), &made, line.as_bytes(), Time::ZERO);
                logs.push(&path("named"), &named, b"x", Time::ZERO);
                assert!(logs.open.len() <= MADE_MAX + 1);
            }
        }
        logs.flush();
        for number in 0..100 {
            let text = fs::read_to_string(folder.path().join(format!("{number}.log"))).expect("a log");
            assert_eq!(text, format!("{number} 0\n{number} 1\n{number} 2\n"));
        }
        assert_eq!(fs::read_to_string(folder.path().join("named")).expect("a log").len(), 600);
        for number in 0..1000 {
            logs.push(&path(&format!("none/{number}")), &made, b"x", Time::ZERO);
            assert!(logs.missing.len() <= MISSING_MAX);
        }
    }
}
