//! The direction from the client to the upstream.

use super::env::{attach, park, put};
use super::{Ending, Env, Exchange, Link};
use crate::buffer::Buffer;
use crate::http::body::{Cursor, Then};
use crate::http::fields::{Nominated, Scratch};
use crate::http::head::{self, Parsed, RequestHead};
use crate::http::rewrite;
use crate::http::{Method, Refusal, Version};
use crate::site::Place;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// The header of the PROXY protocol is to come first.
    Preface,
    /// No byte of a request has come.
    #[default]
    Idle,
    /// Part of a head has come.
    Head,
    /// The head has gone on or is about to; the body is passing.
    Body,
    /// The head is about to go on; the body goes nowhere.
    Discard,
    /// Behind the last chunk, in a trailer section.
    Trailers,
    /// All of it has come and has been judged.
    Whole,
    /// Given up: nothing more of it is read or sent.
    Cut,
    /// Bytes of another protocol pass.
    Tunnel,
}

/// What is answered where a body is longer than the rules let it be.
pub(super) const TOO_LARGE_BODY: Refusal =
    Refusal::new(413, "the request body is larger than this proxy takes");

/// What is answered where trailers do not fit a buffer any more.
pub(super) const TOO_LARGE_TRAILERS: Refusal = Refusal::new(431, "the trailer section is too large");

/// See the [`exchange`](super) module for the roles of the fields.
#[derive(Debug, Default)]
pub(super) struct RequestSide {
    pub(super) phase: Phase,
    pub(super) input: Option<Buffer>,
    out: Option<Buffer>,
    /// How much of `out` has been sent. It is kept whole for another try.
    sent: u32,
    /// How much of `out` is to be sent.
    left: u32,
    /// Bytes at the start of `input` that have been sent and are kept for another try.
    held: u32,
    /// Bytes behind those that may be sent.
    pass: u32,
    pub(super) cursor: Cursor,
    /// Everything since the head is still here. Cleared when the first byte of it is let go.
    pub(super) complete_here: bool,
    /// Another request came before on this connection.
    later: bool,
    /// It began without any wait behind that one: the response to that may be on its way yet.
    pub(super) is_pipelined: bool,
    /// The client has stopped sending.
    eof: bool,
    /// Sending to the upstream has been shut.
    pub(super) shut: bool,
    /// Body octets so far.
    body_bytes: u64,
    pub(super) method: Method,
    pub(super) version: Version,
    /// The client lets the connection persist.
    pub(super) keep_alive: bool,
    /// The upstream has been told that no other request follows: the connection is not used again
    /// (RFC 9112 section 9.6).
    pub(super) closes: bool,
    /// The protocols of a change that was asked for and passed on.
    pub(super) upgrade: Option<Box<[u8]>>,
    /// The head is there, but what is done with it needs the body.
    pub(super) awaits_body: bool,
    /// The client, which waits for that, has been told to send the body.
    pub(super) is_called: bool,
    /// The server is asked whether the client may send the body, which waits for that: nothing of it has come, and no
    /// such word has.
    pub(super) expects: bool,
    /// It was given up, and the proxy's own head stands for all of it.
    was_cut: bool,
    /// Something of the body was let go or dropped.
    has_lost_body: bool,
    /// How it goes on.
    pub(super) guise: Guise,
    /// A location that shows one page at most has shown it (`recursive_error_pages off`).
    pub(super) has_its_page: bool,
    /// The `Connection` value of a chunked request that nominates fields: they go from trailers too.
    pub(super) nominated: Option<Box<[u8]>>,
}

/// How a request goes on that is sent to another location in place of an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Guise {
    /// As it came.
    #[default]
    Same,
    /// Without its body.
    Bodiless,
    /// As one for a page: GET, or HEAD, and without its body.
    Page,
}

impl Guise {
    /// Puts it on.
    pub(super) fn dress(self, head: &mut RequestHead<'_, '_>) {
        if self == Guise::Page && head.method != Method::Head {
            (head.method, head.method_name) = (Method::Get, b"GET");
        }
    }
}

