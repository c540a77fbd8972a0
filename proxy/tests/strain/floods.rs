//! Floods of connections: reset at once, or silent.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crate::alone;
use crate::crowd::{Crowd, Slow};
use crate::load::{Base, Load};
use crate::mill::Mill;
use crate::support::{Conn, Proxy};

/// Connections of the flood that is reset, from each of as many threads as there are kinds of it.
const RESETS: usize = 3_000;

/// Connects and resets, again and again, after having sent this.
fn flood(address: SocketAddr, bytes: &'static str) {
    for _ in 0..RESETS {
        let mut conn = Conn::to(address);
        conn.send(bytes);
        conn.reset();
    }
}

#[test]
fn a_flood_of_resets_harms_nobody() {
    let _alone = alone();
    let mill = Mill::start();
    let proxy = Proxy::start(mill.name(), "--upstream-idle-timeout 1s");
    let base = Base::of(&proxy);
    let address = proxy.address();
    let load = Load::start(address);
    let kinds = [
        "",
        "GET / HTTP/1.1\r\nHost: te",
        "GET / HTTP/1.1\r\nHost: test\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf",
    ];
    let threads = kinds.map(|bytes| thread::spawn(move || flood(address, bytes)));
    let mut most = 0;
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        most = most.max(base.most_memory(&proxy, Duration::from_millis(20)));
    }
    for thread in threads {
        thread.join().expect("a flood");
    }
    load.end("a flood of resets");
    println!("{} connections reset: at most {} KiB more than before", 4 * RESETS, most >> 10);
    assert!(most < 32 << 20, "{most} bytes more than before");
    assert!(proxy.log().iter().all(|line| !line.contains("is down")), "no server is to blame");
    base.wait_back(&proxy);
}

#[test]
fn silent_connections_give_way_to_those_that_wait() {
    let _alone = alone();
    let mill = Mill::start();
    let flags = "--upstream-idle-timeout 1s --client-header-timeout 2s --max-connections 200";
    let proxy = Proxy::start(mill.name(), flags);
    let base = Base::of(&proxy);
    // One is in already and is not to notice.
    let mut inside = proxy.connect();
    inside.get("/");
    // Twice as many as have a place.
    let silent = Slow { first: Vec::new(), then: Vec::new(), receives: 1 };
    let crowd = Crowd::start(proxy.address(), vec![silent; 400]);
    let mut waiting: Vec<Conn> = (0..10).map(|_| proxy.connect()).collect();
    for conn in &mut waiting {
        conn.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    for _ in 0..100 {
        assert_eq!(inside.get("/").text(), "ok");
    }
    for conn in &mut waiting {
        assert_eq!(conn.response().text(), "ok");
    }
    proxy.wait_log("accepting pauses until a connection ends: 200 are open");
    drop((inside, waiting, crowd));
    base.wait_back(&proxy);
}
