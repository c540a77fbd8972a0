//! The protocol without its sockets: head parsing, framing, rewriting, body cursor.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proxy::buffer::Buffers;
use proxy::http::Method;
use proxy::http::body::{Coding, Cursor, Then};
use proxy::http::fields::{Fields, Scratch};
use proxy::http::framing::{self, Length};
use proxy::http::head::{self, Parsed, RequestHead, ResponseHead};
use proxy::http::rewrite::{self, ClientFraming, Delivery, Introduction, Sender};
use proxy::http::target;

const CURL: &[u8] =
    b"GET / HTTP/1.1\r\nHost: app.example:8080\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n";

/// Fifteen fields, as a browser sends them.
const BROWSER: &[u8] = b"GET /shop/cart?item=4711&from=list HTTP/1.1\r\n\
    Host: www.example.org\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Referer: https://www.example.org/shop/list\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=0d1f6a2c9b8e4d7fa3b5c6d7e8f90123; theme=dark; consent=yes\r\n\
    \r\n";

const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nX-Backend: app1\r\nContent-Type: text/plain\r\n\
    Content-Length: 26\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";

/// Twelve fields, as an application behind a framework sends them.
const RICH: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: gunicorn\r\n\
    Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Connection: keep-alive\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Transfer-Encoding: chunked\r\n\
    Cache-Control: no-cache, private\r\n\
    Vary: Accept-Encoding, Cookie\r\n\
    Set-Cookie: session=0d1f6a2c9b8e4d7fa3b5c6d7e8f90123; Path=/; HttpOnly; SameSite=Lax\r\n\
    Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n\
    X-Content-Type-Options: nosniff\r\n\
    X-Frame-Options: DENY\r\n\
    ETag: W/\"5d8c72a5edda8d6a\"\r\n\
    \r\n";

const REQUESTS: [(&str, &[u8]); 2] = [("curl", CURL), ("browser", BROWSER)];
const RESPONSES: [(&str, &[u8]); 2] = [("plain", PLAIN), ("rich", RICH)];

const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// Reads a request head and hands it on: it borrows from `scratch`.
fn with_request<T>(bytes: &[u8], scratch: &mut Scratch, body: impl FnOnce(&RequestHead<'_, '_>) -> T) -> T {
    match head::request(bytes, scratch) {
        Ok(Parsed::Complete(head)) => body(&head),
        _ => panic!("a sound request head"),
    }
}

fn with_response<T>(bytes: &[u8], scratch: &mut Scratch, body: impl FnOnce(&ResponseHead<'_, '_>) -> T) -> T {
    match head::response(bytes, scratch) {
        Ok(Parsed::Complete(head)) => body(&head),
        _ => panic!("a sound response head"),
    }
}

fn head_parsing(c: &mut Criterion) {
    let mut scratch = Scratch::new();
    let mut group = c.benchmark_group("head");
    for (name, bytes) in REQUESTS {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("request/{name}"), |b| {
            b.iter(|| with_request(black_box(bytes), &mut scratch, |head| head.len));
        });
    }
    for (name, bytes) in RESPONSES {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("response/{name}"), |b| {
            b.iter(|| with_response(black_box(bytes), &mut scratch, |head| head.len));
        });
    }
    group.finish();
}

fn framing_decision(c: &mut Criterion) {
    let mut scratch = Scratch::new();
    let mut group = c.benchmark_group("framing");
    for (name, bytes) in REQUESTS {
        with_request(bytes, &mut scratch, |head| {
            group.bench_function(format!("request/{name}"), |b| {
                b.iter(|| framing::request(black_box(&head.fields), head.version));
            });
        });
    }
    for (name, bytes) in RESPONSES {
        with_response(bytes, &mut scratch, |head| {
            group.bench_function(format!("response/{name}"), |b| {
                let decide = |fields: &Fields<'_, '_>| {
                    framing::response(fields, head.version, head.status, Method::Get)
                };
                b.iter(|| decide(black_box(&head.fields)));
            });
        });
    }
    group.finish();
}

/// A head that is read already is written for the other side.
fn rewriting(c: &mut Criterion) {
    let mut out = Buffers::new(18 * 1024).small();
    let introduction = &Introduction::new("192.0.2.17");
    let sender = Sender { introduction, real: None, trusted: false, default_host: "app" };
    let mut scratch = Scratch::new();
    let mut group = c.benchmark_group("rewrite");
    for (name, bytes) in REQUESTS {
        with_request(bytes, &mut scratch, |head| {
            group.bench_function(format!("request/{name}"), |b| {
                b.iter(|| {
                    out.clear();
                    let head = black_box(head);
                    let target = target::of(head.method, head.target, head.version, &head.fields);
                    let target = target.expect("a sound target");
                    let wishes = rewrite::wishes(head);
                    rewrite::request(&mut out, head, &target, Length::Empty, &wishes, &sender)
                });
            });
        });
    }
    let delivery =
        Delivery { framing: ClientFraming::Same, keep_alive: true, upgrade: false, nominates: false };
    for (name, bytes) in RESPONSES {
        with_response(bytes, &mut scratch, |head| {
            group.bench_function(format!("response/{name}"), |b| {
                b.iter(|| {
                    out.clear();
                    rewrite::response(&mut out, black_box(head), &delivery, DATE)
                });
            });
        });
    }
    group.finish();
}

/// A chunked body of 64 KiB in chunks of one size, and the same octets under Content-Length.
fn body_cursor(c: &mut Criterion) {
    const SIZE: usize = 64 * 1024;
    let mut group = c.benchmark_group("body");
    for chunk in [16, 1024, 16 * 1024] {
        let mut bytes = Vec::new();
        for _ in 0..SIZE / chunk {
            bytes.extend_from_slice(format!("{chunk:x}\r\n").as_bytes());
            bytes.resize(bytes.len() + chunk, b'x');
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("chunks of {chunk}"), |b| {
            b.iter(|| walk(Cursor::new(Length::Chunked, Coding::Keep), black_box(&bytes)));
        });
        group.bench_function(format!("chunks of {chunk}, stripped"), |b| {
            b.iter(|| walk(Cursor::new(Length::Chunked, Coding::Strip), black_box(&bytes)));
        });
    }
    let bytes = vec![b'x'; SIZE];
    group.throughput(Throughput::Bytes(SIZE as u64));
    group.bench_function("content-length", |b| {
        b.iter(|| walk(Cursor::new(Length::Exact(SIZE as u64), Coding::Keep), black_box(&bytes)));
    });
    group.finish();
}

/// Scans to the end of the body. Returns how many bytes pass.
fn walk(mut cursor: Cursor, mut bytes: &[u8]) -> usize {
    let mut passed = 0;
    loop {
        let scan = cursor.scan(bytes).expect("sound chunks");
        passed += scan.pass;
        bytes = &bytes[scan.pass + scan.skip..];
        if scan.then == Then::End {
            return passed;
        }
        assert!(!bytes.is_empty(), "the body ends with its bytes");
    }
}

criterion_group!(benches, head_parsing, framing_decision, rewriting, body_cursor);
criterion_main!(benches);
