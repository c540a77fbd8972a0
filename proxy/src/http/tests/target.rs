//! Forms of the request target and validity of the host.

use super::super::target::{self, is_host};
use super::{field_lines, text, with_request};

fn of(request_line: &str, lines: &str) -> Result<(String, String), u16> {
    with_request(&format!("{request_line}\r\n{}\r\n", field_lines(lines)), |head| {
        match target::of(head.method, head.target, head.version, &head.fields) {
            Ok(target) => Ok((text(target.path), text(target.host.unwrap_or(b"(none)")))),
            Err(refusal) => Err(refusal.status),
        }
    })
}

#[test]
fn each_form_of_a_target() {
    let cases = [
        // RFC 9112 section 3.2.1: origin-form, as sent.
        ("GET / HTTP/1.1", "Host: a", Ok(("/", "a"))),
        ("GET /x?y=/z HTTP/1.1", "Host: a:80", Ok(("/x?y=/z", "a:80"))),
        ("GET //x HTTP/1.1", "Host: a", Ok(("//x", "a"))),
        ("GET /?http://b/ HTTP/1.1", "Host: a", Ok(("/?http://b/", "a"))),
        // Section 3.2.2: absolute-form; its authority wins over Host.
        ("GET http://b/x?y HTTP/1.1", "Host: a", Ok(("/x?y", "b"))),
        ("GET HTTP://b:8080/x HTTP/1.1", "Host: a", Ok(("/x", "b:8080"))),
        ("GET http://b HTTP/1.1", "Host: b", Ok(("/", "b"))),
        ("GET http://b?y HTTP/1.1", "Host: b", Ok(("?y", "b"))),
        ("GET http://[::1]:80/ HTTP/1.1", "Host: b", Ok(("/", "[::1]:80"))),
        ("GET http://b/ HTTP/1.0", "", Ok(("/", "b"))),
        ("GET http:///x HTTP/1.1", "Host: b", Err(400)),
        ("GET http://u@b/ HTTP/1.1", "Host: b", Err(400)),
        ("GET http://u:p@b/ HTTP/1.1", "Host: b", Err(400)),
        ("GET http://b:x/ HTTP/1.1", "Host: b", Err(400)),
        ("GET http://b\\c/ HTTP/1.1", "Host: b", Err(400)),
        ("GET http:/b HTTP/1.1", "Host: b", Err(400)),
        ("GET ftp://b/ HTTP/1.1", "Host: b", Err(400)),
        // … and needs a sound Host all the same.
        ("GET http://b/ HTTP/1.1", "", Err(400)),
        ("GET http://b/ HTTP/1.1", "Host: b c", Err(400)),
        // RFC 9110 section 7.4: an https target is not for this port.
        ("GET https://b/ HTTP/1.1", "Host: b", Err(421)),
        // Section 3.2.3: authority-form is CONNECT's.
        ("CONNECT b:443 HTTP/1.1", "Host: b:443", Err(405)),
        ("GET b:443 HTTP/1.1", "Host: b", Err(400)),
        // Section 3.2.4: asterisk-form is OPTIONS'.
        ("OPTIONS * HTTP/1.1", "Host: a", Ok(("*", "a"))),
        ("OPTIONS http://b:8001 HTTP/1.1", "Host: a", Ok(("*", "b:8001"))),
        ("OPTIONS http://b/ HTTP/1.1", "Host: a", Ok(("/", "b"))),
        ("OPTIONS http://b?q HTTP/1.1", "Host: a", Ok(("?q", "b"))),
        ("GET * HTTP/1.1", "Host: a", Err(400)),
        ("options * HTTP/1.1", "Host: a", Err(400)),
        // No form at all.
        ("GET x HTTP/1.1", "Host: a", Err(400)),
        ("GET ?x HTTP/1.1", "Host: a", Err(400)),
        ("GET /x#y HTTP/1.1", "Host: a", Err(400)),
        ("GET http://b/#y HTTP/1.1", "Host: a", Err(400)),
    ];
    for (line, lines, expected) in cases {
        let expected = expected.map(|(path, host): (&str, &str)| (path.to_owned(), host.to_owned()));
        assert_eq!(of(line, lines), expected, "{line} {lines}");
    }
}

/// RFC 9112 section 3.2
#[test]
fn one_host_field_is_needed() {
    let none = Ok(("/".to_owned(), "(none)".to_owned()));
    assert_eq!(of("GET / HTTP/1.0", ""), none);
    for (version, lines) in [
        ("1.1", ""),
        ("1.1", "X-Forwarded-Host: a"),
        ("1.1", "Host: a|Host: a"),
        ("1.1", "Host: a|host: b"),
        ("1.0", "Host: a|Host: a"),
        ("1.1", "Host:"),
        ("1.1", "Host: a, b"),
        ("1.1", "Host: a/b"),
        ("1.0", "Host: a b"),
    ] {
        assert_eq!(of(&format!("GET / HTTP/{version}"), lines), Err(400), "{version} {lines}");
    }
}

/// RFC 9110 section 7.2, RFC 3986 section 3.2.2
#[test]
fn hosts() {
    for host in [
        "a",
        "example.com",
        "example.com.",
        "EXAMPLE.com:80",
        "a:",
        "a:0",
        "a:65535",
        "127.0.0.1",
        "127.0.0.1:8080",
        "a-b_c~d",
        "a!$&'()*+;=b",
        "%61%2E",
        "[::1]",
        "[::]:80",
        "[2001:db8::ff00:42:8329]",
        "[::ffff:192.0.2.1]:1",
        "[::1]:",
    ] {
        assert!(is_host(host.as_bytes()), "{host}");
    }
    for host in [
        "",
        ":80",
        ".",
        ".:80",
        "a:b",
        "a:80:80",
        "a:+80",
        "a:-1",
        "a:123456",
        "a b",
        " a",
        "a,b",
        "a@b",
        "u:p@b",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "a\"b",
        "<a>",
        "a\tb",
        "a\0",
        "\u{e4}",
        "%",
        "%6",
        "%zz",
        "a%2",
        "::1",
        "[",
        "[]",
        "[::1",
        "::1]",
        "[::1]a",
        "[::1]80",
        "[::1]:x",
        "[:::::]",
        "[1.2.3.4]",
        "[1234]",
        "[::12345]",
        "[::1%25eth0]",
        "[::1%eth0]",
        "[fe80::1:g]",
        "[[::1]]",
        "a[::1]",
    ] {
        assert!(!is_host(host.as_bytes()), "{host}");
    }
}
