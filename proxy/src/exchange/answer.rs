//! The proxy's own answers to requests that it reads to their end: what `return` says, and pages for errors.

use super::env::Moment;
use super::record::fields_of;
use super::values::Known;
use super::{Ending, Env, Exchange};
use crate::buffer::{Buffer, Buffers};
use crate::config::Action;
use crate::config::site::Added;
use crate::http::reply::{self, Content, Reply};
use crate::http::{Method, uri};
use crate::site::{Place, files};

/// The client is sent elsewhere: the text of a `return` is where to.
pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// With these statuses the connection is closed and nothing is said (`ngx_http_finalize_request`).
fn closes_without_a_word(status: u16, has_text: bool) -> bool {
    status == 444 || (!has_text && matches!(status, 408 | 499))
}

/// What a client sees of nginx's own numbers for kinds of 400.
pub(super) fn shown(status: u16) -> u16 {
    if matches!(status, 494..=497) { 400 } else { status }
}

impl Exchange {
    /// After some errors the connection is not used again, whatever is answered in their place
    /// (`ngx_http_special_response_handler`).
    pub(super) fn closes_after(&mut self, status: u16) {
        self.request.keep_alive &= !matches!(status, 400 | 413 | 414 | 495..=497 | 500 | 501);
    }

    /// Answers a request whose head has been read; where it `has_text`, with that which lies in `env.text`.
    pub(super) fn answer(&mut self, status: u16, has_text: bool, env: &mut Env) {
        if closes_without_a_word(status, has_text) {
            self.status_shown = Some(status);
            self.ending = Ending::Close;
            return;
        }
        let place = self.place.clone();
        if !has_text {
            self.closes_after(status);
        }
        let is_text = has_text && !is_redirect(status);
        if status >= 300 && !is_text && self.record.is_some() && self.answers_elsewhere(status, env) {
            return;
        }
        let status = if has_text { status } else { shown(status) };
        // An error on the page for an error is the one that the client sees, and so is a redirect from there
        // (`ngx_http_send_response`, `ngx_http_send_special_response`).
        let status = if is_text { self.status_shown.unwrap_or(status) } else { status };
        // What is left of a body is not waited for.
        let keep_alive = self.keeps_alive(env);
        self.request.cut(env);
        let text = std::mem::take(&mut env.text);
        if has_text && !is_text {
            self.write(status, keep_alive, Content::Page(""), Some(&text), b"", env);
        } else if has_text {
            let content = Content::Text { kind: files::kind(&place.rules, &env.path), body: &text };
            self.write(status, keep_alive, content, None, b"", env);
        } else if reply::reason(status).is_empty() {
            // There is no page for a status that has no name.
            self.write(status, keep_alive, Content::Text { kind: "", body: b"" }, None, b"", env);
        } else {
            self.write(status, keep_alive, Content::Page(""), None, b"", env);
        }
        env.text = text;
    }

    /// Sends the client to another address.
    pub(super) fn redirect(&mut self, status: u16, to: &[u8], env: &mut Env) {
        let keep_alive = self.keeps_alive(env);
        self.write(status, keep_alive, Content::Page(""), Some(to), b"", env);
    }

    /// Writes an answer of the proxy's own, which is then the response.
    pub(super) fn write_answer(
        &mut self,
        status: u16,
        keep_alive: bool,
        content: Content<'_>,
        env: &mut Env,
    ) {
        self.write(status, keep_alive, content, None, b"", env);
    }

