//! Names that variables of `proxy_pass` give, looked up as requests come.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::name_server::NameServer;
use crate::support::origin::{answer, ok};
use crate::support::{Conn, Gate, Origin, Proxy, free_address, wait_until};

/// A proxy to the host that is asked for, at this port.
fn proxy(names: &NameServer, parameters: &str, port: u16) -> Proxy {
    let http = format!(
        "resolver {} {parameters};
         log_format own '$upstream_addr $upstream_status $status $proxy_host';
         server {{
             listen LISTEN; access_log FOLDER/access.log own;
             location / {{ proxy_pass http://$arg_to:{port}; }}
         }}",
        names.address()
    );
    Proxy::start_with("worker_processes 1;", &http, |_| {})
}

fn ip(address: SocketAddr) -> Ipv4Addr {
    address.ip().to_string().parse().expect("it is one of 127/8")
}

fn log(proxy: &Proxy) -> Vec<String> {
    let text = std::fs::read_to_string(proxy.folder().join("access.log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_name_is_asked_for_once_in_its_time() {
    let address = free_address();
    let _origin = Origin::start_at(address, answer(ok("here")));
    let names = NameServer::knowing("app.test", vec![ip(address)], 3_600);
    let proxy = proxy(&names, "", address.port());
    for name in ["app.test", "APP.test", "app.test"] {
        assert_eq!(proxy.get(&format!("/?to={name}")), "here");
    }
    let mut seen = names.asked();
    seen.sort();
    assert_eq!(seen, ["A app.test", "AAAA app.test"]);
    wait_until("the log", || log(&proxy).len() == 3);
    assert_eq!(log(&proxy)[0], format!("{address} 200 200 app.test:{}", address.port()));
}

#[test]
fn it_moves_when_its_time_is_over_and_no_time_at_all_is_for_one_request() {
    for ttl in [0, 1] {
        let (first, second) = (free_address(), free_address());
        let second = SocketAddr::new(second.ip(), first.port());
        let _first = Origin::start_at(first, answer(ok("first")));
        let _second = Origin::start_at(second, answer(ok("second")));
        let place = Arc::new(AtomicUsize::new(0));
        let now_at = place.clone();
        let names = NameServer::start(move |asked| {
            vec![asked.addresses(&[ip([first, second][now_at.load(Ordering::SeqCst)])], ttl)]
        });
        let proxy = proxy(&names, "ipv6=off", first.port());
        assert_eq!(proxy.get("/?to=app.test"), "first");
        place.store(1, Ordering::SeqCst);
        if ttl == 0 {
            assert_eq!(proxy.get("/?to=app.test"), "second");
            assert_eq!(names.asked().len(), 2);
        }
        wait_until("the move", || proxy.get("/?to=app.test") == "second");
    }
}

#[test]
fn several_addresses_are_tried_in_turn() {
    let (live, dead) = (free_address(), free_address());
    let dead = SocketAddr::new(dead.ip(), live.port());
    let origin = Origin::start_at(live, answer(ok("here")));
    let names = NameServer::knowing("app.test", vec![ip(dead), ip(live)], 3_600);
    let proxy = proxy(&names, "", live.port());
    for _ in 0..6 {
        assert_eq!(proxy.get("/?to=app.test"), "here");
    }
    assert_eq!(origin.requests().len(), 6);
    wait_until("the log", || log(&proxy).len() == 6);
    let name = format!("app.test:{}", live.port());
    let (retried, straight) =
        (format!("{dead}, {live} 502, 200 200 {name}"), format!("{live} 200 200 {name}"));
    // Nothing is remembered of the one that is dead: half of the requests begin there.
    let log = log(&proxy);
    assert_eq!(log.iter().filter(|line| **line == retried).count(), 3, "{log:?}");
    assert_eq!(log.iter().filter(|line| **line == straight).count(), 3, "{log:?}");
}

#[test]
fn what_has_no_address_is_a_502_that_the_log_explains() {
    let names = NameServer::start(|asked| match asked.name.as_str() {
        "silent.test" => Vec::new(),
        "failing.test" => vec![asked.failed(2)],
        "empty.test" => vec![asked.addresses(&[], 60)],
        _ => vec![asked.failed(3)],
    });
    for (name, why) in [
        ("nope.test", "nope.test could not be resolved (3: Host not found)"),
        ("empty.test", "empty.test could not be resolved (3: Host not found)"),
        ("failing.test", "failing.test could not be resolved (2: Server failure)"),
        ("silent.test", "silent.test could not be resolved (110: Operation timed out)"),
        ("a..b", "a..b could not be resolved (3: Host not found)"),
    ] {
        let proxy = proxy(&names, "ipv6=off; resolver_timeout 300ms", 81);
        assert_eq!(proxy.status(&format!("/?to={name}")), 502, "{name}");
        proxy.wait_log(why);
        wait_until("the log", || log(&proxy) == [format!("- - 502 {name}:81")]);
    }
}

#[test]
fn without_a_resolver_there_is_no_name() {
    let http = "server { listen LISTEN; location / { proxy_pass http://$arg_to; } }";
    let proxy = Proxy::start_with("", http, |_| {});
    assert_eq!(proxy.status("/?to=app.test:81"), 502);
    assert_eq!(proxy.wait_log("no resolver"), "error no resolver defined to resolve app.test");
}

#[test]
fn many_requests_wait_for_one_look_up_and_who_leaves_disturbs_nobody() {
    let address = free_address();
    let _origin = Origin::start_at(address, answer(ok("here")));
    let gate = Arc::new(Gate::default());
    let shut = gate.clone();
    let names = NameServer::start(move |asked| {
        shut.pass();
        vec![asked.addresses(&[ip(address)], 0)]
    });
    let proxy = proxy(&names, "ipv6=off", address.port());
    let mut clients: Vec<_> = (0..20).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send("GET /?to=app.test HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    wait_until("the question", || !names.asked().is_empty());
    clients.truncate(10);
    // The others have asked too before it is answered.
    std::thread::sleep(Duration::from_millis(200));
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().text(), "here");
    }
    assert_eq!(names.asked().len(), 1);
}

#[test]
fn a_slow_name_holds_nobody_else_up() {
    let address = free_address();
    let _origin = Origin::start_at(address, answer(ok("here")));
    let names = NameServer::start(move |asked| match asked.name.as_str() {
        "app.test" => vec![asked.addresses(&[ip(address)], 60)],
        _ => Vec::new(),
    });
    let proxy = proxy(&names, "ipv6=off", address.port());
    let mut slow: Vec<_> = (0..5).map(|_| proxy.connect()).collect();
    for (number, client) in slow.iter_mut().enumerate() {
        client.send(format!("GET /?to=slow{number}.test HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    wait_until("the questions", || names.asked().len() == 5);
    assert_eq!(proxy.get("/?to=app.test"), "here");
}

/// Such a request has a group of its own, which is in no worker's pools.
#[test]
fn heads_of_servers_outside_of_all_groups_are_told_apart_by_nothing_that_groups_have() {
    let origin = Origin::start(|visit| {
        let large = visit.request().target().starts_with("/large");
        let field = "x".repeat(if large { 5_000 } else { 5 });
        visit.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Field: {field}\r\n\r\nok"));
    });
    let http = format!(
        "upstream timed {{ least_time header; server {origin}; }}
         server {{
             listen LISTEN;
             location / {{ proxy_pass http://$arg_to; }}
             location /timed {{ proxy_pass http://timed; }}
             location /status {{ stub_status; }}
         }}"
    );
    let proxy = Proxy::start_with("worker_processes 1;", &http, |_| {});
    assert_eq!(proxy.get(&format!("/?to={origin}")), "ok");
    assert_eq!(proxy.status(&format!("/large?to={origin}")), 502);
    assert_eq!(proxy.get("/timed"), "ok");
}

/// Names that no name server answers for, many at once.
#[test]
fn any_number_of_silent_names_holds_nobody_else_up() {
    let address = free_address();
    let _origin = Origin::start_at(address, answer(ok("here")));
    let names = NameServer::start(move |asked| match asked.name.as_str() {
        "app.test" => vec![asked.addresses(&[ip(address)], 0)],
        _ => Vec::new(),
    });
    let proxy = proxy(&names, "ipv6=off; resolver_timeout 1h", address.port());
    let ask = |name: &str| {
        let mut client = proxy.connect();
        client.send(format!("GET /?to={name} HTTP/1.1\r\nHost: x\r\n\r\n"));
        client
    };
    let mut first = ask("silent.test");
    wait_until("the first question", || !names.asked().is_empty());
    // More than are looked up at once.
    let mut count = 0;
    while count < 1_100 {
        let clients: Vec<_> =
            (count..count + 100).map(|number| ask(&format!("silent{number}.test"))).collect();
        count += clients.len();
        let last = format!("A silent{}.test", count - 1);
        wait_until("the questions", || names.asked().contains(&last));
        assert_eq!(proxy.get("/?to=app.test"), "here");
        clients.into_iter().for_each(Conn::reset);
    }
    // The oldest has made place.
    assert_eq!(first.response().status(), 502);
    proxy.wait_log("silent.test could not be resolved (too many names are being looked up)");
}
