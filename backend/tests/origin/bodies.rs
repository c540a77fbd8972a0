//! Long bodies in both directions, byte for byte.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use backend::pattern;

use crate::client::{Client, server};

const LONG: usize = 10_000_000;

fn expected(length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    pattern::append(&mut bytes, 0, length);
    bytes
}

#[test]
fn bytes_and_chunks_are_the_pattern() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    let mut client = Client::connect(&server, "app1");
    for length in [0, 1, 63, 64, 65, 65_536, 65_537, LONG] {
        assert!(client.fetch(&format!("/bytes/{length}")).body == expected(length), "/bytes/{length}");
        assert!(client.fetch(&format!("/chunked/{length}")).body == expected(length), "/chunked/{length}");
    }
}

#[test]
fn chunks_vary_in_size() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    let mut client = Client::connect(&server, "app1");
    client.send("GET /chunked/100000 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().field("Transfer-Encoding"), Some("chunked"));
    let mut sizes: Vec<usize> = client.chunks().iter().map(Vec::len).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 100_000);
    sizes.sort_unstable();
    sizes.dedup();
    assert!(sizes.len() >= 8 && sizes[0] == 1 && *sizes.last().unwrap() > 8192, "{sizes:?}");
}

#[test]
fn long_bodies_come_back_whole_in_both_framings() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    let body = expected(LONG);
    let mut chunked = Vec::new();
    for piece in body.chunks(12_345) {
        write!(chunked, "{:X};ext=1\r\n", piece.len()).unwrap();
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
    let mut client = Client::connect(&server, "app1");
    for (field, sent) in [("Content-Length: 10000000", &body), ("Transfer-Encoding: chunked", &chunked)] {
        let head = format!("PUT /echo?x=1 HTTP/1.1\r\nHost: a\r\nX-Odd:  Kept \r\n{field}\r\n\r\n");
        client.send(&head);
        client.send(sent);
        let echo = client.response();
        assert_eq!(&echo.body[..head.len()], head.as_bytes());
        assert!(echo.body[head.len()..] == body, "{field}");
        // The same body where nobody wants it.
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"));
        client.send(sent);
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn an_echo_without_a_length_is_bounded() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    let mut client = Client::connect(&server, "app1");
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1000001\r\n");
    client.send(expected(0x100_0001));
    assert_eq!(client.response().status, 413);
    client.expect_end();
}

#[test]
fn a_slow_reader_stops_the_sender_and_nobody_else() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    let mut slow = Client::connect(&server, "app1");
    // Far more than sockets hold: pipelined requests behind a gibibyte that is not read.
    slow.send("GET /bytes/1073741824 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut writer = slow.stream().try_clone().unwrap();
    writer.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let flood = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10_000);
    let stuck = (0..1000).any(|_| writer.write_all(flood.as_bytes()).is_err());
    assert!(stuck, "270 MB of requests were taken from a client that does not read");
    assert_eq!(server.hits(), Some(0));
    assert_eq!(Client::connect(&server, "app1").fetch("/").hit(), 1);
    assert_eq!(slow.head().field("Content-Length"), Some("1073741824"));
}

#[test]
fn both_directions_at_once_do_not_deadlock() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    let client = Client::connect(&server, "app1");
    let mut writer = client.stream().try_clone().unwrap();
    let (done, finished) = mpsc::channel();
    let sender = thread::spawn(move || {
        for _ in 0..20 {
            writer
                .write_all(b"POST /bytes/1000000 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
                .unwrap();
            writer.write_all(&vec![b'x'; 1_000_000]).unwrap();
        }
        done.send(()).unwrap();
    });
    let mut client = client;
    for _ in 0..20 {
        assert!(client.response().body == expected(1_000_000));
    }
    finished.recv_timeout(Duration::from_secs(30)).unwrap();
    sender.join().unwrap();
}

#[test]
fn a_read_that_ends_early_leaves_the_server_well() {
    let server = server(&["app1=127.0.0.1:0"], |_| {});
    for _ in 0..20 {
        let mut client = Client::connect(&server, "app1");
        client.send("GET /bytes/100000000 HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut some = [0; 1000];
        client.stream().read_exact(&mut some).unwrap();
    }
    assert_eq!(Client::connect(&server, "app1").fetch("/").hit(), 1);
}
