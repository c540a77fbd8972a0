//! Another location's answer in place of an error (`error_page`, `ngx_http_send_error_page`).

use super::request::Guise;
use super::request_head::{Arrival, Fate};
use super::values::Known;
use super::{Ending, Env, Exchange, Failure, Link};
use crate::config::site::PageStatus;
use crate::http::body::Cursor;
use crate::http::fields::Fields;
use crate::http::framing::{self, Length};
use crate::http::head::{self, Parsed};
use crate::http::rewrite;
use crate::http::target::{self, Target};
use crate::http::uri;

/// The most times that one request is sent to another location (nginx: `NGX_HTTP_MAX_URI_CHANGES`).
const REDIRECTS_MAX: u8 = 10;

impl Exchange {
    /// Whether a server's response of this status does not go to the client, as there is a page for that
    /// (`proxy_intercept_errors`).
    pub(super) fn intercepts(&self, status: u16) -> bool {
        let rules = &self.place.rules;
        rules.intercepts_errors
            && self.request.is_whole()
            && rules.error_pages.iter().any(|page| page.statuses.contains(&status))
    }

    /// A server's response of this status is intercepted. Where the request has had its page, this error is the one that
    /// the client sees.
    pub(super) fn intercepted(&mut self, status: u16, fields: &Fields<'_, '_>) {
        if let Some(record) = &mut self.record {
            Exchange::keep_of_answer(&self.place, fields, record);
            if status == 401 {
                record.keep_challenges(fields);
            }
        }
        if self.request.has_its_page {
            self.status_shown = None;
            self.closes_after(status);
        }
    }

    /// Lets another location answer in place of an error of this status, where the configuration says so. Says
    /// whether it does.
    #[cold]
    pub(super) fn answers_elsewhere(&mut self, status: u16, env: &mut Env) -> bool {
        let place = self.place.clone();
        let pages = &place.rules.error_pages;
        let Some(page) = pages.iter().find(|page| page.statuses.contains(&status)) else { return false };
        let is_open = self.ending == Ending::Open && !self.response.has_begun();
        if self.request.has_its_page || !is_open {
            return false;
        }
        if self.redirects >= REDIRECTS_MAX {
            // They lead round in a circle (`ngx_http_internal_redirect`).
            self.request.has_its_page = true;
            self.give_up(500, env);
            return true;
        }
        let Some(record) = self.record.as_deref().filter(|record| !record.head.is_empty()) else {
            return false;
        };
        let (bytes, target) = (record.head.clone(), record.target.clone());
        let mut goal = Vec::new();
        Known::new(self, env.moment()).expand(&page.target, &mut goal);
        let Some(body) = self.body_for(&goal, status, &bytes, env) else { return false };

        match self.link {
            Link::None => {}
            // Nothing of it is on its way yet.
            Link::Wanted { .. } => self.link = Link::None,
            // The server is parted with first.
            _ => {
                self.failure = Some(Failure::Refused(status));
                return true;
            }
        }
        // What was fetched for the request itself is of no use any more.
        self.fetch = None;
        self.redirects += 1;
        self.request.has_its_page = !place.rules.recursive_error_pages;
        self.closes_after(status);
        self.status_shown = match page.status {
            PageStatus::Kept => Some(super::answer::shown(status)),
            PageStatus::Own => None,
            PageStatus::Set(status) => Some(status),
        };
        match body {
            Length::Empty => self.request.cut(env),
            _ => self.request.take_back(env),
        }
        if !matches!(goal.first(), Some(b'/' | b'@')) {
            // An address: the client goes there itself.
            let status = match page.status {
                PageStatus::Set(status) if super::answer::is_redirect(status) => status,
                _ => 302,
            };
            self.status_shown = None;
            self.redirect(status, &goal, env);
            return true;
        }
        let was_counted = place.passes_on();
        match self.go(&bytes, &target, &goal, body, env) {
            Some(Fate::Forwarded) => {
                self.keep_judged(was_counted);
                self.forward_anew(env);
            }
            Some(Fate::Discarded) => {
                self.keep_judged(was_counted);
                self.begin_anew(env);
                self.discard_body(env);
            }
            Some(Fate::Fetched) => {
                self.response.reset_behind_interim(env);
                self.pursue(env);
            }
            Some(Fate::Answered(status)) => self.answer(status, true, env),
            Some(Fate::Refused(status)) => self.answer(status, false, env),
            None => return false,
        }
        true
    }

