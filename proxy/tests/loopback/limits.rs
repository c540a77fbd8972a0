//! Bounds: on heads, on bodies, on connections, on descriptors.

use std::time::Instant;

use crate::support::origin::ok;
use crate::support::{Conn, Origin, Proxy, pattern, wait_until};

#[test]
fn a_body_announced_too_large_is_a_413_and_nothing_goes_on() {
    let origin = Origin::named("ok");
    let proxy = Proxy::start(origin.to_string(), "--max-body-size 10k");
    let mut conn = proxy.connect();
    conn.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10241\r\n\r\n");
    let response = conn.response();
    assert_eq!((response.status(), response.field("connection")), (413, Some("close")));
    assert_eq!(origin.connections(), 0);
    assert_eq!(proxy.connect().post("/", &"x".repeat(10240)).text(), "ok");
}

#[test]
fn a_body_that_grows_too_large_is_a_413_and_never_passes_for_whole() {
    let origin = Origin::start(|visit| {
        let head = visit.request_head();
        if head.target() == "/" {
            visit.send(ok("ok"));
            return;
        }
        let (bytes, _) = visit.rest();
        assert!(!bytes.ends_with(b"0\r\n\r\n") && bytes.len() < 12_000, "{} bytes", bytes.len());
    });
    let proxy = Proxy::start(origin.to_string(), "--max-body-size 10k");
    let mut conn = proxy.connect();
    conn.send("POST /large HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..10 {
        conn.send(format!("400\r\n{}\r\n", "x".repeat(1024)));
    }
    assert!(conn.is_silent(), "10240 bytes are allowed");
    conn.send("1\r\nx\r\n0\r\n\r\n");
    assert_eq!(conn.response().status(), 413);
    origin.wait_open(0);
    assert_eq!(proxy.get("/"), "ok");
    assert!(proxy.log().iter().all(|line| !line.contains("is down")));
}

