//! Servers that fail, and what the log says of them.

use std::time::{Duration, Instant};

use crate::support::origin::{answer, ok};
use crate::support::{Origin, Proxy, free_address, wait_until};

/// Reads a request and closes without an answer.
fn closing() -> Origin {
    Origin::start(|visit| {
        visit.request();
    })
}

#[test]
fn max_fails_takes_a_server_out_and_one_line_says_so() {
    let dead = free_address();
    let origin = Origin::named("alive");
    let proxy = Proxy::start(format!("{dead},{origin}"), "--max-fails 3");
    let mut conn = proxy.connect();
    for _ in 0..20 {
        assert_eq!(conn.get("/").text(), "alive");
    }
    let line = proxy.wait_log("is down");
    assert_eq!(
        line,
        format!("warn  {dead} is down: 3 failures within 10s (connection refused); next try in 10s")
    );
    assert_eq!(proxy.log().iter().filter(|line| line.contains("is down")).count(), 1);
}

#[test]
fn every_cause_is_named() {
    let other = Origin::named("other");
    let reset = Origin::start(|visit| {
        visit.request();
        visit.socket().set_linger(Some(Duration::ZERO)).expect("an option");
    });
    let silent = Origin::start(|visit| {
        visit.request();
        visit.rest();
    });
    let invalid = Origin::answering("nonsense\r\n\r\n");
    let closing = closing();
    for (origin, cause) in [
        (&closing, "connection closed before the response's end"),
        (&reset, "connection reset"),
        (&silent, "read timeout"),
        (&invalid, "the response does not start with HTTP/"),
    ] {
        let upstream = format!("{origin} fail_timeout=90s,{other} backup");
        let proxy =
            Proxy::start(upstream, "--read-timeout 200ms --next-upstream error,timeout,invalid_header");
        assert_eq!(proxy.get("/"), "other", "{cause}");
        let line = format!("warn  {origin} is down: 1 failure within 90s ({cause}); next try in 90s");
        assert_eq!(proxy.wait_log("is down"), line);
    }
}

#[test]
fn a_server_that_is_down_is_left_alone_until_fail_timeout_is_over() {
    let failing = closing();
    let alive = Origin::named("alive");
    let proxy = Proxy::start(format!("{failing} max_fails=2 fail_timeout=1h,{alive}"), "");
    let mut conn = proxy.connect();
    for _ in 0..30 {
        assert_eq!(conn.get("/").text(), "alive");
    }
    assert_eq!(failing.count(), 2);
}

#[test]
fn a_server_that_answers_again_is_back_and_one_line_says_so() {
    let address = free_address();
    let alive = Origin::named("alive");
    let proxy = Proxy::start(format!("{address} fail_timeout=300ms,{alive}"), "");
    let mut conn = proxy.connect();
    for round in 1..=2 {
        wait_until("it is down", || {
            assert_eq!(conn.get("/").text(), "alive");
            proxy.log().iter().filter(|line| line.contains("is down")).count() == round
        });
        let back = Origin::start_at(address, answer(ok("back")));
        wait_until("it is back", || conn.get("/").text() == "back");
        let line = format!("info  {address} is up again");
        proxy.wait_log("is up again");
        wait_until("the line", || proxy.log().iter().filter(|l| l.ends_with(&line[6..])).count() == round);
        // It has its whole share again.
        let mut shares = [0, 0];
        for _ in 0..10 {
            shares[usize::from(conn.get("/").text() == "back")] += 1;
        }
        assert_eq!(shares, [5, 5]);
        back.stop();
    }
}

#[test]
fn backup_serves_only_while_no_other_can() {
    let address = free_address();
    let backup = Origin::named("backup");
    let proxy = Proxy::start(format!("{address} fail_timeout=200ms,{backup} backup"), "");
    assert_eq!(proxy.get("/"), "backup");
    let _primary = Origin::start_at(address, answer(ok("primary")));
    wait_until("the primary is back", || proxy.get("/") == "primary");
    for _ in 0..10 {
        assert_eq!(proxy.get("/"), "primary");
    }
}

