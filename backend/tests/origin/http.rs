//! Heads, connections and their order.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use crate::client::{Client, server};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    let mut client = Client::connect(&server, "app1");
    let mut pipeline = String::new();
    for index in 0..300 {
        pipeline += &format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n{index:04}");
        pipeline += "GET /chunked/500 HTTP/1.1\r\nHost: a\r\n\r\n";
        pipeline += "HEAD /bytes/700 HTTP/1.1\r\nHost: a\r\n\r\n";
        pipeline += if index == 100 {
            "GET /delay/20 HTTP/1.1\r\nHost: a\r\n\r\n"
        } else {
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        };
    }
    client.send(pipeline);
    let mut hits = 0;
    for index in 0..300 {
        let echo = client.response();
        assert!(echo.text().ends_with(&format!("\r\n\r\n{index:04}")), "{}", echo.text());
        assert_eq!(client.response().body.len(), 500);
        assert_eq!(client.head().field("Content-Length"), Some("700"));
        let last = client.response();
        if index == 100 {
            assert_eq!(last.text(), "after 20 ms\n");
        } else {
            hits += 1;
            assert_eq!(last.hit(), hits);
        }
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    let text = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let mut client = Client::connect(&server, "app1");
    for cut in 0..text.len() {
        client.send(&text[..cut]);
        client.send(&text[cut..]);
        assert!(client.response().text().ends_with("\r\n\r\nabc"), "cut at {cut}");
    }
    for byte in text {
        client.send([*byte]);
    }
    assert!(client.response().text().ends_with("\r\n\r\nabc"));
}

#[test]
fn head_is_get_without_the_body() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    let mut client = Client::connect(&server, "app1");
    for target in
        ["/bytes/100000", "/chunked/100000", "/delay/1", "/status/404", "/status/204", "/healthz", "/nowhere"]
    {
        client.send(format!("HEAD {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let head = client.head();
        let whole = client.fetch(target);
        let without_date = |fields: &[(String, String)]| -> Vec<_> {
            fields.iter().filter(|(name, _)| name != "Date").cloned().collect()
        };
        assert_eq!(head.status, whole.status, "{target}");
        assert_eq!(without_date(&head.fields), without_date(&whole.fields), "{target}");
    }
    client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.head().field("Content-Length"), Some("25"));
    assert_eq!(client.fetch("/").hit(), 2);
}

#[test]
fn statuses_have_the_framing_they_may_have() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    let mut client = Client::connect(&server, "app1");
    for (code, length) in
        [(204, None), (304, None), (205, Some("0")), (200, Some("7")), (418, Some("17")), (599, Some("12"))]
    {
        let response = client.fetch(&format!("/status/{code}"));
        assert_eq!((response.status, response.field("Content-Length")), (code, length));
        assert_eq!(response.field("X-Backend"), Some("app1"));
    }
}

#[test]
fn what_is_refused_by_page_keeps_the_connection() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    let mut client = Client::connect(&server, "app1");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    let response = client.response();
    assert_eq!((response.status, response.field("Allow")), (405, Some("GET, HEAD")));
    assert_eq!(client.fetch("/nowhere").status, 404);
    assert_eq!(client.fetch("/bytes/1073741825").status, 400);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(client.response().hit(), 1);
    assert_eq!(client.fetch("/healthz").text(), "ok\n");
}

#[test]
fn what_is_malformed_ends_the_connection() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    for (text, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello", 400),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 16777217\r\n\r\n", 413),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    ] {
        let mut client = Client::connect(&server, "app1");
        // What follows must neither be answered nor make the answer get lost.
        client.send(format!("{text}GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.status, status, "{text}");
        assert_eq!(response.field("Connection"), Some("close"), "{text}");
        client.expect_end();
    }
    assert_eq!(server.hits(), Some(0));
}

#[test]
fn connections_end_and_stay_as_asked() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    for (request, stays, says) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, None),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false, Some("close")),
        ("GET / HTTP/1.0\r\n\r\n", false, Some("close")),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, Some("keep-alive")),
    ] {
        let mut client = Client::connect(&server, "app1");
        client.send(request);
        assert_eq!(client.response().field("Connection"), says, "{request}");
        if stays {
            client.send(request);
            assert_eq!(client.response().status, 200);
        } else {
            client.expect_end();
        }
    }
}

#[test]
fn an_old_client_gets_no_chunks() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    let mut client = Client::connect(&server, "app1");
    client.send("GET /chunked/100000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let response = client.response();
    assert_eq!((response.field("Transfer-Encoding"), response.field("Connection")), (None, Some("close")));
    assert_eq!(response.body.len(), 100_000);
}

#[test]
fn a_half_closed_client_gets_its_answers() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    let mut client = Client::connect(&server, "app1");
    client.send(
        "GET /delay/20 HTTP/1.1\r\nHost: a\r\n\r\nGET /bytes/3000000 HTTP/1.1\r\nHost: a\r\n\r\nGET / HT",
    );
    client.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.response().text(), "after 20 ms\n");
    assert_eq!(client.response().body.len(), 3_000_000);
    client.expect_end();
}

#[test]
fn expect_is_answered_before_the_body() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    let mut client = Client::connect(&server, "app1");
    for (field, body) in
        [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")]
    {
        client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n{field}\r\n\r\n"));
        let interim = client.response();
        assert_eq!((interim.status, interim.fields.len()), (100, 0));
        client.send(body);
        assert!(client.response().text().ends_with("\r\n\r\nhello"));
    }
    // Too large: refused in place of the 100.
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
    assert_eq!(client.response().status, 413);
}

#[test]
fn delays_overlap() {
    let server = server(&["app1=127.0.0.1:0,delay=300ms", "app2=127.0.0.1:0"], |_| {});
    let start = std::time::Instant::now();
    let mut slow: Vec<Client> = (0..40).map(|_| Client::connect(&server, "app1")).collect();
    for client in &mut slow {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    // Nothing that waits holds up another name on the same thread, and no hit is taken while it waits.
    assert_eq!(Client::connect(&server, "app2").fetch("/").hit(), 1);
    for client in &mut slow {
        assert_eq!(client.response().status, 200);
    }
    // One after the other it would be 12 s.
    let elapsed = start.elapsed().as_millis();
    assert!((300..12_000).contains(&elapsed), "{elapsed} ms");
}

#[test]
fn unix_sockets_are_served_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app1.sock");
    // Left behind by a process that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let address = format!("app1=unix:{}", path.display());
    let server = server(&[&address], |options| options.workers = 2);
    for number in 1..=4 {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.ends_with(&format!("Hello from app1! Hits: {number}\n")), "{text}");
    }
    let second = backend::Options::new(vec![address.parse().unwrap()]);
    assert!(matches!(backend::Server::start(second), Err(backend::StartError::Bind { .. })));
    server.stop();
    assert!(!path.exists());
}
