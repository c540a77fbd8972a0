//! A request or status line and its fields, as spans of the bytes they came in.

use std::ops::Range;

use httparse::{Error, ParserConfig, Status};

use super::fields::{Fields, MAX_FIELDS, Role, Scratch};
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
    /// The fields.
    pub fields: Fields<'h, 'b>,
    /// What it was read from: the head and perhaps bytes behind it.
    pub bytes: &'b [u8],
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
    /// The fields.
    pub fields: Fields<'h, 'b>,
    /// What it was read from: the head and perhaps bytes behind it.
    pub bytes: &'b [u8],
    /// Bytes that the head takes, blank line included.
    pub len: usize,
}

/// Reads a request head from the start of `bytes` (RFC 9112 sections 2 and 3).
///
/// Line ends may be bare LF and empty lines may come first. Anything else that is not to the letter is
/// refused: white space around names, folded lines, control bytes.
pub fn request<'h, 'b>(
    bytes: &'b [u8],
    scratch: &'h mut Scratch<'b>,
) -> Result<Parsed<RequestHead<'h, 'b>>, Refusal> {
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut scratch.headers) {
        Ok(Status::Complete(len)) => {
            let name = request.method.unwrap_or_default().as_bytes();
            Ok(Parsed::Complete(RequestHead {
                method: Method::of(name),
                method_name: name,
                target: request.path.unwrap_or_default().as_bytes(),
                version: version(request.version),
                fields: Fields::new(request.headers, &mut scratch.roles),
                bytes,
                len,
            }))
        }
        Ok(Status::Partial) => Ok(Parsed::Partial),
        // What is wrong with a version shows at the end of its line (and may be right: see
        // `lower_minor_version`).
        Err(Error::Version) if first_line(bytes).is_none() => Ok(Parsed::Partial),
        Err(error) => Err(refusal(error, bytes)),
    }
}

/// Reads a response head from the start of `bytes` (RFC 9112 section 4); the error is for the log.
///
/// White space between a name and its colon is removed, as a proxy must (RFC 9112 section 5.1); folded
/// lines are an error, as a proxy may (section 5.2).
pub fn response<'h, 'b>(
    bytes: &'b [u8],
    scratch: &'h mut Scratch<'b>,
) -> Result<Parsed<ResponseHead<'h, 'b>>, &'static str> {
    // httparse skips empty lines; before a response they are remains of something else.
    if !bytes.is_empty() && bytes[0] != b'H' {
        return Err("the response does not start with HTTP/");
    }
    let mut config = ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true);
    let mut response = httparse::Response::new(&mut []);
    match config.parse_response_with_uninit_headers(&mut response, bytes, &mut scratch.headers) {
        Ok(Status::Complete(len)) => {
            let status = response.code.unwrap_or_default();
            if status < 100 {
                return Err("the response's status is below 100");
            }
            Ok(Parsed::Complete(ResponseHead {
                version: version(response.version),
                status,
                reason: response.reason.unwrap_or_default().as_bytes(),
                fields: Fields::new(response.headers, &mut scratch.roles),
                bytes,
                len,
            }))
        }
        Ok(Status::Partial) => Ok(Parsed::Partial),
        Err(Error::TooManyHeaders) => Err("the response has too many fields"),
        // The byte behind it decides: see `lower_minor_version`.
        Err(Error::Version) if matches!(bytes, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9']) => {
            Ok(Parsed::Partial)
        }
        Err(Error::Version) => Err("the response's version is not HTTP/1.x"),
        Err(Error::Status) => Err("the response's status line is malformed"),
        Err(_) => Err("the response's head is malformed"),
    }
}

