//! Everything that can be chosen, as one checked value.
//!
//! Text (the command line, `nginx.conf`) becomes a [`Config`] in one place and is checked there;
//! the rest of the proxy reads fields and never parses or doubts them again.
//!
//! ```text
//!   Config ─┬─ Process                      one
//!           ├─ Listener* ─── sites ──┐      a socket, and which sites answer there
//!           ├─ Upstream*             │      a group of servers
//!           └─ Site* ◀───────────────┘      a `server` block of nginx.conf: names, how clients are treated
//!                └─ Location* ─┬─ Action    where a request ends: at a server, in an answer
//!                              └─ Rules     how it gets there
//! ```
//!
//! - `site.rs`: sites and their locations
//! - `upstream.rs`: groups of servers
//! - `health.rs`: how these are checked
//! - `resolver.rs`: name servers
//! - `url.rs`: addresses as nginx takes them apart
//! - `pattern.rs`, `pcre.rs`: regular expressions

pub mod address;
mod exit;
pub mod flags;
pub mod health;
mod help;
pub mod nginx;
mod pattern;
mod pcre;
mod resolver;
pub mod server;
pub mod site;
mod site_name;
pub mod template;
pub mod units;
pub mod upstream;
pub mod url;
mod values;

pub use exit::{Exit, Stream};
pub use health::HealthCheck;
pub use pattern::{Pattern, PatternError};
pub use resolver::Resolver;
pub use site::{Action, ClientRules, Location, Pass, Rules, Site, Timeouts};
pub use upstream::{
    Balance, Cookie, Expires, Host, Learn, Measure, NextUpstream, Queue, Server, Sticky, Until, Upstream,
};

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread::available_parallelism;

use crate::time::Duration;
use site::{Log, SiteName};
use template::{Source, Template, Variable};

/// The release of nginx whose language is spoken.
pub const LANGUAGE: &str = "1.31.5";

/// The checked configuration of one proxy process. Indexes point into its own vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What holds for the process as a whole.
    pub process: Process,
    /// Where clients connect. At least one; addresses are unique.
    pub listeners: Vec<Listener>,
    /// The groups of servers.
    pub upstreams: Vec<Upstream>,
    /// At least one.
    pub sites: Vec<Site>,
    /// What variables of the configuration's own give (`map`).
    pub maps: Vec<Map>,
    /// How many variables are set as requests go (`set`, named groups of regular expressions).
    pub slots: usize,
    /// The lines of logs (`log_format`).
    pub formats: Vec<LogFormat>,
    /// Some text has the counters of connections (`$connections_active` and its kin).
    pub asks_counters: bool,
    /// Something asks for the address that a client has connected to (`$server_addr`).
    pub asks_address: bool,
}

impl Config {
    /// What the command line gives for these servers and nothing else: see `--help` for each value's
    /// reason. The servers are taken as they are; [`server::check_group`] checks them.
    pub fn new(servers: Vec<Server>) -> Config {
        let host = servers.first().map_or_else(String::new, Server::default_host);
        Config {
            process: Process::default(),
            listeners: vec![Listener::new(Listen::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080))))],
            upstreams: vec![Upstream::new("upstream", servers)],
            sites: vec![Site::new(Location::new(Action::Proxy(Pass::new(0, host))))],
            maps: Vec::new(),
            slots: 0,
            formats: Vec::new(),
            asks_counters: false,
            asks_address: false,
        }
    }

    /// Has the first site write a line per request to this file, in the form of `--access-log`.
    pub fn log_to(&mut self, path: &str) {
        let (path, buffer, flush) = (Template::text(path), 64 << 10, Duration::from_secs(1));
        let log = Log { path, format: self.formats.len(), buffer, flush, condition: None };
        self.formats.push(LogFormat::standard());
        self.sites[0].location.rules.logs.push(log);
    }
}

/// What holds for the process as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Worker threads, at least 1 (`worker_processes`).
    pub workers: usize,
    /// Client connections over all workers, at least 1 (`worker_connections`). Beyond it idle ones give way, or
    /// accepting pauses.
    pub max_connections: usize,
    /// What messages call the settings that they advise to change.
    pub terms: Terms,
    /// The least severe message that is logged (`error_log`).
    pub log_level: log::LevelFilter,
    /// Where messages go, a file that is opened for appending (`error_log`); `None`: standard error.
    pub error_log: Option<PathBuf>,
    /// Each try of a request that fails at a server is logged, not only what that changes for the server.
    pub logs_tries: bool,
    /// It goes to the background once every address is bound (`daemon`).
    pub daemon: bool,
    /// Who it becomes once every address is bound, where it is root's (`user`).
    pub user: Option<User>,
    /// The limit of open files (`worker_rlimit_nofile`); `None`: it is raised as far as it goes.
    pub open_files: Option<u64>,
    /// How long QUIT waits for what is in flight (`worker_shutdown_timeout`); `None`: as long as it takes.
    pub shutdown_timeout: Option<Duration>,
    /// A file that holds the process id while the proxy accepts (`pid`).
    pub pid_file: Option<PathBuf>,
    /// Names that do not resolve at start are fatal.
    pub strict_names: bool,
    /// How often names are resolved anew.
    pub resolve_interval: Duration,
}

