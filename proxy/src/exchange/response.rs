//! The direction from the upstream to the client.

use super::env::{attach, park, put};
use super::request::{joined, read_trailers};
use super::{Env, Exchange, Failure};
use crate::buffer::{Buffer, Buffers};
use crate::http::Version;
use crate::http::body::{Coding, Cursor, Then};
use crate::http::fields::{Connection, Role, members};
use crate::http::framing::{self, Length};
use crate::http::head::{self, Parsed, ResponseHead};
use crate::http::rewrite::{self, ClientFraming, Delivery};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// No response is expected yet.
    #[default]
    Idle,
    /// A head is expected, or part of it has come.
    Head,
    /// The head has gone on or is about to; the body is passing.
    Body,
    /// The same, where the body is a file's.
    File,
    /// Behind the last chunk, in a trailer section.
    Trailers,
    /// All of it has come and has been judged.
    Whole,
    /// Bytes of another protocol pass.
    Tunnel,
}

/// The most interim responses to one request: each prolongs the wait for the final one.
const INTERIM_MAX: u8 = 32;

/// A whole rest of a body of at most this many bytes is copied behind its head: one slice is sent, and the
/// buffer is free at once.
const COPIED_MAX: usize = 4096;

/// See the [`exchange`](super) module for the roles of the fields.
#[derive(Debug, Default)]
pub(super) struct ResponseSide {
    phase: Phase,
    input: Option<Buffer>,
    /// Invariant: some of it is to be sent yet.
    pub(super) out: Option<Buffer>,
    /// How much of `out` has been sent.
    sent: u32,
    /// Bytes at the start of `input` that may be sent.
    pass: u32,
    cursor: Cursor,
    /// Any byte has come from the upstream.
    started: bool,
    /// The head of the final response has come and waits for its body.
    pub(super) waits: bool,
    /// The final response has begun to go to the client (or 101 has).
    begun: bool,
    /// A byte of it has been taken for the client.
    delivered: bool,
    /// It is the upstream's, not the proxy's own.
    forwarded: bool,
    /// The upstream connection may serve another request when this response is over.
    reusable: bool,
    /// The client connection persists.
    keep_alive: bool,
    /// The body is chunked by this proxy for the client.
    chunked_here: bool,
    /// A chunk of our own still lacks its line end.
    chunk_open: bool,
    /// The end of the connection is the end of the body for the client.
    close_ends: bool,
    /// It does not come to its end.
    is_cut: bool,
    /// The upstream has stopped sending.
    eof: bool,
    /// Sending to the client has been shut, in a tunnel.
    pub(super) shut: bool,
    interims: u8,
    pub(super) status: u16,
    pub(super) body_bytes: u64,
    /// The `Connection` value of a chunked response that nominates fields: they go from trailers too.
    nominated: Option<Box<[u8]>>,
}

impl ResponseSide {
    pub(super) fn is_whole(&self) -> bool {
        self.phase == Phase::Whole
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.phase == Phase::Tunnel
    }

    pub(super) fn ended_tunnel(&self) -> bool {
        self.phase == Phase::Tunnel && self.eof
    }

    pub(super) fn has_started(&self) -> bool {
        self.started
    }

