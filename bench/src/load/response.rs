//! Reads responses as far as a generator has to: status, framing, and whether the body is what was expected.
//!
//! ```text
//!  head ──▶ sized body ─────▶ done      Content-Length, or none
//!       ├─▶ chunk line ⇄ chunk data ⇄ chunk end
//!       │        └─▶ trailer ─▶ done
//!       └─▶ until the end of the connection
//! ```
//!
//! It is lean, not strict: what it lets pass is left to the conformance tests.

use std::fmt;

use memchr::{memchr, memmem};

use super::plan::Target;

/// The longest head, and the longest line of a chunked body.
const LINE_MAX: usize = 64 * 1024;

/// The response that a connection is reading.
#[derive(Debug, Default)]
pub(super) struct Response {
    state: State,
    /// A head or a line of which only a part has come.
    partial: Vec<u8>,
    status: u16,
    closes: bool,
    body_seen: u64,
    body_differs: bool,
    server: ServerName,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Head,
    Sized {
        left: u64,
    },
    ChunkLine,
    ChunkData {
        left: u64,
    },
    ChunkEnd,
    Trailer,
    UntilEnd,
}

/// A response that has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Complete {
    pub(super) status: u16,
    /// The connection is not to be used again.
    pub(super) closes: bool,
    /// Bytes of its body.
    pub(super) body: u64,
    pub(super) verdict: Result<(), Wrong>,
    /// Who answered.
    pub(super) server: ServerName,
}

/// What `X-Backend` says, as far as it fits; empty where there is no such field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerName {
    bytes: [u8; 15],
    length: u8,
}

impl ServerName {
    pub(super) fn new(name: &[u8]) -> ServerName {
        let mut bytes = [0; 15];
        let length = name.len().min(bytes.len());
        bytes[..length].copy_from_slice(&name[..length]);
        ServerName { bytes, length: length as u8 }
    }

    /// Whether no server gave its name.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes[..usize::from(self.length)]))
    }
}

/// What was wrong with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Status,
    Length,
    Body,
}

