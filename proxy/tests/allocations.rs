//! A request in the steady state takes nothing from the allocator.
//!
//! A real worker over real sockets runs on a thread of its own here; the process's allocator counts what
//! that thread asks of it. Growing and shrinking count as asking.
#![allow(unsafe_code, reason = "an allocator that counts has to be one, and `GlobalAlloc` is unsafe to be")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use proxy::config::{Config, Host, Listen, Listener, Server};
use proxy::worker::logs::Logs;
use proxy::worker::mio_net::MioNet;
use proxy::worker::shared::{Command, Shared};
use proxy::worker::{Worker, listen};

/// What the threads that are watched have asked of the allocator.
static ASKED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether this thread is watched. Needs no allocation of its own.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // Gone at a thread's end, when nothing is watched any more.
    if WATCHED.try_with(Cell::get).unwrap_or(false) {
        ASKED.fetch_add(1, Ordering::SeqCst);
    }
}

// SAFETY: every call goes to the system's allocator with the arguments it came with, and its answer goes
// back as it is, so whatever `System` guarantees holds here. Counting touches no memory that it hands out
// and does not allocate: an atomic and a `const` thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `block` came from `System` through this allocator, with this `layout`.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count();
        // SAFETY: `block` came from `System` through this allocator, with this `layout`.
        unsafe { System.dealloc(block, layout) }
    }
}

/// A server that answers each request with the same bytes. A request ends with `end`.
fn origin(end: &'static [u8], answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            socket.set_nodelay(true).expect("an option");
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                let mut seen = 0;
                while let Ok(n @ 1..) = socket.read(&mut bytes[seen..]) {
                    seen += n;
                    if bytes[..seen].ends_with(end) {
                        seen = 0;
                        socket.write_all(answer).expect("the proxy reads");
                    }
                }
            });
        }
    });
    address
}

/// Receives an answer that ends with `end`.
fn receive(socket: &mut TcpStream, end: &[u8]) {
    let mut bytes = [0; 4096];
    let mut seen = 0;
    while !bytes[..seen].ends_with(end) {
        let n = socket.read(&mut bytes[seen..]).expect("an answer");
        assert!(n > 0, "the proxy closed: {}", String::from_utf8_lossy(&bytes[..seen]));
        seen += n;
    }
    assert!(bytes.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&bytes[..seen]));
}

/// `rounds` requests on each connection, all connections at once.
fn ask(sockets: &mut [TcpStream], request: &[u8], end: &[u8], rounds: usize) {
    for _ in 0..rounds {
        for socket in &mut *sockets {
            socket.write_all(request).expect("the proxy reads");
        }
        for socket in &mut *sockets {
            receive(socket, end);
        }
    }
}

/// Runs `clients` on as many connections and gives what a worker asks of the allocator for their 10,000
/// requests after the first 1,000.
fn measure(request: &'static [u8], request_end: &'static [u8], answer: &'static [u8], clients: usize) -> u64 {
    let answer_end = &answer[answer.len() - 5..];
    let servers: Vec<_> = [(); 2]
        .map(|()| origin(request_end, answer))
        .map(|address| Server::new(&address.to_string(), Host::Literal(address)))
        .into();
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let mut config = Config::new(servers);
    config.listeners = vec![Listener::new(Listen::Tcp(port))];
    config.process.workers = 1;
    config.log_to("/dev/null");

    let bound = listen::bind(&config.listeners[0], 1, Vec::new(), false).expect("a free port");
    let listeners = vec![(0, bound.sockets[0].clone())];
    let (net, remote) = MioNet::new(listeners, Instant::now()).expect("a poller");
    let logs = Logs::open(&config).expect("a log");
    let shared = Arc::new(Shared::new(config, None, 0));
    shared.generation().supply_logs(vec![logs]);
    let worker = Worker::new(net, shared.clone());
    let running = thread::spawn(move || {
        WATCHED.set(true);
        let result = worker.run();
        WATCHED.set(false);
        result
    });

    let mut sockets: Vec<_> = (0..clients).map(|_| TcpStream::connect(port).expect("a connection")).collect();
    for socket in &mut sockets {
        socket.set_nodelay(true).expect("an option");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("an option");
    }
    ask(&mut sockets, request, answer_end, 1_000 / clients);
    let before = ASKED.load(Ordering::SeqCst);
    ask(&mut sockets, request, answer_end, 10_000 / clients);
    let asked = ASKED.load(Ordering::SeqCst) - before;
    assert!(before > 0, "the worker was not watched at all");

    shared.order(Command::Stop);
    remote.wake().expect("a waker");
    running.join().expect("no panic").expect("no error");
    asked
}

/// One test: the counter is the process's.
#[test]
fn a_request_in_the_steady_state_does_not_allocate() {
    let get: &[u8] =
        b"GET /a/path?with=query HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
    let post: &[u8] =
        b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 20\r\n\r\nname=value&more=1234";
    let chunked: &[u8] =
        b"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let by_length: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nX-A: b\r\n\r\nan answer of 20 octs";
    let by_chunks: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for (name, request, end, answer) in [
        ("GET", get, &b"\r\n\r\n"[..], by_length),
        ("GET of chunks", get, b"\r\n\r\n", by_chunks),
        ("POST", post, b"more=1234", by_length),
        ("POST of chunks", chunked, b"0\r\n\r\n", by_chunks),
    ] {
        for clients in [1, 10] {
            let asked = measure(request, end, answer, clients);
            println!("{name}, {clients} clients: {asked} allocations in 10000 requests");
            assert_eq!(asked, 0, "{name} over {clients} connections: allocations in 10000 requests");
        }
    }
}
