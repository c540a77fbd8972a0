//! HUP: another configuration while the proxy serves.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use proxy::config::{HealthCheck, Listen, Listener};
use proxy::time::Duration;
use rustix::process::Signal;

use crate::load::{Load, Manner};
use crate::support::origin::{Visit, ok};
use crate::support::{Conn, Gate, Origin, free_address, wait_until};
use crate::within::{Within, servers};

fn reloads() -> usize {
    let wanted = std::env::var("RELOADS").ok();
    wanted.map_or(20, |text| text.parse().expect("RELOADS is a number"))
}

#[test]
fn reloads_under_load_lose_no_request() {
    let origins = [Origin::named("ok1"), Origin::named("ok2")];
    let mut proxy = Within::start(&[&origins[0]], |_| {});
    let load =
        Load::start(proxy.address(), &[Manner::Stays, Manner::Stays, Manner::ComesAnew, Manner::ComesAnew]);
    for number in 1..=reloads() {
        let origin = &origins[number % 2];
        proxy.config.upstreams[0].servers = servers(&[origin]);
        proxy.config.upstreams[0].keepalive = 1 + number % 3;
        proxy.config.sites[0].client.max_header_size = 1024 * (1 + number % 40);
        proxy.config.sites[0].location.rules.logs.clear();
        proxy.config.formats.clear();
        if !number.is_multiple_of(3) {
            proxy.log_to(&format!("access.log.{}", number % 3));
        }
        // Another listener comes and goes beside the one that is in use.
        proxy.config.listeners.truncate(1);
        if number % 4 < 2 {
            proxy.config.listeners.insert(0, Listener::new(Listen::Unix(proxy.path("listen"))));
            proxy.config.listeners.swap(0, 1);
        }
        proxy.reload(number);
        let name = if number % 2 == 0 { "ok1" } else { "ok2" };
        wait_until("the new group", || proxy.get() == name);
        load.wait_more(20);
    }
    println!("{} requests over {} reloads", load.stop(), reloads());
    proxy.end(Signal::QUIT);
}

#[test]
fn reloads_that_change_what_is_checked_lose_no_request() {
    let origins = [Origin::named("ok"), Origin::named("ok")];
    let mut check = HealthCheck::new("/", "test");
    (check.interval, check.mandatory, check.persistent) = (Duration::from_millis(5), true, true);
    let mut proxy = Within::start(&[&origins[0], &origins[1]], |config| {
        config.upstreams[0].checks.push(check);
    });
    proxy.wait_log("is healthy: 1 check passed", 2);
    let load = Load::start(proxy.address(), &[Manner::Stays, Manner::ComesAnew]);
    for number in 1..=reloads() {
        let checks = &mut proxy.config.upstreams[0].checks;
        checks[0].passes = 1 + number as u32 % 3;
        // Now and then there is a second opinion.
        match number % 5 {
            0 => checks.truncate(1),
            4 => checks.push(checks[0].clone()),
            _ => {}
        }
        proxy.reload(number);
        load.wait_more(20);
    }
    load.stop();
    proxy.end(Signal::QUIT);
}

#[test]
fn idle_connections_and_failures_outlive_a_reload_where_the_group_did_not_change() {
    let origin = Origin::named("ok");
    let gone = Origin::named("gone");
    let all = servers(&[&origin, &gone]);
    gone.stop();
    let mut proxy = Within::start(&[], |config| {
        config.upstreams[0].servers = all;
        config.process.workers = 1;
    });
    while !proxy.log().contains("is down: 1 failure") {
        assert_eq!(proxy.get(), "ok");
    }
    let connections = origin.connections();
    for number in 1..=3 {
        proxy.config.sites[0].location.rules.tries = number;
        proxy.reload(number as usize);
        for _ in 0..4 {
            assert_eq!(proxy.get(), "ok");
        }
    }
    assert_eq!(origin.connections(), connections, "the pooled connection is used on");
    // Now it changes: its connections are new, its servers are remembered.
    proxy.config.upstreams[0].keepalive = 5;
    proxy.reload(4);
    wait_until("a new connection", || proxy.get() == "ok" && origin.connections() == connections + 1);
    assert_eq!(proxy.log().matches("is down").count(), 1, "the server that is down was not tried again");
    proxy.end(Signal::TERM);
}

fn gated(gate: &Arc<Gate>) -> Origin {
    let gate = gate.clone();
    Origin::start(move |visit: &mut Visit| {
        loop {
            if visit.request().target() == "/slow" {
                gate.pass();
            }
            visit.send(ok("old"));
        }
    })
}

#[test]
fn requests_in_flight_finish_by_the_old_configuration() {
    let gate = Arc::new(Gate::default());
    let (old, new) = (gated(&gate), Origin::named("new"));
    let mut proxy = Within::start(&[&old], |_| {});
    let mut busy = proxy.connect();
    busy.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    old.wait_requests(1);
    let mut idle = proxy.connect();
    assert_eq!(idle.get("/").text(), "old");
    proxy.config.upstreams[0].servers = servers(&[&new]);
    proxy.reload(1);
    wait_until("the new group", || proxy.get() == "new");
    wait_until("the new group, over the old connection", || idle.get("/").text() == "new");
    gate.open();
    assert_eq!(busy.response().text(), "old");
    assert_eq!(busy.get("/").text(), "new");
    old.wait_open(0);
    proxy.end(Signal::QUIT);
}