    pub(super) fn has_interims(&self) -> bool {
        self.interims > 0
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the client has a part of the final response.
    pub(super) fn is_delivered(&self) -> bool {
        self.delivered
    }

    pub(super) fn is_forwarded(&self) -> bool {
        self.forwarded
    }

    pub(super) fn persists(&self) -> bool {
        self.keep_alive
    }

    /// The client connection does not persist after all.
    pub(super) fn ends_connection(&mut self) {
        self.keep_alive = false;
    }

    /// The body does not go on, so that it is not read either.
    pub(super) fn drops_body(&mut self) {
        self.reusable = false;
    }

    /// Whether the upstream connection may serve again: a sound end, and nothing behind it.
    pub(super) fn leaves_reusable(&self) -> bool {
        self.reusable && self.pass as usize == self.input.as_ref().map_or(0, Buffer::len) && !self.eof
    }

    /// Whether something is to be sent.
    pub(super) fn pending(&self) -> bool {
        self.out.is_some() || self.pass > 0
    }

    /// Whether it has been cut off.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether the client sees by the framing that the end is missing (RFC 9112 section 8).
    pub(super) fn shows_its_end(&self) -> bool {
        matches!(self.phase, Phase::Body | Phase::Trailers) && !self.close_ends
    }

    /// Nothing more of it is sent than what has been judged, and nothing behind it.
    pub(super) fn cut(&mut self, env: &mut Env) {
        let pass = self.pass as usize;
        if let Some(input) = &mut self.input {
            input.remove(pass, input.len() - pass);
        }
        self.park(env);
        (self.keep_alive, self.reusable, self.forwarded) = (false, false, false);
        (self.phase, self.is_cut) = (Phase::Whole, true);
    }

    /// Whether bytes from the upstream have a place to go now.
    pub(super) fn wants_bytes(&self) -> bool {
        match self.phase {
            Phase::Head | Phase::Body | Phase::Trailers | Phase::Tunnel => !self.eof && !self.pending(),
            Phase::Idle | Phase::File | Phase::Whole => false,
        }
    }

    pub(super) fn expect_head(&mut self) {
        self.phase = Phase::Head;
    }

    pub(super) fn space(&mut self, env: &mut Env) -> &mut [u8] {
        let long = self.phase == Phase::Body && self.cursor.at_least() > env.buffers.small_size() as u64;
        attach(&mut self.input, long, env)
    }

    pub(super) fn commit(&mut self, n: usize) {
        self.started = true;
        self.input.as_mut().expect("bytes came into the input").commit(n);
    }

    /// Gives back a buffer that nothing is in.
    #[inline]
    pub(super) fn park(&mut self, env: &mut Env) {
        park(&mut self.input, env);
    }

    pub(super) fn outgoing(&self) -> (&[u8], &[u8]) {
        let out = self.out.as_ref().map_or(&[][..], |out| &out.filled()[self.sent as usize..]);
        let body = self.input.as_ref().map_or(&[][..], |input| &input.filled()[..self.pass as usize]);
        (out, body)
    }

    /// `n` bytes were sent. Returns whether all that was pending is gone, so that there may be more.
    pub(super) fn sent(&mut self, n: usize, env: &mut Env) -> bool {
        let left = self.out.as_ref().map_or(0, |out| out.len() - self.sent as usize);
        let of_out = n.min(left);
        self.sent += of_out as u32;
        self.delivered |= self.begun;
        if of_out == left {
            put(&mut self.out, env);
            self.sent = 0;
        }
        let of_body = n - of_out;
        if of_body > 0 {
            assert!(of_body <= self.pass as usize, "more was sent than there was");
            self.pass -= of_body as u32;
            self.input.as_mut().expect("passing bytes lie in the input").consume(of_body);
        }
        if self.pending() {
            return false;
        }
        self.park(env);
        true
    }

    /// The buffer for the proxy's own bytes, with `room` for so many more.
    pub(super) fn out(&mut self, room: usize, buffers: &mut Buffers) -> &mut Buffer {
        if let Some(full) = self.out.take_if(|out| out.capacity() - out.len() < room) {
            let mut out = buffers.holding(full.len() + room);
            out.append(full.filled()).expect("it holds all of it");
            buffers.put(full);
            self.out = Some(out);
        }
        self.out.get_or_insert_with(|| buffers.holding(room))
    }

    /// What has been written to `out` is the whole response, with so many octets of body.
    pub(super) fn is_own(&mut self, status: u16, keep_alive: bool, body: u64) {
        self.body_bytes = body;
        self.status = status;
        self.keep_alive = keep_alive;
        self.begun = true;
        self.phase = Phase::Whole;
    }

    /// A file's bytes come behind the head in `out`.
    pub(super) fn begin_file(&mut self) {
        self.phase = Phase::File;
    }

    /// Whether a file's bytes have a place to go now.
    pub(super) fn takes_file(&self) -> bool {
        self.phase == Phase::File && self.pass == 0
    }

    /// The room for a file's bytes, of which so many are left.
    pub(super) fn file_space(&mut self, left: u64, env: &mut Env) -> &mut [u8] {
        attach(&mut self.input, left > env.buffers.small_size() as u64, env)
    }

    /// So many bytes of a file have come.
    pub(super) fn file_came(&mut self, n: usize) {
        self.input.as_mut().expect("bytes came into the input").commit(n);
        self.pass += n as u32;
        self.body_bytes += n as u64;
    }

    /// The last bytes of a file have come.
    pub(super) fn end_file(&mut self) {
        self.phase = Phase::Whole;
    }

    /// Bytes behind the end of a response belong to nothing.
    pub(super) fn drop_input_if_whole(&mut self, env: &mut Env) {
        if self.phase == Phase::Whole && self.pass == 0 {
            put(&mut self.input, env);
        }
    }

    /// Forgets everything but the rest of an interim response, part of which the client may have: an answer
    /// of the proxy's own has to come behind it.
    pub(super) fn reset_behind_interim(&mut self, env: &mut Env) {
        let interim = self.out.take();
        let sent = self.sent;
        self.reset(env);
        (self.out, self.sent) = (interim, sent);
    }

    /// Forgets everything, for the next try or the next request, or at the end.
    pub(super) fn reset(&mut self, env: &mut Env) {
        put(&mut self.input, env);
        put(&mut self.out, env);
        *self = ResponseSide::default();
    }
}

impl Exchange {
    /// Judges what has come from the upstream as far as possible.
    #[inline]
    pub(super) fn advance_response(&mut self, env: &mut Env) {
        match self.response.phase {
            Phase::Head => self.advance_response_head(env),
            Phase::Body => self.advance_response_body(env),
            Phase::Trailers => self.advance_response_trailers(env),
            Phase::Tunnel => {
                let pass = self.response.input.as_ref().map_or(0, |input| input.len() as u32);
                self.response.body_bytes += u64::from(pass - self.response.pass);
                self.response.pass = pass;
            }
            Phase::File => self.advance_file(env),
            Phase::Idle | Phase::Whole => {}
        }
    }

