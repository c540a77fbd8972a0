//! What changes in a head as it passes.

use std::net::IpAddr;
use std::sync::LazyLock;

use super::super::fields::{Connection, Nominated, Scratch};
use super::super::framing::Length;
use super::super::head::{self, Parsed};
use super::super::rewrite::{self, ClientFraming, Delivery, Introduction, Sender, Wishes};
use super::super::{framing, target};
use super::{buffer, field_lines, text, with_fields, with_request, with_response};
use crate::buffer::{Buffers, Full};

static ADDRESS: LazyLock<Introduction> = LazyLock::new(|| Introduction::new("192.0.2.7"));
static STRANGER: LazyLock<Sender<'_>> = LazyLock::new(|| Sender {
    introduction: &ADDRESS,
    real: None,
    trusted: false,
    default_host: "app1:5000",
});
static FRIEND: LazyLock<Sender<'_>> = LazyLock::new(|| Sender { trusted: true, ..*STRANGER });

/// The head that goes on for one that came.
fn forward(request_line: &str, lines: &str, sender: &Sender<'_>) -> String {
    with_request(&format!("{request_line}\r\n{}\r\n", field_lines(lines)), |head| {
        let target = target::of(head.method, head.target, head.version, &head.fields).expect("a target");
        let length = framing::request(&head.fields, head.version).expect("a length");
        let mut out = buffer();
        rewrite::request(&mut out, head, &target, length, &rewrite::wishes(head), sender).expect("it fits");
        text(out.filled())
    })
}

/// The fields that go on for those that came with `GET / HTTP/1.1` from a stranger, without those that
/// every request gets.
fn fields_of(lines: &str) -> String {
    added(&forward("GET / HTTP/1.1", &format!("Host: h|{lines}"), &STRANGER), "GET / HTTP/1.1", "Host: h")
}

/// `head` from behind its Host line to before what every request gets, lines joined by `|`.
fn added(head: &str, request_line: &str, host: &str) -> String {
    let start = format!("{request_line}\r\n{host}\r\n");
    let end = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Real-IP: 192.0.2.7\r\n\
               X-Forwarded-Host: h\r\nVia: 1.1 proxy\r\n\r\n";
    let rest = head.strip_prefix(&start).unwrap_or_else(|| panic!("does not start with {start:?}: {head:?}"));
    let rest = rest.strip_suffix(end).unwrap_or_else(|| panic!("does not end with {end:?}: {head:?}"));
    rest.trim_end().replace("\r\n", "|")
}

#[test]
fn a_request_is_written_anew() {
    assert_eq!(
        forward("GET /x?y HTTP/1.1", "user-agent:  curl \t|host: h:80|X-A:|Accept: */*", &STRANGER),
        "GET /x?y HTTP/1.1\r\nHost: h:80\r\nuser-agent: curl\r\nX-A: \r\nAccept: */*\r\n\
         X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Real-IP: 192.0.2.7\r\n\
         X-Forwarded-Host: h:80\r\nVia: 1.1 proxy\r\n\r\n"
    );
}

/// RFC 9112 sections 3.2 and 2.3: the target in the form for an origin, the proxy's own version, Host
/// first and always.
#[test]
fn request_lines_and_hosts() {
    for (line, lines, start) in [
        ("GET http://b:81/x HTTP/1.1", "Host: a", "GET /x HTTP/1.1\r\nHost: b:81\r\n"),
        ("GET http://b?q HTTP/1.1", "Host: a", "GET /?q HTTP/1.1\r\nHost: b\r\n"),
        ("OPTIONS http://b HTTP/1.1", "Host: a", "OPTIONS * HTTP/1.1\r\nHost: b\r\n"),
        ("GET / HTTP/1.0", "", "GET / HTTP/1.1\r\nHost: app1:5000\r\n"),
        ("GET / HTTP/1.0", "Host: a", "GET / HTTP/1.1\r\nHost: a\r\n"),
        ("M-SEARCH / HTTP/1.1", "X: y|Host: a", "M-SEARCH / HTTP/1.1\r\nHost: a\r\nX: y\r\n"),
    ] {
        let head = forward(line, lines, &STRANGER);
        assert!(head.starts_with(start), "{head:?}");
        assert_eq!(head.matches("Host: ").count(), 2, "Host and X-Forwarded-Host: {head:?}");
    }
    // RFC 9110 section 7.6.3: the version that it was received with.
    assert!(forward("GET / HTTP/1.0", "", &STRANGER).ends_with("Via: 1.0 proxy\r\n\r\n"));
}

