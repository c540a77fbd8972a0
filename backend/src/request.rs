//! Bytes to one checked request head.
//!
//! The only place that decides how long a request body is. What is ambiguous is refused, and the
//! connection with it (RFC 9112, sections 3 and 6).

use std::mem::MaybeUninit;

use crate::body::Framing;
use crate::page::{Page, Refusal, number};

/// The longest request head in bytes, request line and empty line included.
pub(crate) const HEAD_MAX: usize = 32 * 1024;

/// The most fields in a request head.
const FIELDS_MAX: usize = 128;

/// A request head, reduced to what the answer depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Bytes of the head, line ends before it included.
    pub(crate) length: usize,
    pub(crate) page: Page,
    /// HEAD: the answer has no body.
    pub(crate) head_only: bool,
    /// HTTP/1.0: no chunks, no 100, and keep-alive only when asked for.
    pub(crate) http10: bool,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) framing: Framing,
}

/// Reads the request head at the start of `input`; `None` while it is not complete.
pub(crate) fn parse(input: &[u8]) -> Result<Option<Request>, Refusal> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut head = httparse::Request::new(&mut []);
    let length = match head.parse_with_uninit_headers(input, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_MAX => length,
        Ok(httparse::Status::Partial) if input.len() <= HEAD_MAX => return Ok(None),
        Ok(_) => return Err(Refusal::new(431, "the request head is longer than 32768 bytes")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(431, "the request has more than 128 fields"));
        }
        Err(httparse::Error::Version) => {
            return Err(Refusal::new(505, "only HTTP/1.0 and HTTP/1.1 are spoken"));
        }
        Err(_) => return Err(Refusal::new(400, "the request head is malformed")),
    };
    let (Some(method), Some(target), Some(version)) = (head.method, head.path, head.version) else {
        return Err(Refusal::new(400, "the request line is incomplete"));
    };
    let http10 = version == 0;
    let fields = Fields::read(head.headers)?;
    if !http10 && !fields.host {
        return Err(Refusal::new(400, "an HTTP/1.1 request needs a Host field"));
    }
    if fields.unknown_expectation {
        return Err(Refusal::new(417, "only Expect: 100-continue is understood"));
    }
    Ok(Some(Request {
        length,
        page: Page::find(method, target),
        head_only: method == "HEAD",
        http10,
        keep_alive: !fields.close && (!http10 || fields.keep_alive),
        expects_continue: fields.expects_continue && !http10,
        framing: fields.framing(http10)?,
    }))
}

/// The fields that matter, met in one pass.
#[derive(Default)]
struct Fields {
    host: bool,
    close: bool,
    keep_alive: bool,
    length: Option<u64>,
    /// `Some(true)`: chunked; `Some(false)`: a coding that is not known.
    chunked: Option<bool>,
    expects_continue: bool,
    unknown_expectation: bool,
}

impl Fields {
    fn read(fields: &[httparse::Header<'_>]) -> Result<Self, Refusal> {
        let mut read = Self::default();
        for field in fields {
            // The length of a name rules out nearly all comparisons.
            match field.name.len() {
                4 if field.name.eq_ignore_ascii_case("host") => read.host()?,
                6 if field.name.eq_ignore_ascii_case("expect") => read.expect(field.value),
                10 if field.name.eq_ignore_ascii_case("connection") => read.connection(field.value),
                14 if field.name.eq_ignore_ascii_case("content-length") => {
                    read.content_length(field.value)?;
                }
                17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                    read.transfer_encoding(field.value)?;
                }
                _ => {}
            }
        }
        Ok(read)
    }

    fn host(&mut self) -> Result<(), Refusal> {
        if self.host {
            return Err(Refusal::new(400, "the request has two Host fields"));
        }
        self.host = true;
        Ok(())
    }

    fn expect(&mut self, value: &[u8]) {
        if value.eq_ignore_ascii_case(b"100-continue") {
            self.expects_continue = true;
        } else {
            self.unknown_expectation = true;
        }
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() {
            return Err(Refusal::new(400, "the request has two Content-Length fields"));
        }
        let digits = std::str::from_utf8(value).unwrap_or_default();
        self.length = Some(number(digits).ok_or(Refusal::new(400, "Content-Length is not a number"))?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.chunked.is_some() {
            return Err(Refusal::new(400, "the request has two Transfer-Encoding fields"));
        }
        self.chunked = Some(value.eq_ignore_ascii_case(b"chunked"));
        Ok(())
    }

    /// RFC 9112, section 6.3.
    fn framing(&self, http10: bool) -> Result<Framing, Refusal> {
        match (self.chunked, self.length) {
            (None, length) => Ok(Framing::Length(length.unwrap_or(0))),
            (Some(_), Some(_)) => {
                Err(Refusal::new(400, "both Content-Length and Transfer-Encoding are given"))
            }
            (Some(_), None) if http10 => Err(Refusal::new(400, "HTTP/1.0 has no Transfer-Encoding")),
            (Some(true), None) => Ok(Framing::Chunked),
            (Some(false), None) => Err(Refusal::new(501, "the only transfer coding is chunked")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> Request {
        parse(text.as_bytes()).unwrap().unwrap()
    }

    fn refused(text: &str) -> u16 {
        parse(text.as_bytes()).expect_err(text).status
    }

    #[test]
    fn keep_alive_follows_version_and_field() {
        assert!(complete("GET / HTTP/1.1\r\nHost: a\r\n\r\n").keep_alive);
        assert!(!complete("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").keep_alive);
        assert!(!complete("GET / HTTP/1.0\r\n\r\n").keep_alive);
        assert!(complete("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
        assert!(!complete("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").keep_alive);
    }

    #[test]
    fn a_body_has_one_framing() {
        let framing =
            |fields: &str| complete(&format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).framing;
        assert_eq!(framing(""), Framing::Length(0));
        assert_eq!(framing("Content-Length: 12\r\n"), Framing::Length(12));
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Framing::Chunked);
        let refused = |fields: &str| refused(&format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(refused("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400);
        assert_eq!(refused("Content-Length: 1\r\nContent-Length: 1\r\n"), 400);
        assert_eq!(refused("Content-Length: +1\r\n"), 400);
        assert_eq!(refused("Content-Length: 1, 1\r\n"), 400);
        assert_eq!(refused("Content-Length:\r\n"), 400);
        assert_eq!(refused("Transfer-Encoding: gzip, chunked\r\n"), 501);
        assert_eq!(refused("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400);
    }

    #[test]
    fn malformed_heads_are_refused() {
        assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n"), 400);
        assert_eq!(refused("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(refused("\u{16}\u{3}\u{1}"), 400);
        assert_eq!(refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
        assert_eq!(refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n"), 417);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(HEAD_MAX))), 431);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(128))), 431);
    }

    #[test]
    fn an_incomplete_head_waits() {
        let text = "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for cut in 0..text.len() {
            assert!(parse(&text.as_bytes()[..cut]).unwrap().is_none(), "cut at {cut}");
        }
        assert_eq!(complete(text).length, text.len());
    }
}
