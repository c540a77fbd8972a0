//! `Upgrade`: from a 101 on, bytes pass both ways until both sides have ended.

use std::thread;

use crate::support::{Conn, Origin, Proxy, pattern};

const ASK: &str =
    "GET /chat HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

fn switched(proxy: &Proxy) -> Conn {
    let mut conn = proxy.connect();
    conn.send(ASK);
    let head = conn.head();
    assert_eq!(
        (head.status(), head.field("upgrade"), head.field("connection")),
        (101, Some("websocket"), Some("upgrade"))
    );
    conn
}

#[test]
fn bytes_pass_both_ways_and_both_sides_may_speak_first() {
    let origin = Origin::start(|visit| {
        let head = visit.request_head();
        assert_eq!((head.field("upgrade"), head.field("connection")), (Some("websocket"), Some("upgrade")));
        // The first bytes of the other protocol come together with the head.
        visit.send(format!("{SWITCH}welcome"));
        for n in 0..50 {
            let line = visit.until(b"\n");
            assert_eq!(line, format!("ping {n}\n").as_bytes());
            visit.send(format!("pong {n}\n"));
        }
        visit.assert_closed();
    });
    let proxy = Proxy::start(origin.to_string(), "");
    // Bytes behind the request belong to the tunnel if there is one.
    let mut conn = proxy.connect();
    conn.send(format!("{ASK}ping 0\n"));
    assert_eq!(conn.head().status(), 101);
    assert_eq!(conn.exact(7), b"welcome");
    assert_eq!(conn.until(b"\n"), b"pong 0\n");
    for n in 1..50 {
        conn.send(format!("ping {n}\n"));
        assert_eq!(conn.until(b"\n"), format!("pong {n}\n").as_bytes());
    }
    conn.finish();
    conn.assert_closed();
    origin.wait_open(0);
}

#[test]
fn bytes_of_a_tunnel_count_as_a_body() {
    let origin = Origin::start(|visit| {
        visit.request_head();
        visit.send(format!("{SWITCH}hello"));
        assert_eq!(visit.exact(3), b"bye");
        visit.send("again");
        visit.finish();
        visit.assert_closed();
    });
    let proxy = Proxy::start(origin.to_string(), "--access-log -");
    let mut conn = switched(&proxy);
    assert_eq!(conn.exact(5), b"hello");
    conn.send("bye");
    assert_eq!(conn.exact(5), b"again");
    conn.finish();
    conn.assert_closed();
    let line = proxy.wait_output("/chat");
    assert!(line.contains("\"GET /chat HTTP/1.1\" 101 10 "), "{line}");
}

#[test]
fn either_side_may_end_first_and_still_receive() {
    let origin = Origin::start(|visit| {
        let first = visit.request_head().target() == "/first";
        visit.send(SWITCH);
        if first {
            visit.send("bye");
            visit.finish();
            assert_eq!(visit.exact(4), b"late");
            visit.assert_closed();
        } else {
            assert_eq!(visit.exact(3), b"bye");
            visit.assert_closed();
            visit.send("late");
        }
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = switched(&proxy);
    conn.send("bye");
    conn.finish();
    assert_eq!(conn.exact(4), b"late");
    conn.assert_closed();

    let mut conn = proxy.connect();
    conn.send(ASK.replace("/chat", "/first"));
    assert_eq!(conn.head().status(), 101);
    assert_eq!(conn.exact(3), b"bye");
    conn.assert_closed();
    conn.send("late");
    conn.finish();
    origin.wait_open(0);
}

#[test]
fn much_may_pass_both_ways_at_once() {
    const LENGTH: usize = 8_000_000;
    let origin = Origin::start(|visit| {
        visit.request_head();
        visit.send(SWITCH);
        let mut writer = Conn::new(visit.socket().try_clone().expect("a descriptor"), true);
        let sender = thread::spawn(move || {
            writer.send(pattern(LENGTH));
            writer.finish();
        });
        let (bytes, error) = visit.rest();
        assert!(bytes == pattern(LENGTH) && error.is_none(), "{} bytes, {error:?}", bytes.len());
        sender.join().expect("a sender");
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = switched(&proxy);
    let mut writer = Conn::new(conn.socket().try_clone().expect("a descriptor"), false);
    let sender = thread::spawn(move || {
        writer.send(pattern(LENGTH));
        writer.finish();
    });
    let (bytes, error) = conn.rest();
    assert!(bytes == pattern(LENGTH) && error.is_none(), "{} bytes, {error:?}", bytes.len());
    sender.join().expect("a sender");
    origin.wait_open(0);
}

#[test]
fn a_reset_of_one_side_ends_the_other() {
    let origin = Origin::start(|visit| {
        let target = visit.request_head().target().to_owned();
        visit.send(SWITCH);
        if target == "/chat" {
            visit.rest();
        } else {
            visit.exact(1);
            visit.socket().set_linger(Some(std::time::Duration::ZERO)).expect("an option");
        }
    });
    let proxy = Proxy::start(origin.to_string(), "");
    switched(&proxy).reset();
    origin.wait_requests(1);
    origin.wait_open(0);

    let mut conn = proxy.connect();
    conn.send(ASK.replace("/chat", "/reset"));
    assert_eq!(conn.head().status(), 101);
    conn.send("x");
    let (bytes, error) = conn.rest();
    assert_eq!((bytes.len(), error), (0, Some(std::io::ErrorKind::ConnectionReset)));
}

#[test]
fn an_upgrade_that_is_declined_is_a_plain_exchange() {
    let origin = Origin::named("plain");
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    for _ in 0..3 {
        conn.send(ASK);
        assert_eq!(conn.response().text(), "plain");
        assert_eq!(conn.get("/").text(), "plain");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_101_that_nobody_asked_for_is_a_502() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send(SWITCH);
        visit.rest();
    });
    let proxy = Proxy::start(origin.to_string(), "");
    for request in [
        "GET / HTTP/1.1\r\nHost: test\r\n\r\n",
        // Upgrade without Connection, for HTTP/1.0, and to HTTP/2 is not passed on.
        "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: test\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nConnection: upgrade, HTTP2-Settings\r\n\r\n",
    ] {
        let mut conn = proxy.connect();
        conn.send(request);
        assert_eq!(conn.response().status(), 502, "{request:?}");
        let seen = origin.requests().pop().expect("a request");
        assert_eq!((seen.field("upgrade"), seen.field("connection")), (None, None));
        assert_eq!(seen.field("http2-settings"), None);
    }
}

#[test]
fn a_tunnel_counts_as_in_flight_and_is_never_pooled() {
    let origin = Origin::start(|visit| {
        visit.request_head();
        visit.send(SWITCH);
        visit.rest();
    });
    let other = Origin::named("other");
    let proxy = Proxy::start(format!("{origin},{other}"), "--balance least_conn");
    let tunnel = switched(&proxy);
    for _ in 0..5 {
        assert_eq!(proxy.get("/"), "other");
    }
    drop(tunnel);
    origin.wait_open(0);
    // Now both are as free: of two requests each gets one, the tunnel's server over a new connection.
    let mut statuses = [0, 0].map(|_| {
        let mut conn = proxy.connect();
        conn.send(ASK);
        conn.head().status()
    });
    statuses.sort_unstable();
    assert_eq!((statuses, origin.connections()), ([101, 200], 2));
}
