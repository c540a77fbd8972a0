//! Back-pressure: who does not read stops who sends, and nothing piles up between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::support::origin::ok;
use crate::support::{Conn, Gate, Origin, Proxy, settled, wait_until};

/// Far more than the kernel's buffers on the way hold together (two sockets of up to 4 MiB to send and
/// 32 MiB to receive).
const LENGTH: u64 = 200 << 20;

/// What the proxy may hold beyond what it held before: a few buffers, not a few megabytes.
const HELD_MAX: u64 = 2 << 20;

const BLOCK: usize = 64 << 10;

/// A block that shows its number, so that none can be missing, twice or out of place.
fn block(number: u64) -> Vec<u8> {
    let mut block = vec![number as u8; BLOCK];
    block[..8].copy_from_slice(&number.to_be_bytes());
    block
}

/// Sends [`LENGTH`] bytes, telling how many have gone.
fn pour(conn: &mut Conn, sent: &AtomicU64) {
    for number in 0..LENGTH / BLOCK as u64 {
        conn.send(block(number));
        sent.fetch_add(BLOCK as u64, Ordering::SeqCst);
    }
}

fn drink(conn: &mut Conn) {
    for number in 0..LENGTH / BLOCK as u64 {
        assert!(conn.exact(BLOCK) == block(number), "block {number} came otherwise");
    }
}

#[test]
fn a_slow_client_stops_the_reading_from_its_upstream() {
    let sent = Arc::new(AtomicU64::new(0));
    let sending = sent.clone();
    let origin = Origin::start(move |visit| {
        loop {
            if visit.request().target() == "/" {
                visit.send(ok("quick"));
                continue;
            }
            visit.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"));
            pour(visit, &sending);
        }
    });
    let proxy = Proxy::start(origin.to_string(), "");
    assert_eq!(proxy.get("/"), "quick");
    let before = proxy.memory();

    let mut conn = proxy.connect();
    conn.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
    wait_until("the first bytes", || sent.load(Ordering::SeqCst) > 0);
    let stuck = settled(|| sent.load(Ordering::SeqCst));
    assert!(stuck < LENGTH / 2, "{stuck} bytes went though nobody reads");
    let held = proxy.memory().saturating_sub(before);
    assert!(held < HELD_MAX, "{held} bytes are held for a client that does not read");
    assert_eq!(proxy.get("/"), "quick", "others are served meanwhile");

    assert_eq!(conn.head().content_length(), Some(LENGTH as usize));
    drink(&mut conn);
    assert_eq!(conn.get("/").text(), "quick");
    let held = proxy.memory().saturating_sub(before);
    assert!(held < HELD_MAX, "{held} bytes are held after a large body");
}

#[test]
fn a_slow_upstream_stops_the_reading_from_its_client() {
    let gate = Arc::new(Gate::default());
    let shut = gate.clone();
    let origin = Origin::start(move |visit| {
        loop {
            let head = visit.request_head();
            if head.target() == "/large" {
                shut.pass();
                drink(visit);
            }
            visit.send(ok("taken"));
        }
    });
    let proxy = Proxy::start(origin.to_string(), "--max-body-size 0");
    assert_eq!(proxy.get("/"), "taken");
    let before = proxy.memory();

    let mut conn = proxy.connect();
    conn.send(format!("POST /large HTTP/1.1\r\nHost: test\r\nContent-Length: {LENGTH}\r\n\r\n"));
    let sent = Arc::new(AtomicU64::new(0));
    let mut writer = Conn::new(conn.socket().try_clone().expect("a descriptor"), false);
    let sending = sent.clone();
    let sender = thread::spawn(move || pour(&mut writer, &sending));
    wait_until("the first bytes", || sent.load(Ordering::SeqCst) > 0);
    let stuck = settled(|| sent.load(Ordering::SeqCst));
    assert!(stuck < LENGTH / 2, "{stuck} bytes went though nobody reads");
    let held = proxy.memory().saturating_sub(before);
    assert!(held < HELD_MAX, "{held} bytes are held for an upstream that does not read");
    assert_eq!(proxy.get("/"), "taken", "others are served meanwhile");

    gate.open();
    assert_eq!(conn.response().text(), "taken");
    sender.join().expect("a sender");
    let held = proxy.memory().saturating_sub(before);
    assert!(held < HELD_MAX, "{held} bytes are held after a large body");
}

#[test]
fn a_large_body_does_not_keep_small_requests_waiting() {
    let origin = Origin::start(move |visit| {
        loop {
            if visit.request().target() == "/" {
                visit.send(ok("quick"));
                continue;
            }
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n");
            let bytes = vec![b'x'; 1 << 20];
            while visit.try_send(&bytes).is_ok() {}
            return;
        }
    });
    let proxy = Proxy::start(origin.to_string(), "");
    let gate = Arc::new(Gate::default());
    let drinkers: Vec<_> = (0..2)
        .map(|_| {
            let mut conn = proxy.connect();
            conn.send("GET /endless HTTP/1.1\r\nHost: test\r\n\r\n");
            conn.head();
            let gate = gate.clone();
            thread::spawn(move || {
                // Never without work for the proxy: what was asked for is endless.
                for _ in 0..200 {
                    conn.exact(1 << 20);
                }
                gate.open();
            })
        })
        .collect();
    // One worker serves all of this. Were the endless bodies served until they pause, these would wait.
    let mut conn = proxy.connect();
    for _ in 0..50 {
        assert_eq!(conn.get("/").text(), "quick");
    }
    gate.pass();
    for drinker in drinkers {
        drinker.join().expect("a drinker");
    }
}
