//! A worker on a network of queues whose receiving can be made to panic, and whose time stands still until told.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::net::Token;
use super::*;
use crate::config::{Config, Host, Server, Upstream};
use crate::exchange::Found;
use crate::upstream::Address;

/// What a client or a server sends so that whoever receives it panics.
const BOMB: &[u8] = b"a bomb";

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[derive(Default)]
struct Wire {
    token: Option<Token>,
    to_proxy: VecDeque<u8>,
    from_proxy: Vec<u8>,
    is_closed: bool,
    /// It was closed with a reset.
    is_reset: bool,
    /// Its bytes come one by one.
    trickles: bool,
}

/// All that a test and its network share. Sockets are numbers, clients and servers in the order of their
/// connecting.
#[derive(Default)]
struct Wires {
    wires: HashMap<usize, Wire>,
    waiting: VecDeque<usize>,
    events: Vec<Event>,
    /// Since the start.
    time: Duration,
}

#[derive(Clone, Default)]
struct FakeNet(Rc<RefCell<Wires>>);

impl Wires {
    fn open(&mut self) -> usize {
        let number = self.wires.len();
        self.wires.insert(number, Wire::default());
        number
    }

    fn event(&mut self, target: Token) {
        let event =
            Event { token: target, readable: true, writable: true, read_closed: false, broken: false };
        self.events.push(event);
    }
}

impl FakeNet {
    fn connect_client(&self) -> usize {
        let mut wires = self.0.borrow_mut();
        let number = wires.open();
        wires.waiting.push_back(number);
        wires.event(Token::from(Target::Listener(0)));
        number
    }

    fn send(&self, number: usize, bytes: impl AsRef<[u8]>) {
        let mut wires = self.0.borrow_mut();
        let wire = wires.wires.get_mut(&number).expect("a wire");
        wire.to_proxy.extend(bytes.as_ref());
        let token = wire.token.expect("accepted");
        wires.event(token);
    }

    fn sent_to(&self, number: usize) -> String {
        let sent =
            std::mem::take(&mut self.0.borrow_mut().wires.get_mut(&number).expect("a wire").from_proxy);
        String::from_utf8(sent).expect("text")
    }

    fn is_closed(&self, number: usize) -> bool {
        self.0.borrow().wires[&number].is_closed
    }

    fn is_reset(&self, number: usize) -> bool {
        self.0.borrow().wires[&number].is_reset
    }
}

impl Net for FakeNet {
    type Socket = usize;
    type File = Infallible;

    fn now(&self) -> Time {
        Time::ZERO + Duration::from_secs(3600) + self.0.borrow().time
    }

    fn wall(&self) -> Duration {
        Duration::from_secs(1_800_000_000)
    }

    fn poll(&mut self, events: &mut Vec<Event>, _: Time) -> io::Result<()> {
        events.append(&mut self.0.borrow_mut().events);
        Ok(())
    }

    fn accept(&mut self, _: usize) -> io::Result<(usize, Option<SocketAddr>)> {
        let number = self.0.borrow_mut().waiting.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        Ok((number, Some((Ipv4Addr::LOCALHOST, 1024).into())))
    }

    fn local_address(&mut self, _: &usize) -> io::Result<SocketAddr> {
        Ok((Ipv4Addr::new(127, 0, 0, 9), 80).into())
    }

    fn listen(&mut self, _: &[usize]) {}

    fn waker(&self) -> std::task::Waker {
        std::task::Waker::noop().clone()
    }

    fn connect(&mut self, _: &Address, _: Option<SocketAddr>) -> io::Result<usize> {
        Ok(self.0.borrow_mut().open())
    }

    fn register(&mut self, socket: &mut usize, token: Token) -> io::Result<()> {
        let mut wires = self.0.borrow_mut();
        wires.wires.get_mut(socket).expect("a wire").token = Some(token);
        if let Target::Upstream(_) = token.target() {
            wires.event(token);
        }
        Ok(())
    }

    fn connected(&mut self, _: &mut usize) -> io::Result<()> {
        Ok(())
    }