/// Reads a trailer section, from behind the last chunk's line to behind the blank line
/// (RFC 9112 section 7.1.2). Returns the fields and the length.
///
/// As everywhere in chunked framing, a bare LF ends no line: where a body ends, nobody may be of two minds.
pub fn trailers<'h, 'b>(
    bytes: &'b [u8],
    headers: &'h mut [httparse::Header<'b>; MAX_FIELDS],
    roles: &'h mut [Role; MAX_FIELDS],
) -> Result<Parsed<(Fields<'h, 'b>, usize)>, &'static str> {
    match httparse::parse_headers(bytes, headers) {
        Ok(Status::Complete((len, _))) if has_bare_lf(&bytes[..len]) => Err(BARE_LF),
        Ok(Status::Complete((len, list))) => Ok(Parsed::Complete((Fields::new(list, roles), len))),
        Ok(Status::Partial) if has_bare_lf(bytes) => Err(BARE_LF),
        Ok(Status::Partial) => Ok(Parsed::Partial),
        Err(Error::TooManyHeaders) => Err("too many trailer fields"),
        Err(_) => Err("the trailer section is malformed"),
    }
}

const BARE_LF: &str = "a bare LF in chunked framing";

fn has_bare_lf(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', bytes).any(|at| at == 0 || bytes[at - 1] != b'\r')
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::Http10 } else { Version::Http11 }
}

/// Turns a minor version above 1 into 1 in place, since such a message is to be treated as HTTP/1.1
/// (RFC 9110 section 2.5) and the parser knows no other. Returns whether it changed anything.
pub fn lower_minor_version(bytes: &mut [u8], response: bool) -> bool {
    let minor = if response {
        let ends = matches!(bytes.get(8), Some(b' ' | b'\r' | b'\n'));
        (ends && bytes.starts_with(b"HTTP/1.")).then_some(7)
    } else {
        let line = first_line(bytes).unwrap_or_default();
        line.end.checked_sub(1).filter(|&at| bytes[line.start..at].ends_with(b" HTTP/1."))
    };
    let raised = minor.filter(|&at| matches!(bytes[at], b'2'..=b'9'));
    if let Some(at) = raised {
        bytes[at] = b'1';
    }
    raised.is_some()
}

/// The place of the first line that is not empty, without its end; `None` while the end has not come.
fn first_line(bytes: &[u8]) -> Option<Range<usize>> {
    let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n'))?;
    let end = start + memchr::memchr(b'\n', &bytes[start..])?;
    Some(start..if bytes[end - 1] == b'\r' { end - 1 } else { end })
}

/// What to answer to bytes that are not a request head.
fn refusal(error: Error, bytes: &[u8]) -> Refusal {
    if bytes.first() == Some(&0x16) {
        return Refusal::bad("a TLS handshake on a cleartext port");
    }
    match error {
        Error::TooManyHeaders => Refusal::new(431, "too many header fields"),
        Error::Version if bytes.starts_with(b"PRI * HTTP/2.0") => {
            Refusal::new(505, "HTTP/2 is not spoken here; use HTTP/1.1")
        }
        Error::Version => version_refusal(bytes),
        Error::HeaderName => Refusal::bad("invalid header field name"),
        Error::HeaderValue => Refusal::bad("invalid byte in a header field value"),
        Error::NewLine => Refusal::bad("a bare CR in the head"),
        Error::Token | Error::Status => Refusal::bad("malformed request line"),
    }
}

/// 505 for a well-formed version that is not 1.x, else 400.
fn version_refusal(bytes: &[u8]) -> Refusal {
    let line = first_line(bytes).map_or(&[][..], |line| &bytes[line]);
    let word = line.rsplit(|&b| b == b' ').next().unwrap_or_default();
    match word {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() && *major != b'1' =>
        {
            Refusal::new(505, "HTTP version not supported; use HTTP/1.1")
        }
        _ => Refusal::bad("malformed protocol version"),
    }
}

/// What to answer when the buffer is full and the head is still not whole.
pub fn too_large(bytes: &[u8]) -> Refusal {
    if first_line(bytes).is_none() {
        Refusal::new(414, "the request line is too long")
    } else {
        Refusal::new(431, "the header fields are too large")
    }
}
