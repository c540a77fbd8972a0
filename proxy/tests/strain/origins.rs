//! Origins that send for ever, never read, or drip.

use std::thread;
use std::time::Duration;

use crate::alone;
use crate::crowd::{Crowd, Slow};
use crate::load::{Base, Load};
use crate::mill::{LARGE, Mill};
use crate::support::{Conn, Proxy};

/// Clients that ask for the same nuisance at a time.
const EACH: usize = 20;

/// What all of them may make the proxy hold, in bytes.
const HELD_MAX: u64 = 32 << 20;

/// Has `EACH` clients do `ask` while others ask for normal things; gives what each gave.
fn beside_normal_requests<T: Send + 'static>(
    what: &str,
    proxy: &Proxy,
    base: &Base,
    ask: impl Fn(&mut Conn) -> T + Clone + Send + 'static,
) -> Vec<T> {
    let load = Load::start(proxy.address());
    let clients: Vec<_> = (0..EACH)
        .map(|_| {
            let (mut conn, ask) = (proxy.connect(), ask.clone());
            thread::spawn(move || ask(&mut conn))
        })
        .collect();
    let mut most = base.most_memory(proxy, Duration::from_millis(20));
    while !clients.iter().all(thread::JoinHandle::is_finished) {
        most = most.max(base.most_memory(proxy, Duration::from_millis(20)));
    }
    let results = clients.into_iter().map(|client| client.join().expect("an answer")).collect();
    load.end(what);
    assert!(most <= HELD_MAX, "{what}: {most} bytes more than before");
    results
}

#[test]
fn a_head_without_end_is_the_end_of_it() {
    let _alone = alone();
    let mill = Mill::start();
    let proxy = Proxy::start(mill.name(), "--upstream-idle-timeout 1s");
    let base = Base::of(&proxy);
    for target in ["/forever/fields", "/forever/field", "/forever/status", "/forever/nothing"] {
        let answers = beside_normal_requests(target, &proxy, &base, move |conn| conn.get(target).status());
        assert_eq!(answers, [502; EACH], "{target}");
    }
    base.wait_back(&proxy);
}

#[test]
fn what_comes_around_a_body_has_an_end() {
    let _alone = alone();
    let mill = Mill::start();
    let proxy = Proxy::start(mill.name(), "--upstream-idle-timeout 1s");
    let base = Base::of(&proxy);
    for target in ["/forever/interim", "/forever/extension", "/forever/trailers"] {
        let lengths = beside_normal_requests(target, &proxy, &base, move |conn| {
            conn.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
            conn.rest().0.len()
        });
        assert!(lengths.iter().all(|length| *length < 64 << 10), "{target}: {lengths:?}");
    }
    // What lies behind a response is nobody's.
    let target = "/forever/behind";
    let answers = beside_normal_requests(target, &proxy, &base, move |conn| {
        (conn.get(target).text().to_owned(), conn.get("/").text().to_owned())
    });
    assert!(answers.iter().all(|answer| *answer == ("ok".into(), "ok".into())), "{answers:?}");
    base.wait_back(&proxy);
}

#[test]
fn a_body_without_end_goes_as_fast_as_its_client_takes_it() {
    let _alone = alone();
    let mill = Mill::start();
    let proxy = Proxy::start(mill.name(), "--upstream-idle-timeout 1s");
    let base = Base::of(&proxy);
    for target in ["/forever", "/forever/chunks"] {
        let slow = Slow {
            first: format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n").into(),
            then: Vec::new(),
            receives: 1000,
        };
        let crowd = Crowd::start(proxy.address(), vec![slow; 100]);
        beside_normal_requests(target, &proxy, &base, move |conn| {
            conn.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
            conn.exact(8 << 20);
        });
        assert_eq!(crowd.end(), 0, "{target}: clients were sent away");
    }
    base.wait_back(&proxy);
}

#[test]
fn an_origin_that_does_not_read_is_left() {
    let _alone = alone();
    let mill = Mill::start();
    let flags = "--upstream-idle-timeout 1s --send-timeout 1s --read-timeout 1s --max-body-size 0";
    let proxy = Proxy::start(mill.name(), flags);
    let base = Base::of(&proxy);
    let length = 64 * LARGE;
    let answers = beside_normal_requests("an origin that does not read", &proxy, &base, move |conn| {
        conn.send(format!("POST /deaf HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"));
        let block = vec![b'x'; LARGE as usize];
        // It goes until the proxy has had enough.
        for _ in 0..64 {
            if conn.try_send(&block).is_err() {
                break;
            }
        }
        String::from_utf8_lossy(&conn.rest().0).chars().take(12).collect::<String>()
    });
    // Who still sends may lose the answer to the reset of its connection.
    assert!(answers.iter().all(|answer| answer.is_empty() || answer == "HTTP/1.1 504"), "{answers:?}");
    // One that reads and says nothing is told apart from one that works.
    let answers =
        beside_normal_requests("an origin that is mute", &proxy, &base, |conn| conn.get("/deaf").status());
    assert_eq!(answers, [504; EACH]);
    base.wait_back(&proxy);
}

#[test]
fn an_answer_that_drips_comes_whole() {
    let _alone = alone();
    let mill = Mill::start();
    let proxy = Proxy::start(mill.name(), "--upstream-idle-timeout 1s --read-timeout 1s");
    let base = Base::of(&proxy);
    for (target, length) in [("/drip", 60), ("/drip/chunks", 20)] {
        let bodies = beside_normal_requests(target, &proxy, &base, move |conn| conn.get(target).body.len());
        assert_eq!(bodies, [length; EACH]);
    }
    base.wait_back(&proxy);
}