/// RFC 9110 section 7.6.1
#[test]
fn what_is_for_this_connection_stays_here() {
    for (came, goes) in [
        ("Connection: close", ""),
        ("Connection: keep-alive|Keep-Alive: 5|Proxy-Connection: x|HTTP2-Settings: x", ""),
        ("Connection: x-mine, X-Other|X-Mine: 1|x-other: 2|X-Third: 3", "X-Third: 3"),
        ("X-Mine: 1|Connection: close|Connection: x-mine", ""),
        ("Connection: authorization|Authorization: x", ""),
        ("Connection: x|X: 1|XX: 2", "XX: 2"),
        // Framing and routing cannot be taken away.
        ("Connection: content-length, host|Content-Length: 5", "Content-Length: 5"),
        ("Connection: transfer-encoding|Transfer-Encoding: Chunked", "Transfer-Encoding: chunked"),
        // RFC 9110 section 7.6.3: an earlier Via stays in front.
        ("Via: 1.0 a|X: y|Via: 1.1 b", "Via: 1.0 a|X: y|Via: 1.1 b"),
        // Names that servers take for others.
        ("Content_Length: 5|transfer_encoding: chunked|X_Forwarded_For: x|a_b: c", "a_b: c"),
        ("Trailer: X|Cookie: a=b|Expect: 100-continue", "Trailer: X|Cookie: a=b|Expect: 100-continue"),
    ] {
        assert_eq!(fields_of(came), goes, "{came}");
    }
    // RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is ignored.
    assert!(!forward("GET / HTTP/1.0", "Expect: 100-continue", &STRANGER).contains("Expect"));
}

/// RFC 9110 section 8.6, RFC 9112 section 6.2
#[test]
fn framing_is_written_from_what_was_decided() {
    for (method, lines, framing) in [
        ("GET", "", None),
        ("DELETE", "", None),
        ("GET", "Content-Length: 0", Some("Content-Length: 0")),
        ("GET", "Content-Length: 007", Some("Content-Length: 7")),
        ("POST", "", Some("Content-Length: 0")),
        ("PUT", "", Some("Content-Length: 0")),
        ("PATCH", "", Some("Content-Length: 0")),
        ("POST", "Content-Length: 9223372036854775807", Some("Content-Length: 9223372036854775807")),
        ("GET", "Transfer-Encoding: CHUNKED", Some("Transfer-Encoding: chunked")),
    ] {
        let line = format!("{method} / HTTP/1.1");
        let head = forward(&line, &format!("Host: h|{lines}"), &STRANGER);
        assert_eq!(added(&head, &line, "Host: h"), framing.unwrap_or_default(), "{method} {lines}");
    }
}

/// RFC 9110 sections 10.1.4 and 7.8
#[test]
fn te_and_upgrade_are_passed_on_where_they_hold() {
    for (came, goes) in [
        ("TE: trailers", "TE: trailers|Connection: TE"),
        ("TE: gzip;q=0.5, Trailers|Connection: TE", "TE: trailers|Connection: TE"),
        ("TE: gzip|TE: trailers", "TE: trailers|Connection: TE"),
        ("TE: gzip|Connection: TE", ""),
        ("TE:", ""),
        ("Upgrade: websocket|Connection: upgrade", "Upgrade: websocket|Connection: upgrade"),
        ("Upgrade: a, b/1|Connection: Upgrade, close", "Upgrade: a, b/1|Connection: upgrade"),
        (
            "Upgrade: websocket|Connection: upgrade, te|TE: trailers",
            "Upgrade: websocket|TE: trailers|Connection: upgrade, TE",
        ),
        // Without the connection option it is not a wish; without a protocol neither.
        ("Upgrade: websocket", ""),
        ("Connection: upgrade", ""),
        // HTTP/2 would pass behind all checks.
        ("Upgrade: h2c|Connection: upgrade, HTTP2-Settings|HTTP2-Settings: x", ""),
        ("Upgrade: websocket, H2C|Connection: upgrade", ""),
        ("Upgrade: websocket|Upgrade: h2|Connection: upgrade", ""),
    ] {
        assert_eq!(fields_of(came), goes, "{came}");
    }
    // RFC 9110 section 7.8: in HTTP/1.0 it is ignored; trailers cannot reach an HTTP/1.0 client.
    let old = forward("GET / HTTP/1.0", "Upgrade: x|Connection: upgrade|TE: trailers", &STRANGER);
    assert!(!old.contains("Upgrade") && !old.contains("TE: ") && !old.contains("Connection"), "{old:?}");
}

