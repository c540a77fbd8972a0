//! The counters of `stub_status`, over all workers.

use rustix::process::Signal;

use super::support::{Conn, Proxy, wait_until};

const HTTP: &str = "server { listen LISTEN; location = /status { stub_status; } location / { return 204; } }";

/// What the page says: active, accepted, handled, requests, reading, writing, waiting.
fn counters(conn: &mut Conn) -> [u64; 7] {
    let response = conn.get("/status");
    assert_eq!((response.status(), response.field("content-type")), (200, Some("text/plain")));
    let text = response.text();
    let numbers: Vec<u64> = text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [active, accepted, handled, requests, reading, writing, waiting] = numbers[..] else {
        panic!("{text}")
    };
    let expected = format!(
        "Active connections: {active} \nserver accepts handled requests\n {accepted} {handled} {requests} \n\
         Reading: {reading} Writing: {writing} Waiting: {waiting} \n"
    );
    assert_eq!(text, expected);
    [active, accepted, handled, requests, reading, writing, waiting]
}

#[test]
fn connections_and_requests_are_counted() {
    let proxy = Proxy::start_with("worker_processes 1;", HTTP, |_| {});
    let mut conn = proxy.connect();
    assert_eq!(counters(&mut conn), [1, 1, 1, 1, 0, 1, 0]);
    assert_eq!(conn.get("/").status(), 204);
    assert_eq!(counters(&mut conn), [1, 1, 1, 3, 0, 1, 0]);
    let idle = proxy.connect();
    let mut begun = proxy.connect();
    begun.send("GET / HT");
    wait_until("both are there", || counters(&mut conn)[..3] == [3, 3, 3]);
    wait_until("one has begun", || counters(&mut conn)[4..] == [1, 1, 1]);
    begun.send("TP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(begun.response().status(), 204);
    wait_until("it is through", || counters(&mut conn)[4..] == [0, 1, 2]);
    drop((idle, begun));
    wait_until("both have left", || counters(&mut conn)[..3] == [1, 3, 3]);
}

#[test]
fn all_workers_count_together() {
    let proxy = Proxy::start_with("worker_processes 3;", HTTP, |_| {});
    let mut conns: Vec<_> = (0..30).map(|_| proxy.connect()).collect();
    for conn in &mut conns {
        assert_eq!(conn.get("/").status(), 204);
    }
    let mut conn = conns.pop().expect("one of them");
    wait_until("the others wait", || counters(&mut conn)[4..] == [0, 1, 29]);
    let [active, accepted, _, requests, ..] = counters(&mut conn);
    assert_eq!((active, accepted), (30, 30));
    assert!(requests >= 32, "{requests}");
}

#[test]
fn only_reading_is_for_counters() {
    let proxy = Proxy::start_with("", HTTP, |_| {});
    let mut conn = proxy.connect();
    let response = conn.post("/status", "x");
    assert_eq!((response.status(), response.field("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn counting_begins_with_a_reload() {
    let proxy = Proxy::start_with("worker_processes 1;", &HTTP.replace("stub_status", "return 404"), |_| {});
    let mut conn = proxy.connect();
    assert_eq!(conn.get("/status").status(), 404);
    let mut begun = proxy.connect();
    begun.send("GET / HT");
    let file = proxy.folder().join("nginx.conf");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, text.replace("return 404", "stub_status")).expect("written");
    proxy.signal(Signal::HUP);
    wait_until("the new configuration", || conn.get("/status").status() == 200);
    wait_until("one has begun", || counters(&mut conn)[4..] == [1, 1, 0]);
    begun.send("TP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(begun.response().status(), 204);
    wait_until("it is through", || counters(&mut conn)[4..] == [0, 1, 1]);
}