    #[inline(never)]
    fn advance_response_head(&mut self, env: &mut Env) {
        // An interim response is sent before the next head is read: heads go out through `out`.
        while self.response.phase == Phase::Head && !self.response.pending() {
            let Some(mut input) = self.response.input.take() else { return };
            let outcome = self.read_response_head(&input, env);
            match outcome {
                Ok(Parsed::Partial) => {
                    self.response.input = Some(input);
                    return;
                }
                Ok(Parsed::Complete(len)) => {
                    input.consume(len);
                    self.response.input = Some(input);
                    self.after_response_head(env);
                    self.response.park(env);
                }
                Err(failure) => {
                    self.failure = Some(failure);
                    self.response.input = Some(input);
                    return;
                }
            }
        }
    }

    /// Reads a head from the start of `input`, decides how it goes on, and writes the one that does. Partial is also a
    /// whole head that waits for its body.
    fn read_response_head(&mut self, input: &Buffer, env: &mut Env) -> Result<Parsed<usize>, Failure> {
        let is_last = self.is_last(env);
        let bytes = self.place.bounded_response(input.filled());
        let (scratch, mut tools) = env.split();
        let head = match head::response(bytes, scratch).map_err(Failure::Invalid)? {
            Parsed::Partial if input.len() >= self.place.response_head_max => {
                return Err(Failure::HeadTooLarge);
            }
            Parsed::Partial => return Ok(Parsed::Partial),
            Parsed::Complete(head) => head,
        };
        let length = framing::response(&head.fields, head.version, head.status, self.request.method)
            .map_err(Failure::Invalid)?;
        let connection = Connection::of(&head.fields);
        let is_reframed = self.status_shown.is_some();
        let is_dropped = is_reframed && self.reframed(head.status) == Some(ClientFraming::Bodiless);
        let length = if is_dropped { Length::Empty } else { length };
        match head.status {
            101 => self.judge_switch(&head)?,
            100..=199 => self.judge_interim(&head)?,
            status => {
                if status >= 300 {
                    self.judge_status(status, &head, tools.moment.now)?;
                }
                let here = (input.len() - head.len) as u64;
                if let Length::Exact(all) = length
                    && all > here
                    && self.waits_for_rest(all - here, input, tools.moment.now)
                {
                    return Ok(Parsed::Partial);
                }
                self.begin_final(status, &head, length, connection, is_last);
            }
        }
        let response = &mut self.response;
        // RFC 9110 section 15.2: interim responses are unknown to HTTP/1.0.
        if matches!(head.status, 100 | 102..=199) && self.request.version == Version::Http10 {
            return Ok(Parsed::Complete(head.len));
        }
        let delivery = Delivery {
            framing: if response.chunked_here {
                ClientFraming::Chunked
            } else if self.request.version == Version::Http10 {
                ClientFraming::Unchunked
            } else {
                ClientFraming::Same
            },
            keep_alive: response.keep_alive,
            upgrade: head.status == 101,
            nominates: connection.nominates,
        };
        if self.place.changes_answers || self.record.is_some() {
            self.deliver(&head, &delivery, &mut tools)?;
            return Ok(Parsed::Complete(head.len));
        }
        let out = response.out.get_or_insert_with(|| tools.buffers.small());
        rewrite::response(out, &head, &delivery, tools.date.as_bytes()).map_err(|_| Failure::HeadTooLarge)?;
        Ok(Parsed::Complete(head.len))
    }

