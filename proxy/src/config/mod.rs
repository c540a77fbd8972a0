//! Everything that can be chosen, as one checked value.
//!
//! Text (the command line, later `nginx.conf`) becomes a [`Config`] in one place and is checked there;
//! the rest of the proxy reads fields and never parses or doubts them again.

pub mod address;
mod exit;
pub mod flags;
mod help;
pub mod server;
pub mod units;
mod values;

pub use exit::{Exit, Stream};

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread::available_parallelism;

use ipnet::IpNet;

use crate::time::Duration;

/// The checked configuration of one proxy process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where clients connect. At least one.
    pub listen: Vec<Listen>,
    /// The `server` lines of the upstream group, in their order. At least one; names are unique.
    pub servers: Vec<Server>,
    /// How a server is chosen.
    pub balance: Balance,
    /// Which failures move a request to the next server.
    pub next_upstream: NextUpstream,
    /// The most servers tried for one request; 0: as many as there are (`proxy_next_upstream_tries`).
    pub tries: u32,
    /// Idle upstream connections kept per worker (`keepalive`); 0 keeps none.
    pub keepalive: usize,
    /// The bounds on every wait.
    pub timeouts: Timeouts,
    /// The largest request body in bytes; 0: no bound (`client_max_body_size`).
    pub max_body_size: u64,
    /// The largest request or response head in bytes, first line included. 1 KiB to 1 MiB.
    pub max_header_size: usize,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// Client connections over all workers, at least 1; beyond it accepting pauses.
    pub max_connections: usize,
    /// Where one line per request goes.
    pub access_log: AccessLog,
    /// The least severe message that is logged.
    pub log_level: log::LevelFilter,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trust_forwarded: Vec<IpNet>,
    /// A file that holds the process id while the proxy accepts.
    pub pid_file: Option<PathBuf>,
    /// Names that do not resolve at start are fatal.
    pub strict_names: bool,
    /// How often names are resolved anew.
    pub resolve_interval: Duration,
}

impl Config {
    /// What the command line gives for these servers and nothing else: see `--help` for each value's
    /// reason. The servers are taken as they are; [`server::check_group`] checks them.
    pub fn new(servers: Vec<Server>) -> Config {
        Config {
            listen: vec![Listen::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)))],
            servers,
            balance: Balance::default(),
            next_upstream: NextUpstream::default(),
            tries: 0,
            keepalive: 64,
            timeouts: Timeouts::default(),
            max_body_size: 1 << 20,
            max_header_size: 16 << 10,
            workers: workers_auto(),
            max_connections: 10_000,
            access_log: AccessLog::default(),
            log_level: log::LevelFilter::Info,
            trust_forwarded: Vec::new(),
            pid_file: None,
            strict_names: false,
            resolve_interval: Duration::from_secs(10),
        }
    }
}

/// One worker for each core that this process may use, affinity and control group counted.
fn workers_auto() -> usize {
    available_parallelism().map_or(1, |cores| cores.get())
}

/// A listening address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// TCP over IPv4 or IPv6. The port is never 0. As with nginx's `ipv6only=on`, `[::]` is not for IPv4:
    /// `0.0.0.0:8080` and `[::]:8080` can be listened on side by side.
    Tcp(SocketAddr),
    /// A Unix stream socket.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    /// As it can be written for `--listen`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => write!(f, "{address}"),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One `server` line of the upstream group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Host and port, or `unix:PATH`, as written: `app1:5000`. Logs and health go by this name.
    pub name: String,
    /// Where it is.
    pub host: Host,
    /// Its share of the requests, 1 to [`server::WEIGHT_MAX`].
    pub weight: u32,
    /// Failures that take it out; 0: none does.
    pub max_fails: u32,
    /// The window in which failures count and the time for which the server is then left alone.
    pub fail_timeout: Duration,
    /// The most requests at once over all workers; 0: no bound.
    pub max_conns: u32,
    /// Gets requests only while no other server can.
    pub backup: bool,
    /// Never gets a request; keeps its place in the distribution of the hashing methods.
    pub down: bool,
}

impl Server {
    /// A server with nginx's defaults for all parameters.
    pub fn new(name: &str, host: Host) -> Server {
        Server {
            name: name.to_owned(),
            host,
            weight: 1,
            max_fails: 1,
            fail_timeout: Duration::from_secs(10),
            max_conns: 0,
            backup: false,
            down: false,
        }
    }
}

/// The place of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address that needs no resolving.
    Literal(SocketAddr),
    /// A DNS name and a port.
    Name(String, u16),
    /// A Unix stream socket.
    Unix(PathBuf),
}

/// How a server is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Smooth weighted round robin.
    #[default]
    RoundRobin,
    /// By the client's address: an IPv4 address's first three octets, an IPv6 address whole.
    IpHash,
    /// Fewest requests in flight relative to weight.
    LeastConn,
}

/// The failures that move a request to the next server (`proxy_next_upstream`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextUpstream {
    /// Connecting, sending or reading failed.
    pub error: bool,
    /// Connecting, sending or reading timed out.
    pub timeout: bool,
    /// The response was empty or not HTTP.
    pub invalid_header: bool,
    /// Requests that are not idempotent may be tried again too.
    pub non_idempotent: bool,
    /// The statuses that count as a failure, out of 500, 502, 503, 504, 403, 404 and 429; unused places hold 0.
    pub statuses: [u16; 7],
}

impl Default for NextUpstream {
    /// `error timeout`, as nginx.
    fn default() -> NextUpstream {
        NextUpstream {
            error: true,
            timeout: true,
            invalid_header: false,
            non_idempotent: false,
            statuses: [0; 7],
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
    /// Between two writes, to a server or to a client.
    pub send: Duration,
    /// A request head, from its first byte (or from accepting) to its last.
    pub client_header: Duration,
    /// Between two reads of a request body.
    pub client_body: Duration,
    /// An idle client connection.
    pub keepalive: Duration,
    /// An idle upstream connection.
    pub upstream_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            // Not nginx's 60 s: an address that swallows packets (a stopped container's) must not hold
            // a request for a minute. 4 s leaves room for two retransmissions of a SYN (at 1 s and 3 s).
            connect: Duration::from_secs(4),
            read: Duration::from_secs(60),
            send: Duration::from_secs(60),
            client_header: Duration::from_secs(60),
            client_body: Duration::from_secs(60),
            keepalive: Duration::from_secs(75),
            upstream_idle: Duration::from_secs(60),
        }
    }
}

/// Where one line per request goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    #[default]
    Off,
    /// Standard output (`-`).
    Stdout,
    /// A file, opened for appending and reopened on USR1.
    File(PathBuf),
}
