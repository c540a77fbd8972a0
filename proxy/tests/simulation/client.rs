//! A client: follows its script, reads what comes, and is judged at its end.

use std::collections::VecDeque;
use std::io::ErrorKind;

use proxy::time::{Duration, Time};

use super::conn::{ConnId, FAR, Got};
use super::http::octets;
use super::ledger::{Fate, Kind, Ledger, Tunnel};
use super::replies::Replies;
use super::tap::tunnel_id;
use super::trace::excerpt;
use super::wires::{Action, Actor, Wires};

/// A step of a script.
#[derive(Debug)]
pub(crate) enum Act {
    Send(Vec<u8>),
    /// What follows is this request.
    Begin(u64),
    Pause(Duration),
    /// Until so many responses are complete, or a tunnel stands.
    Await(usize),
    /// Until a 100 or a final response to this request comes, or for so long.
    AwaitContinue(usize, Duration),
    /// In a tunnel: sends so many octets. Else nothing.
    Tunnel(u64),
    /// In a tunnel: until so many octets or the end have come. Else nothing.
    AwaitTunnel,
    /// Reads nothing for so long.
    Deaf(Duration),
    /// From here on responses may be lost, and this is why.
    Excuse(&'static str),
    /// Until the proxy ends the connection.
    AwaitEnd,
    Fin,
    Close,
    Reset,
}

/// A client's wait between two bytes is never longer than this, whatever timeouts and tries lie in it.
const PATIENCE: Duration = Duration::from_secs(500);

pub(crate) struct Client {
    number: usize,
    pub(crate) conn: Option<ConnId>,
    acts: VecDeque<Act>,
    asks: Vec<u64>,
    replies: Replies,
    /// The size of what it sends and reads at once, and the rests between.
    piece: usize,
    gap: Duration,
    portion: usize,
    rest: Duration,
    resume_at: Time,
    read_at: Time,
    continue_by: Option<Time>,
    /// Goes on sending though the last response said that the connection closes.
    stubborn: bool,
    excuse: Option<&'static str>,
    /// Octets that it sends through its tunnel.
    tunnelled: u64,
    ended: bool,
    /// By a reset, which may take with it what was under way.
    was_reset: bool,
    pub(crate) closed: bool,
    /// When a byte last went or came.
    moved: Time,
    /// When it asks itself whether it has waited too long.
    look_at: Time,
}

impl Client {
    pub(crate) fn new(number: usize, acts: Vec<Act>, asks: Vec<u64>, w: &mut Wires) -> Client {
        let (slow, lazy) = (w.chance.yes(0.3), w.chance.yes(0.2));
        let piece = if slow { 1 + w.chance.size(3000) } else { usize::MAX };
        // A head is through long before its time is over.
        let gap = w.chance.span(w.weather.gap).min(Duration::from_millis(20) * piece.min(1000) as u32);
        Client {
            number,
            conn: None,
            acts: acts.into(),
            replies: Replies::new(asks.clone()),
            asks,
            piece,
            gap,
            portion: if lazy { w.lazy_portion() } else { usize::MAX },
            rest: w.chance.span(w.weather.gap),
            resume_at: w.now,
            read_at: w.now,
            continue_by: None,
            stubborn: w.chance.yes(0.1),
            excuse: None,
            tunnelled: 0,
            ended: false,
            was_reset: false,
            closed: false,
            moved: w.now,
            look_at: w.now,
        }
    }

    pub(crate) fn step(&mut self, w: &mut Wires, ledger: &mut Ledger) {
        if self.closed {
            return;
        }
        if self.conn.is_none() {
            self.moved = w.now;
            self.conn = Some(w.dial(self.number));
        }
        if w.now >= self.look_at {
            self.look_at = w.now + PATIENCE;
            self.wake(self.look_at, w);
        }
        let conn = self.conn.expect("just dialled");
        if !w.is_accepted(conn) {
            // Others are served before it; that it comes to its turn is looked at in the end.
            self.moved = w.now;
        }
        self.read(conn, w, ledger);
        if !self.ended || self.replies.tunnel().is_some() {
            self.act(conn, w, ledger);
        }
        if self.ended && (self.replies.tunnel().is_none() || self.acts.is_empty()) {
            self.close(conn, w, ledger, false);
        } else if w.now >= self.moved + PATIENCE && !self.closed {
            ledger.violation(format!("client {} waits without end", self.number));
        }
    }

    fn wake(&self, at: Time, w: &mut Wires) {
        w.schedule(at, Action::Step(Actor::Client(self.number)));
    }

