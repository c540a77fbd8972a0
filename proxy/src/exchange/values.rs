//! What variables are worth (nginx: `ngx_http_variables.c`, `ngx_http_upstream.c`).
//!
//! Some follow from the request's head, and are asked while that is at hand ([`Asked`]); whoever asks later finds those
//! that the place says are needed in the [`Record`]. The others are known at any time ([`Known`]).

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::env::Moment;
use super::format::{escape_from, port, push, seconds, time_iso8601, time_local};
use super::record::HeldBody;
use super::scope::Scope;
use super::{Counters, Env, Exchange, Record};
use crate::chance::mixed;
use crate::config::site::SiteName;
use crate::config::template::{Part, Template, Variable};
use crate::config::{Action, Escape, Listen, Map, Pattern};
use crate::http::fields::Fields;
use crate::http::framing::Length;
use crate::http::head::RequestHead;
use crate::http::target::Target;
use crate::http::{Version, target, uri};
use crate::site::{Place, files, name_of};
use crate::time::{Duration, Time};

/// A request's head, while it is at hand.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) head: &'a RequestHead<'a, 'a>,
    pub(super) target: &'a Target<'a>,
    /// How long its body is.
    pub(super) length: Length,
    /// The path in its normal form.
    pub(super) path: &'a [u8],
    pub(super) scope: &'a Scope,
    /// What is known besides.
    pub(super) known: Known<'a>,
}

/// What is known of a request at any time.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    exchange: &'a Exchange,
    moment: Moment<'a>,
    /// The request is over.
    is_over: bool,
}

impl<'a> Known<'a> {
    pub(super) fn new(exchange: &'a Exchange, moment: Moment<'a>) -> Known<'a> {
        Known { exchange, moment, is_over: false }
    }
}

