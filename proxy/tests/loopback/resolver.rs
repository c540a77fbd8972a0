//! Servers whose names are asked of name servers (`resolver`, `server … resolve`).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;

use crate::support::name_server::{Asked, NameServer};
use crate::support::origin::{answer, ok};
use crate::support::{Origin, Proxy, free_address, wait_until};

/// What a name server answers, given the addresses of the two origins.
type Script = fn(&Asked, Ipv4Addr, Ipv4Addr) -> Vec<Vec<u8>>;

/// Two origins on one port of two addresses, called `first` and `second`.
fn pair() -> ([Origin; 2], [Ipv4Addr; 2], u16) {
    let (a, b) = (free_address(), free_address());
    let b = SocketAddr::new(b.ip(), a.port());
    let origins = [Origin::start_at(a, answer(ok("first"))), Origin::start_at(b, answer(ok("second")))];
    (origins, [ipv4(a), ipv4(b)], a.port())
}

fn ipv4(address: SocketAddr) -> Ipv4Addr {
    match address.ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(_) => unreachable!("it is one of 127/8"),
    }
}

/// A proxy to `app.test` at this port, whose address these name servers know.
fn proxy(servers: &[&NameServer], parameters: &str, port: u16) -> Proxy {
    let servers: Vec<_> = servers.iter().map(|server| server.address().to_string()).collect();
    let http = format!(
        "resolver {} {parameters};
         upstream u {{ zone u 64k; server app.test:{port} resolve; }}
         server {{ listen LISTEN; location / {{ proxy_pass http://u; }} }}",
        servers.join(" ")
    );
    Proxy::start_with("", &http, |_| {})
}

#[test]
fn traffic_moves_with_the_address_when_its_time_is_over() {
    let ([_first, _second], [a, b], port) = pair();
    let place = Arc::new(AtomicUsize::new(0));
    let now_at = place.clone();
    let names =
        NameServer::start(move |asked| vec![asked.addresses(&[[a, b][now_at.load(Ordering::SeqCst)]], 1)]);
    let proxy = proxy(&[&names], "", port);
    assert_eq!(proxy.get("/"), "first");
    assert_eq!(names.asked()[..2], ["A app.test", "AAAA app.test"]);
    place.store(1, Ordering::SeqCst);
    wait_until("the move", || proxy.get("/") == "second");
    proxy.wait_log(&format!("app.test:{port}: {b}:{port} is new"));
}

#[test]
fn valid_stands_for_the_time_that_answers_have_and_one_kind_can_be_left_out() {
    let ([_first, _second], [a, _], port) = pair();
    let names = NameServer::knowing("app.test", vec![a], 3_600);
    let proxy = proxy(&[&names], "valid=1s ipv6=off", port);
    assert_eq!(proxy.get("/"), "first");
    wait_until("more look-ups", || names.asked().len() > 2);
    assert!(names.asked().iter().all(|asked| asked == "A app.test"));
}

#[test]
fn a_service_has_the_servers_ports_and_shares_that_its_records_say() {
    let ([_first, second], [a, b], port) = pair();
    let spare = free_address();
    let _spare = Origin::start_at(spare, answer(ok("spare")));
    let (spare_ip, spare_port) = (ipv4(spare), spare.port());
    let has_one = Arc::new(AtomicUsize::new(0));
    let only_spare = has_one.clone();
    let names = NameServer::start(move |asked| match asked.name.as_str() {
        "_http._tcp.app.test" if only_spare.load(Ordering::SeqCst) == 1 => {
            vec![asked.servers(&[(7, 1, spare_port, "spare.test")], 1)]
        }
        "_http._tcp.app.test" => vec![asked.servers(
            &[
                (1, 2, port, "first.test"),
                (1, 1, port, "second.test"),
                (0, 9, port, "unknown.test"),
                (1, 9, port, "silent.test"),
                (7, 1, spare_port, "spare.test"),
            ],
            1,
        )],
        "first.test" => vec![asked.addresses(&[a], 60)],
        "second.test" => vec![asked.addresses(&[b], 60)],
        "spare.test" => vec![asked.addresses(&[spare_ip], 60)],
        "silent.test" => Vec::new(),
        _ => vec![asked.failed(3)],
    });
    let http = format!(
        "resolver {} ipv6=off;
         upstream u {{ server app.test service=http resolve; }}
         server {{ listen LISTEN; location / {{ proxy_pass http://u; }} }}",
        names.address()
    );
    let proxy = Proxy::start_with("", &http, |_| {});
    let answers: Vec<String> = (0..6).map(|_| proxy.get("/")).collect();
    let count = |who: &str| answers.iter().filter(|answer| *answer == who).count();
    assert_eq!((count("first"), count("second")), (4, 2), "by their weights, and none from the spare one");
    assert_eq!(names.asked()[0], "SRV _http._tcp.app.test");
    proxy.wait_log("without unknown.test of _http._tcp.app.test, which does not resolve (3: Host not found)");
    drop(second);
    has_one.store(1, Ordering::SeqCst);
    wait_until("the spare one, which is the best that is left", || proxy.get("/") == "spare");
    proxy.wait_log(&format!("app.test: {a}:{port} is gone, {b}:{port} is gone"));
}

#[test]
fn an_alias_a_truncated_answer_and_a_forged_one() {
    let ([_first, _second], [a, b], port) = pair();
    let scripts: [Script; 4] = [
        |asked, a, _| vec![asked.alias("other.test", a, 60)],
        |asked, a, _| match asked.name.as_str() {
            "app.test" => vec![asked.bare_alias("other.test", 60)],
            _ => vec![asked.addresses(&[a], 60)],
        },
        |asked, a, _| match asked.over_tcp {
            true => vec![asked.addresses(&[a], 60)],
            false => vec![asked.truncated()],
        },
        |asked, a, b| {
            let mut forged = asked.addresses(&[b], 60);
            forged[1] ^= 1;
            vec![forged, asked.addresses(&[a], 60)]
        },
    ];
    for script in scripts {
        let names = NameServer::start(move |asked| script(asked, a, b));
        let proxy = proxy(&[&names], "", port);
        assert_eq!(proxy.get("/"), "first");
    }
}

#[test]
fn one_kind_that_cannot_be_had_whole_does_not_matter_where_the_other_has_addresses() {
    let ([_first, _second], [a, _], port) = pair();
    // What is asked over TCP has no answer: the connection is closed.
    let names = NameServer::start(move |asked| match (asked.over_tcp, asked.kind) {
        (false, 28) => vec![asked.truncated()],
        (false, _) => vec![asked.addresses(&[a], 60)],
        (true, _) => Vec::new(),
    });
    let proxy = proxy(&[&names], "", port);
    assert_eq!(proxy.get("/"), "first");
}

#[test]
fn a_name_server_that_is_silent_or_fails_is_followed_by_the_next_one() {
    let ([_first, _second], [a, _], port) = pair();
    let silent = NameServer::start(|_| Vec::new());
    let failing = NameServer::start(|asked| vec![asked.failed(2)]);
    let knowing = NameServer::knowing("app.test", vec![a], 1);
    let proxy = proxy(&[&silent, &failing, &knowing], "ipv6=off", port);
    assert_eq!(proxy.get("/"), "first");
    // From now on the one is asked first that has answered.
    wait_until("more look-ups", || knowing.asked().len() > 2);
    assert_eq!((silent.asked().len(), failing.asked().len()), (1, 1));
}

/// The system looks its name up: a number here, which asks nobody. Another one has no address.
#[test]
fn a_name_server_may_be_given_by_its_name() {
    let ([_first, _second], [a, _], port) = pair();
    let names = NameServer::knowing("app.test", vec![a], 60);
    let at = names.address();
    let http = format!(
        "resolver nope.invalid {}:{} ipv6=off;
         upstream u {{ server app.test:{port} resolve; }}
         server {{ listen LISTEN; location / {{ proxy_pass http://u; }} }}",
        ipv4(at).to_bits(),
        at.port()
    );
    let proxy = Proxy::start_with("", &http, |_| {});
    assert_eq!(proxy.get("/"), "first");
    assert_eq!(names.asked(), ["A app.test"]);
}

#[test]
fn a_name_that_is_denied_keeps_its_address_and_that_is_said_once() {
    let ([_first, _second], [a, _], port) = pair();
    let is_known = Arc::new(AtomicUsize::new(1));
    let known = is_known.clone();
    let names = NameServer::start(move |asked| match known.load(Ordering::SeqCst) {
        0 => vec![asked.failed(3)],
        _ => vec![asked.addresses(&[a], 1)],
    });
    let proxy = proxy(&[&names], "ipv6=off", port);
    assert_eq!(proxy.get("/"), "first");
    is_known.store(0, Ordering::SeqCst);
    let line = proxy.wait_log("does not resolve");
    assert_eq!(
        line,
        format!("warn  app.test:{port} does not resolve (3: Host not found); it is tried again")
    );
    assert_eq!(proxy.get("/"), "first");
}

#[test]
fn a_name_that_nobody_knows_is_found_once_somebody_does() {
    let ([_first, _second], [a, _], port) = pair();
    let is_known = Arc::new(AtomicUsize::new(0));
    let known = is_known.clone();
    let names = NameServer::start(move |asked| match known.load(Ordering::SeqCst) {
        0 => vec![asked.failed(5)],
        _ => vec![asked.addresses(&[a], 60)],
    });
    let proxy = proxy(&[&names], "", port);
    proxy.wait_log("does not resolve (5: Operation refused)");
    assert_eq!(proxy.status("/"), 502);
    wait_until("more look-ups", || names.asked().len() > 4);
    is_known.store(1, Ordering::SeqCst);
    wait_until("the address", || proxy.status("/") == 200);
    let lines = proxy.log().iter().filter(|line| line.contains("does not resolve")).count();
    assert_eq!(lines, 1);
}

#[test]
fn a_name_that_takes_long_keeps_no_other_one_waiting() {
    let ([_first, _second], [a, _], port) = pair();
    let names = NameServer::start(move |asked| match asked.name.as_str() {
        "slow.test" => Vec::new(),
        _ => vec![asked.addresses(&[a], 1)],
    });
    let http = format!(
        "resolver {} ipv6=off;
         upstream u {{ server slow.test:{port} resolve; server app.test:{port} resolve; }}
         server {{ listen LISTEN; location / {{ proxy_pass http://u; }} }}",
        names.address()
    );
    let proxy = Proxy::start_with("", &http, |_| {});
    assert_eq!(proxy.get("/"), "first");
    let count = |name: &str| names.asked().iter().filter(|asked| asked.contains(name)).count();
    let before = count("app.test");
    wait_until("look-ups of the other one", || count("app.test") > before + 2);
}

/// Neither at the start, which waits for an answer to each, nor later.
#[test]
fn many_silent_names_keep_no_other_one_from_being_found() {
    let ([_first, _second], [a, _], port) = pair();
    let names = NameServer::start(move |asked| match asked.name.as_str() {
        "app.test" => vec![asked.addresses(&[a], 1)],
        _ => Vec::new(),
    });
    let silent: String = (0..80).map(|number| format!("server s{number}.test:{port} resolve;\n")).collect();
    let http = format!(
        "resolver {} ipv6=off; resolver_timeout 1h;
         upstream u {{ {silent} server app.test:{port} resolve; }}
         server {{ listen LISTEN; location / {{ proxy_pass http://u; }} }}",
        names.address()
    );
    let proxy = Proxy::start_with("", &http, |_| {});
    assert_eq!(proxy.get("/"), "first");
    let count = || names.asked().iter().filter(|asked| asked.contains("app.test")).count();
    let before = count();
    wait_until("look-ups of the other one", || count() > before + 2);
    let lines = proxy.log();
    assert!(
        !lines.iter().any(|line| line.contains("app.test:") && line.contains("does not resolve")),
        "{lines:?}"
    );
}

/// A reload that brings the service looks it up, and so does whoever keeps its times; one that leaves it as it is too.
#[test]
fn reloads_say_once_what_a_service_goes_without() {
    let ([_first, _second], [a, _], port) = pair();
    let names = NameServer::start(move |asked| match asked.name.as_str() {
        "_http._tcp.app.test" => {
            vec![asked.servers(&[(1, 1, port, "first.test"), (1, 1, port, "unknown.test")], 1)]
        }
        "first.test" => vec![asked.addresses(&[a], 1)],
        _ => vec![asked.failed(3)],
    });
    let http = format!(
        "resolver {} ipv6=off;
         upstream u {{ server 127.0.0.1:1; }}
         server {{ listen LISTEN; location / {{ proxy_pass http://u; }} }}",
        names.address()
    );
    let proxy = Proxy::start_with("", &http, |_| {});
    let file = proxy.folder().join("nginx.conf");
    let text = std::fs::read_to_string(&file).expect("a file");
    let text = text.replace("server 127.0.0.1:1;", "server app.test service=http resolve;");
    std::fs::write(&file, text).expect("a file");
    for nth in 1..3 {
        proxy.signal(Signal::HUP);
        let is_done = |line: &&String| line.contains("the new configuration is at work");
        wait_until("the reload", || proxy.log().iter().filter(is_done).count() == nth);
        let before = names.asked().len();
        wait_until("more look-ups", || names.asked().len() > before + 6);
    }
    assert_eq!(proxy.get("/"), "first");
    let lines = proxy.log();
    assert_eq!(lines.iter().filter(|line| line.contains("without unknown.test")).count(), 1, "{lines:?}");
}

#[test]
fn a_reload_goes_on_asking_and_may_have_somebody_else_asked() {
    let ([_first, _second], [a, b], port) = pair();
    let known_to_one = Arc::new(AtomicUsize::new(0));
    let now_at = known_to_one.clone();
    let one =
        NameServer::start(move |asked| vec![asked.addresses(&[[a, b][now_at.load(Ordering::SeqCst)]], 1)]);
    let other = NameServer::knowing("app.test", vec![a], 3_600);
    let proxy = proxy(&[&one], "ipv6=off", port);
    let reload = |nth: usize| {
        proxy.signal(Signal::HUP);
        let is_done = |line: &&String| line.contains("the new configuration is at work");
        wait_until("the reload", || proxy.log().iter().filter(is_done).count() == nth);
    };
    assert_eq!(proxy.get("/"), "first");
    reload(1);
    assert_eq!(proxy.get("/"), "first");
    known_to_one.store(1, Ordering::SeqCst);
    wait_until("the move", || proxy.get("/") == "second");
    let file = proxy.folder().join("nginx.conf");
    let text = std::fs::read_to_string(&file).expect("a file");
    let text = text.replace(&one.address().to_string(), &other.address().to_string());
    std::fs::write(&file, text).expect("a file");
    reload(2);
    // The group is another one, which has the old addresses until the answer is there.
    wait_until("the other's answer", || proxy.get("/") == "first");
    assert!(!other.asked().is_empty());
}