    /// The body that a request with this head has on its way to `goal`, in place of an error of this status; `None` where it
    /// cannot go there. Without its body it stays. To a location of a name a request goes as it is, so all of its body that has come has to be here
    /// yet. For anything else a page is fetched, which takes no body: one that still comes would have to be read for
    /// nothing, but for one that is too long, which ends the connection anyway.
    fn body_for(&self, goal: &[u8], status: u16, head: &[u8], env: &mut Env) -> Option<Length> {
        let Ok(Parsed::Complete(head)) = head::request(head, &mut env.scratch) else { return None };
        let length = framing::request(&head.fields, head.version).ok()?;
        let is_named = goal.first() == Some(&b'@');
        if self.request.guise != Guise::Same {
            return Some(Length::Empty);
        }
        if status == 413 || self.request.is_whole() && (length == Length::Empty || !is_named) {
            return Some(Length::Empty);
        }
        // Errors that are about the request, or about the time it takes, are no reason to go on with it.
        let goes_on = is_named && self.request.has_its_body() && !matches!(status, 400 | 408);
        goes_on.then_some(length)
    }

    /// The head that lies in `out` goes to a server, in place of the request that has failed.
    pub(super) fn forward_anew(&mut self, env: &mut Env) {
        self.begin_anew(env);
        self.request.holds_new_head();
        self.want_server(env.now);
    }

    /// Servers are asked anew, in place of those for which the request has failed.
    pub(super) fn begin_anew(&mut self, env: &mut Env) {
        if let Some(record) = &mut self.record {
            record.goes_on_elsewhere = true;
        }
        self.response.reset_behind_interim(env);
        self.starts_anew = true;
    }

    /// What has come of the body was judged at another place, which may not have kept it nor counted it.
    pub(super) fn keep_judged(&mut self, was_counted: bool) {
        let Some(record) = self.record.as_mut().filter(|_| self.place.passes_on()) else { return };
        let bytes = self.request.judged();
        record.body.keep(bytes);
        if !was_counted {
            record.request_length += bytes.len() as u64;
        }
    }

    /// Sends the request with this head and a body of this length to `goal`, a path or the name of a location; to the latter
    /// with its target as it is by now.
    fn go(&mut self, bytes: &[u8], now: &[u8], goal: &[u8], body: Length, env: &mut Env) -> Option<Fate> {
        let (scratch, mut tools) = env.split();
        let Ok(Parsed::Complete(mut head)) = head::request(bytes, scratch) else { return None };
        let mut target = target::of(head.method, head.target, head.version, &head.fields).ok()?;
        let mut escaped = Vec::new();
        let is_named = goal.first() == Some(&b'@');
        if is_named {
            target = Target { path: now, host: target.host };
            // (`ngx_http_named_location`)
            let Some(named) = self.routes.named(self.place.site, goal) else {
                return Some(Fate::Refused(500));
            };
            self.place = named.clone();
        } else {
            // What stands there is meant as it is: variables are decoded already (`ngx_http_internal_redirect`).
            let (path, args) = uri::split(goal);
            uri::escape(path, &mut escaped);
            tools.path.clear();
            uri::normalize(&escaped, tools.path).ok()?;
            self.place = self.routes.find_in(self.place.site, tools.path).clone();
            // Arguments are those of the page, or none.
            if let Some(args) = args {
                escaped.push(b'?');
                escaped.extend_from_slice(args);
            }
            target = Target { path: &escaped, host: target.host };
            // It is fetched, whatever the request wanted done.
            self.request.guise = Guise::Page;
        }
        if body == Length::Empty && framing::request(&head.fields, head.version) != Ok(Length::Empty) {
            self.request.guise = self.request.guise.max(Guise::Bodiless);
        }
        self.request.guise.dress(&mut head);
        self.request.method = head.method;
        let wishes = rewrite::wishes(&head);
        if body == Length::Empty {
            self.request.cursor = Cursor::default();
        }
        let arrival = if is_named { Arrival::ByName } else { Arrival::ByPath };
        let message = self.message(&head, &target, body, &wishes).arriving(arrival);
        match self.follow(&message, &mut tools) {
            Ok(fate) => Some(fate),
            Err(refusal) => {
                tools.text.clear();
                Some(Fate::Refused(refusal.status))
            }
        }
    }
}