/// Bytes that are no HTTP response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Response {
    /// Takes what it needs from the front of `bytes`; says when the response is complete.
    pub(super) fn feed(&mut self, bytes: &mut &[u8], target: &Target) -> Result<Option<Complete>, Malformed> {
        while !bytes.is_empty() {
            let is_done = match self.state {
                State::Head => match self.line(bytes, b"\r\n\r\n")? {
                    Some(Line::Here(head)) => self.head(head, target)?,
                    Some(Line::Joined(head)) => self.head(&head, target)?,
                    None => false,
                },
                State::Sized { left } => {
                    let taken = self.body(bytes, left, target);
                    self.state = State::Sized { left: left - taken };
                    taken == left
                }
                State::ChunkLine => {
                    if let Some(line) = self.line(bytes, b"\r\n")? {
                        let left = chunk_size(line.bytes())?;
                        self.state = if left == 0 { State::Trailer } else { State::ChunkData { left } };
                    }
                    false
                }
                State::ChunkData { left } => {
                    let taken = self.body(bytes, left, target);
                    self.state =
                        if taken == left { State::ChunkEnd } else { State::ChunkData { left: left - taken } };
                    false
                }
                State::ChunkEnd => {
                    if let Some(line) = self.line(bytes, b"\r\n")? {
                        if !line.bytes().is_empty() {
                            return Err(Malformed);
                        }
                        self.state = State::ChunkLine;
                    }
                    false
                }
                State::Trailer => self.line(bytes, b"\r\n")?.is_some_and(|line| line.bytes().is_empty()),
                State::UntilEnd => {
                    self.body(bytes, u64::MAX, target);
                    false
                }
            };
            if is_done {
                return Ok(Some(self.complete(target)));
            }
        }
        Ok(None)
    }

    /// The connection has ended: completes a response that ends with it. `None` where it was cut off.
    pub(super) fn ended(&mut self, target: &Target) -> Option<Complete> {
        (self.state == State::UntilEnd).then(|| self.complete(target))
    }

    fn complete(&mut self, target: &Target) -> Complete {
        let check = &target.check;
        let status = self.status;
        let verdict = if check.status.map_or(!(200..400).contains(&status), |wanted| wanted != status) {
            Err(Wrong::Status)
        } else if !target.is_head && check.length.is_some_and(|length| length != self.body_seen) {
            Err(Wrong::Length)
        } else if self.body_differs || !target.is_head && self.body_seen < check.prefix.len() as u64 {
            Err(Wrong::Body)
        } else {
            Ok(())
        };
        let (closes, server) = (self.closes, self.server);
        let complete = Complete { status, closes, body: self.body_seen, verdict, server };
        *self = Response { partial: std::mem::take(&mut self.partial), ..Response::default() };
        complete
    }

    /// What stands before `end`, once it has come; takes it with `end`.
    fn line<'a>(&mut self, bytes: &mut &'a [u8], end: &[u8]) -> Result<Option<Line<'a>>, Malformed> {
        if self.partial.is_empty()
            && let Some(at) = memmem::find(bytes, end)
        {
            let line = &bytes[..at];
            *bytes = &bytes[at + end.len()..];
            return Ok(Some(Line::Here(line)));
        }
        let before = self.partial.len();
        self.partial.extend_from_slice(bytes);
        let from = before.saturating_sub(end.len() - 1);
        if let Some(at) = memmem::find(&self.partial[from..], end) {
            let at = from + at;
            *bytes = &bytes[at + end.len() - before..];
            self.partial.truncate(at);
            return Ok(Some(Line::Joined(std::mem::take(&mut self.partial))));
        }
        *bytes = &[];
        if self.partial.len() > LINE_MAX { Err(Malformed) } else { Ok(None) }
    }

    /// Reads a head; says whether the response ends with it.
    fn head(&mut self, head: &[u8], target: &Target) -> Result<bool, Malformed> {
        let (version, status) = (head.get(..8).ok_or(Malformed)?, head.get(9..12).ok_or(Malformed)?);
        if &version[..7] != b"HTTP/1." || !status.iter().all(u8::is_ascii_digit) {
            return Err(Malformed);
        }
        self.status = status.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
        self.closes = version == b"HTTP/1.0";
        let mut length = None;
        let mut is_chunked = false;
        let mut rest = head;
        while let Some(at) = memchr(b'\n', rest) {
            rest = &rest[at + 1..];
            // Most fields are skipped on their first letter.
            match rest.first() {
                Some(b'C' | b'c') => {
                    if let Some(value) = value(rest, b"content-length") {
                        length = Some(number(value)?);
                    } else if let Some(value) = value(rest, b"connection") {
                        self.closes = if self.closes {
                            !value.eq_ignore_ascii_case(b"keep-alive")
                        } else {
                            value.eq_ignore_ascii_case(b"close")
                        };
                    }
                }
                Some(b'T' | b't') => {
                    if let Some(value) = value(rest, b"transfer-encoding") {
                        is_chunked = value.eq_ignore_ascii_case(b"chunked");
                    }
                }
                Some(b'X' | b'x') => {
                    if let Some(value) = value(rest, b"x-backend") {
                        self.server = ServerName::new(value);
                    }
                }
                _ => {}
            }
        }
        let (state, is_done) = match (self.status, length) {
            // RFC 9110, section 15.2: an interim response; the final one follows.
            (100..=199, _) => (State::Head, false),
            // RFC 9112, section 6.3.
            (204 | 304, _) => (State::Head, true),
            _ if target.is_head => (State::Head, true),
            _ if is_chunked => (State::ChunkLine, false),
            (_, Some(left)) => (State::Sized { left }, left == 0),
            (_, None) => {
                self.closes = true;
                (State::UntilEnd, false)
            }
        };
        self.state = state;
        Ok(is_done)
    }

    /// Takes up to `left` bytes of the body, compares them, and says how many.
    fn body(&mut self, bytes: &mut &[u8], left: u64, target: &Target) -> u64 {
        let count = left.min(bytes.len() as u64);
        let (body, rest) = bytes.split_at(count as usize);
        *bytes = rest;
        let prefix = &target.check.prefix;
        if let Some(wanted) = usize::try_from(self.body_seen).ok().and_then(|seen| prefix.get(seen..)) {
            let shared = wanted.len().min(body.len());
            self.body_differs |= wanted[..shared] != body[..shared];
        }
        self.body_seen += count;
        count
    }
}

/// A line in the bytes that were just received, or one put together from several receives.
enum Line<'a> {
    Here(&'a [u8]),
    Joined(Vec<u8>),
}

impl Line<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Line::Here(bytes) => bytes,
            Line::Joined(bytes) => bytes,
        }
    }
}

/// The value of the field that `line` begins with, if it has that name (in lower case).
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = line.split_at_checked(name.len())?;
    let rest = rest.strip_prefix(b":").filter(|_| head.eq_ignore_ascii_case(name))?;
    let end = memchr(b'\r', rest).unwrap_or(rest.len());
    Some(rest[..end].trim_ascii())
}