impl Asked<'_> {
    /// Appends the text of a template.
    pub(super) fn expand(&self, template: &Template, out: &mut Vec<u8>) {
        for part in &template.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Variable(variable) => self.append(variable, out),
            }
        }
    }

    /// The arguments: the request's, unless the configuration has set others.
    pub(super) fn args(&self) -> Option<&[u8]> {
        self.scope.args.as_deref().or(uri::split(self.target.path).1)
    }

    /// Appends the value of a variable; nothing where it has none.
    pub(super) fn append(&self, variable: &Variable, out: &mut Vec<u8>) {
        use Variable as V;
        let args = self.args();
        let fields = &self.head.fields;
        match variable {
            V::Args => out.extend_from_slice(args.unwrap_or_default()),
            V::IsArgs => {
                out.extend_from_slice(if args.is_some_and(|args| !args.is_empty()) { b"?" } else { b"" });
            }
            V::Arg(name) => {
                let value = args.and_then(|args| uri::argument(args, name.as_bytes()));
                out.extend_from_slice(value.unwrap_or_default());
            }
            V::Uri => out.extend_from_slice(self.path),
            V::RequestUri => {
                target::origin_form(self.head.target).iter().for_each(|part| out.extend_from_slice(part));
            }
            V::RequestMethod => out.extend_from_slice(self.head.method_name),
            // As it was sent: the method may be another one by now (`error_page`).
            V::Request => {
                let head = fields.bytes().trim_ascii_start();
                let end = memchr::memchr2(b'\r', b'\n', head).unwrap_or(head.len());
                out.extend_from_slice(&head[..end]);
            }
            V::ServerProtocol => out.extend_from_slice(version(self.head.version)),
            V::Host => {
                let place = &self.known.exchange.place;
                let host = self.target.host.filter(|host| !host.is_empty()).map(name_of);
                out.extend(host.unwrap_or(place.name.as_bytes()).iter().map(u8::to_ascii_lowercase));
            }
            V::ContentLength => out.extend_from_slice(fields.find("content-length").unwrap_or_default()),
            V::ContentType => out.extend_from_slice(fields.find("content-type").unwrap_or_default()),
            // Of an absolute target it is that one's (RFC 9112 section 3.2.2).
            V::Http(name) if &**name == "host" => {
                out.extend_from_slice(self.target.host.unwrap_or_default());
            }
            V::Http(name) => {
                let between: &[u8] = if &**name == "cookie" { b"; " } else { b", " };
                let drops = self.known.exchange.place.client.drops_underscores();
                let counts = |field: &[u8]| !drops || memchr::memchr(b'_', field).is_none();
                let fields = fields.iter().map(|(_, field, value)| (field, value));
                join(fields.filter(|(field, _)| counts(field)), name, between, out);
            }
            V::Cookie(name) => {
                let cookies = fields.iter().filter(|(_, field, _)| field.eq_ignore_ascii_case(b"cookie"));
                let value = cookies.map(|(.., value)| value).find_map(|value| cookie(value, name.as_bytes()));
                out.extend_from_slice(value.unwrap_or_default());
            }
            V::ProxyAddXForwardedFor => {
                for (_, name, value) in fields.iter() {
                    if name.eq_ignore_ascii_case(b"x-forwarded-for") {
                        out.extend_from_slice(value);
                        out.extend_from_slice(b", ");
                    }
                }
                self.known.append(&V::RemoteAddr, out);
            }
            V::Map(index) => self.map(&self.known.exchange.routes.maps()[*index], out),
            V::DocumentRoot => out.extend(self.root()),
            V::RequestFilename => {
                let rules = &self.known.exchange.place.files;
                out.extend(files::path(rules, self.root(), self.path, b"").unwrap_or_default());
            }
            // What came with the head is at hand; what comes later is not waited for.
            V::RequestBody if self.known.exchange.place.passes_on() => {
                let mut body = HeldBody::default();
                body.begin(self.length, usize::MAX);
                let behind_head = self.known.exchange.request.behind_head();
                body.keep(behind_head.unwrap_or(&fields.bytes()[self.head.len..]));
                out.extend_from_slice(body.whole().unwrap_or_default());
            }
            V::RemoteUser => user(fields.find("authorization").unwrap_or_default(), out),
            V::Slot(slot) => out.extend_from_slice(self.scope.slot(*slot).unwrap_or_default()),
            V::SlotOr(slot, variable) => match self.scope.slot(*slot) {
                Some(value) => out.extend_from_slice(value),
                None => self.append(variable, out),
            },
            V::Capture(number) => out.extend_from_slice(self.scope.capture(*number)),
            other => self.known.append(other, out),
        }
    }

    /// The folder of the place's files; nothing where it depends on what asks for it.
    fn root(&self) -> Vec<u8> {
        fn asks(maps: &[Map], variable: &Variable) -> bool {
            match variable {
                Variable::DocumentRoot | Variable::RequestFilename => true,
                Variable::Map(index) => maps[*index].variables().any(|inner| asks(maps, inner)),
                _ => false,
            }
        }
        let template = &self.known.exchange.place.files.root;
        let maps = self.known.exchange.routes.maps();
        let mut root = Vec::new();
        if !template.variables().any(|variable| asks(maps, variable)) {
            self.expand(template, &mut root);
        }
        root
    }

    fn map(&self, map: &Map, out: &mut Vec<u8>) {
        let mut source = Vec::new();
        self.expand(&map.source, &mut source);
        map.prune(&mut source);
        match find(map, &source) {
            (None, value) => self.expand(value, out),
            (Some(pattern), value) => {
                // What is captured here is for the value; nothing else sees it.
                let mut scope = self.scope.clone();
                scope.matches(pattern, &source);
                Asked { scope: &scope, ..*self }.expand(value, out);
            }
        }
    }
}

