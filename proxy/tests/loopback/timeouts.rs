//! No connection can wait for ever: each wait has its end.
//!
//! That a wait lasts at least as long as it is set to is checked as well; how much longer is the machine's
//! affair.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::support::origin::ok;
use crate::support::{Gate, Origin, Proxy, free_address, wait_until};

const SHORT: Duration = Duration::from_millis(300);

/// A listener that never answers a handshake: its queue of one is full.
fn deaf() -> (Socket, Vec<Socket>, std::net::SocketAddr) {
    let address = free_address();
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&address.into()).expect("a free address");
    listener.listen(0).expect("a listener");
    let mut fill = Vec::new();
    // Until a connection is no longer answered.
    while TcpStream::connect_timeout(&address, Duration::from_millis(200))
        .map(|stream| fill.push(stream.into()))
        .is_ok()
    {
        assert!(fill.len() < 100, "the queue of a listener has no end");
    }
    (listener, fill, address)
}

#[test]
fn connecting_ends_in_a_504_or_at_the_next_server() {
    let (_listener, _fill, address) = deaf();
    let other = Origin::named("other");
    let proxy = Proxy::start(address.to_string(), "--connect-timeout 300ms");
    let start = Instant::now();
    assert_eq!(proxy.status("/"), 504);
    assert!(start.elapsed() >= SHORT);
    let proxy = Proxy::start(format!("{address},{other} backup"), "--connect-timeout 300ms");
    assert_eq!(proxy.get("/"), "other");
    assert_eq!(
        proxy.wait_log("is down"),
        format!("warn  {address} is down: 1 failure within 10s (connect timeout); next try in 10s")
    );
    // A POST has not been sent, so it may move on too.
    let proxy = Proxy::start(format!("{address},{other} backup"), "--connect-timeout 300ms");
    assert_eq!(proxy.connect().post("/", "body").text(), "other");
}

#[test]
fn a_head_that_does_not_come_is_a_408_however_it_trickles() {
    let origin = Origin::named("ok");
    let proxy = Proxy::start(origin.to_string(), "--client-header-timeout 300ms");
    let mut conn = proxy.connect();
    conn.send("GET / HT");
    let start = Instant::now();
    let response = conn.response();
    assert!(start.elapsed() >= SHORT - Duration::from_millis(100));
    assert_eq!((response.status(), response.field("connection")), (408, Some("close")));
    conn.finish();
    conn.assert_closed();

    // Each byte comes within the time, all of them do not.
    let mut conn = proxy.connect();
    let mut sent = 0;
    for byte in std::iter::repeat_n(b'x', 6000) {
        if conn.try_send([byte]).is_err() || !conn.is_silent() {
            break;
        }
        if sent == 0 {
            conn.send("GET /");
        }
        sent += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(sent < 6000, "a trickle stretches the time without end");
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_client_that_sends_nothing_is_closed_without_a_word() {
    let origin = Origin::named("ok");
    let proxy = Proxy::start(origin.to_string(), "--client-header-timeout 300ms");
    let mut conn = proxy.connect();
    let start = Instant::now();
    conn.assert_closed();
    assert!(start.elapsed() >= SHORT - Duration::from_millis(50));
}

#[test]
fn an_idle_client_is_closed_without_a_word() {
    let origin = Origin::named("ok");
    let proxy = Proxy::start(origin.to_string(), "--keepalive-timeout 300ms");
    let mut conn = proxy.connect();
    for _ in 0..2 {
        conn.get("/");
    }
    conn.assert_closed();
    // A head after the pause has the time for heads.
    let mut conn = proxy.connect();
    conn.get("/");
    conn.send("GET / HTTP/1.1\r\n");
    std::thread::sleep(SHORT * 2);
    conn.send("Host: test\r\n\r\n");
    assert_eq!(conn.response().text(), "ok");
}

#[test]
fn a_body_that_does_not_come_is_a_408() {
    let origin = Origin::start(|visit| {
        visit.request_head();
        visit.rest();
    });
    let proxy = Proxy::start(origin.to_string(), "--client-body-timeout 300ms");
    for part in ["", "half"] {
        let mut conn = proxy.connect();
        conn.send(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\n{part}"));
        let response = conn.response();
        assert_eq!((response.status(), response.field("connection")), (408, Some("close")), "{part:?}");
        origin.wait_open(0);
    }
    assert!(proxy.log().iter().all(|line| !line.contains("is down")), "the server is not to blame");
}

#[test]
fn a_response_that_does_not_come_is_a_504_and_one_that_stalls_is_broken_off() {
    let gate = Arc::new(Gate::default());
    let shut = gate.clone();
    let origin = Origin::start(move |visit| {
        let request = visit.request();
        if request.target() == "/stall" {
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
        }
        shut.pass();
    });
    let proxy = Proxy::start(origin.to_string(), "--read-timeout 300ms");
    let mut conn = proxy.connect();
    let start = Instant::now();
    let response = conn.get("/");
    assert!(start.elapsed() >= SHORT);
    assert_eq!((response.status(), response.field("connection")), (504, Some("keep-alive")));
    conn.send("GET /stall HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(conn.head().status(), 200);
    let (body, error) = conn.rest();
    assert_eq!((body.as_slice(), error), (&b"half"[..], None));
    gate.open();
}

#[test]
fn the_read_timeout_runs_anew_with_each_byte() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(700));
            visit.send("x");
        }
    });
    let proxy = Proxy::start(origin.to_string(), "--read-timeout 3s");
    assert_eq!(proxy.get("/"), "xxxxx");
}

