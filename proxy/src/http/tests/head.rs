//! Request and response heads, whole, in parts and malformed.

use super::super::fields::{MAX_FIELDS, Scratch};
use super::super::head::{self, Parsed, too_large};
use super::super::{Method, Refusal, Version};
use super::{text, with_request, with_response};

/// The status that refuses `bytes`; 0 where they are the start of something, 1 where they are whole.
fn refused(bytes: &[u8]) -> u16 {
    match head::request(bytes, &mut Scratch::new()) {
        Ok(Parsed::Complete(_)) => 1,
        Ok(Parsed::Partial) => 0,
        Err(Refusal { status, .. }) => status,
    }
}

/// As [`refused`] for a response, with 502 for what is refused.
fn refused_response(bytes: &[u8]) -> u16 {
    match head::response(bytes, &mut Scratch::new()) {
        Ok(Parsed::Complete(_)) => 1,
        Ok(Parsed::Partial) => 0,
        Err(_) => 502,
    }
}

#[test]
fn a_request_head_is_read() {
    let whole = "PUT /a?b HTTP/1.1\r\nHost: h\r\nX-Empty:\r\nX-Pad: \t v \t\r\n\r\nbody";
    with_request(whole, |head| {
        assert_eq!((head.method, text(head.method_name)), (Method::PutOrDelete, "PUT".into()));
        assert_eq!((text(head.target), head.version), ("/a?b".into(), Version::Http11));
        assert_eq!(head.fields.find("x-empty"), Some(&b""[..]));
        // RFC 9112 section 5.1: white space around a value is not part of it.
        assert_eq!(head.fields.find("x-pad"), Some(&b"v"[..]));
        assert_eq!(head.len, whole.len() - 4);
    });
    with_request("GET / HTTP/1.0\r\n\r\n", |head| assert_eq!(head.version, Version::Http10));
}

/// RFC 9110 section 9.1: case-sensitive; section 9.2.2: idempotent or not.
#[test]
fn methods() {
    let cases = [
        ("GET", Method::Get, true),
        ("HEAD", Method::Head, true),
        ("OPTIONS", Method::Options, true),
        ("PUT", Method::PutOrDelete, true),
        ("DELETE", Method::PutOrDelete, true),
        ("TRACE", Method::Trace, true),
        ("CONNECT", Method::Connect, false),
        ("POST", Method::Other, false),
        ("PATCH", Method::Other, false),
        ("LOCK", Method::Other, false),
        ("get", Method::Other, false),
        ("HEADS", Method::Other, false),
        ("M-SEARCH", Method::Other, false),
    ];
    for (name, method, idempotent) in cases {
        let found = with_request(&format!("{name} / HTTP/1.1\r\n\r\n"), |head| head.method);
        assert_eq!((found, found.is_idempotent()), (method, idempotent), "{name}");
    }
}

#[test]
fn line_ends_and_empty_lines_before() {
    // RFC 9112 section 2.2: a lone LF ends a line, empty lines before a request line are ignored.
    for (bytes, outcome) in [
        ("GET / HTTP/1.1\nHost: h\n\n", 1),
        ("GET / HTTP/1.1\r\nHost: h\n\r\n", 1),
        ("\r\nGET / HTTP/1.1\r\n\r\n", 1),
        ("\n\r\n\nGET / HTTP/1.1\r\n\r\n", 1),
        ("\r\n", 0),
        // A lone CR does not.
        ("GET / HTTP/1.1\rHost: h\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\n\rx", 400),
        ("\rGET / HTTP/1.1\r\n\r\n", 400),
        // White space between the request line and the first field (section 2.2).
        ("GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\tHost: h\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n \r\n\r\n", 400),
        (" GET / HTTP/1.1\r\n\r\n", 400),
    ] {
        assert_eq!(refused(bytes.as_bytes()), outcome, "{bytes:?}");
    }
}

