//! What the end-to-end tests share: the proxy as a process, scripted origins, and raw connections.
//!
//! Nothing here knows HTTP beyond finding the end of a message: tests write the bytes they mean and look at
//! the bytes that come. Every wait is for a condition and ends at [`DEADLINE`], which no healthy run comes
//! near, so a slow machine makes a test slow and never fail.
#![allow(dead_code, unused_imports, reason = "each test binary uses its part of it")]

pub(crate) mod conn;
pub(crate) mod message;
pub(crate) mod name_server;
pub(crate) mod origin;
pub(crate) mod process;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

pub(crate) use conn::Conn;
pub(crate) use message::Message;
pub(crate) use origin::Origin;
pub(crate) use process::Proxy;

/// No wait takes longer: what has not happened by then does not happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until `condition` gives something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Waits until a growing number has stood still for half a second, and gives it.
///
/// For an upper bound on where it stands: a pause that is no stand-still makes the test weaker, not wrong.
pub(crate) fn settled(mut number: impl FnMut() -> u64) -> u64 {
    let mut last = number();
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_millis(500) {
        std::thread::sleep(Duration::from_millis(10));
        let now = number();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

/// An address where nobody listens and that nobody else is given.
///
/// The host is one of 127/8 made from the process and a count, the port one that is free there. Connections
/// to such a host leave from 127.0.0.1, so they never take the port.
pub(crate) fn free_address() -> SocketAddr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mixed = (std::process::id().wrapping_mul(2_654_435_761) >> 11).wrapping_add(count);
    let [_, b, c, d] = mixed.to_be_bytes();
    let host = Ipv4Addr::new(127, 16 + b % 224, c, d);
    let listener = TcpListener::bind((host, 0)).expect("a free port on loopback");
    listener.local_addr().expect("an address")
}

/// `length` bytes in which every place can be told from its neighbours and from those far away.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(pattern_at).collect()
}

/// The byte of [`pattern`] at a place.
pub(crate) fn pattern_at(place: usize) -> u8 {
    (place ^ (place >> 8) ^ (place >> 16).wrapping_mul(31)) as u8
}

/// A gate that is shut until it is opened.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    /// Lets everyone through, from now on.
    pub(crate) fn open(&self) {
        *self.open.lock().expect("no panic while locked") = true;
        self.opened.notify_all();
    }

    /// Waits until the gate is open.
    pub(crate) fn pass(&self) {
        let open = self.open.lock().expect("no panic while locked");
        let (open, _) =
            self.opened.wait_timeout_while(open, DEADLINE, |open| !*open).expect("no panic while locked");
        assert!(*open, "a gate was never opened");
    }
}