#[test]
fn a_page_for_a_body_that_grows_too_large_costs_its_server_nothing() {
    let origin = Origin::start(|visit| {
        let head = visit.request_head();
        if head.target() == "/" {
            visit.rest();
        } else {
            visit.send(ok(head.target()));
        }
    });
    let http = format!(
        "upstream app {{ server {origin} max_conns=1; }}
         server {{
             listen LISTEN; client_max_body_size 1k;
             location / {{ proxy_pass http://app; error_page 413 =200 /large; }}
             location /large {{ proxy_pass http://app; }}
         }}"
    );
    let proxy = Proxy::start_with("worker_processes 1;", &http, |_| {});
    for _ in 0..3 {
        let mut conn = proxy.connect();
        conn.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
        origin.wait_open(1);
        conn.send(format!("400\r\n{}\r\n", "x".repeat(1024)));
        assert_eq!(conn.response().text(), "/large");
        drop(conn);
        origin.wait_open(0);
    }
    assert_eq!(proxy.get("/other"), "/other");
}

#[test]
fn an_address_that_cannot_be_connected_from_is_no_failure_of_the_server() {
    let origin = Origin::named("ok");
    let http = format!(
        "upstream app {{ server {origin}; server {origin}; }}
         server {{
             listen LISTEN;
             location / {{ proxy_pass http://app; }}
             location /from {{ proxy_bind $arg_a; proxy_pass http://app; }}
         }}"
    );
    let proxy = Proxy::start_with("", &http, |_| {});
    for address in ["192.0.2.1", "[::1]"] {
        assert_eq!(proxy.status(&format!("/from?a={address}")), 503, "{address}");
    }
    let line = proxy.wait_log(&format!("no connection to {origin} could be opened from 192.0.2.1: "));
    assert!(line.contains("Cannot assign requested address (os error 99); "), "{line}");
    assert!(line.contains("\"proxy_bind\""), "{line}");
    assert_eq!(proxy.get("/from?a=127.0.0.9"), "ok");
    assert_eq!(proxy.get("/"), "ok");
    assert!(proxy.log().iter().all(|line| !line.contains("is down")));
}

#[test]
fn max_body_size_0_is_no_bound_and_1m_the_default() {
    let origin = Origin::named("ok");
    for (flags, status) in [("--max-body-size 0", 200), ("", 413)] {
        let proxy = Proxy::start(origin.to_string(), flags);
        let mut conn = proxy.connect();
        conn.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1048577\r\n\r\n");
        conn.send(pattern(1_048_577));
        assert_eq!(conn.response().status(), status, "{flags:?}");
    }
}

#[test]
fn heads_have_a_bound() {
    let origin = Origin::named("ok");
    let proxy = Proxy::start(origin.to_string(), "--max-header-size 2k");
    for (length, field) in [(2048, false), (2048, true)] {
        // Exactly as large as allowed.
        let request = |extra: usize| {
            let (start, end) = if field {
                ("GET / HTTP/1.1\r\nHost: test\r\nX: ", "\r\n\r\n")
            } else {
                ("GET /", " HTTP/1.1\r\nHost: test\r\n\r\n")
            };
            let filling = "x".repeat(length + extra - start.len() - end.len());
            format!("{start}{filling}{end}")
        };
        let mut conn = proxy.connect();
        conn.send(request(0));
        assert_eq!(conn.response().text(), "ok");
        conn.send(request(1));
        let response = conn.response();
        let status = response.status();
        assert!(matches!(status, 414 | 431), "{status}");
        assert_eq!(response.field("connection"), Some("close"));
    }
    let mut conn = proxy.connect();
    conn.send(format!("GET /{} HTTP/1.1\r\n", "x".repeat(5000)));
    assert_eq!(conn.response().status(), 414);
    let mut conn = proxy.connect();
    conn.send(format!("GET / HTTP/1.1\r\nHost: test\r\nX: {}", "x".repeat(5000)));
    assert_eq!(conn.response().status(), 431);
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    let many = "X: y\r\n".repeat(1000);
    conn.send(format!("GET / HTTP/1.1\r\nHost: test\r\n{many}\r\n"));
    assert_eq!(conn.response().status(), 431);
    assert_eq!(origin.count(), 2);
}

#[test]
fn a_response_head_has_the_same_bound() {
    let origin = Origin::start(|visit| {
        loop {
            let length: usize = visit.request().target()[1..].parse().expect("a length");
            let (start, end) = ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: ", "\r\n\r\n");
            let filling = "x".repeat(length - start.len() - end.len());
            visit.send(format!("{start}{filling}{end}ok"));
        }
    });
    let proxy = Proxy::start(origin.to_string(), "--max-header-size 2k");
    let mut conn = proxy.connect();
    assert_eq!(conn.get("/2048").text(), "ok");
    assert_eq!(conn.get("/2049").status(), 502);
    assert_eq!(conn.get("/10000").status(), 502);
}

#[test]
fn connections_beyond_the_bound_wait_and_are_served() {
    let origin = Origin::named("ok");
    for workers in [1, 2] {
        let flags = format!("--max-connections 3 --workers {workers}");
        let proxy = Proxy::start(origin.to_string(), &flags);
        let mut open: Vec<Conn> = (0..3).map(|_| proxy.connect()).collect();
        for conn in &mut open {
            assert_eq!(conn.get("/").text(), "ok");
        }
        // Busy ones: an idle one would give way.
        open.iter_mut().for_each(|conn| conn.send("GET /"));
        let before = proxy.descriptors();
        let mut waiting: Vec<Conn> = (0..3).map(|_| proxy.connect()).collect();
        for conn in &mut waiting {
            conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        }
        // Those that are in go on as before; the others stay where they are.
        for _ in 0..50 {
            for conn in &mut open {
                conn.send(" HTTP/1.1\r\nHost: test\r\n\r\nGET /");
                assert_eq!(conn.response().text(), "ok");
            }
        }
        assert!(waiting.iter_mut().all(Conn::is_silent));
        assert_eq!(proxy.descriptors(), before);
        drop(open);
        for conn in &mut waiting {
            assert_eq!(conn.response().text(), "ok");
        }
    }
}

#[test]
fn clients_that_are_idle_give_way_to_new_ones() {
    let origin = Origin::named("ok");
    for workers in [1, 2] {
        let http = format!("server {{ listen LISTEN; location / {{ proxy_pass http://{origin}; }} }}");
        let main = format!("worker_processes {workers};");
        let proxy = Proxy::start_with_events(&main, &format!("worker_connections {};", 20 / workers), &http);
        let mut busy = proxy.connect();
        busy.send("GET /");
        let mut conns: Vec<Conn> = Vec::new();
        for number in 0..40 {
            let mut conn = proxy.connect();
            assert_eq!(conn.get("/").text(), "ok", "{number}");
            conns.push(conn);
        }
        // One that has begun a request is not idle, and who came last is idle for the shortest time.
        busy.send(" HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(busy.response().text(), "ok");
        if workers == 1 {
            conns[0].assert_closed();
            assert_eq!(conns[39].get("/").text(), "ok");
        }
        proxy.wait_log(
            "whoever is idle for longest gives way: 20 are open (worker_connections of all workers)",
        );
    }
}

#[test]
fn clients_that_are_idle_give_way_where_descriptors_run_out() {
    let origin = Origin::named("ok");
    let proxy = Proxy::start_with_descriptors(40, origin.to_string(), "");
    let mut conns: Vec<Conn> = Vec::new();
    for number in 0..80 {
        let mut conn = proxy.connect();
        assert_eq!(conn.get("/").text(), "ok", "{number}");
        conns.push(conn);
    }
}

#[test]
fn without_descriptors_accepting_pauses_and_nothing_is_lost() {
    let origin = Origin::named("ok");
    let proxy = Proxy::start_with_descriptors(40, origin.to_string(), "--upstream-idle-timeout 1h");
    proxy.wait_log("40 open files are allowed, but --max-connections 10000 may need");
    // Whoever has begun a request does not give way.
    let begin = || {
        let mut conn = proxy.connect();
        conn.send("GET / HTTP/1.1\r\n");
        conn
    };
    let mut conns: Vec<Conn> = (0..100).map(|_| begin()).collect();
    let line = proxy.wait_log("accepting pauses until");
    assert!(
        line.starts_with("error ")
            && line.contains("raise the limit of open files (ulimit -Hn, LimitNOFILE=)"),
        "{line}"
    );
    // All ask at once. Some of those that are in find no descriptor for a connection to the upstream and are told.
    for conn in &mut conns {
        conn.send("Host: test\r\nConnection: close\r\n\r\n");
    }
    let (mut served, mut refused) = (0, 0);
    for conn in &mut conns {
        match conn.response().status() {
            200 => served += 1,
            503 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(served + refused, 100);
    assert!(served >= 1, "{served} served, {refused} refused");
    drop(conns);
    assert!(proxy.log().iter().all(|line| !line.contains("is down")), "no server is to blame");
    for _ in 0..20 {
        assert_eq!(proxy.get("/"), "ok");
    }
    // Idle connections to servers, however many have come together, make room for clients.
    let mut conns: Vec<Conn> = (0..20).map(|_| proxy.connect()).collect();
    for conn in &mut conns {
        assert_eq!(conn.get("/").text(), "ok");
    }
}

#[test]
fn without_descriptors_clients_that_are_in_are_served() {
    let origin = Origin::named("ok");
    let proxy = Proxy::start_with_descriptors(40, origin.to_string(), "");
    let start = Instant::now();
    // With a pooled connection to the upstream, which serves them all.
    assert_eq!(proxy.get("/"), "ok");
    let mut first = proxy.connect();
    // It is never idle, nor are the others.
    first.send("GET /");
    let mut again = || {
        first.send(" HTTP/1.1\r\nHost: test\r\n\r\nGET /");
        assert_eq!(first.response().text(), "ok");
    };
    let begin = |_| {
        let mut conn = proxy.connect();
        conn.send("GET /");
        conn
    };
    let mut fill: Vec<Conn> = (0..60).map(begin).collect();
    proxy.wait_log("accepting pauses until");
    for _ in 0..100 {
        again();
    }
    // Each that leaves lets another in, and accepting pauses again.
    for conn in fill.drain(..50) {
        drop(conn);
        again();
    }
    // The log does not grow with every pause.
    let seconds = start.elapsed().as_secs() as usize;
    let lines = proxy.log().iter().filter(|line| line.contains("accepting pauses until")).count();
    assert!(lines <= 2 + seconds, "{lines} lines in {seconds} s");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_idle_connection_makes_room_for_clients_and_for_one_to_another_server() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let flags = "--upstream-idle-timeout 1h --balance ip_hash";
    let proxy = Proxy::start_with_descriptors(40, format!("{a},{b}"), flags);
    // A client of each server.
    let mut clients = ["a", "b"].map(|name| {
        let found = (0..50).find_map(|third| {
            let mut conn = Conn::from_to([127, 0, third, 1].into(), proxy.address());
            (conn.get("/").text() == name).then_some(conn)
        });
        found.expect("an address that is hashed to it")
    });
    // Others take all descriptors but that of one idle connection, which may serve them.
    let fill = |_| {
        let mut conn = proxy.connect();
        conn.send("GET /");
        conn
    };
    clients.iter_mut().for_each(|client| client.send("GET /"));
    let _fill: Vec<Conn> = (0..60).map(fill).collect();
    proxy.wait_log("accepting pauses until");
    wait_until("the others are in", || a.open() + b.open() == 1);
    // It has to give way each time that the other server is asked.
    for _ in 0..5 {
        for (client, name) in clients.iter_mut().zip(["a", "b"]) {
            client.send(" HTTP/1.1\r\nHost: test\r\n\r\nGET /");
            assert_eq!(client.response().text(), name);
        }
    }
}
