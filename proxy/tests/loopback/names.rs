//! Servers given by name.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::support::origin::{answer, ok};
use crate::support::{Origin, Proxy, free_address, process};

/// An origin on 127.0.0.1, where `localhost` is.
fn local(body: &str) -> (Origin, u16) {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    let port = port.expect("a free port").port();
    (Origin::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), answer(ok(body))), port)
}

#[test]
fn a_name_is_resolved_and_called_by_its_name() {
    let (origin, port) = local("here");
    let proxy = Proxy::start(format!("localhost:{port}"), "--access-log -");
    for _ in 0..10 {
        assert_eq!(proxy.get("/"), "here");
    }
    assert!(proxy.wait_output("GET /").contains(&format!(" localhost:{port} ")));
    assert_eq!(origin.connections(), 1);
    // HTTP/1.0 without a Host is for the name.
    let mut conn = proxy.connect();
    conn.send("GET /old HTTP/1.0\r\n\r\n");
    conn.response();
    let request = origin.requests().pop().expect("a request");
    assert_eq!(request.field("host"), Some(format!("localhost:{port}").as_str()));
}

#[test]
fn a_name_that_does_not_resolve_is_logged_and_others_serve() {
    let origin = Origin::named("here");
    let proxy = Proxy::start(format!("nope.invalid:80,{origin}"), "--resolve-interval 100ms");
    let line = proxy.wait_log("nope.invalid:80 does not resolve");
    assert!(line.starts_with("warn  ") && line.ends_with("; it is tried again"), "{line}");
    for _ in 0..10 {
        assert_eq!(proxy.get("/"), "here");
    }
    let lines = proxy.log().iter().filter(|line| line.contains("does not resolve")).count();
    assert_eq!(lines, 1, "it is said once, however often it is tried");
}

#[test]
fn without_any_address_the_answer_is_a_quick_502_that_the_log_explains() {
    let proxy = Proxy::start("nope.invalid:80", "");
    assert_eq!(proxy.status("/"), 502);
    assert_eq!(proxy.wait_log("no live server"), "error no live server: nope.invalid:80 not resolved");
}

#[test]
fn strict_names_makes_it_fatal() {
    let address = free_address().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("listen");
    let pid_file = folder.path().join("pid");
    let (status, text) = process::run(&[
        "--upstream",
        "nope.invalid:80,127.0.0.1:1,nor.invalid:81",
        "--strict-names",
        "--listen",
        &address,
        "--listen",
        &format!("unix:{}", socket.display()),
        "--pid-file",
        pid_file.to_str().expect("text"),
    ]);
    assert_eq!(status, Some(1));
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("proxy: no address for nope.invalid:80 ("), "{text}");
    assert!(text.contains("), nor.invalid:81 ("), "{text}");
    assert!(text.ends_with("leave out --strict-names to have it tried again\n"), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    let (origin, port) = local("here");
    let proxy = Proxy::start(format!("localhost:{port}"), "--strict-names");
    assert_eq!(proxy.get("/"), "here");
    drop(origin);
}

/// A failed connection to a name has it looked up at once; until then and after, its health goes by name.
#[test]
fn the_health_of_a_name_is_logged_under_its_name() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    let port = port.expect("a free port").port();
    let other = Origin::named("other");
    let proxy = Proxy::start(format!("localhost:{port} fail_timeout=1h,{other}"), "");
    for _ in 0..4 {
        assert_eq!(proxy.get("/"), "other");
    }
    let line = proxy.wait_log("is down");
    assert!(line.starts_with(&format!("warn  localhost:{port}")), "{line}");
    assert!(
        line.ends_with(" is down: 1 failure within 3600s (connection refused); next try in 3600s"),
        "{line}"
    );
}
