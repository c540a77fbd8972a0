//! TERM and INT end at once, QUIT finishes first.

use std::net::TcpStream;
use std::sync::Arc;

use rustix::process::Signal;

use crate::support::origin::{Visit, ok};
use crate::support::{Conn, Gate, Origin, Proxy, wait_until};

fn gated(gate: &Arc<Gate>) -> Origin {
    let gate = gate.clone();
    Origin::start(move |visit: &mut Visit| {
        loop {
            if visit.request().target() == "/slow" {
                gate.pass();
            }
            visit.send(ok("done"));
        }
    })
}

#[test]
fn term_and_int_end_at_once_whatever_is_in_flight() {
    let gate = Arc::new(Gate::default());
    let origin = gated(&gate);
    for (signal, workers) in [(Signal::TERM, 1), (Signal::INT, 1), (Signal::TERM, 3)] {
        let mut proxy = Proxy::start(origin.to_string(), &format!("--workers {workers}"));
        let seen = origin.count();
        let mut busy = proxy.connect();
        busy.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
        origin.wait_requests(seen + 1);
        let mut idle = proxy.connect();
        idle.get("/");
        proxy.signal(signal);
        assert_eq!(proxy.wait_exit().code(), Some(0));
        idle.assert_closed();
        assert!(busy.rest().0.is_empty());
        proxy.wait_log("info  ending");
    }
    gate.open();
}

#[test]
fn quit_finishes_what_is_in_flight_and_closes_what_is_idle() {
    for workers in [1, 3] {
        let gate = Arc::new(Gate::default());
        let origin = gated(&gate);
        let mut proxy = Proxy::start(origin.to_string(), &format!("--workers {workers}"));
        let mut idle: Vec<Conn> = (0..5).map(|_| proxy.connect()).collect();
        for conn in &mut idle {
            conn.get("/");
        }
        let mut fresh = proxy.connect();
        let mut busy: Vec<Conn> = (0..5).map(|_| proxy.connect()).collect();
        for conn in &mut busy {
            conn.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
        }
        // A head that is only begun counts as in flight too.
        let mut slow = proxy.connect();
        slow.get("/");
        slow.send("GET /slow HTTP/1.1\r\nHo");
        origin.wait_requests(11);
        proxy.signal(Signal::QUIT);
        for conn in &mut idle {
            conn.assert_closed();
        }
        fresh.assert_closed();
        wait_until("the listener's end", || TcpStream::connect(proxy.address()).is_err());
        assert!(proxy.is_running());
        gate.open();
        for conn in &mut busy {
            let response = conn.response();
            assert_eq!((response.text(), response.field("connection")), ("done", Some("close")));
            conn.assert_closed();
        }
        assert!(proxy.is_running(), "it waits for the last one");
        slow.send("st: test\r\n\r\n");
        let response = slow.response();
        assert_eq!((response.text(), response.field("connection")), ("done", Some("close")));
        slow.assert_closed();
        assert_eq!(proxy.wait_exit().code(), Some(0));
        proxy.wait_log("info  finishing the requests in flight, then ending");
    }
}

#[test]
fn quit_lets_a_long_body_and_a_tunnel_finish() {
    let gate = Arc::new(Gate::default());
    let shut = gate.clone();
    let origin = Origin::start(move |visit| {
        if visit.request().target() == "/tunnel" {
            visit.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
            assert_eq!(visit.exact(4), b"ping");
            visit.send("pong");
            visit.assert_closed();
            return;
        }
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 1000005\r\n\r\nfirst");
        shut.pass();
        visit.send(vec![b'x'; 1_000_000]);
    });
    let mut proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    conn.until(b"first");
    let mut tunnel = proxy.connect();
    tunnel.send("GET /tunnel HTTP/1.1\r\nHost: test\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    assert_eq!(tunnel.head().status(), 101);
    proxy.signal(Signal::QUIT);
    wait_until("the listener's end", || TcpStream::connect(proxy.address()).is_err());
    gate.open();
    assert_eq!(conn.exact(1_000_000), vec![b'x'; 1_000_000]);
    conn.assert_closed();
    tunnel.send("ping");
    assert_eq!(tunnel.exact(4), b"pong");
    assert!(proxy.is_running());
    tunnel.finish();
    tunnel.assert_closed();
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn term_cuts_a_drain_short() {
    let gate = Arc::new(Gate::default());
    let origin = gated(&gate);
    let mut proxy = Proxy::start(origin.to_string(), "--workers 2");
    let mut conn = proxy.connect();
    conn.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_requests(1);
    proxy.signal(Signal::QUIT);
    proxy.wait_log("finishing the requests in flight");
    assert!(proxy.is_running());
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    gate.open();
}

#[test]
fn quit_without_clients_ends_at_once() {
    let origin = Origin::named("ok");
    let mut proxy = Proxy::start(origin.to_string(), "--workers 3");
    assert_eq!(proxy.get("/"), "ok");
    proxy.signal(Signal::QUIT);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    origin.wait_open(0);
}

/// A successor takes over the port, and the socket's file, while the old one still drains.
#[test]
fn a_successor_can_start_during_a_drain() {
    let gate = Arc::new(Gate::default());
    let origin = gated(&gate);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("listen");
    let flags = format!("--listen unix:{} --workers 2", path.display());
    let mut old = Proxy::start(origin.to_string(), &flags);
    let mut busy = old.connect();
    busy.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_requests(1);
    old.signal(Signal::QUIT);
    wait_until("the listener's end", || TcpStream::connect(old.address()).is_err() && !path.exists());
    let new = Proxy::start_at(old.address(), origin.to_string(), &flags);
    assert_eq!(new.get("/"), "done");
    gate.open();
    assert_eq!(busy.response().text(), "done");
    assert_eq!(old.wait_exit().code(), Some(0));
    assert_eq!(Conn::to_unix(&path).get("/").text(), "done", "the old one leaves the new one's file alone");
}

#[test]
fn every_waiting_connection_is_served_when_quit_comes() {
    let origin = Origin::named("ok");
    for _ in 0..5 {
        let mut proxy = Proxy::start(origin.to_string(), "--workers 2");
        let mut conns: Vec<Conn> = (0..50).map(|_| proxy.connect()).collect();
        for conn in &mut conns {
            conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        }
        proxy.signal(Signal::QUIT);
        for conn in &mut conns {
            assert_eq!(conn.response().text(), "ok");
        }
        assert_eq!(proxy.wait_exit().code(), Some(0));
    }
}
