//! The proxy's own answers.

use super::super::reply::{self, Content, Reply};
use super::{buffer, text};

fn answer(status: u16, keep_alive: bool, head: bool) -> String {
    let mut out = buffer();
    let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
    let reply = Reply {
        status,
        content: Content::Page("for a reason"),
        location: None,
        fields: b"",
        allowed: reply::FORWARDED,
        keep_alive,
        head,
        date,
    };
    reply::write(&mut out, &reply).expect("it fits");
    text(out.filled())
}

#[test]
fn an_answer_is_whole() {
    let answer = answer(502, true, false);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let expected = format!(
        "HTTP/1.1 502 Bad Gateway\r\nServer: proxy\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         Content-Type: text/html\r\nContent-Length: {}\r\nConnection: keep-alive",
        body.len()
    );
    assert_eq!(head, expected);
    assert!(body.contains("<title>502 Bad Gateway</title>") && body.contains("for a reason"));
}

/// RFC 9110 section 9.3.2
#[test]
fn head_is_answered_with_the_same_head_alone() {
    let (get, head) = (answer(404, false, false), answer(404, false, true));
    assert!(head.ends_with("Connection: close\r\n\r\n"));
    assert_eq!(get.split_once("\r\n\r\n").map(|(head, _)| head), head.strip_suffix("\r\n\r\n"));
}

/// RFC 9110 section 15.5.6
#[test]
fn only_405_and_the_answer_to_options_say_what_is_allowed() {
    for status in [200, 400, 405, 408, 413, 414, 421, 431, 501, 502, 503, 504, 505] {
        let answer = answer(status, false, false);
        assert_eq!(answer.contains("\r\nAllow: GET, HEAD, "), matches!(status, 200 | 405), "{status}");
        assert!(!reply::reason(status).is_empty(), "{status}");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} {}\r\n", reply::reason(status))));
    }
}

#[test]
fn a_buffer_that_is_too_small_is_said_to_be() {
    let mut out = crate::buffer::Buffers::new(100).small();
    let reply = Reply {
        status: 400,
        content: Content::Page("x"),
        location: None,
        fields: b"",
        allowed: reply::FORWARDED,
        keep_alive: true,
        head: false,
        date: b"",
    };
    assert_eq!(reply::write(&mut out, &reply), Err(crate::buffer::Full));
}
