//! Static files (`root`, `alias`, `index`): what goes out, in what pieces it may be taken, and what becomes of files that
//! change meanwhile.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::support::origin::ok;
use super::support::{Conn, Message, Origin, Proxy, free_address, settled};

/// When the files were changed.
const DATE: &str = "Thu, 02 Jan 2020 03:04:05 GMT";
const SECONDS: u64 = 1_577_934_245;

/// Longer than any buffer, and than what the kernel takes at once.
const LONG: usize = 12 << 20;

fn fill(folder: &Path) {
    for part in ["www/d", "www/none", "data"] {
        fs::create_dir_all(folder.join(part)).expect("a folder");
    }
    for (name, text) in [
        ("www/a.html", "<p>a</p>"),
        ("www/digits", "0123456789"),
        ("www/d/second.html", "second"),
        ("www/50x.html", "we are sorry"),
        ("data/pic.png", "pic"),
        ("data-secret", "secret"),
    ] {
        write(&folder.join(name), text.as_bytes());
    }
    write(&folder.join("www/long"), &long());
    symlink("digits", folder.join("www/link")).expect("a link");
    symlink("loop", folder.join("www/loop")).expect("a link");
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.join("www/pipe"), rustix::fs::Mode::RWXU).expect("a pipe");
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("written");
    let file = File::options().write(true).open(path).expect("a file");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(SECONDS)).expect("a time");
}

fn long() -> Vec<u8> {
    (0..LONG).map(|at| (at % 251) as u8).collect()
}

fn start(servers: &str) -> Proxy {
    let http = format!(
        "types {{ text/html html; image/png png; }} default_type application/octet-stream;
        server {{
            listen LISTEN;
            root FOLDER/www;
            location / {{ index first.html second.html; }}
            location /img {{ alias FOLDER/data/; }}
            location ~ ^/re/(.*)$ {{ alias FOLDER/data/$1; }}
            {servers}
        }}"
    );
    Proxy::start_with("", &http, fill)
}

fn ask(conn: &mut Conn, request: &str) -> Message {
    conn.send(format!("{} HTTP/1.1\r\nHost: h\r\n{}\r\n", request.lines().next().unwrap_or_default(), {
        let lines = request.lines().skip(1);
        lines.map(|line| format!("{line}\r\n")).collect::<String>()
    }));
    conn.response()
}

#[test]
fn files_are_served_over_one_connection() {
    let proxy = start("");
    let mut conn = proxy.connect();
    for (target, status, kind, text) in [
        ("/a.html", 200, "text/html", "<p>a</p>"),
        ("/digits", 200, "application/octet-stream", "0123456789"),
        ("/link", 200, "application/octet-stream", "0123456789"),
        ("/img/pic.png", 200, "image/png", "pic"),
        ("/re/pic.png", 200, "image/png", "pic"),
        ("/d/", 200, "text/html", "second"),
        ("/%61.html?x", 200, "text/html", "<p>a</p>"),
    ] {
        let response = conn.get(target);
        assert_eq!((response.status(), response.text()), (status, text), "{target}");
        assert_eq!(response.field("content-type"), Some(kind), "{target}");
        assert_eq!(response.field("last-modified"), Some(DATE), "{target}");
        assert_eq!(response.field("etag"), Some(&*format!("\"{SECONDS:x}-{:x}\"", text.len())), "{target}");
        assert_eq!(response.field("accept-ranges"), Some("bytes"), "{target}");
    }
    for (target, status) in [
        ("/nothing", 404),
        ("/none/", 403),
        ("/loop", 403),
        ("/pipe", 404),
        ("/a.html/b", 404),
        ("/re/", 403),
    ] {
        assert_eq!(conn.get(target).status(), status, "{target}");
    }
    let response = conn.get("/d");
    let expected = format!("http://test:{}/d/", proxy.address().port());
    assert_eq!((response.status(), response.field("location")), (301, Some(&*expected)));
}

#[test]
fn no_path_leads_out_of_the_folder() {
    let proxy = start("location /var/ { root FOLDER/$arg_to; }");
    for target in [
        "/img../data-secret",
        "/img/../data-secret",
        "/img%2e%2e/data-secret",
        "/re/../data-secret",
        "/re/x/..%2f..%2fdata-secret",
        "/%2e%2e/data-secret",
        "/d/%2e%2e/%2e%2e/data-secret",
        "/var/x?to=..",
        "/data-secret%00.html",
    ] {
        let mut conn = proxy.connect();
        let response = conn.get(target);
        assert!(matches!(response.status(), 400 | 404), "{target}: {}", response.head);
        assert!(!response.text().contains("secret"), "{target}");
    }
}

#[test]
fn parts_are_served() {
    let proxy = start("");
    let mut conn = proxy.connect();
    let response = ask(&mut conn, "GET /digits\nRange: bytes=2-4");
    assert_eq!((response.status(), response.text()), (206, "234"));
    assert_eq!(response.field("content-range"), Some("bytes 2-4/10"));

    let response = ask(&mut conn, "GET /digits\nRange: bytes=-1,0-1");
    let kind = response.field("content-type").expect("a type");
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect("several parts");
    let part = |range: &str, text: &str| {
        format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {range}/10\r\n\r\n{text}"
        )
    };
    let expected = part("9-9", "9") + &part("0-1", "01") + &format!("\r\n--{boundary}--\r\n");
    assert_eq!((response.status(), response.text()), (206, &*expected));

    let response = ask(&mut conn, "GET /digits\nRange: bytes=10-");
    assert_eq!((response.status(), response.field("content-range")), (416, Some("bytes */10")));
    let response = ask(&mut conn, &format!("GET /long\nRange: bytes={}-", LONG - 300_000));
    assert!(response.status() == 206 && response.body == long()[LONG - 300_000..]);
}

