//! The head of a request: read, given its place, and written anew for the server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::request::{Phase, TOO_LARGE_BODY, joined};
use super::{Env, Exchange};
use crate::buffer::{Buffer, Buffers};
use crate::config::site::RealIp;
use crate::http::body::{Coding, Cursor, Scan, Then};
use crate::http::fields::{Fields, Role, members};
use crate::http::framing::{self, Length};
use crate::http::head::{self, Parsed, RequestHead};
use crate::http::rewrite::{self, Sender, Wishes};
use crate::http::target::Target;
use crate::http::{Method, Refusal, Version, target, uri};
use crate::site::{Place, Routes};
use crate::time::{Duration, Time};

/// What becomes of a request whose head has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes to a server: its head lies in `out`.
    Forwarded,
    /// So it does when its body has been read, which goes nowhere.
    Discarded,
    /// The driver is to fetch something for it.
    Fetched,
    /// It is answered with this status, and with the text that lies in [`Env::text`].
    Answered(u16),
    /// It is answered with this status alone: another location's answer may stand for it.
    Refused(u16),
}

impl Exchange {
    /// Reads the head, if it is whole.
    #[inline(never)]
    pub(super) fn advance_request_head(&mut self, env: &mut Env) {
        if self.request.phase == Phase::Idle {
            self.catch_up(env);
        }
        let Some(mut input) = self.request.input.take() else { return };
        // An empty line is no beginning: the time for a head does not run yet.
        if self.request.phase == Phase::Idle && !input.filled().iter().all(|b| matches!(b, b'\r' | b'\n')) {
            self.request.phase = Phase::Head;
            self.request.is_pipelined = !self.request.is_first() && !self.waits.has_idled();
            // Until its place is found, that of the request before it has no say.
            if !self.routes.is_plain(self.listener) {
                self.place = self.routes.default_place(self.listener).clone();
            }
            env.requests += 1;
            self.requests += 1;
            if self.routes.keeps_records() {
                self.record.get_or_insert_default().begin(env.now);
            }
        }
        // The head borrows from the input, so that is held apart while the rest of self changes.
        let outcome = self.read_head(&input, env);
        match outcome {
            Ok(Parsed::Partial) => {
                let refused = input.len() >= self.place.client.max_header_size;
                let refusal = head::too_large(self.place.bounded(input.filled()));
                self.request.input = Some(input);
                if refused {
                    self.refuse(refusal, env);
                }
            }
            Ok(Parsed::Complete((len, fate))) => {
                input.consume(len);
                self.request.input = Some(input);
                self.request.complete_here = true;
                self.request.phase = if self.request.cursor.ended() { Phase::Whole } else { Phase::Body };
                match fate {
                    Fate::Forwarded => {
                        self.want_server(env.now);
                        if self.request.phase == Phase::Body {
                            self.advance_request_body(env);
                        }
                        self.request.park(env);
                    }
                    Fate::Discarded => self.discard_body(env),
                    Fate::Fetched => {
                        // With all of its body here, the connection can go on.
                        self.advance_request_body(env);
                        self.pursue(env);
                    }
                    Fate::Answered(status) => match self.read_over_body() {
                        Ok(()) => self.answer(status, true, env),
                        Err(refusal) => self.refuse(refusal, env),
                    },
                    Fate::Refused(status) => {
                        // An error is not answered with another one (`ngx_http_special_response_handler`).
                        self.request.keep_alive &= self.read_over_body().is_ok();
                        self.answer(status, false, env);
                    }
                }
            }
            Err(refusal) => {
                self.request.phase = Phase::Head;
                if let Some(record) = &mut self.record {
                    record.keep_line(&self.place, input.filled());
                }
                self.request.input = Some(input);
                self.refuse(refusal, env);
            }
        }
    }

    /// Whether the place lets the connection persist behind this request (`ngx_http_update_location_config`).
    #[inline(always)]
    pub(super) fn may_persist(&self, now: Time) -> bool {
        let rules = &self.place.client;
        rules.keepalive_timeout > Duration::ZERO
            && self.requests < rules.keepalive_requests
            && now.since(self.opened) < rules.keepalive_time
    }

    /// Where a body that nobody wants is all here, the next request can be found behind it, however long it is. What is here
    /// may yet be wrong.
    fn read_over_body(&mut self) -> Result<(), Refusal> {
        if self.request.phase == Phase::Body { self.judge_body(u64::MAX) } else { Ok(()) }
    }

