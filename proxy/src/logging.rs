//! The error log: what the proxy decides and what goes wrong, one line each.
//!
//! On standard error, in UTC:
//!
//! `2026-11-24T08:15:03.123Z warn  app2:5000 is down: 3 failures within 10s; next try in 10s`
//!
//! In a file, as nginx writes it (`ngx_log.c`), so that whatever reads its logs reads these, in local time:
//!
//! `2026/11/24 08:15:03 [warn] 4711#4713: app2:5000 is down: 3 failures within 10s; next try in 10s`
//!
//! nginx has more levels than the `log` crate: a record whose target is `crit`, `alert` or `emerg` is an error
//! of that level.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{Timestamp, Zoned};
use log::{Level, LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;

use crate::log_file::{self, OpenError};

static LOGGER: Logger = Logger { file: Mutex::new(None) };

/// A place for the error log that is open and not yet in use.
#[derive(Debug)]
pub struct Opened(Option<(Arc<File>, PathBuf)>);

impl Opened {
    /// The file, where it is one.
    pub fn file(&self) -> Option<&File> {
        self.0.as_ref().map(|(file, _)| file.as_ref())
    }
}

/// Opens the file, making it if it is not there; `None` is standard error.
///
/// # Errors
///
/// When the file cannot be opened for appending.
pub fn open(path: Option<&Path>) -> Result<Opened, OpenError> {
    let open = |path: &Path| Ok((log_file::open(path)?, path.to_owned()));
    Ok(Opened(path.map(open).transpose()?))
}

/// Logs at `level` to `place` from now on. It can be called again. No environment variable is read.
pub fn direct(place: Opened, level: LevelFilter) {
    // A second time it is refused, which leaves the first in place: they are the same.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(level);
    *LOGGER.file.lock() = place.0;
}

/// Opens the file anew: after it was renamed, the next lines go to a new one. Where that fails, the old file
/// stays in use and says so.
pub fn reopen() {
    let mut place = LOGGER.file.lock();
    let Some((file, path)) = place.as_mut() else { return };
    match log_file::open(path) {
        Ok(new) => *file = new,
        Err(error) => {
            drop(place);
            log::error!("{error}; going on with the old file");
        }
    }
}

/// The file that is in use.
pub fn file() -> Option<Arc<File>> {
    LOGGER.file.lock().as_ref().map(|(file, _)| file.clone())
}

/// Where lines go: the file and its path, or standard error.
struct Logger {
    file: Mutex<Option<(Arc<File>, PathBuf)>>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // A log that cannot be written has nobody to tell.
        let _ = match self.file.lock().as_mut() {
            Some((file, _)) => file.as_ref().write_all(nginx_line(&Zoned::now(), record).as_bytes()),
            None => io::stderr().write_all(own_line(Timestamp::now(), log::max_level(), record).as_bytes()),
        };
    }

    fn flush(&self) {}
}

