//! Both worlds: origins that misbehave as told, nginx in front of them, and our group with the same requests.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use proxy::config::{Balance, Host, Server, Upstream};
use proxy::key::Key;
use proxy::time::{Duration, Time};
use proxy::upstream::{Attempt, Group, NoLivePeer, Outcome, PeerKey};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What an origin does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Serve,
    /// Reads the request and closes: a failure.
    HangUp,
    /// A failure for 502, another try without one for 404.
    Status(u16),
    /// Says that the request is there and answers when told.
    Hold,
}

impl Behaviour {
    /// A status passes through where no other server may be asked.
    pub(crate) fn outcome(self, is_last_try: bool) -> Outcome {
        match self {
            Behaviour::Serve | Behaviour::Hold => Outcome::Served,
            Behaviour::Status(_) if is_last_try => Outcome::Served,
            Behaviour::Status(404) => Outcome::Next,
            Behaviour::HangUp | Behaviour::Status(_) => Outcome::Failed,
        }
    }
}

/// A server on threads of its own, which end with the test process.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
    /// Requests held, each with the way to let it go.
    pub(crate) held: Receiver<Sender<()>>,
}

impl Origin {
    pub(crate) fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("its address");
        let behaviour = Arc::new(Mutex::new(Behaviour::Serve));
        let (tell, held) = channel();
        let shared = behaviour.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, tell) = (shared.clone(), tell.clone());
                std::thread::spawn(move || serve(stream, &shared, &tell));
            }
        });
        Origin { address, behaviour, held }
    }

    pub(crate) fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    pub(crate) fn behaviour(&self) -> Behaviour {
        *self.behaviour.lock().unwrap()
    }
}

pub(crate) fn origins(count: usize) -> Vec<Origin> {
    (0..count).map(|_| Origin::start()).collect()
}

pub(crate) fn serve(mut stream: TcpStream, behaviour: &Mutex<Behaviour>, tell: &Sender<Sender<()>>) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return,
        }
    }
    let behaviour = *behaviour.lock().unwrap();
    let status = match behaviour {
        Behaviour::Serve => 200,
        Behaviour::Status(status) => status,
        Behaviour::HangUp => return,
        Behaviour::Hold => {
            let (release, released) = channel();
            // Where nobody waits any more, the test is over.
            if tell.send(release).is_err() || released.recv().is_err() {
                return;
            }
            200
        }
    };
    // In one piece, so that nginx is through with it when the client has it.
    let response = format!("HTTP/1.0 {status} X\r\nContent-Length: 2\r\n\r\nok");
    let _ = stream.write_all(response.as_bytes());
}

/// A group in both worlds.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) method: Balance,
    pub(crate) tries: u32,
    pub(crate) servers: Vec<Server>,
}

impl Case {
    pub(crate) fn new(name: &str, method: Balance, servers: Vec<Server>) -> Case {
        Case { name: name.to_owned(), method, tries: 0, servers }
    }
}

pub(crate) fn line(address: SocketAddr) -> Server {
    Server {
        fail_timeout: Duration::from_secs(3600),
        ..Server::new(&address.to_string(), Host::Literal(address))
    }
}

pub(crate) fn weighted(origins: &[Origin], weights: &[u32]) -> Vec<Server> {
    let lines = origins.iter().zip(weights);
    lines.map(|(origin, &weight)| Server { weight, ..line(origin.address) }).collect()
}

/// An address where nothing listens: the port is taken, on another one.
pub(crate) fn refusing(origin: &Origin) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, 2), origin.address.port()).into()
}

/// A running nginx, or our own program in its place, with one location for each case. Killed when dropped.
pub(crate) struct Nginx {
    child: Child,
    socket: PathBuf,
    tcp: Option<SocketAddr>,
    _prefix: tempfile::TempDir,
}

impl Nginx {
    pub(crate) fn start(cases: &[Case]) -> Nginx {
        Nginx::start_on("nginx", cases, None).unwrap_or_else(|log| panic!("nginx does not start: {log}"))
    }

    /// Our own program with the same file.
    pub(crate) fn replaced(cases: &[Case]) -> Nginx {
        let program = env!("CARGO_BIN_EXE_proxy");
        Nginx::start_on(program, cases, None).unwrap_or_else(|log| panic!("it does not start: {log}"))
    }

