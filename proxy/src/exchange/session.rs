//! Clients that keep their server (`sticky`): what a request says of it, the cookie that tells a client, and what is learnt
//! from a response.

use std::io::Write;
use std::sync::Arc;

use super::Exchange;
use super::values::{Asked, Known};
use crate::config::{Cookie, Expires, Sticky};
use crate::key::{Digest, Lesson};
use crate::time::Duration;

impl Asked<'_> {
    /// What the request calls its server or its session, in the first of the places that says something.
    pub(super) fn session(&self, sticky: &Sticky, room: &mut Vec<u8>) -> Option<Digest> {
        for template in &sticky.lookup {
            room.clear();
            self.expand(template, room);
            if !room.is_empty() {
                return Some(Digest::new(room));
            }
        }
        None
    }
}

impl Exchange {
    /// Clients that keep to the chosen server call it so.
    pub fn is_bound_to(&mut self, session: Option<Arc<str>>) {
        self.session_of_server = session;
    }

    /// What the response says of a session: of one that begins, or else of the one that the request named
    /// (`ngx_http_upstream_sticky_learn_peer`).
    pub(super) fn lesson_of_answer(&self, known: &Known<'_>) -> Option<Lesson> {
        let sticky = self.upstream().and_then(|group| self.routes.sticky(group))?;
        let mut text = Vec::new();
        for template in &sticky.learn.as_ref()?.create {
            known.expand(template, &mut text);
            if !text.is_empty() {
                return Some(Lesson { session: Digest::new(&text), begins: true });
            }
        }
        Some(Lesson { session: self.session?, begins: false })
    }

    /// Appends the field that tells the client its server, where there is a cookie for that
    /// (`ngx_http_upstream_sticky_cookie_insert`). It is there with every response, so that its time begins anew.
    pub(super) fn tell_server(&self, known: &Known<'_>, wall: Duration, out: &mut Vec<u8>) {
        let sticky = self.upstream().and_then(|group| self.routes.sticky(group));
        if let (Some(Sticky { cookie: Some(cookie), .. }), Some(server)) = (sticky, &self.session_of_server) {
            write(cookie, server, known, wall, out);
        }
    }
}

fn write(cookie: &Cookie, server: &str, known: &Known<'_>, wall: Duration, out: &mut Vec<u8>) {
    let start = out.len();
    let mut add = |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("a Vec takes all");
    add(format_args!("Set-Cookie: {}={server}", cookie.name));
    match cookie.expires {
        Some(Expires::Never) => add(format_args!("; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000")),
        Some(Expires::After(span)) => {
            let date = date(Duration::from_secs(wall.as_secs()) + span);
            add(format_args!("; expires={date}; max-age={}", span.as_secs()));
        }
        None => {}
    }
    let mut value = Vec::new();
    known.expand(&cookie.domain, &mut value);
    if !value.is_empty() {
        out.extend_from_slice(b"; domain=");
        out.extend_from_slice(&value);
    }
    out.extend_from_slice(if cookie.is_http_only { b"; httponly" } else { b"" });
    out.extend_from_slice(if cookie.is_secure { b"; secure" } else { b"" });
    value.clear();
    known.expand(&cookie.same_site, &mut value);
    if !value.is_empty() {
        out.extend_from_slice(b"; samesite=");
        out.extend_from_slice(if Cookie::knows_same_site(&value) { &value } else { b"strict" });
    }
    if !cookie.path.is_empty() {
        out.extend_from_slice(b"; path=");
        out.extend_from_slice(cookie.path.as_bytes());
    }
    // A domain may hold what a client sent; no line may end in it.
    if out[start..].iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        out.truncate(start);
    } else {
        out.extend_from_slice(b"\r\n");
    }
}

/// A time as nginx has it in cookies: `Thu, 31-Dec-37 23:55:55 GMT`, with all digits of the year from 2038 on
/// (`ngx_http_cookie_time`).
fn date(wall: Duration) -> String {
    let text = httpdate::HttpDate::from(std::time::UNIX_EPOCH + wall).to_string();
    let (day, month, year, time) = (&text[..7], &text[8..11], &text[12..16], &text[16..]);
    let year = if year > "2037" { year } else { &year[2..] };
    format!("{day}-{month}-{year}{time}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_cookies() {
        assert_eq!(date(Duration::from_secs(2_145_916_555)), "Thu, 31-Dec-37 23:55:55 GMT");
        assert_eq!(date(Duration::from_secs(2_145_916_800)), "Fri, 01-Jan-2038 00:00:00 GMT");
        assert_eq!(date(Duration::ZERO), "Thu, 01-Jan-70 00:00:00 GMT");
    }
}
