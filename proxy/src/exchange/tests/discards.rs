//! Bodies that go nowhere: read to their end, and another one, or none, goes to the server.

use super::*;
use crate::config::Config;
use crate::config::site::{Forwarding, Listed, PassBody};
use crate::config::template::Template;

fn with_body(body: PassBody) -> impl FnOnce(&mut Config) {
    |config| {
        let fields = vec![("Host".to_owned(), Template::text("s"))];
        config.sites[0].location.rules.forwarding =
            Forwarding::Listed(Listed { fields, body, response_head_max: 4096, ..Listed::default() });
    }
}

fn replaced() -> Play {
    Play::new(with_body(PassBody::Replaced(Template::text("set"))))
}

const SET_ON: &str = "POST / HTTP/1.1|Host: s|Content-Length: 3|Via: 1.1 proxy||set";
const HELLO: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX: 1\r\n\r\n";

#[test]
fn another_body_goes_when_the_client_s_has_come() {
    for request in [HELLO, CHUNKED] {
        for size in [1, 3, 1000] {
            let mut play = replaced();
            play.reads = vec![size];
            let (start, end) = request.split_at(request.len() - 1);
            play.client_sends(start);
            assert!(play.upstreams.is_empty(), "{request} {size}");
            play.client_sends(&format!("{end}{HELLO}"));
            assert_eq!(play.upstream_got(), SET_ON, "{request} {size}");
            play.upstream_sends(OK);
            assert_eq!(play.client_got(), OK_ON, "{request} {size}");
            // The next request lay behind it.
            assert_eq!(play.upstream_got(), SET_ON, "{request} {size}");
        }
    }
}

#[test]
fn it_is_sent_again_where_that_is_safe() {
    let mut play = replaced();
    play.links.extend([Link::Dead, Link::Fresh]);
    play.client_sends(&HELLO.replace("POST", "PUT"));
    assert_eq!(play.happened(), "dead, stale, same fresh");
    assert_eq!(play.upstream_got(), SET_ON.replace("POST", "PUT"));
}

#[test]
fn a_client_that_waits_for_leave_gets_it() {
    let mut play = replaced();
    play.client_sends(&POST.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"));
    assert_eq!(play.client_got(), "HTTP/1.1 100 Continue||");
    play.client_sends("hello");
    assert_eq!(play.upstream_got(), SET_ON);
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON);
}

#[test]
fn a_bad_body_is_as_bad_as_any() {
    for (rest, status) in [("x\r\n", "400 Bad Request"), ("1\r\naX", "400 Bad Request"), ("fffff1\r\n", "")] {
        let mut play = replaced();
        play.client_sends(&format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{rest}"));
        let got = play.client_got();
        assert!(
            got.starts_with(&format!("HTTP/1.1 {status}")) || (status.is_empty() && got.is_empty()),
            "{got}"
        );
        assert!(play.upstreams.is_empty());
    }
    let mut play = replaced();
    play.client_sends(POST);
    play.client_ends();
    assert!(play.client_got().starts_with("HTTP/1.1 400 "));
    let mut play = replaced();
    play.client_sends(POST);
    assert!(play.expire());
    assert!(play.client_got().starts_with("HTTP/1.1 408 "));
}

#[test]
fn one_that_is_too_long_is_refused_as_it_comes() {
    let mut play = Play::new(|config| {
        with_body(PassBody::Dropped)(config);
        config.sites[0].location.rules.max_body_size = 4;
    });
    play.client_sends("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello");
    assert!(play.client_got().starts_with("HTTP/1.1 413 "));
}

#[test]
fn without_a_body_nothing_is_promised() {
    let mut play = Play::new(with_body(PassBody::Dropped));
    play.client_sends(&HELLO.replace("POST", "GET"));
    assert_eq!(play.upstream_got(), "GET / HTTP/1.1|Host: s|Content-Length: 0|Via: 1.1 proxy||");
}

#[test]
fn a_set_body_may_be_long_but_has_to_fit() {
    let long = "x".repeat(40_000);
    let mut play = Play::new(with_body(PassBody::Replaced(Template::text(&long))));
    play.client_sends(GET);
    assert!(play.upstream_got().ends_with(&format!("Content-Length: 40000|Via: 1.1 proxy||{long}")));
    let mut play = Play::new(with_body(PassBody::Replaced(Template::text(&long.repeat(2)))));
    play.client_sends(GET);
    assert!(play.client_got().starts_with("HTTP/1.1 500 "));
}
