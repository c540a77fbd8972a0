//! The checker on a network made up, in virtual time: what real sockets do not do on demand.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use super::*;
use crate::config::{Config, HealthCheck, Host, Server};
use crate::exchange::Found;
use crate::time::Duration;
use crate::upstream::Address;

/// What a server does with connections and requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Well,
    Ill,
    Refuses,
    /// Packets to it are lost.
    Swallows,
    /// It takes connections, but no byte.
    Deaf,
    Silent,
    /// Half of a head, and the end.
    BreaksOff,
    /// Answers, and closes without having said that it would.
    Closes,
}

struct Conn {
    server: usize,
    token: Option<Token>,
    /// Requests that have come whole, and the bytes of the next one.
    heard: Vec<u8>,
    /// What is to be received.
    said: Vec<u8>,
    has_ended: bool,
}

#[derive(Default)]
struct World {
    /// Since the start.
    time: Duration,
    /// By the last three octets of their addresses.
    manners: Vec<Manner>,
    /// How many requests each has answered.
    answered: Vec<usize>,
    conns: Vec<Conn>,
    events: Vec<Event>,
    /// Connections that the checker has not closed.
    open: usize,
    open_most: usize,
    is_out_of_files: bool,
    /// Bytes come and go one by one or not at all, as this says.
    faults: Option<fastrand::Rng>,
    /// Polls in a row that had nothing to wait for.
    polls_in_vain: u32,
}

impl World {
    /// How many of so many bytes pass now.
    fn some(&mut self, number: usize, most: usize) -> io::Result<usize> {
        let Some(rng) = &mut self.faults else { return Ok(most) };
        if rng.u32(..3) > 0 {
            return Ok(if rng.bool() { 1 } else { most });
        }
        self.event(number);
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn event(&mut self, number: usize) {
        let Some(token) = self.conns[number].token else { return };
        let broken = self.manners[self.conns[number].server] == Manner::Refuses;
        self.events.push(Event { token, readable: true, writable: true, read_closed: false, broken });
    }

    /// The server does what it does with what has come.
    fn answer(&mut self, number: usize) {
        let conn = &mut self.conns[number];
        let manner = self.manners[conn.server];
        if !conn.heard.ends_with(b"\r\n\r\n") || manner == Manner::Silent {
            return;
        }
        assert!(conn.heard.starts_with(b"GET /healthz HTTP/1.1\r\nHost: "), "{}", conn.heard.escape_ascii());
        conn.heard.clear();
        let text = match manner {
            Manner::Ill => "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n",
            Manner::BreaksOff => "HTTP/1.1 200 OK\r\nConte",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        };
        conn.said.extend(text.as_bytes());
        conn.has_ended = matches!(manner, Manner::BreaksOff | Manner::Closes);
        self.answered[conn.server] += 1;
        self.event(number);
    }
}

#[derive(Clone, Default)]
struct FakeNet(Rc<RefCell<World>>);

/// Dropping it closes it.
struct Socket {
    number: usize,
    net: FakeNet,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut world = self.net.0.borrow_mut();
        world.open -= 1;
        world.conns[self.number].token = None;
    }
}

impl Net for FakeNet {
    type Socket = Socket;
    type File = Infallible;

    fn now(&self) -> Time {
        Time::ZERO + Duration::from_secs(3600) + self.0.borrow().time
    }

    fn wall(&self) -> Duration {
        Duration::ZERO
    }

    fn poll(&mut self, events: &mut Vec<Event>, deadline: Time) -> io::Result<()> {
        let now = self.now();
        let mut world = self.0.borrow_mut();
        if world.events.is_empty() {
            assert_ne!(deadline, Time::NEVER, "there is always a next check");
            world.polls_in_vain = if deadline <= now { world.polls_in_vain + 1 } else { 0 };
            assert!(world.polls_in_vain < 10, "it runs in a circle");
            world.time += deadline.since(now);
        }
        events.append(&mut world.events);
        Ok(())
    }

    fn waker(&self) -> std::task::Waker {
        std::task::Waker::noop().clone()
    }

    fn accept(&mut self, _: usize) -> io::Result<(Socket, Option<SocketAddr>)> {
        unreachable!("it listens nowhere")
    }

    fn local_address(&mut self, _: &Socket) -> io::Result<SocketAddr> {
        unreachable!("it listens nowhere")
    }

    fn listen(&mut self, _: &[usize]) {}

    fn connect(&mut self, address: &Address, _: Option<SocketAddr>) -> io::Result<Socket> {
        let mut world = self.0.borrow_mut();
        if world.is_out_of_files {
            return Err(rustix::io::Errno::MFILE.into());
        }
        let Address::Inet(SocketAddr::V4(address)) = address else { unreachable!("all are IPv4") };
        let server = u32::from(*address.ip()) as usize & 0xff_ffff;
        let number = world.conns.len();
        let (heard, said) = (Vec::new(), Vec::new());
        world.conns.push(Conn { server, token: None, heard, said, has_ended: false });
        world.open += 1;
        world.open_most = world.open_most.max(world.open);
        Ok(Socket { number, net: self.clone() })
    }

