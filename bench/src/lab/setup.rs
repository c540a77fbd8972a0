//! A group of servers and the rules on their failures, said to each subject in its own words.
//!
//! Where a comparison is about behaviour, all subjects get the same rules. nginx and this proxy share their
//! words. HAProxy has no passive `max_fails`: it comes closest with `observe layer7`, whose `error-limit` takes
//! a server out, and with health checks, every half of the `fail_timeout`, which bring it back. With them it
//! notices more than the others, which have no checks of their own: its rows are to be read with that in mind.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use proxy::config::{Balance, Until};
use rustix::process::Pid;

use super::ending::PidFile;
use super::words::{HaproxyCfg, NginxConf, lines};
use super::{Binaries, Kind, LabError, Process, free_address, text, version_line};

/// The servers and the rules.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How a server is chosen.
    pub balance: Balance,
    /// Addresses and weights; they are called app1, app2 and so on.
    pub servers: Vec<(SocketAddr, u32)>,
    /// Failures that take a server out.
    pub max_fails: u32,
    /// How long it is out; whole seconds, since nginx has no others.
    pub fail_timeout: Duration,
    /// For a connection to a server.
    pub connect_timeout: Duration,
    /// Between two reads from a server.
    pub read_timeout: Duration,
    /// Whether another server is asked where one answers 500.
    pub moves_on_500: bool,
}

/// A subject with a setup, which can be started as often as it takes.
#[derive(Debug)]
pub struct Arranged {
    /// What it is.
    pub kind: Kind,
    /// What it says of its version.
    pub version: String,
    program: PathBuf,
    folder: PathBuf,
}

/// A subject that runs on a setup. It ends with this value.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The file that its log goes to.
    pub log: PathBuf,
    process: Process,
    /// Who is in charge where that may change: after an upgrade it is not the process that was started here.
    pid_file: Option<PidFile>,
}

impl Setup {
    /// These servers of equal weight, by round robin, with nginx's defaults for the rest.
    pub fn new(servers: impl IntoIterator<Item = SocketAddr>) -> Setup {
        Setup {
            balance: Balance::RoundRobin,
            servers: servers.into_iter().map(|address| (address, 1)).collect(),
            max_fails: 1,
            fail_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(4),
            read_timeout: Duration::from_secs(60),
            moves_on_500: false,
        }
    }

    fn next_upstream(&self) -> &'static str {
        if self.moves_on_500 { "error timeout http_500" } else { "error timeout" }
    }

    /// nginx's configuration, which the proxy reads as well.
    fn nginx_conf(&self, address: SocketAddr, kind: Kind, folder: &Path) -> String {
        let log = text(folder.join("log"));
        let mut upstream = match self.balance {
            Balance::RoundRobin => Vec::new(),
            other => vec![method(other).to_owned()],
        };
        let (max_fails, fail_timeout) = (self.max_fails, self.fail_timeout.as_millis().div_ceil(1000));
        upstream.extend(self.servers.iter().map(|(server, weight)| {
            format!("server {server} weight={weight} max_fails={max_fails} fail_timeout={fail_timeout}s")
        }));
        let (connect_ms, read_ms) = (self.connect_timeout.as_millis(), self.read_timeout.as_millis());
        NginxConf {
            address,
            folder,
            pid_file: &format!("{}.pid", kind.name()),
            main: &[format!("error_log {log} warn")],
            http: &[],
            upstream: &upstream,
            location: &[
                format!("proxy_connect_timeout {connect_ms}ms"),
                format!("proxy_read_timeout {read_ms}ms"),
                format!("proxy_next_upstream {}", self.next_upstream()),
            ],
        }
        .text()
    }

    fn haproxy_cfg(&self, address: SocketAddr) -> String {
        let read_ms = self.read_timeout.as_millis();
        let balance: &[&str] = match self.balance {
            Balance::RoundRobin => &["balance roundrobin"],
            Balance::IpHash => &["balance source"],
            Balance::LeastConn => &["balance leastconn"],
            Balance::Hash => &["balance uri whole"],
            Balance::ConsistentHash => &["balance uri whole", "hash-type consistent"],
            Balance::Random => &["balance random(1)"],
            Balance::RandomTwo => &["balance random(2)"],
            // The nearest that it has.
            Balance::LeastTime(_) => &["balance leastconn"],
        };
        let on_500 = if self.moves_on_500 { " 500" } else { "" };
        let tries = self.servers.len().saturating_sub(1);
        let (fails, between_ms) = (self.max_fails.max(1), self.fail_timeout.as_millis() / 2);
        let mut backend = lines(balance.iter().chain(&["option httpchk GET /healthz"]));
        backend.extend(self.servers.iter().zip(1..).map(|((server, weight), number)| {
            format!(
                "server app{number} {server} weight {weight} check inter {between_ms}ms fall {fails} rise 1 \
                 observe layer7 error-limit {fails} on-error mark-down"
            )
        }));
        HaproxyCfg {
            address,
            connect_ms: self.connect_timeout.as_millis(),
            read_ms,
            global: &lines(["log stderr format raw daemon notice"]),
            defaults: &[
                "log global".into(),
                format!("timeout check {read_ms}ms"),
                format!("retries {tries}"),
                "option redispatch 1".into(),
                format!("retry-on conn-failure empty-response response-timeout junk-response{on_500}"),
            ],
            backend: &backend,
        }
        .text()
    }
}