    /// With a TCP listener beside the Unix socket. A free port need not stay free, so there are several goes.
    pub(crate) fn start_with_tcp(cases: &[Case]) -> Nginx {
        for _ in 0..10 {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
            let address = listener.local_addr().expect("its address");
            drop(listener);
            match Nginx::start_on("nginx", cases, Some(address)) {
                Ok(nginx) => return nginx,
                Err(log) => assert!(log.contains("Address already in use"), "nginx does not start: {log}"),
            }
        }
        panic!("no port stays free for nginx");
    }

    /// Fails with what nginx logged.
    pub(crate) fn start_on(program: &str, cases: &[Case], tcp: Option<SocketAddr>) -> Result<Nginx, String> {
        let prefix = tempfile::tempdir().expect("a temporary folder");
        let socket = prefix.path().join("nginx.sock");
        std::fs::write(prefix.path().join("nginx.conf"), configuration(cases, &socket, tcp)).unwrap();
        let child = Command::new(program)
            .args(["-e", "error.log", "-c", "nginx.conf", "-p"])
            .arg(prefix.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("nginx does not run ({error}): apt-get install nginx-light"));
        let mut nginx = Nginx { child, socket, tcp, _prefix: prefix };
        let file = |name| std::fs::read_to_string(nginx._prefix.path().join(name)).unwrap_or_default();
        let deadline = Instant::now() + PATIENCE;
        // nginx writes its pid once it listens.
        while !file("nginx.pid").ends_with('\n') {
            if nginx.child.try_wait().unwrap().is_some() {
                return Err(file("error.log"));
            }
            assert!(
                Instant::now() < deadline,
                "nginx is not ready after {PATIENCE:?}: {}",
                file("error.log")
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(nginx)
    }

    pub(crate) fn send(&self, case: usize) -> UnixStream {
        let mut stream = UnixStream::connect(&self.socket).expect("nginx listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /{case}/ HTTP/1.0\r\n\r\n").expect("nginx reads");
        stream
    }

    /// The servers a request went through.
    pub(crate) fn way(&self, case: usize) -> String {
        way_of(self.send(case))
    }

    /// The same for a request with this key.
    pub(crate) fn way_by(&self, case: usize, key: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).expect("nginx listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /{case}/?key={key} HTTP/1.0\r\n\r\n").expect("nginx reads");
        way_of(stream)
    }

    /// The same for a client at `source`, an address of 127.0.0.0/8.
    pub(crate) fn way_from(&self, case: usize, source: Ipv4Addr) -> String {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((source, 0)).into()).expect("all of 127.0.0.0/8 is ours");
        socket.connect(&self.tcp.expect("a TCP listener").into()).expect("nginx listens");
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /{case}/ HTTP/1.0\r\n\r\n").expect("nginx reads");
        way_of(stream)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn way_of(mut stream: impl Read) -> String {
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("nginx answers");
    let way = response.lines().find_map(|line| line.strip_prefix("X-Way: "));
    way.unwrap_or_else(|| panic!("no X-Way in {response:?}")).to_owned()
}

pub(crate) fn configuration(cases: &[Case], socket: &Path, tcp: Option<SocketAddr>) -> String {
    let mut text = String::from(
        "daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log error.log info;\n\
         events { worker_connections 256; }\n\
         http { access_log off; client_body_temp_path body; proxy_temp_path proxy;\n",
    );
    // Where these are built in, their folders are made at start, and the default ones may not be ours.
    let built = Command::new("nginx").arg("-V").output();
    let built =
        built.unwrap_or_else(|error| panic!("nginx does not run ({error}): apt-get install nginx-light"));
    for module in ["fastcgi", "uwsgi", "scgi"] {
        if !String::from_utf8_lossy(&built.stderr).contains(&format!("--without-http_{module}_module")) {
            let _ = writeln!(text, "{module}_temp_path {module};");
        }
    }
    for (index, case) in cases.iter().enumerate() {
        let method = match case.method {
            Balance::RoundRobin => "",
            Balance::IpHash => "ip_hash;",
            Balance::LeastConn => "least_conn;",
            Balance::Hash => "hash $arg_key;",
            Balance::ConsistentHash => "hash $arg_key consistent;",
            Balance::Random => "random;",
            Balance::RandomTwo => "random two least_conn;",
            Balance::LeastTime(_) => unreachable!("only nginx from 1.31 on has it"),
        };
        let _ = writeln!(text, "upstream u{index} {{ {method}");
        for Server { name, weight, max_fails, fail_timeout, max_conns, backup, down, .. } in &case.servers {
            let _ = write!(text, "server {name} weight={weight} max_fails={max_fails} max_conns={max_conns}");
            let _ = write!(text, " fail_timeout={}s", fail_timeout.as_secs());
            text += if *backup { " backup" } else { "" };
            text += if *down { " down;\n" } else { ";\n" };
        }
        text += "}\n";
    }
    let _ = writeln!(text, "server {{ listen unix:{};", socket.display());
    if let Some(tcp) = tcp {
        let _ = writeln!(text, "listen {tcp};");
    }
    text += "add_header X-Way $upstream_addr always;\n\
             proxy_next_upstream error timeout invalid_header http_502 http_404;\n";
    for (index, case) in cases.iter().enumerate() {
        let tries = case.tries;
        let _ = writeln!(
            text,
            "location /{index}/ {{ proxy_pass http://u{index}; proxy_next_upstream_tries {tries}; }}"
        );
    }
    text + "} }\n"
}

/// What our group does with the same requests.
pub(crate) struct Ours<'a> {
    pub(crate) case: &'a Case,
    pub(crate) index: usize,
    pub(crate) group: Group,
    pub(crate) origins: &'a [Origin],
    pub(crate) now: Time,
}

impl<'a> Ours<'a> {
    pub(crate) fn new(cases: &'a [Case], index: usize, origins: &'a [Origin]) -> Ours<'a> {
        let case = &cases[index];
        let now = Time::from_nanos(3_600_000_000_000);
        Ours {
            case,
            index,
            group: Group::new(&Upstream {
                balance: case.method,
                ..Upstream::new("app", case.servers.clone())
            }),
            origins,
            now,
        }
    }

