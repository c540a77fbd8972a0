//! What can be chosen, checked where it is read.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The longest delay of an answer.
pub const DELAY_MAX: Duration = Duration::from_secs(60);

/// The most threads.
pub const WORKERS_MAX: usize = 256;

/// Everything one process of the origin is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The names served and their addresses; at least one, names unique.
    pub serve: Vec<Serve>,
    /// A Redis that counts (`redis://HOST:PORT/DB`); without it the counter is in memory.
    pub redis: Option<String>,
    /// The Redis key of the counter; not empty.
    pub key: String,
    /// Threads, at least 1.
    pub workers: usize,
    /// `/` answers without a counter.
    pub plain: bool,
    /// How long every answer of `/` waits, where the name does not say; at most [`DELAY_MAX`].
    pub delay: Duration,
    /// The share of answers of `/` that are a 500, 0 to 1, where the name does not say.
    pub fail_rate: f64,
}

impl Options {
    /// One worker and a counter in memory.
    pub fn new(serve: Vec<Serve>) -> Self {
        Self {
            serve,
            redis: None,
            key: "hits".into(),
            workers: 1,
            plain: false,
            delay: Duration::ZERO,
            fail_rate: 0.0,
        }
    }
}

/// One name and how it is served: `NAME=ADDRESS[,delay=TIME][,fail_rate=SHARE]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Serve {
    /// What `X-Backend` and the greeting say; visible ASCII without `,` and `=`.
    pub name: String,
    /// Where it listens.
    pub address: Address,
    /// How long every answer of `/` waits; at most [`DELAY_MAX`]. `None`: as said for all.
    pub delay: Option<Duration>,
    /// The share of answers of `/` that are a 500, 0 to 1. `None`: as said for all.
    pub fail_rate: Option<f64>,
}

/// A listening address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `HOST:PORT`, `IP:PORT` or `[IPV6]:PORT`; port 0 takes a free one.
    Tcp(String),
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(text) => f.write_str(text),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: needs a path, such as unix:/run/app1.sock".into()),
                path => Ok(Address::Unix(path.into())),
            };
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(format!("{text:?} has no port; write HOST:PORT or unix:PATH"));
        };
        if host.is_empty() || host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
            return Err(format!("{text:?} has no host; write HOST:PORT, [IPV6]:PORT or unix:PATH"));
        }
        if port.starts_with('+') || port.parse::<u16>().is_err() {
            return Err(format!("{port:?} is not a port; write one from 1 to 65535, or 0 for any free one"));
        }
        Ok(Address::Tcp(text.into()))
    }
}

impl FromStr for Serve {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let first = parts.next().unwrap_or_default();
        let Some((name, address)) = first.split_once('=') else {
            return Err(format!("{first:?} is not NAME=ADDRESS; write app1=127.0.0.1:5001"));
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{name:?} is not a name; use visible ASCII characters, at least one"));
        }
        let mut serve = Self { name: name.into(), address: address.parse()?, delay: None, fail_rate: None };
        for part in parts {
            let of_part = |problem| format!("in {part:?}: {problem}");
            let (key, is_repeated) = match part.split_once('=') {
                Some((key @ "delay", value)) => {
                    (key, serve.delay.replace(delay(value).map_err(of_part)?).is_some())
                }
                Some((key @ "fail_rate", value)) => {
                    (key, serve.fail_rate.replace(share(value).map_err(of_part)?).is_some())
                }
                _ => return Err(format!("{part:?} is unknown; write delay=TIME or fail_rate=SHARE")),
            };
            if is_repeated {
                return Err(format!("{key} is given twice; drop one"));
            }
        }
        Ok(serve)
    }
}

/// A delay: `50ms` or `2s`, at most [`DELAY_MAX`]. A bare number is none: it would be milliseconds to one reader
/// and seconds, as in the proxy, to another.
///
/// # Errors
///
/// What is wrong with the text, which is not repeated, and the remedy. So do the parsers below.
pub fn delay(text: &str) -> Result<Duration, String> {
    not_negative(text, "50ms or 2s")?;
    let (digits, unit_ms) = match text.strip_suffix("ms") {
        Some(digits) => (digits, Some(1)),
        None => text.strip_suffix('s').map_or((text, None), |digits| (digits, Some(1000))),
    };
    let Some(count) = crate::page::number(digits) else {
        return Err("not a time; write 50ms or 2s, in whole numbers".into());
    };
    let Some(unit_ms) = unit_ms else {
        return Err(format!("a time needs its unit; write {digits}ms or {digits}s"));
    };
    let delay = count.checked_mul(unit_ms).map(Duration::from_millis);
    delay.filter(|delay| *delay <= DELAY_MAX).ok_or_else(|| "too long; write 60s or less".into())
}

