//! What the error log says of tries that failed at their server.

use crate::support::origin::ok;
use crate::support::{Origin, Proxy, free_address, wait_until};

/// What goes wrong at `origin` follows from the target.
fn faulty() -> Origin {
    Origin::start(|visit| {
        loop {
            match visit.request().target() {
                "/closed" => return,
                "/late" => drop(visit.rest()),
                "/invalid" => visit.send("HTTP/1.1 200 OK\r\nno field\r\n\r\n"),
                "/large" => visit.send(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(5000))),
                "/cut" => {
                    visit.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
                    return;
                }
                "/500" => visit.send("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"),
                other => visit.send(ok(other)),
            }
        }
    })
}

/// Asks for it over a connection of its own, whatever comes.
fn ask(proxy: &Proxy, target: &str) {
    let mut conn = proxy.connect();
    conn.send(format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    conn.rest();
}

#[test]
fn by_nginx_conf_each_failed_try_is_a_line_in_nginxs_words() {
    let (origin, gone) = (faulty(), free_address());
    let http = format!(
        "upstream app {{ server {origin}; }}
         log_format host $http_host;
         server {{
             listen LISTEN; server_name name; proxy_read_timeout 200ms; proxy_buffer_size 1k;
             location / {{ proxy_pass http://app; }}
             location /gone {{ proxy_pass http://{gone}; }}
             location /known {{ access_log FOLDER/a.log; access_log FOLDER/b.log host; proxy_pass http://{gone}; }}
         }}"
    );
    let proxy = Proxy::start_with("", &http, |_| {});
    let tail = |address: &str| format!(", client: 127.0.0.1, server: name, upstream: \"http://{address}\"");
    let (at_origin, at_gone) = (tail(&origin.to_string()), tail(&gone.to_string()));
    for (target, what, tail) in [
        ("/gone", "connect() failed (111: Connection refused) while connecting to upstream", &at_gone),
        (
            "/closed",
            "upstream prematurely closed connection while reading response header from upstream",
            &at_origin,
        ),
        (
            "/late",
            "upstream timed out (110: Connection timed out) while reading response header from upstream",
            &at_origin,
        ),
        (
            "/invalid",
            "upstream sent invalid header: the response's head is malformed while reading response header from upstream",
            &at_origin,
        ),
        ("/large", "upstream sent too big header while reading response header from upstream", &at_origin),
        ("/cut", "upstream prematurely closed connection while reading upstream", &at_origin),
    ] {
        for count in 1..=2 {
            ask(&proxy, target);
            let line = format!("error {what}{tail}");
            assert_eq!(proxy.wait_log(what), line);
            wait_until("each has its line", || {
                proxy.log().iter().filter(|one| **one == line).count() == count
            });
        }
    }
    ask(&proxy, "/known");
    assert_eq!(
        proxy.wait_log("request: "),
        format!(
            "error connect() failed (111: Connection refused) while connecting to upstream, client: 127.0.0.1, \
             server: name, request: \"GET /known HTTP/1.1\", upstream: \"http://{gone}\", host: \"h\""
        )
    );
}

#[test]
fn what_is_no_failure_of_a_connection_has_no_line() {
    let origin = faulty();
    let http = format!(
        "upstream app {{ server {origin}; keepalive 4; }}
         server {{
             listen LISTEN; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_next_upstream http_500;
             location / {{ proxy_pass http://app; }}
         }}"
    );
    let proxy = Proxy::start_with("", &http, |_| {});
    assert_eq!(proxy.status("/500"), 500);
    // The client leaves.
    let mut conn = proxy.connect();
    conn.send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
    origin.wait_requests(2);
    conn.reset();
    origin.wait_open(0);
    assert_eq!(proxy.get("/ok"), "/ok");
    assert_eq!(proxy.log().iter().filter(|line| line.starts_with("error")).count(), 0);
}

#[test]
fn only_a_pooled_connection_whose_request_is_not_sent_again_leaves_a_line() {
    // Each connection answers once, and is closed with its next request.
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send(ok("once"));
        visit.request();
    });
    let http = format!(
        "upstream app {{ server {origin} max_fails=0; keepalive 4; }}
         server {{
             listen LISTEN; proxy_http_version 1.1; proxy_set_header Connection \"\";
             location / {{ proxy_pass http://app; }}
         }}"
    );
    let proxy = Proxy::start_with("worker_processes 1;", &http, |_| {});
    let errors = || proxy.log().into_iter().filter(|line| line.starts_with("error")).collect::<Vec<_>>();
    for _ in 0..3 {
        assert_eq!(proxy.get("/"), "once");
    }
    assert!(errors().is_empty(), "{:?}", errors());
    let response = proxy.connect().post("/", "x");
    assert_eq!(response.status(), 502);
    proxy.wait_log("upstream prematurely closed connection while reading response header from upstream");
    assert_eq!(errors().len(), 1, "{:?}", errors());
}

#[test]
fn by_flags_only_what_changes_for_a_server_is_logged() {
    let origin = faulty();
    let flags = "--read-timeout 200ms --max-fails 0";
    let proxy = Proxy::start(origin.to_string(), flags);
    let gone = Proxy::start(free_address().to_string(), "--max-fails 0");
    for target in ["/closed", "/late", "/invalid", "/cut", "/500"] {
        ask(&proxy, target);
    }
    ask(&gone, "/gone");
    assert_eq!(proxy.get("/ok"), "/ok");
    assert_eq!(gone.status("/"), 502);
    for proxy in [&proxy, &gone] {
        let log = proxy.log();
        assert!(log.iter().all(|line| !line.contains("upstream") && !line.starts_with("error")), "{log:?}");
    }
}