    /// Reads a head from the start of `input`, finds its place, and does what that says. Returns its length.
    fn read_head(&mut self, input: &Buffer, env: &mut Env) -> Result<Parsed<(usize, Fate)>, Refusal> {
        // Nothing behind the limit has a say, so that it does not matter in what pieces the bytes come.
        let bytes = self.place.bounded(input.filled());
        let (scratch, mut tools) = env.split();
        let head = match head::request(bytes, scratch)? {
            Parsed::Partial => return Ok(Parsed::Partial),
            Parsed::Complete(head) => head,
        };
        self.request.method = head.method;
        self.request.version = head.version;
        let target = target::of(head.method, head.target, head.version, &head.fields)?;
        let length = framing::request(&head.fields, head.version)?;
        find(&mut self.place, self.listener, &self.routes, &target, tools.path)?;
        if head.method == Method::Trace {
            return Err(Refusal::new(405, "TRACE is not answered here"));
        }
        if matches!(length, Length::Exact(n) if n > self.place.rules.max_body_size) {
            let wishes = rewrite::wishes(&head);
            let message = self.message(&head, &target, length, &wishes);
            if message.trusted {
                self.believe(&head.fields);
            }
            self.keep_refused(&message, &tools);
            return Err(TOO_LARGE_BODY);
        }
        if self.place.awaits_body && waits_for_body(&self.place, &head, length, bytes) {
            self.request.awaits_body = true;
            let wishes = rewrite::wishes(&head);
            if self.message(&head, &target, length, &wishes).awaits_continue() && !self.request.is_called {
                self.call_for_body(tools.buffers);
            }
            return Ok(Parsed::Partial);
        }
        let wishes = rewrite::wishes(&head);
        self.request.keep_alive =
            wishes.connection.persists(head.version) && self.may_persist(tools.moment.now);
        if wishes.upgrade {
            self.request.upgrade = Some(joined(head.fields.values(Role::Upgrade)));
        }
        if wishes.max_forwards == Some(0) {
            return Err(Refusal::new(200, "Max-Forwards has come to its end here"));
        }
        let message = self.message(&head, &target, length, &wishes);
        if message.trusted {
            self.believe(&head.fields);
        }
        if length != Length::Empty {
            self.request.expects = message.awaits_continue() && !self.request.is_called;
            if wishes.connection.nominates && length == Length::Chunked {
                self.request.nominated = Some(joined(head.fields.values(Role::Connection)));
            }
        }
        self.request.cursor = Cursor::new(length, Coding::Keep);
        if let Some(record) = &mut self.record {
            record.request_length += head.len as u64;
        }
        // Whatever goes by variables or keeps some is not the plain way of a request.
        if self.place.is_plain {
            self.forward(&message, tools.buffers)?;
            return Ok(Parsed::Complete((head.len, Fate::Forwarded)));
        }
        let fate = self.follow(&message, &mut tools)?;
        Ok(Parsed::Complete((head.len, fate)))
    }

    /// A request with this head.
    #[inline(always)]
    pub(super) fn message<'a>(
        &self,
        head: &'a RequestHead<'a, 'a>,
        target: &'a Target<'a>,
        length: Length,
        wishes: &'a Wishes,
    ) -> Message<'a> {
        let trusted = match self.peer {
            Some(peer) => self.place.trusts(peer),
            None => self.place.client.trusts_unix,
        };
        Message { head, target, length, wishes, trusted, arrival: Arrival::Asked }
    }

    /// Writes the head as the command line has it.
    #[inline(always)]
    pub(super) fn forward(&mut self, message: &Message<'_>, buffers: &mut Buffers) -> Result<(), Refusal> {
        // Text for each request only where a trusted proxy stands in between.
        let real = self.client.filter(|client| Some(*client) != self.peer).map(|client| client.to_string());
        let sender = Sender {
            introduction: &self.introduction,
            real: real.as_deref(),
            trusted: message.trusted,
            default_host: self.place.default_host(),
        };
        let mut out = buffers.small();
        let Message { head, target, length, wishes, .. } = *message;
        let written = rewrite::request(&mut out, head, target, length, wishes, &sender);
        self.request.send_first(out);
        written.map_err(|_| TOO_LARGE)
    }
}

/// Whether the body, which the place wants to look at before it does anything (`$request_body`), is still to come and
/// fits the room that there is for a head. One that does not is not looked at, as in nginx, where it would be in a file.
#[cold]
fn waits_for_body(place: &Place, head: &RequestHead<'_, '_>, length: Length, bytes: &[u8]) -> bool {
    let most = place.client.max_header_size;
    let fits = match length {
        Length::Exact(n) => n.saturating_add(head.len as u64) <= most as u64,
        Length::Chunked => bytes.len() < most,
        Length::Empty | Length::UntilClose => return false,
    };
    fits && !has_ended(&bytes[head.len..], length)
}

