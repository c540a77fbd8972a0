//! A connection that an origin has accepted: reads requests, answers, closes when it likes.

use std::collections::VecDeque;

use proxy::time::{Duration, Time};

use super::answers::{self, Piece};
use super::conn::{ConnId, FAR, Got};
use super::ledger::{Answer, Kind, Ledger};
use super::trace::excerpt;
use super::wires::{Action, Actor, Wires};

/// What an origin does with a connection that has become idle.
#[derive(Clone, Copy, Debug)]
enum IdleEnd {
    Close,
    Fin,
    Reset,
    /// Says 408, as servers do, and closes.
    Timeout,
    Bytes,
}

pub(crate) struct Serving {
    number: usize,
    pub(crate) conn: ConnId,
    /// It may do what no origin should.
    wicked: bool,
    body_max: usize,
    /// Bytes read.
    read: u64,
    /// Requests of the tap's marks that have been answered or are being answered.
    answered: usize,
    answer: Option<usize>,
    /// The answer that is out, though the proxy may not have all of it.
    last: Option<usize>,
    pieces: VecDeque<Piece>,
    resume_at: Time,
    /// How many bytes it reads at once, and how long it rests then.
    portion: usize,
    rest: Duration,
    read_at: Time,
    /// Whether it answers the request that it reads before that is whole.
    early: bool,
    idle_end: Option<(Time, IdleEnd)>,
    peer_ended: bool,
    closed: bool,
}

impl Serving {
    pub(crate) fn new(number: usize, conn: ConnId, wicked: bool, body_max: usize, w: &mut Wires) -> Serving {
        let slow = w.chance.yes(0.3);
        let early = wicked && w.chance.yes(w.weather.early);
        let mut serving = Serving {
            number,
            conn,
            wicked,
            body_max,
            read: 0,
            answered: 0,
            answer: None,
            last: None,
            pieces: VecDeque::new(),
            resume_at: w.now,
            portion: if slow { w.lazy_portion() } else { usize::MAX },
            rest: w.chance.span(w.weather.gap),
            read_at: w.now,
            early,
            idle_end: None,
            peer_ended: false,
            closed: false,
        };
        serving.become_idle(w);
        serving
    }

    fn become_idle(&mut self, w: &mut Wires) {
        self.early = self.wicked && w.chance.yes(w.weather.early);
        w.conns[self.conn].far_idle_from = Some(w.conns[self.conn].far_sent);
        let unsolicited = self.wicked && w.chance.yes(w.weather.unsolicited);
        // To close a connection that has not served yet is a failure.
        let may_close = self.answered > 0 || (self.wicked && w.chance.yes(w.weather.truncate));
        if unsolicited || (may_close && w.chance.yes(w.weather.idle_close)) {
            let end = match unsolicited {
                true => w.chance.of(&[IdleEnd::Timeout, IdleEnd::Timeout, IdleEnd::Bytes]),
                // A reset can take an answer with it that is still under way.
                false if self.wicked => w.chance.of(&[IdleEnd::Close, IdleEnd::Fin, IdleEnd::Reset]),
                false => w.chance.of(&[IdleEnd::Close, IdleEnd::Fin]),
            };
            let at = w.now + w.chance.span(Duration::from_secs(5));
            self.idle_end = Some((at, end));
            w.schedule(at, Action::Step(Actor::Serving(self.number)));
        }
    }

    /// Goes on as far as it can.
    pub(crate) fn step(&mut self, w: &mut Wires, ledger: &mut Ledger) {
        if self.closed {
            return;
        }
        self.end_idleness(w, ledger);
        self.receive(w, ledger);
        if !self.closed {
            self.begin_answer(w, ledger);
            self.go_on(w, ledger);
        }
    }

