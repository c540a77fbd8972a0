//! One counter over all names, workers and connections.

use std::thread;

use crate::client::{Client, server};

#[test]
fn hits_are_numbered_once_over_names_and_workers() {
    const CLIENTS: usize = 16;
    const ROUNDS: usize = 100;
    const DEPTH: usize = 5;
    let server = server(&["app1=127.0.0.1:0", "app2=127.0.0.1:0"], |options| options.workers = 3);
    let mut hits: Vec<i64> = thread::scope(|scope| {
        let run = |index: usize| {
            let mut client = Client::connect(&server, ["app1", "app2"][index % 2]);
            let mut hits = Vec::new();
            for _ in 0..ROUNDS {
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(DEPTH));
                hits.extend((0..DEPTH).map(|_| client.response().hit()));
            }
            assert!(hits.is_sorted(), "one connection's numbers go up");
            hits
        };
        let threads: Vec<_> = (0..CLIENTS).map(|index| scope.spawn(move || run(index))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    hits.sort_unstable();
    let all: Vec<i64> = (1..=(CLIENTS * ROUNDS * DEPTH) as i64).collect();
    assert!(hits == all, "not 1 to {}", all.len());
    assert_eq!(server.hits(), Some(all.len() as i64));
}

#[test]
fn a_greeting_names_its_backend() {
    let server = server(&["app1=127.0.0.1:0", "app2=127.0.0.1:0"], |_| {});
    for (name, number) in [("app1", 1), ("app2", 2)] {
        let response = Client::connect(&server, name).fetch("/");
        assert_eq!(response.text(), format!("Hello from {name}! Hits: {number}\n"));
        assert_eq!(response.field("X-Backend"), Some(name));
        assert_eq!(response.field("Content-Type"), Some("text/plain"));
    }
}

#[test]
fn a_share_fails_on_purpose_for_one_name() {
    let server = server(&["app1=127.0.0.1:0,fail_rate=0.25", "app2=127.0.0.1:0"], |_| {});
    let failures = |name| {
        let mut client = Client::connect(&server, name);
        (0..100).filter(|_| client.fetch("/").status == 500).count()
    };
    assert_eq!((failures("app1"), failures("app2")), (25, 0));
}
