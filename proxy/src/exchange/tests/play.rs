//! A driver without sockets: it does what an exchange's steps say, on bytes from a script.
//!
//! The parent module says what `proxy` is, since the fuzz targets use this file as well.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::Ipv4Addr;

use super::proxy::config::{Config, Host, Server};
use super::proxy::exchange::{Counters, Env, Exchange, Failure, FileKind, Found, Missing, Ready, Side, Step};
use super::proxy::ids::Ids;
use super::proxy::site::Routes;
use super::proxy::time::Time;

/// The HTTP date of every play.
pub(crate) const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// When every file of a play was changed, as is [`DATE`].
pub(crate) const MODIFIED: u64 = 784_111_777;

/// Steps after which a play is said to go round in circles.
const STEPS_MAX: usize = 1_000_000;

/// One end of a connection, as the kernel would have it.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// Bytes that have come and have not been received.
    pub(crate) incoming: VecDeque<u8>,
    /// An end behind them.
    pub(crate) ends: bool,
    /// An error behind them.
    pub(crate) breaks: bool,
    /// That shows only when something has been sent.
    pub(crate) hides: bool,
    /// It takes no bytes for now.
    pub(crate) stalls: bool,
    /// It takes so many bytes and then stalls.
    pub(crate) room: Option<usize>,
    /// Sending to it fails.
    pub(crate) refuses: bool,
    /// Bytes that were sent to it.
    pub(crate) sent: Vec<u8>,
    /// How often something was.
    pub(crate) sends: usize,
    /// Sending to it has been shut.
    pub(crate) shut: bool,
    /// Its end or its error has been received.
    pub(crate) is_over: bool,
    /// For which of the client's requests it was had, counted from 0.
    pub(crate) request: usize,
}

impl Wire {
    fn is_readable(&self) -> bool {
        let shows = !self.hides || !self.sent.is_empty();
        shows && !self.is_over && (!self.incoming.is_empty() || self.ends || self.breaks)
    }
}

/// What the next attempt to get an upstream connection meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// A new connection, at once.
    Fresh,
    /// A pooled connection.
    Pooled,
    /// A pooled connection that turns out closed when it is used.
    Dead,
    /// A pooled connection that is seen to be closed.
    Ended,
    /// A refusal.
    Refused,
    /// Nothing yet.
    Slow,
    /// A name that is being looked up.
    Unresolved,
    /// No live server.
    Nobody,
}

/// An exchange with its two ends.
pub(crate) struct Play {
    pub(crate) exchange: Exchange,
    /// What the exchange is lent.
    pub(crate) env: Env,
    pub(crate) client: Wire,
    /// The upstream connections in the order in which they were had.
    pub(crate) upstreams: Vec<Wire>,
    /// The last of them is still the exchange's.
    pub(crate) has_upstream: bool,
    /// One is being opened.
    pub(crate) is_connecting: bool,
    /// What attempts to get one meet, in this order; behind the last, new connections.
    pub(crate) links: VecDeque<Link>,
    /// The latest of them was said to be for a request that can be sent again.
    pub(crate) replay_safe: bool,
    /// How many servers are left to be tried.
    pub(crate) tries: u32,
    /// The most bytes that each receive gives, taken round and round; empty: no bound.
    pub(crate) reads: Vec<usize>,
    /// The most bytes that each send takes, likewise.
    pub(crate) writes: Vec<usize>,
    calls: usize,
    /// Requests that are over and were followed by waiting for another.
    pub(crate) finished: usize,
    /// Which upstream connection's response came to its end for which request.
    pub(crate) served: Vec<(usize, usize)>,
    /// The files there are, by their names; a folder's name ends with a slash.
    pub(crate) files: BTreeMap<&'static str, Vec<u8>>,
    /// What happened to connections, in a word each.
    pub(crate) log: Vec<String>,
    /// The name of the file that was opened last.
    opened: Option<String>,
    /// The client connection is closed: with a reset or without.
    pub(crate) closed: Option<bool>,
}

impl Play {
    /// A client has connected; `change` says how the configuration differs from the default.
    pub(crate) fn new(change: impl FnOnce(&mut Config)) -> Play {
        let server = Server::new("app1:5000", Host::Name("app1".into(), 5000));
        let mut config = Config::new(vec![server]);
        change(&mut config);
        let mut env =
            Env::new(Routes::new(&config, &Ids::first(&config)), Time::from_nanos(3_600_000_000_000));
        env.date.push_str(DATE);
        let exchange = Exchange::new(0, Some((Ipv4Addr::new(192, 0, 2, 7), 1024).into()), &env);
        Play {
            exchange,
            env,
            client: Wire::default(),
            upstreams: Vec::new(),
            has_upstream: false,
            is_connecting: false,
            links: VecDeque::new(),
            replay_safe: false,
            tries: 3,
            reads: Vec::new(),
            writes: Vec::new(),
            calls: 0,
            finished: 0,
            served: Vec::new(),
            files: BTreeMap::new(),
            opened: None,
            log: Vec::new(),
            closed: None,
        }
    }

