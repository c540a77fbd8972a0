//! Thousands of slow clients.

use std::time::Duration;

use crate::crowd::{Crowd, Slow};
use crate::load::{Base, Load};
use crate::mill::Mill;
use crate::support::{Proxy, wait_until};
use crate::{alone, as_many_as_allowed};

/// Slow clients, of three kinds.
const CLIENTS: usize = 4_200;

/// How long normal requests go on beside them.
const TIME: Duration = Duration::from_secs(5);

/// What a client of each kind may take, in bytes: a buffer for a head; a buffer for what is held of a body
/// until it is answered; one large buffer for what it does not take. Each with the same again for its
/// slot and what the allocator adds.
const HEAD_MAX: u64 = 24 << 10;
const BODY_MAX: u64 = 24 << 10;
const READER_MAX: u64 = 72 << 10;

#[test]
fn thousands_of_slow_clients_keep_nobody_waiting() {
    let _alone = alone();
    let count = as_many_as_allowed(CLIENTS);
    let mill = Mill::start();
    let proxy = Proxy::start(mill.name(), "--upstream-idle-timeout 1s");
    let base = Base::of(&proxy);

    let heads = Slow {
        first: b"GET / HTTP/1.1\r\nHost: test\r\nX-Slow: ".to_vec(),
        then: b"slow ".to_vec(),
        receives: 1,
    };
    let bodies = Slow {
        first: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nfirst".to_vec(),
        then: b"slow ".to_vec(),
        receives: 1,
    };
    let readers = Slow {
        first: b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n".to_vec(),
        then: Vec::new(),
        receives: 512,
    };
    let each = count / 3;
    let kinds = [heads, bodies, readers];
    let crowd = Crowd::start(proxy.address(), kinds.iter().cycle().take(3 * each).cloned());
    // All but those with slow heads have a connection to the origin as well.
    wait_until("the crowd to be in", || base.more_descriptors(&proxy) >= 5 * each);

    let load = Load::start(proxy.address());
    let most = base.most_memory(&proxy, TIME);
    load.end(&format!("{} slow clients", 3 * each));
    println!("{} slow clients: at most {} KiB more than before", 3 * each, most >> 10);
    let bound = each as u64 * (HEAD_MAX + BODY_MAX + READER_MAX);
    assert!(most <= bound, "{most} bytes more than before, for {each} clients of each of three kinds");
    assert_eq!(crowd.end(), 0, "slow clients were sent away before their time");
    base.wait_back(&proxy);
}

#[test]
fn clients_that_are_too_slow_are_sent_away() {
    let _alone = alone();
    let mill = Mill::start();
    let flags =
        "--upstream-idle-timeout 1s --client-header-timeout 1s --client-body-timeout 1s --send-timeout 1s";
    let proxy = Proxy::start(mill.name(), flags);
    let base = Base::of(&proxy);
    let first = [
        "GET / HTTP/1.1\r\nHost: test\r\nX-Slow: ",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nfirst",
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nfirst",
        "GET /large HTTP/1.1\r\nHost: test\r\n\r\n",
        "\r\n",
        "",
    ];
    let stuck = |first: &str| Slow { first: first.into(), then: Vec::new(), receives: 0 };
    let crowd = Crowd::start(proxy.address(), first.iter().cycle().take(600).map(|first| stuck(first)));
    let load = Load::start(proxy.address());
    // Nobody has left, yet everybody is gone: 4 + 1 connections are the normal ones'.
    wait_until("all to be sent away", || base.more_descriptors(&proxy) <= 8);
    load.end("600 clients that stall");
    drop(crowd);
    base.wait_back(&proxy);
}
