//! `proxy::upstream` against the real nginx: the same `server` lines, the same misbehaving servers, the same
//! requests; every request must go through the same servers in the same order.
//!
//! The origins are threads that serve, answer with a status, hang up or hold a request until told; one more
//! address refuses. nginx says where a request went by `$upstream_addr`: all its tries, and the group's name
//! where none was left. Nothing here depends on how fast things go: `fail_timeout` is far beyond the length of
//! a run, or the run is void and repeated where it took too long.

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
use proxy::time::{Duration, Time};
use proxy::upstream::{Attempt, Group, NoLivePeer, Outcome, PeerKey};

const PATIENCE: Duration = Duration::from_secs(20);

/// What an origin does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
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
    fn outcome(self, is_last_try: bool) -> Outcome {
        match self {
            Behaviour::Serve | Behaviour::Hold => Outcome::Served,
            Behaviour::Status(_) if is_last_try => Outcome::Served,
            Behaviour::Status(404) => Outcome::Next,
            Behaviour::HangUp | Behaviour::Status(_) => Outcome::Failed,
        }
    }
}

/// A server on threads of its own, which end with the test process.
struct Origin {
    address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
    /// Requests held, each with the way to let it go.
    held: Receiver<Sender<()>>,
}

impl Origin {
    fn start() -> Origin {
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

    fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    fn behaviour(&self) -> Behaviour {
        *self.behaviour.lock().unwrap()
    }
}

fn origins(count: usize) -> Vec<Origin> {
    (0..count).map(|_| Origin::start()).collect()
}

fn serve(mut stream: TcpStream, behaviour: &Mutex<Behaviour>, tell: &Sender<Sender<()>>) {
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
struct Case {
    name: String,
    method: Balance,
    tries: u32,
    servers: Vec<Server>,
}

impl Case {
    fn new(name: &str, method: Balance, servers: Vec<Server>) -> Case {
        Case { name: name.to_owned(), method, tries: 0, servers }
    }
}

fn line(address: SocketAddr) -> Server {
    Server {
        name: address.to_string(),
        host: Host::Literal(address),
        weight: 1,
        max_fails: 1,
        fail_timeout: Duration::from_secs(3600),
        max_conns: 0,
        backup: false,
        down: false,
    }
}

fn weighted(origins: &[Origin], weights: &[u32]) -> Vec<Server> {
    let lines = origins.iter().zip(weights);
    lines.map(|(origin, &weight)| Server { weight, ..line(origin.address) }).collect()
}

/// An address where nothing listens: the port is taken, on another one.
fn refusing(origin: &Origin) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, 2), origin.address.port()).into()
}

/// A running nginx with one location for each case. Killed when dropped.
struct Nginx {
    child: Child,
    socket: PathBuf,
    tcp: Option<SocketAddr>,
    _prefix: tempfile::TempDir,
}

impl Nginx {
    fn start(cases: &[Case]) -> Nginx {
        Nginx::start_on(cases, None).unwrap_or_else(|log| panic!("nginx does not start: {log}"))
    }

    /// With a TCP listener beside the Unix socket. A free port need not stay free, so there are several goes.
    fn start_with_tcp(cases: &[Case]) -> Nginx {
        for _ in 0..10 {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
            let address = listener.local_addr().expect("its address");
            drop(listener);
            match Nginx::start_on(cases, Some(address)) {
                Ok(nginx) => return nginx,
                Err(log) => assert!(log.contains("Address already in use"), "nginx does not start: {log}"),
            }
        }
        panic!("no port stays free for nginx");
    }