    /// Calls `act` with the exchange and what it works with.
    pub(crate) fn with<T>(&mut self, act: impl FnOnce(&mut Exchange, &mut Env) -> T) -> T {
        act(&mut self.exchange, &mut self.env)
    }

    /// The upstream connection at hand.
    pub(crate) fn upstream(&mut self) -> &mut Wire {
        assert!(self.has_upstream, "no upstream connection is there: {:?}", self.log);
        self.upstreams.last_mut().expect("one was had")
    }

    /// Does what the exchange wants until it has to wait or the client connection is closed.
    pub(crate) fn run(&mut self) {
        for _ in 0..STEPS_MAX {
            if self.closed.is_some() {
                return;
            }
            let none = Wire { stalls: true, ..Wire::default() };
            let upstream =
                if self.has_upstream { self.upstreams.last().expect("one was had") } else { &none };
            let ready = Ready {
                client_readable: self.client.is_readable(),
                client_writable: !self.client.stalls,
                upstream_readable: upstream.is_readable(),
                upstream_writable: !upstream.stalls,
            };
            let step = self.exchange.next(ready);
            match step {
                Step::Wait => {
                    self.with(|exchange, env| exchange.rearm(env));
                    return;
                }
                Step::Receive(side) => self.receive(side),
                Step::Send(side) => self.send(side),
                Step::Acquire { same_server, replay_safe } => {
                    self.replay_safe = replay_safe;
                    self.acquire(same_server);
                }
                Step::Release { reusable, served } => self.release(reusable, served),
                Step::Abandon => {
                    let failure = self.exchange.failure().expect("a failure to abandon for");
                    self.abandon(failure);
                }
                Step::Open => self.open(),
                Step::Read => self.read(),
                Step::Count => self.with(|exchange, env| {
                    let counters =
                        Counters { requests: env.requests, accepted: 1, active: 1, ..Counters::default() };
                    exchange.counted(&counters, env);
                }),
                Step::Finish => {
                    self.log.push("finish".into());
                    self.finished += 1;
                    self.with(Exchange::finish);
                }
                Step::Shutdown(side) => {
                    self.log.push(format!("shut {side:?}"));
                    self.wire(side).shut = true;
                    self.exchange.shut(side);
                }
                Step::Close { reset } => self.close(reset),
            }
        }
        panic!("the exchange goes round in circles: {:?}", self.log);
    }

    fn wire(&mut self, side: Side) -> &mut Wire {
        match side {
            Side::Client => &mut self.client,
            Side::Upstream => self.upstream(),
        }
    }

    fn open(&mut self) {
        let name = String::from_utf8_lossy(self.exchange.wanted_file()).into_owned();
        self.log.push(format!("open {name}"));
        let folder = format!("{}/", name.trim_end_matches('/'));
        let found = |kind, length| Found { kind, length, modified: MODIFIED };
        let result = match self.files.get(&*name) {
            Some(bytes) => Ok(found(FileKind::Regular, bytes.len() as u64)),
            None if self.files.keys().any(|file| file.starts_with(&folder)) => {
                Ok(found(FileKind::Folder, 4096))
            }
            None => Err(Missing::Absent),
        };
        self.opened = Some(name);
        self.with(|exchange, env| exchange.opened(result, env));
    }

    fn read(&mut self) {
        let most = self.call(|play| &play.reads);
        let bytes = self.opened.as_ref().and_then(|name| self.files.get(&**name)).expect("a file").clone();
        let offset = self.exchange.file_offset() as usize;
        self.with(|exchange, env| {
            let space = exchange.file_space(env);
            let left = bytes.get(offset..).unwrap_or_default();
            let n = left.len().min(space.len()).min(most);
            space[..n].copy_from_slice(&left[..n]);
            exchange.file_came(n, env);
        });
    }

    fn call(&mut self, sizes: fn(&Play) -> &[usize]) -> usize {
        self.calls += 1;
        let sizes = sizes(self);
        sizes.get(self.calls % sizes.len().max(1)).map_or(usize::MAX, |&size| size.max(1))
    }

    fn receive(&mut self, side: Side) {
        let most = self.call(|play| &play.reads);
        let wire = self.wire(side);
        let mut incoming = std::mem::take(&mut wire.incoming);
        let (ends, breaks) = (wire.ends, wire.breaks);
        let n = self.with(|exchange, env| {
            let space = exchange.space(side, env);
            let n = incoming.len().min(space.len()).min(most);
            for (to, from) in space.iter_mut().zip(incoming.drain(..n)) {
                *to = from;
            }
            n
        });
        self.wire(side).incoming = incoming;
        if n > 0 {
            self.with(|exchange, env| exchange.filled(side, n, env));
            return;
        }
        self.with(|exchange, env| exchange.nothing_came(side, env));
        self.wire(side).is_over = true;
        if breaks {
            self.exchange.failed(side, false, ErrorKind::ConnectionReset);
        } else {
            assert!(ends, "asked to receive where nothing is");
            self.with(|exchange, env| exchange.eof(side, env));
        }
    }

