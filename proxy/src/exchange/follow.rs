//! What a configuration file says of a request beyond its place: whom to let in, what is kept, how it goes on.

use super::answer::add_fields;
use super::request_head::{Fate, Message, TOO_LARGE, Tools};
use super::values::{Asked, Known};
use super::{Exchange, Failure};
use crate::buffer::{Buffer, Buffers, Full};
use crate::config::Action;
use crate::config::Pass;
use crate::config::site::{Forwarding, Listed, PassUri, RedirectFrom};
use crate::http::head::ResponseHead;
use crate::http::rewrite::{self, Changes, Delivery, Given};
use crate::http::{Refusal, uri};
use crate::key::Key;
use crate::site::Place;
use crate::time::{Duration, Time};

impl Exchange {
    /// Does what the place of a request says.
    #[inline(never)]
    pub(super) fn follow(&mut self, message: &Message<'_>, tools: &mut Tools<'_>) -> Result<Fate, Refusal> {
        let place = self.place.clone();
        if !place.lets_in(self.client) {
            return Err(Refusal::new(403, ""));
        }
        // Where nothing was looked for, the path is not in its normal form yet.
        let (path, _) = uri::split(message.target.path);
        tools.path.clear();
        if uri::normalize(path, tools.path).is_err() {
            tools.path.extend_from_slice(path);
        }
        let mut record = self.record.take();
        let asked = Asked {
            head: message.head,
            target: message.target,
            path: tools.path,
            maps: tools.routes.maps(),
            known: Known::new(self, tools.now, tools.wall),
        };
        if let Some(record) = &mut record {
            Exchange::keep(&place, &asked, record);
        }
        let mut key = Key::default();
        if let Some(template) = &place.key {
            tools.text.clear();
            asked.expand(template, tools.text);
            key = Key::new(tools.text);
        }
        let fate = match &place.action {
            Action::Answer(answer) => {
                tools.text.clear();
                if let Some(text) = &answer.text {
                    asked.expand(text, tools.text);
                }
                Fate::Answered(answer.status)
            }
            Action::Proxy(pass) => match &place.rules.forwarding {
                Forwarding::Standard => Fate::Forwarded,
                Forwarding::Listed(listed) => {
                    let mut out = tools.buffers.small();
                    let written = write(&mut out, &place, pass, listed, message, &asked);
                    self.request.send_first(out);
                    written.map_err(|_| TOO_LARGE)?;
                    self.record = record;
                    self.key = key;
                    return Ok(Fate::Forwarded);
                }
            },
            Action::File(_) | Action::StubStatus => return Err(Refusal::new(404, "")),
        };
        self.record = record;
        self.key = key;
        if fate == Fate::Forwarded {
            self.forward(message, tools.buffers)?;
        }
        Ok(fate)
    }
}

/// The time, in the forms that are asked for.
pub(super) struct Moment<'a> {
    pub(super) now: Time,
    /// The time of day, since 1970.
    pub(super) wall: Duration,
    /// The same as an HTTP date.
    pub(super) date: &'a [u8],
}

impl Exchange {
    /// Writes the head of a server's response for the client as the place says, and keeps what that asks for.
    #[inline(never)]
    pub(super) fn deliver(
        &mut self,
        head: &ResponseHead<'_, '_>,
        delivery: &Delivery,
        buffers: &mut Buffers,
        moment: &Moment<'_>,
    ) -> Result<(), Failure> {
        let place = self.place.clone();
        let mut record = self.record.take();
        if let Some(record) = &mut record {
            Exchange::keep_of_answer(&place, &head.fields, record);
            if let Some(one) = record.current() {
                (one.status, one.answered) = (head.status, Some(moment.now));
            }
        }
        self.record = record;
        let (mut added, mut location) = (Vec::new(), None);
        let changes = place.changes_answers && head.status >= 200;
        if changes {
            let known = Known::new(self, moment.now, moment.wall);
            add_fields(&place, head.status, &known, &mut added);
            location = head.fields.find("location").and_then(|from| redirected(&place, from, &known));
        }
        let hidden = &place.rules.delivery.hidden;
        let hidden = if changes { hidden.as_slice() } else { &[] };
        let changes = Changes { hidden, added: &added, location: location.as_deref() };
        let out = self.response.out.get_or_insert_with(|| buffers.small());
        rewrite::changed_response(out, head, delivery, &changes, moment.date)
            .map_err(|_| Failure::Invalid("the response's head is too large"))
    }
}

/// What becomes of a `Location` (`proxy_redirect`): the first rule that fits changes its beginning.
fn redirected(place: &Place, from: &[u8], known: &Known<'_>) -> Option<Vec<u8>> {
    place.rules.delivery.redirects.iter().find_map(|rule| {
        let matched = match &rule.from {
            RedirectFrom::Text(template) => {
                let mut text = Vec::new();
                known.expand(template, &mut text);
                from.starts_with(&text).then_some(text.len())?
            }
            RedirectFrom::Regex(pattern) => pattern.regex().find(from)?.end(),
        };
        let mut to = Vec::new();
        known.expand(&rule.to, &mut to);
        to.extend_from_slice(&from[matched..]);
        Some(to)
    })
}

/// Writes the head of a request as `nginx.conf` has it (`ngx_http_proxy_create_request`): the fields that are set, then
/// those of the client that none of these replaces.
fn write(
    out: &mut Buffer,
    place: &Place,
    pass: &Pass,
    listed: &Listed,
    message: &Message<'_>,
    asked: &Asked<'_>,
) -> Result<(), Full> {
    let (mut method, mut target, mut values) = (Vec::new(), Vec::new(), Vec::new());
    match &listed.method {
        Some(template) => asked.expand(template, &mut method),
        None => method.extend_from_slice(message.head.method_name),
    }
    let (_, args) = uri::split(message.target.path);
    match &pass.uri {
        PassUri::AsItCame if message.target.path.first() == Some(&b'?') => {
            target.push(b'/');
            target.extend_from_slice(message.target.path);
        }
        PassUri::AsItCame => target.extend_from_slice(message.target.path),
        PassUri::Replaced(start) => {
            target.extend_from_slice(start.as_bytes());
            uri::escape(asked.path.get(place.matched..).unwrap_or_default(), &mut target);
            if let Some(args) = args {
                target.push(b'?');
                target.extend_from_slice(args);
            }
        }
        PassUri::Whole(template) => asked.expand(template, &mut target),
    }
    let mut ends = Vec::with_capacity(listed.fields.len());
    for (_, template) in &listed.fields {
        asked.expand(template, &mut values);
        ends.push(values.len());
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let fields = listed.fields.iter().zip(starts.zip(&ends));
    let fields: Vec<Given<'_>> =
        fields.map(|((name, _), (start, end))| (name.as_bytes(), &values[start..*end])).collect();
    rewrite::listed_request(
        out,
        message.head,
        &rewrite::Listed {
            method: &method,
            target: &target,
            fields: &fields,
            drops_fields: listed.drops_fields,
            is_http10: listed.is_http10,
        },
        message.length,
        message.wishes,
    )
}
