//! A request or status line and its fields, as spans of the bytes they came in.

use super::fields::{Fields, Scratch};
use super::lanes::{below_or_del, find, not, visible};
use super::lines::{self, Leniency, Stop, TOKEN};
use super::{Method, Refusal, Version};

/// The outcome of looking at bytes that may not be all there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// More bytes are needed.
    Partial,
    /// It is whole.
    Complete(T),
}

/// A request's head.
pub struct RequestHead<'h, 'b> {
    /// What matters about the method.
    pub method: Method,
    /// The method as sent.
    pub method_name: &'b [u8],
    /// The request target as sent.
    pub target: &'b [u8],
    /// The client's version.
    pub version: Version,
    /// How long the request line is, where it stands there as HTTP/1.1 writes it; else 0.
    pub plain_line: usize,
    /// The fields.
    pub fields: Fields<'h, 'b>,
    /// Bytes that the head takes, blank line included.
    pub len: usize,
}

/// A response's head.
pub struct ResponseHead<'h, 'b> {
    /// The server's version.
    pub version: Version,
    /// The status, 100 to 999.
    pub status: u16,
    /// The reason phrase; empty where there is none or it is not ASCII.
    pub reason: &'b [u8],
    /// How long the status line is, where it stands there as it would be written; else 0.
    pub plain_line: usize,
    /// The fields.
    pub fields: Fields<'h, 'b>,
    /// Bytes that the head takes, blank line included.
    pub len: usize,
}

/// What is forgiven in a request (RFC 9112 section 2.2).
const REQUEST: Leniency = Leniency { space_before_colon: false, bare_lf: true };

/// Reads a request head from the start of `bytes` (RFC 9112 sections 2 and 3).
///
/// Line ends may be bare LF and empty lines may come first. Anything else that is not to the letter is
/// refused: white space around names, folded lines, control bytes.
///
/// Inlined where each request comes by; elsewhere it is asked seldom.
#[inline(always)]
pub fn request<'h, 'b>(
    bytes: &'b [u8],
    scratch: &'h mut Scratch,
) -> Result<Parsed<RequestHead<'h, 'b>>, Refusal> {
    // RFC 9112 section 2.2: empty lines before a request line are remains of the last request.
    let mut start = 0;
    while let Some(b'\r' | b'\n') = bytes.get(start) {
        match lines::end_of_line(bytes, start, REQUEST) {
            Ok(next) => start = next,
            Err(Stop::Partial) => return Ok(Parsed::Partial),
            Err(_) => return Err(Refusal::bad("a bare CR in the head")),
        }
    }
    let (method, method_end, target_end) = match request_parts(bytes, start)? {
        Parsed::Partial => return Ok(Parsed::Partial),
        Parsed::Complete(parts) => parts,
    };
    // Nearly always it is the one that is spoken here.
    let is_usual = bytes[target_end + 1..].starts_with(b"HTTP/1.1\r\n");
    let (version, fields_start) = if is_usual {
        (Version::Http11, target_end + 11)
    } else {
        match request_version(bytes, target_end + 1)? {
            Parsed::Partial => return Ok(Parsed::Partial),
            Parsed::Complete(version) => version,
        }
    };
    let len = match lines::scan(bytes, fields_start, REQUEST, scratch) {
        Ok(len) => len,
        Err(Stop::Partial) => return Ok(Parsed::Partial),
        Err(stop) => return Err(refusal(stop)),
    };
    Ok(Parsed::Complete(RequestHead {
        method,
        method_name: &bytes[start..method_end],
        target: &bytes[method_end + 1..target_end],
        version,
        plain_line: if is_usual && start == 0 { fields_start } else { 0 },
        fields: Fields::new(bytes, scratch),
        len,
    }))
}

