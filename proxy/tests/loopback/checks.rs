//! Health checks: servers that are asked whether they are well, and what becomes of those that are not.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::name_server::NameServer;
use crate::support::origin::{Visit, answer, ok};
use crate::support::{Gate, Origin, Proxy, free_address, wait_until};

/// Answers checks as long as it is said to be well, else with a 503; anything else with its name.
fn patient(name: &'static str) -> (Origin, Arc<AtomicBool>) {
    let is_well = Arc::new(AtomicBool::new(true));
    let flag = is_well.clone();
    let origin = Origin::start(move |visit: &mut Visit| {
        loop {
            let answer = match visit.request().target() {
                "/healthz" if !flag.load(Ordering::SeqCst) => {
                    "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n".to_owned()
                }
                _ => ok(name),
            };
            visit.send(answer);
        }
    });
    (origin, is_well)
}

/// Answers checks once the gate is open, anything else at once.
fn gated(gate: &Arc<Gate>, name: &'static str) -> Origin {
    let gate = gate.clone();
    Origin::start(move |visit: &mut Visit| {
        loop {
            if visit.request().target() == "/healthz" {
                gate.pass();
            }
            visit.send(ok(name));
        }
    })
}

/// A proxy for these `server` lines, all of them checked.
fn checked(servers: &str, check: &str) -> Proxy {
    Proxy::start_with("", &configuration(servers, check), |_| {})
}

/// `servers` and `check` hold semicolons as `nginx.conf` has them.
fn configuration(servers: &str, check: &str) -> String {
    format!(
        "upstream app {{ {servers} }} \
         match ready {{ status 200; header ! X-Draining; body ~ \"^I am (ready|up)\"; }} \
         server {{ listen LISTEN; location / {{ proxy_pass http://app; {check} }} }}"
    )
}

fn lines(proxy: &Proxy, part: &str) -> usize {
    proxy.log().iter().filter(|line| line.contains(part)).count()
}

#[test]
fn a_server_that_fails_its_checks_is_left_alone_until_it_passes_them() {
    let ((a, is_well), (b, _)) = (patient("a"), patient("b"));
    let proxy = Proxy::start(format!("{a},{b}"), "--health-check /healthz --health-interval 50ms");
    let mut conn = proxy.connect();
    for round in 1..=2 {
        is_well.store(false, Ordering::SeqCst);
        let line = format!("warn  {a} is unhealthy: 1 check failed (status 503); next check in 50ms");
        wait_until("a to be unhealthy", || proxy.log().iter().filter(|l| **l == line).count() == round);
        for _ in 0..10 {
            assert_eq!(conn.get("/").text(), "b");
        }
        is_well.store(true, Ordering::SeqCst);
        let line = format!("warn  {a} is healthy again: 1 check passed");
        wait_until("a to be healthy", || proxy.log().iter().filter(|l| **l == line).count() == round);
        let bodies = [conn.get("/").text().to_owned(), conn.get("/").text().to_owned()];
        assert!(bodies.contains(&"a".to_owned()), "{bodies:?}");
    }
    assert_eq!(lines(&proxy, &format!("{b} is")), 0);
}

#[test]
fn an_unhealthy_server_is_found_without_a_request_and_every_cause_is_named() {
    let refusing = free_address();
    let silent = Origin::start(|visit| {
        visit.request();
        visit.rest();
    });
    let closing = Origin::start(|visit| {
        visit.request();
    });
    let reset = Origin::start(|visit| {
        visit.request();
        visit.socket().set_linger(Some(Duration::ZERO)).expect("an option");
    });
    let invalid = Origin::answering("nonsense\r\n\r\n");
    let cut = Origin::answering("HTTP/1.0 200 OK\r\nContent-Length: 90\r\n\r\nI am up");
    let cut_off = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nI am up");
    });
    let created = Origin::answering("HTTP/1.1 201 x\r\nContent-Length: 7\r\n\r\nI am up");
    let other = Origin::named("I am down");
    let draining = Origin::answering("HTTP/1.1 200 x\r\nX-Draining: yes\r\nContent-Length: 7\r\n\r\nI am up");
    let well = Origin::answering("HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\nI am ready");
    let causes = [
        (refusing.to_string(), "connection refused"),
        (silent.to_string(), "read timeout"),
        (closing.to_string(), "connection closed before the response's end"),
        (reset.to_string(), "connection reset"),
        (invalid.to_string(), "the response does not start with HTTP/"),
        (cut.to_string(), "read timeout"),
        (cut_off.to_string(), "connection closed before the response's end"),
        (created.to_string(), "status 201"),
        (other.to_string(), "no match for body ~ ^I am (ready|up)"),
        (draining.to_string(), "no match for header ! X-Draining"),
    ];
    let servers: String = causes.iter().map(|(server, _)| format!("server {server};")).collect();
    let proxy = checked(
        &format!("{servers} server {well};"),
        "health_check uri=/healthz match=ready interval=1h; proxy_read_timeout 300ms;",
    );
    for (server, cause) in &causes {
        let line = format!("warn  {server} is unhealthy: 1 check failed ({cause}); next check in 3600s");
        assert_eq!(proxy.wait_log(&format!("{server} is unhealthy")), line);
    }
    for _ in 0..20 {
        assert_eq!(proxy.get("/"), "I am ready");
    }
    for origin in [&silent, &closing, &reset, &invalid, &cut, &cut_off, &created, &other, &draining] {
        assert_eq!(origin.count(), 1, "the check alone");
    }
}

