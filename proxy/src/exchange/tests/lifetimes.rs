//! Ends of connections: deadlines, half closes, draining.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::*;
use crate::config::template::{Part, Template, Variable};
use crate::config::{Host, Resolver};
use crate::exchange::Failure;
use crate::time::Duration;

/// Lets the next deadline pass, which must be so many seconds away.
#[track_caller]
fn expires_in(play: &mut Play, seconds: u64) {
    let left = play.exchange.deadline().since(play.env.now);
    assert_eq!(left, Duration::from_secs(seconds));
    assert!(play.expire());
}

#[track_caller]
fn starts(play: &mut Play, status: &str) {
    let got = play.client_got();
    assert!(got.starts_with(&format!("HTTP/1.1 {status}")), "{got}");
}

fn timed() -> Play {
    timed_with(None)
}

/// The same with 7 s for an address.
fn timed_to_resolve() -> Play {
    let servers = vec![Host::Literal((Ipv4Addr::LOCALHOST, 53).into())];
    let timeout = Duration::from_secs(7);
    timed_with(Some(Resolver { servers, valid: None, ipv4: true, ipv6: true, timeout }))
}

fn timed_with(resolver: Option<Resolver>) -> Play {
    let mut play = Play::new(|config| {
        let site = &mut config.sites[0];
        site.client.header_timeout = Duration::from_secs(4);
        site.client.keepalive_timeout = Duration::from_secs(6);
        site.location.rules.timeouts = crate::config::Timeouts {
            connect: Duration::from_secs(1),
            read: Duration::from_secs(2),
            send: Duration::from_secs(3),
            client_body: Duration::from_secs(5),
            client_send: Duration::from_secs(3),
        };
        site.location.rules.resolver = resolver.map(Arc::new);
    });
    play.run();
    play
}

#[test]
fn a_client_that_says_nothing_is_closed() {
    let mut play = timed();
    expires_in(&mut play, 4);
    assert_eq!((play.client_got(), play.closed), (String::new(), Some(false)));
}

#[test]
fn an_address_has_to_be_found_in_time() {
    let unresolved = || {
        let mut play = timed_to_resolve();
        play.links = [Link::Unresolved].into();
        play.client_sends(GET);
        assert_eq!((play.happened(), play.exchange.is_resolving()), ("unresolved".to_owned(), true));
        play
    };
    let mut play = unresolved();
    expires_in(&mut play, 7);
    starts(&mut play, "502 Bad Gateway");
    assert_eq!(play.happened(), "abandon no address, finish");
    // The next request has a name that is not there, and no other server is tried for it.
    play.links = [Link::Unresolved].into();
    play.client_sends(GET);
    play.exchange.connect_failed(Failure::Unresolved);
    play.run();
    starts(&mut play, "502 Bad Gateway");
    assert_eq!(play.happened(), "unresolved, abandon no address, finish");
    // One that is found goes on to its server.
    let mut play = unresolved();
    play.exchange.chosen(false);
    play.exchange.connecting();
    play.run();
    expires_in(&mut play, 1);
    starts(&mut play, "504 Gateway Time-out");
    // A client that leaves is not held back by it.
    let mut play = unresolved();
    play.exchange.client_gone();
    play.run();
    assert_eq!((play.happened(), play.closed), ("reset".to_owned(), Some(true)));
}

#[test]
fn an_idle_client_is_closed_without_a_word() {
    let mut play = timed();
    play.one_exchange();
    expires_in(&mut play, 6);
    assert_eq!((play.client_got(), play.closed), (String::new(), Some(false)));
}

#[test]
fn a_head_has_to_come_in_time_however_it_drips() {
    let mut play = timed();
    play.client_sends("GET / HT");
    play.env.now = play.env.now + Duration::from_secs(3);
    play.client_sends("TP/1.1\r\n");
    expires_in(&mut play, 1);
    starts(&mut play, "408 Request Time-out");
    assert_eq!(play.happened(), "shut Client");
    // The client has ten seconds to close.
    play.client_sends("Host: h");
    expires_in(&mut play, 10);
    assert_eq!(play.closed, Some(false));
}

#[test]
fn a_body_has_to_move() {
    let mut play = timed();
    play.client_sends(POST);
    play.env.now = play.env.now + Duration::from_secs(4);
    play.client_sends("h");
    expires_in(&mut play, 5);
    starts(&mut play, "408 Request Time-out");
    assert_eq!(play.happened(), "fresh, release, shut Client");
}

#[test]
fn a_server_has_to_be_reached_in_time() {
    let mut play = timed();
    play.links = [Link::Slow, Link::Slow, Link::Slow].into();
    play.client_sends(GET);
    for _ in 0..3 {
        expires_in(&mut play, 1);
    }
    starts(&mut play, "504 Gateway Time-out");
    assert_eq!(play.happened(), format!("{}finish", "slow, abandon connect timeout, ".repeat(3)));
}

