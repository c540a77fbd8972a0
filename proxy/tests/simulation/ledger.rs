//! What was asked, what was answered, and by whom: the memory that the oracle judges by.

use std::collections::BTreeMap;

use proxy::time::{Duration, Time};

use super::conn::ConnId;
use super::tap::Tap;
use super::way::Way;

/// The name of the first server, which stands in for a `Host` that a request lacks.
pub(crate) const DEFAULT_HOST: &str = "app0:5000";

/// What a sound proxy does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes to an origin.
    Forward,
    /// The proxy answers with one of these and closes.
    Refuse(&'static [u16]),
    /// It never becomes whole.
    Unfinished,
}

/// A request of a client's script.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) http10: bool,
    /// The client wants the connection to persist.
    pub(crate) keep_alive: bool,
    pub(crate) target: String,
    pub(crate) host: Option<String>,
    pub(crate) octets: u64,
    pub(crate) chunked: bool,
    /// Those that are to reach the origin.
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) expects: bool,
    pub(crate) upgrade: bool,
    /// The method, the expectation and the wish to upgrade that are to reach the origin.
    pub(crate) sent: &'static str,
    pub(crate) expects_on: bool,
    pub(crate) upgrades: bool,
    pub(crate) fate: Fate,
    /// When its client began to send it.
    pub(crate) begun: Option<Time>,
    /// Where it went.
    pub(crate) tries: Vec<Try>,
    /// An origin began to answer it as no origin should, or was kept from answering to the end.
    pub(crate) spoiled: bool,
}

impl Ask {
    pub(crate) fn is_idempotent(&self) -> bool {
        !matches!(self.sent, "POST" | "PATCH")
    }

    /// Whether the client waits for a 100 that is the proxy's to give.
    pub(crate) fn awaits_the_proxy(&self) -> bool {
        self.expects && !self.expects_on && self.has_body()
    }

    pub(crate) fn has_body(&self) -> bool {
        self.chunked || self.octets > 0
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Try {
    pub(crate) conn: ConnId,
    pub(crate) answer: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sound,
    /// Truncated, malformed, never ended.
    Unsound(&'static str),
    /// Nobody asked for it.
    Unsolicited,
}

/// What an origin sends in answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) ask: Option<u64>,
    pub(crate) kind: Kind,
    pub(crate) status: u16,
    pub(crate) octets: u64,
    pub(crate) interims: Vec<u16>,
    /// Those that are to reach an HTTP/1.1 client.
    pub(crate) trailers: Vec<(String, String)>,
    /// It was begun before the request was whole.
    pub(crate) early: bool,
    /// Bytes that the origin had sent on the connection before it.
    pub(crate) begin: u64,
    /// How many bytes it takes.
    pub(crate) length: u64,
    /// So many bytes make its first head, an interim one or the final one. Before them the client can have nothing of it.
    pub(crate) first_head: u64,
    /// How many bytes it takes by what that head says; 0 where it does not say it. Before them it may be held.
    pub(crate) exact: u64,
    /// The end of the connection is its end.
    pub(crate) until_close: bool,
    /// All of it was sent, but a reset may have taken part of it.
    pub(crate) doubtful: bool,
    /// It is a tunnel that the origin ends only when all has come.
    pub(crate) orderly: bool,
    /// All of it has been sent.
    pub(crate) done: bool,
}

/// What a client had of a tunnel in the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tunnel {
    pub(crate) ask: u64,
    pub(crate) answer: usize,
    /// Octets that came to the client, and that it was to send.
    pub(crate) got: u64,
    pub(crate) sent: u64,
}

/// Leave that the configuration gives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leave {
    pub(crate) non_idempotent: bool,
    /// A response may be given up for another try.
    pub(crate) retries_responses: bool,
    pub(crate) max_conns: bool,
    /// A server that never fails is always there to be asked.
    pub(crate) saint: bool,
    /// For how long a fault may be felt: by the server being left alone, and by what waits for it.
    pub(crate) memory: Duration,
    /// How long a client connection may be idle.
    pub(crate) keepalive: Duration,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) leave: Leave,
    pub(crate) way: Way,
    pub(crate) asks: Vec<Ask>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) taps: BTreeMap<ConnId, Tap>,
    pub(crate) violation: Option<String>,
    /// When a server last did what can turn into an error for a request.
    last_fault: Option<Time>,
    /// How often this machine was at its limits.
    pub(crate) machine_faults: usize,
    pub(crate) idle_closes: usize,
    pub(crate) unsolicited: usize,
    pub(crate) draining: bool,
    pub(crate) stopped: bool,
    /// Tunnels that both sides end only when all has come.
    pub(crate) tunnels: Vec<Tunnel>,
    /// What was met, for the test that the simulation meets it.
    pub(crate) seen: BTreeMap<&'static str, usize>,
}

