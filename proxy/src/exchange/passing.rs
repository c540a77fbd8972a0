//! A request goes to a server as `nginx.conf` says (`ngx_http_proxy_handler`): which group, which fields, which body.

use super::Exchange;
use super::destination::Nowhere;
use super::env::Tools;
use super::request::joined;
use super::request_head::{Fate, Message, TOO_LARGE};
use super::scope::Scope;
use super::values::Asked;
use crate::buffer::{Buffer, Buffers, Full};
use crate::config::Pass;
use crate::config::address::local_address;
use crate::config::site::{Forwarding, Listed, PassBody, PassTarget, PassUri};
use crate::config::template::Variable;
use crate::http::fields::Role;
use crate::http::framing::Length;
use crate::http::lines::is_token;
use crate::http::{Method, Refusal, listed, uri};
use crate::key::Key;
use crate::site::Place;

/// A body that is set and no longer than this fits a small buffer, behind its head.
const SHORT: usize = 512;

impl Exchange {
    /// Finds where a request goes, and writes its head.
    pub(super) fn pass(
        &mut self,
        place: &Place,
        pass: &Pass,
        message: &Message<'_>,
        tools: &mut Tools<'_>,
        scope: &Scope,
    ) -> Result<Fate, Refusal> {
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
        self.session = None;
        if let Some(sticky) = self.upstream().and_then(|group| self.routes.sticky(group)) {
            let mut room = std::mem::take(tools.text);
            self.session = self.asked(message, tools, scope).session(sticky, &mut room);
            *tools.text = room;
        }
        self.local = None;
        if let Some(template) = &place.rules.bind {
            let mut text = Vec::new();
            self.asked(message, tools, scope).expand(template, &mut text);
            self.local = local_address(&text);
            if self.local.is_none() && !text.is_empty() {
                log::error!("invalid local address \"{}\"", text.escape_ascii());
            }
        }
        let Forwarding::Listed(rules) = &place.rules.forwarding else {
            return self.forward(message, tools.buffers).map(|()| Fate::Forwarded);
        };
        let target = target_of(place, pass, &uri, message, &self.asked(message, tools, scope));
        self.pass_listed(place, rules, &target, message, tools, scope)
    }

    fn pass_listed(
        &mut self,
        place: &Place,
        rules: &Listed,
        target: &[u8],
        message: &Message<'_>,
        tools: &mut Tools<'_>,
        scope: &Scope,
    ) -> Result<Fate, Refusal> {
        let passes_body = rules.body == PassBody::Passed;
        // HTTP/1.0 has no chunks (RFC 9112 section 6.1), and a body of no known length cannot be announced.
        if rules.is_http10 && passes_body && message.length == Length::Chunked {
            return Ok(Fate::Refused(411));
        }
        let asked = self.asked(message, tools, scope);
        let method = method_of(rules, message, &asked);
        let mut body = Vec::new();
        let length = match &rules.body {
            PassBody::Passed => message.length,
            PassBody::Dropped => Length::Empty,
            PassBody::Replaced(text) => {
                asked.expand(text, &mut body);
                Length::Exact(body.len() as u64)
            }
        };
        let mut out = if body.len() > SHORT { tools.buffers.large() } else { tools.buffers.small() };
        let asked = self.asked(message, tools, scope);
        let head = write(&mut out, place, rules, message, &asked, (&method, target), length);
        let fits = out.append(&body).is_ok();
        self.request.send_first(out);
        let told = head.map_err(|_| TOO_LARGE)?;
        if !fits {
            return Err(Refusal::new(500, "the body that is set is too large"));
        }
        // What is sent decides whether it may be sent again.
        if !planted!(JudgedByTheClient) {
            self.request.method = Method::of(&method);
        }
        self.request.closes = told.closes;
        self.request.upgrade = told.upgrade.then(|| joined(message.head.fields.values(Role::Upgrade)));
        self.request.expects &= told.expects;
        // Who keeps the expectation from the server has to meet it (RFC 9110 section 10.1.1).
        if !told.expects && message.awaits_continue() && !self.request.is_called {
            self.call_for_body(tools.buffers);
        }
        Ok(if passes_body || message.length == Length::Empty { Fate::Forwarded } else { Fate::Discarded })
    }
}

impl Exchange {
    /// Tells the client to send the body, which it waits to be told.
    pub(super) fn call_for_body(&mut self, buffers: &mut Buffers) {
        let out = self.response.out(CONTINUE.len(), buffers);
        out.append(CONTINUE).expect("there is room");
        self.request.is_called = true;
    }
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
    (method, target): (&[u8], &[u8]),
    length: Length,
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
            drops_expect: rules.body != PassBody::Passed,
            is_http10: rules.is_http10,
            drops_underscores: place.client.drops_underscores(),
            drops_invalid: place.client.ignores_invalid,
        },
        length,
        message.wishes,
    )
}