    fn read(&mut self, conn: ConnId, w: &mut Wires, ledger: &mut Ledger) {
        while !self.ended && self.read_at <= w.now {
            match w.take(conn, FAR, self.portion) {
                Got::Bytes(bytes) => {
                    self.moved = w.now;
                    w.trace.note(w.now, || format!("client {} reads {}", self.number, excerpt(&bytes)));
                    if let Err(why) = self.replies.read(&bytes, ledger) {
                        ledger.violation(format!("what client {} receives: {why}", self.number));
                        return;
                    }
                    if self.portion < usize::MAX && !self.rest.is_zero() {
                        self.read_at = w.now + self.rest;
                        self.wake(self.read_at, w);
                    }
                }
                Got::Nothing => return,
                end => {
                    let clean = matches!(end, Got::End) && !self.was_reset;
                    w.trace.note(w.now, || format!("client {} sees an end (clean: {clean})", self.number));
                    self.ended = true;
                    self.was_reset |= !clean;
                    if !clean {
                        self.acts.clear();
                    }
                    if let Err(why) = self.replies.end(clean, ledger) {
                        ledger.violation(format!("what client {} receives: {why}", self.number));
                    }
                }
            }
        }
    }

    fn act(&mut self, conn: ConnId, w: &mut Wires, ledger: &mut Ledger) {
        while !self.closed && self.resume_at <= w.now {
            if self.replies.is_last() && !self.stubborn {
                self.acts.clear();
            }
            let Some(act) = self.acts.front_mut() else {
                if self.replies.tunnel().is_none() || self.ended {
                    self.close(conn, w, ledger, false);
                }
                return;
            };
            let tunnel = self.replies.tunnel();
            match act {
                Act::Send(bytes) => {
                    let n = bytes.len().min(self.piece);
                    match w.send(conn, FAR, &bytes[..n]) {
                        Ok(n) => {
                            self.moved = w.now;
                            w.trace.note(w.now, || {
                                format!("client {} sends {}", self.number, excerpt(&bytes[..n]))
                            });
                            bytes.drain(..n);
                            let more = !bytes.is_empty();
                            if more && self.piece < usize::MAX && !self.gap.is_zero() {
                                self.resume_at = w.now + self.gap;
                                self.wake(self.resume_at, w);
                            }
                            if more {
                                continue;
                            }
                        }
                        Err(ErrorKind::WouldBlock) => return,
                        Err(_) => {
                            // What can still be read comes before the end. The error is told only once.
                            self.was_reset = true;
                            self.acts.clear();
                            self.acts.push_back(Act::AwaitEnd);
                            return;
                        }
                    }
                }
                Act::Pause(span) => {
                    self.resume_at = w.now + *span;
                    self.wake(self.resume_at, w);
                }
                Act::Await(n) if self.replies.complete() < *n && tunnel.is_none() => return,
                Act::AwaitContinue(n, span) => {
                    let by = *self.continue_by.get_or_insert(w.now + *span);
                    let done = self.replies.list.len() > *n || self.replies.may_continue();
                    if !done && w.now < by {
                        return self.wake(by, w);
                    }
                    self.continue_by = None;
                }
                Act::Tunnel(n) => {
                    let n = *n;
                    if tunnel.is_some() {
                        let ask = *self.asks.last().expect("a tunnel comes of a request");
                        self.tunnelled = n;
                        *act = Act::Send(octets(tunnel_id(ask), n));
                        continue;
                    }
                }
                Act::AwaitTunnel => {
                    if let Some((answer, got)) = tunnel
                        && got < ledger.answers[answer].octets
                        && !self.ended
                    {
                        return;
                    }
                }
                Act::Deaf(span) => {
                    self.read_at = w.now + *span;
                    self.wake(self.read_at, w);
                }
                Act::Begin(ask) => ledger.asks[*ask as usize].begun = Some(w.now),
                Act::Excuse(why) => self.excuse = Some(why),
                Act::AwaitEnd if !self.ended => return,
                Act::Await(_) | Act::AwaitEnd => {}
                Act::Fin => {
                    w.trace.note(w.now, || format!("client {} half-closes", self.number));
                    w.shutdown(conn, FAR);
                }
                Act::Close => return self.close(conn, w, ledger, false),
                Act::Reset => return self.close(conn, w, ledger, true),
            }
            self.acts.pop_front();
        }
    }

