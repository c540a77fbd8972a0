//! What is put to the test: this proxy, and for comparison nginx and HAProxy, each as a process with one
//! origin behind it.

use std::fmt::Write as _;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::PATIENCE;
use crate::case::Case;

/// A setting that a case needs, which each subject writes in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// `max-body N`: octets of a request's body.
    MaxBody(u64),
    /// `max-head SIZE`: of a head.
    MaxHead(String),
    /// `head-timeout TIME`: for a request's head.
    HeadTimeout(String),
    /// `body-timeout TIME`: between two reads of a request's body.
    BodyTimeout(String),
    /// `read-timeout TIME`: between two reads from the origin.
    ReadTimeout(String),
    /// `idle-timeout TIME`: between two requests of a client.
    IdleTimeout(String),
    /// `next WORDS`: when another server is tried.
    Next(String),
    /// `servers 2`: the origin under two addresses.
    TwoServers,
    /// `servers itself`: it is its own server.
    Loop,
    /// `conf DIRECTIVES`: what its `nginx.conf` says of requests besides, or instead.
    Conf(String),
}

impl Setting {
    /// Reads `max-body 10` and the like.
    pub(crate) fn read(text: &str) -> Setting {
        let (word, value) = text.split_once(' ').expect("a setting and its value");
        let value = value.trim().to_owned();
        match word {
            "max-body" => Setting::MaxBody(value.parse().expect("a number of octets")),
            "max-head" => Setting::MaxHead(value),
            "head-timeout" => Setting::HeadTimeout(value),
            "body-timeout" => Setting::BodyTimeout(value),
            "read-timeout" => Setting::ReadTimeout(value),
            "idle-timeout" => Setting::IdleTimeout(value),
            "next" => Setting::Next(value),
            "conf" => Setting::Conf(value),
            "servers" if value == "itself" => Setting::Loop,
            "servers" => Setting::TwoServers,
            word => panic!("no such setting: {word}"),
        }
    }

    fn flag(&self) -> String {
        match self {
            Setting::MaxBody(n) => format!("--max-body-size={n}"),
            Setting::MaxHead(size) => format!("--max-header-size={size}"),
            Setting::HeadTimeout(time) => format!("--client-header-timeout={time}"),
            Setting::BodyTimeout(time) => format!("--client-body-timeout={time}"),
            Setting::ReadTimeout(time) => format!("--read-timeout={time}"),
            Setting::IdleTimeout(time) => format!("--keepalive-timeout={time}"),
            Setting::Next(words) => format!("--next-upstream={words}"),
            Setting::TwoServers | Setting::Loop => String::new(),
            Setting::Conf(_) => panic!("a command line has no {self:?}"),
        }
    }

    fn nginx(&self) -> String {
        match self {
            Setting::MaxBody(n) => format!("client_max_body_size {n};"),
            Setting::MaxHead(size) => format!("large_client_header_buffers 1 {size};"),
            Setting::HeadTimeout(time) => format!("client_header_timeout {time};"),
            Setting::BodyTimeout(time) => format!("client_body_timeout {time};"),
            Setting::ReadTimeout(time) => format!("proxy_read_timeout {time};"),
            Setting::IdleTimeout(time) => format!("keepalive_timeout {time};"),
            Setting::Next(words) => format!("proxy_next_upstream {};", words.replace(',', " ")),
            Setting::TwoServers | Setting::Loop | Setting::Conf(_) => String::new(),
        }
    }

    /// HAProxy has no bound on a body, and one buffer size for everything.
    fn haproxy(&self) -> String {
        match self {
            Setting::HeadTimeout(time) => format!("timeout http-request {time}"),
            Setting::BodyTimeout(time) => format!("timeout client {time}"),
            Setting::ReadTimeout(time) => format!("timeout server {time}"),
            Setting::IdleTimeout(time) => format!("timeout http-keep-alive {time}"),
            Setting::MaxBody(_)
            | Setting::MaxHead(_)
            | Setting::Next(_)
            | Setting::Loop
            | Setting::TwoServers
            | Setting::Conf(_) => String::new(),
        }
    }
}

/// Whom a case is played with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This proxy, by its command line.
    Ours,
    /// This proxy, by an `nginx.conf`: what goes on is written by its list of fields.
    Listed,
    Nginx,
    HaProxy,
}

/// A running subject.
#[derive(Debug)]
pub(crate) struct Subject {
    kind: Kind,
    child: Child,
    folder: TempDir,
    pub(crate) address: SocketAddr,
}

impl Subject {
    /// Starts it before an origin, and waits until it listens.
    pub(crate) fn start(kind: Kind, case: &Case, origin: SocketAddr) -> Subject {
        // Another process may take the address between the choice and the bind.
        for _ in 0..20 {
            if let Some(subject) = Subject::try_start(kind, case, origin) {
                return subject;
            }
        }
        panic!("{}: {kind:?} does not start", case.name);
    }

