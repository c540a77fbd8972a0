//! What the proxy sends to origins, read as it is sent: to the letter, each request once, none where it may
//! not be.

use super::conn::{Conn, ConnId};
use super::http::{BodyReader, Framing, Head, check_octets};
use super::ledger::{DEFAULT_HOST, Fate, Kind, Ledger, Try};

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
    pub(crate) total: u64,
    pub(crate) head: Vec<u8>,
    pub(crate) named: bool,
    pub(crate) body: Option<(u64, BodyReader)>,
    pub(crate) marks: Vec<Mark>,
    /// The origin has switched protocols for this request; so many bytes of the tunnel have come.
    pub(crate) tunnel: Option<(u64, u64)>,
    /// Why no further request may be sent here.
    pub(crate) unclean: Option<&'static str>,
    /// The origin has been told that no other request follows.
    pub(crate) is_last: bool,
    /// The last request has not been answered to its end.
    pub(crate) answering: bool,
    /// Bytes that the proxy has received on it.
    pub(crate) took: u64,
}

impl Ledger {
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
            if !tap.marks.is_empty() {
                self.see("a pooled connection used again");
            }
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
            tap.is_last = self.way.says_close(&self.asks[ask as usize]);
            if self.way.is_http10 {
                self.see("a request sent in HTTP/1.0");
            }
            if self.asks[ask as usize].sent != self.asks[ask as usize].method {
                self.see("a request sent by another method");
            }
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
            return Err(format!("{} {ask} is sent again as {}", record.method, record.sent));
        }
        if let Some(answer) = last.answer.map(|n| &self.answers[n])
            && let Some(came) = self.taps.get(&last.conn).and_then(|tap| tap.took.checked_sub(answer.begin))
        {
            let (head, exact) = (answer.first_head, answer.exact);
            if came >= head.max(exact) && !leave.retries_responses {
                return Err(format!("{ask} is sent again after a head in response to it"));
            }
            if (head..exact).contains(&came) {
                self.see("a request sent again after a part of a short response");
            }
            if (1..head).contains(&came) {
                self.see("a request sent again after a part of a head");
            }
        }
        self.see("a request sent again");
        Ok(())
    }

    fn check_head(&self, ask: u64, head: &Head) -> Result<Option<Framing>, String> {
        let record = &self.asks[ask as usize];
        let version = if self.way.is_http10 { 0 } else { 1 };
        let expected = format!("{} {} HTTP/1.{version}", record.sent, record.target);
        if head.line != expected {
            return Err(format!("{:?} instead of {expected:?}", head.line));
        }
        if record.fate != Fate::Forward && record.fate != Fate::Unfinished {
            return Err(format!("{ask} is passed on, which is to be refused"));
        }
        // Only HTTP/1.1 must have one.
        let host = record.host.as_deref().or((!self.way.is_http10).then_some(DEFAULT_HOST));
        if head.one("host")? != host {
            return Err(format!("Host is not {host:?}"));
        }
        for name in ["keep-alive", "proxy-connection", "x-nominated", "x-gone"] {
            if head.values(name).next().is_some() {
                return Err(format!("{name} is passed on to the origin"));
            }
        }
        for (name, is_there) in [("x-forwarded-for", true), ("via", true), ("x-kept", !self.way.drops_fields)]
        {
            if head.one(name)?.is_some() != is_there {
                return Err(format!("{name} at the origin, which is to be there: {is_there}"));
            }
        }
        if head.has_option("upgrade") != record.upgrades {
            return Err("the wish to upgrade has changed".into());
        }
        if head.has_option("close") != self.way.says_close(record) {
            return Err("whether the connection persists is not as configured".into());
        }
        if head.values("expect").next().is_some() != record.expects_on {
            return Err("the expectation has changed".into());
        }
        let framing = head.framing()?;
        let sound = match framing {
            Some(Framing::Chunked) => record.chunked && !self.way.is_http10,
            Some(Framing::Exact(n)) => !record.chunked && n == record.octets,
            _ => !record.has_body(),
        };
        if !sound {
            return Err(format!("{framing:?} frames a body of {} octets", record.octets));
        }
        Ok(framing.filter(|framing| *framing != Framing::Exact(0)))
    }

    fn request_whole(&mut self, ask: u64, body: &BodyReader) -> Result<(), String> {
        let record = &self.asks[ask as usize];
        if body.octets != record.octets {
            return Err(format!("the body of {ask} has {} octets instead of {}", body.octets, record.octets));
        }
        let trailers = !record.trailers.is_empty();
        if body.trailers != record.trailers {
            return Err(format!("trailers {:?} instead of {:?}", body.trailers, record.trailers));
        }
        if trailers {
            self.see("trailers passed on to an origin");
        }
        Ok(())
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
    if tap.is_last {
        return Err("a request behind one that was to be the last".into());
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