    /// The same with `Location` and further `lines`.
    pub(super) fn write(
        &mut self,
        status: u16,
        keep_alive: bool,
        content: Content<'_>,
        location: Option<&[u8]>,
        lines: &[u8],
        env: &mut Env,
    ) {
        let place = self.place.clone();
        let mut fields = lines.to_vec();
        self.response.status = status;
        let location = location.map(uri::as_value);
        let mut answer = Reply {
            status,
            content,
            location: location.as_deref(),
            fields: lines,
            allowed: match place.action {
                Action::Proxy(_) | Action::Answer(_) => reply::FORWARDED,
                Action::File | Action::StubStatus => reply::ANSWERED,
            },
            keep_alive,
            head: self.request.method == Method::Head,
            date: env.date.as_bytes(),
        };
        self.foresee(answer.room(), &mut env.buffers, |out| {
            reply::write(out, &answer).expect("there is room");
        });
        self.append_fields(&place, keep_alive, env.moment(), &mut fields);
        answer.fields = &fields;
        let out = self.response.out(answer.room(), &mut env.buffers);
        let start = out.len();
        let body = reply::write(out, &answer).expect("there is room");
        self.response.is_own(status, keep_alive, body);
        self.keep_sent(start, body);
    }

    /// Keeps what an answer of the proxy's own says by itself, which `write` writes and which takes so much `room`, where fields that are added to it go by
    /// that (`add_header NAME $sent_http_…`).
    pub(super) fn foresee(&mut self, room: usize, buffers: &mut Buffers, write: impl FnOnce(&mut Buffer)) {
        let Some(record) = &mut self.record else { return };
        if self.place.kept_of_sent.is_empty() {
            return;
        }
        let mut head = buffers.holding(room);
        write(&mut head);
        record.keep_sent(&self.place, || fields_of(head.filled()));
        buffers.put(head);
    }

    /// Appends the lines of fields that a response gets whoever it is from: what is carried over from one that it stands
    /// for (`ngx_http_upstream_intercept_errors`), and what the configuration adds.
    pub(super) fn append_fields(
        &mut self,
        place: &Place,
        keep_alive: bool,
        moment: Moment<'_>,
        out: &mut Vec<u8>,
    ) {
        if let Some(record) = &self.record {
            out.extend_from_slice(&record.carried);
        }
        if place.changes_answers {
            let status = self.response.status;
            self.add_fields(place, &|added| added.is_for(status), moment, out);
            tell_timeout(place, keep_alive, out);
        }
    }

    /// Appends the lines of those fields that the configuration adds (`add_header`), each of which those behind it know of.
    pub(super) fn add_fields(
        &mut self,
        place: &Place,
        is_wanted: &dyn Fn(&Added) -> bool,
        moment: Moment<'_>,
        out: &mut Vec<u8>,
    ) {
        let wanted = || place.rules.delivery.added.iter().filter(|added| is_wanted(added));
        for added in wanted() {
            let validator = added.validator();
            // Of those the last one stands alone, also where it is empty.
            let last = validator.and_then(|_| wanted().rfind(|other| other.validator() == validator));
            if last.is_some_and(|last| !std::ptr::eq(last, added)) {
                continue;
            }
            let start = out.len();
            out.extend_from_slice(added.name.as_bytes());
            out.extend_from_slice(b": ");
            let value_start = out.len();
            Known::new(self, moment).expand(&added.value, out);
            let value = &out[value_start..];
            // A value may hold what a client sent; no line may end in it.
            if value.is_empty() || value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                out.truncate(start);
                continue;
            }
            if let Some(record) = self.record.as_mut().filter(|_| !place.kept_of_sent.is_empty()) {
                record.keep_added(place, added.name.as_bytes(), value, validator.is_some());
            }
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Keeps what the head says that lies in `out` from `start` on, where a line in a log asks for it, and where the body
    /// begins, so many octets of which lie behind that already.
    pub(super) fn keep_sent(&mut self, start: usize, body: u64) {
        if let (Some(record), Some(out)) = (&mut self.record, &self.response.out) {
            record.keep_sent(&self.place, || fields_of(&out.filled()[start..]));
            record.body_start = record.bytes_sent + self.response.outgoing().0.len() as u64 - body;
        }
    }
}

/// Appends how long an idle connection is kept, where the client is to be told (`keepalive_timeout` with two values).
fn tell_timeout(place: &Place, keep_alive: bool, out: &mut Vec<u8>) {
    if let Some(timeout) = place.client.keepalive_header.filter(|_| keep_alive) {
        out.extend_from_slice(format!("Keep-Alive: timeout={}\r\n", timeout.as_secs()).as_bytes());
    }
}
