//! One client connection's requests and responses, one after the other: the protocol without the sockets.
//!
//! # Theory
//!
//! An [`Exchange`] owns the bytes in flight between one client and, while a request needs it, one
//! upstream connection. The driver tells it what happened — [`filled`](Exchange::filled),
//! [`flushed`](Exchange::flushed), [`eof`](Exchange::eof), [`failed`](Exchange::failed),
//! [`expired`](Exchange::expired) — and asks, with the readiness of both sockets,
//! [`next`](Exchange::next) what to do. It does that, and asks again, until the answer is [`Step::Wait`].
//!
//! Two automata run side by side, one for each direction:
//!
//! ```text
//!   request   Idle ─▶ Head ─▶ Body ─▶ (Trailers) ─▶ Whole          response  Idle ─▶ Head ─▶ Body ─▶ (Trailers) ─▶ Whole
//!               ▲      │        │                     │                               │1xx▲                          │
//!               │      └────────┴─▶ Cut (refused)     │                               └───┘   101 ─▶ Tunnel          │
//!               └───────────────── Finish ────────────┴──────────────────────────────────────────────────────────────┘
//! ```
//!
//! They are coupled in [`next`](Exchange::next) alone: a new request begins when both are `Whole`, all is
//! sent, and the connection persists.
//!
//! Each direction holds the bytes that came in (`input`) and bytes of the proxy's own that go out before
//! them (`out`: a rewritten head, a chunk line, trailers). Of `input`, a prefix has been judged by the
//! body cursor and may `pass`, without what is dropped. Nothing is read while something is
//! to be sent in the same direction: that is the back-pressure, and it bounds what one connection can
//! hold to two buffers a direction.
//!
//! Until a response begins to go to the client, a request that still lies in its buffers is kept there, so
//! that it can be sent again: `out` stays whole and what was sent of the body is `held`.

mod answer;
mod destination;
mod discard;
mod env;
mod facts;
mod failure;
mod files;
mod follow;
mod format;
mod link;
mod onward;
mod pages;
mod passing;
mod preface;
mod record;
mod reload;
mod request;
mod request_head;
mod response;
mod scope;
mod sending;
mod session;
mod steps;
#[cfg(test)]
mod tests;
mod values;
mod waits;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::http::Refusal;
use crate::http::proxy_protocol::Ends;
use crate::http::reply::Content;
use crate::http::rewrite::Introduction;
use crate::ids::GroupId;
use crate::key::{Digest, Key, Lesson};
use crate::site::{Place, Routes};
use crate::time::Time;
use destination::Destination;
pub use env::{Env, Wall, World};
pub use facts::Stage;
pub use failure::{Failure, Sequel};
use files::Fetch;
pub use files::{Counters, FileKind, Found, Missing};
use link::Link;
pub use record::{Record, Try};
use request::RequestSide;
use response::ResponseSide;
use scope::Scope;
pub use steps::{Ready, Side, Step};
use waits::Waits;

/// How the client connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ending {
    /// It does not, yet.
    #[default]
    Open,
    /// Nothing more is sent; what comes is dropped until the client closes, so that the response is not
    /// lost to a reset (RFC 9112 section 9.6).
    Linger,
    /// At once.
    Close,
    /// At once and with a reset.
    Reset,
}

