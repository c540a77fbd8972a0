//! The proxy's own answers to requests that it reads to their end: what `return` says, and pages for errors.

use super::values::Known;
use super::{Ending, Env, Exchange};
use crate::config::site::Added;
use crate::http::Method;
use crate::http::reply::{self, Content, Reply};
use crate::site::Place;

/// The client is sent elsewhere: the text of a `return` is where to.
pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

impl Exchange {
    /// Answers a request whose head has been read; where it `has_text`, with that which lies in `env.text`.
    pub(super) fn answer(&mut self, status: u16, has_text: bool, env: &mut Env) {
        if status == 444 {
            self.ending = Ending::Close;
            return;
        }
        let place = self.place.clone();
        if status >= 300 && !has_text && self.record.is_some() && self.answers_elsewhere(status, env) {
            return;
        }
        let status = self.status_shown.unwrap_or(status);
        // What is left of a body is not waited for.
        let keep_alive = self.request.is_whole() && self.request.keep_alive && !env.draining;
        self.request.cut(env);
        let text = std::mem::take(&mut env.text);
        if is_redirect(status) && has_text {
            self.write(status, keep_alive, Content::Page(""), Some(&text), env);
        } else if has_text {
            let content = Content::Text { kind: &place.rules.default_type, body: &text };
            self.write(status, keep_alive, content, None, env);
        } else {
            self.write(status, keep_alive, Content::Page(""), None, env);
        }
        env.text = text;
    }

    /// Sends the client to another address.
    pub(super) fn redirect(&mut self, status: u16, to: &[u8], env: &mut Env) {
        let keep_alive = self.request.keep_alive && !env.draining;
        self.write(status, keep_alive, Content::Page(""), Some(to), env);
    }

    /// Writes an answer of the proxy's own, which is then the response.
    pub(super) fn write_answer(
        &mut self,
        status: u16,
        keep_alive: bool,
        content: Content<'_>,
        env: &mut Env,
    ) {
        self.write(status, keep_alive, content, None, env);
    }

    fn write(
        &mut self,
        status: u16,
        keep_alive: bool,
        content: Content<'_>,
        location: Option<&[u8]>,
        env: &mut Env,
    ) {
        let mut fields = Vec::new();
        if self.place.changes_answers {
            let place = self.place.clone();
            self.response.status = status;
            let known = Known::new(self, env.now, env.wall.at(env.now));
            add_fields(&place, status, &known, &mut fields);
        }
        let is_long = matches!(content, Content::Text { body, .. } if body.len() > 1024);
        let out = self.response.out(is_long, &mut env.buffers);
        let answer = Reply {
            status,
            content,
            location,
            fields: &fields,
            keep_alive,
            head: self.request.method == Method::Head,
            date: env.date.as_bytes(),
        };
        match reply::write(out, &answer) {
            Ok(body) => self.response.is_own(status, keep_alive, body),
            // A buffer holds 2 KiB more than the smallest head limit, so an interim response was in the way.
            Err(_) => self.ending = Ending::Reset,
        }
    }
}

/// Appends the lines of fields that responses of this status get (`add_header`).
pub(super) fn add_fields(place: &Place, status: u16, known: &Known<'_>, out: &mut Vec<u8>) {
    let is_good = matches!(status, 200 | 201 | 204 | 206 | 301..=304 | 307 | 308);
    for Added { name, value, is_always } in &place.rules.delivery.added {
        if !is_good && !is_always {
            continue;
        }
        let start = out.len();
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        let value_start = out.len();
        known.expand(value, out);
        // A value may hold what a client sent; no line may end in it.
        if out.len() == value_start || out[value_start..].iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
        {
            out.truncate(start);
        } else {
            out.extend_from_slice(b"\r\n");
        }
    }
}