#[test]
fn request_lines() {
    for (line, outcome) in [
        ("GET / HTTP/1.1", 1),
        // RFC 9112 section 3: one space, three parts.
        ("GET  / HTTP/1.1", 400),
        ("GET /  HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        ("GET /a b HTTP/1.1", 400),
        ("GET\t/ HTTP/1.1", 400),
        ("GET /\tHTTP/1.1", 400),
        ("GET /", 400),
        ("GET", 400),
        ("/ HTTP/1.1", 400),
        ("G(T / HTTP/1.1", 400),
        ("G\u{e4}T / HTTP/1.1", 400),
        ("GET /\u{7f} HTTP/1.1", 400),
        ("GET /\u{1} HTTP/1.1", 400),
        ("GET /\0 HTTP/1.1", 400),
        // Section 2.3: versions, case-sensitive and one digit each.
        ("GET / HTTP/1.0", 1),
        ("GET / HTTP/1.2", 1),
        ("GET / HTTP/1.9", 1),
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/0.9", 505),
        ("GET / HTTP/3.1", 505),
        ("GET / HTTP/1.10", 400),
        ("GET / HTTP/1.", 400),
        ("GET / HTTP/1", 400),
        ("GET / HTTP/2", 400),
        ("GET / HTTP/11", 400),
        ("GET / HTTP/01.1", 400),
        ("GET / HTTP/+1.1", 400),
        ("GET / HTTP/1.a", 400),
        ("GET / http/1.1", 400),
        ("GET / Http/1.1", 400),
        ("GET / HTTP 1.1", 400),
        ("GET / HTTPS/1.1", 400),
        ("GET / XTTP/1.1", 400),
        ("GET / HTTP/1.1\u{b}", 400),
    ] {
        let found = refused(format!("{line}\r\nHost: h\r\n\r\n").as_bytes());
        assert_eq!(found, outcome, "{line:?}");
    }
}

#[test]
fn field_lines() {
    for (line, outcome) in [
        ("X: y", 1),
        ("X:y", 1),
        ("X:", 1),
        ("!#$%&'*+-.^_`|~0aZ: y", 1),
        ("X: caf\u{e9} \"quoted\" (c)", 1),
        ("X: a\tb", 1),
        // RFC 9112 section 5.1: no white space before the colon.
        ("X : y", 400),
        ("X\t: y", 400),
        ("Content-Length : 5", 400),
        // Section 5.2: no folding.
        ("X: y\r\n z", 400),
        ("X: y\r\n\tz", 400),
        ("X:\r\n z", 400),
        // RFC 9110 section 5.1: a name is a token, and there is one.
        (": y", 400),
        ("X", 400),
        ("X y: z", 400),
        ("X(: y", 400),
        ("X\u{e4}: y", 400),
        ("X\0: y", 400),
        ("X;: y", 400),
        ("\"X\": y", 400),
        // Section 5.5: no CR, LF, NUL; other control bytes neither.
        ("X: a\0b", 400),
        ("X: a\rb", 400),
        ("X: a\u{1}b", 400),
        ("X: a\u{b}b", 400),
        ("X: a\u{c}", 400),
        ("X: a\u{7f}", 400),
        ("X: \u{1b}[0m", 400),
    ] {
        let found = refused(format!("GET / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n").as_bytes());
        assert_eq!(found, outcome, "{line:?}");
    }
}

#[test]
fn what_is_not_http_is_told_so() {
    for (bytes, status, word) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], 400, "TLS"),
        (b"\x16", 400, "TLS"),
        // RFC 9113 section 3.4
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/2"),
        (b"GET / HTTP/4.2\r\n\r\n", 505, "use HTTP/1.1"),
        (b"GET / HTCPCP/1.0\r\n\r\n", 400, "version"),
        (b"GET / HTTP/1.1\r\nA B: c\r\n\r\n", 400, "name"),
        (b"GET / HTTP/1.1\r\nA: \x01\r\n\r\n", 400, "value"),
        (b"\x00\x00", 400, "request line"),
        (b"{\"json\": 1}\n", 400, "request line"),
    ] {
        let refusal = head::request(bytes, &mut Scratch::new()).err().expect("a refusal");
        assert_eq!(refusal.status, status, "{:?}", text(bytes));
        assert!(refusal.why.contains(word), "{:?}: {}", text(bytes), refusal.why);
    }
}

