//! When another server is tried, and when not.

use std::sync::Arc;
use std::time::Duration;

use crate::support::origin::ok;
use crate::support::{Conn, Gate, Origin, Proxy, free_address};

/// Reads a request and closes without an answer.
fn closing() -> Origin {
    Origin::start(|visit| {
        visit.request();
    })
}

#[test]
fn a_refused_connection_moves_any_request_on() {
    let dead = free_address();
    let origin = Origin::named("alive");
    let proxy = Proxy::start(format!("{dead} max_fails=0,{origin}"), "");
    let mut conn = proxy.connect();
    for _ in 0..10 {
        assert_eq!(conn.get("/").text(), "alive");
        assert_eq!(conn.post("/", "body").text(), "alive");
    }
    assert_eq!(origin.count(), 20);
}

#[test]
fn a_server_that_closes_moves_on_what_may_be_sent_twice() {
    let first = closing();
    let second = Origin::named("second");
    let proxy = Proxy::start(format!("{first} max_fails=0,{second} backup"), "");
    let mut conn = proxy.connect();
    for n in 1..=5 {
        assert_eq!(conn.get("/").text(), "second");
        assert_eq!((first.count(), second.count()), (n, n));
    }
    assert_eq!(conn.post("/", "body").status(), 502);
    assert_eq!((first.count(), second.count()), (6, 5), "a POST is sent once");
}

#[test]
fn non_idempotent_moves_everything_on() {
    let first = closing();
    let second = Origin::named("second");
    let upstream = format!("{first} max_fails=0,{second} backup");
    let proxy = Proxy::start(upstream, "--next-upstream error,non_idempotent");
    let response = proxy.connect().post("/", "body");
    assert_eq!(response.text(), "second");
    assert_eq!((first.requests()[0].text(), second.requests()[0].text()), ("body", "body"));
}

#[test]
fn a_body_that_is_no_longer_held_is_not_sent_again() {
    let first = Origin::start(|visit| {
        visit.request_head();
        visit.exact(1_000_000);
    });
    let second = Origin::named("second");
    let proxy = Proxy::start(format!("{first} max_fails=0,{second} backup"), "--max-body-size 0");
    let mut conn = proxy.connect();
    conn.send("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 2000000\r\n\r\n");
    conn.send(vec![b'x'; 1_000_000]);
    assert_eq!(conn.response().status(), 502);
    assert_eq!(second.count(), 0);
}

/// Sends a head that promises so many bytes, and four.
fn cutting(length: usize) -> Origin {
    Origin::start(move |visit| {
        visit.request();
        visit.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhalf"));
    })
}

#[test]
fn a_response_that_has_begun_is_not_asked_for_again() {
    let first = cutting(100_000);
    let second = Origin::named("second");
    let proxy = Proxy::start(format!("{first} max_fails=0,{second} backup"), "");
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(conn.head().content_length(), Some(100_000));
    let (body, error) = conn.rest();
    assert_eq!((body.as_slice(), error), (&b"half"[..], None));
    assert_eq!(second.count(), 0);
}

