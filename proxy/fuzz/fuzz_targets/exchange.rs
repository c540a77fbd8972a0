//! Whole exchanges against a model.
//!
//! Input, in sections that a byte 0xff ends: settings and what happens when, the client's bytes, and the bytes of each
//! upstream connection. What goes on is written as the command line has it, or as an `nginx.conf` lists it. Whatever happens, nothing panics, every exchange comes to an end and gives all its
//! buffers back, and afterwards:
//!
//! - what each upstream got is the start of one canonical request, and it is the right one: method, host and
//!   body as the client meant them;
//! - no request that may not be sent twice, as it is sent, was sent to two;
//! - what the client got is a sequence of canonical responses in the order of its requests, and only a reset
//!   ends it in the middle of one, or an orderly end where the framing shows the cut;
//! - no sound request is called a bad one;
//! - each response that an upstream is said to have served has that upstream's status and body.

#![no_main]

#[path = "../../src/exchange/tests/play.rs"]
mod play;
#[path = "../../src/exchange/tests/reference.rs"]
#[allow(dead_code)]
mod reference;

use libfuzzer_sys::fuzz_target;
use play::{Link, Play, Wire};
use proxy::config::site::{Forwarding, Listed, PassBody};
use proxy::config::template::{Part, Template, Variable};
use proxy::http::body::{Coding, Cursor, Then};
use proxy::http::fields::Scratch;
use proxy::http::framing::{self, Length};
use proxy::http::head::{self, Parsed};
use proxy::http::{Method, Version, target};

// `play` asks its parent for it.
#[allow(unused_imports)]
use ::proxy;

/// How requests go on, by the bits of the first byte.
#[derive(Clone, Copy)]
struct Way(usize);

impl Way {
    fn is_listed(self) -> bool {
        self.0 & 8 == 8
    }

    fn is_http10(self) -> bool {
        self.is_listed() && self.0 & 16 == 16
    }

    fn sends_post(self) -> bool {
        self.is_listed() && self.0 & 32 == 32
    }

    /// A field says the method, and the path is told in another.
    fn goes_by_variables(self) -> bool {
        self.is_listed() && self.0 & 128 == 128
    }

    fn forwarding(self) -> Forwarding {
        if !self.is_listed() {
            return Forwarding::Standard;
        }
        let of = |variable| Template::default().with(Part::Variable(variable));
        let mut fields = vec![("Host".to_owned(), of(Variable::Http("host".into())))];
        let mut method = self.sends_post().then(|| Template::text("POST"));
        if self.goes_by_variables() {
            fields.push(("X-Path".to_owned(), of(Variable::Uri)));
            fields.push(("Expect".to_owned(), Template::default()));
            method = Some(of(Variable::Http("x_m".into())));
        }
        Forwarding::Listed(Listed {
            fields,
            drops_fields: self.0 & 64 == 64,
            body: PassBody::Passed,
            method,
            is_http10: self.is_http10(),
            response_head_max: 1024,
        })
    }
}

/// A request as the client meant it, as far as it came.
struct Meant {
    method: String,
    /// The method that is to be sent.
    sent: String,
    /// `None` where it is not even a head that could go on.
    host: Option<Vec<u8>>,
    is_old: bool,
    /// Its framing is in order.
    is_framed: bool,
    body: Vec<u8>,
    is_whole: bool,
    /// Where it ends in the client's bytes.
    end: usize,
}

/// A response as an upstream meant it.
struct Given {
    status: u16,
    body: Vec<u8>,
    /// Where its head ends in the upstream's bytes.
    head_end: usize,
}

/// The data of a body: it, how many bytes it took, whether it has ended.
fn body(length: Length, bytes: &[u8]) -> (Vec<u8>, usize, bool) {
    let mut cursor = Cursor::new(length, Coding::Strip);
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        // Byte by byte, so that what lies before an error is told.
        let next = &bytes[at..bytes.len().min(at + 1)];
        let Ok(scan) = cursor.scan(next) else { return (data, at, false) };
        data.extend_from_slice(&bytes[at..at + scan.pass]);
        at += scan.pass + scan.skip;
        match scan.then {
            Then::End => return (data, at, true),
            Then::Trailers => {
                return match head::trailers(&bytes[at..], &mut Scratch::new()) {
                    Ok(Parsed::Complete((_, len))) => (data, at + len, true),
                    _ => (data, at, false),
                };
            }
            Then::More if at == bytes.len() => return (data, at, length == Length::UntilClose),
            Then::More => {}
        }
    }
}