/// See the [module's page](self).
#[derive(Debug)]
pub struct Exchange {
    request: RequestSide,
    response: ResponseSide,
    link: Link,
    ending: Ending,
    /// A failure of the upstream that the driver has not handled yet.
    failure: Option<Failure>,
    /// Sending to the upstream failed; a response may still be there to be read.
    send_failure: Option<Failure>,
    /// After this try there may be another.
    tries_left: bool,
    /// From then on no other server is tried (`proxy_next_upstream_timeout`).
    tries_end: Time,
    waits: Waits,
    /// The group that the request goes to, where its place does not say.
    upstream: Option<GroupId>,
    /// The host that it asks for, where a server's redirect to a path here is completed with that.
    host: Vec<u8>,
    /// What a `proxy_pass` with variables says of it.
    destination: Option<Box<Destination>>,
    /// How often the request has been sent to another location (`error_page`).
    redirects: u8,
    /// Servers are chosen from a group that was not asked yet for this request.
    starts_anew: bool,
    /// The status that the client is to see instead of the response's own.
    status_shown: Option<u16>,
    /// What holds for the request in hand.
    place: Arc<Place>,
    /// The configuration that `place` is of.
    routes: Arc<Routes>,
    /// Where it is connected to, by the listener's number.
    listener: usize,
    /// The address of this machine's that it came to, where the listener's does not say it and it is asked for.
    came_to: Option<IpAddr>,
    /// The listener is there no more: the connection does not persist.
    is_retired: bool,
    /// Which connection of the process it is, counted from 1; 0: nobody has said.
    serial: u64,
    /// Requests over this connection.
    requests: u64,
    /// When it was opened.
    opened: Time,
    /// The address that connected; `None` for a Unix socket.
    peer: Option<IpAddr>,
    /// Its port; 0 for a Unix socket.
    port: u16,
    /// The client's address as text, for the next server.
    introduction: Introduction,
    /// The address that counts: `peer`, or what a trusted `peer` forwarded.
    client: Option<IpAddr>,
    /// Its port; 0 where it is not known.
    client_port: u16,
    /// What the PROXY protocol tells of the client, where there is one behind the peer.
    introduced: Option<Box<Ends>>,
    /// The address that the connection to its server comes from, where it is not any.
    local: Option<SocketAddr>,
    /// What the request's server is found by, where the group goes by a key.
    key: Key,
    /// What the request calls its server or its session, where clients of its group keep their server.
    session: Option<Digest>,
    /// What the chosen server is called there.
    session_of_server: Option<Arc<str>>,
    /// What the response says of a session, until the group has learnt it.
    lesson: Option<Lesson>,
    record: Option<Box<Record>>,
    /// What the request in hand needs of the driver besides a server.
    fetch: Option<Box<Fetch>>,
    /// The variables that it takes along to another place.
    scope: Option<Box<Scope>>,
}

impl Exchange {
    /// For a client that has just connected to this listener, from `peer` (`None`: over a Unix socket).
    pub fn new(listener: usize, peer: Option<SocketAddr>, env: &Env) -> Exchange {
        let port = peer.map_or(0, |peer| peer.port());
        let peer = peer.map(|peer| peer.ip().to_canonical());
        let mut exchange = Exchange {
            request: RequestSide::new(env.routes.takes_proxy_protocol(listener)),
            response: ResponseSide::default(),
            link: Link::None,
            ending: Ending::Open,
            failure: None,
            send_failure: None,
            tries_left: false,
            tries_end: Time::NEVER,
            waits: Waits::default(),
            upstream: None,
            host: Vec::new(),
            destination: None,
            redirects: 0,
            starts_anew: false,
            status_shown: None,
            place: env.routes.default_place(listener).clone(),
            routes: env.routes.clone(),
            listener,
            came_to: None,
            is_retired: false,
            serial: 0,
            requests: 0,
            opened: env.now,
            peer,
            port,
            introduction: match peer {
                Some(address) => Introduction::new(&address.to_string()),
                None => Introduction::new("unix:"),
            },
            client: peer,
            client_port: port,
            introduced: None,
            local: None,
            key: Key::default(),
            session: None,
            lesson: None,
            session_of_server: None,
            record: None,
            fetch: None,
            scope: None,
        };
        exchange.rearm(env);
        exchange
    }

    /// It is the connection of this number, counted from 1 over the process's life.
    pub fn numbered(&mut self, serial: u64) {
        self.serial = serial;
    }

