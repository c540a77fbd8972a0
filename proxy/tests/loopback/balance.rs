//! Who gets a request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::support::origin::{Visit, ok};
use crate::support::{Conn, Gate, Origin, Proxy};

fn origins() -> (Origin, Origin, String) {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let upstream = format!("{a},{b}");
    (a, b, upstream)
}

#[test]
fn round_robin_alternates_over_connections_and_workers() {
    let (a, b, upstream) = origins();
    for workers in [1, 2, 4] {
        let proxy = Proxy::start(&upstream, &format!("--workers {workers}"));
        let answers: String = (0..60).map(|_| proxy.get("/")).collect();
        assert_eq!(answers, "ab".repeat(30), "{workers} workers");
    }
    assert_eq!((a.count(), b.count()), (90, 90));
}

#[test]
fn several_workers_really_serve() {
    let (_a, _b, upstream) = origins();
    let proxy = Proxy::start(&upstream, "--workers 2");
    // Each worker has a pool of its own, so two of them need two connections to a server.
    let mut conns: Vec<Conn> = (0..40).map(|_| proxy.connect()).collect();
    for conn in &mut conns {
        conn.get("/");
        conn.get("/");
    }
    assert!(_a.connections() >= 2, "40 connections all came to one worker");
}

#[test]
fn weights_are_shares_smoothly_spread() {
    let (a, b, _) = origins();
    let c = Origin::named("c");
    let proxy = Proxy::start(format!("{a} weight=5,{b},{c}"), "");
    let mut conn = proxy.connect();
    let answers: String = (0..14).map(|_| conn.get("/").text().to_owned()).collect();
    assert_eq!(answers, "aabacaaaabacaa");
}

/// nginx's hash of the first three octets.
fn ip_hash(address: [u8; 3], servers: usize) -> usize {
    let hash = address.iter().fold(89_u32, |hash, octet| (hash * 113 + u32::from(*octet)) % 6271);
    hash as usize % servers
}

#[test]
fn ip_hash_keeps_a_client_with_its_server() {
    let names = ["a", "b", "c"];
    let origins = names.map(Origin::named);
    let upstream = origins.each_ref().map(ToString::to_string).join(",");
    for flags in ["--balance ip_hash", "--balance ip-hash --workers 3"] {
        let proxy = Proxy::start(&upstream, flags);
        let mut seen = [0; 3];
        for third in 0..12 {
            let server = ip_hash([127, 0, third], 3);
            seen[server] += 1;
            for last in [1, 77, 200] {
                let source = IpAddr::from([127, 0, third, last]);
                let mut conn = Conn::from_to(source, proxy.address());
                for _ in 0..2 {
                    assert_eq!(conn.get("/").text(), names[server], "{source}");
                }
            }
        }
        assert!(seen.iter().all(|count| *count > 0), "the addresses show nothing: {seen:?}");
    }
}

#[test]
fn ip_hash_takes_the_forwarded_address_of_trusted_clients_alone() {
    let names = ["a", "b", "c"];
    let origins = names.map(Origin::named);
    let upstream = origins.each_ref().map(ToString::to_string).join(",");
    let proxy = Proxy::start(&upstream, "--balance ip_hash --trust-forwarded 127.0.0.1,192.168.0.0/16");
    let own = ip_hash([127, 0, 7], 3);
    for third in 0..12 {
        let forwarded = format!("9.9.9.9, 10.1.{third}.5, 192.168.1.1");
        let request = format!("GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: {forwarded}\r\n\r\n");
        for (source, server) in [("127.0.0.1", ip_hash([10, 1, third], 3)), ("127.0.7.1", own)] {
            let mut conn = Conn::from_to(source.parse().expect("an address"), proxy.address());
            conn.send(&request);
            assert_eq!(conn.response().text(), names[server], "{source} for {forwarded}");
        }
    }
}

/// Answers `/slow` when the gate opens and all else at once.
fn gated(name: &'static str, gate: &Arc<Gate>) -> Origin {
    let gate = gate.clone();
    Origin::start(move |visit: &mut Visit| {
        loop {
            if visit.request().target() == "/slow" {
                gate.pass();
            }
            visit.send(ok(name));
        }
    })
}

