//! Requests that wait for a server (`queue`).

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::origin::{Visit, ok};
use crate::support::{Conn, Gate, Origin, Proxy, free_address, wait_for};

/// A proxy before a group with these lines.
fn start(workers: usize, group: &str) -> Proxy {
    let http =
        format!("upstream u {{ {group} }} server {{ listen LISTEN; location / {{ proxy_pass http://u; }} }}");
    Proxy::start_with(&format!("worker_processes {workers};"), &http, |_| {})
}

/// Answers with the request's target, `/slow` when the gate opens and all else at once.
fn echo(gate: &Arc<Gate>) -> Origin {
    let gate = gate.clone();
    Origin::start(move |visit: &mut Visit| {
        loop {
            let target = visit.request().target().to_owned();
            if target == "/slow" {
                gate.pass();
            }
            visit.send(ok(&target));
        }
    })
}

fn ask(proxy: &Proxy, target: &str) -> Conn {
    let mut conn = proxy.connect();
    conn.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
    conn
}

#[test]
fn who_waits_is_served_when_a_server_is_free_and_in_order() {
    let gate = Arc::new(Gate::default());
    let origin = echo(&gate);
    let proxy = start(1, &format!("server {origin} max_conns=1; queue 10;"));
    let mut conns = vec![ask(&proxy, "/slow")];
    origin.wait_requests(1);
    for n in 0..10 {
        conns.push(ask(&proxy, &format!("/{n}")));
        // One behind the other: the next is refused only when all before it wait.
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(origin.count(), 1, "all others wait");
    assert_eq!(proxy.status("/late"), 502, "there is no room");
    gate.open();
    for (n, conn) in conns.iter_mut().enumerate() {
        let expected = if n == 0 { "/slow".to_owned() } else { format!("/{}", n - 1) };
        assert_eq!(conn.response().text(), expected);
    }
    let order: Vec<String> = origin.requests().iter().map(|request| request.target().to_owned()).collect();
    assert_eq!(order[1..], (0..10).map(|n| format!("/{n}")).collect::<Vec<_>>());
    assert_eq!(origin.connections(), 1, "never two at once");
}

#[test]
fn a_server_that_one_worker_frees_serves_who_waits_at_another() {
    let most = Arc::new(Mutex::new((0, 0)));
    let seen = most.clone();
    let origin = Origin::start(move |visit: &mut Visit| {
        loop {
            visit.request();
            {
                let mut at_once = seen.lock().expect("no panic");
                at_once.0 += 1;
                at_once.1 = at_once.1.max(at_once.0);
            }
            std::thread::sleep(Duration::from_millis(2));
            seen.lock().expect("no panic").0 -= 1;
            visit.send(ok("done"));
        }
    });
    let proxy = start(3, &format!("server {origin} max_conns=2; queue 100;"));
    let begin = Instant::now();
    let mut conns: Vec<Conn> = (0..60).map(|_| ask(&proxy, "/")).collect();
    for conn in &mut conns {
        assert_eq!(conn.response().text(), "done");
    }
    // Only a call makes it faster than looking once a second.
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert!(most.lock().expect("no panic").1 <= 2);
    assert_eq!(origin.count(), 60);
}

#[test]
fn nobody_waits_for_longer_than_the_timeout() {
    let gate = Arc::new(Gate::default());
    let origin = echo(&gate);
    let proxy = start(1, &format!("server {origin} max_conns=1; queue 10 timeout=300ms;"));
    let mut slow = ask(&proxy, "/slow");
    origin.wait_requests(1);
    let begin = Instant::now();
    assert_eq!(proxy.status("/"), 502);
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert!(proxy.wait_log("no live server").ends_with("full (1 in flight)"));
    gate.open();
    assert_eq!(slow.response().text(), "/slow");
    assert_eq!(proxy.get("/after"), "/after");
}

#[test]
fn a_client_that_leaves_waits_no_more() {
    let gate = Arc::new(Gate::default());
    let origin = echo(&gate);
    let proxy = start(1, &format!("server {origin} max_conns=1; queue 1;"));
    let mut slow = ask(&proxy, "/slow");
    origin.wait_requests(1);
    let gone = ask(&proxy, "/gone");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(proxy.status("/more"), 502, "there is no room");
    gone.reset();
    let mut next = wait_for("a place", || {
        let mut next = ask(&proxy, "/next");
        std::thread::sleep(Duration::from_millis(100));
        next.is_silent().then_some(next)
    });
    gate.open();
    assert_eq!(slow.response().text(), "/slow");
    assert_eq!(next.response().text(), "/next");
    assert!(origin.requests().iter().all(|request| request.target() != "/gone"));
}

#[test]
fn a_server_that_comes_back_serves_who_waits() {
    let address = free_address();
    let proxy =
        start(1, &format!("server {address} fail_timeout=1s; server {} down; queue 5;", free_address()));
    // Two addresses, so that the first is not alone and can be out.
    assert_eq!(proxy.status("/"), 502, "the server fails it: it does not wait");
    let mut waiting = ask(&proxy, "/waits");
    let _back = Origin::start_at(address, crate::support::origin::answer(ok("back")));
    assert_eq!(waiting.response().text(), "back");
}

#[test]
fn quit_serves_who_waits() {
    let gate = Arc::new(Gate::default());
    let origin = echo(&gate);
    let mut proxy = start(1, &format!("server {origin} max_conns=1; queue 10;"));
    let mut slow = ask(&proxy, "/slow");
    origin.wait_requests(1);
    let mut waiting = ask(&proxy, "/waits");
    std::thread::sleep(Duration::from_millis(100));
    proxy.signal(rustix::process::Signal::QUIT);
    std::thread::sleep(Duration::from_millis(100));
    gate.open();
    assert_eq!(slow.response().text(), "/slow");
    assert_eq!(waiting.response().text(), "/waits");
    assert!(proxy.wait_exit().success());
}