/// RFC 9110 section 7.6.2
#[test]
fn max_forwards_is_counted_down_where_it_counts() {
    let counted = |line: &str, lines: &str| {
        let head = forward(line, &format!("Host: h|{lines}"), &STRANGER);
        added(&head, line, "Host: h")
    };
    assert_eq!(counted("OPTIONS / HTTP/1.1", "Max-Forwards: 5"), "Max-Forwards: 4");
    assert_eq!(counted("OPTIONS / HTTP/1.1", "Max-Forwards: 1"), "Max-Forwards: 0");
    assert_eq!(counted("GET / HTTP/1.1", "Max-Forwards: 5"), "Max-Forwards: 5");
    assert_eq!(counted("OPTIONS / HTTP/1.1", "Max-Forwards: x"), "Max-Forwards: x");
    for (line, lines, wish) in [
        ("OPTIONS / HTTP/1.1", "Max-Forwards: 0", Some(0)),
        ("TRACE / HTTP/1.1", "Max-Forwards: 7", Some(7)),
        ("GET / HTTP/1.1", "Max-Forwards: 0", None),
        ("OPTIONS / HTTP/1.1", "", None),
        ("OPTIONS / HTTP/1.1", "Max-Forwards: -1", None),
    ] {
        let head = format!("{line}\r\n{}\r\n", field_lines(lines));
        assert_eq!(with_request(&head, rewrite::wishes).max_forwards, wish, "{line} {lines}");
    }
}

#[test]
fn a_strangers_word_about_itself_is_replaced() {
    let claims =
        "Host: h|X-Forwarded-For: 10.0.0.1|X-Forwarded-Proto: https|X-Forwarded-Host: evil|X-Real-IP: 1";
    let head = forward("GET / HTTP/1.1", claims, &STRANGER);
    let expected = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.0.0.1, 192.0.2.7\r\n\
                    X-Forwarded-Proto: http\r\nX-Real-IP: 192.0.2.7\r\nX-Forwarded-Host: h\r\n\
                    Via: 1.1 proxy\r\n\r\n";
    assert_eq!(head, expected);
}

#[test]
fn a_trusted_senders_word_is_passed_on() {
    let claims = "Host: h|X-Forwarded-For: 10.0.0.1|X-Forwarded-For:|X-Forwarded-For: 10.0.0.2|\
                  X-Forwarded-Proto: https|X-Real-IP: 10.0.0.1";
    let head = forward("GET / HTTP/1.1", claims, &FRIEND);
    let expected = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 10.0.0.1\r\n\
                    X-Forwarded-For: 10.0.0.1, 10.0.0.2, 192.0.2.7\r\nX-Forwarded-Host: h\r\n\
                    Via: 1.1 proxy\r\n\r\n";
    assert_eq!(head, expected);
    // What it nominates for removal is removed, and then told anew (RFC 9110 section 7.6.1).
    let claims = "Host: h|Connection: x-real-ip, x-forwarded-for, x-forwarded-proto, x-forwarded-host|\
                  X-Forwarded-For: 1|X-Real-IP: 1|X-Forwarded-Proto: x|X-Forwarded-Host: y";
    let head = forward("GET / HTTP/1.1", claims, &FRIEND);
    assert_eq!(added(&head, "GET / HTTP/1.1", "Host: h"), "");
}

