//! Client connections: how long they live, and requests in order on them.

use crate::support::origin::ok;
use crate::support::{Origin, Proxy};

/// Answers with the target, so that every response shows whose it is.
fn echo() -> Origin {
    Origin::start(|visit| {
        loop {
            let request = visit.request();
            visit.send(ok(&format!("{} {}", request.target(), String::from_utf8_lossy(&request.body))));
        }
    })
}

#[test]
fn http_1_1_persists_until_the_client_says_close() {
    let origin = echo();
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    for n in 0..10 {
        let response = conn.get(&format!("/{n}"));
        assert_eq!(response.text(), format!("/{n} "));
        assert_eq!(response.field("connection"), Some("keep-alive"));
    }
    conn.send("GET /last HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let response = conn.response();
    assert_eq!((response.text(), response.field("connection")), ("/last ", Some("close")));
    conn.assert_closed();
    assert_eq!(origin.connections(), 1, "what a client says of its connection is not the upstream's affair");
}

#[test]
fn http_1_0_closes_unless_the_client_says_keep_alive() {
    let origin = echo();
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    for _ in 0..3 {
        conn.send("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        let response = conn.response();
        assert_eq!((response.text(), response.field("connection")), ("/a ", Some("keep-alive")));
    }
    conn.send("GET /b HTTP/1.0\r\n\r\n");
    let response = conn.response();
    assert_eq!((response.text(), response.field("connection")), ("/b ", Some("close")));
    conn.assert_closed();
    let requests = origin.requests();
    assert!(requests.iter().all(|request| request.first_line().ends_with(" HTTP/1.1")));
    assert_eq!(requests[0].field("host"), Some(origin.to_string().as_str()), "a Host for one who sent none");
    assert_eq!(origin.connections(), 1);
}

/// Several requests with and without bodies.
fn pipeline() -> (String, Vec<&'static str>) {
    let requests = "GET /1 HTTP/1.1\r\nHost: test\r\n\r\n\
        POST /2 HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello\
        POST /3 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n\
        HEAD /4 HTTP/1.1\r\nHost: test\r\n\r\n\
        POST /5 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nT: v\r\n\r\n\
        GET /6 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    (requests.to_owned(), vec!["/1 ", "/2 hello", "/3 abcde", "/4", "/5 x", "/6 "])
}

/// The origin for [`pipeline`]: HEAD gets no body.
fn pipeline_origin() -> Origin {
    Origin::start(|visit| {
        loop {
            let request = visit.request();
            let target = request.target();
            if request.head.starts_with("HEAD") {
                visit.send(format!("HTTP/1.1 200 OK\r\nX-Target: {target}\r\nContent-Length: 99\r\n\r\n"));
            } else {
                visit.send(ok(&format!("{target} {}", request.text())));
            }
        }
    })
}

fn expect_pipeline(conn: &mut crate::support::Conn, answers: &[&str]) {
    for answer in answers {
        if *answer == "/4" {
            let head = conn.head();
            assert_eq!((head.field("x-target"), head.field("content-length")), (Some("/4"), Some("99")));
        } else {
            assert_eq!(conn.response().text(), *answer);
        }
    }
    conn.assert_closed();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = pipeline_origin();
    let proxy = Proxy::start(origin.to_string(), "");
    let (requests, answers) = pipeline();
    let mut conn = proxy.connect();
    conn.send(&requests);
    expect_pipeline(&mut conn, &answers);
    let targets: Vec<String> = origin.requests().iter().map(|r| r.target().to_owned()).collect();
    assert_eq!(targets, ["/1", "/2", "/3", "/4", "/5", "/6"]);
}

#[test]
fn pipelined_requests_may_be_split_at_every_byte() {
    let origin = pipeline_origin();
    let proxy = Proxy::start(origin.to_string(), "");
    let (requests, answers) = pipeline();
    for at in 1..requests.len() {
        let mut conn = proxy.connect();
        conn.send(&requests[..at]);
        // The two parts are to come apart; where they do not, only this one case is not tried.
        std::thread::sleep(std::time::Duration::from_millis(1));
        conn.send(&requests[at..]);
        expect_pipeline(&mut conn, &answers);
    }
    let mut conn = proxy.connect();
    for byte in requests.as_bytes() {
        conn.send([*byte]);
    }
    expect_pipeline(&mut conn, &answers);
}

#[test]
fn responses_may_be_split_at_every_byte() {
    const RESPONSE: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\nT: v\r\n\r\n";
    let origin = Origin::start(|visit| {
        loop {
            let at: usize = visit.request().target()[1..].parse().expect("a place");
            visit.send(&RESPONSE[..at]);
            std::thread::sleep(std::time::Duration::from_millis(1));
            visit.send(&RESPONSE[at..]);
        }
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    for at in 0..RESPONSE.len() {
        conn.send(format!("GET /{at} HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert_eq!(conn.head().field("link"), Some("</a>"), "split at {at}");
        let response = conn.response();
        assert_eq!((response.text(), response.trailers.as_str()), ("hello!", "T: v\r\n"), "split at {at}");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_thousand_pipelined_requests_are_answered() {
    let origin = echo();
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    let requests: String = (0..1000).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n")).collect();
    conn.send(requests);
    for n in 0..1000 {
        assert_eq!(conn.response().text(), format!("/{n} "));
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_half_closed_client_gets_all_its_answers() {
    let origin = echo();
    let proxy = Proxy::start(origin.to_string(), "");
    for request in ["GET /a HTTP/1.1\r\nHost: test\r\n\r\n", "GET /a HTTP/1.0\r\n\r\n"] {
        let mut conn = proxy.connect();
        conn.send(request);
        conn.finish();
        assert_eq!(conn.response().text(), "/a ");
        conn.assert_closed();
    }
    // With requests behind it, one of them cut off: that one is not answered and never forwarded.
    let mut conn = proxy.connect();
    conn.send(
        "GET /1 HTTP/1.1\r\nHost: test\r\n\r\nPOST /2 HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nok",
    );
    conn.send("GET /3 HTTP/1.1\r\nHost: te");
    conn.finish();
    assert_eq!(conn.response().text(), "/1 ");
    assert_eq!(conn.response().text(), "/2 ok");
    conn.assert_closed();
    assert!(origin.requests().iter().all(|request| request.target() != "/3"));
}

#[test]
fn an_upstream_may_answer_long_after_the_client_has_half_closed() {
    let gate = std::sync::Arc::new(crate::support::Gate::default());
    let shut = gate.clone();
    let origin = Origin::start(move |visit| {
        visit.request();
        shut.pass();
        visit.send(ok("late"));
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    conn.send("GET /a HTTP/1.1\r\nHost: test\r\n\r\n");
    conn.finish();
    origin.wait_requests(1);
    // The end has surely been seen when another client has been served behind it.
    let mut other = proxy.connect();
    other.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(other.response().status(), 400);
    gate.open();
    assert_eq!(conn.response().text(), "late");
    conn.assert_closed();
}

#[test]
fn absolute_form_names_the_host() {
    let origin = echo();
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    for (target, path, host) in [
        ("http://example.com/a?b=c", "/a?b=c", "example.com"),
        ("HTTP://example.com:81", "/", "example.com:81"),
        ("http://[::1]:5/x", "/x", "[::1]:5"),
        ("http://example.com?q", "/?q", "example.com"),
    ] {
        conn.send(format!("GET {target} HTTP/1.1\r\nHost: other\r\n\r\n"));
        assert_eq!(conn.response().text(), format!("{path} "));
        let request = origin.requests().pop().expect("a request");
        assert_eq!(request.field("host"), Some(host), "{target}");
    }
}

#[test]
fn what_is_no_request_is_answered_400_and_closed() {
    let origin = echo();
    let proxy = Proxy::start(origin.to_string(), "");
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n",
        "GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        let mut conn = proxy.connect();
        conn.send(request);
        let response = conn.response();
        assert_eq!((response.status(), response.field("connection")), (400, Some("close")), "{request:?}");
        assert!(response.text().contains("<title>400 Bad Request</title>"));
        conn.finish();
        conn.assert_closed();
    }
    for (request, status) in [
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ] {
        let mut conn = proxy.connect();
        conn.send(request);
        assert_eq!(conn.response().status(), status, "{request:?}");
    }
    assert_eq!(origin.count(), 0, "nothing of it goes on");
}

#[test]
fn a_pipelined_request_behind_a_bad_one_is_dropped() {
    let origin = echo();
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    conn.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(conn.response().text(), "/1 ");
    assert_eq!(conn.response().status(), 400);
    conn.finish();
    conn.assert_closed();
    assert_eq!(origin.count(), 1);
}

#[test]
fn bare_line_feeds_and_empty_lines_are_taken_and_never_forwarded() {
    let origin = echo();
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    conn.send("\r\n\nGET /a HTTP/1.1\nHost: test\nX-A:  b \n\n");
    assert_eq!(conn.response().text(), "/a ");
    conn.send("\r\nGET /b HTTP/1.9\r\nHost: test\r\n\r\n");
    assert_eq!(conn.response().text(), "/b ");
    let head = &origin.requests()[0].head;
    assert!(head.contains("\r\nX-A: b\r\n") && head.matches('\n').count() == head.matches("\r\n").count());
}
