//! What changes in heads on their way.

use crate::support::origin::ok;
use crate::support::{Conn, Origin, Proxy};

#[test]
fn a_request_as_the_upstream_sees_it() {
    let origin = Origin::named("ok");
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    conn.send(
        "GET /a?b HTTP/1.1\r\nhost: Example.com:81\r\nUser-Agent: test\r\nConnection: close, X-Mine\r\n\
         X-Mine: 1\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\nTE: trailers, gzip\r\nUpgrade: x\r\n\
         Transfer_Encoding: chunked\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Real-IP: 9.9.9.9\r\n\
         X-Forwarded-For: 1.1.1.1\r\nX-Other:  two  words \r\nVia: 1.1 first\r\nExpect: 100-continue\r\n\r\n",
    );
    conn.response();
    assert_eq!(
        origin.requests()[0].head,
        "GET /a?b HTTP/1.1\r\nhost: Example.com:81\r\nUser-Agent: test\r\nX-Other: two  words\r\nVia: 1.1 first\r\n\
         Expect: 100-continue\r\nTE: trailers\r\nConnection: TE\r\nX-Forwarded-For: 1.1.1.1, 127.0.0.1\r\n\
         X-Forwarded-Proto: http\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-Host: Example.com:81\r\nVia: 1.1 proxy\r\n\r\n"
    );
}

#[test]
fn a_response_as_the_client_sees_it() {
    let origin = Origin::answering(
        "HTTP/1.1 200 Fine\r\nServer: app\r\nConnection: X-Mine, keep-alive\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nDate: then\r\n\
         Via: 1.1 app\r\nContent-Length: 2\r\n\r\nok",
    );
    let proxy = Proxy::start(origin.to_string(), "");
    let response = proxy.connect().get("/");
    assert_eq!(
        response.head,
        "HTTP/1.1 200 Fine\r\nServer: app\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nDate: then\r\nVia: 1.1 app\r\n\
         Content-Length: 2\r\nVia: 1.1 proxy\r\nConnection: keep-alive\r\n\r\n"
    );
}

#[test]
fn a_response_without_a_date_gets_one() {
    let origin = Origin::named("ok");
    let proxy = Proxy::start(origin.to_string(), "");
    let response = proxy.connect().get("/");
    let date = response.field("date").expect("a date");
    assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
}

#[test]
fn framing_stays_though_connection_names_it() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nConnection: Content-Length, Transfer-Encoding\r\nContent-Length: 2\r\n\r\nok",
    );
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    conn.send(
        "POST / HTTP/1.1\r\nHost: test\r\nConnection: content-length, host\r\nContent-Length: 2\r\n\r\nhi",
    );
    assert_eq!(conn.response().text(), "ok");
    let request = &origin.requests()[0];
    assert_eq!((request.text(), request.field("host")), ("hi", Some("test")));
}

#[test]
fn only_trusted_clients_speak_for_others() {
    let origin = Origin::named("ok");
    let proxy = Proxy::start(origin.to_string(), "--trust-forwarded 127.0.0.0/24,10.0.0.0/8");
    let request = "GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 1.1.1.1, 10.0.0.5\r\n\
        X-Forwarded-Proto: https\r\nX-Forwarded-Host: public\r\nX-Real-IP: 2.2.2.2\r\n\r\n";
    for (source, trusted) in [("127.0.0.9", true), ("127.0.1.9", false)] {
        let mut conn = Conn::from_to(source.parse().expect("an address"), proxy.address());
        conn.send(request);
        conn.response();
        let seen = origin.requests().pop().expect("a request");
        assert_eq!(seen.field("x-forwarded-for"), Some(format!("1.1.1.1, 10.0.0.5, {source}").as_str()));
        let (proto, host, ip) =
            if trusted { ("https", "public", "2.2.2.2") } else { ("http", "test", source) };
        assert_eq!(seen.field("x-forwarded-proto"), Some(proto), "{source}");
        assert_eq!(seen.field("x-forwarded-host"), Some(host), "{source}");
        assert_eq!(seen.field("x-real-ip"), Some(ip), "{source}");
    }
}

#[test]
fn a_client_on_a_unix_socket_or_ipv6_is_named() {
    let origin = Origin::named("ok");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("listen");
    let v6 = std::net::TcpListener::bind("[::1]:0").and_then(|l| l.local_addr()).expect("IPv6 loopback");
    let proxy = Proxy::start(origin.to_string(), &format!("--listen unix:{} --listen {v6}", path.display()));
    Conn::to_unix(&path).get("/");
    Conn::to(v6).get("/");
    let requests = origin.requests();
    assert_eq!(requests[0].field("x-forwarded-for"), Some("unix:"));
    assert_eq!(requests[1].field("x-forwarded-for"), Some("::1"));
    assert_eq!(requests[1].field("x-real-ip"), Some("::1"));
    assert!(proxy.log().iter().all(|line| !line.starts_with("error")));
}

#[test]
fn requests_with_a_body_are_framed_anew() {
    let origin = Origin::start(|visit| {
        loop {
            visit.request();
            visit.send(ok(""));
        }
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    for (sent, seen) in [
        ("POST / HTTP/1.1\r\nHost: test\r\n\r\n", Some("0")),
        ("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0002\r\n\r\nok", Some("2")),
        ("GET / HTTP/1.1\r\nHost: test\r\n\r\n", None),
        ("GET / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n", Some("0")),
        ("DELETE / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", None),
    ] {
        conn.send(sent);
        conn.response();
        let request = origin.requests().pop().expect("a request");
        assert_eq!(request.field("content-length"), seen, "{sent:?}");
        assert_eq!(request.is_chunked(), sent.contains("CHUNKED"), "{sent:?}");
    }
}