#[test]
fn a_short_response_that_is_cut_is_asked_for_again() {
    let first = cutting(10);
    let second = Origin::named("second");
    let proxy = Proxy::start(format!("{first} max_fails=0,{second} backup"), "");
    let mut conn = proxy.connect();
    for n in 1..=3 {
        assert_eq!(conn.get("/").text(), "second");
        assert_eq!((first.count(), second.count()), (n, n));
    }
    // Unless the configuration has it passed on at once.
    let http = format!(
        "upstream u {{ server {first} max_fails=0; server {second} backup; }}
         server {{ listen LISTEN; proxy_buffering off; location / {{ proxy_pass http://u; }} }}"
    );
    let proxy = Proxy::start_with("", &http, |_| {});
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(conn.head().content_length(), Some(10));
    assert_eq!(conn.rest().0, b"half");
    assert_eq!(second.count(), 3);
}

#[test]
fn a_part_of_a_head_moves_on_what_may_be_sent_twice() {
    let first = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\nContent-");
    });
    let second = Origin::named("second");
    let proxy = Proxy::start(format!("{first} max_fails=0,{second} backup"), "");
    assert_eq!(proxy.get("/"), "second");
    let mut conn = proxy.connect();
    conn.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(conn.response().status(), 502);
    assert_eq!(second.count(), 1);
}

#[test]
fn a_read_timeout_moves_on_and_without_another_server_is_a_504() {
    let gate = Arc::new(Gate::default());
    let silent = || {
        let shut = gate.clone();
        Origin::start(move |visit| {
            visit.request();
            shut.pass();
        })
    };
    let (first, alone) = (silent(), silent());
    let second = Origin::named("second");
    let proxy = Proxy::start(format!("{first} max_fails=0,{second} backup"), "--read-timeout 1s");
    assert_eq!(proxy.get("/"), "second");
    assert_eq!(proxy.connect().post("/", "body").status(), 504);
    let proxy = Proxy::start(alone.to_string(), "--read-timeout 1s");
    assert_eq!(proxy.status("/"), 504);
    let off = silent();
    let proxy =
        Proxy::start(format!("{off} max_fails=0,{second} backup"), "--read-timeout 1s --next-upstream error");
    assert_eq!(proxy.status("/"), 504);
    assert_eq!(second.count(), 1);
    gate.open();
}

#[test]
fn statuses_move_on_where_they_are_named() {
    for status in [500, 502, 503, 504, 429, 404, 403] {
        let first = Origin::answering(format!("HTTP/1.1 {status} No\r\nContent-Length: 3\r\n\r\nbad"));
        let second = Origin::named("good");
        let upstream = format!("{first} max_fails=1 fail_timeout=1h,{second} backup");
        let proxy = Proxy::start(&upstream, &format!("--next-upstream error,http_{status}"));
        let mut conn = proxy.connect();
        for _ in 0..3 {
            assert_eq!(conn.get("/").text(), "good", "{status}");
        }
        // 403 and 404 are answers that another server may give better, not failures.
        let asked = if matches!(status, 403 | 404) { 3 } else { 1 };
        assert_eq!((first.count(), second.count()), (asked, 3), "{status}");
        if asked == 1 {
            proxy.wait_log(&format!(
                "warn  {first} is down: 1 failure within 3600s (status {status}); next try in 3600s"
            ));
        }
        // A POST was acted upon, so its answer stands.
        let proxy = Proxy::start(&upstream, &format!("--next-upstream error,http_{status}"));
        assert_eq!(proxy.connect().post("/", "body").text(), "bad", "{status}");
        // Without the word it passes through.
        let proxy = Proxy::start(&upstream, "");
        assert_eq!(proxy.status("/"), status);
    }
}

#[test]
fn when_every_server_answers_so_the_last_answer_passes() {
    let answer =
        |name: &str| format!("HTTP/1.1 502 Bad\r\nContent-Length: 1\r\nX-Name: {name}\r\n\r\n{name}");
    let (first, second) = (Origin::answering(answer("1")), Origin::answering(answer("2")));
    let proxy = Proxy::start(format!("{first} max_fails=0,{second} max_fails=0"), "--next-upstream http_502");
    let response = proxy.connect().get("/");
    assert_eq!((response.status(), response.text()), (502, "2"));
    assert_eq!((first.count(), second.count()), (1, 1));
}

#[test]
fn invalid_responses_are_502_or_move_on() {
    for response in [
        "HTTP/2 200 OK\r\n\r\n",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: folded\r\n so\r\nContent-Length: 1\r\n\r\nx",
    ] {
        let first = Origin::answering(response);
        let second = Origin::named("second");
        let upstream = format!("{first} max_fails=0,{second} backup");
        let proxy = Proxy::start(&upstream, "");
        let mut conn = proxy.connect();
        let answer = conn.get("/");
        assert_eq!((answer.status(), answer.field("server")), (502, Some("proxy")), "{response:?}");
        assert_eq!(conn.get("/").status(), 502);
        assert_eq!(first.connections(), 2, "{response:?}: its connection is not used again");
        let proxy = Proxy::start(&upstream, "--next-upstream invalid_header");
        assert_eq!(proxy.get("/"), "second", "{response:?}");
    }
}

#[test]
fn tries_bound_how_many_servers_are_asked() {
    let origins = [closing(), closing(), closing()];
    let last = Origin::named("last");
    let [a, b, c] = &origins;
    let upstream = format!("{a} max_fails=0,{b} max_fails=0,{c} max_fails=0,{last}");
    for (tries, asked, status) in [(1, 1, 502), (2, 2, 502), (0, 3, 200)] {
        let before: usize = origins.iter().map(Origin::count).sum();
        let proxy = Proxy::start(&upstream, &format!("--tries {tries}"));
        assert_eq!(proxy.status("/"), status, "{tries} tries");
        let after: usize = origins.iter().map(Origin::count).sum();
        assert_eq!(after - before, asked, "{tries} tries");
    }
    let proxy = Proxy::start(format!("{a} max_fails=0,{last}"), "--next-upstream off");
    assert_eq!(proxy.status("/"), 502);
}

#[test]
fn what_was_answered_before_the_failure_is_delivered() {
    // It answers without reading the body and resets: the answer lies in the socket when sending fails.
    let origin = Origin::start(|visit| {
        visit.request_head();
        visit.send(ok("early"));
        visit.finish();
        // Time for the body to come, so that closing with it unread resets.
        visit.some();
        std::thread::sleep(Duration::from_millis(50));
    });
    let proxy = Proxy::start(origin.to_string(), "--max-body-size 0");
    for _ in 0..10 {
        let mut conn: Conn = proxy.connect();
        conn.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 50000000\r\n\r\n");
        conn.send(vec![b'x'; 500_000]);
        assert_eq!(conn.response().text(), "early");
    }
}
