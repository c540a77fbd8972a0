//! RFC 9112 section 6.3, rule by rule, and what the design refuses beyond it.

use super::super::Method;
use super::super::framing::{self, Length};
use super::{field_lines, with_request, with_response};

fn of_request(version: &str, lines: &str) -> Result<Length, u16> {
    with_request(&format!("POST / HTTP/{version}\r\n{}\r\n", field_lines(lines)), |head| {
        framing::request(&head.fields, head.version).map_err(|refusal| refusal.status)
    })
}

#[test]
fn the_length_of_a_requests_body() {
    use Length::{Chunked, Empty, Exact};
    let cases = [
        // Rule 7: neither field, no body.
        ("1.1", "", Ok(Empty)),
        ("1.0", "", Ok(Empty)),
        ("1.1", "Content_Length: 5", Ok(Empty)),
        // Rule 6: Content-Length.
        ("1.1", "Content-Length: 5", Ok(Exact(5))),
        ("1.0", "Content-Length: 5", Ok(Exact(5))),
        ("1.1", "content-length:005", Ok(Exact(5))),
        ("1.1", "Content-Length: 0", Ok(Empty)),
        ("1.1", "Content-Length: 9223372036854775807", Ok(Exact(i64::MAX as u64))),
        // Rule 5: an invalid one is unrecoverable.
        ("1.1", "Content-Length: 9223372036854775808", Err(400)),
        ("1.1", "Content-Length: 18446744073709551621", Err(400)),
        ("1.1", "Content-Length: 99999999999999999999999999", Err(400)),
        ("1.1", "Content-Length:", Err(400)),
        ("1.1", "Content-Length: +5", Err(400)),
        ("1.1", "Content-Length: -5", Err(400)),
        ("1.1", "Content-Length: 5 5", Err(400)),
        ("1.1", "Content-Length: 0x5", Err(400)),
        ("1.1", "Content-Length: 5.0", Err(400)),
        ("1.1", "Content-Length: 5;", Err(400)),
        ("1.1", "Content-Length: five", Err(400)),
        ("1.1", "Content-Length: \u{665}", Err(400)),
        // Rule 5 lets a list of equal values be collapsed; the design does not.
        ("1.1", "Content-Length: 5, 5", Err(400)),
        ("1.1", "Content-Length: 5, 6", Err(400)),
        ("1.1", "Content-Length: 5|Content-Length: 5", Err(400)),
        ("1.1", "Content-Length: 5|Content-Length: 6", Err(400)),
        ("1.1", "Content-Length: 5|Content-Length:", Err(400)),
        // Rule 4: chunked, in any case.
        ("1.1", "Transfer-Encoding: chunked", Ok(Chunked)),
        ("1.1", "transfer-encoding:  Chunked \t", Ok(Chunked)),
        // Section 6.1: a coding that is not known, below a final chunked.
        ("1.1", "Transfer-Encoding: gzip, chunked", Err(501)),
        ("1.1", "Transfer-Encoding: x, gzip,chunked", Err(501)),
        // Rule 4: chunked is not final.
        ("1.1", "Transfer-Encoding: gzip", Err(400)),
        ("1.1", "Transfer-Encoding: identity", Err(400)),
        ("1.1", "Transfer-Encoding: chunked, gzip", Err(400)),
        ("1.1", "Transfer-Encoding: chunked, identity", Err(400)),
        ("1.1", "Transfer-Encoding: chunke", Err(400)),
        ("1.1", "Transfer-Encoding: xchunked", Err(400)),
        // Section 7: chunked more than once.
        ("1.1", "Transfer-Encoding: chunked, chunked", Err(400)),
        ("1.1", "Transfer-Encoding: chunked, gzip, chunked", Err(400)),
        ("1.1", "Transfer-Encoding: chunked|Transfer-Encoding: chunked", Err(400)),
        ("1.1", "Transfer-Encoding: gzip|Transfer-Encoding: chunked", Err(400)),
        ("1.1", "Transfer-Encoding: chunked|Transfer-Encoding: identity", Err(400)),
        ("1.1", "Transfer-Encoding: chunked|Transfer-Encoding:", Err(400)),
        // Not to the letter.
        ("1.1", "Transfer-Encoding:", Err(400)),
        ("1.1", "Transfer-Encoding: ,chunked", Err(400)),
        ("1.1", "Transfer-Encoding: chunked,", Err(400)),
        ("1.1", "Transfer-Encoding: \"chunked\"", Err(400)),
        ("1.1", "Transfer-Encoding: chunked;q=1", Err(400)),
        ("1.1", "Transfer-Encoding: chunked chunked", Err(400)),
        // Rule 3: both.
        ("1.1", "Content-Length: 5|Transfer-Encoding: chunked", Err(400)),
        ("1.1", "Transfer-Encoding: chunked|Content-Length: 5", Err(400)),
        ("1.1", "Transfer-Encoding: chunked|Content-Length: x", Err(400)),
        ("1.1", "Transfer-Encoding: gzip|Content-Length: 0", Err(400)),
        // Section 6.1: Transfer-Encoding in HTTP/1.0 is faulty.
        ("1.0", "Transfer-Encoding: chunked", Err(400)),
        ("1.0", "Transfer-Encoding: gzip, chunked", Err(400)),
        ("1.0", "Transfer-Encoding: chunked|Content-Length: 5", Err(400)),
    ];
    for (version, lines, expected) in cases {
        assert_eq!(of_request(version, lines), expected, "HTTP/{version} {lines}");
    }
}

