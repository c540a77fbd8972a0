//! A connection that serves health checks: what it is about, and how long that may take.

use std::io;

use crate::config::HealthCheck;
use crate::exchange::Failure;
use crate::ids::GroupId;
use crate::probe::{Probe, Report, request};
use crate::time::{Duration, Time};
use crate::upstream::{Address, DueCheck};
use crate::worker::net::Net;

/// How much is received at once.
const CHUNK: usize = 16 << 10;

/// A connection to a server for the checks of one kind, mostly for one check.
pub(super) struct Visit<S> {
    pub(super) socket: S,
    pub(super) group: GroupId,
    pub(super) due: DueCheck,
    rule: HealthCheck,
    stage: Stage,
    probe: Probe,
    request: Vec<u8>,
    /// When the stage it is in takes too long.
    pub(super) deadline: Time,
    /// When the whole check does.
    ends: Time,
    /// It served a check before.
    is_used: bool,
    /// When it is to be closed whatever it could still be used for.
    retires: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    /// So many bytes of the request are sent.
    Sending(usize),
    Receiving,
    /// Between two checks.
    Idle,
}

/// How far a check has come.
pub(super) enum Going {
    /// It waits for an event.
    Waits,
    /// It is over.
    Over(Report),
    /// The connection had been closed since the last check: that is no failure, and another one will do.
    Stale,
    /// The connection was closed between two checks.
    Spoilt,
}

impl<S> Visit<S> {
    /// On a socket that connects.
    pub(super) fn new(socket: S, group: GroupId, due: DueCheck, rule: HealthCheck, now: Time) -> Visit<S> {
        let ends = end_of(&rule, now);
        Visit {
            socket,
            group,
            due,
            stage: Stage::Connecting,
            probe: Probe::new(rule.clone()),
            request: request(&rule),
            deadline: ends.min(now + rule.timeouts.connect),
            ends,
            is_used: false,
            retires: now + rule.keepalive.unwrap_or(Duration::ZERO),
            rule,
        }
    }

    pub(super) fn is_connecting(&self) -> bool {
        self.stage == Stage::Connecting
    }

    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }

    /// Whether it waits for this check.
    pub(super) fn is_kept_for(&self, group: GroupId, due: &DueCheck) -> bool {
        self.is_idle() && self.group == group && self.due == *due
    }

    /// Keeps it for the next check, unless it is too old.
    pub(super) fn keep(&mut self, now: Time) -> bool {
        self.stage = Stage::Idle;
        self.deadline = self.retires;
        now < self.retires
    }

    /// Begins another check.
    pub(super) fn ask_again(&mut self, now: Time) {
        self.is_used = true;
        self.probe = Probe::new(self.rule.clone());
        self.ends = end_of(&self.rule, now);
        self.enter(Stage::Sending(0), now);
    }

    /// Goes over to a stage of a check that has a bound of its own.
    fn enter(&mut self, stage: Stage, now: Time) {
        let timeouts = &self.rule.timeouts;
        let bound = if stage == Stage::Receiving { timeouts.read } else { timeouts.send };
        self.stage = stage;
        self.deadline = self.ends.min(now + bound);
    }

    /// Goes on until nothing can be done without waiting.
    pub(super) fn go_on<N: Net<Socket = S>>(&mut self, net: &mut N, now: Time) -> Going {
        let mut space = [0; CHUNK];
        loop {
            let result = match self.stage {
                Stage::Connecting => net.connected(&mut self.socket).map(|()| {
                    self.enter(Stage::Sending(0), now);
                    None
                }),
                Stage::Sending(sent) => net.send(&mut self.socket, &self.request[sent..], &[]).map(|n| {
                    let is_sent = sent + n == self.request.len();
                    self.enter(if is_sent { Stage::Receiving } else { Stage::Sending(sent + n) }, now);
                    None
                }),
                Stage::Receiving => net.receive(&mut self.socket, &mut space).map(|n| match n {
                    0 if self.is_used && self.probe.is_fresh() => Some(Going::Stale),
                    0 => {
                        let report = self.probe.eof();
                        Some(Going::Over(
                            report.unwrap_or_else(|| self.probe.broken(Failure::Closed.cause())),
                        ))
                    }
                    n => self.probe.received(&space[..n]).map(Going::Over),
                }),
                // Nothing is expected: bytes, an end or an error all spoil it.
                Stage::Idle => match net.has_input(&mut self.socket) {
                    true => return Going::Spoilt,
                    false => return Going::Waits,
                },
            };
            match result {
                Ok(None) => {}
                Ok(Some(going)) => return going,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Going::Waits,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if self.is_used && self.probe.is_fresh() => return Going::Stale,
                Err(error) => {
                    let failure = match self.stage {
                        Stage::Connecting => Failure::Connect(error.kind()),
                        _ => Failure::Reset(error.kind()),
                    };
                    return Going::Over(self.probe.broken(failure.cause()));
                }
            }
        }
    }

    /// Its deadline is over: what becomes of the check, if there is one.
    pub(super) fn expired(&mut self) -> Option<Report> {
        let failure = match self.stage {
            Stage::Connecting => Failure::ConnectTimeout,
            Stage::Sending(_) => Failure::SendTimeout,
            Stage::Receiving => Failure::ReadTimeout,
            Stage::Idle => return None,
        };
        Some(self.probe.broken(failure.cause()))
    }
}

/// When a check that begins now takes too long as a whole.
fn end_of(rule: &HealthCheck, now: Time) -> Time {
    rule.time_in_all.map_or(Time::NEVER, |time| now + time)
}

/// Begins to connect to a server for a check, at a port of the check's own where it has one.
pub(super) fn connect<N: Net>(net: &mut N, address: &Address, port: Option<u16>) -> io::Result<N::Socket> {
    match (address, port) {
        (Address::Inet(address), Some(port)) => {
            let mut address = *address;
            address.set_port(port);
            net.connect(&Address::Inet(address), None)
        }
        _ => net.connect(address, None),
    }
}