    fn receive(&mut self, socket: &mut usize, space: &mut [u8]) -> io::Result<usize> {
        let mut wires = self.0.borrow_mut();
        let wire = wires.wires.get_mut(socket).expect("a wire");
        let (from, most) = (&mut wire.to_proxy, if wire.trickles { 1 } else { space.len() });
        assert!(!from.make_contiguous().starts_with(BOMB), "boom");
        let n = io::Read::read(from, &mut space[..most])?;
        if n == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(n) }
    }

    fn has_input(&mut self, socket: &mut usize) -> bool {
        !self.0.borrow().wires[socket].to_proxy.is_empty()
    }

    fn send(&mut self, socket: &mut usize, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let mut wires = self.0.borrow_mut();
        let to = &mut wires.wires.get_mut(socket).expect("a wire").from_proxy;
        to.extend_from_slice(first);
        to.extend_from_slice(second);
        Ok(first.len() + second.len())
    }

    fn shutdown(&mut self, _: &mut usize) {}

    fn open(&mut self, _: &[u8]) -> io::Result<(Infallible, Found)> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn read(&mut self, file: &mut Infallible, _: u64, _: &mut [u8]) -> io::Result<usize> {
        match *file {}
    }

    fn close(&mut self, socket: usize, reset: bool) {
        let mut wires = self.0.borrow_mut();
        let wire = wires.wires.get_mut(&socket).expect("a wire");
        (wire.is_closed, wire.is_reset) = (true, reset);
    }
}

struct Stage {
    net: FakeNet,
    worker: Worker<FakeNet>,
    shared: Arc<Shared>,
}

fn stage() -> Stage {
    stage_with(|_| {})
}

fn stage_with(change: impl FnOnce(&mut Upstream)) -> Stage {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let mut config = Config::new(vec![Server::new("app:1", Host::Literal(address))]);
    change(&mut config.upstreams[0]);
    let net = FakeNet::default();
    let shared = Arc::new(Shared::new(config, None, 0));
    let worker = Worker::new(net.clone(), shared.clone());
    Stage { net, worker, shared }
}

impl Stage {
    /// Turns until nothing happens any more.
    fn settle(&mut self) {
        loop {
            assert_eq!(self.worker.turn().expect("a turn"), Turn::GoOn);
            if self.net.0.borrow().events.is_empty() && self.worker.ready.is_empty() {
                return;
            }
        }
    }

    fn active(&self) -> u32 {
        self.shared.generation().groups[0].lock().peers().map(|(_, peer)| peer.active()).sum()
    }

    /// `client` asks, and `server` (the wire that its request goes to) answers.
    fn serves(&mut self, client: usize, server: usize) {
        self.net.send(client, REQUEST);
        self.settle();
        assert!(self.net.sent_to(server).starts_with("GET / HTTP/1.1\r\n"));
        self.net.send(server, ANSWER);
        self.settle();
        assert!(self.net.sent_to(client).ends_with("\r\n\r\nok"));
    }
}

#[test]
fn a_panic_over_what_a_client_sends_costs_this_client_only() {
    let mut stage = stage();
    let clients = [(); 3].map(|()| stage.net.connect_client());
    stage.settle();
    // All three in one batch, the bad one in the middle.
    stage.net.send(clients[0], REQUEST);
    stage.net.send(clients[1], BOMB);
    stage.net.send(clients[2], REQUEST);
    stage.settle();
    assert!(stage.net.is_reset(clients[1]));
    for (client, server) in [(clients[0], 3), (clients[2], 4)] {
        assert!(stage.net.sent_to(server).starts_with("GET / HTTP/1.1\r\n"));
        stage.net.send(server, ANSWER);
        stage.settle();
        assert!(stage.net.sent_to(client).ends_with("\r\n\r\nok"));
    }
    let census = stage.worker.census();
    assert_eq!((census.clients, census.upstreams, census.idle, census.lost), (2, 2, 2, 1));
    assert_eq!((census.buffers, stage.shared.connections(), stage.active()), (0, 2, 0));
}

#[test]
fn a_panic_over_what_a_server_sends_costs_its_client_only() {
    let mut stage = stage();
    let clients = [(); 2].map(|()| stage.net.connect_client());
    stage.settle();
    for client in clients {
        stage.net.send(client, REQUEST);
    }
    stage.settle();
    assert_eq!(stage.active(), 2);
    stage.net.send(2, BOMB);
    stage.net.send(3, ANSWER);
    stage.settle();
    assert!(stage.net.is_reset(clients[0]));
    assert!(stage.net.is_closed(2), "its upstream connection is in an unknown state");
    assert!(stage.net.sent_to(clients[1]).ends_with("\r\n\r\nok"));
    let census = stage.worker.census();
    assert_eq!((census.clients, census.upstreams, census.idle, census.lost), (1, 1, 1, 1));
    assert_eq!((census.buffers, stage.shared.connections(), stage.active()), (0, 1, 0));
    assert!(
        !stage.shared.generation().groups[0].lock().servers_state(stage.worker.env.now).contains("down"),
        "the server is not to blame"
    );

    // And the worker goes on, with old connections and new ones.
    stage.serves(clients[1], 3);
    let late = stage.net.connect_client();
    stage.settle();
    stage.serves(late, 3);
}