/// The client's requests, up to one that is not whole or not to be passed on, and the method of what comes
/// behind them, as far as it can be told.
fn requests(bytes: &[u8], way: Way) -> (Vec<Meant>, &'static str) {
    let (mut list, mut at) = (Vec::new(), 0);
    loop {
        let rest = &bytes[at..];
        let mut scratch = Scratch::new();
        let Ok(Parsed::Complete(head)) = head::request(rest, &mut scratch) else {
            let start = rest.split_inclusive(|&b| b == b'\n').find(|line| !matches!(*line, b"\n" | b"\r\n"));
            let is_head = start.is_some_and(|line| line.starts_with(b"HEAD "));
            return (list, if is_head { "HEAD" } else { "GET" });
        };
        let target = target::of(head.method, head.target, head.version, &head.fields).ok();
        let length = framing::request(&head.fields, head.version);
        let is_framed = length.is_ok();
        let length = length.unwrap_or_default();
        let (body, len, is_whole) = body(length, &rest[head.len..]);
        at += head.len + len;
        let method = String::from_utf8_lossy(head.method_name).into_owned();
        let named = head.fields.iter().filter(|(_, name, _)| name.eq_ignore_ascii_case(b"x-m"));
        let named: Vec<_> = named.map(|(.., value)| String::from_utf8_lossy(value)).collect();
        let wanted = match way {
            way if way.goes_by_variables() => named.join(", "),
            way if way.sends_post() => "POST".to_owned(),
            _ => method.clone(),
        };
        let is_token =
            |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        let may_be = !wanted.is_empty() && is_token(&wanted) && !matches!(&*wanted, "TRACE" | "CONNECT");
        let agrees = (wanted == "HEAD") == (method == "HEAD");
        list.push(Meant {
            sent: if may_be && agrees { wanted } else { method.clone() },
            method,
            host: target.map(|target| {
                let default: &[u8] = if way.is_http10() { b"" } else { b"app1:5000" };
                target.host.unwrap_or(default).to_vec()
            }),
            is_old: head.version == Version::Http10,
            is_framed,
            body,
            is_whole,
            end: at,
        });
        if !is_whole {
            return (list, "GET");
        }
    }
}

/// The final response, or the switch, in an upstream's bytes.
fn given(bytes: &[u8], method: &str) -> Option<Given> {
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let mut scratch = Scratch::new();
        let Ok(Parsed::Complete(head)) = head::response(rest, &mut scratch) else { return None };
        at += head.len;
        if head.status == 101 || head.status >= 200 {
            let method = Method::of(method.as_bytes());
            let length = framing::response(&head.fields, head.version, head.status, method).ok()?;
            let (body, _, is_whole) = body(length, &rest[head.len..]);
            return is_whole.then_some(Given { status: head.status, body, head_end: at });
        }
    }
}

/// The script: what happens, the bytes of both sides and how far they have come.
struct Script<'i> {
    events: std::slice::Iter<'i, u8>,
    client: &'i [u8],
    responses: Vec<&'i [u8]>,
    /// What each upstream connection has sent.
    fed: Vec<usize>,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// It takes so many bytes more, or as many as there are where it took none.
fn stall(wire: &mut Wire, room: usize) {
    wire.room = if wire.stalls { None } else { Some(4 * room) };
    wire.stalls = wire.room == Some(0);
}

impl<'i> Script<'i> {
    fn byte(&mut self) -> usize {
        self.events.next().map_or(0, |&byte| usize::from(byte))
    }

