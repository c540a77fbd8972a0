//! What became of a server, worth one line in the log.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::server::Address;
use crate::time::Duration;

/// A change in the standing of a server. Its `Display` is the log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It failed `max_fails` times and is left alone.
    Down {
        /// Its `server` line as written.
        name: Arc<str>,
        /// Which of the line's addresses, where there are several.
        address: Option<Address>,
        /// How often it failed.
        failures: u32,
        /// The time failures counted in, and after which it is tried again.
        fail_timeout: Duration,
    },
    /// It answered after it had been down.
    Up {
        /// Its `server` line as written.
        name: Arc<str>,
        /// Which of the line's addresses, where there are several.
        address: Option<Address>,
    },
    /// Its checks failed, and it gets no request.
    Unhealthy {
        /// Its `server` line as written.
        name: Arc<str>,
        /// Which of the line's addresses, where there are several.
        address: Option<Address>,
        /// How many in a row.
        checks: u32,
        /// The time to the next one.
        interval: Duration,
    },
    /// Its checks passed, and it gets requests.
    Healthy {
        /// Its `server` line as written.
        name: Arc<str>,
        /// Which of the line's addresses, where there are several.
        address: Option<Address>,
        /// How many in a row.
        checks: u32,
        /// It was unhealthy before.
        again: bool,
    },
    /// Its name resolves to other addresses than before.
    Address {
        /// Its `server` line as written.
        name: Arc<str>,
        /// The new ones.
        added: Vec<SocketAddr>,
        /// The vanished ones.
        removed: Vec<SocketAddr>,
    },
}

impl Change {
    /// The log line with the reason of the last failure put in where there was one:
    /// `app2:5000 is down: 3 failures within 10s (connection refused); next try in 10s`.
    pub fn line(&self, cause: &str) -> String {
        struct Line<'a>(&'a Change, &'a str);
        impl fmt::Display for Line<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.write(f, Some(self.1))
            }
        }
        Line(self, cause).to_string()
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, cause: Option<&str>) -> fmt::Result {
        match self {
            Change::Down { name, address, failures, fail_timeout } => {
                let (failures, span) = (Failures(*failures), Span(*fail_timeout));
                write!(f, "{} is down: {failures} within {span}", Label(name, address))?;
                if let Some(cause) = cause {
                    write!(f, " ({cause})")?;
                }
                write!(f, "; next try in {span}")
            }
            Change::Up { name, address } => write!(f, "{} is up again", Label(name, address)),
            Change::Unhealthy { name, address, checks, interval } => {
                write!(f, "{} is unhealthy: {} failed", Label(name, address), Checks(*checks))?;
                if let Some(cause) = cause {
                    write!(f, " ({cause})")?;
                }
                write!(f, "; next check in {}", Span(*interval))
            }
            Change::Healthy { name, address, checks, again } => {
                let again = if *again { " again" } else { "" };
                write!(f, "{} is healthy{again}: {} passed", Label(name, address), Checks(*checks))
            }
            Change::Address { name, added, removed } => {
                write!(f, "{name}:")?;
                let mut separator = " ";
                for address in added {
                    write!(f, "{separator}{address} is new")?;
                    separator = ", ";
                }
                for address in removed {
                    write!(f, "{separator}{address} is gone")?;
                    separator = ", ";
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, None)
    }
}

/// A server by name, with the address where the name alone is not enough.
pub(super) struct Label<'a>(pub(super) &'a str, pub(super) &'a Option<Address>);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(address) => write!(f, "{} ({address})", self.0),
            None => f.write_str(self.0),
        }
    }
}

/// A count with its noun.
pub(super) struct Failures(pub(super) u32);

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 failure"),
            count => write!(f, "{count} failures"),
        }
    }
}

/// A count of checks with its noun.
pub(super) struct Checks(pub(super) u32);

impl fmt::Display for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 check"),
            count => write!(f, "{count} checks"),
        }
    }
}

/// A duration as nginx writes one: whole seconds where it is that, else milliseconds.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_millis() == 0 {
            write!(f, "{}s", self.0.as_secs())
        } else {
            write!(f, "{}ms", self.0.as_millis())
        }
    }
}