#[test]
fn one_server_that_hangs_holds_up_no_other_check() {
    let hanging: Vec<_> = (0..20)
        .map(|_| {
            Origin::start(|visit| {
                visit.request();
                visit.rest();
            })
        })
        .collect();
    let (a, is_well) = patient("a");
    let servers: String = hanging.iter().map(|origin| format!("server {origin};")).collect();
    let proxy = checked(&format!("{servers} server {a};"), "health_check uri=/healthz interval=50ms;");
    for origin in &hanging {
        origin.wait_requests(1);
    }
    is_well.store(false, Ordering::SeqCst);
    proxy.wait_log(&format!("{a} is unhealthy"));
    is_well.store(true, Ordering::SeqCst);
    proxy.wait_log(&format!("{a} is healthy again"));
}

#[test]
fn fails_and_passes_count_in_a_row() {
    let (a, is_well) = patient("a");
    is_well.store(false, Ordering::SeqCst);
    let proxy = checked(&format!("server {a};"), "health_check uri=/healthz interval=20ms fails=3 passes=4;");
    let line = proxy.wait_log("is unhealthy");
    assert_eq!(line, format!("warn  {a} is unhealthy: 3 checks failed (status 503); next check in 20ms"));
    assert_eq!(proxy.status("/"), 502, "also where it is the only one");
    let line = proxy.wait_log("no live server");
    assert!(line.starts_with(&format!("error no live server: {a} unhealthy (")), "{line}");
    is_well.store(true, Ordering::SeqCst);
    assert_eq!(proxy.wait_log("is healthy"), format!("warn  {a} is healthy again: 4 checks passed"));
    assert_eq!(proxy.get("/"), "a");
}

#[test]
fn with_mandatory_a_server_waits_for_its_first_check() {
    let gate = Arc::new(Gate::default());
    let origin = gated(&gate, "a");
    let proxy = checked(&format!("server {origin};"), "health_check uri=/healthz mandatory;");
    origin.wait_requests(1);
    assert_eq!(proxy.status("/"), 502);
    proxy.wait_log(&format!("error no live server: {origin} not checked yet"));
    gate.open();
    assert_eq!(proxy.wait_log("is healthy"), format!("warn  {origin} is healthy: 1 check passed"));
    assert_eq!(proxy.get("/"), "a");
}

/// Puts another configuration in place, and waits until it is at work for the `number`th time.
fn reload(proxy: &Proxy, from: &str, to: &str, number: usize) {
    let path = proxy.folder().join("nginx.conf");
    let text = std::fs::read_to_string(&path).expect("a file");
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replacen(from, to, 1)).expect("a file");
    proxy.signal(Signal::HUP);
    wait_until("the reload", || lines(proxy, "the new configuration is at work") == number);
}

#[test]
fn a_reload_keeps_what_checks_have_found() {
    let gate = Arc::new(Gate::default());
    let origin = gated(&gate, "a");
    let ill = Origin::answering("HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n");
    let proxy = checked(
        &format!("server {origin}; server {ill};"),
        "health_check uri=/healthz interval=1h mandatory persistent;",
    );
    gate.open();
    proxy.wait_log(&format!("{origin} is healthy"));
    proxy.wait_log(&format!("{ill} is unhealthy"));
    let is_a = || (0..4).all(|_| proxy.get("/") == "a");
    // The group is as it was, and goes on as it is.
    reload(&proxy, "location / {", "location / { add_header X-Round 1;", 1);
    assert!(is_a());
    assert_eq!(ill.count(), 1, "nothing is checked anew");
    // The group has changed: everybody is checked anew, and meanwhile things are as they were.
    reload(&proxy, "interval=1h", "interval=2h", 2);
    assert!(is_a());
    ill.wait_requests(2);
    // Without `persistent` the first check is waited for.
    let other = Arc::new(Gate::default());
    let late = gated(&other, "late");
    reload(&proxy, &format!("server {origin}; server {ill};"), &format!("server {late};"), 3);
    late.wait_requests(1);
    assert_eq!(proxy.status("/"), 502, "it is new");
    other.open();
    wait_until("the first check", || proxy.status("/") == 200);
    // Without a check servers are as good as requests find them.
    reload(&proxy, &format!("server {late};"), &format!("server {ill};"), 4);
    proxy.wait_log(&format!("{ill} is unhealthy"));
    reload(&proxy, "health_check uri=/healthz interval=2h mandatory persistent;", "", 5);
    wait_until("a request for the server", || proxy.status("/") == 500);
}

