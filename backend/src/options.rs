//! What can be chosen, checked where it is read.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The longest delay of an answer.
pub const DELAY_MAX: Duration = Duration::from_secs(60);

/// Everything one process of the origin is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The names served and their addresses; at least one, names unique.
    pub serve: Vec<Serve>,
    /// A Redis that counts (`redis://HOST:PORT/DB`); without it the counter is in memory.
    pub redis: Option<String>,
    /// The Redis key of the counter.
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
            return Err(format!("'{text}' has no port; say HOST:PORT or unix:PATH"));
        };
        if host.is_empty() || host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
            return Err(format!("'{text}' has no host; say HOST:PORT, [IPV6]:PORT or unix:PATH"));
        }
        if port.starts_with('+') || port.parse::<u16>().is_err() {
            return Err(format!("'{port}' is not a port (0 to 65535)"));
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
            return Err(format!("'{first}' is not NAME=ADDRESS, such as app1=127.0.0.1:5001"));
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("'{name}' is not a name (visible ASCII characters)"));
        }
        let mut serve = Self { name: name.into(), address: address.parse()?, delay: None, fail_rate: None };
        for part in parts {
            match part.split_once('=') {
                Some(("delay", value)) => serve.delay = Some(delay(value)?),
                Some(("fail_rate", value)) => serve.fail_rate = Some(share(value)?),
                _ => return Err(format!("'{part}' is not delay=TIME or fail_rate=SHARE")),
            }
        }
        Ok(serve)
    }
}

/// A delay: `50` and `50ms` are milliseconds, `2s` seconds; at most a minute.
pub fn delay(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a delay; say 50ms or 2s, at most 60s");
    let (digits, unit_ms) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => text.strip_suffix('s').map_or((text, 1), |digits| (digits, 1000)),
    };
    let count = crate::page::number(digits).ok_or_else(wrong)?;
    let delay = count.checked_mul(unit_ms).map(Duration::from_millis);
    delay.filter(|delay| *delay <= DELAY_MAX).ok_or_else(wrong)
}

/// A share: 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("'{text}' is not a share; say a number from 0 to 1, such as 0.1"))
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
            ("=127.0.0.1:1", "''"),
            ("a b=127.0.0.1:1", "a b"),
            ("a=127.0.0.1", "127.0.0.1"),
            ("a=127.0.0.1:70000", "70000"),
            ("a=127.0.0.1:+80", "+80"),
            ("a=::1:80", "::1:80"),
            ("a=:80", ":80"),
            ("a=unix:", "unix:"),
            ("a=h:1,slow", "slow"),
            ("a=h:1,delay=61s", "61s"),
            ("a=h:1,delay=-1", "-1"),
            ("a=h:1,fail_rate=1.5", "1.5"),
            ("a=h:1,fail_rate=nan", "nan"),
        ] {
            let error = text.parse::<Serve>().unwrap_err();
            assert!(error.contains(culprit), "{text}: {error}");
        }
    }

    #[test]
    fn delays_have_units() {
        assert_eq!(delay("50"), Ok(Duration::from_millis(50)));
        assert_eq!(delay("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(delay("2s"), Ok(Duration::from_secs(2)));
        assert!(delay("1m").is_err());
        assert!(delay("").is_err());
    }
}