    fn register(&mut self, socket: &mut Socket, token: Token) -> io::Result<()> {
        let mut world = self.0.borrow_mut();
        let number = socket.number;
        world.conns[number].token = Some(token);
        if world.manners[world.conns[number].server] != Manner::Swallows {
            world.event(number);
        }
        Ok(())
    }

    fn connected(&mut self, socket: &mut Socket) -> io::Result<()> {
        let world = self.0.borrow();
        match world.manners[world.conns[socket.number].server] {
            Manner::Refuses => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Ok(()),
        }
    }

    fn receive(&mut self, socket: &mut Socket, space: &mut [u8]) -> io::Result<usize> {
        let mut world = self.0.borrow_mut();
        let conn = &world.conns[socket.number];
        if conn.said.is_empty() && conn.has_ended {
            return Ok(0);
        }
        if conn.said.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let most = conn.said.len().min(space.len());
        let n = world.some(socket.number, most)?;
        for (to, from) in space.iter_mut().zip(world.conns[socket.number].said.drain(..n)) {
            *to = from;
        }
        Ok(n)
    }

    fn has_input(&mut self, socket: &mut Socket) -> bool {
        let conn = &self.0.borrow().conns[socket.number];
        !conn.said.is_empty() || conn.has_ended
    }

    fn send(&mut self, socket: &mut Socket, first: &[u8], _: &[u8]) -> io::Result<usize> {
        let mut world = self.0.borrow_mut();
        if world.manners[world.conns[socket.number].server] == Manner::Deaf {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = world.some(socket.number, first.len())?;
        world.conns[socket.number].heard.extend(&first[..n]);
        world.answer(socket.number);
        Ok(n)
    }

    fn shutdown(&mut self, _: &mut Socket) {}

    fn close(&mut self, socket: Socket, _: bool) {
        drop(socket);
    }

    fn open(&mut self, _: &[u8]) -> io::Result<(Infallible, Found)> {
        unreachable!("it has no files")
    }

    fn read(&mut self, file: &mut Infallible, _: u64, _: &mut [u8]) -> io::Result<usize> {
        match *file {}
    }
}

struct Stage {
    net: FakeNet,
    shared: Arc<Shared>,
    checker: Checker<FakeNet>,
}

fn config(servers: usize, rule: &HealthCheck) -> Config {
    let server = |number: usize| {
        let address = Ipv4Addr::from(10 << 24 | u32::try_from(number).expect("few"));
        Server::new(&format!("s{number}"), Host::Literal((address, 80).into()))
    };
    let mut config = Config::new((0..servers).map(server).collect());
    config.upstreams[0].checks = vec![rule.clone()];
    config
}

/// Every 5 s, with a second to connect, two to send and three to receive.
fn rule() -> HealthCheck {
    let mut rule = HealthCheck::new("/healthz", "app");
    let timeouts = &mut rule.timeouts;
    [timeouts.connect, timeouts.send, timeouts.read] = [1, 2, 3].map(Duration::from_secs);
    rule
}

fn stage(manners: &[Manner], rule: &HealthCheck) -> Stage {
    let net = FakeNet::default();
    {
        let mut world = net.0.borrow_mut();
        world.manners = manners.to_vec();
        world.answered = vec![0; manners.len()];
    }
    let shared = Arc::new(Shared::new(config(manners.len(), rule), None, 0));
    let checker = Checker::new(net.clone(), shared.clone());
    Stage { net, shared, checker }
}

impl Stage {
    /// Does all that is due until so much time has passed since the start.
    fn run_to(&mut self, seconds: f64) {
        let end = Time::ZERO + Duration::from_secs_f64(3600.0 + seconds);
        while self.checker.wake_at() <= end || !self.net.0.borrow().events.is_empty() {
            assert!(self.checker.turn().expect("a turn"));
        }
    }

    /// The states of the servers, in short: `u` for up, `x` for unhealthy, `?` for not checked.
    fn states(&self) -> String {
        let state = self.shared.generation().groups[0].lock().servers_state(self.net.now());
        let short = |state: &str| match state.split_once(' ').expect("a name").1 {
            "up" => 'u',
            "not checked yet" => '?',
            _ => 'x',
        };
        // A state has a comma where it has a time, which these have not.
        state.split(", ").map(short).collect()
    }

