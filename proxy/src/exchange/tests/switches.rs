//! Changes of protocol (RFC 9110 sections 7.8 and 15.2.2).

use super::*;

const ASK: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
const SWITCH_ON: &str =
    "HTTP/1.1 101 Switching Protocols|Upgrade: websocket|Via: 1.1 proxy|Connection: upgrade||";

/// A tunnel, with bytes that came right behind each head.
fn tunnel() -> Play {
    let mut play = Play::plain();
    play.client_sends(&format!("{ASK}early"));
    assert_eq!(play.upstream_got(), "GET / HTTP/1.1|Host: h|Upgrade: websocket|Connection: upgrade||");
    play.upstream_sends(&format!("{SWITCH}hi"));
    assert_eq!((play.client_got(), play.upstream_got()), (format!("{SWITCH_ON}hi"), "early".into()));
    play
}

#[test]
fn bytes_pass_both_ways_as_they_are() {
    let mut play = tunnel();
    play.client_sends("HTTP/1.1 200 OK\r\n\r\n");
    play.upstream_sends(GET);
    assert_eq!(play.upstream_got(), "HTTP/1.1 200 OK||");
    assert_eq!(play.client_got(), GET.replace("\r\n", "|"));
    assert_eq!(play.happened(), "fresh");
}

#[test]
fn each_direction_ends_on_its_own() {
    let mut play = tunnel();
    play.client_sends("last");
    play.client_ends();
    assert_eq!((play.upstream_got(), play.happened()), ("last".into(), "fresh, shut Upstream".into()));
    play.upstream_sends("more");
    play.upstream_ends();
    assert_eq!((play.client_got(), play.happened()), ("more".into(), "shut Client, close".into()));
}

#[test]
fn an_end_waits_for_the_bytes_before_it() {
    let mut play = tunnel();
    play.client.stalls = true;
    play.upstream_sends("last");
    play.upstream_ends();
    assert_eq!(play.happened(), "fresh");
    play.client.stalls = false;
    play.run();
    assert_eq!((play.client_got(), play.happened()), ("last".into(), "shut Client".into()));
}

#[test]
fn a_break_on_one_side_resets_the_other() {
    let mut play = tunnel();
    play.upstream().breaks = true;
    play.run();
    assert_eq!(play.closed, Some(true));
    let mut play = tunnel();
    play.upstream().refuses = true;
    play.client_sends("x");
    assert_eq!(play.closed, Some(true));
}

#[test]
fn silence_on_both_sides_ends_a_tunnel() {
    let mut play = tunnel();
    play.upstream_sends("ping");
    assert!(play.expire());
    assert_eq!(play.closed, Some(false));
}

/// A client that has not taken all must not think that it has.
#[test]
fn silence_with_bytes_on_their_way_resets_a_tunnel() {
    let mut play = tunnel();
    play.client.stalls = true;
    play.upstream_sends("ping");
    assert!(play.expire());
    assert_eq!(play.closed, Some(true));
}

#[test]
fn a_server_may_ignore_the_wish() {
    let mut play = Play::plain();
    play.client_sends(ASK);
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON);
    assert_eq!(play.happened(), "fresh, release reusable served, finish");
}

#[test]
fn a_switch_needs_a_wish_a_protocol_and_a_whole_request() {
    let plain = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    let post = ASK.replace("GET", "POST").replace("Host: h\r\n", "Host: h\r\nContent-Length: 5\r\n");
    for (request, response) in [
        (GET, SWITCH),
        (&ASK.replace("1.1", "1.0"), SWITCH),
        (&ASK.replace("websocket", "h2c"), SWITCH),
        (&ASK.replace("Connection: upgrade", "X: y"), SWITCH),
        (ASK, plain),
        (&format!("{post}hell"), SWITCH),
    ] {
        let mut play = Play::plain();
        play.client_sends(request);
        play.upstream_sends(response);
        assert!(play.client_got().starts_with("HTTP/1.1 502 Bad Gateway|"), "{request}{response}");
    }
    let mut play = Play::plain();
    play.client_sends(&format!("{post}hello"));
    play.upstream_sends(SWITCH);
    assert_eq!(play.client_got(), SWITCH_ON);
}

/// An interim response before the switch is one.
#[test]
fn a_switch_behind_an_interim_response() {
    let mut play = Play::plain();
    play.client_sends(ASK);
    play.upstream_sends(&format!("HTTP/1.1 103 Early\r\n\r\n{SWITCH}"));
    assert_eq!(play.client_got(), format!("HTTP/1.1 103 Early|Via: 1.1 proxy||{SWITCH_ON}"));
    play.client_sends("x");
    assert!(play.upstream_got().ends_with("||x"));
}
