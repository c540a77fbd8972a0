//! Waiting costs nothing: whatever a worker waits for, it sleeps.
//!
//! A wake-up that changes nothing is a busy loop in waiting with an edge-triggered poller: each of these
//! states has once been one in some proxy.

use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::origin::ok;
use crate::support::{Conn, Gate, Origin, Proxy, wait_until};

/// Over a second a busy loop takes 100 ticks, or its share where others compete; a sleeper takes none.
#[track_caller]
fn assert_asleep(proxy: &Proxy, state: &str) {
    // What led to the state may not be over yet.
    thread::sleep(Duration::from_millis(300));
    let before = proxy.cpu_ticks();
    thread::sleep(Duration::from_secs(1));
    let ticks = proxy.cpu_ticks() - before;
    assert!(ticks <= 8, "{ticks} ticks of processor time in a second: {state}");
}

/// Answers `/slow` when the gate opens, `/endless` without end, and takes `/tunnel` for one.
fn origin(gate: &Arc<Gate>) -> Origin {
    let gate = gate.clone();
    Origin::start(move |visit| {
        loop {
            match visit.request_head().target() {
                "/slow" => {
                    gate.pass();
                    return;
                }
                "/endless" => {
                    visit.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n");
                    let bytes = vec![b'x'; 1 << 20];
                    while visit.try_send(&bytes).is_ok() {}
                    return;
                }
                "/tunnel" => {
                    visit.send(
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
                    );
                    if visit.exact(1) == b"f" {
                        visit.finish();
                    }
                    gate.pass();
                    return;
                }
                "/early" => {
                    visit.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
                    gate.pass();
                    return;
                }
                _ => visit.send(ok("ok")),
            }
        }
    })
}

fn ask(proxy: &Proxy, target: &str) -> Conn {
    let mut conn = proxy.connect();
    conn.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
    conn
}

#[test]
fn with_nothing_to_do() {
    let gate = Arc::default();
    let origin = origin(&gate);
    let proxy = Proxy::start(origin.to_string(), "--workers 2");
    assert_asleep(&proxy, "just started");
    let mut conn = proxy.connect();
    assert_eq!(conn.get("/").text(), "ok");
    assert_asleep(&proxy, "a client and a connection to its server are idle");
}

#[test]
fn for_an_answer_with_a_client_that_has_sent_more_or_ended() {
    let gate = Arc::default();
    let origin = origin(&gate);
    let proxy = Proxy::start(origin.to_string(), "");
    let mut pipelining = ask(&proxy, "/slow");
    pipelining.send(vec![b'x'; 100_000]);
    let mut ended = ask(&proxy, "/slow");
    ended.finish();
    origin.wait_requests(2);
    assert_asleep(&proxy, "requests are in flight");
    gate.open();
}

#[test]
fn for_someone_who_does_not_read() {
    let gate = Arc::default();
    let origin = origin(&gate);
    let proxy = Proxy::start(origin.to_string(), "--max-body-size 0");
    let _client = ask(&proxy, "/endless");
    assert_asleep(&proxy, "a client does not read");
    let mut conn = proxy.connect();
    conn.send("POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000000\r\n\r\n");
    let bytes = vec![b'x'; 1 << 20];
    let mut still = 0;
    while still < 20 {
        still = if conn.send_some(&bytes) == 0 { still + 1 } else { 0 };
        thread::sleep(Duration::from_millis(10));
    }
    assert_asleep(&proxy, "a server does not read");
    gate.open();
}

#[test]
fn for_the_other_half_of_a_tunnel() {
    let gate = Arc::default();
    let origin = origin(&gate);
    let proxy = Proxy::start(origin.to_string(), "");
    for first in ["f", "x"] {
        let mut conn = proxy.connect();
        conn.send("GET /tunnel HTTP/1.1\r\nHost: test\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
        assert_eq!(conn.head().status(), 101);
        conn.send(first);
        if first == "f" {
            conn.assert_closed();
            assert_asleep(&proxy, "the server has ended its half");
        } else {
            conn.finish();
            assert_asleep(&proxy, "the client has ended its half");
        }
    }
    gate.open();
}

#[test]
fn for_a_client_to_close_or_to_say_more() {
    let gate = Arc::default();
    let origin = origin(&gate);
    let proxy = Proxy::start(origin.to_string(), "");
    let mut refused = proxy.connect();
    refused.send("nonsense\r\n\r\n");
    assert_eq!(refused.response().status(), 400);
    let mut early = proxy.connect();
    early.send("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nsome");
    assert_eq!(early.response().status(), 403);
    assert_asleep(&proxy, "clients linger");
    let mut head = proxy.connect();
    head.send("GET / HT");
    let mut body = proxy.connect();
    body.send("POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nsome");
    let mut chunks = proxy.connect();
    chunks.send("POST /slow HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe");
    assert_asleep(&proxy, "heads and bodies are to come");
    gate.open();
}

#[test]
fn for_room_for_more_clients() {
    let gate = Arc::default();
    let origin = origin(&gate);
    let few = Proxy::start(origin.to_string(), "--max-connections 2 --workers 2");
    // Whoever has begun a request does not give way.
    let begin = |proxy: &Proxy| {
        let mut conn = proxy.connect();
        conn.send("GET /");
        conn
    };
    let _conns: Vec<Conn> = (0..10).map(|_| begin(&few)).collect();
    assert_asleep(&few, "clients wait beyond --max-connections");
    let short = Proxy::start_with_descriptors(40, origin.to_string(), "");
    let _conns: Vec<Conn> = (0..100).map(|_| begin(&short)).collect();
    short.wait_log("accepting pauses until");
    assert_asleep(&short, "clients wait for descriptors");
}

#[test]
fn for_the_last_requests_of_a_drain() {
    let gate = Arc::default();
    let origin = origin(&gate);
    let proxy = Proxy::start(origin.to_string(), "--workers 2");
    let _conn = ask(&proxy, "/slow");
    origin.wait_requests(1);
    proxy.signal(Signal::QUIT);
    wait_until("the listener's end", || TcpStream::connect(proxy.address()).is_err());
    assert_asleep(&proxy, "a request is in flight while it drains");
    gate.open();
}
