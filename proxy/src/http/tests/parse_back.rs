//! What is written parses back to what was meant, by two parsers that others wrote: `httparse`, and `kawa`,
//! Sōzu's parser, which is made with `nom` and decodes bodies too.

use std::io::Write;

use kawa::{AsBuffer, Block, Kawa, Kind, SliceBuffer, StatusLine, Store, h1};
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::fields::{Connection, MAX_FIELDS, Scratch};
use super::super::framing::{self, Length};
use super::super::head::{self, Parsed};
use super::super::rewrite::{self, ClientFraming, Delivery, Introduction, Sender};
use super::super::{listed, target};
use crate::buffer::Buffers;

/// A message as a parser sees it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Method and target, or the status.
    start: String,
    /// Names in lower case, values.
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    is_whole: bool,
}

fn field(name: &[u8], value: &[u8]) -> (String, String) {
    (super::text(name).to_lowercase(), super::text(value))
}

fn by_kawa(bytes: &[u8], kind: Kind) -> Seen {
    let mut room = vec![0; 1 << 16];
    let mut kawa = Kawa::new(kind, kawa::Buffer::new(SliceBuffer(&mut room)));
    kawa.storage.write_all(bytes).expect("room");
    h1::parse(&mut kawa, &mut h1::NoCallbacks);
    let buffer = kawa.storage.buffer.as_buffer();
    let data = |store: &Store| store.data_opt(buffer).unwrap_or_default().to_vec();
    let mut seen = Seen { is_whole: kawa.is_terminated(), ..Seen::default() };
    match &kawa.detached.status_line {
        StatusLine::Request { method, uri, authority, .. } => {
            seen.start = format!("{} {}", super::text(&data(method)), super::text(&data(uri)));
            // It keeps Host there.
            seen.fields.push(field(b"Host", &data(authority)));
        }
        StatusLine::Response { code, .. } => seen.start = code.to_string(),
        StatusLine::Unknown => {}
    }
    for block in &kawa.blocks {
        match block {
            Block::Header(pair) if !pair.is_elided() => {
                seen.fields.push(field(&data(&pair.key), &data(&pair.val)));
            }
            Block::Chunk(chunk) => seen.body.extend(data(&chunk.data)),
            _ => {}
        }
    }
    seen
}

/// `httparse` for the head, and its fields for the body.
fn by_httparse(bytes: &[u8], kind: Kind) -> Seen {
    let mut headers = [httparse::EMPTY_HEADER; 2 * MAX_FIELDS];
    let (start, len, headers) = match kind {
        Kind::Request => {
            let mut request = httparse::Request::new(&mut headers);
            let len = request.parse(bytes).expect("a head").unwrap();
            assert_eq!(request.version, Some(1));
            (format!("{} {}", request.method.unwrap(), request.path.unwrap()), len, request.headers)
        }
        Kind::Response => {
            let mut response = httparse::Response::new(&mut headers);
            let len = response.parse(bytes).expect("a head").unwrap();
            assert_eq!(response.version, Some(1));
            (response.code.unwrap().to_string(), len, response.headers)
        }
    };
    let mut fields: Vec<_> = headers.iter().map(|h| field(h.name.as_bytes(), h.value)).collect();
    let find = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let (mut rest, mut body) = (&bytes[len..], Vec::new());
    if find("transfer-encoding") == Some("chunked") {
        loop {
            let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(rest) else {
                panic!("no chunk size: {rest:?}")
            };
            rest = &rest[line..];
            if size == 0 {
                break;
            }
            body.extend_from_slice(&rest[..size as usize]);
            rest = rest[size as usize..].strip_prefix(b"\r\n").expect("CRLF");
        }
        let mut trailers = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let (len, trailers) = httparse::parse_headers(rest, &mut trailers).expect("trailers").unwrap();
        fields.extend(trailers.iter().map(|h| field(h.name.as_bytes(), h.value)));
        rest = &rest[len..];
    } else if let Some(length) = find("content-length") {
        let length = length.parse().expect("a number");
        body = rest[..length].to_vec();
        rest = &rest[length..];
    }
    Seen { start, fields, body, is_whole: rest.is_empty() }
}

