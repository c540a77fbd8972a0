//! [`Net`] on the wires: what the worker sees of the simulated world, and the world's clockwork.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use proxy::exchange::Found;
use proxy::time::{Duration, Time};
use proxy::upstream::{Address, Resolved};
use proxy::worker::net::{Event, Net, Target, Token};
use proxy::worker::shared::{Command, Shared};

use super::chance::Chance;
use super::client::Client;
use super::conn::{ConnId, PROXY};
use super::ledger::Ledger;
use super::origin::Serving;
use super::trace::excerpt;
use super::wires::{Action, Actor, Wires};

/// The port of the first origin; the others follow.
pub(crate) const FIRST_PORT: u16 = 5000;

/// Polls in a row, at one and the same time, without a byte moved: more is running in a circle.
const POLLS_MAX: usize = 1000;

/// "Too many open files" (EMFILE on Linux).
const EMFILE: i32 = 24;

/// What changes the world from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    ClearUp,
    /// Another configuration is put to work: the same, or with the group anew.
    Reload,
    Order(Command),
    /// The first server's name has other addresses now.
    Resolve,
}

/// A socket of the proxy's. Dropping it closes it, as everywhere.
pub(crate) struct Socket {
    id: ConnId,
    dropped: Rc<RefCell<Vec<ConnId>>>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.dropped.borrow_mut().push(self.id);
    }
}

pub(crate) struct SimNet {
    pub(crate) w: Wires,
    pub(crate) ledger: Ledger,
    pub(crate) clients: Vec<Client>,
    servings: Vec<Serving>,
    happenings: Vec<Happening>,
    body_max: usize,
    files_max: usize,
    shared: Arc<Shared>,
    wake: bool,
    dropped: Rc<RefCell<Vec<ConnId>>>,
    idle_polls: usize,
    /// Nothing is due any more, neither in the world nor for the worker.
    pub(crate) at_rest: bool,
}

impl SimNet {
    pub(crate) fn new(
        w: Wires,
        ledger: Ledger,
        shared: Arc<Shared>,
        body_max: usize,
        files_max: usize,
    ) -> SimNet {
        SimNet {
            w,
            ledger,
            clients: Vec::new(),
            servings: Vec::new(),
            happenings: Vec::new(),
            body_max,
            files_max,
            shared,
            wake: false,
            dropped: Rc::default(),
            idle_polls: 0,
            at_rest: false,
        }
    }

    /// A client that comes after so long.
    pub(crate) fn add_client(&mut self, client: Client, after: Duration) {
        let number = self.clients.len();
        self.clients.push(client);
        self.w.schedule_in(after, Action::Step(Actor::Client(number)));
    }

    pub(crate) fn add_happening(&mut self, happening: Happening, after: Duration) {
        self.happenings.push(happening);
        self.w.schedule_in(after, Action::Happening(self.happenings.len() - 1));
    }

    /// Does all that is due.
    fn settle(&mut self) {
        for id in self.dropped.take() {
            self.w.close(id, PROXY, false);
        }
        while let Some(action) = self.w.due() {
            match action {
                Action::Step(Actor::Client(n)) => self.clients[n].step(&mut self.w, &mut self.ledger),
                Action::Step(Actor::Serving(n)) => self.servings[n].step(&mut self.w, &mut self.ledger),
                Action::Answer(id) => self.answer_connect(id),
                Action::Happening(n) => self.happen(self.happenings[n]),
                Action::Deliver(..) | Action::Unblock(..) | Action::Arrive(..) => {
                    unreachable!("the wires' own")
                }
            }
        }
    }

    /// Lets the world go on without the worker, to its end.
    pub(crate) fn run_out(&mut self) {
        self.settle();
        while self.w.next_at() != Time::NEVER {
            self.w.now = self.w.now.max(self.w.next_at());
            self.settle();
        }
    }

