//! The faults, and who can be put to them.

use clap::ValueEnum;
use rustix::process::Signal;

use crate::lab::Kind;

/// What goes wrong. In all but the last three it happens to app2 alone, while app1 is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// app2 ends its connections and refuses new ones
    Refuse,
    /// app2 is killed (SIGKILL)
    Kill,
    /// app2 is stopped (SIGSTOP): connections open, nothing answers
    Stop,
    /// app2 is slow, but within the read timeout
    Slow,
    /// app2 answers 500
    Status500,
    /// app2 breaks off within the head of its answers
    CutHead,
    /// app2 breaks off within the body of its answers
    CutBody,
    /// app2 resets the connection instead of answering
    Reset,
    /// app2 swallows packets: attempts to connect meet silence
    BlackHole,
    /// Redis, in which both count, is killed and comes back
    Redis,
    /// The subject reads its configuration anew, twice
    Reload,
    /// The subject is replaced by a new process, twice
    Upgrade,
}

/// The servers of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cast {
    /// Scripted ones.
    Scripted,
    /// The project's backend, a process each, with their counter in Redis.
    Backends,
}

impl Fault {
    /// Its name on the command line and in tables.
    pub fn name(self) -> String {
        self.to_possible_value().expect("no fault is hidden").get_name().to_owned()
    }

    /// What happens, in a line.
    pub fn what(self) -> String {
        let value = self.to_possible_value().expect("no fault is hidden");
        value.get_help().map(ToString::to_string).unwrap_or_default()
    }

    /// Whether a proxy can keep it from every client whose request is idempotent: a healthy server is left, and the
    /// answer is short enough to be held until it is whole.
    pub fn can_be_hidden(self) -> bool {
        self != Fault::Redis
    }

    pub(super) fn cast(self) -> Cast {
        match self {
            Fault::Kill | Fault::Stop | Fault::Redis | Fault::Reload | Fault::Upgrade => Cast::Backends,
            _ => Cast::Scripted,
        }
    }

    /// What is to be known about the figures.
    pub(super) fn note(self) -> Option<&'static str> {
        match self {
            Fault::CutBody => Some(
                "the answer is short, so that it can be held until all of it has come; who passes its first half on \
                 at once cannot ask another server any more",
            ),
            Fault::Redis => Some(
                "no server can count while Redis is away, so the answers are 503; what counts is that every hit is \
                 counted once",
            ),
            Fault::Reload | Fault::Upgrade => Some(
                "the load does not repeat a request whose idle connection was closed at that moment, as a browser \
                 would",
            ),
            _ => None,
        }
    }

    /// Why it cannot be played to a subject, in words; `has_redis`: whether backends have a Redis to count in.
    pub(super) fn obstacle(self, kind: Kind, has_redis: bool) -> Option<&'static str> {
        match self.cast() {
            Cast::Backends if !has_redis => Some(
                "redis-server, in which its servers count, is not installed; on Debian: apt-get install redis-server",
            ),
            _ => self.own_signal(kind).err(),
        }
    }

    /// The signal by which the subject does this to itself, or why there is none; for other faults `Ok(None)`.
    pub(super) fn own_signal(self, kind: Kind) -> Result<Option<Signal>, &'static str> {
        match (self, kind) {
            (Fault::Reload, Kind::Proxy | Kind::Nginx) => Ok(Some(Signal::HUP)),
            (Fault::Upgrade, Kind::Proxy | Kind::Nginx) => Ok(Some(Signal::USR2)),
            (Fault::Reload, Kind::Haproxy) => Ok(Some(Signal::USR2)),
            (Fault::Upgrade, Kind::Haproxy) => Err("its reload is its upgrade"),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_says_what_it_is() {
        for fault in Fault::value_variants() {
            assert!(fault.what().len() > 10, "{fault:?}");
            assert!(fault.note().is_some() || fault.can_be_hidden(), "{fault:?}");
        }
        assert_eq!(Fault::BlackHole.name(), "black-hole");
        assert_eq!(Fault::Status500.name(), "status500");
    }
}