/// The value of a `map` for a text, and the regular expression it is due to, in nginx's order: a text; what it ends or
/// begins with; regular expressions; the default (`ngx_http_map_find`).
fn find<'m>(map: &'m Map, source: &[u8]) -> (Option<&'m Pattern>, &'m Template) {
    let small = source.to_ascii_lowercase();
    let exact = map.exact.iter().find(|(text, _)| text.as_bytes() == small).map(|(_, value)| value);
    let wildcard = || {
        let longest = |is_of_kind: fn(&SiteName) -> bool| {
            let names = map.wildcards.iter().filter(|(name, _)| is_of_kind(name));
            let fitting = names.filter_map(|(name, value)| Some((name.stands_for(&small)?, value)));
            fitting.max_by_key(|(length, _)| *length).map(|(_, value)| value)
        };
        longest(|name| matches!(name, SiteName::Suffix(_)))
            .or_else(|| longest(|name| matches!(name, SiteName::Prefix(_))))
    };
    if let Some(value) = exact.or_else(wildcard) {
        return (None, value);
    }
    // Nothing is matched by no expression.
    let pattern =
        map.patterns.iter().find(|(pattern, _)| !source.is_empty() && pattern.regex().is_match(source));
    pattern.map_or((None, &map.default), |(pattern, value)| (Some(pattern), value))
}