#[test]
fn an_upstream_connection_that_nobody_owns_is_closed_with_the_client_it_was_for() {
    let mut stage = stage();
    let client = stage.net.connect_client();
    stage.settle();
    stage.net.send(client, REQUEST);
    stage.settle();
    // A panic on the way between the two books.
    let (key, _) = stage.worker.clients.iter().next().expect("a client");
    stage.worker.clients[key].upstream = None;
    stage.worker.at_work = Some(key);
    stage.worker.survive(Box::new("a test"));
    assert!(stage.net.is_closed(1));
    let census = stage.worker.census();
    assert_eq!((census.clients, census.upstreams, census.buffers, stage.active()), (0, 0, 0, 0));
}

#[test]
fn a_panic_that_is_no_client_s_ends_the_worker() {
    let mut stage = stage();
    let client = stage.net.connect_client();
    stage.settle();
    stage.serves(client, 1);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        stage.worker.at_work = None;
        stage.worker.survive(Box::new("the worker itself"));
    }));
    assert_eq!(panic.expect_err("passed on").downcast_ref(), Some(&"the worker itself"));
    assert_eq!(stage.worker.census().lost, 0);
}

#[test]
fn an_upstream_connection_takes_so_many_requests_and_no_more() {
    let mut stage = stage_with(|group| group.requests_max = 2);
    let client = stage.net.connect_client();
    stage.settle();
    for server in [1, 1, 2, 2, 3] {
        stage.serves(client, server);
    }
    assert_eq!([1, 2, 3].map(|server| stage.net.is_closed(server)), [true, true, false]);
    assert_eq!(stage.worker.census().idle, 1);
}

#[test]
fn an_upstream_connection_takes_requests_for_so_long() {
    let mut stage = stage_with(|group| group.time_max = Duration::from_secs(5));
    let client = stage.net.connect_client();
    stage.settle();
    for (seconds, server) in [(0, 1), (5, 1), (6, 1), (7, 2)] {
        stage.net.0.borrow_mut().time = Duration::from_secs(seconds);
        stage.serves(client, server);
    }
    // As in nginx it is looked at when a response is over, not when a connection is taken.
    assert_eq!([1, 2].map(|server| stage.net.is_closed(server)), [true, false]);
}

/// Puts another configuration to work.
fn reload(stage: &mut Stage, change: impl FnOnce(&mut Config)) {
    let mut config = stage.shared.generation().config.clone();
    change(&mut config);
    let next = stage.shared.next(config);
    stage.shared.publish(next);
    stage.net.0.borrow_mut().event(Token::from(Target::Wake));
    stage.settle();
    assert_eq!(stage.shared.generation().adoptions(), 1);
}

#[test]
fn idle_connections_outlive_a_reload_where_the_group_did_not_change() {
    let mut stage = stage();
    let client = stage.net.connect_client();
    stage.settle();
    stage.serves(client, 1);
    reload(&mut stage, |config| config.sites[0].location.rules.tries = 3);
    assert_eq!(stage.worker.census().idle, 1);
    stage.serves(client, 1);
    reload(&mut stage, |config| config.upstreams[0].keepalive = 3);
    assert!(stage.net.is_closed(1));
    assert_eq!((stage.worker.census().idle, stage.worker.census().pools), (0, 1));
    stage.serves(client, 2);
}

#[test]
fn a_group_that_is_gone_stays_for_the_requests_under_way_to_it() {
    let mut stage = stage();
    let client = stage.net.connect_client();
    stage.settle();
    stage.net.send(client, REQUEST);
    stage.settle();
    let old = stage.shared.generation().groups[0].clone();
    reload(&mut stage, |config| config.upstreams[0].keepalive = 3);
    assert_eq!(stage.worker.census().pools, 2);
    stage.net.send(1, ANSWER);
    stage.settle();
    assert!(stage.net.sent_to(client).ends_with("\r\n\r\nok"));
    assert!(stage.net.is_closed(1), "nothing is pooled for a group that is gone");
    assert_eq!(old.lock().peers().map(|(_, peer)| peer.active()).sum::<u32>(), 0);
    stage.worker.sweep();
    assert_eq!(stage.worker.census().pools, 1);
    stage.serves(client, 2);
}