    fn close(&mut self, conn: ConnId, w: &mut Wires, ledger: &mut Ledger, reset: bool) {
        let resets = w.close(conn, FAR, reset);
        w.trace.note(w.now, || format!("client {} closes (reset: {resets})", self.number));
        self.closed = true;
        if let Err(why) = self.judge(w.conns[conn].idled, ledger) {
            ledger.violation(format!("client {}: {why}", self.number));
        }
    }

    /// One response to each request, in order, unless there is a cause.
    fn judge(&self, idled: Duration, ledger: &mut Ledger) -> Result<(), String> {
        if self.excuse.is_some() || ledger.stopped {
            ledger.see("a client that went away");
            return Ok(());
        }
        for (at, &id) in self.asks.iter().enumerate() {
            let ask = &ledger.asks[id as usize];
            let (method, fate) = (ask.method, ask.fate);
            if fate == Fate::Unfinished {
                return Ok(());
            }
            let Some(reply) = self.replies.list.get(at) else {
                // The proxy closed while it was idle, and this request crossed with that.
                let idle = idled >= ledger.leave.keepalive;
                if idle || ledger.draining || ledger.machine_faults > 0 || self.lost_to_reset(ledger) {
                    return Ok(());
                }
                return Err(format!("no response to {method} {id}, and no reason for that"));
            };
            if let Fate::Refuse(statuses) = fate {
                if reply.answer.is_some() || !statuses.contains(&reply.status) || !reply.is_complete {
                    return Err(format!("{reply:?} for {id}, which asks for one of {statuses:?}"));
                }
                ledger.see("a request refused");
                return Ok(());
            }
            match reply.answer {
                Some(number) => self.judge_forwarded(at, number, ledger)?,
                None => self.judge_own(at, ledger)?,
            }
            if reply.closes || !reply.is_complete {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A reset, which had a cause, may have taken any response with it that was under way.
    fn lost_to_reset(&self, ledger: &Ledger) -> bool {
        self.was_reset && self.asks.iter().any(|id| ledger.may_break_off(*id))
    }

    fn judge_forwarded(&self, at: usize, number: usize, ledger: &mut Ledger) -> Result<(), String> {
        let (id, reply, given) = (self.asks[at], &self.replies.list[at], &ledger.answers[number]);
        let ask = &ledger.asks[id as usize];
        if reply.status != given.status && given.kind != Kind::Unsolicited {
            return Err(format!("status {} instead of {} for {id}", reply.status, given.status));
        }
        if reply.status == 101 {
            let orderly = given.orderly;
            ledger.see("a tunnel");
            if orderly && ledger.machine_faults == 0 {
                let got = self.replies.tunnel().map_or(0, |(_, got)| got);
                ledger.see("a tunnel ended from both sides");
                ledger.tunnels.push(Tunnel { ask: id, answer: number, got, sent: self.tunnelled });
            }
            return Ok(());
        }
        if ask.awaits_the_proxy() && !reply.is_continued {
            return Err(format!("no 100 for {id}, of which the origin has not seen that it waits"));
        }
        let sound = given.kind == Kind::Sound && !given.early && !given.doubtful;
        if !reply.is_complete && sound && !self.lost_to_reset(ledger) {
            return Err(format!("answer {number} was sound and has not come to its end"));
        }
        let wanted = ask.keep_alive && !given.early && !ledger.draining;
        if reply.closes && wanted && !ask.http10 && given.kind == Kind::Sound {
            return Err(format!("the connection closes after {id} without a reason"));
        }
        ledger.see(if reply.is_complete { "a response passed on" } else { "a response broken off" });
        Ok(())
    }

    /// The proxy's own answer to a sound request: only where something went wrong.
    fn judge_own(&self, at: usize, ledger: &mut Ledger) -> Result<(), String> {
        let (id, reply) = (self.asks[at], &self.replies.list[at]);
        let ask = &ledger.asks[id as usize];
        let status = reply.status;
        if !matches!(status, 502..=504) {
            return Err(format!("{status} of the proxy's own for {} {id}", ask.method));
        }
        let crossing = ledger.idle_closes > 0 && (!ask.is_idempotent() || ask.has_body());
        let excused = ledger.machine_faults > 0 || ledger.leave.max_conns || crossing;
        if !reply.has_cause && !excused {
            return Err(format!("{status} for {} {id} though nothing went wrong", ask.method));
        }
        if ledger.leave.saint
            && ask.is_idempotent()
            && !ask.has_body()
            && !ask.spoiled
            && ledger.machine_faults == 0
            && ledger.unsolicited == 0
        {
            return Err(format!("{status} for {} {id} though a good server was there", ask.method));
        }
        ledger.see("an error of the proxy's own");
        Ok(())
    }
}
