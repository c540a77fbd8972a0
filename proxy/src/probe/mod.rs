//! One health check of one server: the request, and what its response is worth. Pure: no sockets, no clock.
//!
//! Bytes go in ([`Probe::received`], [`Probe::eof`]), and a [`Report`] comes out once the response is whole, or is known
//! to be none. Heads and bodies are read as those of any other response, by the same code.
//!
//! The body is read even where nothing is asked of it: a server whose responses break off is not well, and one whose
//! connection is reset in the middle of a response would log that as an error of its own.

mod expected;
#[cfg(test)]
mod tests;

use crate::config::HealthCheck;
use crate::config::health::TestedPart;
use crate::http::body::{Coding, Cursor, Then};
use crate::http::fields::{Connection, Scratch};
use crate::http::head::{self, Parsed};
use crate::http::{Method, framing};

/// How much of a body is looked at, in bytes; as in nginx.
pub const BODY_MAX: usize = 256 << 10;

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether the server is well, or why not, for the log.
    pub result: Result<(), String>,
    /// Another request may follow over the same connection.
    pub is_reusable: bool,
}

/// A check whose request is sent, and whose response is still to come.
#[derive(Debug)]
pub struct Probe {
    check: HealthCheck,
    stage: Stage,
    /// The first test that the head has failed.
    failed: Option<String>,
    /// The head as far as it is here; behind it the body, where a test asks for that.
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    Head,
    Body { cursor: Cursor, seen: usize, persists: bool },
}

/// The request of a check.
pub fn request(check: &HealthCheck) -> Vec<u8> {
    let version = if check.is_http10 { "1.0" } else { "1.1" };
    let mut text = format!("GET {} HTTP/{version}\r\n", check.uri);
    for (name, value) in &check.fields {
        text.extend([name, ": ", value, "\r\n"]);
    }
    if !check.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
        text.push_str(concat!("User-Agent: proxy/", env!("CARGO_PKG_VERSION"), " (health check)\r\n"));
    }
    text.push_str(if check.keepalive.is_some() { "Connection: keep-alive" } else { "Connection: close" });
    text.push_str("\r\n\r\n");
    text.into_bytes()
}

impl Probe {
    /// One of which nothing has come yet.
    pub fn new(check: HealthCheck) -> Probe {
        Probe { check, stage: Stage::Head, failed: None, bytes: Vec::new() }
    }

    /// Whether nothing of the response has come.
    pub fn is_fresh(&self) -> bool {
        self.bytes.is_empty() && matches!(self.stage, Stage::Head)
    }

    /// These bytes came.
    pub fn received(&mut self, bytes: &[u8]) -> Option<Report> {
        match self.stage {
            Stage::Head => {
                self.bytes.extend_from_slice(bytes);
                self.read_head()
            }
            Stage::Body { .. } => self.read_body(bytes),
        }
    }

    /// The server has sent all that it will. Nothing comes of that in the middle of a response.
    pub fn eof(&mut self) -> Option<Report> {
        match self.stage {
            Stage::Body { cursor, .. } if cursor.ends_at_close() => Some(self.whole(false)),
            _ => None,
        }
    }

    /// It cannot come to its end. What has been found out before says more than that.
    pub fn broken(&mut self, cause: impl Into<String>) -> Report {
        Report { result: Err(self.failed.take().unwrap_or_else(|| cause.into())), is_reusable: false }
    }

    fn read_head(&mut self) -> Option<Report> {
        let mut scratch = Scratch::new();
        let head = match head::response(&self.bytes, &mut scratch) {
            Ok(Parsed::Complete(head)) => head,
            Ok(Parsed::Partial) if self.bytes.len() < self.check.response_head_max => return None,
            Ok(Parsed::Partial) => return Some(self.broken("the response's head is too large")),
            Err(why) => return Some(self.broken(why)),
        };
        if matches!(head.status, 100 | 102..=199) {
            self.bytes.drain(..head.len);
            return if self.bytes.is_empty() { None } else { self.read_head() };
        }
        let length = match framing::response(&head.fields, head.version, head.status, Method::Get) {
            Ok(length) => length,
            Err(why) => return Some(self.broken(why)),
        };
        self.failed = expected::problem_of_head(&self.check.expected, head.status, &head.fields);
        let persists = Connection::of(&head.fields).persists(head.version);
        let body = self.bytes.split_off(head.len);
        self.bytes.clear();
        self.stage = Stage::Body { cursor: Cursor::new(length, Coding::Strip), seen: 0, persists };
        self.read_body(&body)
    }

    fn read_body(&mut self, mut bytes: &[u8]) -> Option<Report> {
        let Stage::Body { cursor, seen, persists } = &mut self.stage else { return None };
        let is_asked_for = self.check.expected.iter().any(|test| matches!(test.part, TestedPart::Body(_)));
        loop {
            let scan = match cursor.scan(bytes) {
                Ok(scan) => scan,
                Err(bad) => return Some(self.broken(bad.0)),
            };
            let data = &bytes[..scan.pass.min(BODY_MAX - *seen)];
            *seen += data.len();
            if is_asked_for {
                self.bytes.extend_from_slice(data);
            }
            bytes = &bytes[scan.pass + scan.skip..];
            if *seen == BODY_MAX {
                return Some(self.whole(false));
            }
            match scan.then {
                Then::End => {
                    let is_reusable = *persists && bytes.is_empty();
                    return Some(self.whole(is_reusable));
                }
                // What comes behind the body is of no interest.
                Then::Trailers => return Some(self.whole(false)),
                Then::More if bytes.is_empty() => return None,
                Then::More => {}
            }
        }
    }

    /// The response is here.
    fn whole(&mut self, is_reusable: bool) -> Report {
        let problem =
            self.failed.take().or_else(|| expected::problem_of_body(&self.check.expected, &self.bytes));
        Report { result: problem.map_or(Ok(()), Err), is_reusable }
    }
}