    /// It was this address of the machine's that the client connected to.
    pub fn came_to(&mut self, address: IpAddr) {
        self.came_to = Some(address);
    }

    /// What to do next, given what the sockets can do.
    #[inline(always)]
    pub fn next(&self, ready: Ready) -> Step {
        if self.failure.is_some() {
            return Step::Abandon;
        }
        if let Ending::Close | Ending::Reset = self.ending {
            return Step::Close { reset: self.ending == Ending::Reset };
        }
        if self.response.pending() && ready.client_writable {
            return Step::Send(Side::Client);
        }
        if self.response.is_whole() {
            return self.wind_up(ready);
        }
        if let Link::Wanted { same_server } = self.link {
            return Step::Acquire { same_server, replay_safe: self.request.stays_repeatable() };
        }
        if let Link::Up { .. } = self.link {
            // What lies there before the request must not be taken for a response to it: see `filled`.
            let unasked =
                ready.upstream_readable && self.request.nothing_sent() && !planted!(UnaskedResponse);
            let sends = self.request.pending() && self.send_failure.is_none() && !unasked;
            if sends && ready.upstream_writable {
                return Step::Send(Side::Upstream);
            }
            if self.response.wants_bytes() && ready.upstream_readable {
                return Step::Receive(Side::Upstream);
            }
            // With an interim response on its way to the client, the final one may still lie unread.
            if self.send_failure.is_some() && !self.response.has_begun() && !self.response.pending() {
                return Step::Abandon;
            }
        }
        if self.request.wants_bytes(self.link) && ready.client_readable {
            return Step::Receive(Side::Client);
        }
        if self.response.is_tunnel() {
            return self.half_close();
        }
        if self.fetch.is_some() { self.fetch_step(ready.client_readable) } else { Step::Wait }
    }

    /// The response is whole (or is the proxy's own): what is left to do.
    fn wind_up(&self, ready: Ready) -> Step {
        if let Link::Up { .. } | Link::Connecting = self.link {
            let reusable = self.response.leaves_reusable()
                && self.request.is_sent_whole()
                && self.send_failure.is_none();
            return Step::Release { reusable, served: self.response.is_forwarded() };
        }
        if self.response.pending() || self.ending == Ending::Linger {
            // A client that still sends a body nobody wants may not read before it is through.
            let drains = self.request.is_cut() || self.ending == Ending::Linger;
            let drains = drains && ready.client_readable && !self.request.has_eof();
            return if drains { Step::Receive(Side::Client) } else { Step::Wait };
        }
        if self.is_over() {
            return Step::Finish;
        }
        // Closing resets the connection if bytes lie unread in the socket or still come, which might take
        // the response with it (RFC 9112 section 9.6). None come from a client that said it is through.
        let is_through = self.request.is_whole() && !self.request.is_cut() && !self.request.keep_alive;
        let nothing_unread = is_through && self.request.is_empty() && !ready.client_readable;
        if nothing_unread || self.request.has_eof() {
            return Step::Close { reset: false };
        }
        Step::Shutdown(Side::Client)
    }

    /// Whether the request and its response are over and the connection persists: then `finish` is due.
    pub fn is_over(&self) -> bool {
        let sound = self.ending == Ending::Open && self.failure.is_none();
        let sent = self.response.is_whole() && !self.response.pending();
        sound && sent && self.request.is_whole() && self.response.persists()
    }

    /// One direction of a tunnel has ended and everything of it is sent.
    fn half_close(&self) -> Step {
        if self.request.ended_tunnel() && !self.request.pending() && !self.request.shut {
            return Step::Shutdown(Side::Upstream);
        }
        if self.response.ended_tunnel() && !self.response.pending() && !self.response.shut {
            return Step::Shutdown(Side::Client);
        }
        if self.request.shut && self.response.shut { Step::Close { reset: false } } else { Step::Wait }
    }