/// A share: 0 to 1.
///
/// # Errors
///
/// As [`delay`]'s.
pub fn share(text: &str) -> Result<f64, String> {
    not_negative(text, "a number from 0 to 1, such as 0.1")?;
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "not a share; write a number from 0 to 1, such as 0.1".into())
}

/// How many threads, 1 to [`WORKERS_MAX`], or `auto`: one per core.
///
/// # Errors
///
/// As [`delay`]'s; or the system does not say how many cores there are.
pub fn workers(text: &str) -> Result<usize, String> {
    if text == "auto" {
        let cores = std::thread::available_parallelism().map(|cores| cores.get().min(WORKERS_MAX));
        return cores.map_err(|error| format!("cannot count the cores ({error}); write a number"));
    }
    let wanted = format!("a number from 1 to {WORKERS_MAX}, or auto");
    not_negative(text, &wanted)?;
    let count = crate::page::number(text).and_then(|count| usize::try_from(count).ok());
    count
        .filter(|count| (1..=WORKERS_MAX).contains(count))
        .ok_or_else(|| format!("not a number of threads; write {wanted}"))
}

/// A Redis key: not empty.
///
/// # Errors
///
/// As [`delay`]'s.
pub fn key(text: &str) -> Result<String, String> {
    match text {
        "" => Err("a key has a name; write one, such as hits".into()),
        key => Ok(key.into()),
    }
}

fn not_negative(text: &str, wanted: &str) -> Result<(), String> {
    match text.strip_prefix('-') {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_digit() || first == '.') => {
            Err(format!("it cannot be negative; write {wanted}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serve_line_is_read() {
        let serve: Serve = "app1=127.0.0.1:5001,delay=50ms,fail_rate=0.1".parse().unwrap();
        assert_eq!(serve.name, "app1");
        assert_eq!(serve.address, Address::Tcp("127.0.0.1:5001".into()));
        assert_eq!(serve.delay, Some(Duration::from_millis(50)));
        assert_eq!(serve.fail_rate, Some(0.1));
        let serve: Serve = "a=unix:/tmp/a=b.sock".parse().unwrap();
        assert_eq!(serve.address, Address::Unix("/tmp/a=b.sock".into()));
        assert!("a=[::1]:80".parse::<Serve>().is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, culprit) in [
            ("app1", "app1"),
            ("=127.0.0.1:1", "\"\""),
            ("a\nb=127.0.0.1:1", "\"a\\nb\""),
            ("a b=127.0.0.1:1", "a b"),
            ("a=127.0.0.1", "127.0.0.1"),
            ("a=127.0.0.1:70000", "70000"),
            ("a=127.0.0.1:+80", "+80"),
            ("a=::1:80", "::1:80"),
            ("a=:80", ":80"),
            ("a=unix:", "unix:"),
            ("a=h:1,slow", "slow"),
            ("a=h:1,delay=61s", "61s"),
            ("a=h:1,delay=-1", "\"delay=-1\": it cannot be negative"),
            ("a=h:1,delay=1s,delay=2s", "delay is given twice"),
            ("a=h:1,fail_rate=0,delay=1s,fail_rate=1", "fail_rate is given twice"),
            ("a=h:1,fail_rate=-0.1", "it cannot be negative"),
            ("a=h:1,fail_rate=1.5", "1.5"),
            ("a=h:1,fail_rate=nan", "nan"),
        ] {
            let error = text.parse::<Serve>().unwrap_err();
            assert!(error.contains(culprit), "{text}: {error}");
        }
    }

    #[test]
    fn delays_have_units() {
        assert_eq!(delay("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(delay("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(delay("60000ms"), Ok(DELAY_MAX));
        for (text, problem) in [
            ("50", "a time needs its unit; write 50ms or 50s"),
            ("0", "a time needs its unit; write 0ms or 0s"),
            ("1m", "not a time"),
            ("", "not a time"),
            ("ms", "not a time"),
            ("60001ms", "too long"),
            ("99999999999999999s", "too long"),
            ("-5", "it cannot be negative; write 50ms or 2s"),
            ("-5ms", "it cannot be negative"),
        ] {
            let error = delay(text).unwrap_err();
            assert!(error.starts_with(problem), "{text}: {error}");
        }
    }

    #[test]
    fn workers_are_a_number_within_bounds() {
        assert_eq!(workers("256"), Ok(256));
        assert!(workers("auto").is_ok_and(|count| (1..=WORKERS_MAX).contains(&count)));
        for text in ["0", "257", "+4", "", "many", "-1"] {
            let error = workers(text).unwrap_err();
            assert!(error.ends_with("write a number from 1 to 256, or auto"), "{text}: {error}");
        }
    }
}
