//! A file on its way to the client: its head, and which of its bytes are to be read next.
//!
//! The driver reads when [`Step::Read`](super::Step) says so, into the buffer of the response, and no further than
//! [`Exchange::file_offset`] and the room given say. A file that turns out shorter than it was when its length was told
//! ends in a reset: what the client has must not pass for the whole.

use std::collections::VecDeque;
use std::io::Write;
use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use httpdate::HttpDate;

use super::files::Found;
use super::values::Known;
use super::{Ending, Env, Exchange, Step};
use crate::config::site::Added;
use crate::http::Method;
use crate::http::conditions::{self, Validators, Verdict};
use crate::http::head::{self, Parsed};
use crate::http::ranges::{self, Frame, Wanted};
use crate::http::reply::{self, Content};
use crate::site::files;

/// What is left to be sent of a file.
#[derive(Debug)]
pub(super) struct Sending {
    /// The parts that are still to be read. None is empty.
    parts: VecDeque<Range<u64>>,
    /// What stands around each of several parts.
    frame: Option<Frame>,
}

/// The last second that an HTTP date can name: year 9999.
const DATE_MAX: u64 = 253_402_300_799;

/// What a request's conditions and ranges come to.
enum Outcome {
    Whole,
    Parts(Vec<Range<u64>>),
    NotModified,
    Fails,
    Nothing,
}

impl Exchange {
    /// Answers with the file that was opened.
    pub(super) fn send_file(&mut self, found: &Found, env: &mut Env) {
        let place = self.place.clone();
        let fetch = self.fetch.as_ref().expect("a file is opened for a fetch");
        let rules = &place.files;
        let modified = HttpDate::from(UNIX_EPOCH + Duration::from_secs(found.modified.min(DATE_MAX)));
        let etag = rules.has_etag.then(|| format!("\"{:x}-{:x}\"", found.modified, found.length));
        let now = Validators { modified, etag: etag.as_deref().map(str::as_bytes) };
        // What stands for an error is sent whole, whatever was asked for.
        let shown = self.status_shown.unwrap_or(200);
        // The configuration may tell of another state, and then the parts of a body are of that.
        let [own_modified, own_etag] = ["Last-Modified", "ETag"].map(|name| {
            place.rules.delivery.validator(name, shown).map(|template| {
                let mut value = Vec::new();
                Known::new(self, env.moment()).expand(template, &mut value);
                value
            })
        });
        let told_modified = own_modified.as_deref().map_or(Some(modified), conditions::date);
        let told_etag = own_etag.as_deref().or(now.etag);
        let Ok(Parsed::Complete(head)) = head::request(&fetch.head, &mut env.scratch) else {
            unreachable!("a head that was read before");
        };
        let allows_ranges = conditions::allow_ranges(&head.fields, told_modified, told_etag);
        let range = head.fields.find("range").filter(|_| allows_ranges);
        let outcome = match conditions::judge(&head.fields, &now, rules.if_modified_since) {
            _ if shown != 200 => Outcome::Whole,
            Verdict::Fails => Outcome::Fails,
            Verdict::NotModified => Outcome::NotModified,
            Verdict::Holds if rules.ranges_max == 0 => Outcome::Whole,
            Verdict::Holds => {
                match range.map(|range| ranges::wanted(range, found.length, rules.ranges_max)) {
                    Some(Wanted::Nothing) => Outcome::Nothing,
                    Some(Wanted::Parts(parts)) => Outcome::Parts(parts),
                    Some(Wanted::Whole) | None => Outcome::Whole,
                }
            }
        };

        // Writing to a Vec cannot fail.
        let mut lines = Vec::new();
        let kind = files::kind(&place.rules, &fetch.path);
        let (status, parts, frame) = match outcome {
            Outcome::Fails => return self.give_up(412, env),
            Outcome::Nothing => return self.tell_the_length(found.length, env),
            Outcome::NotModified => (304, Vec::new(), None),
            // What stands for an error may be shown with a status that has no body.
            Outcome::Whole if matches!(shown, 204 | 304) => (shown, Vec::new(), None),
            Outcome::Whole => {
                append_type(&mut lines, kind);
                let _ = write!(lines, "Content-Length: {}\r\n", found.length);
                (shown, (found.length > 0).then_some(0..found.length).into_iter().collect(), None)
            }
            Outcome::Parts(parts) if parts.len() == 1 => {
                append_type(&mut lines, kind);
                let (part, length) = (&parts[0], parts[0].end - parts[0].start);
                let range = ranges::content_range(part, found.length);
                let _ = write!(lines, "Content-Length: {length}\r\nContent-Range: bytes {range}\r\n");
                (206, parts, None)
            }
            Outcome::Parts(parts) => {
                // No two responses that are made at a time have the same.
                let frame = Frame::new(env.wall.at(env.now).as_nanos() as u64, kind, found.length);
                append_type(&mut lines, &frame.kind());
                let _ = write!(lines, "Content-Length: {}\r\n", frame.length_of(&parts));
                (206, parts, Some(frame))
            }
        };
        let is_told = |name| place.rules.delivery.validator(name, status).is_some();
        if matches!(status, 200 | 206 | 304) && !is_told("Last-Modified") {
            let _ = write!(lines, "Last-Modified: {modified}\r\n");
        }
        if let Some(etag) = etag.as_ref().filter(|_| !is_told("ETag")) {
            let _ = write!(lines, "ETag: {etag}\r\n");
        }
        if status == 200 && rules.ranges_max > 0 {
            lines.extend_from_slice(b"Accept-Ranges: bytes\r\n");
        }
        self.begin_file(status, &lines, Sending { parts: parts.into(), frame }, env);
    }

