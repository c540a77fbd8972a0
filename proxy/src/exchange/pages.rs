//! Another location's answer in place of an error (`error_page`, `ngx_http_send_error_page`).

use super::request_head::Fate;
use super::values::Known;
use super::{Ending, Env, Exchange};
use crate::config::site::PageStatus;
use crate::http::body::Cursor;
use crate::http::framing::Length;
use crate::http::head::{self, Parsed};
use crate::http::rewrite;
use crate::http::target::{self, Target};
use crate::http::{Method, uri};

/// The most times that one request is sent to another location (nginx: `NGX_HTTP_MAX_URI_CHANGES`).
const REDIRECTS_MAX: u8 = 10;

impl Exchange {
    /// Whether another location would answer in place of an error of this status.
    pub(super) fn has_page_for(&self, status: u16) -> bool {
        let rules = &self.place.rules;
        let once = self.redirects == 0 || rules.recursive_error_pages;
        once && self.redirects < REDIRECTS_MAX
            && self.request.is_whole()
            && self.record.is_some()
            && rules.error_pages.iter().any(|page| page.statuses.contains(&status))
    }

    /// Lets another location answer in place of an error of this status, where the configuration says so. Says
    /// whether it does.
    #[cold]
    pub(super) fn answers_elsewhere(&mut self, status: u16, env: &mut Env) -> bool {
        let place = self.place.clone();
        let pages = &place.rules.error_pages;
        let Some(page) = pages.iter().find(|page| page.statuses.contains(&status)) else { return false };
        let once = self.redirects == 0 || place.rules.recursive_error_pages;
        // A body that still comes would have to be read for nothing.
        let is_possible =
            self.request.is_whole() && self.ending == Ending::Open && !self.response.has_begun();
        if !once || self.redirects >= REDIRECTS_MAX || !is_possible {
            return false;
        }
        let Some(record) = self.record.as_deref().filter(|record| !record.head.is_empty()) else {
            return false;
        };
        let mut goal = Vec::new();
        Known::new(self, env.moment()).expand(&page.target, &mut goal);
        let bytes = record.head.clone();

        self.redirects += 1;
        self.closes_after(status);
        self.status_shown = match page.status {
            PageStatus::Kept => Some(status),
            PageStatus::Own => None,
            PageStatus::Set(status) => Some(status),
        };
        self.request.cut(env);
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
        match self.go(&bytes, &goal, env) {
            Some(Fate::Forwarded) => self.forward_anew(env),
            Some(Fate::Fetched) => {
                self.response.reset_behind_interim(env);
                self.pursue(env);
            }
            Some(Fate::Discarded) => unreachable!("the request for a page has no body"),
            Some(Fate::Answered(status)) => self.answer(status, true, env),
            Some(Fate::Refused(status)) => self.answer(status, false, env),
            None => return false,
        }
        true
    }

    /// The head that lies in `out` goes to a server, in place of the request that has failed.
    pub(super) fn forward_anew(&mut self, env: &mut Env) {
        if let Some(record) = &mut self.record {
            record.goes_on_elsewhere = true;
        }
        self.response.reset_behind_interim(env);
        self.request.holds_new_head();
        self.want_server(env.now);
        self.starts_anew = true;
    }

    /// Sends the request with this head to `goal`, a path or the name of a location.
    fn go(&mut self, bytes: &[u8], goal: &[u8], env: &mut Env) -> Option<Fate> {
        let (scratch, mut tools) = env.split();
        let Ok(Parsed::Complete(mut head)) = head::request(bytes, scratch) else { return None };
        let mut target = target::of(head.method, head.target, head.version, &head.fields).ok()?;
        if goal.first() == Some(&b'@') {
            self.place = self.routes.named(self.place.site, goal)?.clone();
        } else {
            let (path, _) = uri::split(goal);
            tools.path.clear();
            uri::normalize(path, tools.path).ok()?;
            self.place = self.routes.find_in(self.place.site, tools.path).clone();
            // Arguments are those of the page, or none.
            target = Target { path: goal, host: target.host };
            // The page is fetched, whatever the request wanted done.
            if head.method != Method::Head {
                (head.method, head.method_name) = (Method::Get, b"GET");
            }
        }
        self.request.method = head.method;
        let wishes = rewrite::wishes(&head);
        self.request.cursor = Cursor::default();
        let message = self.message(&head, &target, Length::Empty, &wishes).sent_here();
        match self.follow(&message, &mut tools) {
            Ok(fate) => Some(fate),
            Err(refusal) => {
                tools.text.clear();
                Some(Fate::Refused(refusal.status))
            }
        }
    }
}
