//! What is kept of a request for later: for fields that are added to its response, and for its lines in logs.
//!
//! Kept only where the configuration asks for something of it. All room is used again for the next request of the
//! connection.

use std::sync::Arc;

use super::values::{is_called, join};
use crate::config::template::Variable;
use crate::http::body::{Coding, Cursor, Then};
use crate::http::fields::Fields;
use crate::http::framing::Length;
use crate::site::Place;
use crate::time::Time;

/// See the [module's page](self).
#[derive(Debug, Default)]
pub struct Record {
    /// When the first byte of the request came.
    pub since: Time,
    /// A line in a log is due: a request has begun.
    pub due: bool,
    /// The servers that were asked, in their order.
    pub tries: Vec<Try>,
    /// The request has been sent to another location, and no server was asked there yet.
    pub(super) goes_on_elsewhere: bool,
    /// Octets of the request so far, head and body.
    pub request_length: u64,
    /// Octets of the response sent so far, head and body.
    pub bytes_sent: u64,
    /// How many of these come before the body of the final response; all of them, until its head is written.
    pub(super) body_start: u64,
    /// The head, where another location may have to answer in place of an error.
    pub(super) head: Vec<u8>,
    /// Its target as it is by now: the proxy may have sent it to another one.
    pub(super) target: Vec<u8>,
    /// The body, where the place asks for it.
    pub(super) body: HeldBody,
    /// What the place keeps of the request's head.
    pub(super) of_head: Kept,
    /// What it keeps of a server's response. It stays until another server is to be asked, wherever the request is sent on to.
    pub(super) of_answer: Kept,
    /// What it keeps of the response as it is sent, or is about to be.
    pub(super) of_sent: Kept,
    /// Lines of a response that another answer stands for, which that has too: of a server's 401 how to authenticate, of a
    /// 416 how long the file is.
    pub(super) carried: Vec<u8>,
}

/// A request's body without its coding, as far as it is held.
#[derive(Debug, Default)]
pub(super) struct HeldBody {
    bytes: Vec<u8>,
    cursor: Cursor,
    /// The most bytes that are held; of a longer body none are.
    max: usize,
}

impl HeldBody {
    fn clear(&mut self) {
        self.bytes.clear();
        (self.cursor, self.max) = (Cursor::default(), 0);
    }

    /// A body of this length comes.
    pub(super) fn begin(&mut self, length: Length, max: usize) {
        self.bytes.clear();
        (self.cursor, self.max) = (Cursor::new(length, Coding::Strip), max);
    }

    /// Bytes of it have come.
    pub(super) fn keep(&mut self, mut bytes: &[u8]) {
        while self.bytes.len() <= self.max {
            let Ok(scan) = self.cursor.scan(bytes) else { return };
            self.bytes.extend_from_slice(&bytes[..scan.pass]);
            bytes = &bytes[scan.pass + scan.skip..];
            match scan.then {
                Then::More if !bytes.is_empty() => {}
                Then::More | Then::End => return,
                // What is behind the last chunk is not of the body.
                Then::Trailers => return self.cursor.trailers_done(),
            }
        }
    }

    /// All of it; `None` where some is missing.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        (self.cursor.ended() && self.bytes.len() <= self.max).then_some(&self.bytes)
    }
}

/// Values of variables, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Kept {
    values: Vec<u8>,
    /// Where each ends.
    ends: Vec<u32>,
}

impl Kept {
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.ends.clear();
    }

    /// Keeps the next one, which `append` writes.
    pub(super) fn keep(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        append(&mut self.values);
        self.ends.push(self.values.len() as u32);
    }

    /// The one with this number; `None` where nothing was kept.
    pub(super) fn value(&self, number: usize) -> Option<&[u8]> {
        let end = *self.ends.get(number)? as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] as usize };
        Some(&self.values[start..end])
    }
}

/// A server that was asked.
#[derive(Clone, Debug)]
pub struct Try {
    /// What its `server` line calls it.
    pub server: Arc<str>,
    /// Its address as text.
    pub address: Arc<str>,
    /// It is the first that was asked at this location, and others had been asked at another one.
    pub is_anew: bool,
    /// When it was chosen.
    pub since: Time,
    /// When the connection was there.
    pub connected: Option<Time>,
    /// When the head of its response was there.
    pub answered: Option<Time>,
    /// When it was parted with.
    pub ended: Option<Time>,
    /// The status of its response; that of the answer to the client where none came.
    pub status: u16,
    /// Octets sent to it.
    pub sent: u64,
    /// Octets received from it.
    pub received: u64,
}

impl Record {
    /// Another request begins.
    pub(super) fn begin(&mut self, now: Time) {
        self.since = now;
        self.due = true;
        self.tries.clear();
        self.of_head.clear();
        self.of_answer.clear();
        self.of_sent.clear();
        self.carried.clear();
        self.head.clear();
        self.goes_on_elsewhere = false;
        (self.request_length, self.bytes_sent, self.body_start) = (0, 0, u64::MAX);
        self.body.clear();
    }