    fn send(&mut self, side: Side) {
        let most = self.call(|play| &play.writes).min(self.wire(side).room.unwrap_or(usize::MAX));
        assert!(!self.wire(side).shut, "sent behind the end");
        if self.wire(side).refuses {
            self.exchange.failed(side, true, ErrorKind::BrokenPipe);
            return;
        }
        let (first, second) = self.exchange.outgoing(side);
        let bytes: Vec<u8> = first.iter().chain(second).copied().take(most).collect();
        assert!(!bytes.is_empty(), "asked to send nothing");
        let wire = self.wire(side);
        wire.sent.extend_from_slice(&bytes);
        wire.sends += 1;
        wire.room = wire.room.map(|room| room - bytes.len());
        wire.stalls = wire.room == Some(0);
        self.with(|exchange, env| exchange.flushed(side, bytes.len(), env));
    }

    fn acquire(&mut self, same_server: bool) {
        assert!(!self.has_upstream, "a second upstream connection");
        // What it asks for on the same server is a new connection.
        let link = self.links.pop_front().unwrap_or(Link::Fresh);
        self.log.push(format!("{}{link:?}", if same_server { "same " } else { "" }).to_lowercase());
        if link == Link::Unresolved {
            self.exchange.resolving();
            return;
        }
        if !same_server {
            if self.tries == 0 || link == Link::Nobody {
                self.with(Exchange::unavailable);
                return;
            }
            self.tries -= 1;
            let now = self.env.now;
            if let Some(record) = self.exchange.record() {
                record.tried("app1:5000".into(), "192.0.2.1:5000".into(), now);
            }
            self.exchange.chosen(self.tries > 0);
        }
        match link {
            Link::Pooled | Link::Dead | Link::Ended => {
                let (ends, hides) = (link != Link::Pooled, link != Link::Ended);
                self.had(Wire { ends, hides, ..Wire::default() });
                self.exchange.acquired(true, self.env.now);
            }
            Link::Fresh => {
                self.exchange.connecting();
                self.had(Wire::default());
                self.exchange.acquired(false, self.env.now);
            }
            Link::Slow | Link::Nobody | Link::Unresolved => {
                self.exchange.connecting();
                self.is_connecting = true;
            }
            Link::Refused => {
                self.exchange.connecting();
                self.exchange.connect_failed(Failure::Connect(ErrorKind::ConnectionRefused));
            }
        }
    }

    /// A connection is there.
    pub(crate) fn had(&mut self, wire: Wire) {
        assert!(!self.has_upstream, "the connection before was not parted with: {:?}", self.log);
        self.upstreams.push(Wire { request: self.finished, ..wire });
        self.has_upstream = true;
        self.is_connecting = false;
    }

    /// It is there no more.
    fn parted(&mut self) {
        self.has_upstream = false;
        self.is_connecting = false;
    }

    fn release(&mut self, reusable: bool, served: bool) {
        // What has come and has not been received spoils a connection too: that is the driver's to see.
        let reusable = reusable && self.upstreams.last().is_some_and(|wire| !wire.is_readable());
        let words = [("reusable", reusable), ("served", served)];
        let words: String = words.iter().filter(|(_, is)| *is).map(|(word, _)| format!(" {word}")).collect();
        self.log.push(format!("release{words}"));
        if served {
            self.served.push((self.finished, self.upstreams.len() - 1));
        }
        self.parted();
        self.with(Exchange::released);
    }

    fn abandon(&mut self, failure: Failure) {
        let stale = self.exchange.is_stale(failure);
        let word = if stale { "stale".into() } else { format!("abandon {}", failure.cause()) };
        self.log.push(word);
        self.parted();
        self.with(|exchange, env| exchange.abandoned(failure, env));
    }

    fn close(&mut self, reset: bool) {
        self.log.push(if reset { "reset" } else { "close" }.into());
        self.closed = Some(reset);
        self.parted();
        self.with(Exchange::dismantle);
        assert_eq!(self.env.buffers.lent(), 0, "buffers are still lent: {:?}", self.log);
    }

    /// Lets the time until the next deadline pass; says whether there is one.
    pub(crate) fn expire(&mut self) -> bool {
        let deadline = self.exchange.deadline();
        if self.closed.is_some() || deadline == Time::NEVER {
            return false;
        }
        self.env.now = self.env.now.max(deadline);
        self.with(Exchange::expired);
        self.run();
        true
    }
}

impl Drop for Play {
    /// Wherever a play ends, every buffer can be had back.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.with(Exchange::dismantle);
            assert_eq!(self.env.buffers.lent(), 0, "buffers are still lent: {:?}", self.log);
        }
    }
}