impl RequestSide {
    /// For a client whose connection `has_preface` or not.
    pub(super) fn new(has_preface: bool) -> RequestSide {
        let phase = if has_preface { Phase::Preface } else { Phase::Idle };
        RequestSide { phase, ..RequestSide::default() }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Preface | Phase::Idle)
    }

    pub(super) fn is_first(&self) -> bool {
        !self.later
    }

    pub(super) fn in_head(&self) -> bool {
        self.phase == Phase::Head
    }

    pub(super) fn is_whole(&self) -> bool {
        self.phase == Phase::Whole
    }

    /// Whether nothing more of it is wanted: what comes is dropped.
    pub(super) fn is_cut(&self) -> bool {
        self.phase == Phase::Cut || self.was_cut
    }

    pub(super) fn ended_tunnel(&self) -> bool {
        self.phase == Phase::Tunnel && self.eof
    }

    /// Whether the client has stopped sending and all that it sent has been received.
    pub(super) fn has_eof(&self) -> bool {
        self.eof
    }

    /// Whether no unread byte lies here.
    pub(super) fn is_empty(&self) -> bool {
        self.input.is_none()
    }

    /// Whether something is to be sent.
    pub(super) fn pending(&self) -> bool {
        self.pass | self.left != 0
    }

    pub(super) fn is_sent_whole(&self) -> bool {
        self.phase == Phase::Whole && !self.pending()
    }

    pub(super) fn nothing_sent(&self) -> bool {
        self.sent == 0 && self.held == 0 && self.complete_here
    }

    /// Whether what has come of the body can go elsewhere.
    pub(super) fn has_its_body(&self) -> bool {
        self.complete_here && !self.has_lost_body
    }

    /// Whether all of the request that has come is still here.
    pub(super) fn is_held(&self) -> bool {
        self.complete_here
    }

    pub(super) fn may_be_sent_twice(&self) -> bool {
        self.method.is_idempotent() && self.complete_here
    }

    /// Whether all of it will still be here when it turns out that it has to be sent again. Of a body that is yet to come
    /// nobody knows whether it fits. Asked before anything is sent.
    pub(super) fn stays_repeatable(&self) -> bool {
        debug_assert!(self.complete_here, "what is to be sent is here");
        self.method.is_idempotent() && self.phase == Phase::Whole
    }

    /// Whether bytes from the client have a place to go now.
    pub(super) fn wants_bytes(&self, link: Link) -> bool {
        match self.phase {
            Phase::Preface | Phase::Idle | Phase::Head => true,
            Phase::Body | Phase::Trailers | Phase::Tunnel => {
                !self.eof && !self.pending() && matches!(link, Link::Up { .. })
            }
            Phase::Discard => !self.eof,
            Phase::Whole | Phase::Cut => false,
        }
    }

    pub(super) fn space(&mut self, env: &mut Env) -> &mut [u8] {
        // Room is made at the cost of another try: a body that does not fit cannot be sent again.
        if self.input.as_ref().is_some_and(Buffer::is_full) {
            self.let_go();
        }
        let long = matches!(self.phase, Phase::Body | Phase::Discard)
            && self.cursor.at_least() > env.buffers.small_size() as u64;
        if self.held > 0 && long {
            self.let_go();
        }
        attach(&mut self.input, long, env)
    }

    /// Lets go of what was sent.
    fn let_go(&mut self) {
        if self.held > 0 {
            let held = std::mem::take(&mut self.held) as usize;
            self.input.as_mut().expect("held bytes lie in the input").consume(held);
            self.complete_here = false;
            self.has_lost_body = true;
        }
    }

    pub(super) fn commit(&mut self, n: usize) {
        self.input.as_mut().expect("bytes came into the input").commit(n);
    }

    /// Gives back a buffer that nothing is in.
    #[inline]
    pub(super) fn park(&mut self, env: &mut Env) {
        park(&mut self.input, env);
    }

    pub(super) fn drop_input(&mut self, env: &mut Env) {
        put(&mut self.input, env);
    }

    pub(super) fn outgoing(&self) -> (&[u8], &[u8]) {
        let out = self.out.as_ref().map_or(&[][..], |out| &out.filled()[self.sent as usize..]);
        let held = self.held as usize;
        let body =
            self.input.as_ref().map_or(&[][..], |input| &input.filled()[held..held + self.pass as usize]);
        (out, body)
    }

    /// What is in `out` is to be sent before the bytes that may pass.
    #[inline(always)]
    pub(super) fn send_first(&mut self, out: Buffer) {
        (self.sent, self.left) = (0, out.len() as u32);
        self.out = Some(out);
    }

    /// `n` bytes were sent. Returns whether all that was pending is gone, so that there may be more.
    pub(super) fn sent(&mut self, n: usize, env: &mut Env) -> bool {
        let of_out = n.min(self.left as usize);
        self.sent += of_out as u32;
        self.left -= of_out as u32;
        let of_body = (n - of_out) as u32;
        assert!(of_body <= self.pass, "more was sent than there was");
        self.pass -= of_body;
        self.held += of_body;
        if self.pending() {
            return false;
        }
        if !self.complete_here || self.phase == Phase::Tunnel {
            self.settle(env);
        }
        true
    }

    /// What has been judged of the body does not go on after all.
    pub(super) fn drop_judged(&mut self) {
        let judged = std::mem::take(&mut self.pass);
        self.drop_front(judged as usize);
    }

    /// These bytes at the front do not go on.
    pub(super) fn drop_front(&mut self, n: usize) {
        if let Some(input) = &mut self.input {
            input.consume(n);
            self.has_lost_body |= n > 0;
        }
    }

    /// So many more octets of the body have come. Returns how many there were so far.
    #[inline(always)]
    pub(super) fn count_body(&mut self, n: usize) -> u64 {
        self.body_bytes += n as u64;
        self.body_bytes
    }

    /// The request will not be sent again: lets go of what was kept for that.
    #[inline(always)]
    pub(super) fn settle(&mut self, env: &mut Env) {
        self.let_go();
        if self.left == 0 {
            put(&mut self.out, env);
            self.sent = 0;
        }
        // From here on nothing is complete: the head at least is gone.
        self.complete_here = false;
        self.park(env);
    }

    /// Everything is to be sent once more.
    pub(super) fn rewind(&mut self) {
        assert!(self.complete_here, "only a request that is all here can be sent again");
        self.left += std::mem::take(&mut self.sent);
        self.pass += std::mem::take(&mut self.held);
    }

    /// A head that never became whole, or is malformed, may still tell that the answer must not have a body
    /// (RFC 9110 section 9.3.2).
    pub(super) fn recognise_head_method(&mut self) {
        let mut bytes = self.input.as_ref().map_or(&[][..], Buffer::filled);
        while let [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] = bytes {
            bytes = rest;
        }
        if self.phase == Phase::Head && bytes.starts_with(b"HEAD ") {
            self.method = Method::Head;
        }
    }

    /// Nothing more of this request is read or sent.
    #[inline]
    pub(super) fn cut(&mut self, env: &mut Env) {
        // Nearly always it is long through.
        if self.phase != Phase::Whole || self.input.is_some() || self.out.is_some() {
            self.cut_off(env);
        }
    }

    #[cold]
    fn cut_off(&mut self, env: &mut Env) {
        if self.phase == Phase::Whole {
            // The next request may lie behind it.
            self.let_go();
            let rest = std::mem::take(&mut self.pass);
            if let Some(input) = &mut self.input {
                input.consume(rest as usize);
            }
            self.park(env);
        } else {
            self.phase = Phase::Cut;
            put(&mut self.input, env);
            (self.held, self.pass) = (0, 0);
        }
        put(&mut self.out, env);
        (self.sent, self.left) = (0, 0);
        self.complete_here = false;
    }

    /// All that has come of it goes elsewhere, behind another head.
    pub(super) fn take_back(&mut self, env: &mut Env) {
        self.rewind();
        put(&mut self.out, env);
        (self.sent, self.left) = (0, 0);
    }

    /// Another head that the proxy has written lies in `out`. Of a request that was given up, it is all.
    pub(super) fn holds_new_head(&mut self) {
        if self.phase == Phase::Cut {
            (self.phase, self.was_cut) = (Phase::Whole, true);
        }
        self.complete_here = true;
    }

    /// What is here of the body and has been judged.
    pub(super) fn judged(&self) -> &[u8] {
        let len = (self.held + self.pass) as usize;
        self.input.as_ref().map_or(&[], |input| &input.filled()[..len])
    }

    /// All bytes behind the head that have come and were not let go; `None` while the head itself is looked at.
    pub(super) fn behind_head(&self) -> Option<&[u8]> {
        self.input.as_ref().map(Buffer::filled)
    }

    /// What has come of a request that was only begun moves to a buffer of the size that counts now.
    pub(super) fn move_input(&mut self, env: &mut Env) {
        let Some(input) = self.input.take_if(|input| input.capacity() < env.buffers.small_size()) else {
            return;
        };
        let mut larger = env.buffers.small();
        larger.append(input.filled()).expect("it fits one that is larger");
        env.buffers.put(input);
        self.input = Some(larger);
    }

    /// Becomes ready for the next request, keeping the bytes that lie behind this one.
    #[inline]
    pub(super) fn restart(&mut self, env: &mut Env) {
        if self.out.is_some() || self.held > 0 {
            self.settle(env);
        }
        assert!(self.pass == 0 && self.out.is_none(), "a request is finished when it is sent");
        let input = self.input.take();
        *self = RequestSide { input, later: true, eof: self.eof, ..RequestSide::default() };
    }

    /// A client that has stopped sending and has no whole request here gets nothing more.
    pub(super) fn close_if_eof(&self, ending: &mut Ending) {
        if self.eof && matches!(self.phase, Phase::Idle | Phase::Head) {
            *ending = Ending::Close;
        }
    }

    pub(super) fn drop_all(&mut self, env: &mut Env) {
        put(&mut self.input, env);
        put(&mut self.out, env);
        *self = RequestSide::default();
    }

    /// From here on all bytes pass.
    pub(super) fn become_tunnel(&mut self, env: &mut Env) {
        self.settle(env);
        self.phase = Phase::Tunnel;
        self.pass = self.input.as_ref().map_or(0, |input| input.len() as u32);
    }
}