#[test]
fn clients_of_a_listener_that_is_gone_leave_after_one_more_request_or_a_while() {
    let mut stage = stage();
    let [idle, late, busy] = [(); 3].map(|()| stage.net.connect_client());
    stage.settle();
    stage.serves(idle, 3);
    stage.net.send(busy, REQUEST);
    stage.settle();
    reload(&mut stage, |config| {
        config.listeners[0].address = crate::config::Listen::Unix("/elsewhere".into());
    });
    for client in [busy, idle] {
        if client == idle {
            stage.net.send(idle, REQUEST);
            stage.settle();
        }
        stage.net.send(3, ANSWER);
        stage.settle();
        assert!(stage.net.sent_to(client).contains("Connection: close\r\n"));
    }
    assert!(!stage.net.is_closed(late), "its request may be on its way");
    stage.net.0.borrow_mut().time += Duration::from_secs(3);
    stage.settle();
    assert!(stage.net.is_closed(late));
}

#[test]
fn a_client_of_a_listener_that_is_gone_is_served_by_a_group_that_is_gone_with_it() {
    let mut stage = stage();
    let client = stage.net.connect_client();
    stage.settle();
    reload(&mut stage, |config| {
        config.listeners[0].address = crate::config::Listen::Unix("/elsewhere".into());
        config.upstreams[0].keepalive = 3;
    });
    stage.serves(client, 1);
    stage.net.0.borrow_mut().time += Duration::from_secs(20);
    stage.settle();
    assert_eq!((stage.worker.census().lost, stage.worker.census().clients), (0, 0));
    assert_eq!(stage.worker.census().pools, 1);
}

#[test]
fn an_idle_client_that_has_slept_over_a_reload_is_served_when_its_listener_goes() {
    let mut stage = stage();
    let client = stage.net.connect_client();
    stage.settle();
    stage.serves(client, 1);
    // Its next request would go to another group; the one that it has been to is gone.
    reload(&mut stage, |config| config.upstreams[0].keepalive = 3);
    reload(&mut stage, |config| {
        config.listeners[0].address = crate::config::Listen::Unix("/elsewhere".into());
    });
    stage.serves(client, 2);
    assert_eq!(stage.worker.census().lost, 0);
}

#[test]
fn an_idle_client_gives_way_to_one_of_another_worker() {
    let mut stage = stage();
    let client = stage.net.connect_client();
    stage.settle();
    stage.serves(client, 1);
    reload(&mut stage, |config| config.process.max_connections = 1);
    let other = FakeNet::default();
    let mut other = Stage {
        worker: Worker::new(other.clone(), stage.shared.clone()),
        net: other,
        shared: stage.shared.clone(),
    };
    let late = other.net.connect_client();
    for (seconds, gives_way) in [(0, false), (1, true)] {
        for net in [&stage.net, &other.net] {
            net.0.borrow_mut().time = Duration::from_secs(seconds);
        }
        other.settle();
        stage.net.0.borrow_mut().event(Token::from(Target::Wake));
        stage.settle();
        assert_eq!(stage.net.is_closed(client), gives_way, "after {seconds} s");
    }
    other.net.0.borrow_mut().time += ACCEPT_PAUSE;
    other.settle();
    other.serves(late, 1);
}

#[test]
fn a_configuration_that_came_just_before_the_end_holds_for_it() {
    let mut stage = stage();
    let client = stage.net.connect_client();
    stage.settle();
    stage.net.send(client, REQUEST);
    stage.settle();
    let mut config = stage.shared.generation().config.clone();
    config.process.shutdown_timeout = Some(Duration::from_secs(5));
    stage.shared.publish(stage.shared.next(config));
    stage.shared.order(Command::Drain);
    stage.net.0.borrow_mut().event(Token::from(Target::Wake));
    stage.settle();
    assert_eq!(stage.shared.generation().adoptions(), 1);
    stage.net.0.borrow_mut().time = Duration::from_secs(5);
    assert_eq!(stage.worker.turn().expect("a turn"), Turn::End);
    assert!(stage.net.is_closed(client));
}

#[test]
fn a_client_that_takes_many_calls_for_few_bytes_goes_on_after_the_others() {
    let mut stage = stage();
    let client = stage.net.connect_client();
    stage.settle();
    let request = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n{}", "x".repeat(1000));
    stage.net.send(client, request);
    {
        let mut wires = stage.net.0.borrow_mut();
        wires.wires.get_mut(&client).expect("a wire").trickles = true;
        // So that a short read does not mean that nothing is left.
        wires.events.last_mut().expect("an event").read_closed = true;
    }
    let mut turns = 0;
    while turns == 0 || !stage.net.0.borrow().events.is_empty() || !stage.worker.ready.is_empty() {
        assert_eq!(stage.worker.turn().expect("a turn"), Turn::GoOn);
        turns += 1;
    }
    assert!(stage.net.sent_to(1).ends_with(&"x".repeat(1000)));
    assert!(turns > 10, "2,000 calls in {turns} turns");
}