#[test]
fn the_client_behind_trusted_proxies() {
    let trusted = |address: IpAddr| address.to_string().starts_with("10.");
    for (lines, client) in [
        ("", None),
        ("X-Forwarded-For:", None),
        ("X-Forwarded-For: 192.0.2.1", Some("192.0.2.1")),
        ("X-Forwarded-For: 192.0.2.1, 192.0.2.2", Some("192.0.2.2")),
        ("X-Forwarded-For: 192.0.2.1, 10.0.0.2", Some("192.0.2.1")),
        ("X-Forwarded-For: 192.0.2.1,10.0.0.2,10.0.0.3", Some("192.0.2.1")),
        ("X-Forwarded-For: 10.0.0.1, 10.0.0.2", Some("10.0.0.1")),
        ("X-Forwarded-For: 192.0.2.1|X-Forwarded-For: 10.0.0.2", Some("192.0.2.1")),
        ("X-Forwarded-For: 2001:db8::1", Some("2001:db8::1")),
        ("X-Forwarded-For: 192.0.2.1 ,, 10.0.0.2 10.0.0.3, ,", Some("192.0.2.1")),
        ("X-Forwarded-For: ,192.0.2.1, 10.0.0.2", Some("10.0.0.2")),
        ("X-Forwarded-For: ,", None),
        // What is not an address ends the chain.
        ("X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.2", Some("10.0.0.2")),
        ("X-Forwarded-For: 192.0.2.1, unknown", None),
        ("X-Forwarded-For: 192.0.2.1:80", None),
    ] {
        let found = with_fields(lines, |fields| rewrite::forwarded_client(fields, trusted));
        assert_eq!(found.map(|address| address.to_string()).as_deref(), client, "{lines}");
    }
    let many = "X-Forwarded-For: 192.0.2.1|".to_owned() + &"X-Forwarded-For: 10.0.0.2|".repeat(8);
    let found = with_fields(&many, |fields| rewrite::forwarded_client(fields, trusted));
    assert_eq!(found, "10.0.0.2".parse().ok(), "only the last eight fields count");
}

/// The fields of the response that goes on, without its date.
fn deliver(status_line: &str, lines: &str, delivery: Delivery) -> String {
    with_response(&format!("{status_line}\r\n{}\r\n", field_lines(lines)), |head| {
        let mut out = buffer();
        let delivery = Delivery { nominates: Connection::of(&head.fields).nominates, ..delivery };
        rewrite::response(&mut out, head, &delivery, b"NOW").expect("it fits");
        let text = text(out.filled());
        text.strip_suffix("\r\n\r\n").expect("a blank line").replace("\r\n", "|")
    })
}

const SAME: Delivery =
    Delivery { framing: ClientFraming::Same, keep_alive: true, upgrade: false, nominates: false };

