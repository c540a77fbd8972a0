//! What a client does: requests of every kind, pipelined or not, and sometimes what no client should do.

use proxy::time::Duration;

use super::answers::chunk;
use super::chance::Chance;
use super::client::Act;
use super::http::octets;
use super::ledger::{Ask, DEFAULT_HOST, Fate, Ledger};
use super::weather::Weather;

/// What of the configuration a script has to know.
pub(crate) struct Bounds {
    pub(crate) body_max: usize,
    /// `max_body_size`.
    pub(crate) allowed: u64,
}

/// Requests that the proxy refuses, with what it may answer. `{}` is the request's number.
const MALFORMED: [(&str, &[u16]); 22] = [
    ("garbage\r\n\r\n", &[400]),
    ("GET /{} HTTP/1.1\r\n\r\n", &[400]),
    ("GET /{} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", &[400]),
    ("GET /{} HTTP/1.1\r\nHost: a b\r\n\r\n", &[400]),
    (
        "POST /{} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    ("POST /{} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", &[400]),
    ("POST /{} HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde", &[400]),
    ("POST /{} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", &[400]),
    ("POST /{} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", &[501]),
    ("POST /{} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", &[400]),
    ("POST /{} HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400]),
    ("GET /{} HTTP/1.1\r\nHost : a\r\n\r\n", &[400]),
    ("GET /{} HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", &[400]),
    ("GET /{} HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", &[400]),
    ("GET /{} HTTP/2.0\r\nHost: a\r\n\r\n", &[505]),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[505]),
    ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", &[405]),
    ("TRACE /{} HTTP/1.1\r\nHost: a\r\n\r\n", &[405]),
    ("GET https://a/{} HTTP/1.1\r\nHost: a\r\n\r\n", &[421]),
    ("GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", &[400]),
    ("OPTIONS /{} HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", &[200]),
];

/// Chunked bodies that are refused on the way; an origin may have answered before.
/// `@` stands for octets that are in place.
const BAD_BODIES: [&str; 5] = ["xyz\r\n", "5\r\n@\r\n", "-1\r\n", "fffffffffffffffff\r\n", "0\n\n"];

/// Writes a script and enters its requests into the ledger. Returns it with their numbers.
pub(crate) fn write(
    number: usize,
    bounds: &Bounds,
    chance: &mut Chance,
    weather: &Weather,
    ledger: &mut Ledger,
) -> (Vec<Act>, Vec<u64>) {
    let mut acts = Vec::new();
    let mut asks = Vec::new();
    let pipelines = chance.yes(0.4);
    let count = 1 + chance.size(7);
    // Where it leaves, if it does.
    let leaves_at = chance.yes(weather.client_leaves).then(|| chance.below(count));
    let mut ends = false;
    for at in 0..count {
        let id = ledger.asks.len() as u64;
        let last = at + 1 == count;
        if chance.yes(0.3) {
            acts.push(Act::Pause(chance.span(Duration::from_secs(1))));
        }
        if chance.yes(weather.malformed) {
            malformed(id, number, chance, &mut acts, ledger);
            asks.push(id);
            ends = true;
            break;
        }
        let (ask, head, body) = request(id, last, bounds, chance);
        let (expects, upgrade, closes) = (ask.expects, ask.upgrade, !ask.keep_alive);
        ledger.enter(ask);
        let fate = ledger.asks[id as usize].fate;
        asks.push(id);
        acts.push(Act::Begin(id));
        if leaves_at == Some(at) {
            leave(head, body, chance, &mut acts);
            return (acts, asks);
        }
        if body.is_empty() || !expects {
            acts.push(Act::Send([head, body].concat()));
        } else {
            acts.push(Act::Send(head));
            acts.push(Act::AwaitContinue(at, Duration::from_secs(1)));
            acts.push(Act::Send(body));
        }
        if chance.yes(weather.client_deaf) {
            acts.push(Act::Excuse("deaf for longer than any timeout"));
            acts.push(Act::Deaf(Duration::from_secs(100)));
        }
        if !pipelines || upgrade || chance.yes(0.3) {
            acts.push(Act::Await(at + 1));
        }
        if upgrade {
            tunnel(bounds, chance, &mut acts);
            return (acts, asks);
        }
        if closes || fate != Fate::Forward {
            ends = true;
            break;
        }
    }
    if !ends && chance.yes(weather.unfinished) {
        unfinished(bounds, chance, weather, &mut acts, &mut asks, ledger);
        return (acts, asks);
    }
    // In every way that lets the responses come.
    match chance.below(4) {
        0 => acts.extend([Act::Await(asks.len()), Act::Close]),
        1 => acts.extend([Act::Fin, Act::AwaitEnd, Act::Close]),
        2 => acts.extend([Act::Await(asks.len()), Act::Fin, Act::AwaitEnd]),
        _ => acts.extend([Act::Await(asks.len()), Act::AwaitEnd]),
    }
    (acts, asks)
}

fn blank(method: &'static str, fate: Fate) -> Ask {
    Ask {
        method,
        http10: false,
        keep_alive: true,
        target: String::new(),
        host: None,
        octets: 0,
        chunked: false,
        trailers: Vec::new(),
        expects: false,
        upgrade: false,
        sent: method,
        expects_on: false,
        upgrades: false,
        fate,
        begun: None,
        tries: Vec::new(),
        spoiled: false,
    }
}

/// A request, its head and its body as they are sent.
fn request(id: u64, last: bool, bounds: &Bounds, chance: &mut Chance) -> (Ask, Vec<u8>, Vec<u8>) {
    let method =
        chance.of(&["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]);
    let mut ask = blank(method, Fate::Forward);
    ask.http10 = chance.yes(0.15);
    let has_body = matches!(method, "POST" | "PUT" | "PATCH") || chance.yes(0.05);
    ask.chunked = has_body && !ask.http10 && chance.yes(0.4);
    ask.octets = if has_body { chance.size(bounds.body_max) as u64 } else { 0 };
    let path = format!("/{id}{}", chance.of(&["", "/", "/a/b?c=d", "?q", "/%20;x=1"]));
    let absolute = chance.yes(0.1);
    let sent_target = if absolute { format!("http://abs.example{path}") } else { path.clone() };
    ask.target = path;
    let (version, eol) = (u8::from(!ask.http10), if chance.yes(0.05) { "\n" } else { "\r\n" });
    let mut head = String::new();
    if chance.yes(0.05) {
        head.push_str("\r\n");
    }
    head.push_str(&format!("{method} {sent_target} HTTP/1.{version}{eol}"));
    let mut put = |line: &str| {
        head.push_str(line);
        head.push_str(eol);
    };
    if !ask.http10 || chance.yes(0.8) {
        put("Host: sim.example");
        ask.host = Some("sim.example".into());
    }
    if absolute {
        ask.host = Some("abs.example".into());
    }
    put(chance.of(&["X-Kept: 1", "x-kept:1", "X-KEPT: \t 1 \t"]));
    put("X-Gone: 1");
    put("Keep-Alive: timeout=9");
    ask.upgrade = last && !ask.http10 && chance.yes(0.15);
    ask.keep_alive = if ask.http10 { chance.yes(0.5) } else { chance.yes(0.9) || ask.upgrade };
    match (ask.http10, ask.keep_alive, ask.upgrade) {
        (.., true) => put("Connection: upgrade, X-Gone\r\nUpgrade: echo"),
        (true, true, _) => put("Connection: Keep-Alive, X-Gone"),
        (false, true, _) => put("Connection: X-Gone, X-Nominated\r\nX-Nominated: 1"),
        (_, false, _) => put("Connection: x-gone,close"),
    }
    ask.expects = has_body && !ask.http10 && chance.yes(0.2);
    if ask.expects {
        put("Expect: 100-continue");
    }
    let mut body = Vec::new();
    if ask.chunked {
        put("Transfer-Encoding: chunked");
        ask.trailers = chunk(&mut body, id, ask.octets, chance, true);
    } else if has_body || chance.yes(0.1) {
        put(&format!("Content-Length: {}", ask.octets));
        body = octets(id, ask.octets);
    }
    if ask.octets > bounds.allowed {
        // An early answer of the origin's may come before a chunked body turns out to be too long.
        ask.fate = if ask.chunked { Fate::Unfinished } else { Fate::Refuse(&[413]) };
    }
    head.push_str(eol);
    (ask, head.into_bytes(), body)
}

fn malformed(id: u64, number: usize, chance: &mut Chance, acts: &mut Vec<Act>, ledger: &mut Ledger) {
    let mut bytes: Vec<u8>;
    let mut ask = blank("GET", Fate::Unfinished);
    if chance.yes(0.3) {
        ask.method = "POST";
        ask.target = format!("/{id}");
        ask.host = Some("a".into());
        ask.chunked = true;
        ask.octets = u64::MAX;
        bytes = format!(
            "POST /{id} HTTP/1.1\r\nHost: a\r\nX-Kept: {number}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        .into_bytes();
        if chance.yes(0.5) {
            ask.expects = true;
            let end = bytes.len() - 2;
            bytes.splice(end.., *b"Expect: 100-continue\r\n\r\n");
        }
        acts.push(Act::Begin(id));
        acts.push(Act::Send(std::mem::take(&mut bytes)));
        acts.push(Act::Pause(chance.span(Duration::from_millis(300))));
        for byte in chance.of(&BAD_BODIES).bytes() {
            if byte == b'@' { bytes.extend(octets(id, 7)) } else { bytes.push(byte) }
        }
    } else if chance.yes(0.1) {
        ask.fate = Fate::Refuse(&[408, 414, 431]);
        bytes = format!("GET /{id}?{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(40_000)).into_bytes();
    } else if chance.yes(0.1) {
        ask.fate = Fate::Refuse(&[408, 431]);
        bytes = format!("GET /{id} HTTP/1.1\r\n{}Host: a\r\n\r\n", "X-Fill: 0123456789\r\n".repeat(2000))
            .into_bytes();
    } else {
        let (text, statuses) = chance.of(&MALFORMED);
        ask.fate = Fate::Refuse(statuses);
        bytes = text.replace("{}", &id.to_string()).into_bytes();
    }
    if chance.yes(0.3) {
        bytes.extend_from_slice(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    ledger.enter(ask);
    acts.push(Act::Send(bytes));
}

/// Goes away at any point.
fn leave(head: Vec<u8>, body: Vec<u8>, chance: &mut Chance, acts: &mut Vec<Act>) {
    let mut bytes = [head, body].concat();
    if chance.yes(0.5) {
        bytes.truncate(chance.below(bytes.len() + 1));
    }
    acts.push(Act::Excuse("goes away"));
    acts.push(Act::Send(bytes));
    acts.push(Act::Pause(chance.span(Duration::from_secs(2))));
    acts.push(if chance.yes(0.5) { Act::Close } else { Act::Reset });
}

/// Sends the beginning of a request and no more.
fn unfinished(
    bounds: &Bounds,
    chance: &mut Chance,
    weather: &Weather,
    acts: &mut Vec<Act>,
    asks: &mut Vec<u64>,
    ledger: &mut Ledger,
) {
    let id = ledger.asks.len() as u64;
    let (mut ask, head, body) = request(id, false, bounds, chance);
    ask.fate = Fate::Unfinished;
    let mut bytes = [head, body].concat();
    let most = bytes.len() - 1;
    bytes.truncate(chance.between(0, most));
    if ask.method == "HEAD" && !bytes.windows(5).any(|word| word == b"HEAD ") {
        // So far it could be anything, and is answered so.
        ask.method = "GET";
    }
    ledger.enter(ask);
    asks.push(id);
    acts.push(Act::Send(bytes));
    if chance.yes(weather.client_stalls) {
        acts.push(Act::AwaitEnd);
    } else {
        acts.extend([Act::Fin, Act::AwaitEnd]);
    }
}

fn tunnel(bounds: &Bounds, chance: &mut Chance, acts: &mut Vec<Act>) {
    acts.push(Act::Tunnel(chance.size(bounds.body_max) as u64));
    if chance.yes(0.5) {
        acts.push(Act::AwaitTunnel);
    }
    match chance.below(4) {
        0 => acts.extend([Act::Excuse("closes its tunnel"), Act::Close]),
        1 => acts.extend([Act::Excuse("resets its tunnel"), Act::Reset]),
        _ => acts.extend([Act::Fin, Act::AwaitEnd]),
    }
}

/// The name under which the first server is known.
pub(crate) fn first_server() -> &'static str {
    DEFAULT_HOST
}
