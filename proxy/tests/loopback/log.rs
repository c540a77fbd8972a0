//! The access log.

use std::fs;

use rustix::process::Signal;

use crate::support::origin::{Visit, ok};
use crate::support::{Conn, Origin, Proxy, wait_for, wait_until};

/// Splits a line into what is the same in every run, the date, and the time it took.
#[track_caller]
fn parts(line: &str) -> (String, String, String) {
    let (client, rest) = line.split_once(" - - [").unwrap_or_else(|| panic!("{line:?}"));
    let (date, rest) = rest.split_once("] ").unwrap_or_else(|| panic!("{line:?}"));
    let (middle, seconds) = rest.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
    (format!("{client} {middle}"), date.to_owned(), seconds.to_owned())
}

#[test]
fn each_request_has_its_line_in_nginxs_combined_format_with_server_and_time() {
    let origin = Origin::start(|visit| {
        loop {
            match visit.request().target() {
                "/chunks" => {
                    visit.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
                }
                _ => visit.send(ok("hello")),
            }
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let mut proxy = Proxy::start(origin.to_string(), &format!("--access-log {}", path.display()));
    let mut conn = proxy.connect();
    conn.send(
        "GET /a?b=c HTTP/1.1\r\nHost: test\r\nReferer: http://x/\r\nUser-Agent: curl/8.5\r\n\r\n\
         GET /chunks HTTP/1.1\r\nHost: test\r\nUser-Agent: say \"\\\u{e4}\"\r\n\r\n",
    );
    conn.response();
    conn.response();
    conn.send("BAD\r\n\r\n");
    assert_eq!(conn.response().status(), 400);
    // It is there before long without anybody's doing.
    let text =
        wait_for("three lines", || fs::read_to_string(&path).ok().filter(|text| text.lines().count() == 3));
    let lines: Vec<_> = text.lines().map(parts).collect();
    assert_eq!(
        lines.iter().map(|(same, ..)| same.as_str()).collect::<Vec<_>>(),
        [
            format!("127.0.0.1 \"GET /a?b=c HTTP/1.1\" 200 5 \"http://x/\" \"curl/8.5\" {origin}"),
            format!(
                "127.0.0.1 \"GET /chunks HTTP/1.1\" 200 20 \"-\" \"say \\x22\\x5C\\xC3\\xA4\\x22\" {origin}"
            ),
            "127.0.0.1 \"BAD\" 400 155 \"-\" \"-\" -".to_owned(),
        ]
    );
    for (_, date, seconds) in &lines {
        // 24/Nov/2026:08:15:03 +0000
        let (day, time) = date.split_once(':').expect("a time");
        assert_eq!((day.len(), day.split('/').count(), time.len()), (11, 3, 14), "{date}");
        assert!(time.ends_with(" +0000"), "{date}");
        let (whole, fraction) = seconds.split_once('.').expect("a fraction");
        assert!(whole.parse::<u64>().is_ok() && fraction.len() == 3 && fraction.parse::<u64>().is_ok());
    }
    proxy.signal(Signal::TERM);
    assert!(proxy.wait_exit().success());
}

#[test]
fn a_client_that_left_is_a_499_and_a_missing_server_a_502() {
    let origin = Origin::start(|visit: &mut Visit| {
        visit.request();
        visit.rest();
    });
    let proxy = Proxy::start(origin.to_string(), "--access-log -");
    let mut conn = proxy.connect();
    conn.send("GET /left HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_requests(1);
    conn.reset();
    let line = parts(&proxy.wait_output("/left")).0;
    assert_eq!(line, format!("127.0.0.1 \"GET /left HTTP/1.1\" 499 0 \"-\" \"-\" {origin}"));
    let name = origin.to_string();
    origin.stop();
    assert_eq!(proxy.status("/gone"), 502);
    let line = parts(&proxy.wait_output("/gone")).0;
    assert!(line.starts_with("127.0.0.1 \"GET /gone HTTP/1.1\" 502 ") && line.ends_with(&name), "{line}");
}

#[test]
fn of_a_body_that_a_client_leaves_what_was_sent_counts() {
    let origin = Origin::start(|visit| {
        visit.request();
        let _ = visit
            .try_send("HTTP/1.1 103 X\r\nX-A: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n");
        let _ = visit.try_send(vec![b'a'; 50_000_000]);
    });
    let http = format!(
        "log_format own '$body_bytes_sent $bytes_sent';
         server {{ listen LISTEN; access_log FOLDER/access.log own; location / {{ proxy_pass http://{origin}; }} }}"
    );
    let proxy = Proxy::start_with("worker_processes 1;", &http, |_| {});
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let heads = conn.until(b"\r\n\r\n").len() + conn.until(b"\r\n\r\n").len();
    conn.exact(100_000);
    conn.reset();
    let line = wait_for("a line", || {
        fs::read_to_string(proxy.folder().join("access.log")).ok().filter(|text| text.ends_with('\n'))
    });
    let (body, all) = line.trim_end().split_once(' ').expect("two numbers");
    let (body, all): (usize, usize) = (body.parse().expect("a number"), all.parse().expect("a number"));
    assert_eq!(body, all - heads);
    assert!(body >= 100_000);
}

#[test]
fn the_client_is_who_a_trusted_proxy_says() {
    let origin = Origin::named("ok");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("listen");
    let flags =
        format!("--access-log /dev/stdout --trust-forwarded 127.0.0.1 --listen unix:{}", path.display());
    let proxy = Proxy::start(origin.to_string(), &flags);
    let request = |target: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 9.9.9.9, 2001:db8::7\r\n\r\n")
    };
    for (mut conn, target, client) in [
        (proxy.connect(), "/trusted", "2001:db8::7"),
        (Conn::from_to("127.0.0.2".parse().expect("an address"), proxy.address()), "/other", "127.0.0.2"),
        (Conn::to_unix(&path), "/unix", "unix:"),
    ] {
        conn.send(request(target));
        conn.response();
        let line = proxy.wait_output(target);
        assert!(line.starts_with(&format!("{client} - - [")), "{line}");
    }
}

#[test]
fn usr1_reopens_the_log_after_a_rename() {
    let origin = Origin::named("ok");
    let folder = tempfile::tempdir().expect("a folder");
    let (path, old) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    for workers in [1, 3] {
        let _ = fs::remove_file(&path);
        let flags = format!("--access-log {} --workers {workers}", path.display());
        let mut proxy = Proxy::start(origin.to_string(), &flags);
        let mut conns: Vec<Conn> = (0..6).map(|_| proxy.connect()).collect();
        for (n, conn) in conns.iter_mut().enumerate() {
            conn.get(&format!("/before/{n}"));
        }
        fs::rename(&path, &old).expect("renamed");
        proxy.signal(Signal::USR1);
        // Every worker has reopened it when all that came before is written.
        wait_until("the lines from before", || {
            let text = fs::read_to_string(&old).expect("the old file");
            path.exists() && text.lines().count() == 6
        });
        for _ in 0..2 {
            for (n, conn) in conns.iter_mut().enumerate() {
                conn.get(&format!("/after/{n}"));
            }
        }
        proxy.signal(Signal::QUIT);
        assert!(proxy.wait_exit().success());
        let (before, after) =
            (fs::read_to_string(&old).expect("text"), fs::read_to_string(&path).expect("text"));
        let count = |text: &str, part: &str| text.lines().filter(|line| line.contains(part)).count();
        assert_eq!((count(&before, "/before/"), count(&after, "/before/")), (6, 0));
        assert_eq!(count(&before, "/after/") + count(&after, "/after/"), 12);
        assert!(count(&after, "/after/") >= 6);
    }
}

#[test]
fn off_writes_nothing() {
    let origin = Origin::named("ok");
    let mut proxy = Proxy::start(origin.to_string(), "");
    assert_eq!(proxy.get("/"), "ok");
    proxy.signal(Signal::QUIT);
    assert!(proxy.wait_exit().success());
    assert_eq!(fs::read_dir(proxy.folder()).expect("a folder").count(), 0);
}