    /// All bytes that an upstream connection has to send.
    fn response(&self, upstream: usize) -> &'i [u8] {
        self.responses.get(upstream).copied().unwrap_or(OK)
    }

    fn client_sends(&mut self, play: &mut Play, n: usize) {
        let (now, later) = self.client.split_at(n.min(self.client.len()));
        play.client.incoming.extend(now);
        self.client = later;
    }

    fn upstream_sends(&mut self, play: &mut Play, n: usize) {
        let at = play.upstreams.len() - 1;
        self.fed.resize(play.upstreams.len(), 0);
        let rest = &self.response(at)[self.fed[at]..];
        let is_over = play.upstream().is_over;
        let n = if is_over { 0 } else { n.min(rest.len()) };
        play.upstream().incoming.extend(&rest[..n]);
        self.fed[at] += n;
    }

    fn has_more(&self, upstream: usize) -> bool {
        self.fed.get(upstream).copied().unwrap_or(0) < self.response(upstream).len()
    }

    /// Something happens.
    fn event(&mut self, play: &mut Play) {
        let event = self.byte();
        let size = 1 + event / 16;
        match event % 16 {
            0 | 1 => self.client_sends(play, usize::MAX),
            2 => self.client_sends(play, size),
            3 if play.has_upstream => self.upstream_sends(play, usize::MAX),
            4 if play.has_upstream => self.upstream_sends(play, size),
            5 => play.client.ends = true,
            6 if play.has_upstream => play.upstream().ends = true,
            7 if play.has_upstream => play.upstream().breaks = true,
            8 => stall(&mut play.client, event / 16),
            9 if play.has_upstream => stall(play.upstream(), event / 16),
            10 if play.has_upstream => play.upstream().refuses = true,
            11 => {
                let kinds = [Link::Fresh, Link::Pooled, Link::Dead, Link::Refused, Link::Slow, Link::Nobody];
                play.links.push_back(kinds[size % kinds.len()]);
            }
            12 if play.is_connecting => {
                let room = (size > 8).then_some(16 * size);
                play.had(Wire { room, ..Wire::default() });
                play.exchange.acquired(size % 2 == 0, play.env.now);
            }
            13 => {
                play.expire();
            }
            14 => (play.reads, play.writes) = (vec![size, self.byte()], vec![self.byte(), size]),
            15 if size == 16 => play.env.draining = true,
            15 if size == 15 => play.exchange.client_gone(),
            _ => {}
        }
        play.run();
    }

    /// All that has not happened happens, until the client is closed.
    fn finish(&mut self, play: &mut Play) {
        let ends_kindly = self.byte() % 2 == 0;
        for round in 0.. {
            assert!(round < 10_000, "the exchange does not end: {:?}", play.log);
            if play.closed.is_some() {
                return;
            }
            (play.client.stalls, play.client.room) = (false, None);
            self.client_sends(play, usize::MAX);
            if play.has_upstream {
                (play.upstream().stalls, play.upstream().room) = (false, None);
                if self.has_more(play.upstreams.len() - 1) && !play.upstream().is_over {
                    self.upstream_sends(play, usize::MAX);
                } else {
                    play.upstream().ends = ends_kindly;
                }
            } else if !play.is_connecting {
                play.client.ends = ends_kindly;
            }
            play.run();
            if round % 4 == 3 {
                play.expire();
            }
        }
    }
}

fn check_upstreams(play: &Play, meant: &[Meant], client: &[u8], way: Way) {
    let mut last = None;
    for upstream in play.upstreams.iter().filter(|upstream| !upstream.sent.is_empty()) {
        let request = meant.get(upstream.request).expect("a request that the client has sent");
        let twice = last.replace(upstream.request) == Some(upstream.request);
        assert!(!twice || Method::of(request.sent.as_bytes()).is_idempotent(), "sent twice");
        let Some(message) = reference::request(&upstream.sent).expect("canonical") else { continue };
        assert_eq!(message.method(), request.sent);
        assert_eq!(message.line.ends_with("1.0"), way.is_http10());
        assert_eq!(message.values("host").concat(), *request.host.as_ref().expect("not refused"));
        assert!(request.body.starts_with(&message.body));
        if message.is_whole {
            assert!(request.is_whole && request.body == message.body);
            let behind = &upstream.sent[message.len..];
            assert!(
                behind.is_empty() || client[request.end..].starts_with(behind),
                "neither part nor tunnel"
            );
            assert!(behind.is_empty() || !message.values("upgrade").is_empty(), "more than one request");
        }
        for forbidden in ["content-length", "transfer-encoding", "host", "connection", "authorization"] {
            assert!(message.trailers.iter().all(|(name, _)| name != forbidden), "{forbidden}");
        }
    }
}