    fn answer_connect(&mut self, id: ConnId) {
        let origin = self.w.conns[id].origin.expect("only connections to origins are answered");
        let wicked = self.w.weather.saint != Some(origin);
        if wicked && self.w.chance.yes(self.w.weather.swallow) {
            self.w.trace.note(self.w.now, || format!("origin {origin} swallows conn {id}"));
            self.ledger.fault(self.w.now);
            self.ledger.see("an attempt to connect swallowed");
        } else if wicked && self.w.chance.yes(self.w.weather.refuse) {
            self.w.trace.note(self.w.now, || format!("origin {origin} refuses conn {id}"));
            self.ledger.fault(self.w.now);
            self.ledger.see("an attempt to connect refused");
            self.w.refuse(id);
        } else {
            let number = self.servings.len();
            if self.w.establish(id, Actor::Serving(number)) {
                self.servings.push(Serving::new(number, id, wicked, self.body_max, &mut self.w));
                self.w.schedule(self.w.now, Action::Step(Actor::Serving(number)));
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        self.w.trace.note(self.w.now, || format!("{happening:?}"));
        match happening {
            Happening::ClearUp => self.w.weather.clear_up(),
            Happening::Resolve => {
                let addresses = addresses(&mut self.w.chance);
                self.w.trace.note(self.w.now, || format!("{addresses:?}"));
                self.ledger.fault(self.w.now);
                self.ledger.see("a name resolved anew");
                self.shared.generation().groups[0].lock().resolved(0, &addresses);
            }
            Happening::Reload => {
                let mut config = self.shared.generation().config.clone();
                let group = &mut config.upstreams[0];
                // Requests in flight are counted by the group that they began in.
                let is_bounded = group.servers.iter().any(|server| server.max_conns > 0);
                if !is_bounded && self.w.chance.yes(0.7) {
                    group.keepalive = self.w.chance.of(&[0, 1, 8, 64]);
                }
                self.w.trace.note(self.w.now, || format!("keepalive {}", config.upstreams[0].keepalive));
                self.ledger.see("another configuration");
                let next = self.shared.next(config);
                self.shared.publish(next);
                self.wake = true;
            }
            Happening::Order(command) => {
                self.ledger.draining = true;
                self.ledger.stopped |= command == Command::Stop;
                self.shared.order(command);
                self.wake = true;
            }
        }
    }

    fn interrupted(&mut self) -> io::Result<()> {
        if self.w.chance.yes(self.w.weather.interrupted) {
            Err(io::ErrorKind::Interrupted.into())
        } else {
            Ok(())
        }
    }

    fn note_progress(&mut self, moved: bool) {
        if moved {
            self.idle_polls = 0;
        }
    }

    fn socket(&self, id: ConnId) -> Socket {
        Socket { id, dropped: self.dropped.clone() }
    }

    /// No descriptor is left, or it seems so.
    fn out_of_files(&mut self, probability: f64) -> io::Result<()> {
        if self.w.chance.yes(probability) || self.w.open_files() >= self.files_max {
            self.ledger.machine_faults += 1;
            self.ledger.see("no descriptor left");
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        Ok(())
    }
}

impl Net for SimNet {
    type Socket = Socket;
    type File = Infallible;

    fn now(&self) -> Time {
        self.w.now
    }

    fn wall(&self) -> Duration {
        self.w.now.since(Time::ZERO) + Duration::from_secs(1_700_000_000)
    }

    fn poll(&mut self, events: &mut Vec<Event>, deadline: Time) -> io::Result<()> {
        if self.w.chance.yes(self.w.weather.busy) {
            // The worker was held up.
            let at = self.w.now + self.w.chance.span(Duration::from_millis(50));
            while self.w.next_at() <= at {
                self.w.now = self.w.now.max(self.w.next_at());
                self.settle();
            }
            self.w.now = self.w.now.max(at);
        }
        self.idle_polls += 1;
        if self.idle_polls > POLLS_MAX {
            self.ledger.violation("the worker runs in a circle".into());
        }
        loop {
            self.settle();
            if self.ledger.violation.is_some() {
                return Ok(());
            }
            if std::mem::take(&mut self.wake) {
                let token = Token::from(Target::Wake);
                events.push(Event {
                    token,
                    readable: true,
                    writable: false,
                    read_closed: false,
                    broken: false,
                });
            }
            if self.w.has_events() || !events.is_empty() {
                self.w.harvest(events);
                for event in events.iter() {
                    self.w.trace.note(self.w.now, || describe(event));
                }
                return Ok(());
            }
            if deadline <= self.w.now || self.interrupted().is_err() {
                return Ok(());
            }
            let next = self.w.next_at().min(deadline);
            if next == Time::NEVER {
                self.at_rest = true;
                return Ok(());
            }
            self.w.now = self.w.now.max(next);
            self.idle_polls = 0;
        }
    }

    fn accept(&mut self, listener: usize) -> io::Result<(Socket, Option<SocketAddr>)> {
        self.interrupted()?;
        if self.w.is_waiting(listener) {
            self.out_of_files(self.w.weather.no_files_accept)?;
        }
        let id = self.w.accept(listener)?;
        self.w.trace.note(self.w.now, || format!("proxy accepts conn {id}"));
        let address = Ipv4Addr::new(10, 0, (id % 7) as u8, (id % 250) as u8);
        Ok((self.socket(id), Some((address, 1024).into())))
    }

    fn local_address(&mut self, _: &Socket) -> io::Result<SocketAddr> {
        Ok((Ipv4Addr::LOCALHOST, 80).into())
    }

    fn listen(&mut self, listeners: &[usize]) {
        if listeners.is_empty() {
            self.w.stop_listening();
        }
    }

    fn waker(&self) -> std::task::Waker {
        std::task::Waker::noop().clone()
    }

    fn connect(&mut self, address: &Address, _: Option<SocketAddr>) -> io::Result<Socket> {
        self.out_of_files(self.w.weather.no_files_connect)?;
        let Address::Inet(address) = address else { panic!("no such origin: {address}") };
        let origin = usize::from(address.port() - FIRST_PORT);
        if self.w.weather.saint != Some(origin) && self.w.chance.yes(self.w.weather.refuse * 0.3) {
            self.ledger.fault(self.w.now);
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let id = self.w.connect(origin);
        self.w.trace.note(self.w.now, || format!("proxy connects conn {id} to origin {origin}"));
        Ok(self.socket(id))
    }

    fn register(&mut self, socket: &mut Socket, token: Token) -> io::Result<()> {
        if self.w.chance.yes(self.w.weather.register_fails) {
            self.ledger.machine_faults += 1;
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.w.trace.note(self.w.now, || format!("conn {} is {:?}", socket.id, token.target()));
        self.w.register(socket.id, token);
        Ok(())
    }

    fn connected(&mut self, socket: &mut Socket) -> io::Result<()> {
        Ok(self.w.outcome(socket.id)?)
    }

    fn receive(&mut self, socket: &mut Socket, space: &mut [u8]) -> io::Result<usize> {
        assert!(!space.is_empty(), "a receive without room");
        self.interrupted()?;
        self.w.race(socket.id);
        let result = self.w.receive(socket.id, space);
        if let (Ok(_), Some(_)) = (result, self.w.conns[socket.id].origin) {
            self.ledger.taps.entry(socket.id).or_default().took = self.w.conns[socket.id].proxy_took;
        }
        self.note_progress(result.is_ok());
        self.w.trace.note(self.w.now, || match result {
            Ok(n) => format!("proxy receives on conn {}: {}", socket.id, excerpt(&space[..n])),
            Err(kind) => format!("proxy receives on conn {}: {kind}", socket.id),
        });
        Ok(result?)
    }

    fn has_input(&mut self, socket: &mut Socket) -> bool {
        self.w.race(socket.id);
        self.w.has_input(socket.id)
    }

    fn send(&mut self, socket: &mut Socket, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let bytes = [first, second].concat();
        assert!(!bytes.is_empty(), "a send of nothing");
        self.interrupted()?;
        self.w.race(socket.id);
        let result = self.w.send(socket.id, PROXY, &bytes);
        self.note_progress(result.is_ok());
        self.w.trace.note(self.w.now, || match result {
            Ok(n) => {
                format!("proxy sends on conn {} of {}: {}", socket.id, bytes.len(), excerpt(&bytes[..n]))
            }
            Err(kind) => format!("proxy sends on conn {} of {}: {kind}", socket.id, bytes.len()),
        });
        if let (Ok(n), Some(_)) = (result, self.w.conns[socket.id].origin) {
            self.ledger.proxy_sent(socket.id, &self.w.conns[socket.id], &bytes[..n]);
        }
        Ok(result?)
    }

    fn shutdown(&mut self, socket: &mut Socket) {
        self.w.trace.note(self.w.now, || format!("proxy shuts conn {}", socket.id));
        self.w.shutdown(socket.id, PROXY);
    }

    fn open(&mut self, _: &[u8]) -> io::Result<(Infallible, Found)> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn read(&mut self, file: &mut Infallible, _: u64, _: &mut [u8]) -> io::Result<usize> {
        match *file {}
    }

    fn close(&mut self, socket: Socket, reset: bool) {
        let resets = self.w.close(socket.id, PROXY, reset);
        self.w.trace.note(self.w.now, || format!("proxy closes conn {} (reset: {resets})", socket.id));
    }
}

/// Some of the addresses under which the first origin is reached, one at least, with shares and ranks as a service has.
pub(crate) fn addresses(chance: &mut Chance) -> Vec<Resolved> {
    let count = chance.between(1, 3);
    let mut last: Vec<u8> = (1..=3).collect();
    chance.shuffle(&mut last);
    let resolved = |(nth, last): (usize, &u8)| Resolved {
        weight: Some(chance.between(1, 3) as u32),
        is_backup: nth > 0 && chance.below(4) == 0,
        ..(Ipv4Addr::new(127, 0, 0, *last), FIRST_PORT).into()
    };
    last[..count].iter().enumerate().map(resolved).collect()
}

/// An event in short: `rwcb` for readable, writable, read_closed, broken.
fn describe(event: &Event) -> String {
    let flag = |set, letter| if set { letter } else { "-" };
    format!(
        "event {:?} {}{}{}{}",
        event.token.target(),
        flag(event.readable, "r"),
        flag(event.writable, "w"),
        flag(event.read_closed, "c"),
        flag(event.broken, "b")
    )
}
