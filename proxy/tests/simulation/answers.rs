//! What an origin sends in answer to a request: sound in every shape, or wrong in every way.

use proxy::time::Duration;

use super::chance::Chance;
use super::http::octets;
use super::ledger::{Answer, Ask, Kind};
use super::weather::Weather;

/// A part of what an origin does.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Vec<u8>),
    Pause(Duration),
    /// The answer is out.
    Done,
    /// Until all of the request has come.
    AwaitRequest,
    /// Until the proxy has ended its direction of a tunnel.
    AwaitEnd,
    Fin,
    Close,
    Reset,
}

/// How many of the bytes that an answer begins with make its first head, all there could be where none comes whole; and
/// how many the answer takes where that head is the final one and tells the length of the body, else none.
pub(crate) fn first_head(pieces: &[Piece]) -> (u64, u64) {
    let bytes = pieces.iter().filter_map(|piece| match piece {
        Piece::Bytes(bytes) => Some(bytes),
        _ => None,
    });
    let (mut head, mut line) = (Vec::new(), 0);
    for byte in bytes.flatten() {
        head.push(*byte);
        match byte {
            b'\n' if line == 0 => {
                let text = String::from_utf8_lossy(&head);
                let is_final = !text.starts_with("HTTP/1.1 1");
                let length =
                    text.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
                let exact = length.filter(|_| is_final).map_or(0, |length: u64| head.len() as u64 + length);
                return (head.len() as u64, exact);
            }
            b'\n' => line = 0,
            b'\r' => {}
            _ => line += 1,
        }
    }
    (u64::MAX, 0)
}

/// What follows from an answer for its connection.
pub(crate) struct Plan {
    pub(crate) answer: Answer,
    pub(crate) pieces: Vec<Piece>,
    /// Why no request may follow on the connection.
    pub(crate) unclean: Option<&'static str>,
    /// The answer frames itself by closing.
    pub(crate) until_close: bool,
}