#[test]
fn a_server_has_to_take_the_request() {
    let mut play = timed();
    play.tries = 1;
    play.client_sends(POST);
    play.upstream().stalls = true;
    play.client_sends("hello");
    expires_in(&mut play, 3);
    starts(&mut play, "504 Gateway Time-out");
    assert_eq!(play.happened(), "fresh, abandon send timeout, finish");
}

#[test]
fn a_server_has_to_answer() {
    // A GET goes on to another server, a POST does not.
    let mut play = timed();
    play.client_sends(GET);
    expires_in(&mut play, 2);
    assert_eq!(play.happened(), "fresh, abandon read timeout, fresh");
    let mut play = timed();
    play.client_sends(&format!("{POST}hello"));
    expires_in(&mut play, 2);
    starts(&mut play, "504 Gateway Time-out");
    // In the middle of a response there is no answer left but to end it there.
    let mut play = timed();
    play.tries = 1;
    play.client_sends(GET);
    play.upstream_sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    play.env.now = play.env.now + Duration::from_secs(1);
    play.upstream_sends("c");
    expires_in(&mut play, 2);
    assert!(play.client_got().ends_with("||abc"));
    assert_eq!(play.happened(), "fresh, abandon read timeout, shut Client");
}

/// RFC 9112 section 8: it is cut off behind what has come.
#[test]
fn what_has_come_of_a_response_that_is_cut_off_goes_on() {
    let mut play = timed();
    play.client_sends(&format!("{POST}he"));
    play.upstream().stalls = true;
    play.client_sends("llo");
    play.client.room = Some(20);
    play.upstream_sends("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nabc");
    expires_in(&mut play, 3);
    assert_eq!(play.happened(), "fresh, abandon send timeout");
    (play.client.room, play.client.stalls) = (None, false);
    play.run();
    let head = "HTTP/1.1 200 OK|Content-Length: 99999|Via: 1.1 proxy|Connection: keep-alive";
    assert_eq!(play.client_got(), format!("{head}||abc"));
    assert_eq!(play.happened(), "shut Client");
}

/// RFC 9110 section 10.1.1: a client may keep its body back until it is told, so a server that says nothing is who is
/// waited for.
#[test]
fn a_server_has_to_answer_an_expectation() {
    let asks = |method: &str| {
        let mut play = timed();
        let head = "Host: h\r\nExpect: 100-continue\r\nContent-Length: 5";
        play.client_sends(&format!("{method} / HTTP/1.1\r\n{head}\r\n\r\n"));
        play
    };
    let timed_out = "fresh, abandon read timeout";
    let mut play = asks("PUT");
    expires_in(&mut play, 2);
    assert_eq!(play.happened(), format!("{timed_out}, fresh"), "another server may know better");
    let mut play = asks("POST");
    expires_in(&mut play, 2);
    starts(&mut play, "504 Gateway Time-out");
    assert_eq!(play.happened(), format!("{timed_out}, shut Client"));
    // Another interim response is not what it waits for.
    let mut play = asks("PUT");
    play.upstream_sends("HTTP/1.1 103 Early\r\n\r\n");
    starts(&mut play, "103 Early");
    expires_in(&mut play, 2);
    starts(&mut play, "504 Gateway Time-out");
    assert_eq!(play.happened(), format!("{timed_out}, shut Client"));
    // Once it is told, or begins unasked, it is the client's turn.
    let mut play = asks("PUT");
    play.upstream_sends("HTTP/1.1 100 Continue\r\n\r\n");
    starts(&mut play, "100 Continue");
    expires_in(&mut play, 5);
    starts(&mut play, "408 Request Time-out");
    let mut play = asks("PUT");
    play.client_sends("h");
    expires_in(&mut play, 5);
    starts(&mut play, "408 Request Time-out");
    // A final response that takes its time does not hurry a client that need not send any more.
    let mut play = asks("POST");
    play.upstream_sends("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nn");
    play.env.now = play.env.now + Duration::from_secs(1);
    expires_in(&mut play, 1);
    starts(&mut play, "403 No");
    assert_eq!(play.happened(), "fresh, abandon read timeout, shut Client");
}

#[test]
fn a_client_has_to_take_the_response() {
    let mut play = timed();
    play.client.stalls = true;
    play.tries = 1;
    play.client_sends(GET);
    play.upstream_sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    // The server's silence does not count while the client reads nothing.
    expires_in(&mut play, 3);
    assert_eq!(play.closed, Some(true));
}