fn own_line(time: Timestamp, level: LevelFilter, record: &Record<'_>) -> String {
    let word = match record.level() {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let mut line = format!("{time:.3} {word:<5} ");
    // Whose line it is matters to someone who debugs, and is noise to all others.
    if level >= LevelFilter::Debug {
        line.push_str(record.target());
        line.push_str(": ");
    }
    push_message(&mut line, record);
    line
}

fn nginx_line(time: &Zoned, record: &Record<'_>) -> String {
    let word = match (record.level(), record.target()) {
        (Level::Error, target @ ("crit" | "alert" | "emerg")) => target,
        (Level::Error, _) => "error",
        (Level::Warn, _) => "warn",
        // nginx's word for what is worth knowing of a process that does well.
        (Level::Info, _) => "notice",
        (Level::Debug | Level::Trace, _) => "debug",
    };
    let (pid, thread) = (rustix::process::getpid(), rustix::thread::gettid());
    let (pid, thread) = (pid.as_raw_nonzero(), thread.as_raw_nonzero());
    let mut line = format!("{} [{word}] {pid}#{thread}: ", time.strftime("%Y/%m/%d %H:%M:%S"));
    push_message(&mut line, record);
    line
}

/// Ends a line with the message. Where that has control characters (what a peer sent may be quoted in one),
/// they are escaped: a peer must not write lines of its own.
fn push_message(line: &mut String, record: &Record<'_>) {
    let start = line.len();
    // Writing to a String fails only where a message's own Display does; what there is of it is logged.
    let _ = write!(line, "{}", record.args());
    if line[start..].contains(char::is_control) {
        let message = line.split_off(start);
        for c in message.chars() {
            match c.is_control() {
                true => line.extend(c.escape_default()),
                false => line.push(c),
            }
        }
    }
    line.push('\n');
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::tz::TimeZone;

    use super::*;

    fn lines(filter: LevelFilter, level: Level, target: &str, message: &str) -> (String, String) {
        let time: Timestamp = "2026-11-24T08:15:03.123Z".parse().expect("a time");
        let args = format_args!("{message}");
        let record = Record::builder().level(level).target(target).args(args).build();
        let nginx = nginx_line(&time.to_zoned(TimeZone::UTC), &record);
        let numbers = format!(" {}#{}: ", std::process::id(), rustix::thread::gettid().as_raw_nonzero());
        (own_line(time, filter, &record), nginx.replace(&numbers, " 4711#4713: "))
    }

    #[test]
    fn a_line_is_time_level_and_message() {
        let (own, nginx) = lines(LevelFilter::Info, Level::Warn, "proxy::worker", "app2:5000 is down");
        assert_eq!(own, "2026-11-24T08:15:03.123Z warn  app2:5000 is down\n");
        assert_eq!(nginx, "2026/11/24 08:15:03 [warn] 4711#4713: app2:5000 is down\n");
        let (own, nginx) = lines(LevelFilter::Info, Level::Info, "proxy::worker", "reopening logs");
        assert_eq!(own, "2026-11-24T08:15:03.123Z info  reopening logs\n");
        assert_eq!(nginx, "2026/11/24 08:15:03 [notice] 4711#4713: reopening logs\n");
    }

    #[test]
    fn a_target_may_raise_an_error_s_level() {
        let (own, nginx) = lines(LevelFilter::Info, Level::Error, "emerg", "bad");
        assert_eq!(own, "2026-11-24T08:15:03.123Z error bad\n");
        assert_eq!(nginx, "2026/11/24 08:15:03 [emerg] 4711#4713: bad\n");
    }

    #[test]
    fn debugging_shows_where_a_line_comes_from() {
        let (own, _) = lines(LevelFilter::Debug, Level::Info, "proxy::upstream", "x");
        assert_eq!(own, "2026-11-24T08:15:03.123Z info  proxy::upstream: x\n");
    }

    #[test]
    fn a_message_stays_one_line() {
        let (own, nginx) = lines(LevelFilter::Info, Level::Info, "", "from \"a\r\nb\u{1b}[31m\u{85}ä\"");
        assert_eq!(own, "2026-11-24T08:15:03.123Z info  from \"a\\r\\nb\\u{1b}[31m\\u{85}ä\"\n");
        assert!(nginx.ends_with("from \"a\\r\\nb\\u{1b}[31m\\u{85}ä\"\n"));
    }

    /// The only test that directs the process's log.
    #[test]
    fn a_file_is_there_from_the_start_and_reopened_after_a_rename() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, old) = (folder.path().join("error.log"), folder.path().join("error.log.1"));
        direct(open(Some(&path)).expect("a file"), LevelFilter::Off);
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "");
        fs::rename(&path, &old).expect("renamed");
        reopen();
        assert!(path.exists());
        direct(open(None).expect("standard error"), LevelFilter::Off);
        let missing = folder.path().join("no/error.log");
        assert!(open(Some(&missing)).expect_err("no folder").to_string().starts_with("cannot open the log"));
    }
}
