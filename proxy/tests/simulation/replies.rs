//! What a client receives: a sequence of responses, each judged as it comes.

use super::http::{BodyReader, Framing, Head, check_octets};
use super::ledger::{Kind, Ledger};

/// A final response, or what came of it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The origin's; `None` for the proxy's own.
    pub(crate) answer: Option<usize>,
    /// The proxy says that the connection ends with it.
    pub(crate) closes: bool,
    pub(crate) is_complete: bool,
    /// Being the proxy's own, it has a cause on the servers' side.
    pub(crate) has_cause: bool,
    /// A 100 of the proxy's own came before it.
    pub(crate) is_continued: bool,
}

#[derive(Debug)]
enum State {
    Head,
    Body(BodyReader, Option<usize>),
    Tunnel { answer: usize, got: u64 },
    Over,
}

/// Reads what comes to one client, for the requests that it has sent.
#[derive(Debug)]
pub(crate) struct Replies {
    asks: Vec<u64>,
    state: State,
    head: Vec<u8>,
    interims: Vec<u16>,
    /// The proxy itself has said 100 for the request in hand.
    is_continued: bool,
    pub(crate) list: Vec<Reply>,
}

impl Replies {
    pub(crate) fn new(asks: Vec<u64>) -> Replies {
        Replies {
            asks,
            state: State::Head,
            head: Vec::new(),
            interims: Vec::new(),
            is_continued: false,
            list: Vec::new(),
        }
    }

    /// How many responses have come to their end.
    pub(crate) fn complete(&self) -> usize {
        self.list.iter().filter(|reply| reply.is_complete).count()
    }

    /// A 100 has come for the request in hand.
    pub(crate) fn may_continue(&self) -> bool {
        self.interims.contains(&100)
    }

    pub(crate) fn tunnel(&self) -> Option<(usize, u64)> {
        if let State::Tunnel { answer, got } = self.state { Some((answer, got)) } else { None }
    }

    /// No response will follow.
    pub(crate) fn is_last(&self) -> bool {
        self.list.last().is_some_and(|reply| reply.is_complete && reply.closes)
    }