#[test]
fn a_deadline_that_has_not_come_does_nothing() {
    let mut play = timed();
    play.client_sends("GET");
    play.with(crate::exchange::Exchange::expired);
    play.client_sends(&GET[3..]);
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON);
}

#[test]
fn a_client_that_ends_between_requests_is_closed() {
    for before in ["", "GET / HT", "\r\n"] {
        let mut play = Play::plain();
        play.one_exchange();
        play.client_sends(before);
        play.client_ends();
        assert_eq!((play.client_got(), play.closed), (String::new(), Some(false)), "{before:?}");
    }
}

/// RFC 9112 section 8: a truncated request is not passed on as whole.
#[test]
fn a_client_that_ends_within_a_body_is_refused() {
    for request in [POST, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"] {
        let mut play = Play::plain();
        play.client_sends(request);
        play.client_ends();
        starts(&mut play, "400 Bad Request");
        assert!(!play.upstreams[0].sent.ends_with(b"0\r\n\r\n"));
        // Its end is known, so there is nothing to linger for.
        assert_eq!(play.happened(), "fresh, release, close");
    }
}

#[test]
fn a_client_that_ends_behind_its_request_gets_its_responses() {
    let mut play = Play::plain();
    play.client_sends(&format!("{GET}{GET}"));
    play.client_ends();
    play.upstream_sends(OK);
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), format!("{OK_ON}{OK_ON}"));
    assert_eq!(play.closed, Some(false));
}

#[test]
fn a_client_that_breaks_calls_its_request_off() {
    let mut play = Play::plain();
    play.client_sends(GET);
    play.client.breaks = true;
    play.exchange.client_gone();
    play.run();
    assert_eq!(play.happened(), "fresh, reset");
}

/// RFC 9112 section 9.6
#[test]
fn closing_waits_for_a_client_that_has_more_to_say() {
    let mut play = Play::plain();
    play.client_sends("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nmore");
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON.replace("keep-alive", "close"));
    assert_eq!(play.happened(), "fresh, release reusable served, shut Client");
    play.client_sends(GET);
    play.client_ends();
    assert_eq!((play.happened(), play.upstreams.len()), ("close".into(), 1));
}

#[test]
fn draining_ends_connections_with_their_responses() {
    let mut play = Play::plain();
    play.client_sends(GET);
    play.env.draining = true;
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON.replace("keep-alive", "close"));
    assert_eq!(play.happened(), "fresh, release reusable served, shut Client");
    // A promise that was given before is not kept, but nothing is begun either.
    let mut play = Play::plain();
    play.tries = 1;
    play.client_sends(GET);
    play.upstream_sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    play.env.draining = true;
    play.client_sends(GET);
    play.upstream_sends("cde");
    assert_eq!(play.happened(), "fresh, release reusable served, finish, shut Client");
}

/// A play whose tries are kept, with 2 s for a response.
fn kept(links: &[Link]) -> Play {
    let mut play = Play::new(|config| {
        config.log_to("access.log");
        config.sites[0].location.rules.timeouts.read = Duration::from_secs(2);
    });
    (play.tries, play.links) = (1, links.iter().copied().collect());
    play.run();
    play
}

/// What a log says of the tries: `$upstream_status $upstream_response_length`.
fn tries(play: &Play) -> String {
    let [status, length] = [Variable::UpstreamStatus, Variable::UpstreamResponseLength].map(Part::Variable);
    let parts = [status, Part::Text(b" ".as_slice().into()), length].into();
    let mut out = Vec::new();
    play.exchange.log_text(&Template { parts }, &play.env, &mut out);
    String::from_utf8(out).expect("text")
}

#[test]
fn an_interim_response_is_not_the_status_of_a_try() {
    for interim in ["100 Continue", "103 Early Hints"] {
        let mut play = kept(&[]);
        play.client_sends(&format!("{POST}hello"));
        play.upstream_sends(&format!("HTTP/1.1 {interim}\r\n\r\n"));
        assert_eq!(tries(&play), "- 0");
        expires_in(&mut play, 2);
        assert_eq!(tries(&play), "504 0", "{interim}");
    }
    let mut play = kept(&[]);
    play.client_sends(&format!("{POST}hello"));
    play.upstream_sends("HTTP/1.1 100 Continue\r\n\r\n");
    play.upstream_sends("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok");
    assert_eq!(tries(&play), "200 2");
}

#[test]
fn a_renewed_try_has_the_status_of_its_own_end() {
    let mut play = kept(&[Link::Dead]);
    play.client_sends(GET);
    assert_eq!((play.happened().as_str(), tries(&play).as_str()), ("dead, stale, same fresh", "- 0"));
    expires_in(&mut play, 2);
    starts(&mut play, "504 Gateway");
    assert_eq!(tries(&play), "504 0");
}