    /// Fails with what nginx logged.
    fn start_on(cases: &[Case], tcp: Option<SocketAddr>) -> Result<Nginx, String> {
        let prefix = tempfile::tempdir().expect("a temporary folder");
        let socket = prefix.path().join("nginx.sock");
        std::fs::write(prefix.path().join("nginx.conf"), configuration(cases, &socket, tcp)).unwrap();
        let child = Command::new("nginx")
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

    fn send(&self, case: usize) -> UnixStream {
        let mut stream = UnixStream::connect(&self.socket).expect("nginx listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /{case}/ HTTP/1.0\r\n\r\n").expect("nginx reads");
        stream
    }

    /// The servers a request went through.
    fn way(&self, case: usize) -> String {
        way_of(self.send(case))
    }

    /// The same for a client at `source`, an address of 127.0.0.0/8.
    fn way_from(&self, case: usize, source: Ipv4Addr) -> String {
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

fn way_of(mut stream: impl Read) -> String {
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("nginx answers");
    let way = response.lines().find_map(|line| line.strip_prefix("X-Way: "));
    way.unwrap_or_else(|| panic!("no X-Way in {response:?}")).to_owned()
}

fn configuration(cases: &[Case], socket: &Path, tcp: Option<SocketAddr>) -> String {
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
struct Ours<'a> {
    case: &'a Case,
    index: usize,
    group: Group,
    origins: &'a [Origin],
    now: Time,
}

impl<'a> Ours<'a> {
    fn new(cases: &'a [Case], index: usize, origins: &'a [Origin]) -> Ours<'a> {
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

    fn way(&mut self, client: Option<IpAddr>) -> String {
        let mut attempt = Attempt::default();
        self.group.begin(&mut attempt, client, self.case.tries);
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

    fn pick(&mut self, attempt: &mut Attempt, way: &mut String) -> Result<PeerKey, NoLivePeer> {
        let picked = self.group.pick(attempt, self.now);
        *way += &match picked {
            Ok(key) => self.address(key),
            Err(NoLivePeer) => format!("u{}", self.index),
        };
        picked
    }

    fn address(&self, key: PeerKey) -> String {
        self.group.peer(key).expect("just picked").address().to_string()
    }

    fn outcome(&self, key: PeerKey, is_last_try: bool) -> Outcome {
        let address = self.address(key);
        let origin = self.origins.iter().find(|origin| origin.address.to_string() == address);
        // What is no origin refuses.
        origin.map_or(Outcome::Failed, |origin| origin.behaviour().outcome(is_last_try))
    }
}

/// Sends `requests` through every case on both sides; `before` each may change what the origins do.
fn compare(cases: &[Case], origins: &[Origin], requests: usize, mut before: impl FnMut(usize)) {
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

const METHODS: [Balance; 3] = [Balance::RoundRobin, Balance::LeastConn, Balance::IpHash];

#[test]
fn servers_that_serve() {
    let origins = origins(4);
    let mut cases = Vec::new();
    for method in METHODS {
        for weights in [&[1][..], &[1, 1], &[5, 1, 1], &[4, 2, 1], &[3, 7, 2, 5]] {
            cases.push(Case::new("weights", method, weighted(&origins, weights)));
        }
        let mut servers = weighted(&origins, &[2, 3, 1]);
        servers[1].down = true;
        cases.push(Case::new("down", method, servers));
        let mut servers = weighted(&origins, &[1]);
        servers[0].down = true;
        cases.push(Case::new("only one, down", method, servers));
        if method != Balance::IpHash {
            let mut servers = weighted(&origins, &[2, 1, 1, 3]);
            servers[0].down = true;
            servers[1].down = true;
            servers[2].backup = true;
            servers[3].backup = true;
            cases.push(Case::new("backup", method, servers));
        }
    }
    compare(&cases, &origins, 60, |_| {});
}

#[test]
fn servers_that_refuse() {
    let origins = origins(3);
    let mut cases = Vec::new();
    for method in METHODS {
        for max_fails in [0, 1, 3, 5] {
            let mut servers = weighted(&origins, &[2, 1, 3]);
            servers.insert(1, Server { weight: 4, max_fails, ..line(refusing(&origins[0])) });
            cases.push(Case::new("refusing among others", method, servers));
        }
        cases.push(Case::new("refusing alone", method, vec![line(refusing(&origins[0]))]));
        let servers = origins.iter().map(|origin| line(refusing(origin))).collect();
        cases.push(Case::new("all refusing", method, servers));
        if method != Balance::IpHash {
            let backup = Server { backup: true, ..line(origins[0].address) };
            let servers = vec![line(refusing(&origins[0])), backup.clone()];
            cases.push(Case::new("backup for one refusing", method, servers));
            let down = Server { backup: true, down: true, ..line(origins[1].address) };
            let mut servers = vec![line(refusing(&origins[0])), line(refusing(&origins[1])), backup, down];
            servers.iter_mut().for_each(|server| server.max_fails = 2);
            cases.push(Case { tries: 2, ..Case::new("two tries", method, servers.clone()) });
            cases.push(Case::new("as many tries as servers", method, servers));
        }
    }
    compare(&cases, &origins, 60, |_| {});
}

/// A repeatable source of chance (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

#[test]
fn random_groups_of_servers_that_come_and_go() {
    let origins = origins(5);
    let mut chance = Chance(20_240_501);
    let mut cases = Vec::new();
    for _ in 0..40 {
        let method = METHODS[chance.below(3) as usize];
        let mut servers = Vec::new();
        for (i, origin) in origins.iter().enumerate().take(1 + chance.below(5) as usize) {
            servers.push(Server {
                weight: 1 + chance.below(6) as u32,
                max_fails: chance.below(12) as u32,
                down: chance.one_in(6),
                // nginx wants a primary server, and no backup with ip_hash.
                backup: i > 0 && method != Balance::IpHash && chance.one_in(3),
                ..line(origin.address)
            });
        }
        let tries = if chance.one_in(3) { 1 + chance.below(3) as u32 } else { 0 };
        cases.push(Case { tries, ..Case::new("random", method, servers) });
    }
    compare(&cases, &origins, 60, |request| {
        if request % 5 == 0 {
            for origin in &origins {
                origin.set(match chance.below(10) {
                    0 => Behaviour::HangUp,
                    1 => Behaviour::Status(502),
                    2 => Behaviour::Status(404),
                    _ => Behaviour::Serve,
                });
            }
        }
    });
}

#[test]
fn ip_hash_by_client_address() {
    let origins = origins(4);
    let mut servers = weighted(&origins, &[1, 4, 2, 1]);
    servers[3].down = true;
    let refused = Server { weight: 3, max_fails: 2, ..line(refusing(&origins[0])) };
    let cases = [
        Case::new("two", Balance::IpHash, weighted(&origins, &[1, 1])),
        Case::new("weights and one down", Balance::IpHash, servers.clone()),
        Case::new("one refusing", Balance::IpHash, [servers, vec![refused]].concat()),
    ];
    let nginx = Nginx::start_with_tcp(&cases);
    for (index, case) in cases.iter().enumerate() {
        let mut ours = Ours::new(&cases, index, &origins);
        for i in 0..60_u8 {
            let source = Ipv4Addr::new(127, i.wrapping_mul(67), i / 2, 1 + i);
            let theirs = nginx.way_from(index, source);
            assert_eq!(ours.way(Some(source.into())), theirs, "{}, client {source}", case.name);
        }
    }
}

#[test]
fn requests_in_flight_count_for_least_conn_and_max_conns() {
    let origins = origins(4);
    let mut cases = Vec::new();
    for method in [Balance::RoundRobin, Balance::LeastConn] {
        cases.push(Case::new("equal", method, weighted(&origins, &[1, 1, 1])));
        cases.push(Case::new("weights", method, weighted(&origins, &[3, 1, 2, 1])));
        let mut servers = weighted(&origins, &[2, 1, 1, 1]);
        for (server, max_conns) in servers.iter_mut().zip([1, 3, 2, 1]) {
            server.max_conns = max_conns;
        }
        servers[3].backup = true;
        cases.push(Case::new("max_conns", method, servers));
        let servers = vec![Server { max_conns: 2, ..line(origins[0].address) }];
        cases.push(Case::new("max_conns of one", method, servers));
    }
    let nginx = Nginx::start(&cases);
    origins.iter().for_each(|origin| origin.set(Behaviour::Hold));
    let mut chance = Chance(7);
    for (index, case) in cases.iter().enumerate() {
        let mut ours = Ours::new(&cases, index, &origins);
        let mut held: Vec<(UnixStream, Sender<()>, Attempt, PeerKey, String)> = Vec::new();
        for request in 0..60 {
            if !held.is_empty() && (held.len() == 8 || chance.one_in(2)) {
                let one = chance.below(held.len() as u64) as usize;
                let (stream, release, mut attempt, key, expected) = held.swap_remove(one);
                release.send(()).expect("its origin waits");
                assert_eq!(way_of(stream), expected, "{}, request {request}", case.name);
                ours.group.release(key, &mut attempt, Outcome::Served, ours.now);
                continue;
            }
            let (mut attempt, mut expected) = (Attempt::default(), String::new());
            ours.group.begin(&mut attempt, None, case.tries);
            let picked = ours.pick(&mut attempt, &mut expected);
            let stream = nginx.send(index);
            let Ok(key) = picked else {
                assert_eq!(way_of(stream), expected, "{}, request {request}", case.name);
                continue;
            };
            // It must turn up where ours went; only then does nginx count it for sure.
            let origin = origins.iter().find(|origin| origin.address.to_string() == expected).unwrap();
            let release = origin.held.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("{}, request {request}: ours goes to {expected}, nginx's elsewhere", case.name)
            });
            held.push((stream, release, attempt, key, expected));
        }
        for (stream, release, ..) in held {
            release.send(()).expect("its origin waits");
            way_of(stream);
        }
    }
}

#[test]
fn a_failed_server_is_tried_again_after_fail_timeout() {
    let fail_timeout = Duration::from_secs(2);
    let origins = origins(3);
    let mut cases = Vec::new();
    for method in [Balance::RoundRobin, Balance::LeastConn] {
        for max_fails in [1, 2] {
            let mut servers = weighted(&origins, &[3, 1, 2]);
            servers.iter_mut().for_each(|server| server.fail_timeout = fail_timeout);
            servers[0].max_fails = max_fails;
            cases.push(Case::new("recovery", method, servers));
        }
    }
    // Each phase is over well within fail_timeout, and they lie more than it apart, so all of one happens at
    // one time for both sides. A phase that took too long on a busy machine says nothing: then all is run again.
    let phases = [Behaviour::HangUp, Behaviour::HangUp, Behaviour::Serve, Behaviour::Serve];
    for _ in 0..5 {
        let nginx = Nginx::start(&cases);
        let mut groups: Vec<Ours<'_>> =
            (0..cases.len()).map(|index| Ours::new(&cases, index, &origins)).collect();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut is_void = false;
        for behaviour in phases {
            origins[0].set(behaviour);
            let start = Instant::now();
            for group in &mut groups {
                for _ in 0..15 {
                    ours.push(group.way(None));
                    theirs.push(nginx.way(group.index));
                }
                group.now = group.now + fail_timeout + Duration::from_secs(1);
            }
            is_void |= start.elapsed() >= fail_timeout / 2;
            // nginx counts whole seconds, so "more than fail_timeout" may take one more.
            std::thread::sleep(fail_timeout + Duration::from_millis(1_100));
        }
        if !is_void {
            assert_eq!(ours, theirs);
            return;
        }
    }
    panic!("this machine is too busy: in five runs 60 requests took more than {:?}", fail_timeout / 2);
}