impl Exchange {
    /// Judges what has come from the client as far as possible.
    #[inline]
    pub(super) fn advance_request(&mut self, env: &mut Env) {
        match self.request.phase {
            Phase::Preface => self.advance_preface(env),
            Phase::Idle | Phase::Head if self.request.is_empty() => {}
            Phase::Idle | Phase::Head => self.advance_request_head(env),
            Phase::Body => self.advance_request_body(env),
            Phase::Discard => self.advance_discard(env),
            Phase::Trailers => self.advance_request_trailers(env),
            Phase::Tunnel => {
                self.request.pass = self.request.input.as_ref().map_or(0, |input| input.len() as u32);
            }
            Phase::Whole | Phase::Cut => {}
        }
    }

    pub(super) fn advance_request_body(&mut self, env: &mut Env) {
        if let Err(refusal) = self.judge_body(self.place.rules.max_body_size) {
            return self.refuse(refusal, env);
        }
        if self.request.phase == Phase::Trailers {
            self.advance_request_trailers(env);
        }
    }

    /// Judges what has come of the body, which may have this many octets.
    #[inline(always)]
    pub(super) fn judge_body(&mut self, most: u64) -> Result<(), Refusal> {
        let request = &mut self.request;
        let Some(input) = request.input.as_mut().filter(|_| request.phase == Phase::Body) else {
            return Ok(());
        };
        let judged = (request.held + request.pass) as usize;
        let scan = match request.cursor.compact(input, judged) {
            Ok(scan) => scan,
            Err(bad) => {
                request.has_lost_body = true;
                return Err(Refusal::bad(bad.0));
            }
        };
        // A body that is only read over does not count, as in nginx.
        if let Some(record) = self.record.as_mut().filter(|_| self.place.passes_on()) {
            record.body_came(&input.filled()[judged..judged + scan.pass]);
            record.request_length += scan.skip as u64;
        }
        // Who sends waits no longer.
        request.expects &= scan.pass + scan.skip == 0;
        request.pass += scan.pass as u32;
        if request.count_body(scan.data) > most {
            return Err(TOO_LARGE_BODY);
        }
        request.phase = match scan.then {
            Then::More => Phase::Body,
            Then::End => Phase::Whole,
            Then::Trailers => Phase::Trailers,
        };
        Ok(())
    }