/// Whatever ends in a refusal ends in the same one however its bytes come, and whatever does not is not
/// refused on the way.
#[test]
fn no_split_changes_the_outcome() {
    for whole in [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: h\r\n\r\n",
        "\r\nGET / HTTP/1.7\nHost: h\n\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/2.05\r\n\r\n",
        "GET / HTTP/2\r\n\r\n",
        "GET / HTTP/1.25\r\n\r\n",
        "GET / HTTP/1.1x\r\n\r\n",
        "GET / HTTP/9x\r\n\r\n",
        "GET / HTTP/3\r\nHost: h\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / FTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nA : b\r\n\r\n",
        "GET /a b HTTP/1.1\r\n\r\n",
    ] {
        let (mut bytes, mut outcomes) = (Vec::new(), Vec::new());
        for byte in whole.bytes() {
            bytes.push(byte);
            match head::request(&bytes, &mut Scratch::new()) {
                Ok(Parsed::Partial) => {}
                Ok(Parsed::Complete(head)) => outcomes.push(Ok(head.len)),
                Err(refusal) => outcomes.push(Err(refusal)),
            }
        }
        let expected = match head::request(whole.as_bytes(), &mut Scratch::new()) {
            Ok(Parsed::Partial) => panic!("only a part: {whole:?}"),
            Ok(Parsed::Complete(head)) => Ok(head.len),
            Err(refusal) => Err(refusal),
        };
        assert_eq!(outcomes.first(), Some(&expected), "{whole:?}");
    }
}

#[test]
fn too_many_fields_and_too_large_heads() {
    let fields = |n: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(n));
    assert_eq!(refused(fields(MAX_FIELDS).as_bytes()), 1);
    assert_eq!(refused(fields(MAX_FIELDS + 1).as_bytes()), 431);
    // RFC 9110 section 15.5.15 and RFC 6585 section 5
    for (bytes, status) in [
        ("GET /aaaaaaaaaaaaaa", 414),
        ("\r\n\r\nGET /aaaaaaaaaa", 414),
        ("GET / HTTP/1.1\r\nA: b", 431),
        ("GET / HTTP/1.1\n", 431),
        ("\r\nGET / HTTP/1.1\nA", 431),
    ] {
        assert_eq!(too_large(bytes.as_bytes()).status, status, "{bytes:?}");
    }
}

/// RFC 9110 section 2.5: a higher minor version is treated as the highest one known.
#[test]
fn minor_versions() {
    for (minor, version) in
        [(0, Version::Http10), (1, Version::Http11), (2, Version::Http11), (9, Version::Http11)]
    {
        for end in ["\r\n", "\n"] {
            let request = format!("\r\nGET / HTTP/1.{minor}{end}Host: h{end}{end}");
            assert_eq!(with_request(&request, |head| head.version), version, "{request:?}");
            let response = format!("HTTP/1.{minor} 200 HTTP/1.2{end}A: b{end}{end}");
            assert_eq!(with_response(&response, |head| head.version), version, "{response:?}");
        }
    }
}

#[test]
fn a_response_head_is_read() {
    let whole = "HTTP/1.1 404 Not Found\r\nA: b\r\n\r\nrest";
    with_response(whole, |head| {
        assert_eq!(
            (head.version, head.status, text(head.reason)),
            (Version::Http11, 404, "Not Found".into())
        );
        assert_eq!(head.fields.find("a"), Some(&b"b"[..]));
        assert_eq!(head.len, whole.len() - 4);
    });
    with_response("HTTP/1.0 999 \r\n\r\n", |head| {
        assert_eq!((head.version, head.status, text(head.reason)), (Version::Http10, 999, String::new()));
    });
    // RFC 9112 section 5.1: a proxy removes white space before the colon of a response's field.
    with_response("HTTP/1.1 200 OK\r\nA \t: b\r\n\r\n", |head| {
        assert_eq!(head.fields.find("a"), Some(&b"b"[..]));
    });
}

