//! What a configuration file says of a request beyond its place: whom to let in, what is kept, how it goes on.

use std::net::IpAddr;

use super::answer::is_redirect;
use super::env::Tools;
use super::files::Fetch;
use super::request_head::{Arrival, Fate, Message};
use super::scope::Scope;
use super::values::{Asked, Known};
use super::{Exchange, Failure};
use crate::config::site::{Added, RedirectFrom, Set, SiteName};
use crate::config::{Action, Listen};
use crate::http::framing::Length;
use crate::http::head::ResponseHead;
use crate::http::rewrite::{self, Changes, ClientFraming, Delivery};
use crate::http::{Refusal, reply, uri};
use crate::site::{Place, name_of};

impl Exchange {
    /// Does what the place of a request says.
    #[inline(never)]
    pub(super) fn follow(&mut self, message: &Message<'_>, tools: &mut Tools<'_>) -> Result<Fate, Refusal> {
        let place = self.place.clone();
        // Each place on the way has a say.
        self.request.keep_alive &= self.may_persist(tools.moment.now);
        self.destination = None;
        // Where nothing was looked for, the path is not in its normal form yet.
        let (path, _) = uri::split(message.target.path);
        tools.path.clear();
        if uri::normalize(path, tools.path).is_err() {
            tools.path.extend_from_slice(path);
        }
        if place.completes_redirects {
            self.host.clear();
            self.host.extend_from_slice(message.target.host.unwrap_or_default());
        }
        let mut scope = self.enter(&place, message, tools);
        // Apart, so that it can be written while the exchange is asked.
        let mut record = self.record.take();
        if let Some(record) = &mut record {
            Exchange::keep(&place, &self.asked(message, tools, &scope), record);
            // What another place has kept is not in this one's order.
            record.of_sent.clear();
            if self.redirects == 0 {
                record.keep_head(&place, &message.head.fields.bytes()[..message.head.len]);
            }
            record.keep_target(&place, message.target.path);
        }
        self.record = record;
        let fate = self.obey(&place, message, tools, &mut scope);
        // What is refused has no body that counts, and where a page is fetched without one, that of the request stands.
        if let (Ok(Fate::Forwarded | Fate::Discarded), Some(record)) = (&fate, &mut self.record)
            && place.keeps_body
            && message.length != Length::Empty
        {
            record.body.begin(message.length, place.rules.body_kept_max);
        }
        // Where the request may go on to another place, its variables go along.
        self.scope = (self.fetch.is_some() || !place.rules.error_pages.is_empty()).then(|| Box::new(scope));
        fate
    }

    /// Keeps what logs and other locations need of a request that is refused for its head.
    #[cold]
    pub(super) fn keep_refused(&mut self, message: &Message<'_>, tools: &Tools<'_>) {
        let Some(mut record) = self.record.take() else { return };
        let place = self.place.clone();
        let scope = self.enter_site(&place, message, tools);
        Exchange::keep(&place, &self.asked(message, tools, &scope), &mut record);
        record.keep_head(&place, &message.head.fields.bytes()[..message.head.len]);
        record.keep_target(&place, message.target.path);
        record.request_length += message.head.len as u64;
        self.record = Some(record);
        self.scope = Some(Box::new(scope));
    }