/// Whether a body of this length has come to its end in `bytes`, or cannot any more.
fn has_ended(mut bytes: &[u8], length: Length) -> bool {
    let mut cursor = Cursor::new(length, Coding::Strip);
    loop {
        match cursor.scan(bytes) {
            Ok(Scan { pass, skip, then: Then::More, .. }) if pass + skip > 0 => bytes = &bytes[pass + skip..],
            Ok(scan) => return scan.then != Then::More,
            Err(_) => return true,
        }
    }
}

/// What is answered where a head does not fit a buffer any more.
pub(super) const TOO_LARGE: Refusal = Refusal::new(431, "the header fields are too large");

/// A request's head, and what has been decided about it.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) head: &'a RequestHead<'a, 'a>,
    pub(super) target: &'a Target<'a>,
    pub(super) length: Length,
    pub(super) wishes: &'a Wishes,
    /// What the sender says of itself is believed.
    pub(super) trusted: bool,
    /// How the request came to its place.
    pub(super) arrival: Arrival,
}

/// How a request comes to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The client asks for it.
    Asked,
    /// The proxy sends it there, by a path.
    ByPath,
    /// The proxy sends it there, by the location's name.
    ByName,
    /// It is there already, and the file that stands for it has been looked for (`try_files`).
    Stays,
}

impl Message<'_> {
    /// The same, where the request has come in this way.
    pub(super) fn arriving(self, arrival: Arrival) -> Self {
        Message { arrival, ..self }
    }

    /// Whether the client waits for an interim response before it sends the body.
    pub(super) fn awaits_continue(&self) -> bool {
        let fields = &self.head.fields;
        let mut expected = fields.values(Role::Expect).flat_map(members);
        self.head.version == Version::Http11
            && self.length != Length::Empty
            && expected.any(|expectation| expectation.eq_ignore_ascii_case(b"100-continue"))
    }
}

impl Exchange {
    /// The client is who the trusted peer says it is.
    #[cold]
    fn believe(&mut self, fields: &Fields<'_, '_>) {
        let told = match (&self.place.client.real_ip, &self.introduced) {
            (RealIp::ProxyProtocol, ends) => ends.as_ref().map(|ends| (ends.source.ip(), ends.source.port())),
            _ => told_client(&self.place, fields),
        };
        if let Some((address, port)) = told {
            (self.client, self.client_port) = (Some(address.to_canonical()), port);
        }
    }
}

/// The client's address and port, 0 where that is left out, as a trusted peer tells them in the field that the
/// configuration names (`ngx_http_realip_handler`).
fn told_client(place: &Place, fields: &Fields<'_, '_>) -> Option<(IpAddr, u16)> {
    match &place.client.real_ip {
        RealIp::ProxyProtocol => None,
        RealIp::Forwarded => {
            rewrite::forwarded_client(fields, |address| place.trusts(address)).map(|address| (address, 0))
        }
        RealIp::Field { name, is_recursive } => {
            let called = fields.iter().filter(|(_, field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
            // Only this one is a list that each proxy adds to, maybe as another field; of any other the first counts.
            let most = if name == "x-forwarded-for" { usize::MAX } else { 1 };
            let values: Vec<_> = called.map(|(.., value)| value).take(most).collect();
            let mut told = None;
            for text in values.iter().rev().flat_map(|value| rewrite::told_from_the_end(value)) {
                let Some(address) = address(text) else { break };
                told = Some(address);
                if !is_recursive || !place.trusts(address.0) {
                    break;
                }
            }
            told
        }
    }
}

/// An address, and its port where that is there.
fn address(text: &[u8]) -> Option<(IpAddr, u16)> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some((address.ip(), address.port()));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().map(|address| (address, 0))
}

/// Makes `place` that of a request. `room` is for its path in the normal form.
#[inline]
fn find(
    place: &mut Arc<Place>,
    listener: usize,
    routes: &Routes,
    target: &Target<'_>,
    room: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let found = if routes.is_plain(listener) {
        routes.default_place(listener)
    } else {
        room.clear();
        let (path, _) = uri::split(target.path);
        match path {
            // OPTIONS for the server as a whole.
            b"*" => room.push(b'/'),
            path => uri::normalize(path, room).map_err(|_| Refusal::bad("invalid path"))?,
        }
        let host = target.host.unwrap_or_default();
        // (`ngx_http_validate_host`)
        if host.windows(2).any(|pair| pair == b"..") {
            return Err(Refusal::bad("invalid host"));
        }
        routes.find(listener, host, room)
    };
    if !Arc::ptr_eq(found, place) {
        *place = Arc::clone(found);
    }
    Ok(())
}
