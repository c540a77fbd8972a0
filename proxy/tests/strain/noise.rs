//! Random byte strings thrown at the port.
//!
//! `STRAIN_STRINGS=n` says how many. Each has a number, and the number makes it what it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use crate::alone;
use crate::load::{Base, Load};
use crate::mill::Mill;
use crate::support::Proxy;

/// Strings of a normal run.
const STRINGS: u64 = 6_000;

/// Connections at a time.
const THROWERS: usize = 16;

/// What a request is made of, and what it is not.
const WORDS: &[&str] = &[
    "GET ",
    "POST ",
    "HEAD ",
    "OPTIONS ",
    "CONNECT ",
    "PRI ",
    "/",
    "*",
    "http://test/",
    "?q",
    " ",
    "\t",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/2.0",
    "HTTP/9",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "\0",
    ":",
    ",",
    ";",
    "=",
    "\"",
    "Host: test",
    "Host:",
    "Content-Length: 5",
    "Content-Length: 18446744073709551616",
    "Content-Length: 0x5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding:",
    "Connection: close",
    "Connection: keep-alive, x",
    "Connection: upgrade",
    "Upgrade: websocket",
    "Expect: 100-continue",
    "TE: trailers",
    "X: y",
    "hello",
    "5\r\nhello\r\n0\r\n\r\n",
    "0\r\n\r\n",
    "ffffffffffffffff\r\n",
    "1;x=y\r\nz\r\n",
    "\u{16}\u{3}\u{1}",
    "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    "é",
];

/// Requests that are sound before something happens to them.
const SOUND: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: test\r\n\r\n",
    "GET http://test/a?b HTTP/1.1\r\nHost: test\r\nConnection: close\r\nX-Y: z\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
];

fn string(number: u64) -> Vec<u8> {
    let mut rng = Rng::with_seed(number);
    match number % 3 {
        0 => {
            let bits = rng.u32(1..13);
            let length = rng.usize(1..1 << bits);
            (0..length).map(|_| rng.u8(..)).collect()
        }
        1 => (0..rng.usize(1..40)).flat_map(|_| WORDS[rng.usize(..WORDS.len())].bytes()).collect(),
        _ => {
            let sound = (0..rng.usize(1..4)).flat_map(|_| SOUND[rng.usize(..SOUND.len())].bytes());
            let mut bytes: Vec<u8> = sound.collect();
            for _ in 0..rng.usize(1..5) {
                spoil(&mut bytes, &mut rng);
            }
            bytes
        }
    }
}

fn spoil(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.usize(..bytes.len());
    match rng.u8(..5) {
        0 => bytes[at] = rng.u8(..),
        1 => bytes[at] ^= 1 << rng.u32(..8),
        2 => bytes.insert(at, rng.u8(..)),
        3 if bytes.len() > 1 => {
            bytes.remove(at);
        }
        _ => {
            let word = WORDS[rng.usize(..WORDS.len())];
            bytes.splice(at..at, word.bytes());
        }
    }
}

/// Throws one and looks at what comes back.
fn throw(proxy: &Proxy, number: u64) -> Option<u16> {
    let mut conn = proxy.connect();
    // The proxy may have had enough before the end.
    let _ = conn.try_send(string(number));
    let _ = conn.socket().shutdown(std::net::Shutdown::Write);
    let (answer, error) = conn.rest();
    assert_eq!(error, None, "string {number} was answered with {:?}", String::from_utf8_lossy(&answer));
    if answer.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(&answer);
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    Some(status.unwrap_or_else(|| panic!("string {number} was answered with {text:?}")))
}

#[test]
fn noise_does_not_disturb() {
    let _alone = alone();
    let count = std::env::var("STRAIN_STRINGS").map_or(STRINGS, |text| text.parse().expect("a number"));
    let mill = Mill::start();
    let proxy = Arc::new(Proxy::start(mill.name(), "--upstream-idle-timeout 1s"));
    let base = Base::of(&proxy);
    let load = Load::start(proxy.address());
    let next = Arc::new(AtomicU64::new(0));
    let throwers = [(); THROWERS].map(|()| {
        let (proxy, next) = (proxy.clone(), next.clone());
        thread::spawn(move || {
            let mut seen = [0u64; 600];
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= count {
                    return seen;
                }
                seen[usize::from(throw(&proxy, number).unwrap_or(0))] += 1;
            }
        })
    });
    let mut most = 0;
    while !throwers.iter().all(thread::JoinHandle::is_finished) {
        most = most.max(base.most_memory(&proxy, Duration::from_millis(20)));
    }
    let mut seen = [0u64; 600];
    for thrower in throwers {
        for (sum, part) in seen.iter_mut().zip(thrower.join().expect("answers that are sound")) {
            *sum += part;
        }
    }
    load.end("noise");
    println!("{count} strings: at most {} KiB more than before", most >> 10);
    for (status, times) in seen.iter().enumerate().filter(|(_, times)| **times > 0) {
        println!("{times:>8} answered with {status}");
    }
    assert!(most < 16 << 20, "{most} bytes more than before");
    // The origin is sound and quick: none of these has a reason.
    assert_eq!((seen[502], seen[503], seen[504], seen[500]), (0, 0, 0, 0));
    assert!(seen[200] > count / 100 && seen[400] > count / 10, "the strings are no longer what they were");
    base.wait_back(&proxy);
}
