//! The automaton of one connection: bytes in, bytes out; no sockets, and time as an argument.
//!
//! ```text
//!          head            body complete           delay over
//!   Head ────────► Body ─────────────────► Due/Waiting ─────► answer ──► Head | Ended
//!                                                              │  ▲
//!                                              Redis: Ask/Counting │
//!                                                              ▼  │
//!                                                     Stream: a long body
//! ```
//!
//! [`Connection::advance`] runs until it needs something and says what, as a [`Step`]. One request is
//! handled at a time; further ones wait in the input, so that answers keep the order of requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::answer::{self, Head, Length, Persistence};
use crate::body::{Body, Framing};
use crate::counter::{Counter, Shared, Site};
use crate::page::{Page, Refusal};
use crate::pattern;
use crate::request::{self, Request};

/// Output held before it has to be sent, in bytes; one answer or chunk may go beyond it.
pub(crate) const OUT_FULL: usize = 64 * 1024;

/// The largest body that `/echo` holds.
const ECHO_MAX: u64 = 16 * 1024 * 1024;

/// Chunk sizes of `/chunked/N`, in turn: small, odd, larger than a usual buffer.
const CHUNKS: [u64; 8] = [1, 17, 255, 1024, 4096, 13, 16384, 64];

/// A keep-alive connection without a request.
const IDLE: Duration = Duration::from_secs(90);
/// A request head, from its first byte to its last.
const HEAD: Duration = Duration::from_secs(60);
/// Between two bytes of a body, in either direction.
const PROGRESS: Duration = Duration::from_secs(60);
/// A whole exchange, however slowly it goes on.
const EXCHANGE: Duration = Duration::from_secs(3600);

/// What a turn of the worker has in common for all connections.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) now: Instant,
    /// IMF-fixdate (RFC 9110, section 5.6.7).
    pub(crate) date: [u8; 29],
    pub(crate) shared: Arc<Shared>,
}

/// What the automaton needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More input. What was not used must be presented again, with more behind it.
    Receive,
    /// The output sent, then another call.
    Send,
    /// A number for a hit, through [`Connection::counted`]. Said once.
    Count,
    /// A call at that instant. Said once.
    Wait(Instant),
    /// Nothing; it has said before what it waits for.
    Pause,
    /// The output sent, then the end of the connection.
    Close,
}

/// One client connection.
#[derive(Debug)]
pub(crate) struct Connection {
    site: usize,
    state: State,
    body: Body,
    /// The answer of `/echo`; empty otherwise.
    echo: Vec<u8>,
    /// A part of the next head has come.
    head_open: bool,
    /// When the current exchange began.
    began: Instant,
    /// When the connection is given up.
    pub(crate) deadline: Instant,
    is_refused: bool,
}

#[derive(Clone, Debug)]
enum State {
    /// Between requests, or within a head.
    Head,
    /// Within a request body.
    Body(Request),
    /// The answer is to wait.
    Due(Request, Instant),
    /// It waits.
    Waiting(Request, Instant),
    /// A hit needs a number from Redis.
    Ask(Request),
    /// It has been asked for.
    Counting(Request),
    /// It has come, or why not.
    Counted(Request, Result<i64, Arc<str>>),
    /// Within a response body.
    Stream(Request, Source, Span),
    /// The last answer is in the output.
    Ended,
}

/// Where a response body comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Pattern,
    /// The pattern in chunks, so many of them so far.
    Chunks(usize),
    Echo,
}

/// Body bytes still to send, by offset.
#[derive(Clone, Copy, Debug)]
struct Span {
    next: u64,
    end: u64,
}

impl Connection {
    pub(crate) fn new(site: usize, now: Instant) -> Self {
        Self {
            site,
            state: State::Head,
            body: Body::new(Framing::Length(0)),
            echo: Vec::new(),
            head_open: false,
            began: now,
            deadline: now + HEAD,
            is_refused: false,
        }
    }

    /// It ends with a refusal: more of what it is about may still come.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Goes on with `input`, appends to `out` and returns how much of `input` was used.
    pub(crate) fn advance(&mut self, input: &[u8], out: &mut Vec<u8>, cx: &Context) -> (usize, Step) {
        let mut used = 0;
        loop {
            if out.len() >= OUT_FULL {
                return (used, Step::Send);
            }
            match self.state {
                State::Head if used == input.len() => {
                    self.deadline = cx.now + IDLE;
                    return (used, Step::Receive);
                }
                State::Head => match request::parse(&input[used..]) {
                    Ok(Some(request)) => {
                        let head = &input[used..used + request.length];
                        used += request.length;
                        self.begin(request, head, out, cx);
                    }
                    Ok(None) => {
                        if !self.head_open {
                            self.head_open = true;
                            self.deadline = cx.now + HEAD;
                        }
                        return (used, Step::Receive);
                    }
                    Err(refusal) => self.refuse_and_end(refusal, out, cx),
                },
                State::Body(request) => match self.take_body(request, &input[used..]) {
                    Ok(count) => {
                        used += count;
                        if count > 0 {
                            self.progressed(cx.now);
                        }
                        if !self.body.is_complete() {
                            return (used, Step::Receive);
                        }
                        self.respond(request, out, cx);
                    }
                    Err(refusal) => self.refuse_and_end(refusal, out, cx),
                },
                State::Due(request, until) => {
                    self.deadline = until + PROGRESS;
                    self.state = State::Waiting(request, until);
                    return (used, Step::Wait(until));
                }
                State::Waiting(_, until) if cx.now < until => return (used, Step::Pause),
                State::Waiting(request, _) => self.answer(request, out, cx),
                State::Ask(request) => {
                    self.state = State::Counting(request);
                    return (used, Step::Count);
                }
                State::Counting(_) => return (used, Step::Pause),
                State::Counted(request, Ok(number)) => self.greet(request, number, out, cx),
                State::Counted(request, Err(ref reason)) => {
                    let reason = reason.clone();
                    self.error(request, 503, &reason, out, cx);
                }
                State::Stream(request, source, span) => self.stream(request, source, span, out),
                State::Ended => return (used, Step::Close),
            }
        }
    }