/// The method in the words of nginx and the proxy.
fn method(balance: Balance) -> &'static str {
    match balance {
        Balance::RoundRobin => "round_robin",
        Balance::IpHash => "ip_hash",
        Balance::LeastConn => "least_conn",
        Balance::Hash => "hash $request_uri",
        Balance::ConsistentHash => "hash $request_uri consistent",
        Balance::Random => "random",
        Balance::RandomTwo => "random two",
        Balance::LeastTime(measure) => match (measure.until, measure.counts_unanswered) {
            (Until::Header, false) => "least_time header",
            (Until::Header, true) => "least_time header inflight",
            (Until::LastByte, false) => "least_time last_byte",
            (Until::LastByte, true) => "least_time last_byte inflight",
        },
    }
}

impl Arranged {
    /// Gets a subject ready; `None` where it is not installed, or knows no such rules. What it writes goes
    /// below `folder`.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be made.
    pub fn new(kind: Kind, binaries: &Binaries, folder: &Path) -> Result<Option<Arranged>, LabError> {
        let knows_rules = matches!(kind, Kind::Proxy | Kind::Nginx | Kind::Haproxy);
        let Some(program) = kind.program(binaries).filter(|_| knows_rules) else { return Ok(None) };
        let folder = folder.join(kind.name());
        fs::create_dir_all(&folder)?;
        let version = version_line(&program, kind.version_flag());
        Ok(Some(Arranged { kind, version, program, folder }))
    }

    /// Whether it has this method: nginx has `least_time` since 1.31.
    pub fn has(&self, balance: Balance) -> bool {
        let release = self.version.split('/').nth(1).unwrap_or_default();
        let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        let release = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        !matches!(balance, Balance::LeastTime(_)) || self.kind == Kind::Proxy || release >= (1, 31)
    }

    /// Starts it on a setup, alone on `core`, and waits until it answers.
    ///
    /// # Errors
    ///
    /// Where it does not start or does not answer.
    pub fn start(&self, setup: &Setup, core: usize) -> Result<Running, LabError> {
        self.launch(setup, core, false)
    }

    /// The same, so that it can be upgraded: its process is whoever its pid file names.
    ///
    /// # Errors
    ///
    /// As [`Arranged::start`].
    pub fn start_upgradable(&self, setup: &Setup, core: usize) -> Result<Running, LabError> {
        self.launch(setup, core, true)
    }

    fn launch(&self, setup: &Setup, core: usize, is_upgradable: bool) -> Result<Running, LabError> {
        let address = free_address()?;
        let log = self.folder.join("log");
        let pid_file = self.folder.join(format!("{}.pid", self.kind.name()));
        let mut command = self.command(setup, address)?;
        match self.kind {
            // It ignores USR2 while whoever started it is its parent: then it has to go to the background.
            Kind::Nginx => command.args(["-g", if is_upgradable { "daemon on;" } else { "daemon off;" }]),
            Kind::Proxy => command.args(["-g", "daemon off;"]),
            _ => &mut command,
        };
        // Made only where it is wanted: its end is that of whoever the file names, also where that does not get ready.
        let pid_file = is_upgradable.then(|| PidFile::new(pid_file)).transpose()?;
        let mut process = Process::start_logging(self.kind.name(), &mut command, core, &log)?;
        process.wait_until_ready(address)?;
        Ok(Running { address, log, process, pid_file })
    }

    fn command(&self, setup: &Setup, address: SocketAddr) -> io::Result<Command> {
        let mut command = Command::new(&self.program);
        match self.kind {
            Kind::Proxy | Kind::Nginx => {
                let file = self.folder.join("nginx.conf");
                fs::write(&file, setup.nginx_conf(address, self.kind, &self.folder))?;
                command.arg("-p").arg(&self.folder).arg("-e").arg(self.folder.join("log"));
                command.arg("-c").arg(file);
            }
            Kind::Haproxy => {
                let file = self.folder.join("haproxy.cfg");
                fs::write(&file, setup.haproxy_cfg(address))?;
                command.args(["-W", "-db", "-f"]).arg(file);
            }
            _ => unreachable!("it was not arranged"),
        }
        Ok(command)
    }
}

impl Running {
    /// The process that takes signals: the master, where there are workers.
    ///
    /// # Errors
    ///
    /// Where there is a pid file and it cannot be read.
    pub fn pid(&self) -> io::Result<Pid> {
        self.pid_file.as_ref().map_or_else(|| Ok(self.process.pid()), PidFile::pid)
    }

    /// Whether it was started to be upgraded.
    pub fn is_upgradable(&self) -> bool {
        self.pid_file.is_some()
    }
}