    /// Trailers are read when everything before them is sent, since they go out through `out`.
    fn advance_request_trailers(&mut self, env: &mut Env) {
        if self.request.pending() {
            return;
        }
        self.request.settle(env);
        let Some(mut input) = self.request.input.take() else { return };
        let mut out = env.buffers.small();
        let nominated = self.request.nominated.as_deref();
        let outcome = read_trailers(&input, &mut out, nominated, &self.place, &mut env.scratch);
        match outcome {
            Ok(Parsed::Complete(len)) => {
                input.consume(len);
                if let Some(record) = &mut self.record {
                    record.request_length += len as u64;
                }
                self.request.input = Some(input);
                self.request.park(env);
                self.request.send_first(out);
                self.request.cursor.trailers_done();
                self.request.phase = Phase::Whole;
            }
            Ok(Parsed::Partial) => {
                self.request.input = Some(input);
                env.buffers.put(out);
            }
            Err(refusal) => {
                self.request.input = Some(input);
                env.buffers.put(out);
                self.refuse(refusal, env);
            }
        }
    }

    pub(super) fn client_eof(&mut self, env: &mut Env) {
        self.request.eof = true;
        if self.ending == Ending::Linger {
            self.request.drop_input(env);
            self.ending = Ending::Close;
            return;
        }
        match self.request.phase {
            // Between requests, or in the middle of a head that will never be whole.
            Phase::Preface | Phase::Idle | Phase::Head => {
                self.request.drop_input(env);
                self.ending = Ending::Close;
            }
            Phase::Body | Phase::Discard | Phase::Trailers => {
                self.refuse(Refusal::bad("the request's body ended before its length"), env);
            }
            // The client may be waiting for its response with its own direction closed.
            Phase::Whole | Phase::Cut => {}
            Phase::Tunnel => self.request.park(env),
        }
    }
}

/// Reads a trailer section and writes what of it goes on, blank line included. Returns its length.
pub(super) fn read_trailers(
    input: &Buffer,
    out: &mut Buffer,
    nominated: Option<&[u8]>,
    place: &Place,
    scratch: &mut Scratch,
) -> Result<Parsed<usize>, Refusal> {
    match head::trailers(place.bounded(input.filled()), scratch) {
        Ok(Parsed::Partial) if input.len() >= place.client.max_header_size => Err(TOO_LARGE_TRAILERS),
        Ok(Parsed::Partial) => Ok(Parsed::Partial),
        Ok(Parsed::Complete((trailers, len))) => {
            rewrite::trailers(out, &trailers, &Nominated::of_lists(nominated.into_iter()))
                .map_err(|_| TOO_LARGE_TRAILERS)?;
            Ok(Parsed::Complete(len))
        }
        Err(why) => Err(Refusal::bad(why)),
    }
}

/// Values of one field joined into one list.
pub(super) fn joined<'b>(values: impl Iterator<Item = &'b [u8]>) -> Box<[u8]> {
    values.collect::<Vec<_>>().join(&b", "[..]).into_boxed_slice()
}