    fn try_start(kind: Kind, case: &Case, origin: SocketAddr) -> Option<Subject> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a loopback port");
        let at = |name: &str| folder.path().join(name);
        let is_loop = case.with.contains(&Setting::Loop);
        let mut servers = vec![if is_loop { address } else { origin }.to_string()];
        if case.with.contains(&Setting::TwoServers) {
            servers.push(format!("127.0.0.2:{}", origin.port()));
        }
        let mut command = match kind {
            Kind::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_proxy"));
                command.args(["--workers=1", "--log-level=debug", "--pid-file"]).arg(at("pid"));
                command.args([format!("--listen={address}"), format!("--upstream={}", servers.join(","))]);
                command.args(case.with.iter().map(Setting::flag).filter(|flag| !flag.is_empty()));
                command
            }
            Kind::Listed | Kind::Nginx => {
                std::fs::write(at("nginx.conf"), conf(kind, case, address, &servers)).expect("a file");
                let program = if kind == Kind::Listed { env!("CARGO_BIN_EXE_proxy") } else { "nginx" };
                let mut command = Command::new(program);
                command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "log"]);
                command
            }
            Kind::HaProxy => {
                std::fs::write(at("haproxy.cfg"), haproxy(case, address, &servers)).expect("a file");
                let mut command = Command::new("haproxy");
                command.args(["-db", "-f"]).arg(at("haproxy.cfg"));
                command
            }
        };
        let log = std::fs::File::create(at("log")).expect("a log file");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{kind:?} does not start: {error}"));
        let mut subject = Subject { kind, child, folder, address };
        let start = Instant::now();
        while start.elapsed() < PATIENCE && subject.child.try_wait().expect("a child").is_none() {
            if subject.listens() {
                return Some(subject);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }

    /// Whether it has bound its address. That somebody listens there does not show that it is this process,
    /// but HAProxy says nothing else.
    fn listens(&self) -> bool {
        match self.kind {
            Kind::Ours | Kind::Listed | Kind::Nginx => self.folder.path().join("pid").exists(),
            Kind::HaProxy => TcpStream::connect(self.address).is_ok(),
        }
    }

    /// Stops it; it has stopped when this returns.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
        let start = Instant::now();
        while start.elapsed() < PATIENCE && !self.is_frozen() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether all its threads are stopped, as proc(5) has it.
    fn is_frozen(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("a running child");
        let stats = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("stat")));
        stats.flatten().all(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a running child");
    }

    /// Ends it. Returns what it logged, and whether it ended as it should.
    pub(crate) fn stop(mut self) -> (String, bool) {
        let is_ours = matches!(self.kind, Kind::Ours | Kind::Listed);
        if is_ours {
            self.signal(Signal::TERM);
        } else {
            self.child.kill().expect("a running child");
        }
        let start = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => break Some(status),
                None if start.elapsed() > PATIENCE => break None,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let mut log = String::new();
        if let Ok(mut file) = std::fs::File::open(self.folder.path().join("log")) {
            let _ = file.read_to_string(&mut log);
        }
        let sound = !is_ours || (status.is_some_and(|status| status.success()) && !log.contains("panicked"));
        (log, sound)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the nginx documentation gives for a proxy with kept connections; and for this proxy by such a file, the fields
/// that its command line has.
fn conf(kind: Kind, case: &Case, address: SocketAddr, servers: &[String]) -> String {
    let mut text = String::from(
        "daemon off; master_process off; pid pid; error_log log info;\n\
         events { worker_connections 512; }\n\
         http {\naccess_log off;\n",
    );
    let mut rules = vec![
        "proxy_pass http://origin",
        "proxy_http_version 1.1",
        "proxy_set_header Connection \"\"",
        "proxy_set_header Host $http_host",
    ];
    if kind == Kind::Listed {
        text.push_str("underscores_in_headers on; ignore_invalid_headers off;\n");
        if !case.with.iter().any(|setting| matches!(setting, Setting::MaxHead(_))) {
            text.push_str("large_client_header_buffers 2 8k;\n");
        }
        rules.extend([
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for",
            "proxy_set_header X-Forwarded-Proto $scheme",
            "proxy_set_header X-Forwarded-Host $http_host",
            "proxy_set_header X-Real-IP $remote_addr",
            "proxy_pass_header Server",
            "proxy_pass_header Date",
        ]);
    } else {
        text.push_str("client_body_temp_path body; proxy_temp_path temp;\n");
        for module in ["fastcgi", "uwsgi", "scgi"] {
            let _ = writeln!(text, "{module}_temp_path temp;");
        }
    }
    for setting in &case.with {
        let _ = writeln!(text, "{}", setting.nginx());
    }
    let servers: String = servers.iter().map(|server| format!("server {server}; ")).collect();
    let _ = write!(
        text,
        "upstream origin {{ {servers}keepalive 8; }}\nserver {{ listen {address}; location / {{\n"
    );
    let own = case.with.iter().filter_map(|setting| match setting {
        Setting::Conf(text) => Some(text.as_str()),
        _ => None,
    });
    let own: Vec<&str> = own.collect();
    // What the case says itself stands instead.
    let words = |rule: &str| rule.rsplit_once(' ').map_or(String::new(), |(words, _)| format!("{words} "));
    rules.retain(|rule| !own.iter().any(|own| own.contains(&words(rule))));
    for rule in rules {
        let _ = writeln!(text, "{rule};");
    }
    let _ = writeln!(text, "{}\n}} }}\n}}", own.join("\n"));
    text
}

/// What HAProxy's documentation gives for the same.
fn haproxy(case: &Case, address: SocketAddr, servers: &[String]) -> String {
    let mut text = String::from(
        "global\n  maxconn 64\ndefaults\n  mode http\n  timeout connect 4s\n  timeout client 60s\n  \
         timeout server 60s\n",
    );
    for setting in &case.with {
        let _ = writeln!(text, "  {}", setting.haproxy());
    }
    let _ = write!(text, "frontend clients\n  bind {address}\n  default_backend origins\nbackend origins\n");
    for (number, server) in servers.iter().enumerate() {
        let _ = writeln!(text, "  server origin{number} {server}");
    }
    text
}