impl Known<'_> {
    /// Appends the text of a template, from what is known and what was kept.
    pub(super) fn expand(&self, template: &Template, out: &mut Vec<u8>) {
        self.expand_escaped(template, Escape::None, out);
    }

    /// The same, each value so that nobody can mistake it.
    pub(super) fn expand_escaped(&self, template: &Template, escape: Escape, out: &mut Vec<u8>) {
        for part in &template.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Variable(variable) => {
                    let start = out.len();
                    self.append(variable, out);
                    if escape == Escape::Default && out.len() == start && !variable.may_be_empty() {
                        out.push(b'-');
                    }
                    escape_from(out, start, escape);
                }
            }
        }
    }

    /// Appends the value of a variable; nothing where it has none.
    fn append(&self, variable: &Variable, out: &mut Vec<u8>) {
        use Variable as V;
        let exchange = self.exchange;
        let place = &exchange.place;
        let record = exchange.record.as_deref();
        if let Some(record) = record {
            let number = |kept: &[Variable]| kept.iter().position(|kept| kept == variable);
            let value = match variable {
                V::SentHttp(_) => number(&place.kept_of_sent).and_then(|one| record.of_sent.value(one)),
                V::UpstreamHttp(_) | V::UpstreamCookie(_) => {
                    number(&place.kept_of_answer).and_then(|one| record.of_answer.value(one))
                }
                _ => number(&place.kept).and_then(|one| record.of_head.value(one)),
            };
            if let Some(value) = value {
                return out.extend_from_slice(value);
            }
        }
        let since = |time: Option<Time>| time.map_or(Duration::ZERO, |time| self.moment.now.since(time));
        match variable {
            V::RemoteAddr => match exchange.client {
                Some(client) if exchange.client != exchange.peer => push(out, format_args!("{client}")),
                _ => out.extend_from_slice(exchange.introduction.address().as_bytes()),
            },
            V::RemotePort => port(exchange.client_port, out),
            V::RealipRemotePort => port(exchange.port, out),
            V::ProxyProtocolAddr
            | V::ProxyProtocolPort
            | V::ProxyProtocolServerAddr
            | V::ProxyProtocolServerPort => {
                let Some(ends) = &exchange.introduced else { return };
                match variable {
                    V::ProxyProtocolAddr => push(out, format_args!("{}", ends.source.ip())),
                    V::ProxyProtocolPort => port(ends.source.port(), out),
                    V::ProxyProtocolServerAddr => push(out, format_args!("{}", ends.destination.ip())),
                    _ => port(ends.destination.port(), out),
                }
            }
            V::RealipRemoteAddr => out.extend_from_slice(exchange.introduction.address().as_bytes()),
            V::BinaryRemoteAddr => match exchange.client {
                Some(std::net::IpAddr::V4(address)) => out.extend(address.octets()),
                Some(std::net::IpAddr::V6(address)) => out.extend(address.octets()),
                // (`ngx_http_variable_binary_remote_addr`)
                None => out.extend_from_slice(b"unix:"),
            },
            V::Scheme => out.extend_from_slice(b"http"),
            V::ServerAddr => match exchange.routes.address(exchange.listener) {
                Some(Listen::Tcp(address)) => {
                    push(out, format_args!("{}", exchange.came_to.unwrap_or(address.ip())));
                }
                None => {}
                Some(Listen::Unix(path)) => push(out, format_args!("unix:{}", path.display())),
            },
            V::ServerPort => {
                if let Some(Listen::Tcp(address)) = exchange.routes.address(exchange.listener) {
                    push(out, format_args!("{}", address.port()));
                }
            }
            V::ServerName => out.extend_from_slice(place.name.as_bytes()),
            V::Status => {
                let status = match exchange.status() {
                    // Nothing was said, on purpose; or nginx's word for a client that has gone.
                    0 if self.is_over => {
                        exchange.status_shown.filter(|status| matches!(status, 408 | 444)).unwrap_or(499)
                    }
                    0 => match (exchange.status_shown, &place.action) {
                        (Some(status), _) => status,
                        // It is about to be sent.
                        (None, _) if exchange.response.status != 0 => exchange.response.status,
                        // The text of a `return` may tell the status that it is about to have.
                        (None, Action::Answer(answer)) => answer.status,
                        (None, _) => 0,
                    },
                    status => status,
                };
                push(out, format_args!("{status:03}"));
            }
            // With the framing of chunks (`ngx_http_variable_body_bytes_sent`).
            V::BodyBytesSent => {
                let sent = record.map_or(0, |record| record.bytes_sent.saturating_sub(record.body_start));
                push(out, format_args!("{sent}"));
            }
            V::BytesSent => push(out, format_args!("{}", record.map_or(0, |record| record.bytes_sent))),
            V::RequestLength => {
                push(out, format_args!("{}", record.map_or(0, |record| record.request_length)));
            }
            V::RequestTime => seconds(out, since(record.map(|record| record.since))),
            V::RequestCompletion => {
                let response = &exchange.response;
                let is_whole = response.is_whole() && !response.pending() && !response.is_cut();
                out.extend_from_slice(if is_whole { b"OK" } else { b"" });
            }
            V::Connection => push(out, format_args!("{}", exchange.serial)),
            V::ConnectionRequests => push(out, format_args!("{}", exchange.requests)),
            V::ConnectionTime => seconds(out, since(Some(exchange.opened))),
            V::ConnectionsActive | V::ConnectionsReading | V::ConnectionsWriting | V::ConnectionsWaiting => {
                let Counters { active, reading, mut writing, .. } = self.moment.world.counters;
                // When they were counted this request had not come.
                writing += u64::from(!self.is_over);
                let count = match variable {
                    V::ConnectionsActive => active,
                    V::ConnectionsReading => reading,
                    V::ConnectionsWriting => writing,
                    _ => active.saturating_sub(reading + writing),
                };
                push(out, format_args!("{count}"));
            }
            V::RequestId => {
                // The first half is the connection's alone, the second one the request's among its.
                let connection = mixed(mixed(self.moment.world.seed).wrapping_add(exchange.serial));
                let request = mixed(connection ^ exchange.requests);
                push(out, format_args!("{connection:016x}{request:016x}"));
            }
            V::RequestBody => out.extend(record.and_then(|record| record.body.whole()).unwrap_or_default()),
            V::Map(index) => self.map(&self.exchange.routes.maps()[*index], out),
            V::Hostname => {
                let name = rustix::system::uname();
                out.extend(name.nodename().to_bytes().iter().map(u8::to_ascii_lowercase));
            }
            V::Msec => seconds(out, self.moment.wall()),
            V::Pid => push(out, format_args!("{}", std::process::id())),
            V::Pipe => out.push(if exchange.request.is_pipelined { b'p' } else { b'.' }),
            V::NginxVersion => out.extend_from_slice(crate::config::LANGUAGE.as_bytes()),
            V::TimeIso8601 => time_iso8601(out, self.moment.wall()),
            V::TimeLocal => time_local(out, self.moment.wall()),
            V::ProxyHost => {
                out.extend_from_slice(exchange.proxy_host_and_port().map_or("", |(host, _)| host).as_bytes());
            }
            V::ProxyPort => {
                if let Some((_, Some(port))) = exchange.proxy_host_and_port() {
                    push(out, format_args!("{port}"));
                }
            }
            other => {
                if let Some(record) = record {
                    let end = self.is_over.then_some(self.moment.now);
                    // A body of the proxy's own came from no server.
                    let body = if exchange.was_answered() { exchange.body_bytes() } else { 0 };
                    upstream(other, record, body, end, out);
                }
            }
        }
    }
}

