//! A worker's turn, taken by hand: what it keeps, and whether it may sleep.

use std::io::{Read as _, Write as _};
use std::sync::mpsc::channel;

use mio::net::UnixStream;

use super::*;
use crate::counter::Site;
use crate::listen::Socket;
use crate::redis_counter::RedisCounter;

fn worker(counter: Counter) -> Worker {
    let options = crate::Options::new(vec!["app1=127.0.0.1:0".parse().unwrap()]);
    let (poll, waker) = Setup::poll().unwrap();
    let setup = Setup { poll, waker, listeners: Vec::new(), inbox: channel().1, stop: Arc::default() };
    let shared = Arc::new(Shared { sites: Site::all(&options), counter });
    Worker::new(0, setup, shared).unwrap()
}

/// A client of `worker` that has sent `text`, which was read; and its other end.
fn client(worker: &mut Worker, text: &str) -> (Key, UnixStream) {
    let (mut far, near) = UnixStream::pair().unwrap();
    let mut socket = Socket::Unix(near);
    let (now, registry) = (worker.context.now, worker.setup.poll.registry());
    let key = worker.clients.insert_with_key(|key| {
        socket.register(registry, Token(key.data().as_ffi() as usize)).unwrap();
        Client::new(socket, Connection::new(0, now))
    });
    far.write_all(text.as_bytes()).unwrap();
    let mut events = Events::with_capacity(16);
    worker.setup.poll.poll(&mut events, None).unwrap();
    worker.tick();
    for event in &events {
        worker.event(event);
    }
    (key, far)
}

#[test]
fn a_hit_behind_one_that_the_full_queue_refused_does_not_wait() {
    let mut worker = worker(Counter::Redis(RedisCounter::full()));
    let (key, mut far) = client(&mut worker, &"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2));
    for answers in 1..=2 {
        assert_eq!(worker.hits, [key], "before answer {answers}");
        assert_eq!(worker.timeout(), Some(Duration::ZERO), "before answer {answers}");
        worker.count();
        let mut bytes = [0; 1024];
        let count = far.read(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes[..count]);
        assert!(text.starts_with("HTTP/1.1 503 ") && text.matches("HTTP/1.1").count() == 1, "{text}");
    }
    assert!(worker.hits.is_empty());
    assert_ne!(worker.timeout(), Some(Duration::ZERO));
}

#[test]
fn the_delays_of_clients_that_have_left_go_with_the_next_sweep() {
    let mut worker = worker(Counter::Off);
    let (stays, _far) = client(&mut worker, "GET /delay/60000 HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..10 {
        let (leaves, _) = client(&mut worker, "GET /delay/60000 HTTP/1.1\r\nHost: a\r\n\r\n");
        worker.drop_client(leaves);
    }
    assert_eq!(worker.delays.len(), 11);
    worker.next_sweep = worker.context.now;
    worker.sweep();
    let left: Vec<Key> = worker.delays.iter().map(|Reverse((_, key))| *key).collect();
    assert_eq!(left, [stays]);
}