    /// The number of the hit asked for with [`Step::Count`], or why there is none.
    pub(crate) fn counted(&mut self, number: Result<i64, Arc<str>>) {
        if let State::Counting(request) = self.state {
            self.state = State::Counted(request, number);
        }
    }

    /// Body or output bytes have moved.
    pub(crate) fn progressed(&mut self, now: Instant) {
        self.deadline = (now + PROGRESS).min(self.began + EXCHANGE);
    }

    /// A request head has been read.
    fn begin(&mut self, request: Request, head: &[u8], out: &mut Vec<u8>, cx: &Context) {
        self.head_open = false;
        self.began = cx.now;
        self.progressed(cx.now);
        self.body = Body::new(request.framing);
        if request.page == Page::Echo {
            if matches!(request.framing, Framing::Length(length) if length > ECHO_MAX) {
                return self.refuse_and_end(TOO_LARGE, out, cx);
            }
            // Line ends before the request line are no part of the request (RFC 9112, section 2.2).
            let from = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
            self.echo.extend_from_slice(&head[from..]);
        }
        if self.body.is_complete() {
            return self.respond(request, out, cx);
        }
        if request.expects_continue {
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.state = State::Body(request);
    }

    fn take_body(&mut self, request: Request, input: &[u8]) -> Result<usize, Refusal> {
        let (echo, echoing) = (&mut self.echo, request.page == Page::Echo);
        let before = echo.len() as u64;
        let keep = |bytes: &[u8]| {
            if echoing && echo.len() as u64 <= before + ECHO_MAX {
                echo.extend_from_slice(bytes);
            }
        };
        let used = self.body.take(input, keep).map_err(|malformed| Refusal::new(400, malformed.0))?;
        if self.echo.len() as u64 > ECHO_MAX + request.length as u64 {
            return Err(TOO_LARGE);
        }
        Ok(used)
    }

    /// The whole request is there.
    fn respond(&mut self, request: Request, out: &mut Vec<u8>, cx: &Context) {
        let delay = match request.page {
            Page::Hello => self.site(cx).delay,
            Page::Delay(delay) => delay,
            _ => Duration::ZERO,
        };
        if delay.is_zero() {
            self.answer(request, out, cx);
        } else {
            self.state = State::Due(request, cx.now + delay);
        }
    }

    fn answer(&mut self, request: Request, out: &mut Vec<u8>, cx: &Context) {
        match request.page {
            Page::Hello => self.hello(request, out, cx),
            Page::Healthz => self.text(request, 200, "ok\n", out, cx),
            Page::Delay(delay) => {
                self.text(request, 200, &format!("after {} ms\n", delay.as_millis()), out, cx);
            }
            Page::Status(status @ (204 | 304)) => {
                self.head(request, status, TEXT, Length::Bodiless, out, cx);
                self.finish(request);
            }
            // A 205 has no content either, but says so with a length (RFC 9110, section 15.3.6).
            Page::Status(205) => self.text(request, 205, "", out, cx),
            Page::Status(status) => {
                self.text(request, status, &format!("{status} {}\n", answer::reason(status)), out, cx);
            }
            Page::Refused(refusal) => {
                self.error(request, refusal.status, refusal.reason, out, cx);
            }
            Page::Bytes(count) => self.start(request, BINARY, Source::Pattern, count, out, cx),
            Page::Chunked(count) => self.start(request, BINARY, Source::Chunks(0), count, out, cx),
            Page::Echo => self.start(request, TEXT, Source::Echo, self.echo.len() as u64, out, cx),
        }
    }

    fn hello(&mut self, request: Request, out: &mut Vec<u8>, cx: &Context) {
        let site = self.site(cx);
        if site.fails_next() {
            return self.error(request, 500, "it fails on purpose (--fail-rate)", out, cx);
        }
        match &cx.shared.counter {
            Counter::Off => self.text(request, 200, &format!("Hello from {}!\n", site.name), out, cx),
            Counter::Embedded(last) => {
                let number = last.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                self.greet(request, number, out, cx);
            }
            Counter::Redis(redis) => {
                self.state = match redis.why_away() {
                    Some(reason) => State::Counted(request, Err(reason)),
                    None => State::Ask(request),
                };
            }
        }
    }

    fn greet(&mut self, request: Request, number: i64, out: &mut Vec<u8>, cx: &Context) {
        let name = &self.site(cx).name;
        let mut digits = itoa::Buffer::new();
        let parts = ["Hello from ", name, "! Hits: ", digits.format(number), "\n"];
        let length = parts.iter().map(|part| part.len() as u64).sum();
        self.head(request, 200, TEXT, Length::Known(length), out, cx);
        if !request.head_only {
            for part in parts {
                out.extend_from_slice(part.as_bytes());
            }
        }
        self.finish(request);
    }

    /// A short answer as a whole.
    fn text(&mut self, request: Request, status: u16, body: &str, out: &mut Vec<u8>, cx: &Context) {
        self.head(request, status, TEXT, Length::Known(body.len() as u64), out, cx);
        if !request.head_only {
            out.extend_from_slice(body.as_bytes());
        }
        self.finish(request);
    }

    fn error(&mut self, request: Request, status: u16, why: &str, out: &mut Vec<u8>, cx: &Context) {
        self.text(request, status, &answer::error_line(status, why), out, cx);
    }

    /// The head of a long answer, and its body to follow.
    fn start(
        &mut self,
        mut request: Request,
        content_type: &'static str,
        mut source: Source,
        length: u64,
        out: &mut Vec<u8>,
        cx: &Context,
    ) {
        let framing = match source {
            Source::Chunks(_) if request.http10 => {
                source = Source::Pattern;
                request.keep_alive = false;
                Length::UntilClose
            }
            Source::Chunks(_) => Length::Chunked,
            Source::Pattern | Source::Echo => Length::Known(length),
        };
        self.head(request, 200, content_type, framing, out, cx);
        if request.head_only {
            self.finish(request);
        } else {
            self.state = State::Stream(request, source, Span { next: 0, end: length });
        }
    }

    /// Fills the output from a long body.
    fn stream(&mut self, request: Request, mut source: Source, mut span: Span, out: &mut Vec<u8>) {
        while out.len() < OUT_FULL {
            let left = span.end - span.next;
            let room = left.min((OUT_FULL - out.len()) as u64);
            let count = match &mut source {
                Source::Pattern => {
                    pattern::append(out, span.next, room as usize);
                    room
                }
                Source::Echo => {
                    out.extend_from_slice(&self.echo[span.next as usize..(span.next + room) as usize]);
                    room
                }
                Source::Chunks(chunks) => {
                    let count = left.min(CHUNKS[*chunks % CHUNKS.len()]);
                    *chunks += 1;
                    append_chunk(out, span.next, count);
                    count
                }
            };
            if left == 0 {
                return self.finish(request);
            }
            span.next += count;
        }
        self.state = State::Stream(request, source, span);
    }

    /// Refuses what makes the rest of the connection unreadable.
    fn refuse_and_end(&mut self, refusal: Refusal, out: &mut Vec<u8>, cx: &Context) {
        let body = answer::error_line(refusal.status, refusal.reason);
        let head = Head {
            status: refusal.status,
            backend: &self.site(cx).name,
            date: &cx.date,
            content_type: TEXT,
            length: Length::Known(body.len() as u64),
            persistence: Persistence::Close,
        };
        head.write(out);
        out.extend_from_slice(body.as_bytes());
        self.progressed(cx.now);
        self.state = State::Ended;
        self.is_refused = true;
    }

    fn head(
        &self,
        request: Request,
        status: u16,
        content_type: &'static str,
        length: Length,
        out: &mut Vec<u8>,
        cx: &Context,
    ) {
        let persistence = match request {
            Request { keep_alive: false, .. } => Persistence::Close,
            Request { http10: true, .. } => Persistence::KeepAlive,
            _ => Persistence::Default,
        };
        Head { status, backend: &self.site(cx).name, date: &cx.date, content_type, length, persistence }
            .write(out);
    }

    /// The answer is in the output as a whole.
    fn finish(&mut self, request: Request) {
        self.state = if request.keep_alive { State::Head } else { State::Ended };
        if !self.echo.is_empty() {
            self.echo = Vec::new();
        }
    }

    fn site<'a>(&self, cx: &'a Context) -> &'a Site {
        &cx.shared.sites[self.site]
    }
}

const TEXT: &str = "text/plain";
const BINARY: &str = "application/octet-stream";
const TOO_LARGE: Refusal = Refusal::new(413, "/echo holds at most 16777216 bytes");

/// One chunk of the pattern; of no bytes: the last chunk (RFC 9112, section 7.1).
fn append_chunk(out: &mut Vec<u8>, offset: u64, count: u64) {
    out.extend_from_slice(format!("{count:x}\r\n").as_bytes());
    pattern::append(out, offset, count as usize);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