fn number(digits: &[u8]) -> Result<u64, Malformed> {
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    Ok(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.split(|byte| matches!(byte, b';' | b' ')).next().unwrap_or_default();
    let text = std::str::from_utf8(digits).map_err(|_| Malformed)?;
    if text.starts_with('+') || text.len() > 15 {
        return Err(Malformed);
    }
    u64::from_str_radix(text, 16).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::super::plan::Check;
    use super::*;

    fn target(check: Check) -> Target {
        Target { bytes: Vec::new(), weight: 1, is_head: false, check }
    }

    fn check(status: u16, length: Option<u64>, prefix: &[u8]) -> Check {
        Check { status: Some(status), length, prefix: prefix.to_vec() }
    }

    /// Feeds `text` in pieces of `size` and gives the completed responses.
    fn read(text: &[u8], size: usize, target: &Target) -> Result<Vec<Complete>, Malformed> {
        let mut response = Response::default();
        let mut all = Vec::new();
        for piece in text.chunks(size) {
            let mut rest = piece;
            while !rest.is_empty() {
                all.extend(response.feed(&mut rest, target)?);
            }
        }
        all.extend(response.ended(target));
        Ok(all)
    }

    fn ok(status: u16, closes: bool, body: u64) -> Complete {
        Complete { status, closes, body, verdict: Ok(()), server: ServerName::default() }
    }

    #[test]
    fn every_framing_is_read_in_pieces_of_every_size() {
        let text = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello\
            HTTP/1.1 100 Continue\r\n\r\n\
            HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nA: b\r\n\r\n\
            HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello until the end";
        let target = target(check(200, None, b"hello"));
        for size in 1..text.len() {
            let all = read(text, size, &target).unwrap();
            assert_eq!(all, [ok(200, false, 5), ok(200, false, 5), ok(200, true, 19)], "pieces of {size}");
        }
    }

    #[test]
    fn what_is_not_expected_is_told() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        for (check, verdict) in [
            (check(200, Some(5), b"hello"), Ok(())),
            (check(201, Some(5), b"hello"), Err(Wrong::Status)),
            (check(200, Some(6), b"hello"), Err(Wrong::Length)),
            (check(200, None, b"hellO"), Err(Wrong::Body)),
            (check(200, None, b"hello!"), Err(Wrong::Body)),
        ] {
            for size in [1, 3, text.len()] {
                let all = read(text, size, &target(check.clone())).unwrap();
                assert_eq!(all[0].verdict, verdict, "{check:?}");
            }
        }
        let any = target(Check::default());
        let error = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(read(error, 9, &any).unwrap()[0].verdict, Err(Wrong::Status));
    }

    #[test]
    fn responses_without_a_body() {
        let text = b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let any = target(Check::default());
        assert_eq!(read(text, 7, &any).unwrap(), [ok(204, false, 0), ok(200, false, 0)]);
        let head = Target { is_head: true, ..target(check(200, None, b"hello")) };
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(read(text, 7, &head).unwrap(), [ok(200, false, 0)]);
    }

    #[test]
    fn whether_the_connection_stays() {
        let any = target(Check::default());
        for (text, closes) in [
            (&b"HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 0\r\n\r\n"[..], true),
            (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\ncontent-length: 0\r\n\r\n", false),
            (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", true),
            (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n", false),
        ] {
            assert_eq!(read(text, 100, &any).unwrap()[0].closes, closes);
        }
    }

    #[test]
    fn noise_is_malformed() {
        let any = target(Check::default());
        for text in [
            &b"SSH-2.0-OpenSSH\r\n\r\n"[..],
            b"HTTP/1.1 2x0 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
        ] {
            assert_eq!(read(text, 100, &any), Err(Malformed));
        }
    }

    #[test]
    fn a_response_that_is_cut_off_is_none() {
        let mut response = Response::default();
        let any = target(Check::default());
        let mut bytes = &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell"[..];
        assert_eq!(response.feed(&mut bytes, &any), Ok(None));
        assert_eq!(response.ended(&any), None);
    }

    #[test]
    fn the_server_that_answered_is_known() {
        let text = b"HTTP/1.1 200 OK\r\nx-backend: app2\r\nContent-Length: 0\r\n\r\n";
        let target = Target::get("127.0.0.1:1".parse().unwrap(), "/", b"");
        let server = read(text, text.len(), &target).unwrap()[0].server;
        assert_eq!(server.to_string(), "app2");
        assert!(ServerName::default().is_empty());
        assert_eq!(ServerName::new(b"a-name-of-many-letters").to_string(), "a-name-of-many-");
    }
}