    /// The room for bytes from `side`. Never empty.
    #[inline(always)]
    pub fn space(&mut self, side: Side, env: &mut Env) -> &mut [u8] {
        let space = match side {
            Side::Client => self.request.space(env),
            Side::Upstream => self.response.space(env),
        };
        assert!(!space.is_empty(), "asked to receive without room");
        space
    }

    /// `n` bytes came from `side` into its space; `n` is not 0.
    #[inline(always)]
    pub fn filled(&mut self, side: Side, n: usize, env: &mut Env) {
        match side {
            Side::Client if self.ending == Ending::Linger || self.request.is_cut() => {
                self.request.drop_input(env);
            }
            Side::Client => {
                self.waits.client_moved();
                self.request.commit(n);
                self.advance_request(env);
            }
            // RFC 9112 section 9.2: what comes while no request is outstanding is no response to any.
            Side::Upstream if self.request.nothing_sent() && !planted!(UnaskedResponse) => {
                self.response.park(env);
                self.failure = Some(Failure::Unasked);
            }
            Side::Upstream => {
                self.waits.upstream_moved();
                self.response.commit(n);
                if let Some(record) = &mut self.record {
                    record.received(n);
                }
                self.advance_response(env);
                self.settle(env);
            }
        }
    }

    /// Receiving from `side` gave nothing for now.
    pub fn nothing_came(&mut self, side: Side, env: &mut Env) {
        match side {
            Side::Client => self.request.park(env),
            Side::Upstream => self.response.park(env),
        }
    }

    /// The bytes to be sent to `side`, in two parts of which either may be empty.
    #[inline(always)]
    pub fn outgoing(&self, side: Side) -> (&[u8], &[u8]) {
        match side {
            Side::Client => self.response.outgoing(),
            Side::Upstream => self.request.outgoing(),
        }
    }

    /// `n` bytes of what was outgoing to `side` have been sent.
    #[inline(always)]
    pub fn flushed(&mut self, side: Side, n: usize, env: &mut Env) {
        match side {
            Side::Client => {
                self.waits.client_moved();
                if let Some(record) = &mut self.record {
                    record.bytes_sent += n as u64;
                }
                if self.response.sent(n, env) {
                    self.advance_response(env);
                }
            }
            Side::Upstream => {
                self.waits.upstream_moved();
                if let Some(record) = &mut self.record {
                    record.sent(n);
                }
                if self.request.sent(n, env) {
                    self.advance_request(env);
                }
            }
        }
    }

    /// `side` will send no more bytes.
    pub fn eof(&mut self, side: Side, env: &mut Env) {
        match side {
            Side::Client => self.client_eof(env),
            Side::Upstream => self.upstream_eof(env),
        }
    }

    /// Receiving from `side` or sending to it failed.
    ///
    /// For a client there is nothing left to do. An upstream that stopped reading may have sent a
    /// response before, so a failure to send does not yet end it.
    pub fn failed(&mut self, side: Side, sending: bool, kind: std::io::ErrorKind) {
        match side {
            Side::Client => self.client_gone(),
            Side::Upstream if sending && !self.response.is_tunnel() => {
                self.send_failure = Some(Failure::Reset(kind));
            }
            Side::Upstream => self.failure = Some(Failure::Reset(kind)),
        }
    }

    /// The client's connection is broken: its request is called off.
    pub fn client_gone(&mut self) {
        self.failure = None;
        self.ending = if self.ending == Ending::Linger { Ending::Close } else { Ending::Reset };
    }

    /// The upstream connection has been parted with, as `next` asked.
    #[inline(always)]
    pub fn released(&mut self, env: &mut Env) {
        self.link = Link::None;
        self.send_failure = None;
        self.response.drop_input_if_whole(env);
        // What was not sent of the request (its response came first) is of no use any more.
        self.request.cut(env);
    }

