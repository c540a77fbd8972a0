//! Interim responses and `Expect: 100-continue`.

use crate::support::origin::ok;
use crate::support::{Origin, Proxy};

#[test]
fn expect_100_continue_is_the_upstreams_to_answer() {
    let origin = Origin::start(|visit| {
        loop {
            let mut request = visit.request_head();
            assert_eq!(request.field("expect"), Some("100-continue"));
            visit.send("HTTP/1.1 100 Continue\r\n\r\n");
            visit.body(&mut request);
            visit.send(ok(request.text()));
        }
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        conn.send(format!("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\n{framing}\r\n\r\n"));
        let head = conn.head();
        assert_eq!(head.status(), 100, "{}", head.head);
        conn.send(if framing.starts_with('C') { "hello" } else { "5\r\nhello\r\n0\r\n\r\n" });
        assert_eq!(conn.response().text(), "hello");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_upstream_that_declines_the_body_never_gets_it() {
    let origin = Origin::start(|visit| {
        visit.request_head();
        visit.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno");
        let (rest, _) = visit.rest();
        assert!(rest.is_empty(), "a body that was declined: {rest:?}");
    });
    let proxy = Proxy::start(origin.to_string(), "");
    for _ in 0..3 {
        let mut conn = proxy.connect();
        conn.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        let response = conn.response();
        assert_eq!((response.status(), response.text()), (417, "no"));
        // The body may be on its way already, so what follows on this connection could not be told from it.
        assert_eq!(response.field("connection"), Some("close"));
        conn.finish();
        conn.assert_closed();
    }
    origin.wait_open(0);
    assert_eq!(origin.connections(), 3);
}

#[test]
fn a_client_that_does_not_wait_for_100_is_served() {
    let origin = Origin::start(|visit| {
        loop {
            let mut request = visit.request_head();
            visit.send("HTTP/1.1 100 Continue\r\n\r\n");
            visit.body(&mut request);
            visit.send(ok(request.text()));
        }
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    conn.send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(conn.head().status(), 100);
    assert_eq!(conn.response().text(), "hello");
}

#[test]
fn interim_responses_pass_with_their_fields_and_not_to_http_1_0() {
    let origin = Origin::start(|visit| {
        loop {
            visit.request();
            visit.send(
                "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n",
            );
            visit.send("HTTP/1.1 102 Processing\r\n\r\n");
            visit.send(ok("done"));
        }
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    for _ in 0..3 {
        conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        let hints = conn.head();
        assert_eq!(
            (hints.first_line(), hints.field("link")),
            ("HTTP/1.1 103 Early Hints", Some("</style.css>"))
        );
        assert_eq!((hints.field("x-hop"), hints.field("connection")), (None, None));
        assert_eq!(conn.head().status(), 102);
        assert_eq!(conn.response().text(), "done");
    }
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(conn.response().text(), "done");
    conn.assert_closed();
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_interim_response_is_with_the_client_before_the_final_one_comes() {
    let gate = std::sync::Arc::new(crate::support::Gate::default());
    let shut = gate.clone();
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send("HTTP/1.1 103 Early Hints\r\n\r\n");
        shut.pass();
        visit.send(ok("done"));
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(conn.head().status(), 103);
    gate.open();
    assert_eq!(conn.response().text(), "done");
}

#[test]
fn endless_interim_responses_end_in_a_502() {
    let origin = Origin::start(|visit| {
        visit.request();
        while visit.try_send("HTTP/1.1 102 Processing\r\n\r\n").is_ok() {}
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut count = 0;
    let status = loop {
        match conn.head().status() {
            102 => count += 1,
            status => break status,
        }
    };
    assert_eq!(status, 502);
    assert!(count < 100, "{count} interim responses");
}