#[test]
fn a_response_is_written_anew() {
    let close = Delivery { keep_alive: false, ..SAME };
    let chunked = Delivery { framing: ClientFraming::Chunked, ..SAME };
    let until_close = Delivery { framing: ClientFraming::Unchunked, ..close };
    for (line, lines, delivery, expected) in [
        (
            "HTTP/1.1 200 OK",
            "Date: x|a:  b |Content-Length: 5",
            SAME,
            "HTTP/1.1 200 OK|Date: x|a: b|Content-Length: 5|Via: 1.1 proxy|Connection: keep-alive",
        ),
        // RFC 9110 section 6.6.1: a date where there is none; RFC 9112 section 2.3: its own version.
        (
            "HTTP/1.0 404 Gone Fishing",
            "Content-Length: 0",
            close,
            "HTTP/1.1 404 Gone Fishing|Content-Length: 0|Date: NOW|Via: 1.0 proxy|Connection: close",
        ),
        // RFC 9112 section 4: the space stands even without a reason.
        ("HTTP/1.1 299", "Date: x", SAME, "HTTP/1.1 299 |Date: x|Via: 1.1 proxy|Connection: keep-alive"),
        // RFC 9112 section 7.1
        (
            "HTTP/1.1 200 OK",
            "Date: x",
            chunked,
            "HTTP/1.1 200 OK|Date: x|Transfer-Encoding: chunked|Via: 1.1 proxy|Connection: keep-alive",
        ),
        (
            "HTTP/1.1 200 OK",
            "Date: x|Transfer-Encoding: chunked",
            SAME,
            "HTTP/1.1 200 OK|Date: x|Transfer-Encoding: chunked|Via: 1.1 proxy|Connection: keep-alive",
        ),
        (
            "HTTP/1.1 200 OK",
            "Date: x|Transfer-Encoding: chunked",
            until_close,
            "HTTP/1.1 200 OK|Date: x|Via: 1.1 proxy|Connection: close",
        ),
        // RFC 9110 section 7.6.1
        (
            "HTTP/1.1 200 OK",
            "Date: x|Connection: close, X-Mine|X-Mine: 1|Keep-Alive: 5|Upgrade: h2c|TE: x|Proxy-Connection: y",
            SAME,
            "HTTP/1.1 200 OK|Date: x|Via: 1.1 proxy|Connection: keep-alive",
        ),
        (
            "HTTP/1.1 200 OK",
            "Connection: content-length|Content-Length: 5|Date: x|Content_Length: 6|Via: 1.1 a",
            SAME,
            "HTTP/1.1 200 OK|Content-Length: 5|Date: x|Via: 1.1 a|Via: 1.1 proxy|Connection: keep-alive",
        ),
        // RFC 9110 section 8.6, RFC 9112 section 6.1: no framing fields where there is no body.
        (
            "HTTP/1.1 204 No Content",
            "Date: x|Content-Length: 5|Transfer-Encoding: chunked",
            SAME,
            "HTTP/1.1 204 No Content|Date: x|Via: 1.1 proxy|Connection: keep-alive",
        ),
        (
            "HTTP/1.1 304 Not Modified",
            "Date: x|Content-Length: 5",
            SAME,
            "HTTP/1.1 304 Not Modified|Date: x|Content-Length: 5|Via: 1.1 proxy|Connection: keep-alive",
        ),
        // RFC 9110 section 15.2: an interim response says nothing of the connection.
        (
            "HTTP/1.1 103 Early Hints",
            "Link: x|Connection: y|Y: 1|Content-Length: 5",
            SAME,
            "HTTP/1.1 103 Early Hints|Link: x|Via: 1.1 proxy",
        ),
        // RFC 9110 sections 15.5.22 and 7.8: a 426 needs Upgrade, and Upgrade its option.
        (
            "HTTP/1.1 426 Upgrade Required",
            "Date: x|Upgrade: TLS/1.0|Connection: upgrade|Content-Length: 0",
            SAME,
            "HTTP/1.1 426 Upgrade Required|Date: x|Upgrade: TLS/1.0|Content-Length: 0|Via: 1.1 proxy|\
             Connection: keep-alive, upgrade",
        ),
        (
            "HTTP/1.1 426 Upgrade Required",
            "Date: x|Upgrade: TLS/1.0|Content-Length: 0",
            close,
            "HTTP/1.1 426 Upgrade Required|Date: x|Upgrade: TLS/1.0|Content-Length: 0|Via: 1.1 proxy|\
             Connection: close, upgrade",
        ),
        // RFC 9110 section 15.2.2
        (
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket|Connection: upgrade|Sec-WebSocket-Accept: x",
            Delivery { upgrade: true, ..SAME },
            "HTTP/1.1 101 Switching Protocols|Upgrade: websocket|Sec-WebSocket-Accept: x|Via: 1.1 proxy|\
             Connection: upgrade",
        ),
    ] {
        assert_eq!(deliver(line, lines, delivery), expected, "{line} {lines}");
    }
}

/// RFC 9110 section 6.5.1
#[test]
fn trailers_pass_without_what_must_not_stand_there() {
    let write = |lines: &str, nominated: &str| {
        let bytes = format!("{}\r\n", field_lines(lines));
        let mut scratch = Scratch::new();
        let Ok(Parsed::Complete((fields, _))) = head::trailers(bytes.as_bytes(), &mut scratch) else {
            panic!("not a trailer section: {lines}")
        };
        let mut out = buffer();
        let of_head = Nominated::of_lists([nominated.as_bytes()].into_iter());
        rewrite::trailers(&mut out, &fields, &of_head).expect("it fits");
        text(out.filled()).strip_suffix("\r\n").expect("a blank line").trim_end().replace("\r\n", "|")
    };
    assert_eq!(write("X-Sum:  1 |Server-Timing: x|ETag: y", ""), "X-Sum: 1|Server-Timing: x|ETag: y");
    assert_eq!(write("X-A: 1|X-B: 2", "close, x-a"), "X-B: 2");
    assert_eq!(write("Connection: x-a|X-A: 1|X-B: 2", ""), "X-B: 2");
    let forbidden = "Transfer-Encoding Content-Length Content_Length Host Connection Keep-Alive TE Upgrade Via Date \
                     Expect Max-Forwards X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host X-Real-IP Forwarded \
                     Authorization Proxy-Authorization WWW-Authenticate Proxy-Authenticate Cookie Set-Cookie \
                     Cache-Control Pragma Content-Type Content-Encoding Content-Range Trailer Range If-Match \
                     If-None-Match If-Modified-Since If-Unmodified-Since If-Range Age Expires Location Vary \
                     Retry-After Warning Proxy-Connection";
    for name in forbidden.split_whitespace() {
        for name in [name.to_owned(), name.to_lowercase()] {
            assert_eq!(write(&format!("X-A: 1|{name}: x|X-B: 2"), ""), "X-A: 1|X-B: 2", "{name}");
        }
    }
}