    /// The failed upstream connection has been closed and accounted for: the request goes to another
    /// one where that is safe, else the client is told.
    pub fn abandoned(&mut self, failure: Failure, env: &mut Env) -> Sequel {
        // For a status that has been decided when it came: only one that moves on is a failure.
        let in_time = matches!(failure, Failure::Status(_)) || env.now < self.tries_end;
        let sequel = self.sequel(failure, self.is_stale(failure), in_time);
        // A renewed request is still the same try, whose end is yet to come.
        if sequel != Sequel::Renewed
            && let Some(one) = self.record.as_mut().and_then(|record| record.current())
            && one.status == 0
            && !matches!(failure, Failure::Refused(_))
        {
            one.status = failure.status();
        }
        self.link = Link::None;
        self.failure = None;
        self.send_failure = None;
        if self.response.is_delivered() || self.response.is_tunnel() {
            self.break_off(env);
            return sequel;
        }
        if sequel.goes_on() {
            if planted!(HalfContinue) {
                self.response.reset(env);
            }
            self.response.reset_behind_interim(env);
            self.request.rewind();
            self.link = Link::Wanted { same_server: sequel == Sequel::Renewed };
        } else {
            self.refuse(failure.refusal(), env);
        }
        sequel
    }

    /// Sending to `side` has been shut, as `next` asked.
    pub fn shut(&mut self, side: Side) {
        match (side, self.response.is_tunnel()) {
            (Side::Client, true) => self.response.shut = true,
            (Side::Upstream, _) => self.request.shut = true,
            (Side::Client, false) => self.ending = Ending::Linger,
        }
    }

    /// Gets ready for the next request, which may lie here already.
    pub fn finish(&mut self, env: &mut Env) {
        if self.is_last(env) && self.request.is_empty() {
            // The next request may have come, unread: so not by closing at once, see `wind_up`.
            self.response.ends_connection();
            return;
        }
        self.response.reset(env);
        self.request.restart(env);
        self.waits.forget_client();
        (self.client, self.client_port) = (self.peer, self.port);
        if self.redirects > 0 {
            (self.redirects, self.status_shown, self.starts_anew) = (0, None, false);
        }
        self.advance_request(env);
        self.request.close_if_eof(&mut self.ending);
    }

    /// Answers the request itself and gives up the rest of it.
    fn refuse(&mut self, refusal: Refusal, env: &mut Env) {
        if self.record.is_some() && self.answers_elsewhere(refusal.status, env) {
            return;
        }
        // After a whole request the next one can be found, so the connection can go on.
        let keep_alive = self.keeps_alive(env);
        if self.response.is_delivered() {
            self.ending = Ending::Reset;
            return;
        }
        self.fetch = None;
        self.request.recognise_head_method();
        self.request.cut(env);
        if let Link::Wanted { .. } | Link::Resolving = self.link {
            self.link = Link::None;
        }
        self.failure = None;
        if self.response.has_begun() || planted!(HalfInterim) {
            self.response.reset(env);
        } else {
            self.response.reset_behind_interim(env);
        }
        self.write_answer(refusal.status, keep_alive, Content::Page(refusal.why), env);
    }

    /// The client has a part of a response, which must not pass for the whole. Where the framing does not say so, a reset
    /// does; but that takes with it what is on its way yet of this response, and of those before.
    fn break_off(&mut self, env: &mut Env) {
        if self.response.shows_its_end() {
            self.request.cut(env);
            self.response.cut(env);
        } else {
            self.ending = Ending::Reset;
        }
    }

    /// A response has begun to go to the client: the request is not sent again, so what was held for that
    /// is let go.
    fn settle(&mut self, env: &mut Env) {
        if self.response.has_begun() {
            self.request.settle(env);
        }
    }

    /// Gives back all buffers; the exchange is over.
    pub fn dismantle(&mut self, env: &mut Env) {
        self.request.drop_all(env);
        if !planted!(LeakedBuffer) {
            self.response.reset(env);
        }
    }
}