    /// Keeps the head of a request, where another location may have to answer for an error.
    pub(super) fn keep_head(&mut self, place: &Place, bytes: &[u8]) {
        self.head.clear();
        if !place.rules.error_pages.is_empty() {
            self.head.extend_from_slice(bytes);
        }
    }

    /// Keeps its target as it is by now, for the same purpose.
    pub(super) fn keep_target(&mut self, place: &Place, target: &[u8]) {
        self.target.clear();
        if !place.rules.error_pages.is_empty() {
            self.target.extend_from_slice(target);
        }
    }

    /// More of the request's body has come.
    #[cold]
    pub(super) fn body_came(&mut self, bytes: &[u8]) {
        self.request_length += bytes.len() as u64;
        self.body.keep(bytes);
    }

    /// Of a request that is refused for its head, the line it begins with is all that is kept.
    pub(super) fn keep_line(&mut self, place: &Place, bytes: &[u8]) {
        if !self.of_head.ends.is_empty() {
            return;
        }
        let line = bytes.trim_ascii_start();
        let end = memchr::memchr2(b'\r', b'\n', line).unwrap_or(line.len());
        for variable in &place.kept {
            self.of_head.keep(|out| {
                if *variable == Variable::Request {
                    out.extend_from_slice(&line[..end]);
                }
            });
        }
    }

    /// Keeps the lines of a 401 that say how to authenticate (RFC 9110 section 11.6.1).
    #[cold]
    pub(super) fn keep_challenges(&mut self, fields: &Fields<'_, '_>) {
        self.carried.clear();
        for (_, name, value) in
            fields.iter().filter(|(_, name, _)| name.eq_ignore_ascii_case(b"www-authenticate"))
        {
            for part in [name, b": ", value, b"\r\n"] {
                self.carried.extend_from_slice(part);
            }
        }
    }

    /// Keeps of the fields of a response that is about to be sent what the place asks for.
    pub(super) fn keep_sent<'a, F>(&mut self, place: &Place, fields: impl Fn() -> F)
    where
        F: Iterator<Item = (&'a [u8], &'a [u8])>,
    {
        self.of_sent.clear();
        for variable in &place.kept_of_sent {
            self.of_sent.keep(|out| {
                if let Variable::SentHttp(name) = variable {
                    join(fields(), name, b", ", out);
                }
            });
        }
    }

    /// Keeps a field that is added to those of a response, or that stands in place of one.
    pub(super) fn keep_added(&mut self, place: &Place, field: &[u8], value: &[u8], replaces: bool) {
        let before = std::mem::take(&mut self.of_sent);
        for (number, variable) in place.kept_of_sent.iter().enumerate() {
            let is_it = matches!(variable, Variable::SentHttp(name) if is_called(field, name));
            self.of_sent.keep(|out| {
                let before = before.value(number).filter(|_| !(is_it && replaces)).unwrap_or_default();
                out.extend_from_slice(before);
                if is_it {
                    out.extend_from_slice(if before.is_empty() { b"" } else { b", " });
                    out.extend_from_slice(value);
                }
            });
        }
    }

    /// A server is asked.
    pub fn tried(&mut self, server: Arc<str>, address: Arc<str>, now: Time) {
        let is_anew = std::mem::take(&mut self.goes_on_elsewhere) && !self.tries.is_empty();
        self.tries.push(Try {
            server,
            address,
            is_anew,
            since: now,
            connected: None,
            answered: None,
            ended: None,
            status: 0,
            sent: 0,
            received: 0,
        });
    }

    /// The connection to the server is there.
    #[cold]
    pub(super) fn connected(&mut self, now: Time) {
        if let Some(one) = self.current() {
            one.connected = Some(now);
        }
    }

    /// So many octets went to the server.
    #[cold]
    pub(super) fn sent(&mut self, n: usize) {
        if let Some(one) = self.current() {
            one.sent += n as u64;
        }
    }

    /// So many octets came from the server.
    #[cold]
    pub(super) fn received(&mut self, n: usize) {
        if let Some(one) = self.current() {
            one.received += n as u64;
        }
    }

    /// The server that was asked is parted with.
    pub fn parted(&mut self, now: Time) {
        if let Some(one) = self.current() {
            one.ended = Some(now);
        }
    }

    /// The server that is asked now.
    pub(super) fn current(&mut self) -> Option<&mut Try> {
        self.tries.last_mut().filter(|one| one.ended.is_none())
    }
}

/// The fields of a head that the proxy has written, name and value.
pub(super) fn fields_of(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.skip(1).take_while(|line| !line.is_empty()).filter_map(|line| {
        let at = memchr::memchr(b':', line)?;
        Some((&line[..at], line[at + 1..].trim_ascii()))
    })
}
