//! Very many requests of every kind through two backends, every body checked at both ends.
//!
//! Each request is known by its number, from which both ends work out what it is to be: method, sizes, framing,
//! habits. A backend checks the request and its body and counts its number; the client checks that the answer
//! is that number's and its body is right. At the end each number was delivered once, and the proxy holds
//! what it held after the first tenth.
//!
//! `SOAK_REQUESTS` says how many, 20,000 where it is not set. The full run is a million, in a few minutes:
//! `SOAK_REQUESTS=1000000 cargo test --release -p proxy --test soak -- --nocapture`

mod support;

use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

use support::{Conn, Message, Proxy, free_address, wait_until};

/// Clients at once.
const CLIENTS: usize = 12;

/// The largest body.
const LARGEST: usize = 10_000_000;

/// One request in so many has the largest body, on its way to the server or back.
const LARGEST_EVERY: u64 = 5_000;

/// How far bodies of the same length can differ in their beginning: see [`body`].
const SHIFTS: usize = 65_536;

/// What a request is to be.
#[derive(Clone, Copy, Debug)]
struct Plan {
    number: u64,
    method: &'static str,
    request_length: usize,
    request_chunked: bool,
    /// It asks for a 100 and waits for it.
    expects: bool,
    /// The client speaks HTTP/1.0 and so closes behind it.
    is_old: bool,
    /// The client says `Connection: close`.
    closes: bool,
    response_length: usize,
    response_framing: Framing,
    /// The backend says `Connection: close`.
    backend_closes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length,
    Chunks,
    Close,
}

impl Plan {
    fn of(number: u64) -> Plan {
        let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bf0_3635);
        let mut plan = Plan {
            number,
            method: ["GET", "GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE"][random.below(9)],
            request_length: size(&mut random),
            request_chunked: random.below(3) == 0,
            expects: random.below(50) == 0,
            is_old: random.below(40) == 0,
            closes: random.below(25) == 0,
            response_length: size(&mut random),
            response_framing: match random.below(60) {
                0 => Framing::Close,
                1..20 => Framing::Chunks,
                _ => Framing::Length,
            },
            backend_closes: random.below(60) == 0,
        };
        if number % LARGEST_EVERY == LARGEST_EVERY - 1 {
            if random.below(2) == 0 {
                plan.request_length = LARGEST;
                plan.method = if random.below(2) == 0 { "PUT" } else { "POST" };
            } else {
                plan.response_length = LARGEST;
                plan.method = "GET";
            }
        }
        if matches!(plan.method, "GET" | "HEAD") || (plan.method == "DELETE" && random.below(2) == 0) {
            plan.request_length = 0;
        }
        plan.request_chunked &= !plan.is_old && plan.request_length > 0;
        plan.expects &= !plan.is_old && plan.request_length > 0;
        plan
    }

    /// It may be sent before the answers to those before it have come: what is under way at once fits the
    /// sockets, so that neither side waits for the other's reading.
    fn may_be_pipelined(&self) -> bool {
        self.request_length <= 8_000 && self.response_length <= 8_000 && !self.expects
    }

    fn ends_connection(&self) -> bool {
        self.closes || self.is_old
    }

    fn request_head(&self) -> String {
        let Plan { number, method, request_length, .. } = *self;
        let version = if self.is_old { "1.0" } else { "1.1" };
        let mut head = format!("{method} /{number} HTTP/{version}\r\nHost: soak\r\n");
        if self.request_chunked {
            head.push_str("Transfer-Encoding: chunked\r\n");
        } else if request_length > 0 || method == "POST" {
            head.push_str(&format!("Content-Length: {request_length}\r\n"));
        }
        if self.expects {
            head.push_str("Expect: 100-continue\r\n");
        }
        if self.closes {
            head.push_str("Connection: close\r\n");
        }
        head + "\r\n"
    }

    fn response_head(&self) -> String {
        let mut head = format!("HTTP/1.1 200 OK\r\nX-Number: {}\r\n", self.number);
        match self.response_framing {
            Framing::Length => head.push_str(&format!("Content-Length: {}\r\n", self.response_length)),
            Framing::Chunks => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::Close => {}
        }
        if self.backend_closes {
            head.push_str("Connection: close\r\n");
        }
        head + "\r\n"
    }
}

/// Mostly small, now and then large: the middle is near a kilobyte, the mean near ten.
fn size(random: &mut Random) -> usize {
    match random.below(1_000) {
        0..100 => 0,
        100..860 => random.below(2_048),
        860..995 => random.below(65_536),
        _ => random.below(1 << 20),
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// The body of this length for this number: a stretch of bytes that never repeat, begun at another place for
/// each number and direction.
fn body(number: u64, salt: u64, length: usize) -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| {
        let mut random = Random(1);
        (0..(LARGEST + SHIFTS) / 8 + 1).flat_map(|_| random.next().to_le_bytes()).collect()
    });
    let start = Random(number ^ salt).below(SHIFTS);
    &bytes[start..start + length]
}