/// RFC 9112 section 7.1
#[test]
fn chunk_lines() {
    for (size, open, line) in [
        (1, false, "1\r\n"),
        (10, false, "a\r\n"),
        (16, true, "\r\n10\r\n"),
        (0xabcdef, true, "\r\nabcdef\r\n"),
        (usize::MAX, true, "\r\nffffffffffffffff\r\n"),
    ] {
        let mut out = buffer();
        rewrite::append_chunk_line(&mut out, size, open).expect("it fits");
        assert_eq!(text(out.filled()), line);
    }
}

/// A head that does not fit is an error at whatever place it stops fitting.
#[test]
fn a_head_that_does_not_fit_is_an_error() {
    let request = "POST http://h/x HTTP/1.1\r\nHost: h\r\nA: b\r\nTE: trailers\r\nContent-Length: 5\r\n\r\n";
    let response = "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\n";
    let write = |size: usize| {
        let mut out = Buffers::new(size).small();
        let forwarded = with_request(request, |head| {
            let target = target::of(head.method, head.target, head.version, &head.fields).expect("a target");
            let wishes = Wishes { max_forwards: Some(1), ..rewrite::wishes(head) };
            rewrite::request(&mut out, head, &target, Length::Exact(5), &wishes, &STRANGER)
        });
        let length = out.len();
        out.clear();
        let delivered = with_response(response, |head| rewrite::response(&mut out, head, &SAME, b"NOW"));
        (forwarded, length, delivered, out.len())
    };
    let (_, forwarded, _, delivered) = write(4096);
    for size in 0..=forwarded.max(delivered) {
        let (request, _, response, _) = write(size);
        assert_eq!(request, if size < forwarded { Err(Full) } else { Ok(()) }, "{size}");
        assert_eq!(response, if size < delivered { Err(Full) } else { Ok(()) }, "{size}");
    }
}

/// A line is copied only where it stands there as it would be written.
#[test]
fn status_lines_are_written_anew_where_anything_is_odd() {
    for (line, written) in [
        ("HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK"),
        ("HTTP/1.1 201 Made\r\n", "HTTP/1.1 201 Made"),
        ("HTTP/1.1 200 OK\n", "HTTP/1.1 200 OK"),
        ("HTTP/1.1 103 \u{ef}\n", "HTTP/1.1 103 "),
        ("HTTP/1.1 200 caf\u{e9}\r\n", "HTTP/1.1 200 "),
        ("HTTP/1.1 200\r\n", "HTTP/1.1 200 "),
        ("HTTP/1.2 200 OK\r\n", "HTTP/1.1 200 OK"),
        ("HTTP/1.0 200 OK\r\n", "HTTP/1.1 200 OK"),
    ] {
        // One octet each, as Latin-1 has it.
        let bytes: Vec<u8> = line.chars().map(|c| c as u8).chain(*b"X: y\r\n\r\n").collect();
        let mut scratch = Scratch::new();
        let Ok(Parsed::Complete(head)) = head::response(&bytes, &mut scratch) else { panic!("{line:?}") };
        let mut out = buffer();
        rewrite::response(&mut out, &head, &SAME, b"NOW").expect("it fits");
        assert!(text(out.filled()).starts_with(&format!("{written}\r\nX: y\r\n")), "{line:?}");
    }
}