    /// RFC 9110 sections 7.8 and 15.2.2: only a client that asked is switched, only to what it asked for,
    /// and only when its request is over.
    fn judge_switch(&mut self, head: &ResponseHead<'_, '_>) -> Result<(), Failure> {
        let Some(asked) = self.request.upgrade.as_deref().filter(|_| head.fields.has(Role::Upgrade)) else {
            return Err(Failure::Invalid("a 101 that nobody asked for"));
        };
        let is_asked = |protocol: &[u8]| members(asked).any(|other| other.eq_ignore_ascii_case(protocol));
        if !head.fields.values(Role::Upgrade).flat_map(members).all(is_asked) {
            return Err(Failure::Invalid("a 101 to another protocol than was asked for"));
        }
        if !self.request.is_sent_whole() {
            return Err(Failure::Invalid("a 101 before the end of the request"));
        }
        self.response.status = 101;
        self.response.begun = true;
        self.response.forwarded = true;
        Ok(())
    }

    fn judge_interim(&mut self, head: &ResponseHead<'_, '_>) -> Result<(), Failure> {
        self.response.interims += 1;
        if self.response.interims > INTERIM_MAX {
            return Err(Failure::Invalid("too many interim responses"));
        }
        self.response.status = head.status;
        self.request.expects &= head.status != 100;
        Ok(())
    }

    fn begin_final(
        &mut self,
        status: u16,
        head: &ResponseHead<'_, '_>,
        length: Length,
        connection: Connection,
        is_last: bool,
    ) {
        let response = &mut self.response;
        let old_client = self.request.version == Version::Http10;
        response.status = status;
        response.begun = true;
        response.forwarded = true;
        let closes = self.request.closes && !planted!(PooledBehindClose);
        response.reusable = length != Length::UntilClose && connection.persists(head.version) && !closes;
        response.chunked_here = length == Length::UntilClose && !old_client;
        response.close_ends = matches!(length, Length::UntilClose | Length::Chunked) && old_client;
        // While the request's body is still coming, the connection cannot be promised: the response may
        // be over first, and the rest of the body would have to be read for nothing.
        response.keep_alive =
            self.request.keep_alive && self.request.is_whole() && !response.close_ends && !is_last;
        let coding = if old_client { Coding::Strip } else { Coding::Keep };
        response.cursor = Cursor::new(length, coding);
        if connection.nominates && length == Length::Chunked {
            response.nominated = Some(joined(head.fields.values(Role::Connection)));
        }
    }