/// The method of the request line at `start`, and where it and the target end.
#[inline(always)]
fn request_parts(bytes: &[u8], start: usize) -> Result<Parsed<(Method, usize, usize)>, Refusal> {
    // Most requests are of one method.
    let (method, method_end) = if bytes[start..].starts_with(b"GET ") {
        (Method::Get, start + 3)
    } else {
        let name = bytes[start..].iter().take_while(|&&byte| TOKEN[usize::from(byte)]);
        let end = start + name.count();
        (Method::of(&bytes[start..end]), end)
    };
    match bytes.get(method_end) {
        None => return Ok(Parsed::Partial),
        Some(b' ') if method_end > start => {}
        Some(0x16) if method_end == 0 => return Err(Refusal::bad("a TLS handshake on a cleartext port")),
        Some(_) => return Err(Refusal::bad("malformed request line")),
    }
    let target = method_end + 1;
    let mut target_end = find(bytes, target, not(visible()));
    if bytes.get(target_end).is_some_and(|&byte| byte >= 0x80) {
        // Most bytes beyond ASCII are sent by browsers of old, as UTF-8.
        target_end = find(bytes, target_end, below_or_del(b'!'));
        if bytes.get(target_end).is_some() && std::str::from_utf8(&bytes[target..target_end]).is_err() {
            return Err(Refusal::bad("malformed request line"));
        }
    }
    match bytes.get(target_end) {
        None => Ok(Parsed::Partial),
        Some(b' ') if target_end > target => Ok(Parsed::Complete((method, method_end, target_end))),
        Some(_) => Err(Refusal::bad("malformed request line")),
    }
}

/// The version that ends a request line, and where the next line starts (RFC 9112 section 2.3).
#[cold]
fn request_version(bytes: &[u8], at: usize) -> Result<Parsed<(Version, usize)>, Refusal> {
    // What is wrong with a version shows at the end of its line.
    let line_end = lines::end_of_text(bytes, at);
    let next = match lines::end_of_line(bytes, line_end, REQUEST) {
        Ok(next) => next,
        Err(Stop::Partial) => return Ok(Parsed::Partial),
        Err(Stop::BareCr) => return Err(Refusal::bad("a bare CR in the head")),
        Err(_) => return Err(Refusal::bad("malformed protocol version")),
    };
    let word = &bytes[at..line_end];
    match word {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9'] => {
            Ok(Parsed::Complete((version(*minor), next)))
        }
        [b'H', b'T', b'T', b'P', b'/', b'2', b'.', b'0'] => {
            Err(Refusal::new(505, "HTTP/2 is not spoken here; use HTTP/1.1"))
        }
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Err(Refusal::new(505, "HTTP version not supported; use HTTP/1.1"))
        }
        _ => Err(Refusal::bad("malformed protocol version")),
    }
}

/// Minor versions above 1 are treated as 1.1 (RFC 9110 section 2.5).
fn version(minor: u8) -> Version {
    if minor == b'0' { Version::Http10 } else { Version::Http11 }
}

/// What to answer to field lines that are none.
fn refusal(stop: Stop) -> Refusal {
    match stop {
        Stop::TooMany => Refusal::new(431, "too many header fields"),
        Stop::Name => Refusal::bad("invalid header field name"),
        Stop::Value => Refusal::bad("invalid byte in a header field value"),
        Stop::BareCr | Stop::BareLf | Stop::Partial => Refusal::bad("a bare CR in the head"),
    }
}

/// What is forgiven in a response.
const RESPONSE: Leniency = Leniency { space_before_colon: true, bare_lf: true };

/// Reads a response head from the start of `bytes` (RFC 9112 section 4); the error is for the log.
///
/// White space between a name and its colon is removed, as a proxy must (RFC 9112 section 5.1); folded
/// lines are an error, as a proxy may (section 5.2).
pub fn response<'h, 'b>(
    bytes: &'b [u8],
    scratch: &'h mut Scratch,
) -> Result<Parsed<ResponseHead<'h, 'b>>, &'static str> {
    let line = match status_line(bytes)? {
        Parsed::Partial => return Ok(Parsed::Partial),
        Parsed::Complete(line) => line,
    };
    match lines::scan(bytes, line.len, RESPONSE, scratch) {
        Ok(len) => Ok(Parsed::Complete(ResponseHead {
            version: line.version,
            status: line.status,
            reason: line.reason,
            plain_line: if line.is_plain { line.len } else { 0 },
            fields: Fields::new(bytes, scratch),
            len,
        })),
        Err(Stop::Partial) => Ok(Parsed::Partial),
        Err(Stop::TooMany) => Err("the response has too many fields"),
        Err(_) => Err("the response's head is malformed"),
    }
}

