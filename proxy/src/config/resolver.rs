//! Name servers to ask instead of the system (`resolver`).

use super::Host;
use crate::time::Duration;

/// Whom to ask for addresses, and how answers are taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resolver {
    /// Where the name servers are, in their order. At least one, and none at a Unix socket.
    pub servers: Vec<Host>,
    /// How long an answer holds (`valid=`); `None`: as long as it says (its TTL).
    pub valid: Option<Duration>,
    /// IPv4 addresses are asked for. One of the two kinds is.
    pub ipv4: bool,
    /// IPv6 addresses are asked for.
    pub ipv6: bool,
    /// The longest that looking one name up may take (`resolver_timeout`).
    pub timeout: Duration,
}
