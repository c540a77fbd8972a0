//! The error log: what the proxy decides and what goes wrong, one line each, on standard error.
//!
//! `2026-11-24T08:15:03.123Z warn  app2:5000 is down: 3 failures within 10s; next try in 10s`

use std::fmt::{Display, Write as _};
use std::io::{self, Write};

use env_logger::{Builder, Target};
use log::{Level, LevelFilter, Record, SetLoggerError};

/// Starts logging at `level` to standard error. No environment variable is read.
///
/// # Errors
///
/// When a logger has been set in this process before.
pub fn init(level: LevelFilter) -> Result<(), SetLoggerError> {
    Builder::new()
        .filter_level(level)
        .target(Target::Stderr)
        .format(move |out, record| {
            let time = out.timestamp_millis();
            write_line(out, time, level, record)
        })
        .try_init()
}

/// Writes one line. Where a message has control characters (what a peer sent may be quoted in one), they
/// are escaped: a peer must not write lines of its own.
fn write_line(
    out: &mut dyn Write,
    time: impl Display,
    level: LevelFilter,
    record: &Record<'_>,
) -> io::Result<()> {
    let word = match record.level() {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let mut line = format!("{time} {word:<5} ");
    // Whose line it is matters to someone who debugs, and is noise to all others.
    if level >= LevelFilter::Debug {
        line.push_str(record.target());
        line.push_str(": ");
    }
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
    out.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(filter: LevelFilter, level: Level, message: &str) -> String {
        let mut out = Vec::new();
        let args = format_args!("{message}");
        let record = Record::builder().level(level).target("proxy::upstream").args(args).build();
        write_line(&mut out, "2026-11-24T08:15:03.123Z", filter, &record).expect("a Vec takes all");
        String::from_utf8(out).expect("text")
    }

    /// The only test that sets the process's logger.
    #[test]
    fn logging_starts_once() {
        assert!(init(LevelFilter::Off).is_ok());
        assert!(init(LevelFilter::Off).is_err());
    }

    #[test]
    fn a_line_is_time_level_and_message() {
        assert_eq!(
            line(LevelFilter::Info, Level::Warn, "app2:5000 is down"),
            "2026-11-24T08:15:03.123Z warn  app2:5000 is down\n"
        );
        assert_eq!(
            line(LevelFilter::Info, Level::Error, "out of descriptors"),
            "2026-11-24T08:15:03.123Z error out of descriptors\n"
        );
    }

    #[test]
    fn debugging_shows_where_a_line_comes_from() {
        assert_eq!(
            line(LevelFilter::Debug, Level::Info, "x"),
            "2026-11-24T08:15:03.123Z info  proxy::upstream: x\n"
        );
    }

    #[test]
    fn a_message_stays_one_line() {
        assert_eq!(
            line(LevelFilter::Info, Level::Info, "from \"a\r\nb\u{1b}[31m\u{85}ä\""),
            "2026-11-24T08:15:03.123Z info  from \"a\\r\\nb\\u{1b}[31m\\u{85}ä\"\n"
        );
    }
}
