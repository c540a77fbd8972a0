//! Another location's answer in place of an error (`error_page`, `ngx_http_send_error_page`).

use super::onward::{Onward, Way};
use super::request::Guise;
use super::values::Known;
use super::{Ending, Env, Exchange, Failure, Link};
use crate::config::site::PageStatus;
use crate::http::Method;
use crate::http::fields::Fields;
use crate::http::framing::{self, Length};
use crate::http::head::{self, Parsed};
use crate::http::rewrite::ClientFraming;

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
        let way = Way::to(goal);
        if let Way::Target(_) = way {
            // It is fetched, whatever the request wanted done.
            self.request.guise = Guise::Page;
        }
        self.response.reset_behind_interim(env);
        self.go_on_to(&way, &Onward { head: &bytes, target: &target, length: body, turns: 0 }, env);
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

    /// The framing that the client sees where it sees another status than this one of the server's (`error_page`), and
    /// only one of the two has a body (RFC 9110 sections 15.3.5 and 15.4.5).
    #[cold]
    pub(super) fn reframed(&self, status: u16) -> Option<ClientFraming> {
        let shown = self.status_shown.filter(|_| status >= 200)?;
        let has_body = |status| !matches!(status, 204 | 304);
        match (has_body(status), has_body(shown)) {
            (true, false) => Some(ClientFraming::Bodiless),
            (false, true) if self.request.method != Method::Head => Some(ClientFraming::Empty),
            _ => None,
        }
    }
}