    /// Puts another configuration to work.
    fn reload(&mut self, config: Config, rests: bool) {
        let mut next = self.shared.next(config);
        next.rests = rests;
        self.shared.publish(next);
        self.net.0.borrow_mut().events.push(Event {
            token: Token::from(Target::Wake),
            readable: true,
            writable: false,
            read_closed: false,
            broken: false,
        });
        assert!(self.checker.turn().expect("a turn"));
    }
}

#[test]
fn every_wait_has_its_bound() {
    use Manner::{BreaksOff, Closes, Deaf, Ill, Refuses, Silent, Swallows, Well};
    let mut stage = stage(&[Well, Ill, Refuses, Swallows, Deaf, Silent, BreaksOff, Closes], &rule());
    for (time, states) in
        [(0.0, "uxxuuuxu"), (0.9, "uxxuuuxu"), (1.0, "uxxxuuxu"), (2.0, "uxxxxuxu"), (3.0, "uxxxxxxu")]
    {
        stage.run_to(time);
        assert_eq!(stage.states(), states, "after {time} s");
    }
    assert_eq!(stage.net.0.borrow().open, 0, "nothing is left open between checks");
}

#[test]
fn all_waits_of_a_check_together_have_a_bound() {
    use Manner::{Deaf, Silent, Swallows, Well};
    let time_in_all = Some(Duration::from_millis(1500));
    for keepalive in [None, Some(Duration::from_secs(60))] {
        let mut stage =
            stage(&[Well, Swallows, Deaf, Silent], &HealthCheck { time_in_all, keepalive, ..rule() });
        for (time, states) in [(0.9, "uuuu"), (1.0, "uxuu"), (1.4, "uxuu"), (1.5, "uxxx"), (30.0, "uxxx")] {
            stage.run_to(time);
            assert_eq!(stage.states(), states, "after {time} s, {keepalive:?}");
        }
    }
}

#[test]
fn a_server_that_is_well_is_never_ill_whatever_pieces_its_bytes_come_in() {
    for seed in 0..50 {
        for keepalive in [None, Some(Duration::from_secs(12))] {
            let rule = HealthCheck { keepalive, mandatory: true, ..rule() };
            let mut stage = stage(&[Manner::Well, Manner::Closes, Manner::Ill], &rule);
            stage.net.0.borrow_mut().faults = Some(fastrand::Rng::with_seed(seed));
            assert_eq!(stage.states(), "???");
            stage.run_to(100.0);
            assert_eq!(stage.states(), "uux", "seed {seed}");
            let world = stage.net.0.borrow();
            assert_eq!(world.answered, [21, 21, 21], "seed {seed}, {keepalive:?}");
            let visits = world.conns.iter().filter(|conn| conn.server == 0).count();
            assert_eq!(visits, if keepalive.is_some() { 7 } else { 21 }, "seed {seed}");
        }
    }
}

#[test]
fn so_many_checks_run_at_once_and_no_more() {
    let mut stage = stage(&[Manner::Silent; 1200], &rule());
    stage.run_to(10.0);
    assert_eq!(stage.net.0.borrow().open_most, VISITS_MAX);
    assert!(!stage.states().contains('u'), "those beyond have had their turn");
}

#[test]
fn a_machine_without_descriptors_says_nothing_of_its_servers() {
    let mut stage = stage(&[Manner::Well], &HealthCheck { mandatory: true, ..rule() });
    stage.net.0.borrow_mut().is_out_of_files = true;
    stage.run_to(20.0);
    assert_eq!(stage.states(), "?");
    stage.net.0.borrow_mut().is_out_of_files = false;
    stage.run_to(30.0);
    assert_eq!(stage.states(), "u");
}

#[test]
fn a_reload_ends_the_checks_of_groups_that_are_gone_and_of_no_other() {
    let mut stage = stage(&[Manner::Silent; 2], &rule());
    stage.checker.turn().expect("a turn");
    assert_eq!(stage.net.0.borrow().open, 2);
    let mut changed = config(2, &rule());
    changed.process.max_connections += 1;
    stage.reload(changed.clone(), false);
    assert_eq!(stage.net.0.borrow().conns.len(), 2, "the group is the same, and its checks go on");
    changed.upstreams[0].checks[0].fails = 2;
    stage.reload(changed.clone(), false);
    stage.checker.begin_due();
    let world = stage.net.clone();
    assert_eq!((world.0.borrow().open, world.0.borrow().conns.len()), (2, 4), "checked anew");
    changed.upstreams[0].checks.clear();
    stage.reload(changed, false);
    assert_eq!(world.0.borrow().open, 0);
}

#[test]
fn a_process_that_rests_asks_nobody_and_goes_on_where_it_stopped() {
    let mut stage = stage(&[Manner::Well], &rule());
    stage.checker.turn().expect("a turn");
    let same = config(1, &rule());
    stage.reload(same.clone(), true);
    assert_eq!((stage.net.0.borrow().open, stage.checker.wake_at()), (0, Time::NEVER));
    stage.reload(same, false);
    stage.run_to(11.0);
    assert!(stage.net.0.borrow().answered[0] >= 2);
}

#[test]
fn it_ends_with_the_process_and_closes_what_it_has() {
    for command in [Command::Drain, Command::Stop] {
        let mut stage = stage(&[Manner::Silent; 3], &rule());
        stage.checker.turn().expect("a turn");
        stage.shared.order(command);
        assert!(!stage.checker.turn().expect("a turn"));
        drop(stage.checker);
        assert_eq!(stage.net.0.borrow().open, 0);
    }
}