    pub(crate) fn read(&mut self, mut bytes: &[u8], ledger: &mut Ledger) -> Result<(), String> {
        while !bytes.is_empty() {
            let used = match &mut self.state {
                State::Head => {
                    self.head.push(bytes[0]);
                    if self.head.ends_with(b"\r\n\r\n") {
                        self.head_read(ledger)?;
                    }
                    1
                }
                State::Body(body, answer) => {
                    let used = body.read(bytes, answer.map(|n| n as u64))?;
                    if body.is_done() {
                        self.body_read(ledger)?;
                    }
                    used
                }
                State::Tunnel { answer, got } => {
                    check_octets(*answer as u64, *got, bytes)?;
                    *got += bytes.len() as u64;
                    bytes.len()
                }
                State::Over => {
                    return Err(format!("bytes behind the last response: {}", bytes.escape_ascii()));
                }
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    fn head_read(&mut self, ledger: &mut Ledger) -> Result<(), String> {
        let head = Head::read(&std::mem::take(&mut self.head))?;
        let Some(&ask) = self.asks.get(self.list.len()) else {
            return Err(format!("a response without a request: {}", head.line));
        };
        let record = &ledger.asks[ask as usize];
        let status = head.line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status: u16 = status.ok_or_else(|| format!("a status line {:?}", head.line))?;
        let answer = head.number("x-sim-answer")?.map(|n| n as usize);
        for name in ["keep-alive", "proxy-connection", "x-gone"] {
            if head.values(name).next().is_some() {
                return Err(format!("{name} is passed on to the client"));
            }
        }
        if let Some(number) = answer {
            let given = ledger.answers.get(number).ok_or("an answer that no origin gave")?;
            let unasked = given.kind == Kind::Unsolicited && ledger.unsolicited > 0;
            if given.ask != Some(ask) && !unasked {
                return Err(format!("the answer to {:?} for the request {ask}", given.ask));
            }
            if head.one("via")?.is_none() {
                return Err("Via is missing at the client".into());
            }
        }
        if status < 200 && status != 101 {
            if record.http10 {
                return Err(format!("{status} for an HTTP/1.0 client"));
            }
            if answer.is_none() {
                let may_come = status == 100 && record.awaits_the_proxy();
                if !may_come || std::mem::replace(&mut self.is_continued, true) {
                    return Err(format!("{status} that neither the origin nor the proxy has a reason for"));
                }
                ledger.see("100 of the proxy's own");
            }
            self.interims.push(status);
            ledger.see("an interim response passed on");
            return Ok(());
        }
        let closes = head.has_option("close") || (record.http10 && !head.has_option("keep-alive"));
        self.list.push(Reply {
            status,
            answer,
            closes,
            is_complete: false,
            has_cause: ledger.has_cause(ask),
            is_continued: std::mem::take(&mut self.is_continued),
        });
        if let Some(number) = answer {
            self.check_interims(number, record.http10, ledger)?;
        }
        self.interims.clear();
        if status == 101 {
            let answer = answer.ok_or("a switch that no origin made")?;
            if !record.upgrades {
                return Err("a switch that the client did not ask for".into());
            }
            self.state = State::Tunnel { answer, got: 0 };
            return Ok(());
        }
        let framing = head.framing()?;
        let bodiless = record.method == "HEAD" || matches!(status, 204 | 304);
        if record.http10 && framing == Some(Framing::Chunked) && !bodiless {
            return Err("chunks for an HTTP/1.0 client".into());
        }
        if !bodiless && framing.is_none() && !(closes && record.http10) {
            return Err("a body that ends by closing for an HTTP/1.1 client".into());
        }
        let framing = if bodiless { Framing::Exact(0) } else { framing.unwrap_or(Framing::UntilClose) };
        let body = BodyReader::new(framing);
        let done = body.is_done();
        self.state = State::Body(body, answer);
        if done { self.body_read(ledger) } else { Ok(()) }
    }

    fn check_interims(&self, number: usize, http10: bool, ledger: &Ledger) -> Result<(), String> {
        let given = &ledger.answers[number];
        // An earlier try may have given interim responses too, and they have gone on.
        if !http10 && given.kind != Kind::Unsolicited && !self.interims.ends_with(&given.interims) {
            return Err(format!("interim responses {:?} instead of {:?}", self.interims, given.interims));
        }
        Ok(())
    }

    fn body_read(&mut self, ledger: &mut Ledger) -> Result<(), String> {
        let State::Body(body, answer) = std::mem::replace(&mut self.state, State::Head) else {
            return Ok(());
        };
        let reply = self.list.last_mut().expect("its head has been read");
        reply.is_complete = true;
        if reply.closes {
            self.state = State::Over;
        }
        let Some(number) = answer else { return Ok(()) };
        let given = &ledger.answers[number];
        if let Kind::Unsound(why) = given.kind {
            return Err(format!("answer {number} looks complete and is not: {why}"));
        }
        if body.octets != given.octets {
            return Err(format!("answer {number} has {} octets instead of {}", body.octets, given.octets));
        }
        let http10 = ledger.asks[self.asks[self.list.len() - 1] as usize].http10;
        if !http10 && body.trailers != given.trailers {
            return Err(format!("trailers {:?} instead of {:?}", body.trailers, given.trailers));
        }
        if !body.trailers.is_empty() {
            ledger.see("trailers passed on to a client");
        }
        Ok(())
    }

    /// Nothing follows: `clean` says whether by a close or by a reset.
    pub(crate) fn end(&mut self, clean: bool, ledger: &mut Ledger) -> Result<(), String> {
        if let State::Body(body, _) = &self.state
            && clean
            && body.ends_at_close()
        {
            return self.body_read(ledger);
        }
        Ok(())
    }
}
