//! What a configuration file says of a request beyond its place: whom to let in, what is kept, how it goes on.

use super::answer::is_redirect;
use super::destination::Nowhere;
use super::env::Tools;
use super::files::Fetch;
use super::request::joined;
use super::request_head::{Fate, Message, TOO_LARGE};
use super::scope::Scope;
use super::values::{Asked, Known};
use super::{Exchange, Failure};
use crate::buffer::{Buffer, Full};
use crate::config::site::{Added, Forwarding, Listed, PassTarget, PassUri, RedirectFrom};
use crate::config::template::Variable;
use crate::config::{Action, Listen, Pass};
use crate::http::fields::Role;
use crate::http::framing::Length;
use crate::http::head::ResponseHead;
use crate::http::lines::is_token;
use crate::http::rewrite::{self, Changes, Delivery};
use crate::http::target::Target;
use crate::http::{Method, Refusal, listed, reply, uri};
use crate::key::Key;
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
        let mut scope = self.scope(&place, message, tools);
        // Apart, so that it can be written while the exchange is asked.
        let mut record = self.record.take();
        if let Some(record) = &mut record {
            Exchange::keep(&place, &self.asked(message, tools, &scope), record);
            // What another place has kept is not in this one's order.
            record.of_answer.clear();
            record.of_sent.clear();
            if place.keeps_body {
                record.body.begin(message.length, place.rules.body_kept_max);
            }
            if !place.rules.error_pages.is_empty() && self.redirects == 0 {
                record.head.clear();
                record.head.extend_from_slice(&message.head.fields.bytes()[..message.head.len]);
            }
        }
        self.record = record;
        self.obey(&place, message, tools, &mut scope)
    }

    fn asked<'a>(&'a self, message: &'a Message<'a>, tools: &'a Tools<'_>, scope: &'a Scope) -> Asked<'a> {
        Asked {
            head: message.head,
            target: message.target,
            length: message.length,
            path: tools.path,
            scope,
            known: Known::new(self, tools.moment),
        }
    }

    /// Gives variables their values: named groups of expressions, then `set`.
    fn scope(&self, place: &Place, message: &Message<'_>, tools: &Tools<'_>) -> Scope {
        let mut scope = Scope::new(self.routes.slots());
        if !place.name_patterns.is_empty() {
            let name = name_of(message.target.host.unwrap_or_default()).to_ascii_lowercase();
            let _ = place.name_patterns.iter().any(|pattern| scope.matches(pattern, &name));
        }
        if let Some(pattern) = &place.pattern {
            scope.matches(pattern, tools.path);
        }
        for set in &place.sets {
            let mut value = Vec::new();
            self.asked(message, tools, &scope).expand(&set.value, &mut value);
            scope.set(&set.variable, value);
        }
        scope
    }

    fn obey(
        &mut self,
        place: &Place,
        message: &Message<'_>,
        tools: &mut Tools<'_>,
        scope: &mut Scope,
    ) -> Result<Fate, Refusal> {
        // `return` comes before access is looked at, as in nginx's phases.
        if !matches!(place.action, Action::Answer(_)) && !place.lets_in(self.client) {
            return Ok(Fate::Refused(403));
        }
        if place.is_internal && !message.is_sent_here {
            return Ok(Fate::Refused(404));
        }
        match &place.action {
            Action::Answer(answer) => {
                let mut text = Vec::new();
                if let Some(template) = &answer.text {
                    self.asked(message, tools, scope).expand(template, &mut text);
                }
                if is_redirect(answer.status) && text.first() == Some(&b'/') {
                    let start = own_address(place, message.target, self.routes.address(self.listener));
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
                let mut uri = Vec::new();
                if let PassTarget::Variable(template) = &pass.target {
                    let mut text = Vec::new();
                    self.asked(message, tools, scope).expand(template, &mut text);
                    uri = match self.head_for(&text) {
                        Ok(uri) => uri,
                        Err(Nowhere(why)) => {
                            log::error!("{why} in \"{}\"", text.escape_ascii());
                            return Ok(Fate::Refused(500));
                        }
                    };
                }
                if let Some(template) = self.upstream().and_then(|group| self.routes.key(group)) {
                    let mut key = std::mem::take(tools.text);
                    key.clear();
                    self.asked(message, tools, scope).expand(template, &mut key);
                    self.key = Key::new(&key);
                    *tools.text = key;
                }
                if let Some(sticky) = self.upstream().and_then(|group| self.routes.sticky(group)) {
                    let mut room = std::mem::take(tools.text);
                    self.session = self.asked(message, tools, scope).session(sticky, &mut room);
                    *tools.text = room;
                }
                let Forwarding::Listed(listed) = &place.rules.forwarding else {
                    self.forward(message, tools.buffers)?;
                    return Ok(Fate::Forwarded);
                };
                // HTTP/1.0 has no chunks (RFC 9112 section 6.1), and a body of no known length cannot be announced.
                if listed.is_http10 && message.length == Length::Chunked {
                    return Ok(Fate::Refused(411));
                }
                let mut out = tools.buffers.small();
                let asked = self.asked(message, tools, scope);
                let method = method_of(listed, message, &asked);
                let target = target_of(place, pass, &uri, message, &asked);
                let written = write(&mut out, place, listed, message, &asked, &method, &target);
                self.request.send_first(out);
                let told = written.map_err(|_| TOO_LARGE)?;
                // What is sent decides whether it may be sent again.
                if !planted!(JudgedByTheClient) {
                    self.request.method = Method::of(&method);
                }
                self.request.closes = told.closes;
                self.request.upgrade =
                    told.upgrade.then(|| joined(message.head.fields.values(Role::Upgrade)));
                // Who keeps the expectation from the server has to meet it (RFC 9110 section 10.1.1).
                if !told.expects && !message.is_sent_here && message.awaits_continue() {
                    let out = self.response.out(false, tools.buffers);
                    out.append(CONTINUE).expect("a fresh buffer has room");
                }
                Ok(Fate::Forwarded)
            }
            Action::File(files) => {
                let fetch = Fetch::to_file(files, message, &self.asked(message, tools, scope));
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

/// What a redirect to a path of the site's own begins with (`absolute_redirect` and the like), for a client of the
/// listener at `listen`.
pub(super) fn own_address(place: &Place, target: &Target<'_>, listen: Option<&Listen>) -> Vec<u8> {
    let how = place.rules.delivery.own_redirects;
    if !how.are_absolute {
        return Vec::new();
    }
    let asked = target.host.map(name_of).filter(|host| !host.is_empty() && !how.name_the_site);
    let mut text = b"http://".to_vec();
    text.extend(asked.unwrap_or(place.name.as_bytes()).to_ascii_lowercase());
    if let Some(Listen::Tcp(address)) = listen
        && how.have_port
        && address.port() != 80
    {
        text.extend_from_slice(format!(":{}", address.port()).as_bytes());
    }
    text
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
        if shown.is_some() {
            self.response.status = head.status;
        }
        let mut record = self.record.take();
        if let Some(record) = &mut record {
            Exchange::keep_of_answer(&place, &head.fields, record);
            if let Some(one) = record.current() {
                (one.status, one.answered) = (answered, Some(moment.now));
            }
        }
        self.record = record;
        let (mut added, mut location) = (Vec::new(), None);
        let changes = place.changes_answers && head.status >= 200;
        if head.status >= 200 {
            self.tell_server(&Known::new(self, moment), moment.wall(), &mut added);
            self.append_fields(delivery.keep_alive, moment, &mut added);
        }
        if changes {
            let known = Known::new(self, moment);
            location = head.fields.find("location").and_then(|from| redirected(&place, from, &known));
        }
        let hidden = &place.rules.delivery.hidden;
        let hidden = if changes { hidden.as_slice() } else { &[] };
        let added_here =
            place.rules.delivery.added.iter().filter(|added| changes && added.is_for(head.status));
        let replaced: Vec<_> = added_here.filter_map(Added::validator).collect();
        let changes = Changes { hidden, replaced: &replaced, added: &added, location: location.as_deref() };
        let out = self.response.out.get_or_insert_with(|| tools.buffers.small());
        let start = out.len();
        rewrite::changed_response(out, head, delivery, &changes, tools.date.as_bytes())
            .map_err(|_| Failure::HeadTooLarge)?;
        self.keep_sent(start);
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

/// The interim response that a client waits for before it sends its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The method to send (`proxy_method`). HEAD is neither put on nor taken off: the client reads the response to what it
/// sent, and the upstream writes the one to what it got, so both must agree on whether there is a body. TRACE and
/// CONNECT are not for a gateway, and what is no method must not end up in the request line.
fn method_of(listed: &Listed, message: &Message<'_>, asked: &Asked<'_>) -> Vec<u8> {
    let came = message.head.method_name;
    let mut method = Vec::new();
    match &listed.method {
        Some(template) => asked.expand(template, &mut method),
        None => method.extend_from_slice(came),
    }
    let agrees = (method == b"HEAD") == (came == b"HEAD");
    let is_for_gateways = !matches!(Method::of(&method), Method::Trace | Method::Connect);
    if !agrees || !is_for_gateways || !is_token(&method) {
        method = came.to_vec();
    }
    method
}

fn append_args(args: Option<&[u8]>, target: &mut Vec<u8>) {
    if let Some(args) = args.filter(|args| !args.is_empty()) {
        target.push(b'?');
        target.extend_from_slice(args);
    }
}

/// What is asked for at the server. `uri` is what the variables of `proxy_pass` say, empty where they leave it open.
fn target_of(place: &Place, pass: &Pass, uri: &[u8], message: &Message<'_>, asked: &Asked<'_>) -> Vec<u8> {
    let mut target = Vec::new();
    let args = asked.args();
    if !uri.is_empty() {
        uri::make_sound(uri, &mut target);
        return target;
    }
    match &pass.uri {
        // Arguments that have been set are part of no target that came.
        PassUri::AsItCame if asked.scope.args.is_some() => {
            uri::escape(asked.path, &mut target);
            append_args(args, &mut target);
        }
        PassUri::AsItCame if message.target.path.first() == Some(&b'?') => {
            target.push(b'/');
            target.extend_from_slice(message.target.path);
        }
        PassUri::AsItCame => target.extend_from_slice(message.target.path),
        PassUri::Replaced(start) => {
            target.extend_from_slice(start.as_bytes());
            uri::escape(asked.path.get(place.matched..).unwrap_or_default(), &mut target);
            append_args(args, &mut target);
        }
        PassUri::Whole(template) => {
            let mut text = Vec::new();
            asked.expand(template, &mut text);
            uri::make_sound(&text, &mut target);
        }
    }
    target
}

/// Writes the head of a request as `nginx.conf` has it (`ngx_http_proxy_create_request`): the fields that are set, then
/// those of the client that none of these replaces.
fn write(
    out: &mut Buffer,
    place: &Place,
    rules: &Listed,
    message: &Message<'_>,
    asked: &Asked<'_>,
    method: &[u8],
    target: &[u8],
) -> Result<listed::Told, Full> {
    let (mut values, mut host) = (Vec::new(), Vec::new());
    let mut ends = Vec::with_capacity(rules.fields.len());
    for (_, template) in &rules.fields {
        asked.expand(template, &mut values);
        ends.push(values.len());
    }
    asked.append(&Variable::ProxyHost, &mut host);
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let fields = rules.fields.iter().zip(starts.zip(&ends));
    let fields: Vec<listed::Given<'_>> =
        fields.map(|((name, _), (start, end))| (name.as_bytes(), &values[start..*end])).collect();
    listed::request(
        out,
        message.head,
        &listed::Listed {
            method,
            target,
            host: &host,
            fields: &fields,
            drops_fields: rules.drops_fields,
            is_http10: rules.is_http10,
            drops_underscores: place.client.drops_underscores(),
            drops_invalid: place.client.ignores_invalid,
        },
        message.length,
        message.wishes,
    )
}