#[test]
fn a_good_copy_is_not_sent_again() {
    let proxy = start("");
    let mut conn = proxy.connect();
    for (lines, status) in [
        (format!("If-Modified-Since: {DATE}"), 304),
        (format!("If-None-Match: \"{SECONDS:x}-a\""), 304),
        ("If-None-Match: \"x\"".to_owned(), 200),
        ("If-Match: \"x\"".to_owned(), 412),
        (format!("If-Unmodified-Since: {DATE}"), 200),
        (format!("If-Range: {DATE}\nRange: bytes=0-0"), 206),
        ("If-Range: \"x\"\nRange: bytes=0-0".to_owned(), 200),
    ] {
        let response = ask(&mut conn, &format!("GET /digits\n{lines}"));
        assert_eq!(response.status(), status, "{lines}");
        if status == 304 {
            assert_eq!((response.field("content-length"), response.text()), (None, ""));
        }
    }
}

#[test]
fn a_long_file_arrives_whole_and_waits_for_a_slow_client() {
    let proxy = start("");
    let mut conn = proxy.connect();
    let before = proxy.memory();
    conn.send("GET /long HTTP/1.1\r\nHost: h\r\n\r\n");
    // The client takes nothing: a buffer's worth is read, and what the kernel takes.
    settled(|| proxy.cpu_ticks());
    assert!(proxy.memory() < before + (LONG / 4) as u64, "the file is not held in memory");
    assert_eq!(proxy.get("/digits"), "0123456789");
    let response = conn.response();
    assert!(response.body == long(), "{} bytes", response.body.len());
    assert_eq!(conn.get("/digits").text(), "0123456789");
}

#[test]
fn a_file_that_shrinks_does_not_pass_for_whole() {
    let proxy = start("");
    let mut conn = proxy.connect();
    conn.send("GET /long HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = conn.head();
    assert_eq!(head.content_length(), Some(LONG));
    let file = File::options().write(true).open(proxy.folder().join("www/long")).expect("the file");
    file.set_len(1000).expect("cut");
    let (rest, error) = conn.rest();
    assert!(rest.len() < LONG);
    assert_eq!(error, Some(ErrorKind::ConnectionReset));
}

#[test]
fn descriptors_of_files_are_given_back() {
    let proxy = start("");
    let mut conn = proxy.connect();
    conn.get("/digits");
    let before = proxy.descriptors();
    for target in ["/digits", "/d/", "/d", "/none/", "/pipe", "/long"] {
        conn.get(target);
    }
    ask(&mut conn, "GET /digits\nRange: bytes=1-2,4-5");
    conn.send("HEAD /digits HTTP/1.1\r\nHost: h\r\n\r\n");
    conn.head();
    assert_eq!(conn.get("/digits").text(), "0123456789");
    assert_eq!(proxy.descriptors(), before);
}

#[test]
fn a_file_stands_for_an_error() {
    let address = free_address();
    let proxy = start(&format!(
        "location /gone {{ proxy_pass http://{address}; error_page 502 /50x.html; }}
        location = /50x.html {{ root FOLDER/www; internal; }}
        location /folder {{ proxy_pass http://{address}; error_page 502 /d/; }}
        location /sorry {{ proxy_pass http://{address}; error_page 502 =200 /50x.html; }}"
    ));
    let mut conn = proxy.connect();
    let response = ask(&mut conn, "GET /gone\nRange: bytes=0-1");
    assert_eq!((response.status(), response.text()), (502, "we are sorry"));
    assert_eq!(response.field("last-modified"), None);
    let response = ask(&mut conn, "POST /sorry\nContent-Length: 0");
    assert_eq!((response.status(), response.text()), (200, "we are sorry"));
    let response = ask(&mut conn, "POST /folder\nContent-Length: 0");
    assert_eq!((response.status(), response.text()), (502, "second"));
    assert_eq!(conn.get("/50x.html").status(), 404);
}

#[test]
fn an_index_may_lie_with_a_server() {
    let origin = Origin::answering(ok("from the server"));
    let proxy = start(&format!(
        "location /app/ {{ root FOLDER; index /served; }}
        location = /served {{ proxy_pass http://{origin}; }}"
    ));
    assert_eq!(proxy.connect().get("/app/?a=b").text(), "from the server");
}

#[test]
fn variables_name_the_file() {
    let proxy = start(
        "location /named/ {
            alias FOLDER/www/;
            add_header X-Name $document_root:$request_filename;
        }",
    );
    let response = proxy.connect().get("/named/digits");
    let folder = proxy.folder().join("www").display().to_string();
    assert_eq!(response.text(), "0123456789");
    assert_eq!(response.field("x-name"), Some(&*format!("{folder}/:{folder}/digits")));
}
