//! Idle connections to upstreams: reused, bounded, and parted with when they are of no use.

use std::sync::Arc;

use crate::support::origin::ok;
use crate::support::{Gate, Origin, Proxy, wait_until};

#[test]
fn requests_one_after_the_other_share_one_connection() {
    let origin = Origin::named("ok");
    let proxy = Proxy::start(origin.to_string(), "");
    for _ in 0..20 {
        let mut conn = proxy.connect();
        for _ in 0..5 {
            assert_eq!(conn.get("/").text(), "ok");
            assert_eq!(conn.post("/", "body").text(), "ok");
        }
    }
    assert_eq!((origin.count(), origin.connections()), (200, 1));
}

#[test]
fn many_clients_need_only_as_many_connections_as_requests_at_once() {
    let origin = Origin::named("ok");
    let proxy = Proxy::start(origin.to_string(), "");
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let address = proxy.address();
            std::thread::spawn(move || {
                for _ in 0..100 {
                    assert_eq!(crate::support::Conn::to(address).get("/").text(), "ok");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("a client");
    }
    assert_eq!(origin.count(), 400);
    assert!(origin.connections() <= 4, "{} connections", origin.connections());
}

#[test]
fn without_keepalive_each_request_has_its_own_connection() {
    let origin = Origin::named("ok");
    let proxy = Proxy::start(origin.to_string(), "--keepalive 0");
    let mut conn = proxy.connect();
    for _ in 0..10 {
        assert_eq!(conn.get("/").text(), "ok");
    }
    assert_eq!(origin.connections(), 10);
    origin.wait_open(0);
}

/// Holds back every answer until the gate opens.
fn held_back() -> (Origin, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let shut = gate.clone();
    let origin = Origin::start(move |visit| {
        loop {
            visit.request();
            shut.pass();
            visit.send(ok("ok"));
        }
    });
    (origin, gate)
}

#[test]
fn no_more_than_keepalive_stay_idle() {
    let (origin, gate) = held_back();
    let proxy = Proxy::start(origin.to_string(), "--keepalive 2");
    let mut conns: Vec<_> = (0..6).map(|_| proxy.connect()).collect();
    for conn in &mut conns {
        conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    origin.wait_requests(6);
    gate.open();
    for conn in &mut conns {
        conn.response();
    }
    origin.wait_open(2);
    assert_eq!(origin.connections(), 6);
    for conn in &mut conns {
        conn.get("/");
    }
    assert_eq!(origin.connections(), 6);
}

#[test]
fn idle_connections_are_closed_in_time() {
    let (origin, gate) = held_back();
    gate.open();
    let proxy = Proxy::start(origin.to_string(), "--upstream-idle-timeout 200ms");
    assert_eq!(proxy.get("/"), "ok");
    origin.wait_open(0);
    assert_eq!(proxy.get("/"), "ok");
    origin.wait_open(0);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_response_that_says_close_is_the_last_of_its_connection() {
    for response in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        // It does not close itself: the proxy has to.
        let origin = Origin::answering(response);
        let proxy = Proxy::start(origin.to_string(), "");
        let mut conn = proxy.connect();
        for _ in 0..3 {
            let response = conn.get("/");
            assert_eq!((response.text(), response.field("connection")), ("ok", Some("keep-alive")));
        }
        origin.wait_open(0);
        assert_eq!(origin.connections(), 3);
    }
    let origin =
        Origin::answering("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start(origin.to_string(), "");
    for _ in 0..3 {
        assert_eq!(proxy.get("/"), "ok");
    }
    assert_eq!(origin.connections(), 1, "HTTP/1.0 with keep-alive persists");
}

#[test]
fn an_idle_connection_closed_by_its_server_is_noticed_and_dropped() {
    // Closes each connection after its first response, without having said so.
    for reset in [false, true] {
        let origin = Origin::start(move |visit| {
            visit.request();
            visit.send(ok("ok"));
            if reset {
                visit.socket().set_linger(Some(std::time::Duration::ZERO)).expect("an option");
            }
        });
        let proxy = Proxy::start(origin.to_string(), "");
        let idle = proxy.descriptors();
        let mut conn = proxy.connect();
        for n in 1..=20 {
            assert_eq!(conn.post("/", "once").text(), "ok");
            origin.wait_open(0);
            // The client's connection and nothing else is left.
            wait_until("the dead connection's end", || proxy.descriptors() == idle + 1);
            assert_eq!((origin.count(), origin.connections()), (n, n));
        }
    }
}

#[test]
fn bytes_on_an_idle_connection_spoil_it() {
    let gate = Arc::new(Gate::default());
    let shut = gate.clone();
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send(ok("ok"));
        if visit.number == 0 {
            shut.pass();
            visit.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
        }
        visit.rest();
    });
    let proxy = Proxy::start(origin.to_string(), "");
    assert_eq!(proxy.get("/"), "ok");
    gate.open();
    origin.wait_open(0);
    assert_eq!(proxy.get("/"), "ok");
    assert_eq!(origin.connections(), 2);
}

/// An origin that reads a second request on a connection and closes instead of answering: what a server
/// does that shut the idle connection in the very moment in which the request came.
fn racing(reset: bool) -> Origin {
    Origin::start(move |visit| {
        let is_head = visit.request().head.starts_with("HEAD");
        visit.send(if is_head {
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n".to_owned()
        } else {
            ok("ok")
        });
        visit.request();
        if reset {
            visit.socket().set_linger(Some(std::time::Duration::ZERO)).expect("an option");
        }
    })
}

#[test]
fn the_race_for_an_idle_connection_is_retried_where_that_is_safe() {
    for reset in [false, true] {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            let origin = racing(reset);
            // No mark for it either: a single failure would take a server out for long.
            let other = Origin::named("other");
            let upstream = format!("{origin} max_fails=1 fail_timeout=1h,{other} backup");
            let proxy = Proxy::start(upstream, "");
            let mut conn = proxy.connect();
            for _ in 0..5 {
                conn.send(format!("{method} / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody"));
                let mut response = conn.head();
                assert_eq!(response.status(), 200, "{method}");
                if method != "HEAD" {
                    conn.body(&mut response);
                    assert_eq!(response.text(), "ok", "{method}");
                }
            }
            // The first is answered; each further one reaches a used connection and then a new one.
            let requests = origin.requests();
            assert_eq!((requests.len(), origin.connections()), (9, 5), "{method}");
            assert!(requests.iter().all(|request| request.text() == "body"), "{method}: sent again whole");
            assert_eq!(other.count(), 0);
            assert!(proxy.log().iter().all(|line| !line.contains("is down")));
        }
    }
}

#[test]
fn the_race_never_delivers_a_post_twice() {
    for reset in [false, true] {
        for method in ["POST", "PATCH", "LOCK", "NONESUCH"] {
            let origin = racing(reset);
            let other = Origin::named("other");
            let proxy = Proxy::start(format!("{origin},{other} backup"), "");
            let mut conn = proxy.connect();
            assert_eq!(conn.get("/").text(), "ok");
            conn.send(format!("{method} /once HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody"));
            let response = conn.response();
            assert_eq!(response.status(), 502, "{method}");
            assert_eq!(response.field("connection"), Some("keep-alive"), "{method}");
            // The connection goes on, and so does the server: it is not blamed.
            assert_eq!(conn.get("/").text(), "ok");
            let once = origin.requests().iter().filter(|request| request.target() == "/once").count();
            assert_eq!((once, other.count()), (1, 0), "{method}");
        }
    }
}

#[test]
fn a_client_that_goes_away_cancels_its_upstream_request() {
    let gate = Arc::new(Gate::default());
    let origin = Origin::start(move |visit| {
        visit.request();
        let (rest, _) = visit.rest();
        assert!(rest.is_empty());
        gate.open();
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let idle = proxy.descriptors();
    for _ in 0..5 {
        let mut conn = proxy.connect();
        conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        wait_until("the request", || origin.open() == 1);
        conn.reset();
        origin.wait_open(0);
    }
    wait_until("the connections' end", || proxy.descriptors() == idle);
}

#[test]
fn a_client_that_stops_reading_a_response_and_resets_frees_everything() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let bytes = vec![b'x'; 1 << 20];
        while visit.try_send(&bytes).is_ok() {}
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let idle = proxy.descriptors();
    for _ in 0..5 {
        let mut conn = proxy.connect();
        conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        conn.exact(100_000);
        conn.reset();
        origin.wait_open(0);
    }
    wait_until("the connections' end", || proxy.descriptors() == idle);
    let (body, error) = {
        let mut conn = proxy.connect();
        conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        conn.exact(100_000);
        drop(origin);
        conn.rest()
    };
    assert!(body.len() < 900_000_000 && error.is_none(), "{} octets, {error:?}", body.len());
}