impl Known<'_> {
    /// A `map` of what is known only after the request's head has gone.
    fn map(&self, map: &Map, out: &mut Vec<u8>) {
        let mut source = Vec::new();
        self.expand(&map.source, &mut source);
        map.prune(&mut source);
        let (pattern, value) = find(map, &source);
        let Some(pattern) = pattern else { return self.expand(value, out) };
        self.expand_matched(value, pattern, &source, out);
    }

    /// Appends the text of a template, in which groups are those of a regular expression that matches `text`.
    pub(super) fn expand_matched(
        &self,
        template: &Template,
        pattern: &Pattern,
        text: &[u8],
        out: &mut Vec<u8>,
    ) {
        let mut scope = Scope::new(self.exchange.routes.slots());
        scope.matches(pattern, text);
        for part in &template.parts {
            match part {
                Part::Variable(Variable::Capture(number)) => out.extend_from_slice(scope.capture(*number)),
                Part::Variable(Variable::Slot(slot))
                    if pattern.slots().iter().any(|(_, other)| other == slot) =>
                {
                    out.extend_from_slice(scope.slot(*slot).unwrap_or_default());
                }
                Part::Variable(variable) => self.append(variable, out),
                Part::Text(text) => out.extend_from_slice(text),
            }
        }
    }
}

/// The variables that tell of each server that was asked, joined by `, `, or by ` : ` where the request had been sent
/// to another location before. So many octets of a body came from the last. `end`: when the request was over.
fn upstream(variable: &Variable, record: &Record, body: u64, end: Option<Time>, out: &mut Vec<u8>) {
    use Variable as V;
    for (number, one) in record.tries.iter().enumerate() {
        if number > 0 {
            out.extend_from_slice(if one.is_anew { b" : " } else { b", " });
        }
        let mut took = |until: Option<Time>| match until {
            Some(time) => seconds(out, time.since(one.since)),
            None => out.push(b'-'),
        };
        match variable {
            V::UpstreamAddr => out.extend_from_slice(one.address.as_bytes()),
            V::UpstreamServer => out.extend_from_slice(one.server.as_bytes()),
            V::UpstreamStatus if one.status == 0 => out.push(b'-'),
            V::UpstreamStatus => push(out, format_args!("{}", one.status)),
            V::UpstreamConnectTime => took(one.connected),
            V::UpstreamHeaderTime => took(one.answered),
            V::UpstreamResponseTime => took(one.ended.or(end)),
            // What came before another server was tried has been dropped.
            V::UpstreamResponseLength => {
                let is_last = number + 1 == record.tries.len() && one.answered.is_some();
                push(out, format_args!("{}", if is_last { body } else { 0 }));
            }
            V::UpstreamBytesReceived => push(out, format_args!("{}", one.received)),
            V::UpstreamBytesSent => push(out, format_args!("{}", one.sent)),
            _ => return,
        }
    }
}