impl Ledger {
    pub(crate) fn new(leave: Leave, way: Way) -> Ledger {
        Ledger {
            leave,
            way,
            asks: Vec::new(),
            answers: Vec::new(),
            taps: BTreeMap::new(),
            violation: None,
            last_fault: None,
            machine_faults: 0,
            idle_closes: 0,
            unsolicited: 0,
            draining: false,
            stopped: false,
            tunnels: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Enters a request of a script.
    pub(crate) fn enter(&mut self, mut ask: Ask) {
        self.way.pass(&mut ask);
        self.asks.push(ask);
    }

    /// The first violation is the one that counts.
    pub(crate) fn violation(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub(crate) fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub(crate) fn fault(&mut self, now: Time) {
        self.last_fault = Some(now);
    }

    /// Whether an error of the proxy's own in answer to this request has a cause on the servers' side.
    pub(crate) fn has_cause(&self, ask: u64) -> bool {
        let record = &self.asks[ask as usize];
        let failed = record.tries.last().is_some_and(|last| {
            let given = last.answer.map(|number| &self.answers[number]);
            given.is_none_or(|given| given.kind != Kind::Sound || given.early || given.doubtful)
        });
        let felt = self.last_fault.zip(record.begun);
        failed || felt.is_some_and(|(fault, begun)| fault + self.leave.memory >= begun)
    }

    /// Whether the response to this request may be ended by a reset, which may take earlier ones with it.
    pub(crate) fn may_break_off(&self, ask: u64) -> bool {
        let record = &self.asks[ask as usize];
        let given = record.tries.last().and_then(|last| last.answer).map(|number| &self.answers[number]);
        record.spoiled || given.is_some_and(|given| given.status == 101 || given.early)
    }

    /// Both directions of a tunnel pass whole where both sides let them. To be asked when all is over.
    pub(crate) fn check_tunnels(&self) -> Result<(), String> {
        for tunnel in &self.tunnels {
            let octets = self.answers[tunnel.answer].octets;
            let mut streams = self.taps.values().filter_map(|tap| tap.tunnel);
            let passed = streams.find(|(ask, _)| *ask == tunnel.ask).map_or(0, |(_, at)| at);
            if tunnel.got != octets || passed != tunnel.sent {
                return Err(format!(
                    "of a tunnel with {octets} octets, {passed} passed to the origin: {tunnel:?}"
                ));
            }
        }
        Ok(())
    }

    /// Begins an answer; returns its number.
    pub(crate) fn answer(&mut self, id: ConnId, answer: Answer) -> usize {
        let number = self.answers.len();
        if let Some(ask) = answer.ask {
            let record = &mut self.asks[ask as usize];
            record.spoiled |= answer.kind != Kind::Sound;
            if let Some(last) = record.tries.last_mut().filter(|last| last.conn == id) {
                last.answer = Some(number);
            }
        }
        self.answers.push(answer);
        number
    }

    /// An answer that was sent to its end may be lost on the way.
    pub(crate) fn doubt(&mut self, answer: usize) {
        if self.answers[answer].until_close {
            return self.spoil(answer, "a reset instead of an end");
        }
        self.answers[answer].doubtful = true;
        if let Some(ask) = self.answers[answer].ask {
            self.asks[ask as usize].spoiled = true;
        }
    }

    /// An answer that was begun in good faith comes to nothing.
    pub(crate) fn spoil(&mut self, answer: usize, why: &'static str) {
        self.answers[answer].kind = Kind::Unsound(why);
        if let Some(ask) = self.answers[answer].ask {
            self.asks[ask as usize].spoiled = true;
        }
    }
}