const REQUEST: u64 = 0;
const RESPONSE: u64 = 1 << 63;

/// Sends `body` in chunks of uneven sizes.
fn send_chunks(conn: &mut Conn, number: u64, body: &[u8]) {
    let mut random = Random(number);
    let mut rest = body;
    let mut bytes = Vec::new();
    while !rest.is_empty() {
        let size = 1 + random.below(rest.len().min(40_000));
        let (chunk, after) = rest.split_at(size);
        bytes.extend_from_slice(format!("{size:x}\r\n").as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        rest = after;
        if bytes.len() > 100_000 {
            conn.send(&bytes);
            bytes.clear();
        }
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    conn.send(&bytes);
}

/// What all threads share.
struct Soak {
    /// The number of the next request.
    next: AtomicU64,
    /// How often each number was delivered.
    delivered: Vec<AtomicU8>,
    /// Connections to the backends, ever and now.
    connections: AtomicUsize,
    open: AtomicUsize,
    bytes: AtomicU64,
    /// Requests that were sent before the answer to the one before.
    pipelined: AtomicU64,
}

/// A backend, on its own address.
fn backend(soak: &Arc<Soak>) -> SocketAddr {
    let listener = TcpListener::bind(free_address()).expect("a free address");
    let address = listener.local_addr().expect("an address");
    let soak = soak.clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            soak.connections.fetch_add(1, Ordering::SeqCst);
            soak.open.fetch_add(1, Ordering::SeqCst);
            let soak = soak.clone();
            thread::spawn(move || {
                let mut conn = Conn::new(stream.into(), true);
                // It ends by unwinding where the proxy closes.
                let _ = catch_unwind(AssertUnwindSafe(|| while serve(&mut conn, &soak) {}));
                drop(conn);
                soak.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    address
}

/// Serves one request; says whether the connection goes on.
fn serve(conn: &mut Conn, soak: &Soak) -> bool {
    let Some(mut request) = conn.head_or_end() else { return false };
    let number: u64 = request.target()[1..].parse().expect("a number");
    let plan = Plan::of(number);
    if request.field("expect").is_some() {
        conn.send("HTTP/1.1 100 Continue\r\n\r\n");
    }
    conn.body(&mut request);
    let sound = request.head.starts_with(&format!("{} ", plan.method))
        && request.is_chunked() == plan.request_chunked
        && request.body == body(number, REQUEST, plan.request_length);
    if !sound {
        conn.send("HTTP/1.1 400 Not what was sent\r\nContent-Length: 0\r\n\r\n");
        return false;
    }
    soak.delivered[number as usize].fetch_add(1, Ordering::SeqCst);
    let answer = body(number, RESPONSE, plan.response_length);
    let head = plan.response_head();
    if plan.method == "HEAD" {
        conn.send(head);
    } else if plan.response_framing == Framing::Chunks {
        conn.send(head);
        send_chunks(conn, number, answer);
    } else {
        conn.send([head.as_bytes(), answer].concat());
    }
    !(plan.backend_closes || (plan.response_framing == Framing::Close && plan.method != "HEAD"))
}

/// A client: connections one after the other until all numbers below `end` are taken.
fn client(proxy: SocketAddr, soak: &Soak, end: u64, seed: u64) {
    let mut random = Random(seed);
    let mut ahead = None;
    loop {
        let mut conn = Conn::to(proxy);
        // From one request on a connection to very many.
        let mut left = 1 << random.below(9);
        while left > 0 {
            let depth = if random.below(3) == 0 { 1 + random.below(8) } else { 1 };
            let mut batch: Vec<Plan> = Vec::new();
            while batch.len() < depth {
                let Some(plan) = ahead.take().or_else(|| next(soak, end)) else { break };
                if !batch.is_empty() && !plan.may_be_pipelined() {
                    ahead = Some(plan);
                    break;
                }
                batch.push(plan);
                if plan.ends_connection() || !plan.may_be_pipelined() {
                    break;
                }
            }
            if batch.is_empty() {
                return;
            }
            soak.pipelined.fetch_add(batch.len() as u64 - 1, Ordering::Relaxed);
            exchange(&mut conn, soak, &batch);
            if batch.last().is_some_and(Plan::ends_connection) {
                conn.assert_closed();
                break;
            }
            left -= batch.len().min(left);
        }
    }
}

fn next(soak: &Soak, end: u64) -> Option<Plan> {
    let number = soak.next.fetch_add(1, Ordering::SeqCst);
    (number < end).then(|| Plan::of(number))
}

/// Sends a batch of requests in one go and receives the answers.
fn exchange(conn: &mut Conn, soak: &Soak, batch: &[Plan]) {
    let mut bytes = Vec::new();
    for plan in batch {
        let content = body(plan.number, REQUEST, plan.request_length);
        bytes.extend_from_slice(plan.request_head().as_bytes());
        if plan.expects {
            conn.send(&bytes);
            bytes.clear();
            let interim = conn.head();
            assert_eq!(interim.status(), 100, "{plan:?}: {}", interim.head);
        }
        if plan.request_chunked {
            conn.send(&bytes);
            bytes.clear();
            send_chunks(conn, plan.number, content);
        } else {
            bytes.extend_from_slice(content);
        }
    }
    conn.send(&bytes);
    for plan in batch {
        let mut response: Message = conn.head();
        let number = plan.number.to_string();
        assert_eq!((response.status(), response.field("x-number")), (200, Some(number.as_str())), "{plan:?}");
        let expected = body(plan.number, RESPONSE, plan.response_length);
        if plan.method == "HEAD" {
            continue;
        }
        if plan.is_old && plan.response_framing != Framing::Length {
            let (rest, error) = conn.rest();
            assert!(rest == expected && error.is_none(), "{plan:?}: {} bytes, {error:?}", rest.len());
        } else {
            assert!(response.is_chunked() || response.content_length().is_some(), "{}", response.head);
            conn.body(&mut response);
            assert!(response.body == expected, "{plan:?}: {} bytes came otherwise", response.body.len());
        }
        let moved = plan.request_length + plan.response_length;
        soak.bytes.fetch_add(moved as u64, Ordering::Relaxed);
    }
}

#[test]
fn every_request_of_very_many_is_answered_right_and_nothing_is_left_behind() {
    let count: u64 = match std::env::var("SOAK_REQUESTS") {
        Ok(text) => text.parse().expect("SOAK_REQUESTS is a number"),
        Err(_) => 20_000,
    };
    let soak = Arc::new(Soak {
        next: AtomicU64::new(0),
        delivered: (0..count).map(|_| AtomicU8::new(0)).collect(),
        connections: AtomicUsize::new(0),
        open: AtomicUsize::new(0),
        bytes: AtomicU64::new(0),
        pipelined: AtomicU64::new(0),
    });
    let upstream = [(); 2].map(|()| backend(&soak).to_string()).join(",");
    let proxy = Proxy::start(upstream, "--workers 2 --keepalive 16 --max-body-size 0");
    let unused = proxy.descriptors();

    let run = |end: u64| {
        let clients: Vec<_> = (0..CLIENTS as u64)
            .map(|client_number| {
                let (address, soak) = (proxy.address(), soak.clone());
                thread::spawn(move || client(address, &soak, end, end ^ client_number))
            })
            .collect();
        let failed = clients.into_iter().filter_map(|client| client.join().err()).count();
        assert_eq!(failed, 0, "clients failed, see above");
        // Those that asked in vain took a number all the same.
        soak.next.store(end, Ordering::SeqCst);
        // Of connections only idle ones to the backends are left.
        wait_until("the clients' end", || proxy.descriptors() == unused + soak.open.load(Ordering::SeqCst));
        assert!(soak.open.load(Ordering::SeqCst) <= 2 * 16, "more than --keepalive for each worker");
        proxy.memory()
    };
    let start = Instant::now();
    let warm = run(count / 10);
    let end = run(count);
    let elapsed = start.elapsed();

    let times = |n: u8| soak.delivered.iter().filter(|d| d.load(Ordering::SeqCst) == n).count();
    assert_eq!(times(1), count as usize, "{} never, {} twice", times(0), times(2));
    println!(
        "{count} requests ({} pipelined) and {} MB in {:.1} s over {} connections to two backends; memory {} KiB \
         after a tenth, {} KiB at the end; descriptors {unused} before, {} at the end, {} of them idle to backends",
        soak.pipelined.load(Ordering::Relaxed),
        soak.bytes.load(Ordering::Relaxed) / 1_000_000,
        elapsed.as_secs_f64(),
        soak.connections.load(Ordering::Relaxed),
        warm / 1024,
        end / 1024,
        proxy.descriptors(),
        soak.open.load(Ordering::SeqCst),
    );
    // Buffers that more clients at once have needed are kept for the next time; that is all that may come.
    assert!(end <= warm + (2 << 20), "memory grew from {warm} to {end} bytes");
    let log = proxy.log();
    assert!(!log.iter().any(|line| line.starts_with("error") || line.contains("is down")), "{log:#?}");
}