/// The value of the first cookie of this name in any case (`ngx_http_parse_multi_header_lines`). A comma ends none,
/// as in RFC 6265 and in nginx since 1.29.6.
fn cookie<'a>(mut field: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    loop {
        if let Some(value) = set_cookie(field, name) {
            return Some(value);
        }
        let at = memchr::memchr(b';', field)?;
        field = without_spaces(&field[at + 1..]);
    }
}

/// The value of the cookie that a field begins with, if it has this name (`ngx_http_parse_set_cookie_lines`).
fn set_cookie<'a>(field: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, behind) = field.split_at_checked(name.len())?;
    let value = without_spaces(behind).strip_prefix(b"=").filter(|_| start.eq_ignore_ascii_case(name))?;
    without_spaces(value).split(|&byte| byte == b';').next()
}

/// What is behind the spaces at the start.
fn without_spaces(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| byte != b' ').unwrap_or(text.len());
    &text[start..]
}

/// Appends the name in an `Authorization` of the scheme `Basic` (`ngx_http_auth_basic_user`).
fn user(authorization: &[u8], out: &mut Vec<u8>) {
    let scheme = authorization.split_at_checked(6);
    let coded = scheme.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"basic ")).map(|(_, coded)| coded);
    let pair = coded.and_then(|coded| BASE64.decode(without_spaces(coded)).ok()).unwrap_or_default();
    // Without a colon it is no name.
    if let Some(at) = memchr::memchr(b':', &pair) {
        out.extend_from_slice(&pair[..at]);
    }
}

/// Lenient about the padding, as nginx is.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Appends the values of all fields, names and values, that a variable's name is for.
pub(super) fn join<'a>(
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    name: &str,
    between: &[u8],
    out: &mut Vec<u8>,
) {
    let values = fields.filter(|(field, _)| is_called(field, name)).map(|(_, value)| value);
    for (number, value) in values.enumerate() {
        if number > 0 {
            out.extend_from_slice(between);
        }
        out.extend_from_slice(value);
    }
}

/// Whether a field is called as a variable has it: in small letters, with underscores for hyphens.
pub(super) fn is_called(field: &[u8], name: &str) -> bool {
    let small = |byte: &u8| if *byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    field.len() == name.len() && field.iter().map(small).eq(name.bytes())
}

fn version(version: Version) -> &'static [u8] {
    match version {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
    }
}

impl Exchange {
    /// Appends this request's line in a log: of a format, at this time of day.
    pub fn log_line(&self, line: &Template, escape: Escape, env: &Env, out: &mut Vec<u8>) {
        Known { is_over: true, ..Known::new(self, env.moment()) }.expand_escaped(line, escape, out);
    }

    /// Appends a text that depends on this request, as it is.
    pub fn log_text(&self, text: &Template, env: &Env, out: &mut Vec<u8>) {
        self.log_line(text, Escape::None, env, out);
    }

    /// Keeps what the place says will be asked for.
    pub(super) fn keep(place: &Place, asked: &Asked<'_>, record: &mut Record) {
        record.of_head.clear();
        for variable in &place.kept {
            record.of_head.keep(|out| asked.append(variable, out));
        }
    }

    /// The same of the fields of a server's response.
    pub(super) fn keep_of_answer(place: &Place, fields: &Fields<'_, '_>, record: &mut Record) {
        record.of_answer.clear();
        for variable in &*place.kept_of_answer {
            record.of_answer.keep(|out| match variable {
                Variable::UpstreamHttp(name) => {
                    join(fields.iter().map(|(_, field, value)| (field, value)), name, b", ", out);
                }
                Variable::UpstreamCookie(name) => {
                    let cookies =
                        fields.iter().filter(|(_, field, _)| field.eq_ignore_ascii_case(b"set-cookie"));
                    let mut values = cookies.map(|(.., value)| value);
                    let value = values.find_map(|value| set_cookie(value, name.as_bytes()));
                    out.extend_from_slice(value.unwrap_or_default());
                }
                _ => {}
            });
        }
    }
}