/// Fields that pass, spelt in every way that they may come in.
fn fields() -> impl Strategy<Value = Vec<(String, String, String)>> {
    let name = "X-[A-Za-z0-9!#$%&'*+.^`|~-]{1,12}";
    let value = "([!-~]([ -~\t]{0,30}[!-~])?)?";
    let spelling = prop_oneof![
        Just("{n}: {v}\r\n"),
        Just("{n}:{v}\r\n"),
        Just("{n}: \t{v} \t\r\n"),
        Just("{n}: {v}\n"),
    ];
    vec((name, value, spelling), 0..12).prop_map(|fields| {
        let line =
            |name: &str, value: &str, spelling: &str| spelling.replace("{n}", name).replace("{v}", value);
        fields.into_iter().map(|(n, v, s)| (line(&n, &v, s), n.to_lowercase(), v)).collect()
    })
}

/// A body with its framing: the field line, the bytes that come, the data.
fn body() -> impl Strategy<Value = (String, Vec<u8>, Vec<u8>)> {
    let lines = prop_oneof![Just("{:x}\r\n"), Just("{:X}\r\n"), Just("0{:x} \r\n"), Just("{:x};a=b\r\n")];
    prop_oneof![
        Just((String::new(), Vec::new(), Vec::new())),
        vec(any::<u8>(), 1..300).prop_map(|data| (
            format!("Content-Length: {}\r\n", data.len()),
            data.clone(),
            data
        )),
        vec((vec(any::<u8>(), 1..100), lines), 0..5).prop_map(|chunks| {
            let (mut bytes, mut data) = (Vec::new(), Vec::new());
            for (chunk, line) in chunks {
                let n = chunk.len();
                let line = line.replace("{:x}", &format!("{n:x}")).replace("{:X}", &format!("{n:X}"));
                bytes.extend_from_slice(line.as_bytes());
                bytes.extend_from_slice(&chunk);
                bytes.extend_from_slice(b"\r\n");
                data.extend(chunk);
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            ("Transfer-Encoding: chunked\r\n".to_owned(), bytes, data)
        }),
    ]
}

/// The bytes of a body as they pass.
fn passed(length: Length, bytes: &[u8]) -> Vec<u8> {
    use super::super::body::{Coding, Cursor, Then};
    let mut cursor = Cursor::new(length, Coding::Keep);
    let (mut at, mut out) = (0, Vec::new());
    loop {
        let scan = cursor.scan(&bytes[at..]).expect("sound");
        out.extend_from_slice(&bytes[at..at + scan.pass]);
        at += scan.pass + scan.skip;
        if scan.then == Then::End {
            return out;
        }
    }
}

/// The fields that were meant are there, in their order, and both parsers agree on all.
fn check(bytes: &[u8], kind: Kind, fields: &[(String, String, String)], data: &[u8]) -> Seen {
    let (first, second) = (by_httparse(bytes, kind), by_kawa(bytes, kind));
    assert_eq!(first, second, "{}", super::text(bytes));
    assert!(first.is_whole);
    assert_eq!(first.body, data);
    let others: Vec<_> = first.fields.iter().filter(|(name, _)| name.starts_with("x-")).cloned().collect();
    let meant: Vec<_> = fields.iter().map(|(_, name, value)| (name.clone(), value.clone())).collect();
    assert_eq!(others[..meant.len()], meant);
    first
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn requests(
        method in prop_oneof![Just("GET".to_owned()), Just("POST".to_owned()), "[A-Z-]{1,9}"],
        path in "/[!\"$-;=?-~]{0,40}",
        fields in fields(),
        (framing, bytes, data) in body(),
    ) {
        prop_assume!(method != "CONNECT");
        let lines: String = fields.iter().map(|(line, ..)| line.as_str()).collect();
        let text = format!("{method} {path} HTTP/1.1\r\n{lines}{framing}Host: example.com:80\r\n\r\n");
        let mut scratch = Scratch::new();
        let Ok(Parsed::Complete(head)) = head::request(text.as_bytes(), &mut scratch) else {
            panic!("refused: {text:?}")
        };
        let target = target::of(head.method, head.target, head.version, &head.fields).expect("a target");
        let length = framing::request(&head.fields, head.version).expect("a length");
        let introduction = &Introduction::new("192.0.2.7");
        let sender = Sender { introduction, real: None, trusted: false, default_host: "app" };
        let mut out = Buffers::new(1 << 16).small();
        rewrite::request(&mut out, &head, &target, length, &rewrite::wishes(&head), &sender).expect("it fits");
        out.append(&passed(length, &bytes)).expect("it fits");
        let seen = check(out.filled(), Kind::Request, &fields, &data);
        prop_assert_eq!(seen.start, format!("{method} {path}"));
        prop_assert_eq!(&seen.fields[0], &("host".to_owned(), "example.com:80".to_owned()));
    }

    #[test]
    fn requests_that_are_listed(
        method in "[A-Z-]{1,9}",
        target in "/[!\"$-;=?-~ \r\n\u{7f}]{0,30}",
        value in "[ -~\t\r\n\u{0}\u{7f}]{0,20}",
        fields in fields(),
        (framing, bytes, data) in body(),
    ) {
        prop_assume!(method != "CONNECT");
        let lines: String = fields.iter().map(|(line, ..)| line.as_str()).collect();
        let text = format!("POST /x HTTP/1.1\r\n{lines}{framing}Host: example.com\r\n\r\n");
        let mut scratch = Scratch::new();
        let Ok(Parsed::Complete(head)) = head::request(text.as_bytes(), &mut scratch) else {
            panic!("refused: {text:?}")
        };
        let length = framing::request(&head.fields, head.version).expect("a length");
        // Whatever variables are worth.
        let given = ["Transfer-Encoding", "Host", "Given", "Content-Length"].map(|name| {
            (name.as_bytes(), if name == "Host" { b"example.com:80" } else { value.as_bytes() })
        });
        let listed = listed::Listed {
            method: method.as_bytes(),
            target: target.as_bytes(),
            host: b"app",
            fields: &given,
            drops_fields: false,
            drops_expect: false,
            is_http10: false,
            drops_underscores: false,
            drops_invalid: false,
        };
        let mut out = Buffers::new(1 << 16).small();
        listed::request(&mut out, &head, &listed, length, &rewrite::wishes(&head)).expect("it fits");
        out.append(&passed(length, &bytes)).expect("it fits");
        let seen = check(out.filled(), Kind::Request, &fields, &data);
        let is_sound = |text: &str, also: &[char]| !text.contains(|c: char| c.is_control() && !also.contains(&c));
        let sent = if is_sound(&target, &[]) && !target.contains(' ') { &target } else { "/" };
        prop_assert_eq!(seen.start, format!("{method} {sent}"));
        prop_assert_eq!(&seen.fields[0], &("host".to_owned(), "example.com:80".to_owned()));
        let told = seen.fields.iter().find(|(name, _)| name == "given").map(|(_, value)| value.as_str());
        let value = value.trim_ascii();
        prop_assert_eq!(told, Some(value).filter(|value| is_sound(value, &['\t']) && !value.is_empty()));
    }

    #[test]
    fn responses(
        status in prop_oneof![Just(200_u16), 200..=203_u16, 205..=303_u16, 305..=599_u16],
        reason in "([!-~]([ -~\t]{0,20}[!-~])?)?",
        fields in fields(),
        (framing, bytes, data) in body(),
    ) {
        let lines: String = fields.iter().map(|(line, ..)| line.as_str()).collect();
        // Without a length it would end with the connection, which no parser of bytes can see.
        let framing = if framing.is_empty() { "Content-Length: 0\r\n" } else { &framing };
        let text = format!("HTTP/1.1 {status} {reason}\r\n{lines}{framing}\r\n");
        let mut scratch = Scratch::new();
        let Ok(Parsed::Complete(head)) = head::response(text.as_bytes(), &mut scratch) else {
            panic!("refused: {text:?}")
        };
        let length = framing::response(&head.fields, head.version, status, super::super::Method::Get);
        let length = length.expect("a length");
        let nominates = Connection::of(&head.fields).nominates;
        let delivery =
            Delivery { framing: ClientFraming::Same, keep_alive: true, upgrade: false, nominates };
        let mut out = Buffers::new(1 << 16).small();
        rewrite::response(&mut out, &head, &delivery, b"Sun, 06 Nov 1994 08:49:37 GMT").expect("it fits");
        out.append(&passed(length, &bytes)).expect("it fits");
        let seen = check(out.filled(), Kind::Response, &fields, &data);
        prop_assert_eq!(seen.start, status.to_string());
    }
}