#[test]
fn responses_well_formed_and_not() {
    for (bytes, outcome) in [
        ("HTTP/1.1 200 OK\r\n\r\n", 1),
        ("HTTP/1.1 200\r\n\r\n", 1),
        ("HTTP/1.1 200 \r\n\r\n", 1),
        ("HTTP/1.1 200 caf\u{e9}\r\n\r\n", 1),
        ("HTTP/1.1 200 a\tb\r\n\r\n", 1),
        ("HTTP/1.1 200 OK\nA: b\n\n", 1),
        ("HTTP/1.7 200 OK\r\n\r\n", 1),
        ("HTTP/1.1 100 Continue\r\n\r\n", 1),
        ("", 0),
        ("H", 0),
        ("HTTP/1.1 200 OK\r\nA: b\r\n", 0),
        // RFC 9112 section 4: three digits, one space.
        ("HTTP/1.1 20 OK\r\n\r\n", 502),
        ("HTTP/1.1 2000 OK\r\n\r\n", 502),
        ("HTTP/1.1 2x0 OK\r\n\r\n", 502),
        ("HTTP/1.1  200 OK\r\n\r\n", 502),
        ("HTTP/1.1\t200 OK\r\n\r\n", 502),
        ("HTTP/1.1 -20 OK\r\n\r\n", 502),
        ("HTTP/1.1 099 OK\r\n\r\n", 502),
        ("HTTP/1.1 000 OK\r\n\r\n", 502),
        ("HTTP/1.1\r\n\r\n", 502),
        ("HTTP/1.1 200 a\0b\r\n\r\n", 502),
        ("HTTP/1.1 200 a\rb\r\n\r\n", 502),
        // Versions: other majors, HTTP/0.9's bare body, other protocols.
        ("HTTP/2.0 200 OK\r\n\r\n", 502),
        ("HTTP/0.9 200 OK\r\n\r\n", 502),
        ("HTTP/1.10 200 OK\r\n\r\n", 502),
        ("http/1.1 200 OK\r\n\r\n", 502),
        ("HTTPS/1.1 200 OK\r\n\r\n", 502),
        ("<html>", 502),
        ("ICY 200 OK\r\n\r\n", 502),
        ("SSH-2.0-x\r\n", 502),
        ("\x15\x03\x01", 502),
        // Remains of another message.
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", 502),
        (" HTTP/1.1 200 OK\r\n\r\n", 502),
        // Fields as strict as a request's.
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", 502),
        ("HTTP/1.1 200 OK\r\n A: b\r\n\r\n", 502),
        ("HTTP/1.1 200 OK\r\nA\r\n\r\n", 502),
        ("HTTP/1.1 200 OK\r\n: b\r\n\r\n", 502),
        ("HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", 502),
        ("HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", 502),
        ("HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", 502),
    ] {
        assert_eq!(refused_response(bytes.as_bytes()), outcome, "{bytes:?}");
    }
    let fields = |n: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(n));
    assert_eq!(refused_response(fields(MAX_FIELDS).as_bytes()), 1);
    assert_eq!(refused_response(fields(MAX_FIELDS + 1).as_bytes()), 502);
}

#[test]
fn no_split_changes_a_responses_outcome() {
    for whole in ["HTTP/1.2 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "HTTP/1.0 200\n\n"] {
        let mut bytes = Vec::new();
        for (i, byte) in whole.bytes().enumerate() {
            bytes.push(byte);
            let outcome = u16::from(i + 1 == whole.len());
            assert_eq!(refused_response(&bytes), outcome, "{whole:?} up to {}", i + 1);
        }
    }
}

/// RFC 9112 section 7.1.2
#[test]
fn trailer_sections() {
    let read = |bytes: &str| match head::trailers(bytes.as_bytes(), &mut Scratch::new()) {
        Ok(Parsed::Complete((fields, len))) => Ok(Some((fields.iter().count(), bytes.len() - len))),
        Ok(Parsed::Partial) => Ok(None),
        Err(_) => Err(()),
    };
    let many = |n: usize| "A: b\r\n".repeat(n) + "\r\n";
    for (bytes, outcome) in [
        ("A: b\r\n\r\n", Ok(Some((1, 0)))),
        ("A: b\r\nC:\r\n\r\nGET", Ok(Some((2, 3)))),
        ("A: b\r\n", Ok(None)),
        ("A", Ok(None)),
        ("A: b\r\n\r", Ok(None)),
        (many(MAX_FIELDS).as_str(), Ok(Some((MAX_FIELDS, 0)))),
        (many(MAX_FIELDS + 1).as_str(), Err(())),
        ("A : b\r\n\r\n", Err(())),
        ("A: b\r\n c\r\n\r\n", Err(())),
        ("A: \0\r\n\r\n", Err(())),
        ("GET / HTTP/1.1\r\n\r\n", Err(())),
        // Chunked framing knows no bare LF, and its trailer section is part of it.
        ("A: b\n\n", Err(())),
        ("A: b\r\n\n", Err(())),
        ("A: b\n\r\n", Err(())),
        ("A: b\n", Err(())),
        ("A: b\rc\r\n\r\n", Err(())),
    ] {
        assert_eq!(read(bytes), outcome, "{bytes:?}");
    }
}