    pub(super) fn asked<'a>(
        &'a self,
        message: &'a Message<'a>,
        tools: &'a Tools<'_>,
        scope: &'a Scope,
    ) -> Asked<'a> {
        Asked {
            head: message.head,
            target: message.target,
            length: message.length,
            path: tools.path,
            scope,
            known: Known::new(self, tools.moment),
        }
    }

    /// Gives variables their values: named groups of expressions, then `set`. A request that the proxy sends from place
    /// to place keeps those it has (`ngx_http_internal_redirect`, `ngx_http_named_location`).
    fn enter(&mut self, place: &Place, message: &Message<'_>, tools: &Tools<'_>) -> Scope {
        let kept = self.scope.take().map(|scope| *scope);
        let mut scope = match (message.arrival, kept) {
            (Arrival::Stays, Some(scope)) => return scope,
            (Arrival::ByName, Some(scope)) => scope,
            (Arrival::ByPath, Some(mut scope)) => {
                // The arguments are part of the path that it is sent to.
                scope.args = None;
                self.assign(&place.sets[..place.site_sets], message, tools, &mut scope);
                scope
            }
            (_, _) => self.enter_site(place, message, tools),
        };
        for pattern in &place.patterns {
            scope.matches(pattern, tools.path);
        }
        self.assign(&place.sets[place.site_sets..], message, tools, &mut scope);
        scope
    }

    /// The values that a site gives, before a location is looked for: groups of the name that it was found by, then `set`.
    fn enter_site(&self, place: &Place, message: &Message<'_>, tools: &Tools<'_>) -> Scope {
        let mut scope = Scope::new(self.routes.slots());
        if !place.site_names.is_empty() {
            let name = name_of(message.target.host.unwrap_or_default()).to_ascii_lowercase();
            // An expression is not asked where another name stands for it.
            if !place.site_names.iter().any(|known| known.stands_for(&name).is_some()) {
                let mut patterns = place.site_names.iter().filter_map(SiteName::pattern);
                let _ = patterns.any(|pattern| scope.matches(pattern, &name));
            }
        }
        self.assign(&place.sets[..place.site_sets], message, tools, &mut scope);
        scope
    }

    fn assign(&self, sets: &[Set], message: &Message<'_>, tools: &Tools<'_>, scope: &mut Scope) {
        for set in sets {
            let mut value = Vec::new();
            self.asked(message, tools, scope).expand(&set.value, &mut value);
            scope.set(&set.variable, value);
        }
    }

    fn obey(
        &mut self,
        place: &Place,
        message: &Message<'_>,
        tools: &mut Tools<'_>,
        scope: &mut Scope,
    ) -> Result<Fate, Refusal> {
        // In the order of nginx's phases: `internal`, then `return`, then access.
        if place.is_internal && message.arrival == Arrival::Asked {
            return Ok(Fate::Refused(404));
        }
        if !matches!(place.action, Action::Answer(_)) && !place.lets_in(self.client) {
            return Ok(Fate::Refused(403));
        }
        if let Some(tries) = place.try_files.as_ref().filter(|_| message.arrival != Arrival::Stays) {
            let fetch = Fetch::to_first_of(tries, &place.files, message, &self.asked(message, tools, scope));
            self.fetch = Some(Box::new(fetch));
            return Ok(Fate::Fetched);
        }
        match &place.action {
            Action::Answer(answer) => {
                let mut text = Vec::new();
                if let Some(template) = &answer.text {
                    self.asked(message, tools, scope).expand(template, &mut text);
                }
                if is_redirect(answer.status) && text.first() == Some(&b'/') {
                    let start = self.own_address(place, message.target.host);
                    text.splice(0..0, start);
                }
                *tools.text = text;
                let status = answer.status;
                // Without a text, an error has a page, and anything else is empty (`ngx_http_script_return_code`).
                let has_text = match &answer.text {
                    Some(template) => status < 400 || !template.parts.is_empty(),
                    None => status < 400 && !is_redirect(status),
                };
                Ok(if has_text { Fate::Answered(status) } else { Fate::Refused(status) })
            }
            Action::Proxy(pass) => {
                // Of a server that has been asked nothing is known any more (`ngx_http_upstream_create`).
                if let Some(record) = &mut self.record {
                    record.of_answer.clear();
                }
                self.pass(place, pass, message, tools, scope)
            }
            Action::File => {
                let fetch = Fetch::to_file(&place.files, message, &self.asked(message, tools, scope));
                self.fetch = Some(Box::new(fetch));
                Ok(Fate::Fetched)
            }
            Action::StubStatus => {
                self.fetch = Some(Box::new(Fetch::to_counters(message, tools.path)));
                Ok(Fate::Fetched)
            }
        }
    }
}

impl Exchange {
    /// What a redirect to a path of the site's own begins with (`absolute_redirect` and the like): the `host` that the
    /// client has asked for, or the site's name, or else the address that it has connected to. Nothing where that is not
    /// known: a path alone leads back here as well (RFC 9110 section 10.2.2).
    pub(super) fn own_address(&self, place: &Place, host: Option<&[u8]>) -> Vec<u8> {
        let how = place.rules.delivery.own_redirects;
        if !how.are_absolute {
            return Vec::new();
        }
        let listen = match self.routes.address(self.listener) {
            Some(Listen::Tcp(address)) => Some(*address),
            Some(Listen::Unix(_)) | None => None,
        };
        let name = if how.name_the_site { place.name.as_bytes() } else { name_of(host.unwrap_or_default()) };
        let mut text = b"http://".to_vec();
        match name {
            b"" => {
                let address = self.came_to.or(listen.map(|listen| listen.ip()));
                let Some(address) = address.filter(|address| !address.is_unspecified()) else {
                    return Vec::new();
                };
                let address = match address {
                    IpAddr::V4(address) => address.to_string(),
                    IpAddr::V6(address) => format!("[{address}]"),
                };
                text.extend_from_slice(address.as_bytes());
            }
            name => text.extend(name.to_ascii_lowercase()),
        }
        if let Some(listen) = listen.filter(|listen| how.have_port && listen.port() != 80) {
            text.extend_from_slice(format!(":{}", listen.port()).as_bytes());
        }
        text
    }
}

