//! Bodies in both directions: framed, streamed, cut short.

use std::sync::Arc;
use std::time::Duration;

use crate::support::origin::ok;
use crate::support::{Conn, Gate, Message, Origin, Proxy, pattern};

/// Larger than every buffer on the way, and no multiple of any.
const LARGE: usize = 9_000_001;

/// Sends `body` in chunks of growing and shrinking sizes, with extensions and padded sizes among them.
fn send_chunked(conn: &mut Conn, body: &[u8], trailers: &str) {
    let mut rest = body;
    let mut size = 1;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        let line = match size % 3 {
            0 => format!("{:X};name=\"value\"\r\n", chunk.len()),
            1 => format!("{:x}\r\n", chunk.len()),
            _ => format!("00{:x}\r\n", chunk.len()),
        };
        conn.send([line.as_bytes(), chunk, b"\r\n"].concat());
        rest = after;
        size = size * 5 % 100_003 + 1;
    }
    conn.send(format!("0\r\n{trailers}\r\n"));
}

#[test]
fn request_bodies_of_every_size_arrive_whole_in_both_framings() {
    let origin = Origin::start(|visit| {
        loop {
            visit.request();
            visit.send(ok("taken"));
        }
    });
    let proxy = Proxy::start(origin.to_string(), "--max-body-size 0");
    let mut conn = proxy.connect();
    for length in [0, 1, 100, 16_383, 16_384, 18_432, 18_433, 65_536, 65_537, 300_000, LARGE] {
        let body = pattern(length);
        conn.send(format!("PUT /length HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"));
        conn.send(&body);
        assert_eq!(conn.response().text(), "taken");
        conn.send("POST /chunks HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        send_chunked(&mut conn, &body, "");
        assert_eq!(conn.response().text(), "taken");

        let requests = origin.requests();
        let [.., by_length, by_chunks] = &requests[..] else { panic!("two requests") };
        assert!(by_length.body == body && by_chunks.body == body, "{length} bytes came otherwise");
        assert_eq!(by_length.content_length(), Some(length));
        assert!(by_chunks.is_chunked() && by_chunks.trailers.is_empty());
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn response_bodies_of_every_size_arrive_whole_in_every_framing() {
    let origin = Origin::start(|visit| {
        loop {
            let request = visit.request();
            let (framing, length) = request.target()[1..].split_once('/').expect("two parts");
            let body = pattern(length.parse().expect("a length"));
            match framing {
                "length" => {
                    visit.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
                    visit.send(&body);
                }
                "chunks" => {
                    visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                    send_chunked(visit, &body, "");
                }
                _ => {
                    visit.send("HTTP/1.1 200 OK\r\nServer: old\r\n\r\n");
                    visit.send(&body);
                    return;
                }
            }
        }
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    for length in [0, 1, 4_096, 4_097, 16_384, 18_432, 65_537, LARGE] {
        for framing in ["length", "chunks", "close"] {
            let response = conn.get(&format!("/{framing}/{length}"));
            assert!(response.body == pattern(length), "{length} bytes by {framing} came otherwise");
            assert_eq!(response.is_chunked(), framing != "length", "{}", response.head);
        }
    }
}

#[test]
fn http_1_0_clients_get_no_chunks() {
    let origin = Origin::start(|visit| {
        loop {
            let target = visit.request().target().to_owned();
            match target.as_str() {
                "/chunks" => {
                    visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n");
                    send_chunked(visit, &pattern(300_000), "T: v\r\n");
                }
                _ => {
                    visit.send("HTTP/1.1 200 OK\r\n\r\n");
                    visit.send(pattern(300_000));
                    return;
                }
            }
        }
    });
    let proxy = Proxy::start(origin.to_string(), "");
    for target in ["/chunks", "/close"] {
        let mut conn = proxy.connect();
        conn.send(format!("GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        let head = conn.head();
        assert_eq!((head.field("transfer-encoding"), head.field("connection")), (None, Some("close")));
        let (body, error) = conn.rest();
        assert!(body == pattern(300_000) && error.is_none(), "{target}");
    }
}

#[test]
fn a_request_passes_while_it_is_still_coming() {
    let origin = Origin::start(|visit| {
        loop {
            let head = visit.request_head();
            if head.is_chunked() {
                for n in 0..20 {
                    let chunk = format!("1\r\n{}\r\n", n % 10);
                    assert_eq!(visit.exact(chunk.len()), chunk.as_bytes());
                    visit.send("HTTP/1.1 103 Next\r\n\r\n");
                }
                visit.exact("0\r\n\r\n".len());
            } else {
                for n in 0..20_u8 {
                    assert_eq!(visit.exact(1), [b'a' + n]);
                    visit.send("HTTP/1.1 103 Next\r\n\r\n");
                }
            }
            visit.send(ok("done"));
        }
    });
    let proxy = Proxy::start(origin.to_string(), "");
    // Each byte of the request is seen by the origin before the next is sent.
    for (framing, chunked) in [("Transfer-Encoding: chunked", true), ("Content-Length: 20", false)] {
        let mut conn = proxy.connect();
        conn.send(format!("POST / HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n"));
        for n in 0..20_u8 {
            if chunked {
                conn.send(format!("1\r\n{}\r\n", n % 10));
            } else {
                conn.send([b'a' + n]);
            }
            assert_eq!(conn.head().status(), 103);
        }
        if chunked {
            conn.send("0\r\n\r\n");
        }
        assert_eq!(conn.response().text(), "done");
    }
}

#[test]
fn a_response_passes_while_it_is_still_coming() {
    let (seen, go) = std::sync::mpsc::channel::<()>();
    let go = std::sync::Mutex::new(go);
    let origin = Origin::start(move |visit| {
        let go = go.lock().expect("one script at a time");
        for length in [true, false] {
            visit.request();
            if length {
                visit.send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
            } else {
                visit.send("HTTP/1.1 200 OK\r\n\r\n");
            }
            for n in 0..20_u8 {
                visit.send([b'a' + n]);
                go.recv().expect("the client has it");
            }
        }
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(conn.head().content_length(), Some(20));
    for n in 0..20_u8 {
        assert_eq!(conn.exact(1), [b'a' + n]);
        seen.send(()).expect("the origin waits");
    }
    conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(conn.head().is_chunked());
    let mut data = Vec::new();
    while data.len() < 20 {
        let line = conn.until(b"\r\n");
        if line != b"\r\n" {
            assert_eq!(line, b"1\r\n");
            data.extend(conn.exact(1));
            seen.send(()).expect("the origin waits");
        }
    }
    assert_eq!(data, (b'a'..b'a' + 20).collect::<Vec<_>>());
    assert_eq!(conn.exact(7), b"\r\n0\r\n\r\n");
}

#[test]
fn trailers_pass_in_both_directions_without_those_of_the_connection() {
    let origin = Origin::start(|visit| {
        loop {
            visit.request();
            visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: X-Hop\r\n\r\n");
            visit.send("2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Hop: 2\r\nContent-Length: 3\r\nX-End:4\r\n\r\n");
        }
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    for _ in 0..3 {
        conn.send(
            "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nConnection: X-Mine\r\n\r\n",
        );
        conn.send(
            "2\r\nhi\r\n0\r\nX-A: 1\r\nX-Mine: 2\r\nHost: evil\r\nTransfer-Encoding: x\r\nX-B: 3\r\n\r\n",
        );
        let response = conn.response();
        assert_eq!((response.text(), response.trailers.as_str()), ("ok", "X-Sum: 1\r\nX-End: 4\r\n"));
    }
    for request in origin.requests() {
        assert_eq!((request.text(), request.trailers.as_str()), ("hi", "X-A: 1\r\nX-B: 3\r\n"));
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn head_204_and_304_have_no_body_whatever_they_say() {
    let origin = Origin::start(|visit| {
        loop {
            let request = visit.request();
            match request.target() {
                "/204" => visit.send("HTTP/1.1 204 No Content\r\n\r\n"),
                "/304" => visit.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n"),
                "/length" => visit.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
                "/chunks" => visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                _ => visit.send("HTTP/1.1 200 OK\r\n\r\n"),
            }
        }
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    for _ in 0..3 {
        assert_eq!(conn.get("/204").field("content-length"), None);
        assert_eq!(conn.get("/304").field("content-length"), Some("100"));
        for (target, length) in [("/length", Some("100")), ("/chunks", None), ("/plain", None)] {
            conn.send(format!("HEAD {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
            let head = conn.head();
            assert_eq!((head.status(), head.field("content-length")), (200, length), "{target}");
            assert_eq!(head.field("connection"), Some("keep-alive"), "{target}");
        }
    }
    assert_eq!(origin.connections(), 1, "an empty response leaves a connection as good as before");
}

/// A proxy in front of an origin that answers with `response` and closes.
fn cut_off(response: &'static str) -> (Origin, Proxy) {
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send(response);
    });
    let proxy = Proxy::start(origin.to_string(), "");
    (origin, proxy)
}

#[test]
fn a_truncated_response_never_passes_for_a_whole_one() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nT: v\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf and more\r\n0\r\n\r\n",
    ] {
        for version in ["1.1", "1.0"] {
            let (_origin, proxy) = cut_off(response);
            let mut conn = proxy.connect();
            conn.send(format!("GET / HTTP/{version}\r\nHost: test\r\nConnection: close\r\n\r\n"));
            let (bytes, error) = conn.rest();
            let text = String::from_utf8_lossy(&bytes);
            // Where the fault is seen before anything has gone out, the client can be told.
            if text.starts_with("HTTP/1.1 502 ") {
                assert!(text.ends_with("</html>\n") && !text.contains("half") && error.is_none(), "{text:?}");
                continue;
            }
            let ended = error.is_some();
            let announced = text.contains("Content-Length: 100");
            let open_chunks = text.contains("chunked") && !text.ends_with("0\r\n\r\n");
            // In HTTP/1.0 only the reset tells that a body ends before its end.
            assert!(ended || announced || open_chunks, "{response:?} to {version}: {text:?}, {error:?}");
            if !announced && version == "1.0" {
                assert!(ended, "{response:?} to {version}: {text:?}");
            }
        }
    }
}

/// A reset would take with it what the client has not read yet.
#[test]
fn what_came_of_a_truncated_response_reaches_a_client_that_takes_its_time() {
    const CAME: usize = 1_000_000;
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", CAME + 100));
        visit.send("x".repeat(CAME));
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    conn.head();
    std::thread::sleep(Duration::from_millis(100));
    let (bytes, error) = conn.rest();
    assert_eq!((bytes.len(), error), (CAME, None));
}

#[test]
fn bytes_behind_a_response_reach_nobody_and_spoil_the_connection() {
    for behind in ["x", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"] {
        for head in ["Content-Length: 2\r\n\r\nok", "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"]
        {
            let origin = Origin::start(move |visit| {
                visit.request();
                visit.send(format!("HTTP/1.1 200 OK\r\n{head}{behind}"));
                visit.rest();
            });
            let proxy = Proxy::start(origin.to_string(), "");
            let mut conn = proxy.connect();
            for _ in 0..5 {
                assert_eq!(conn.get("/").text(), "ok");
            }
            assert!(conn.is_silent());
            assert_eq!(origin.connections(), 5);
        }
    }
}

#[test]
fn a_request_cut_off_by_its_client_never_passes_for_a_whole_one() {
    for (framing, part) in
        [("Content-Length: 10", "half"), ("Transfer-Encoding: chunked", "4\r\nhalf\r\n0\r\n")]
    {
        for reset in [false, true] {
            let origin = Origin::start(move |visit| {
                let head = visit.request_head();
                if head.target() == "/" {
                    visit.send(ok("fine"));
                    return;
                }
                let (rest, _) = visit.rest();
                assert!(part.as_bytes().starts_with(&rest), "{rest:?}");
            });
            let proxy = Proxy::start(origin.to_string(), "");
            let mut conn = proxy.connect();
            conn.send(format!("POST /cut HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n{part}"));
            origin.wait_requests(1);
            if reset {
                conn.reset();
            } else {
                conn.finish();
                assert_eq!(conn.response().status(), 400);
            }
            origin.wait_open(0);
            assert_eq!(proxy.get("/"), "fine");
            assert_eq!(origin.count(), 2, "nothing was sent twice");
        }
    }
}

#[test]
fn an_early_answer_to_an_unfinished_request_arrives_and_ends_both_connections() {
    let gate = Arc::new(Gate::default());
    let shut = gate.clone();
    let origin = Origin::start(move |visit| {
        if visit.request_head().target() == "/" {
            visit.send(ok("fine"));
            return;
        }
        visit.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        shut.open();
        visit.rest();
    });
    let proxy = Proxy::start(origin.to_string(), "--max-body-size 0");
    let mut conn = proxy.connect();
    conn.send("POST /big HTTP/1.1\r\nHost: test\r\nContent-Length: 100000000\r\n\r\nstart");
    gate.pass();
    let response = conn.response();
    assert_eq!((response.status(), response.text()), (403, "no"));
    assert_eq!(response.field("connection"), Some("close"));
    origin.wait_open(0);
    conn.finish();
    conn.assert_closed();
    assert_eq!(proxy.get("/"), "fine");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_client_that_sends_on_gets_the_early_answer_all_the_same() {
    let origin = Origin::start(|visit| {
        visit.request_head();
        visit.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
        visit.rest();
    });
    let proxy = Proxy::start(origin.to_string(), "--max-body-size 0");
    for _ in 0..10 {
        let mut conn = proxy.connect();
        conn.send("POST /big HTTP/1.1\r\nHost: test\r\nContent-Length: 20000000\r\n\r\n");
        // All of it, as simple clients do, before they look for an answer.
        conn.send(pattern(20_000_000));
        let response: Message = conn.response();
        assert_eq!((response.status(), response.text()), (413, "no"));
    }
}