/// A connection on which close was said, as always in HTTP/1.0, is not used again.
fn check_pool(play: &Play, way: Way) {
    let is_kept = play.log.iter().any(|what| what.starts_with("release reusable"));
    assert!(!(is_kept && way.is_http10()), "kept behind close: {:?}", play.log);
}

fn check_client(play: &Play, meant: &[Meant], next: &str, script: &Script<'_>) {
    let cut = play.closed == Some(true);
    let (mut rest, mut answered, mut closes) = (&play.client.sent[..], 0, false);
    while !rest.is_empty() {
        assert!(!closes, "something behind the last response");
        let request = meant.get(answered);
        // What is answered before the method had come is answered as if it were any.
        let is_late = request.is_none() && rest.starts_with(b"HTTP/1.1 408 ") && !rest.ends_with(b"\r\n\r\n");
        let method = request.map_or(if is_late { "GET" } else { next }, |request| &request.method);
        let Some(message) = reference::response(rest, method).expect("canonical") else {
            assert!(cut, "half a head");
            return;
        };
        assert!(message.is_whole || cut || !message.until_close, "half a body");
        rest = &rest[message.len..];
        let served = play.served.iter().find(|(request, _)| *request == answered);
        let given = served.map(|&(_, upstream)| {
            let bytes = &script.response(upstream)[..script.fed[upstream]];
            given(bytes, method).expect("a whole response")
        });
        match message.status() {
            101 => {
                let bytes = script.response(play.upstreams.len() - 1);
                let given = self::given(bytes, method).expect("a switch");
                assert!(bytes[given.head_end..].starts_with(rest), "what the tunnel gave");
                return;
            }
            100..=199 => {
                assert!(request.is_some_and(|request| !request.is_old), "an interim response to HTTP/1.0")
            }
            status => {
                let is_old = request.is_some_and(|request| request.is_old);
                assert!(!message.until_close || is_old, "a body without an end to HTTP/1.1");
                assert!(!is_old || message.values("transfer-encoding").is_empty());
                closes = message.values("connection").concat().starts_with(b"close");
                if let (Some(given), true) = (given, message.is_whole && !(message.until_close && cut)) {
                    assert_eq!((status, &message.body), (given.status, &given.body));
                }
                let own = served.is_none() && message.values("server") == [b"proxy"];
                let is_sound = request
                    .is_some_and(|request| request.host.is_some() && request.is_framed && request.is_whole);
                assert!(!(own && status == 400 && is_sound), "a sound request was refused");
                answered += 1;
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let mut sections = input.split(|&byte| byte == 0xff);
    let mut script = Script {
        events: sections.next().unwrap_or_default().iter(),
        client: sections.next().unwrap_or_default(),
        responses: sections.collect(),
        fed: Vec::new(),
    };
    let client = script.client;
    let settings = script.byte();
    let way = Way(settings);
    let mut play = Play::new(|config| {
        config.sites[0].location.rules.forwarding = way.forwarding();
        config.sites[0].client.max_header_size = 1024;
        config.sites[0].location.rules.max_body_size = if settings & 1 == 0 { 1 << 20 } else { 8 };
        config.sites[0].location.rules.next_upstream.invalid_header = settings & 2 == 2;
        config.sites[0].location.rules.next_upstream.statuses[0] = if settings & 4 == 4 { 503 } else { 0 };
    });
    play.run();
    while script.events.len() > 1 && play.closed.is_none() {
        script.event(&mut play);
    }
    script.finish(&mut play);
    script.fed.resize(play.upstreams.len(), 0);
    // What the client never got to send was not meant.
    let client = &client[..client.len() - script.client.len() - play.client.incoming.len()];
    let (meant, next) = requests(client, way);
    check_upstreams(&play, &meant, client, way);
    check_pool(&play, way);
    check_client(&play, &meant, next, &script);
});