#[test]
fn a_bad_configuration_leaves_the_old_one_at_work() {
    let origin = Origin::named("ok");
    let mut proxy = Within::start(&[&origin], |_| {});
    let taken = std::net::TcpListener::bind(free_address()).expect("an address");
    proxy.reload_bad("[emerg] unknown directive \"foo\" in /etc/nginx.conf:12");
    proxy.wait_log("[emerg] ", 1);
    assert!(proxy.log().contains(": unknown directive \"foo\" in /etc/nginx.conf:12\n"), "{}", proxy.log());
    assert_eq!(proxy.get(), "ok");
    // One that can be read but not be put to work: nothing of it is left.
    let good = proxy.config.clone();
    let other = free_address();
    let address = taken.local_addr().expect("an address");
    for listen in [other, address] {
        proxy.config.listeners.push(Listener::new(Listen::Tcp(listen)));
    }
    proxy.config.process.pid_file = None;
    let bad = proxy.config.clone();
    proxy.config = good;
    proxy.hand_over(bad);
    proxy.wait_log(&format!(": bind() to {address} failed (98: Address already in use)"), 1);
    assert!(TcpStream::connect(other).is_err());
    assert!(proxy.path("proxy.pid").exists());
    assert_eq!(proxy.get(), "ok");
    proxy.reload(1);
    proxy.end(Signal::QUIT);
}

#[test]
fn listeners_come_and_go() {
    let origin = Origin::named("ok");
    let mut proxy = Within::start(&[&origin], |_| {});
    let first = proxy.address();
    let second = free_address();
    proxy.config.listeners.push(Listener::new(Listen::Tcp(second)));
    proxy.reload(1);
    assert_eq!(Conn::to(second).get("/").text(), "ok");
    let mut idle = Conn::to(first);
    idle.get("/");
    proxy.config.listeners.remove(0);
    proxy.reload(2);
    idle.assert_closed();
    wait_until("the listener's end", || TcpStream::connect(first).is_err());
    assert_eq!(Conn::to(second).get("/").text(), "ok");
    // It comes back.
    proxy.config.listeners.push(Listener::new(Listen::Tcp(first)));
    proxy.reload(3);
    assert_eq!(Conn::to(first).get("/").text(), "ok");
    proxy.end(Signal::QUIT);
}

#[test]
fn an_address_comes_to_stand_beside_all_of_them() {
    let origin = Origin::named("ok");
    let all = SocketAddr::from(([0, 0, 0, 0], free_address().port()));
    let mut proxy = Within::start(&[&origin], |config| {
        config.process.workers = 1;
        config.listeners = vec![Listener::new(Listen::Tcp(all))];
    });
    let part = SocketAddr::from(([127, 0, 0, 1], all.port()));
    proxy.config.listeners.push(Listener::new(Listen::Tcp(part)));
    proxy.reload(1);
    proxy.config.listeners.remove(0);
    proxy.reload(2);
    let other = SocketAddr::from(([127, 0, 0, 2], all.port()));
    wait_until("the end of the other", || TcpStream::connect(other).is_err());
    assert_eq!(Conn::to(part).get("/").text(), "ok");
    proxy.config.listeners.push(Listener::new(Listen::Tcp(all)));
    proxy.reload(3);
    assert_eq!((Conn::to(part).get("/").text(), Conn::to(other).get("/").text()), ("ok", "ok"));
    proxy.end(Signal::QUIT);
}

#[test]
fn the_pid_file_and_the_logs_move() {
    let origin = Origin::named("ok");
    let mut proxy = Within::start(&[&origin], |_| {});
    assert_eq!(proxy.get(), "ok");
    proxy.config.process.pid_file = Some(proxy.path("other.pid"));
    proxy.log_to("access.log");
    proxy.reload(1);
    assert!(proxy.path("other.pid").exists() && !proxy.path("proxy.pid").exists());
    wait_until("a line in the access log", || {
        proxy.get();
        std::fs::read_to_string(proxy.path("access.log")).is_ok_and(|text| text.contains("GET / HTTP/1.1"))
    });
    let path = proxy.path("other.pid");
    proxy.end(Signal::QUIT);
    assert!(!path.exists());
}

#[test]
fn usr1_reopens_the_error_log() {
    let origin = Origin::named("ok");
    let proxy = Within::start(&[&origin], |_| {});
    std::fs::rename(proxy.path("error.log"), proxy.path("error.log.1")).expect("renamed");
    proxy.signal(Signal::USR1);
    wait_until("the new file", || proxy.log().contains("requests whose connection to a server failed"));
    let line = proxy.log().lines().next().expect("a line").to_owned();
    // `2026/11/27 18:00:00 [notice] PID#TID: …`
    let (time, rest) = line.split_once(" [notice] ").expect("a level");
    assert!(time.len() == 19 && rest.starts_with(&format!("{}#", std::process::id())), "{line}");
    assert!(std::fs::read_to_string(proxy.path("error.log.1")).expect("a file").contains("reopening logs"));
    proxy.end(Signal::TERM);
}

#[test]
fn quit_waits_no_longer_than_it_is_allowed_to() {
    let gate = Arc::new(Gate::default());
    let origin = gated(&gate);
    let mut proxy = Within::start(&[&origin], |config| {
        config.process.shutdown_timeout = Some(Duration::from_millis(300));
    });
    let mut busy = proxy.connect();
    busy.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait_requests(1);
    proxy.signal(Signal::QUIT);
    // The gate is shut all the while: it is the timeout that ends it.
    proxy.join();
    assert!(busy.rest().0.is_empty());
    gate.open();
}