/// Heads and bodies that make a 502, or a broken response where it has begun. The end is found by closing.
const GARBAGE: [(&str, &[u8]); 14] = [
    ("no HTTP", b"garbage\r\n\r\n"),
    ("an empty line first", b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("no status", b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"),
    ("a status below 100", b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"),
    ("HTTP/2.0", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("both framings", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde"),
    ("a signed length", b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nabcde"),
    ("another coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("an endless length", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabcde"),
    ("a folded line", b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n"),
    ("a control byte", b"HTTP/1.1 200 OK\r\nX-A: b\x01\r\nContent-Length: 0\r\n\r\n"),
    ("half a head", b"HTTP/1.1 200 OK\r\nContent-Le"),
    ("an unasked switch", b"HTTP/1.1 101 Switching\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n"),
];

/// Chunked bodies that break in the middle of a response that has begun. Small letters up to `g` stand for
/// the octets that are in place.
const BAD_CHUNKS: [(&str, &[u8]); 5] = [
    ("a chunk size that is none", b"5\r\nabcde\r\nxyz\r\n0\r\n\r\n"),
    ("a chunk longer than its size", b"5\r\nabcdefg\r\n0\r\n\r\n"),
    ("a signed chunk size", b"+5\r\nabcde\r\n0\r\n\r\n"),
    ("an endless chunk size", b"FFFFFFFFFFFFFFFFF\r\nabcde\r\n0\r\n\r\n"),
    ("a chunk size without CR", b"5\nabcde\r\n0\r\n\r\n"),
];

/// An answer to `ask`, in which everything may go wrong that the weather of this origin lets go wrong if it
/// is `wicked`. What follows an interim response waits for the request's body if it `continues`.
#[allow(clippy::too_many_arguments, reason = "they are all that decides about an answer")]
pub(crate) fn plan(
    ask: u64,
    record: &Ask,
    number: usize,
    body_max: usize,
    chance: &mut Chance,
    weather: &Weather,
    wicked: bool,
    continues: bool,
) -> Plan {
    let is = |chance: &mut Chance, probability: f64| wicked && chance.yes(probability);
    let answer = Answer {
        ask: Some(ask),
        kind: Kind::Sound,
        status: 200,
        octets: 0,
        interims: Vec::new(),
        trailers: Vec::new(),
        early: false,
        begin: 0,
        length: 0,
        first_head: 0,
        exact: 0,
        until_close: false,
        doubtful: false,
        orderly: false,
        done: false,
    };
    let mut plan = Plan { answer, pieces: Vec::new(), unclean: None, until_close: false };
    let mut wire = Vec::new();
    interims(&mut plan, record, number, chance, &mut wire);
    let interims_len = wire.len();
    let before = wire.len() as u64;
    if continues {
        in_pieces(&std::mem::take(&mut wire), chance, weather, &mut plan.pieces);
        plan.pieces.push(Piece::AwaitRequest);
    }
    let before = before - wire.len() as u64;
    if is(chance, weather.garbage) {
        garbage(&mut plan, record, number, chance, &mut wire);
        return plan;
    }
    if record.upgrades && chance.yes(0.7) {
        tunnel(&mut plan, number, body_max, chance, weather, wicked, &mut wire);
        plan.answer.length = before + wire.len() as u64;
        return plan;
    }
    let fault = is(chance, weather.error_status);
    sound(&mut plan, record, number, body_max, chance, weather, fault, &mut wire);
    if is(chance, weather.reset) || is(chance, weather.truncate) || is(chance, weather.stall) {
        return break_off(plan, interims_len, wire, chance, weather);
    }
    plan.answer.length = before + wire.len() as u64;
    let extra: &[u8] = match plan.unclean.is_none() && is(chance, weather.extra) {
        true => chance.of(&[b"x".as_slice(), b"\r\n", b"HTTP/1.1 "]),
        false => b"",
    };
    wire.extend_from_slice(extra);
    in_pieces(&wire, chance, weather, &mut plan.pieces);
    plan.pieces.push(Piece::Done);
    if plan.until_close {
        plan.pieces.push(Piece::Close);
    } else if plan.unclean.is_some() || !extra.is_empty() {
        plan.pieces.push(Piece::Pause(chance.span(Duration::from_secs(2))));
        plan.pieces.push(Piece::Close);
    }
    plan
}

/// Interim responses, of which the proxy passes all on to an HTTP/1.1 client.
fn interims(plan: &mut Plan, record: &Ask, number: usize, chance: &mut Chance, wire: &mut Vec<u8>) {
    let count = match (record.expects_on, chance.yes(0.2)) {
        (true, many) => usize::from(chance.yes(0.7)) + if many { 2 } else { 0 },
        (false, true) => chance.between(1, 3),
        (false, false) => 0,
    };
    for at in 0..count {
        let status = if at == 0 && record.expects_on { 100 } else { chance.of(&[100, 102, 103]) };
        plan.answer.interims.push(status);
        let head = format!("HTTP/1.1 {status} Wait\r\nX-Sim-Answer: {number}\r\nLink: </a>\r\n\r\n");
        wire.extend_from_slice(head.as_bytes());
    }
}

/// Splits into pieces with pauses between some of them.
pub(crate) fn in_pieces(wire: &[u8], chance: &mut Chance, weather: &Weather, pieces: &mut Vec<Piece>) {
    let mut rest = wire;
    let coarse = chance.yes(0.5);
    while !rest.is_empty() {
        let n = if coarse || pieces.len() > 40 { rest.len() } else { 1 + chance.size(rest.len() - 1) };
        pieces.push(Piece::Bytes(rest[..n].to_vec()));
        rest = &rest[n..];
        if !rest.is_empty() && chance.yes(0.5) {
            pieces.push(Piece::Pause(chance.span(weather.gap)));
        }
    }
}

fn garbage(plan: &mut Plan, record: &Ask, number: usize, chance: &mut Chance, wire: &mut Vec<u8>) {
    let why;
    // Behind a head that answers HEAD, nothing is a body.
    if record.method != "HEAD" && chance.yes(0.3) {
        let (what, chunks) = chance.of(&BAD_CHUNKS);
        why = what;
        let head = format!("HTTP/1.1 200 OK\r\nX-Sim-Answer: {number}\r\nTransfer-Encoding: chunked\r\n\r\n");
        wire.extend_from_slice(head.as_bytes());
        for &byte in chunks {
            let octet = |at: u8| super::http::octet(number as u64, u64::from(at - b'a'));
            wire.push(if matches!(byte, b'a'..=b'g') { octet(byte) } else { byte });
        }
    } else if chance.yes(0.1) {
        why = "interim responses without end";
        let one = format!("HTTP/1.1 102 Wait\r\nX-Sim-Answer: {number}\r\n\r\n");
        wire.extend_from_slice(one.repeat(40).as_bytes());
    } else if chance.yes(0.1) {
        why = "a head without end";
        wire.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        wire.extend_from_slice(
            &b"X-Fill: 01234567890123456789012345678901234567890123456789\r\n".repeat(400),
        );
    } else {
        // The last is sound where a switch was asked for.
        let (what, bytes) = chance.of(&GARBAGE[..GARBAGE.len() - usize::from(record.upgrades)]);
        why = what;
        wire.extend_from_slice(bytes);
    }
    plan.answer.kind = Kind::Unsound(why);
    plan.unclean = Some(why);
    plan.pieces.push(Piece::Bytes(std::mem::take(wire)));
    plan.pieces.push(Piece::Pause(chance.span(Duration::from_secs(1))));
    plan.pieces.push(if chance.yes(0.5) { Piece::Close } else { Piece::Reset });
}

fn tunnel(
    plan: &mut Plan,
    number: usize,
    body_max: usize,
    chance: &mut Chance,
    weather: &Weather,
    wicked: bool,
    wire: &mut Vec<u8>,
) {
    plan.answer.status = 101;
    plan.answer.octets = chance.size(body_max) as u64;
    plan.unclean = Some("it has become a tunnel");
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nX-Sim-Answer: {number}\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n"
    );
    wire.extend_from_slice(head.as_bytes());
    wire.extend_from_slice(&octets(number as u64, plan.answer.octets));
    in_pieces(wire, chance, weather, &mut plan.pieces);
    plan.pieces.push(Piece::Done);
    let ends: [&[fn() -> Piece]; 4] = [
        &[|| Piece::Fin, || Piece::AwaitEnd, || Piece::Close],
        &[|| Piece::AwaitEnd, || Piece::Close],
        &[|| Piece::Close],
        &[|| Piece::Reset],
    ];
    let way = chance.below(if wicked { ends.len() } else { 2 });
    plan.answer.orderly = way < 2;
    plan.pieces.extend(ends[way].iter().map(|piece| piece()));
}

#[allow(clippy::too_many_arguments, reason = "they are the whole of a plan")]
fn sound(
    plan: &mut Plan,
    record: &Ask,
    number: usize,
    body_max: usize,
    chance: &mut Chance,
    weather: &Weather,
    fault: bool,
    wire: &mut Vec<u8>,
) {
    let status = match fault {
        true => chance.of(&[500, 502, 503, 504, 404, 429]),
        false => chance.of(&[200, 200, 200, 200, 201, 204, 304, 404, 301]),
    };
    let old = chance.yes(0.1);
    let bodiless = record.method == "HEAD" || matches!(status, 204 | 304);
    let length = chance.size(body_max) as u64;
    let eol = if chance.yes(0.05) { "\n" } else { "\r\n" };
    let mut head = format!("HTTP/1.{} {status} Sim{eol}", u8::from(!old));
    let mut put = |line: &str| {
        head.push_str(line);
        head.push_str(eol);
    };
    put(&format!("X-Sim-Answer: {number}"));
    let mut closes = chance.yes(weather.says_close);
    if old {
        closes |= chance.yes(0.5);
        if !closes {
            put("Connection: keep-alive");
        }
    } else if closes {
        put(chance.of(&["Connection: close", "connection:CLOSE", "Connection: , close"]));
    }
    let nominates = chance.yes(0.4);
    if nominates {
        put("Connection: X-Gone\t,");
        put("X-Gone: 1");
    }
    put("Keep-Alive: timeout=5");
    plan.answer.status = status;
    let chunked = !old && chance.yes(0.4);
    let mut body = Vec::new();
    if status == 204 {
        // No framing at all.
    } else if chunked {
        put(chance.of(&["Transfer-Encoding: chunked", "transfer-encoding:Chunked"]));
        if !bodiless {
            plan.answer.trailers = chunk(&mut body, number as u64, length, chance, nominates);
        }
    } else if !bodiless && chance.yes(if record.has_body() { 0.4 } else { 0.2 }) {
        plan.until_close = true;
        body = octets(number as u64, length);
    } else if !(bodiless && chance.yes(0.3)) {
        put(&format!("Content-Length: {length}"));
        body = octets(number as u64, length);
    }
    if bodiless {
        body.clear();
    } else {
        plan.answer.octets = length;
    }
    if plan.until_close {
        plan.unclean = Some("the end of the connection was the end of the body");
    } else if closes {
        plan.unclean = Some("the origin closes");
    }
    head.push_str(eol);
    wire.extend_from_slice(head.as_bytes());
    wire.extend_from_slice(&body);
}

/// Writes a chunked body, oddly spelt. Returns the trailers that are to be passed on; `nominates` says that
/// the head nominates `X-Gone` for removal.
pub(crate) fn chunk(
    out: &mut Vec<u8>,
    id: u64,
    length: u64,
    chance: &mut Chance,
    nominates: bool,
) -> Vec<(String, String)> {
    let extension = |chance: &mut Chance| match chance.yes(0.2) {
        true => chance.of(&[";a", ";a=b", " ; a=\"b;c\"", ";", "\t"]),
        false => "",
    };
    let mut at = 0;
    while at < length {
        let most = (length - at) as usize;
        let n = if out.len() > 3000 { most } else { 1 + chance.size(most - 1) };
        let size = match chance.below(4) {
            0 => format!("{n:X}"),
            1 => format!("{n:05x}"),
            _ => format!("{n:x}"),
        };
        out.extend_from_slice(format!("{size}{}\r\n", extension(chance)).as_bytes());
        out.extend((at..at + n as u64).map(|at| super::http::octet(id, at)));
        out.extend_from_slice(b"\r\n");
        at += n as u64;
    }
    let last = if chance.yes(0.2) { "000" } else { "0" };
    out.extend_from_slice(format!("{last}{}\r\n", extension(chance)).as_bytes());
    let mut trailers = Vec::new();
    if chance.yes(0.3) {
        for _ in 0..chance.between(1, 3) {
            let (name, passes) = chance.of(&[
                ("X-Sum", true),
                ("X-Gone", !nominates),
                ("X-Other", true),
                ("Content-Length", false),
                ("Host", false),
                ("Transfer-Encoding", false),
            ]);
            let value = chance.below(1000).to_string();
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            if passes {
                trailers.push((name.to_owned(), value));
            }
        }
    }
    out.extend_from_slice(b"\r\n");
    trailers
}

/// Stops somewhere, in one way or another.
fn break_off(
    mut plan: Plan,
    interims_len: usize,
    wire: Vec<u8>,
    chance: &mut Chance,
    weather: &Weather,
) -> Plan {
    let interims = if plan.pieces.is_empty() { interims_len } else { 0 };
    let at = match chance.below(4) {
        0 => 0,
        // Between an interim response and the final one.
        1 => interims,
        _ => chance.below(wire.len()),
    };
    // Now and then even before what is sent ahead of the request's body.
    if !plan.pieces.is_empty() && chance.yes(0.3) {
        plan.pieces.clear();
        plan.answer.interims.clear();
    }
    let why = match chance.below(3) {
        0 if weather.reset > 0.0 => "reset",
        1 if weather.stall > 0.0 => "stall",
        _ if weather.truncate > 0.0 => "truncate",
        _ if weather.reset > 0.0 => "reset",
        _ => "stall",
    };
    in_pieces(&wire[..at], chance, weather, &mut plan.pieces);
    match why {
        "reset" => plan.pieces.push(Piece::Reset),
        "truncate" => plan.pieces.push(if plan.until_close { Piece::Reset } else { Piece::Close }),
        // Longer than any wait.
        _ => plan.pieces.extend([Piece::Pause(Duration::from_secs(1000)), Piece::Close]),
    }
    plan.answer.kind = Kind::Unsound(why);
    plan.unclean = Some("its answer was broken off");
    plan
}