impl Exchange {
    /// Writes the head of a server's response for the client as the place says, and keeps what that asks for.
    #[inline(never)]
    pub(super) fn deliver(
        &mut self,
        head: &ResponseHead<'_, '_>,
        delivery: &Delivery,
        tools: &mut Tools<'_>,
    ) -> Result<(), Failure> {
        let (place, moment) = (self.place.clone(), tools.moment);
        // `error_page` may want the client to see another status than that of the server.
        let answered = head.status;
        let shown = self.status_shown.filter(|_| head.status >= 200);
        let head = &match shown {
            Some(status) => {
                ResponseHead { status, reason: reply::reason(status).as_bytes(), plain_line: 0, ..*head }
            }
            None => ResponseHead { ..*head },
        };
        let mut delivery = *delivery;
        if shown.is_some() {
            self.response.status = head.status;
            if let Some(framing) = self.reframed(answered) {
                delivery.framing = framing;
                if framing == ClientFraming::Bodiless {
                    self.response.drops_body();
                }
            }
        }
        let mut record = self.record.take();
        if let Some(record) = &mut record {
            Exchange::keep_of_answer(&place, &head.fields, record);
            // An interim response is no answer yet: the final one may never come.
            let is_final = answered >= 200 || answered == 101;
            if let Some(one) = record.current().filter(|_| is_final) {
                one.status = answered;
                one.answered.get_or_insert(moment.now);
            }
        }
        self.record = record;
        let (mut added, mut location, mut refresh) = (Vec::new(), None, None);
        let changes = place.changes_answers && head.status >= 200;
        let hidden = if changes { place.rules.delivery.hidden.as_slice() } else { &[] };
        let is_hidden = |name: &[u8]| hidden.iter().any(|one| one.as_bytes().eq_ignore_ascii_case(name));
        if changes {
            let known = Known::new(self, moment);
            // What is left out does not come back by another word.
            let find = |name: &str| head.fields.find(name).filter(|_| !is_hidden(name.as_bytes()));
            location = find("location").and_then(|from| redirected(&place, from, &known));
            // (`ngx_http_upstream_rewrite_location`, `ngx_http_header_filter`)
            if let Some(path) = location.as_mut().filter(|to| to.first() == Some(&b'/')) {
                path.splice(0..0, self.own_address(&place, Some(&self.host)));
            }
            refresh = find("refresh").and_then(|from| refreshed(&place, from, &known));
        }
        let (location, refresh) = (location.as_deref(), refresh.as_deref());
        if let Some(record) = &mut self.record {
            let fields = || head.fields.iter().filter(|(_, name, _)| !is_hidden(name));
            record.keep_sent(&place, || fields().map(|(_, name, value)| (name, value)));
        }
        if head.status >= 200 {
            let known = Known::new(self, moment);
            let lesson = self.lesson_of_answer(&known);
            self.tell_server(&known, moment.wall(), &mut added);
            self.append_fields(&place, delivery.keep_alive, moment, &mut added);
            self.lesson = lesson;
        }
        let added_here =
            place.rules.delivery.added.iter().filter(|added| changes && added.is_for(head.status));
        let replaced: Vec<_> = added_here.filter_map(Added::validator).collect();
        let changes = Changes { hidden, replaced: &replaced, added: &added, location, refresh };
        let out = self.response.out.get_or_insert_with(|| tools.buffers.small());
        let start = out.len();
        rewrite::changed_response(out, head, &delivery, &changes, tools.date.as_bytes())
            .map_err(|_| Failure::HeadTooLarge)?;
        self.keep_sent(start, 0);
        Ok(())
    }
}

/// What becomes of a `Location` (`proxy_redirect`): the first rule that fits changes its beginning, or all of it where
/// that is a regular expression.
fn redirected(place: &Place, from: &[u8], known: &Known<'_>) -> Option<Vec<u8>> {
    place.rules.delivery.redirects.iter().find_map(|rule| {
        let mut to = Vec::new();
        match &rule.from {
            RedirectFrom::Text(template) => {
                let mut text = Vec::new();
                known.expand(template, &mut text);
                let rest = from.strip_prefix(text.as_slice())?;
                known.expand(&rule.to, &mut to);
                to.extend_from_slice(rest);
            }
            RedirectFrom::Regex(pattern) => {
                pattern.regex().is_match(from).then_some(())?;
                known.expand_matched(&rule.to, pattern, from, &mut to);
            }
        }
        Some(uri::as_value(&to).into_owned())
    })
}

/// What becomes of a `Refresh`: the rules are for the address in it (`ngx_http_upstream_rewrite_refresh`).
fn refreshed(place: &Place, from: &[u8], known: &Known<'_>) -> Option<Vec<u8>> {
    const MARK: &[u8] = b"url=";
    let at = from.windows(MARK.len()).position(|window| window.eq_ignore_ascii_case(MARK))?;
    let (start, url) = from.split_at(at + MARK.len());
    Some([start, &redirected(place, url, known)?].concat())
}