#[test]
fn checks_begin_with_the_reload_that_brings_them() {
    let (a, is_well) = patient("a");
    is_well.store(false, Ordering::SeqCst);
    let proxy = checked(&format!("server {a};"), "# none\n");
    assert_eq!(proxy.get("/"), "a");
    reload(&proxy, "# none\n", "health_check uri=/healthz interval=50ms;", 1);
    proxy.wait_log("is unhealthy");
    assert_eq!(proxy.status("/"), 502);
}

#[test]
fn a_check_says_who_it_is_and_goes_where_it_is_told() {
    let served = Origin::named("served");
    let mut address: SocketAddr = served.to_string().parse().expect("an address");
    let port = TcpListener::bind((address.ip(), 0)).and_then(|listener| listener.local_addr());
    address.set_port(port.expect("a free port").port());
    let admin = Origin::start_at(address, answer(ok("well")));
    let proxy = checked(
        &format!("server {served};"),
        &format!(
            "proxy_set_header X-Check $proxy_host-$remote_addr-; proxy_set_header Connection x; \
             health_check uri=/healthz?full=1 port={} mandatory;",
            address.port()
        ),
    );
    let request = admin.wait_requests(1).remove(0);
    assert_eq!(request.head.lines().next(), Some("GET /healthz?full=1 HTTP/1.1"));
    assert_eq!((request.field("host"), request.field("x-check")), (Some("app"), Some("app--")));
    assert_eq!(request.field("connection"), Some("close"));
    assert!(request.field("user-agent").is_some_and(|agent| agent.ends_with(" (health check)")));
    proxy.wait_log("is healthy");
    assert_eq!(served.connections(), 0);
    assert_eq!(proxy.get("/"), "served");
}

#[test]
fn with_keepalive_time_a_connection_serves_many_checks() {
    let (kept, _) = patient("kept");
    // It says nothing of it, and closes after each answer.
    let closing = Origin::start(|visit| {
        visit.request();
        visit.send(ok("closing"));
    });
    let proxy = checked(
        &format!("server {kept}; server {closing};"),
        "health_check uri=/healthz interval=20ms keepalive_time=1h;",
    );
    kept.wait_requests(10);
    closing.wait_requests(10);
    assert_eq!(kept.connections(), 1);
    assert_eq!(lines(&proxy, "unhealthy"), 0, "that is no failure");
    // Its time is over soon.
    let proxy =
        checked(&format!("server {kept};"), "health_check uri=/healthz interval=20ms keepalive_time=50ms;");
    wait_until("a second connection", || kept.connections() > 2);
    assert_eq!(lines(&proxy, "unhealthy"), 0);
}

#[test]
fn servers_on_unix_sockets_and_under_names_are_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.sock");
    let unix = Origin::start_unix(&path, answer(ok("unix")));
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = port.expect("a free port").port();
    let proxy = checked(
        &format!("server {unix}; server localhost:{port};"),
        "health_check uri=/healthz interval=50ms mandatory;",
    );
    proxy.wait_log(&format!("{unix} is healthy"));
    let line = proxy.wait_log(" is unhealthy: 1 check failed (connection refused)");
    assert!(line.starts_with(&format!("warn  localhost:{port} ")), "{line}");
    for _ in 0..4 {
        assert_eq!(proxy.get("/"), "unix");
    }
}

#[test]
fn a_name_s_new_address_is_checked_as_soon_as_it_is_known() {
    let (old, new) = (free_address(), free_address());
    let new = SocketAddr::new(new.ip(), old.port());
    let _old = Origin::start_at(old, answer(ok("old")));
    let _new = Origin::start_at(new, answer(ok("new")));
    let has_moved = Arc::new(AtomicBool::new(false));
    let seen = has_moved.clone();
    let names = NameServer::start(move |asked| {
        let address = if seen.load(Ordering::SeqCst) { new } else { old };
        let IpAddr::V4(address) = address.ip() else { unreachable!("it is one of 127/8") };
        vec![asked.addresses(&[address], 1)]
    });
    let http = format!(
        "resolver {}; upstream u {{ zone u 64k; server app.test:{} resolve; }} \
         server {{ listen LISTEN; location / {{ proxy_pass http://u; health_check interval=1h mandatory; }} }}",
        names.address(),
        old.port()
    );
    let proxy = Proxy::start_with("", &http, |_| {});
    wait_until("the old address", || proxy.connect().get("/").text() == "old");
    has_moved.store(true, Ordering::SeqCst);
    wait_until("the new address", || proxy.connect().get("/").text() == "new");
    assert_eq!(lines(&proxy, " is healthy: 1 check passed"), 2);
}

#[test]
fn a_check_that_is_under_way_does_not_hold_up_the_end() {
    for signal in [Signal::QUIT, Signal::TERM] {
        let gate = Arc::new(Gate::default());
        let origin = gated(&gate, "a");
        let mut proxy = checked(&format!("server {origin};"), "health_check uri=/healthz interval=20ms;");
        origin.wait_requests(1);
        proxy.signal(signal);
        assert!(proxy.wait_exit().success());
        gate.open();
    }
}