#[test]
fn the_length_of_a_responses_body() {
    use Length::{Chunked, Empty, Exact, UntilClose};
    let get = Method::Get;
    let bad = Err(());
    let cases = [
        // Rule 1: no body, whatever the fields say.
        ("1.1", 100, get, "Content-Length: 5", Ok(Empty)),
        ("1.1", 101, get, "Transfer-Encoding: chunked", Ok(Empty)),
        ("1.1", 103, get, "", Ok(Empty)),
        ("1.1", 204, get, "", Ok(Empty)),
        ("1.1", 204, get, "Content-Length: 5", Ok(Empty)),
        ("1.1", 204, get, "Transfer-Encoding: chunked", Ok(Empty)),
        ("1.1", 304, get, "", Ok(Empty)),
        ("1.1", 304, get, "Content-Length: 5", Ok(Empty)),
        ("1.1", 304, get, "Transfer-Encoding: chunked", Ok(Empty)),
        ("1.1", 200, Method::Head, "", Ok(Empty)),
        ("1.1", 200, Method::Head, "Content-Length: 5", Ok(Empty)),
        ("1.1", 404, Method::Head, "Transfer-Encoding: chunked", Ok(Empty)),
        ("1.0", 200, Method::Head, "", Ok(Empty)),
        // … but a bad field is a bad response.
        ("1.1", 304, get, "Content-Length: x", bad),
        ("1.1", 200, Method::Head, "Content-Length: 5|Content-Length: 6", bad),
        // Rule 3: both.
        ("1.1", 200, get, "Content-Length: 5|Transfer-Encoding: chunked", bad),
        ("1.1", 200, get, "Transfer-Encoding: gzip|Content-Length: 5", bad),
        // Rule 4: chunked.
        ("1.1", 200, get, "Transfer-Encoding: chunked", Ok(Chunked)),
        ("1.1", 500, Method::Other, "transfer-encoding: CHUNKED", Ok(Chunked)),
        ("1.1", 200, get, "Transfer-Encoding: gzip, chunked", bad),
        ("1.1", 200, get, "Transfer-Encoding: gzip", bad),
        ("1.1", 200, get, "Transfer-Encoding: identity", bad),
        ("1.1", 200, get, "Transfer-Encoding: chunked, chunked", bad),
        ("1.1", 200, get, "Transfer-Encoding: chunked|Transfer-Encoding: chunked", bad),
        ("1.1", 200, get, "Transfer-Encoding:", bad),
        // Section 6.1: Transfer-Encoding in HTTP/1.0.
        ("1.0", 200, get, "Transfer-Encoding: chunked", bad),
        // Rule 5: invalid Content-Length.
        ("1.1", 200, get, "Content-Length: 5, 5", bad),
        ("1.1", 200, get, "Content-Length: 5|Content-Length: 5", bad),
        ("1.1", 200, get, "Content-Length: +5", bad),
        ("1.1", 200, get, "Content-Length: 9223372036854775808", bad),
        ("1.1", 200, get, "Content-Length:", bad),
        // Rule 6: Content-Length.
        ("1.1", 200, get, "Content-Length: 5", Ok(Exact(5))),
        ("1.0", 200, get, "Content-Length: 5", Ok(Exact(5))),
        ("1.1", 205, get, "Content-Length: 0", Ok(Empty)),
        ("1.1", 999, get, "Content-Length: 5", Ok(Exact(5))),
        // Rule 8: until the server closes.
        ("1.1", 200, get, "", Ok(UntilClose)),
        ("1.0", 200, Method::Other, "Connection: keep-alive", Ok(UntilClose)),
        ("1.1", 205, get, "", Ok(UntilClose)),
    ];
    for (version, status, method, lines, expected) in cases {
        let head = format!("HTTP/{version} {status} x\r\n{}\r\n", field_lines(lines));
        let found = with_response(&head, |head| {
            framing::response(&head.fields, head.version, head.status, method).map_err(|_| ())
        });
        assert_eq!(found, expected, "{version} {status} {method:?} {lines}");
    }
}

/// RFC 9110 section 8.6: `1*DIGIT`.
#[test]
fn digits_are_digits_alone() {
    for (text, expected) in [("0", Some(0)), ("007", Some(7)), ("9223372036854775807", Some(i64::MAX as u64))]
    {
        assert_eq!(framing::digits(text.as_bytes()), expected, "{text}");
    }
    for text in [
        "",
        " ",
        "+1",
        "-1",
        "1 ",
        " 1",
        "1_000",
        "0x10",
        "1e3",
        "9223372036854775808",
        "\u{661}",
        "00000000000000000001",
    ] {
        assert_eq!(framing::digits(text.as_bytes()), None, "{text}");
    }
}