    fn after_response_head(&mut self, env: &mut Env) {
        match self.response.status {
            101 => {
                self.response.phase = Phase::Tunnel;
                self.request.become_tunnel(env);
                self.advance_response(env);
            }
            100..=199 => {}
            _ => {
                self.response.phase = Phase::Body;
                self.advance_response_body(env);
                self.copy_small_body();
            }
        }
    }

    /// Puts a small rest of a body behind its head: see [`COPIED_MAX`].
    fn copy_small_body(&mut self) {
        let response = &mut self.response;
        let pass = response.pass as usize;
        if response.phase != Phase::Whole || pass == 0 || pass > COPIED_MAX {
            return;
        }
        if let (Some(out), Some(input)) = (&mut response.out, &mut response.input)
            && out.append(&input.filled()[..pass]).is_ok()
        {
            input.consume(pass);
            response.pass = 0;
        }
    }

    fn advance_response_body(&mut self, env: &mut Env) {
        let response = &mut self.response;
        if response.pass > 0 {
            return;
        }
        let Some(input) = &mut response.input else { return };
        let scan = match response.cursor.compact(input, 0) {
            Ok(scan) => scan,
            Err(bad) => {
                self.failure = Some(Failure::Invalid(bad.0));
                return;
            }
        };
        response.pass = scan.pass as u32;
        response.body_bytes += scan.data as u64;
        if response.chunked_here && scan.pass > 0 {
            let open = std::mem::replace(&mut response.chunk_open, true);
            let out = response.out.get_or_insert_with(|| env.buffers.small());
            if rewrite::append_chunk_line(out, scan.pass, open).is_err() {
                self.failure = Some(Failure::HeadTooLarge);
                return;
            }
        }
        match scan.then {
            Then::More => {}
            Then::End => response.phase = Phase::Whole,
            Then::Trailers => {
                response.phase = Phase::Trailers;
                self.advance_response_trailers(env);
            }
        }
    }

    /// Trailers are read when everything before them is sent, since they go out through `out`.
    fn advance_response_trailers(&mut self, env: &mut Env) {
        if self.response.pending() {
            return;
        }
        let Some(mut input) = self.response.input.take() else { return };
        let mut out = env.buffers.small();
        let nominated = self.response.nominated.as_deref();
        let outcome = read_trailers(&input, &mut out, nominated, &self.place, &mut env.scratch);
        if let Ok(Parsed::Complete(len)) = outcome {
            input.consume(len);
            self.response.cursor.trailers_done();
            self.response.phase = Phase::Whole;
            if self.response.close_ends {
                out.clear();
            }
        } else {
            out.clear();
        }
        if out.is_empty() {
            env.buffers.put(out);
        } else {
            self.response.out = Some(out);
        }
        self.response.input = Some(input);
        if let Err(refusal) = outcome {
            self.failure = Some(Failure::Invalid(refusal.why));
        }
        self.response.park(env);
    }

    pub(super) fn upstream_eof(&mut self, env: &mut Env) {
        self.response.eof = true;
        self.response.park(env);
        // A reset that a send has reported reads as an end: the kernel tells an error only once.
        let sound = self.send_failure.is_none() || planted!(ResetAsEnd);
        let ends_here = sound && self.response.cursor.ends_at_close();
        match self.response.phase {
            Phase::Body if ends_here || planted!(CutAsWhole) => {
                self.response.phase = Phase::Whole;
                if self.response.chunked_here {
                    let end: &[u8] = if self.response.chunk_open { b"\r\n0\r\n\r\n" } else { b"0\r\n\r\n" };
                    self.response.out(end.len(), &mut env.buffers).append(end).expect("there is room");
                }
            }
            Phase::Head | Phase::Body | Phase::Trailers => {
                self.failure = Some(self.send_failure.unwrap_or(Failure::Closed));
            }
            Phase::Tunnel | Phase::Idle | Phase::File | Phase::Whole => {}
        }
    }
}
