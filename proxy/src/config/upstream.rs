//! Groups of servers, and what moves a request from one to the next.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::Resolver;
use super::health::HealthCheck;
use super::template::Template;
use crate::time::Duration;

/// A group of servers (`upstream`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// How it is called.
    pub name: String,
    /// Its `server` lines, in their order. At least one. In `nginx.conf` a place may be there twice.
    pub servers: Vec<Server>,
    /// How a server is chosen.
    pub balance: Balance,
    /// The text that [`Balance::Hash`] and [`Balance::ConsistentHash`] go by; empty for the other methods.
    pub key: Template,
    /// How clients keep their server; `None`: they do not.
    pub sticky: Option<Sticky>,
    /// How requests wait while no server can take them; `None`: they do not.
    pub queue: Option<Queue>,
    /// Idle connections kept per worker (`keepalive`); 0 keeps none.
    pub keepalive: usize,
    /// How long one is kept (`keepalive_timeout`).
    pub idle_timeout: Duration,
    /// The most requests over one connection (`keepalive_requests`).
    pub requests_max: u64,
    /// The longest life of a connection that is used again (`keepalive_time`).
    pub time_max: Duration,
    /// How its servers are checked, each of them by all of these (`health_check`).
    pub checks: Vec<HealthCheck>,
}

impl Upstream {
    /// A group with the command line's defaults for the rest.
    pub fn new(name: &str, servers: Vec<Server>) -> Upstream {
        Upstream {
            name: name.to_owned(),
            servers,
            balance: Balance::default(),
            key: Template::default(),
            sticky: None,
            queue: None,
            keepalive: 64,
            idle_timeout: Duration::from_secs(60),
            requests_max: u64::MAX,
            time_max: Duration::from_secs(100 * 365 * 24 * 3600),
            checks: Vec::new(),
        }
    }
}

/// How requests wait for a server (`queue`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The most that wait at once, over all workers. At least 1.
    pub requests_max: usize,
    /// How long one waits.
    pub timeout: Duration,
}

/// One `server` line of the upstream group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Host and port, or `unix:PATH`, as written: `app1:5000`. Logs and health go by this name.
    pub name: String,
    /// Where it is.
    pub host: Host,
    /// Who is asked for the addresses of a name (`resolve` with a `resolver`); `None`: the system.
    pub resolver: Option<Arc<Resolver>>,
    /// The name of the service whose servers it stands for (`service`): `_http._tcp.app.test`. There is a `resolver`
    /// then, and the port of `host` means nothing.
    pub service: Option<String>,
    /// Its share of the requests, 1 to [`WEIGHT_MAX`](super::server::WEIGHT_MAX).
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
    /// Gets no further request but of clients that keep to it; keeps its place as one that is `down`.
    pub drain: bool,
    /// What clients that keep to it call it (`route`); empty: a digest of its address.
    pub route: String,
    /// How long its share grows to what its weight says, after it failed and came back; zero: it has all at once.
    pub slow_start: Duration,
}

impl Server {
    /// A server with nginx's defaults for all parameters.
    pub fn new(name: &str, host: Host) -> Server {
        Server {
            name: name.to_owned(),
            host,
            resolver: None,
            service: None,
            weight: 1,
            max_fails: 1,
            fail_timeout: Duration::from_secs(10),
            max_conns: 0,
            backup: false,
            down: false,
            drain: false,
            route: String::new(),
            slow_start: Duration::ZERO,
        }
    }

    /// The `Host` of a request without one (nginx's `$proxy_host`, and its word for a Unix socket).
    pub fn default_host(&self) -> String {
        match self.host {
            Host::Unix(_) => "localhost".into(),
            _ => self.name.clone(),
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
    /// By the group's key.
    Hash,
    /// By the group's key, so that a server that goes away takes only its own keys with it (`hash KEY consistent`).
    ConsistentHash,
    /// By chance and weight.
    Random,
    /// The one with fewer requests in flight, relative to weight, of two that [`Balance::Random`] would choose
    /// (`random two least_conn`).
    RandomTwo,
    /// The one that is expected to be through first, by its response times and requests in flight, relative to
    /// weight (`least_time`).
    LeastTime(Measure),
}

/// What [`Balance::LeastTime`] measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// The end of a response time.
    pub until: Until,
    /// How long requests have been waiting that are not answered yet counts too (`inflight`).
    pub counts_unanswered: bool,
}

/// The end of a response time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The head of the response is there.
    Header,
    /// All of the response is there.
    LastByte,
}

impl Balance {
    /// Whether servers are ranked by their standing, so that there may be `backup` ones and a `slow_start`.
    pub fn ranks_servers(self) -> bool {
        matches!(self, Balance::RoundRobin | Balance::LeastConn | Balance::LeastTime(_))
    }

    /// Whether the group's key is what a server is found by.
    pub fn goes_by_key(self) -> bool {
        matches!(self, Balance::Hash | Balance::ConsistentHash)
    }
}

/// How clients keep their server (`sticky`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    /// Where a request may name its server: the first one counts that is not empty.
    pub lookup: Vec<Template>,
    /// How clients are told of their server; `None` where the servers see to that.
    pub cookie: Option<Cookie>,
    /// What a request names is no server but a session, whose server is known from responses; `None`: it is a server.
    pub learn: Option<Learn>,
}

/// How sessions are learnt from responses (`sticky learn`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learn {
    /// Where a response may name a session that begins: the first one counts that is not empty.
    pub create: Vec<Template>,
    /// The most that are known at once, over all workers; the one used longest ago is forgotten for another.
    pub sessions_max: usize,
    /// For how long one is known after its last response.
    pub timeout: Duration,
    /// The head of a response says it, not its end.
    pub at_header: bool,
}

/// The cookie that names a client's server (`sticky cookie`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// How long clients are to keep it; `None`: until they end.
    pub expires: Option<Expires>,
    /// Where it is for; empty: the host that was asked.
    pub domain: Template,
    /// Scripts may not see it.
    pub is_http_only: bool,
    /// It is for encrypted connections alone.
    pub is_secure: bool,
    /// `strict`, `lax` or `none`; empty: not said.
    pub same_site: Template,
    /// The paths it is for; empty: not said.
    pub path: String,
}

impl Cookie {
    /// Whether this is a value of `samesite`.
    pub fn knows_same_site(value: &[u8]) -> bool {
        ["strict", "lax", "none"].iter().any(|known| known.as_bytes().eq_ignore_ascii_case(value))
    }
}

/// How long a cookie is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    /// So long after the response; whole seconds.
    After(Duration),
    /// As long as a cookie can be.
    Never,
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