struct StatusLine<'b> {
    version: Version,
    status: u16,
    reason: &'b [u8],
    is_plain: bool,
    /// With its line end.
    len: usize,
}

#[inline]
fn status_line(bytes: &[u8]) -> Result<Parsed<StatusLine<'_>>, &'static str> {
    // Most responses go well.
    if bytes.starts_with(b"HTTP/1.1 200 OK\r\n") {
        let (version, status, reason) = (Version::Http11, 200, &b"OK"[..]);
        return Ok(Parsed::Complete(StatusLine { version, status, reason, is_plain: true, len: 17 }));
    }
    any_status_line(bytes)
}

#[inline(never)]
fn any_status_line(bytes: &[u8]) -> Result<Parsed<StatusLine<'_>>, &'static str> {
    // "HTTP/1.1 200": so much of a status line has a fixed place.
    const STATUS: usize = 9;
    let malformed = "the response's status line is malformed";
    let Some(line) = bytes.first_chunk::<{ STATUS + 4 }>() else {
        let begins = b"HTTP/1.".starts_with(&bytes[..bytes.len().min(7)]);
        return match begins {
            false => Err(NOT_HTTP),
            true if bytes.contains(&b'\n') => Err(malformed),
            true => Ok(Parsed::Partial),
        };
    };
    let (b"HTTP/1.", [minor @ b'0'..=b'9', b' ', status @ .., behind]) = (&line[..7], &line[7..]) else {
        return Err(if line.starts_with(b"HTTP/") {
            "the response's version is not HTTP/1.x"
        } else {
            NOT_HTTP
        });
    };
    if !status.iter().all(u8::is_ascii_digit) {
        return Err(malformed);
    }
    let status = status.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    if status < 100 {
        return Err("the response's status is below 100");
    }
    // RFC 9112 section 4: a space follows even where the reason is left out; not all senders know.
    let reason_start = match behind {
        b' ' => STATUS + 4,
        b'\r' | b'\n' => STATUS + 3,
        _ => return Err(malformed),
    };
    let reason_end = lines::end_of_text(bytes, reason_start);
    let reason = &bytes[reason_start..reason_end];
    let reason = if reason.is_ascii() { reason } else { &[] };
    let len = match lines::end_of_line(bytes, reason_end, RESPONSE) {
        Ok(next) => next,
        Err(Stop::Partial) => return Ok(Parsed::Partial),
        Err(_) => return Err(malformed),
    };
    let is_plain = line[..8] == *b"HTTP/1.1" && *behind == b' ' && bytes[..len].ends_with(b"\r\n");
    let is_plain = is_plain && reason.len() == reason_end - reason_start;
    Ok(Parsed::Complete(StatusLine { version: version(*minor), status, reason, is_plain, len }))
}

const NOT_HTTP: &str = "the response does not start with HTTP/";

/// Reads a trailer section, from behind the last chunk's line to behind the blank line
/// (RFC 9112 section 7.1.2). Returns the fields and the length.
///
/// As everywhere in chunked framing, a bare LF ends no line: where a body ends, nobody may be of two minds.
pub fn trailers<'h, 'b>(
    bytes: &'b [u8],
    scratch: &'h mut Scratch,
) -> Result<Parsed<(Fields<'h, 'b>, usize)>, &'static str> {
    const LENIENCY: Leniency = Leniency { space_before_colon: false, bare_lf: false };
    match lines::scan(bytes, 0, LENIENCY, scratch) {
        Ok(len) => Ok(Parsed::Complete((Fields::new(bytes, scratch), len))),
        Err(Stop::Partial) => Ok(Parsed::Partial),
        Err(Stop::TooMany) => Err("too many trailer fields"),
        Err(Stop::BareLf) => Err("a bare LF in chunked framing"),
        Err(_) => Err("the trailer section is malformed"),
    }
}

/// What to answer when the buffer is full and the head is still not whole.
pub fn too_large(bytes: &[u8]) -> Refusal {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    if memchr::memchr(b'\n', &bytes[start..]).is_none() {
        Refusal::new(414, "the request line is too long")
    } else {
        Refusal::new(431, "the header fields are too large")
    }
}