    /// Closes the idle connection if its time has come, whatever may just be arriving.
    fn end_idleness(&mut self, w: &mut Wires, ledger: &mut Ledger) {
        let Some((at, end)) = self.idle_end else { return };
        if at > w.now {
            return;
        }
        self.idle_end = None;
        w.trace.note(w.now, || format!("origin ends idle conn {}: {end:?}", self.conn));
        ledger.idle_closes += 1;
        if self.answered == 0 {
            ledger.fault(w.now);
        }
        ledger.see("an idle connection ended by its origin");
        match end {
            IdleEnd::Close => self.close(w, ledger, false),
            IdleEnd::Reset => self.close(w, ledger, true),
            IdleEnd::Fin => {
                w.shutdown(self.conn, FAR);
                self.pieces.push_back(Piece::Pause(w.chance.span(Duration::from_secs(2))));
                self.pieces.push_back(Piece::Close);
            }
            IdleEnd::Timeout | IdleEnd::Bytes => {
                let number = ledger.answer(self.conn, unsolicited());
                let bytes = match end {
                    IdleEnd::Timeout => format!(
                        "HTTP/1.1 408 Timeout\r\nX-Sim-Answer: {number}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                    ),
                    _ => "what is this?".to_owned(),
                };
                ledger.fault(w.now);
                ledger.unsolicited += 1;
                self.pieces.push_back(Piece::Bytes(bytes.into_bytes()));
                self.pieces.push_back(Piece::Pause(w.chance.span(Duration::from_secs(2))));
                self.pieces.push_back(Piece::Close);
            }
        }
    }

    fn receive(&mut self, w: &mut Wires, ledger: &mut Ledger) {
        while !self.closed {
            if self.read_at > w.now {
                return;
            }
            match w.take(self.conn, FAR, self.portion) {
                Got::Bytes(bytes) => {
                    self.read += bytes.len() as u64;
                    if self.pieces.is_empty() {
                        // A request has come in time.
                        self.idle_end = None;
                    }
                    w.conns[self.conn].far_idle_from = None;
                    w.trace.note(w.now, || format!("origin conn {} reads {}", self.conn, bytes.len()));
                    if self.portion < usize::MAX && !self.rest.is_zero() {
                        self.read_at = w.now + self.rest;
                        w.schedule(self.read_at, Action::Step(Actor::Serving(self.number)));
                    }
                }
                Got::End => {
                    if !std::mem::replace(&mut self.peer_ended, true) && self.pieces.is_empty() {
                        self.close(w, ledger, false);
                    }
                    return;
                }
                Got::Reset => return self.close(w, ledger, false),
                Got::Nothing => return,
            }
        }
    }

    fn begin_answer(&mut self, w: &mut Wires, ledger: &mut Ledger) {
        if self.answer.is_some() || !self.pieces.is_empty() {
            return;
        }
        let Some(tap) = ledger.taps.get(&self.conn) else { return };
        let Some(mark) = tap.marks.get(self.answered).copied() else { return };
        let whole = mark.whole_at.is_some_and(|at| at <= self.read);
        let expects = ledger.asks[mark.ask as usize].expects_on;
        if mark.head_end > self.read || !(whole || self.early || expects) {
            return;
        }
        let early = !whole && self.early;
        let continues = !whole && !early;
        self.answered += 1;
        let number = ledger.answers.len();
        let record = &ledger.asks[mark.ask as usize];
        let mut plan = answers::plan(
            mark.ask,
            record,
            number,
            self.body_max,
            &mut w.chance,
            &w.weather,
            self.wicked,
            continues,
        );
        plan.answer.early = early;
        plan.answer.until_close = plan.until_close;
        plan.answer.begin = w.conns[self.conn].far_sent;
        (plan.answer.first_head, plan.answer.exact) = answers::first_head(&plan.pieces);
        if early {
            if plan.answer.status == 101 {
                plan.answer.kind = Kind::Unsound("a switch before the request's end");
            }
            // What still comes of the request may be answered by a reset, which takes the answer with it.
            ledger.fault(w.now);
            ledger.asks[mark.ask as usize].spoiled = true;
            ledger.see("an answer before the request's end");
        }
        let (kind, status) = (plan.answer.kind, plan.answer.status);
        w.trace.note(w.now, || {
            let (conn, octets) = (self.conn, plan.answer.octets);
            format!(
                "origin conn {conn} answers {} with answer {number}: {status}, {octets} octets, {kind:?}",
                mark.ask
            )
        });
        if kind != Kind::Sound || (ledger.leave.retries_responses && status >= 403) {
            ledger.fault(w.now);
        }
        if let Kind::Unsound(why) = kind {
            ledger.see(why);
        }
        let given = ledger.answer(self.conn, plan.answer);
        assert_eq!(given, number, "an answer's number is the next one");
        self.answer = Some(number);
        ledger.taps.get_mut(&self.conn).expect("just looked at").unclean = plan.unclean;
        self.pieces.extend(plan.pieces);
        if w.chance.yes(0.5) {
            self.pieces.push_front(Piece::Pause(w.chance.span(w.weather.gap)));
        }
    }

    fn go_on(&mut self, w: &mut Wires, ledger: &mut Ledger) {
        while self.resume_at <= w.now && !self.closed {
            match self.pieces.front_mut() {
                None => return,
                Some(Piece::Pause(span)) => {
                    self.resume_at = w.now + *span;
                    w.schedule(self.resume_at, Action::Step(Actor::Serving(self.number)));
                }
                Some(Piece::Bytes(bytes)) => match w.send(self.conn, FAR, bytes) {
                    Ok(n) => {
                        w.trace.note(w.now, || {
                            format!("origin conn {} sends {}", self.conn, excerpt(&bytes[..n]))
                        });
                        bytes.drain(..n);
                        if !bytes.is_empty() {
                            return;
                        }
                    }
                    Err(std::io::ErrorKind::WouldBlock) => return,
                    Err(_) => return self.close(w, ledger, false),
                },
                Some(Piece::Done) => self.done(w, ledger),
                Some(Piece::AwaitRequest) => {
                    let mark = ledger.taps[&self.conn].marks[self.answered - 1];
                    if mark.whole_at.is_none_or(|at| at > self.read) {
                        return;
                    }
                }
                Some(Piece::AwaitEnd) if !self.peer_ended => return,
                Some(Piece::AwaitEnd) => {}
                Some(Piece::Fin) => w.shutdown(self.conn, FAR),
                Some(Piece::Close) => return self.close(w, ledger, false),
                Some(Piece::Reset) => return self.close(w, ledger, true),
            }
            self.pieces.pop_front();
        }
    }

    /// The answer is out.
    fn done(&mut self, w: &mut Wires, ledger: &mut Ledger) {
        let Some(number) = self.answer else { return };
        ledger.answers[number].done = true;
        let tap = ledger.taps.get_mut(&self.conn).expect("it carries a request");
        if ledger.answers[number].status == 101 {
            return;
        }
        tap.answering = false;
        if tap.unclean.is_some() {
            return;
        }
        if ledger.answers[number].early || self.pieces.len() > 1 {
            // It closes though it has not said so. The rest of a request that was answered early may be
            // read, or not; one that follows is not.
            let end = ledger.answers[number].begin + ledger.answers[number].length;
            w.conns[self.conn].far_idle_from = Some(end);
            ledger.idle_closes += 1;
            ledger.unsolicited += 1;
            if self.pieces.len() == 1 {
                if w.chance.yes(0.5) {
                    self.pieces.push_back(Piece::Close);
                }
                self.pieces.push_back(Piece::Pause(w.chance.span(Duration::from_secs(2))));
                self.pieces.push_back(Piece::Close);
            }
        } else {
            self.last = self.answer.take();
            self.become_idle(w);
        }
    }

    fn close(&mut self, w: &mut Wires, ledger: &mut Ledger, reset: bool) {
        self.closed = true;
        let resets = w.close(self.conn, FAR, reset);
        w.trace.note(w.now, || format!("origin closes conn {} (reset: {resets})", self.conn));
        let Some(number) = self.answer.or(self.last) else { return };
        let (conn, answer) = (&w.conns[self.conn], &ledger.answers[number]);
        let end = answer.begin + answer.length;
        if answer.kind != Kind::Sound {
            // It was to come to nothing.
        } else if conn.far_sent < end {
            ledger.spoil(number, "closed before its end");
        } else if resets && conn.proxy_took < end {
            ledger.fault(w.now);
            ledger.doubt(number);
        }
    }
}

fn unsolicited() -> Answer {
    Answer {
        ask: None,
        kind: Kind::Unsolicited,
        status: 408,
        octets: 0,
        interims: Vec::new(),
        trailers: Vec::new(),
        early: false,
        begin: 0,
        length: 0,
        first_head: 0,
        exact: 0,
        until_close: false,
        doubtful: false,
        orderly: false,
        done: true,
    }
}
