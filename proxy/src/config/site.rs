//! Sites and their locations: how a request is treated, and where it ends.

use ipnet::IpNet;

use super::NextUpstream;
use crate::time::Duration;

/// One `server` block of `nginx.conf`; the command line makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// How its clients are treated before it is known what they ask for.
    pub client: ClientRules,
    /// What holds where no other location matches.
    pub location: Location,
}

impl Site {
    /// A site that treats all requests alike.
    pub fn new(location: Location) -> Site {
        Site { client: ClientRules::default(), location }
    }
}

/// How the clients of a site are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRules {
    /// For a request's head, from its first byte (or from accepting) to its last (`client_header_timeout`).
    pub header_timeout: Duration,
    /// For the next request (`keepalive_timeout`).
    pub keepalive_timeout: Duration,
    /// The largest request or response head in bytes, first line included. 1 KiB to 1 MiB.
    pub max_header_size: usize,
    /// Peers whose `X-Forwarded-For` is believed (`set_real_ip_from`).
    pub trusted: Vec<IpNet>,
}

impl Default for ClientRules {
    fn default() -> ClientRules {
        ClientRules {
            header_timeout: Duration::from_secs(60),
            keepalive_timeout: Duration::from_secs(75),
            max_header_size: 16 << 10,
            trusted: Vec::new(),
        }
    }
}

/// A part of a site's paths (`location`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Where its requests end.
    pub action: Action,
    /// How they get there.
    pub rules: Rules,
}

impl Location {
    /// With the command line's defaults.
    pub fn new(action: Action) -> Location {
        Location { action, rules: Rules::default() }
    }
}

/// Where a request ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// At a server (`proxy_pass`).
    Proxy(Pass),
}

/// To which servers requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The group, as an index.
    pub upstream: usize,
    /// The `Host` of a request that has none (`$proxy_host`).
    pub host: String,
}

/// How requests get to where they end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The bounds on every wait.
    pub timeouts: Timeouts,
    /// Which failures move a request to the next server (`proxy_next_upstream`).
    pub next_upstream: NextUpstream,
    /// The most servers tried for one request; 0: as many as there are (`proxy_next_upstream_tries`).
    pub tries: u32,
    /// The largest request body in bytes; 0: no bound (`client_max_body_size`).
    pub max_body_size: u64,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            timeouts: Timeouts::default(),
            next_upstream: NextUpstream::default(),
            tries: 0,
            max_body_size: 1 << 20,
        }
    }
}

/// The bounds on every wait. None is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Connecting to a server.
    pub connect: Duration,
    /// Between two reads from a server.
    pub read: Duration,
    /// Between two writes to a server.
    pub send: Duration,
    /// Between two reads of a request body.
    pub client_body: Duration,
    /// Between two writes to a client.
    pub client_send: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            // Not nginx's 60 s: an address that swallows packets (a stopped container's) must not hold
            // a request for a minute. 4 s leaves room for two retransmissions of a SYN (at 1 s and 3 s).
            connect: Duration::from_secs(4),
            read: Duration::from_secs(60),
            send: Duration::from_secs(60),
            client_body: Duration::from_secs(60),
            client_send: Duration::from_secs(60),
        }
    }
}