impl Default for Process {
    fn default() -> Process {
        Process {
            workers: workers_auto(),
            max_connections: 10_000,
            terms: Terms::FLAGS,
            log_level: log::LevelFilter::Info,
            error_log: None,
            logs_tries: false,
            daemon: false,
            user: None,
            open_files: None,
            shutdown_timeout: None,
            pid_file: None,
            strict_names: false,
            resolve_interval: Duration::from_secs(10),
        }
    }
}

/// What a person knows settings by: each knows those of the language that the configuration was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What bounds the connections of clients.
    pub connections: &'static str,
    /// Whether that is for each worker.
    pub is_per_worker: bool,
    /// What the limit of open files is raised with.
    pub open_files: &'static str,
}

impl Terms {
    /// Those of the command line.
    pub const FLAGS: Terms = Terms {
        connections: "--max-connections",
        is_per_worker: false,
        open_files: "ulimit -Hn, LimitNOFILE=",
    };

    /// Those of `nginx.conf`.
    pub const NGINX: Terms =
        Terms { connections: "worker_connections", is_per_worker: true, open_files: "worker_rlimit_nofile" };
}

/// A user by name, and a group where it is called otherwise (`user`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's name.
    pub name: String,
    /// The group's name; `None`: the one that is called as the user.
    pub group: Option<String>,
}

/// One worker for each core that this process may use, affinity and control group counted.
pub(crate) fn workers_auto() -> usize {
    available_parallelism().map_or(1, |cores| cores.get())
}

/// A variable whose value follows from that of others (`map`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// What is looked up.
    pub source: Template,
    /// Values by texts, in small letters, in any order.
    pub exact: Vec<(String, Template)>,
    /// Values by `*.example.com` and `example.*`, where `hostnames` is said: whatever ends or begins so.
    pub wildcards: Vec<(SiteName, Template)>,
    /// Values by regular expressions, in the file's order.
    pub patterns: Vec<(Pattern, Template)>,
    /// Texts are host names: a dot at their end says nothing (`hostnames`).
    pub has_hostnames: bool,
    /// The value of all others (`default`).
    pub default: Template,
}

impl Map {
    /// Takes off what says nothing in what is looked up (`ngx_http_map_variable`).
    pub fn prune(&self, source: &mut Vec<u8>) {
        if self.has_hostnames {
            source.pop_if(|last| *last == b'.');
        }
    }

    /// The variables that it asks for, whichever value is chosen.
    pub fn variables(&self) -> impl Iterator<Item = &template::Variable> {
        let values = self.exact.iter().map(|(_, value)| value);
        let values = values.chain(self.wildcards.iter().map(|(_, value)| value));
        let values = values.chain(self.patterns.iter().map(|(_, value)| value));
        values.chain([&self.source, &self.default]).flat_map(Template::variables)
    }
}

/// The line that a request leaves in a log (`log_format`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFormat {
    /// Its name.
    pub name: String,
    /// The line.
    pub line: Template,
    /// What becomes of bytes that could be mistaken.
    pub escape: Escape,
}

impl LogFormat {
    /// nginx's `combined` with the servers that were asked and the time behind it: what `--access-log` writes.
    pub fn standard() -> LogFormat {
        let line = "$remote_addr - - [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
                    \"$http_user_agent\" $upstream_server $request_time";
        let source = Source::parse(line).expect("its variables are well formed");
        let line = source.resolve(Variable::named).expect("its variables are known");
        LogFormat { name: "standard".to_owned(), line, escape: Escape::Default }
    }
}

/// What becomes of bytes in values that could be mistaken (`escape=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    /// `"`, `\`, control bytes and those beyond ASCII are written as `\x22`; nothing as `-`.
    #[default]
    Default,
    /// As JSON's strings want it; nothing stays nothing.
    Json,
    /// They stay as they are.
    None,
}

/// A socket that clients connect to, and who answers there (`listen`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its address.
    pub address: Listen,
    /// The sites that answer there, as indexes, in their order. At least one.
    pub sites: Vec<usize>,
    /// The one of them that answers for names nobody has (`default_server`).
    pub default_site: usize,
    /// How many connections wait to be accepted (`backlog=`).
    pub backlog: Option<u32>,
    /// How TCP looks after idle connections (`so_keepalive=`); `None`: as the system has it.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Connections begin with a header of the PROXY protocol (`proxy_protocol`).
    pub proxy_protocol: bool,
}

/// How TCP looks after idle connections. What is `None` is as the system has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// Whether it does.
    pub is_on: bool,
    /// The time without data before the first probe.
    pub idle: Option<Duration>,
    /// The time between probes.
    pub interval: Option<Duration>,
    /// How many probes without an answer end the connection.
    pub probes: Option<u32>,
}

impl Listener {
    /// For the only site.
    pub fn new(address: Listen) -> Listener {
        Listener {
            address,
            sites: vec![0],
            default_site: 0,
            backlog: None,
            tcp_keepalive: None,
            proxy_protocol: false,
        }
    }
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