#[test]
fn a_client_that_never_reads_is_broken_off() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let bytes = vec![b'x'; 1 << 20];
        while visit.try_send(&bytes).is_ok() {}
    });
    let proxy = Proxy::start(origin.to_string(), "--send-timeout 300ms");
    let idle = proxy.descriptors();
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_requests(1);
    origin.wait_open(0);
    wait_until("the connections' end", || proxy.descriptors() == idle);
    let (_, error) = conn.rest();
    assert_eq!(error, Some(std::io::ErrorKind::ConnectionReset));
    assert!(proxy.log().iter().all(|line| !line.contains("is down")), "the server is not to blame");
}

#[test]
fn an_upstream_that_never_reads_is_a_504() {
    let gate = Arc::new(Gate::default());
    let shut = gate.clone();
    let origin = Origin::start(move |visit| {
        visit.request_head();
        shut.pass();
    });
    let proxy = Proxy::start(origin.to_string(), "--send-timeout 300ms --max-body-size 0");
    let mut conn = proxy.connect();
    conn.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000\r\n\r\n");
    let bytes = vec![b'x'; 1 << 20];
    while conn.is_silent() {
        if conn.send_some(&bytes) == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    assert_eq!(conn.response().status(), 504);
    gate.open();
}

#[test]
fn a_silent_tunnel_ends() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
        visit.rest();
    });
    let proxy = Proxy::start(origin.to_string(), "--read-timeout 300ms");
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: test\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    assert_eq!(conn.head().status(), 101);
    conn.assert_closed();
    origin.wait_open(0);
}

#[test]
fn a_client_that_does_not_close_after_the_last_answer_is_closed() {
    let origin = Origin::start(|visit| {
        visit.request_head();
        visit.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
        visit.rest();
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let idle = proxy.descriptors();
    let mut conn = proxy.connect();
    conn.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\n");
    assert_eq!(conn.response().text(), "no");
    // It neither sends the body nor closes.
    wait_until("the connection's end", || proxy.descriptors() == idle);
}

#[test]
fn waiting_for_a_slow_answer_is_no_idleness_of_the_client() {
    let origin = Origin::start(|visit| {
        loop {
            visit.request();
            std::thread::sleep(SHORT * 3);
            visit.send(ok("slow"));
        }
    });
    let flags = "--keepalive-timeout 200ms --client-header-timeout 200ms --client-body-timeout 200ms \
        --send-timeout 200ms --connect-timeout 200ms";
    let proxy = Proxy::start(origin.to_string(), flags);
    assert_eq!(proxy.get("/"), "slow");
    assert_eq!(proxy.connect().post("/", "body").text(), "slow");
}
