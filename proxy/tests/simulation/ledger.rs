//! What was asked, what was answered, and by whom: the memory that the oracle judges by.

use std::collections::BTreeMap;

use proxy::time::{Duration, Time};

use super::http::{BodyReader, Framing, Head, check_octets};
use super::wires::{Conn, ConnId};

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
        !matches!(self.method, "POST" | "PATCH")
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
    /// The end of the connection is its end.
    pub(crate) until_close: bool,
    /// All of it was sent, but a reset may have taken part of it.
    pub(crate) doubtful: bool,
    /// It is a tunnel that the origin ends only when all has come.
    pub(crate) orderly: bool,
    /// All of it has been sent.
    pub(crate) done: bool,
}

/// Where a request lies in the bytes of a connection to an origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) ask: u64,
    pub(crate) head_end: u64,
    pub(crate) whole_at: Option<u64>,
}

/// All that the proxy sends on one connection to an origin, read as it is sent.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    total: u64,
    head: Vec<u8>,
    named: bool,
    body: Option<(u64, BodyReader)>,
    pub(crate) marks: Vec<Mark>,
    /// The origin has switched protocols for this request; so many bytes of the tunnel have come.
    pub(crate) tunnel: Option<(u64, u64)>,
    /// Why no further request may be sent here.
    pub(crate) unclean: Option<&'static str>,
    /// The last request has not been answered to its end.
    pub(crate) answering: bool,
    /// Bytes that the proxy has received on it.
    pub(crate) took: u64,
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
    pub(crate) fn new(leave: Leave) -> Ledger {
        Ledger {
            leave,
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

    /// The proxy has sent these bytes to an origin.
    pub(crate) fn proxy_sent(&mut self, id: ConnId, conn: &Conn, bytes: &[u8]) {
        let mut tap = self.taps.remove(&id).unwrap_or_default();
        if let Err(why) = self.tap(&mut tap, id, conn, bytes) {
            self.violation(format!("what connection {id} sends to its origin: {why}"));
        }
        self.taps.insert(id, tap);
    }

    fn tap(&mut self, tap: &mut Tap, id: ConnId, conn: &Conn, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let used = if let Some((ask, at)) = tap.tunnel {
                check_octets(tunnel_id(ask), at, bytes)?;
                tap.tunnel = Some((ask, at + bytes.len() as u64));
                bytes.len()
            } else if let Some((ask, body)) = &mut tap.body {
                let used = body.read(bytes, Some(*ask))?;
                if body.is_done() {
                    let (ask, body) = tap.body.take().expect("just looked at");
                    self.request_whole(ask, &body)?;
                    let end = tap.total + used as u64;
                    tap.marks.last_mut().expect("its head has been read").whole_at = Some(end);
                }
                used
            } else {
                self.head_byte(tap, id, conn, bytes[0])?;
                1
            };
            tap.total += used as u64;
            bytes = &bytes[used..];
        }
        Ok(())
    }

    fn head_byte(&mut self, tap: &mut Tap, id: ConnId, conn: &Conn, byte: u8) -> Result<(), String> {
        if tap.head.is_empty() {
            if let Some(ask) = self.switched(tap) {
                check_octets(tunnel_id(ask), 0, &[byte])?;
                tap.tunnel = Some((ask, 1));
                return Ok(());
            }
            tap.answering &= !self.has_come(tap, conn);
            may_be_used(tap, conn)?;
            tap.answering = true;
            tap.named = false;
        }
        tap.head.push(byte);
        if byte == b' ' && !tap.named && tap.head.iter().filter(|b| **b == b' ').count() == 2 {
            // The request line tells which one it is: from here on an origin could act on it.
            tap.named = true;
            let ask = self.name(&tap.head)?;
            self.sent_again(ask)?;
            self.asks[ask as usize].tries.push(Try { conn: id, answer: None });
        }
        if tap.head.ends_with(b"\r\n\r\n") {
            let head = Head::read(&tap.head)?;
            let ask = self.name(&tap.head)?;
            let framing = self.check_head(ask, &head)?;
            tap.head.clear();
            let end = tap.total + 1;
            let whole_at = if framing.is_none() { Some(end) } else { None };
            tap.marks.push(Mark { ask, head_end: end, whole_at });
            tap.body = framing.map(|framing| (ask, BodyReader::new(framing)));
        }
        Ok(())
    }

    /// The request whose answer, a 101, the proxy has on this connection.
    fn switched(&self, tap: &Tap) -> Option<u64> {
        let ask = tap.marks.last()?.ask;
        let answer = &self.answers[self.asks[ask as usize].tries.last()?.answer?];
        (tap.answering && answer.status == 101 && tap.took > answer.begin).then_some(ask)
    }

    /// Whether the proxy has all of the last answer, though more may follow behind it.
    fn has_come(&self, tap: &Tap, conn: &Conn) -> bool {
        let ask = tap.marks.last().map(|mark| &self.asks[mark.ask as usize]);
        let answer = ask.and_then(|ask| ask.tries.last()?.answer).map(|number| &self.answers[number]);
        answer.is_some_and(|a| a.kind == Kind::Sound && conn.proxy_took >= a.begin + a.length)
    }

    /// Which request a head is that begins like this.
    fn name(&self, head: &[u8]) -> Result<u64, String> {
        let text = std::str::from_utf8(head).unwrap_or_default();
        let target = text.split(' ').nth(1).unwrap_or_default();
        let number = target.strip_prefix('/').map(|t| t.split(['/', '?']).next().unwrap_or_default());
        number
            .and_then(|n| n.parse().ok())
            .filter(|ask| *ask < self.asks.len() as u64)
            .ok_or_else(|| format!("a request that nobody made: \"{}\"", head.escape_ascii()))
    }

    /// A request is about to be delivered: may it, having been delivered before?
    fn sent_again(&mut self, ask: u64) -> Result<(), String> {
        let (leave, record) = (self.leave, &self.asks[ask as usize]);
        let Some(last) = record.tries.last() else { return Ok(()) };
        if !record.is_idempotent() && !leave.non_idempotent {
            return Err(format!("{} {ask} is sent again", record.method));
        }
        if let Some(answer) = last.answer.map(|n| &self.answers[n])
            && !leave.retries_responses
            && self.taps.get(&last.conn).is_some_and(|tap| tap.took > answer.begin)
        {
            return Err(format!("{ask} is sent again after part of a response to it"));
        }
        self.see("a request sent again");
        Ok(())
    }

    fn check_head(&self, ask: u64, head: &Head) -> Result<Option<Framing>, String> {
        let record = &self.asks[ask as usize];
        let expected = format!("{} {} HTTP/1.1", record.method, record.target);
        if head.line != expected {
            return Err(format!("{:?} instead of {expected:?}", head.line));
        }
        if record.fate != Fate::Forward && record.fate != Fate::Unfinished {
            return Err(format!("{ask} is passed on, which is to be refused"));
        }
        let host = record.host.as_deref().unwrap_or(DEFAULT_HOST);
        if head.one("host")? != Some(host) {
            return Err(format!("Host is not {host}"));
        }
        for name in ["keep-alive", "proxy-connection", "x-nominated", "x-gone"] {
            if head.values(name).next().is_some() {
                return Err(format!("{name} is passed on to the origin"));
            }
        }
        for name in ["x-forwarded-for", "via", "x-kept"] {
            if head.one(name)?.is_none() {
                return Err(format!("{name} is missing at the origin"));
            }
        }
        if head.has_option("upgrade") != record.upgrade {
            return Err("the wish to upgrade has changed".into());
        }
        if head.values("expect").next().is_some() != record.expects {
            return Err("the expectation has changed".into());
        }
        let framing = head.framing()?;
        let sound = match framing {
            Some(Framing::Chunked) => record.chunked,
            Some(Framing::Exact(n)) => !record.chunked && n == record.octets,
            _ => !record.has_body(),
        };
        if !sound {
            return Err(format!("{framing:?} frames a body of {} octets", record.octets));
        }
        Ok(framing.filter(|framing| *framing != Framing::Exact(0)))
    }

    fn request_whole(&self, ask: u64, body: &BodyReader) -> Result<(), String> {
        let record = &self.asks[ask as usize];
        if body.octets != record.octets {
            return Err(format!("the body of {ask} has {} octets instead of {}", body.octets, record.octets));
        }
        if body.trailers != record.trailers {
            return Err(format!("trailers {:?} instead of {:?}", body.trailers, record.trailers));
        }
        Ok(())
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
                return Err(format!("of a tunnel with {octets} octets, {passed} passed to the origin: {tunnel:?}"));
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

/// Whether a request may begin on this connection.
fn may_be_used(tap: &Tap, conn: &Conn) -> Result<(), String> {
    if conn.warned {
        return Err("a request on a connection that was reported to have bytes while idle".into());
    }
    if let Some(why) = tap.unclean {
        return Err(format!("a request on a connection that is not clean: {why}"));
    }
    if tap.answering {
        return Err("a request before the last one was answered".into());
    }
    Ok(())
}

/// The name of the stream that a client sends through a tunnel.
pub(crate) fn tunnel_id(ask: u64) -> u64 {
    ask + 1_000_001
}