#[test]
fn least_conn_spares_the_server_that_is_slow() {
    for workers in [1, 2] {
        let gate = Arc::new(Gate::default());
        let (a, b) = (gated("a", &gate), gated("b", &gate));
        let proxy = Proxy::start(format!("{a},{b}"), &format!("--balance least_conn --workers {workers}"));
        let mut slow = proxy.connect();
        slow.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
        a.wait_requests(1);
        // Over one connection: a request on another one may reach the other worker before the last answer is
        // accounted for.
        let mut quick = proxy.connect();
        for _ in 0..20 {
            assert_eq!(quick.get("/").text(), "b");
        }
        gate.open();
        assert_eq!(slow.response().text(), "a");
        assert_eq!((a.count(), b.count()), (1, 20));
    }
}

#[test]
fn least_conn_weighs() {
    let gate = Arc::new(Gate::default());
    let (a, b) = (gated("a", &gate), gated("b", &gate));
    let proxy = Proxy::start(format!("{a} weight=3,{b}"), "--balance least-conn");
    let mut conns: Vec<Conn> = (0..8).map(|_| proxy.connect()).collect();
    for (n, conn) in conns.iter_mut().enumerate() {
        conn.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
        crate::support::wait_until("the request", || a.count() + b.count() == n + 1);
    }
    assert_eq!((a.count(), b.count()), (6, 2));
    gate.open();
    for conn in &mut conns {
        conn.response();
    }
}

/// Sends the head of its answer after so many milliseconds, and the rest so many later.
fn timed(name: &'static str, head_ms: u64, rest_ms: u64) -> Origin {
    let pause = |ms| std::thread::sleep(Duration::from_millis(ms));
    Origin::start(move |visit: &mut Visit| {
        loop {
            visit.request();
            pause(head_ms);
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
            pause(rest_ms);
            visit.send(name);
        }
    })
}

#[test]
fn least_time_takes_the_faster_one_to_begin_or_to_end() {
    for (balance, answers) in [
        ("least_time header", "abaa"),
        ("least_time header inflight", "abaa"),
        ("least_time last_byte", "abbb"),
        ("least_time last_byte inflight", "abbb"),
    ] {
        let (a, b) = (timed("a", 40, 900), timed("b", 500, 0));
        let http = format!(
            "upstream u {{ {balance}; server {a}; server {b}; }}
             server {{ listen LISTEN; location / {{ proxy_pass http://u; }} }}"
        );
        let proxy = Proxy::start_with("", &http, |_| {});
        let seen: String = (0..4).map(|_| proxy.get("/")).collect();
        assert_eq!(seen, answers, "{balance}");
    }
    let (a, b) = (timed("a", 40, 900), timed("b", 500, 0));
    let proxy = Proxy::start(format!("{a},{b}"), "--balance least_time");
    assert_eq!((0..3).map(|_| proxy.get("/")).collect::<String>(), "aba");
}

#[test]
fn max_conns_bounds_requests_at_once_over_all_workers() {
    for workers in [1, 3] {
        let gate = Arc::new(Gate::default());
        let (a, b) = (gated("a", &gate), gated("b", &gate));
        let proxy = Proxy::start(
            format!("{a} max_conns=2 weight=100,{b} max_conns=1"),
            &format!("--workers {workers}"),
        );
        let mut conns: Vec<Conn> = (0..3).map(|_| proxy.connect()).collect();
        for (n, conn) in conns.iter_mut().enumerate() {
            conn.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
            crate::support::wait_until("the request", || a.count() + b.count() == n + 1);
        }
        assert_eq!((a.count(), b.count()), (2, 1));
        assert_eq!(proxy.status("/"), 502, "all are full");
        let line = proxy.wait_log("no live server");
        assert!(line.ends_with(&format!("{a} full (2 in flight), {b} full (1 in flight)")), "{line}");
        gate.open();
        for conn in &mut conns {
            conn.response();
        }
        assert_eq!(proxy.get("/"), "a", "there is room again");
    }
}