    pub(crate) fn way(&mut self, client: Option<IpAddr>) -> String {
        self.way_of(client, Key::default())
    }

    pub(crate) fn way_by(&mut self, key: &str) -> String {
        self.way_of(None, Key::new(key.as_bytes()))
    }

    fn way_of(&mut self, client: Option<IpAddr>, key: Key) -> String {
        let mut attempt = Attempt::default();
        self.group.begin(&mut attempt, client, key, self.case.tries);
        let mut way = String::new();
        loop {
            way += if way.is_empty() { "" } else { ", " };
            let Ok(key) = self.pick(&mut attempt, &mut way) else { return way };
            let outcome = self.outcome(key, attempt.is_last_try());
            self.group.release(key, &mut attempt, outcome, self.now);
            if outcome == Outcome::Served || !attempt.tries_left() {
                return way;
            }
        }
    }

    pub(crate) fn pick(&mut self, attempt: &mut Attempt, way: &mut String) -> Result<PeerKey, NoLivePeer> {
        let picked = self.group.pick(attempt, self.now);
        *way += &match picked {
            Ok(key) => self.address(key),
            Err(NoLivePeer) => format!("u{}", self.index),
        };
        picked
    }

    pub(crate) fn address(&self, key: PeerKey) -> String {
        self.group.peer(key).expect("just picked").address().to_string()
    }

    pub(crate) fn outcome(&self, key: PeerKey, is_last_try: bool) -> Outcome {
        let address = self.address(key);
        let origin = self.origins.iter().find(|origin| origin.address.to_string() == address);
        // What is no origin refuses.
        origin.map_or(Outcome::Failed, |origin| origin.behaviour().outcome(is_last_try))
    }
}

/// Sends `requests` through every case on both sides; `before` each may change what the origins do.
pub(crate) fn compare(cases: &[Case], origins: &[Origin], requests: usize, mut before: impl FnMut(usize)) {
    let nginx = Nginx::start(cases);
    for (index, case) in cases.iter().enumerate() {
        origins.iter().for_each(|origin| origin.set(Behaviour::Serve));
        let mut ours = Ours::new(cases, index, origins);
        for request in 0..requests {
            before(request);
            let theirs = nginx.way(index);
            assert_eq!(
                ours.way(None),
                theirs,
                "{} ({:?}, tries {}), request {request}: {:#?}",
                case.name,
                case.method,
                case.tries,
                case.servers
            );
        }
    }
}

/// A repeatable source of chance (splitmix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(crate) fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}