    /// None of the ranges is there (RFC 9110 section 15.5.17).
    fn tell_the_length(&mut self, length: u64, env: &mut Env) {
        self.fetch = None;
        self.status_shown = None;
        let place = self.place.clone();
        let mut lines = format!("Content-Range: bytes */{length}\r\n").into_bytes();
        // nginx adds what a 200 gets before it looks at the ranges (`ngx_http_range_header_filter`).
        let is_for_file =
            |added: &Added| added.is_for(200) && !added.is_for(416) && added.validator().is_none();
        self.add_fields(&place, &is_for_file, env.moment(), &mut lines);
        if let Some(record) = &mut self.record {
            record.carried = std::mem::take(&mut lines);
            if self.answers_elsewhere(416, env) {
                return;
            }
        }
        let keep_alive = self.keeps_alive(env);
        self.request.cut(env);
        self.write(416, keep_alive, Content::Page(""), None, &lines, env);
    }

    fn begin_file(&mut self, status: u16, lines: &[u8], sending: Sending, env: &mut Env) {
        let keep_alive = self.keeps_alive(env);
        self.request.cut(env);
        let (place, mut fields) = (self.place.clone(), Vec::new());
        self.response.status = status;
        let date = &env.date;
        self.foresee(lines.len() + reply::ROOM, &mut env.buffers, |out| {
            let written = reply::write_head(out, status, date.as_bytes(), [lines, b""], keep_alive);
            written.expect("there is room");
        });
        self.append_fields(&place, keep_alive, env.moment(), &mut fields);
        let room = lines.len() + fields.len() + reply::ROOM;
        let out = self.response.out(room, &mut env.buffers);
        let start = out.len();
        let written = reply::write_head(out, status, env.date.as_bytes(), [lines, &fields], keep_alive);
        written.expect("there is room");
        self.response.is_own(status, keep_alive, 0);
        self.keep_sent(start, 0);
        let has_body = self.request.method != Method::Head && !sending.parts.is_empty();
        match &mut self.fetch {
            Some(fetch) if has_body => {
                fetch.sending = Some(sending);
                self.response.begin_file();
                self.open_part(env);
            }
            _ => self.fetch = None,
        }
    }

    /// Writes what stands before the next of several parts, or behind the last one.
    fn open_part(&mut self, env: &mut Env) {
        let Some(Sending { parts, frame: Some(frame) }) = self.sending() else { return };
        let text = parts.front().map_or_else(|| frame.end(), |part| frame.before(part));
        let is_end = parts.is_empty();
        self.response.body_bytes += text.len() as u64;
        self.response.out(text.len(), &mut env.buffers).append(&text).expect("there is room");
        if is_end {
            self.end_file();
        }
    }

    fn sending(&self) -> Option<&Sending> {
        self.fetch.as_ref()?.sending.as_ref()
    }

    fn end_file(&mut self) {
        self.fetch = None;
        self.response.end_file();
    }

    /// All that was there of a file has been sent: what stands before its next part comes.
    pub(super) fn advance_file(&mut self, env: &mut Env) {
        let is_between = self.fetch.as_ref().is_some_and(|fetch| fetch.is_between);
        if is_between {
            if let Some(fetch) = &mut self.fetch {
                fetch.is_between = false;
            }
            self.open_part(env);
        }
    }

    /// Where in the file its bytes are wanted from.
    pub fn file_offset(&self) -> u64 {
        self.sending().and_then(|sending| sending.parts.front()).map_or(0, |part| part.start)
    }

    /// Whether bytes of the file are wanted now.
    pub fn wants_file(&self) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| fetch.sending.is_some() && !fetch.is_between)
            && self.response.takes_file()
    }

    /// Whether the file that was opened is needed yet.
    pub fn needs_file(&self) -> bool {
        self.fetch.is_some()
    }

    /// The room for bytes of the file. Never empty.
    pub fn file_space(&mut self, env: &mut Env) -> &mut [u8] {
        let part = self.sending().and_then(|sending| sending.parts.front()).expect("bytes are wanted");
        let left = part.end - part.start;
        let space = self.response.file_space(left, env);
        let most = usize::try_from(left).map_or(space.len(), |left| left.min(space.len()));
        &mut space[..most]
    }

    /// `n` bytes of the file have come; 0: it has become shorter, or cannot be read.
    pub fn file_came(&mut self, n: usize, env: &mut Env) {
        let Some(fetch) = &mut self.fetch else { return };
        let Some(sending) = &mut fetch.sending else { return };
        if n == 0 {
            self.fetch = None;
            self.response.park(env);
            self.ending = Ending::Reset;
            return;
        }
        let part = sending.parts.front_mut().expect("bytes were wanted");
        part.start += n as u64;
        if part.is_empty() {
            sending.parts.pop_front();
            fetch.is_between = true;
        }
        let is_over = sending.parts.is_empty() && sending.frame.is_none();
        self.response.file_came(n);
        if is_over {
            self.end_file();
        }
    }

    /// What the fetch wants of the driver.
    #[cold]
    #[inline(never)]
    pub(super) fn fetch_step(&self, client_readable: bool) -> Step {
        let Some(fetch) = &self.fetch else { return Step::Wait };
        if fetch.sending.is_none() {
            return if fetch.wants_counters() { Step::Count } else { Step::Open };
        }
        if self.wants_file() {
            return Step::Read;
        }
        // A client that still sends a body nobody wants may not read before it is through.
        let drains = self.request.is_cut() && client_readable && !self.request.has_eof();
        if drains { Step::Receive(super::Side::Client) } else { Step::Wait }
    }
}

fn append_type(lines: &mut Vec<u8>, kind: &str) {
    if !kind.is_empty() {
        let _ = write!(lines, "Content-Type: {kind}\r\n");
    }
}