#[test]
fn a_server_marked_down_never_gets_a_request() {
    let (down, up) = (Origin::named("down"), Origin::named("up"));
    let proxy = Proxy::start(format!("{down} down,{up}"), "");
    let mut conn = proxy.connect();
    for _ in 0..10 {
        assert_eq!(conn.get("/").text(), "up");
    }
    assert_eq!(down.connections(), 0);
    let proxy = Proxy::start(format!("{down} down"), "");
    assert_eq!(proxy.status("/"), 502);
    proxy.wait_log(&format!("error no live server: {down} down by configuration"));
}

#[test]
fn without_a_live_server_answers_are_quick_and_one_line_tells_each_state() {
    let (first, second) = (free_address(), free_address());
    let proxy = Proxy::start(format!("{first},{second} max_fails=2"), "--fail-timeout 1h");
    let start = Instant::now();
    let mut conn = proxy.connect();
    for _ in 0..50 {
        let response = conn.get("/");
        assert_eq!((response.status(), response.field("connection")), (502, Some("keep-alive")));
    }
    let seconds = start.elapsed().as_secs() as usize;
    let line = proxy.wait_log("no live server");
    let (line, _) = line.split_once(", next try in").expect("a time");
    assert_eq!(line, format!("error no live server: {first} down (1 failure"));
    proxy.wait_log(&format!("{second} down (2 failures, next try in 3600s)"));
    let lines = proxy.log().iter().filter(|line| line.contains("no live server")).count();
    assert!(lines <= 2 + seconds, "{lines} lines in {seconds} s");
    let response = conn.get("/");
    assert!(response.text().contains("no live upstream server"), "{}", response.text());
}

#[test]
fn all_servers_back_are_found_within_fail_timeout() {
    let (first, second) = (free_address(), free_address());
    let proxy = Proxy::start(format!("{first},{second}"), "--fail-timeout 500ms");
    assert_eq!(proxy.status("/"), 502);
    let _origins = [first, second].map(|address| Origin::start_at(address, answer(ok("back"))));
    wait_until("both are back", || {
        proxy.status("/");
        proxy.log().iter().filter(|line| line.contains("is up again")).count() == 2
    });
    for _ in 0..10 {
        assert_eq!(proxy.get("/"), "back");
    }
}

#[test]
fn a_server_alone_is_never_taken_out() {
    let address = free_address();
    let proxy = Proxy::start(format!("{address} fail_timeout=1h"), "");
    for _ in 0..10 {
        assert_eq!(proxy.status("/"), 502);
    }
    let _origin = Origin::start_at(address, answer(ok("back")));
    assert_eq!(proxy.get("/"), "back");
    assert!(proxy.log().iter().all(|line| !line.contains("is down")));
}

#[test]
fn max_fails_0_never_takes_a_server_out() {
    let failing = closing();
    let alive = Origin::named("alive");
    let proxy = Proxy::start(format!("{failing},{alive}"), "--max-fails 0");
    let mut conn = proxy.connect();
    for _ in 0..20 {
        assert_eq!(conn.get("/").text(), "alive");
    }
    assert_eq!(failing.count(), 10);
}

/// The requests of several connections are counted together, whichever worker serves them.
#[test]
fn failures_are_one_truth_over_all_workers() {
    let failing = closing();
    let alive = Origin::named("alive");
    let proxy = Proxy::start(format!("{failing} max_fails=5 fail_timeout=1h,{alive}"), "--workers 4");
    for _ in 0..60 {
        assert_eq!(proxy.get("/"), "alive");
    }
    assert_eq!(failing.count(), 5);
    assert_eq!(proxy.log().iter().filter(|line| line.contains("is down: 5 failures")).count(), 1);
}
