//! Normal requests, each of which has to be answered, and soon.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::{Conn, Proxy, wait_until};

/// No normal request takes longer. Loose: it tells apart service from waiting for somebody's timeout, on a
/// machine that may be busy with other things as well.
pub(crate) const LATENCY_MAX: Duration = Duration::from_secs(5);

/// Clients that ask again and again: two over a connection each, two over a new one each time.
pub(crate) struct Load {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Duration>>>,
}

impl Load {
    pub(crate) fn start(address: SocketAddr) -> Load {
        let is_over = Arc::new(AtomicBool::new(false));
        let threads = (0..4).map(|number| {
            let over = is_over.clone();
            thread::spawn(move || {
                let mut latencies = Vec::new();
                let mut kept = (number < 2).then(|| Conn::to(address));
                while !over.load(Ordering::SeqCst) {
                    let start = Instant::now();
                    let answer = match &mut kept {
                        Some(conn) => conn.get("/"),
                        None => Conn::to(address).get("/"),
                    };
                    latencies.push(start.elapsed());
                    assert_eq!((answer.status(), answer.text()), (200, "ok"));
                    thread::sleep(Duration::from_millis(2));
                }
                latencies
            })
        });
        Load { threads: threads.collect(), is_over }
    }

    /// Ends it; fails if a request failed or took too long. `what` was going on meanwhile.
    #[track_caller]
    pub(crate) fn end(self, what: &str) {
        self.is_over.store(true, Ordering::SeqCst);
        let latencies = self.threads.into_iter().map(|thread| thread.join().expect("no failed request"));
        let mut latencies: Vec<Duration> = latencies.flatten().collect();
        latencies.sort_unstable();
        let worst = *latencies.last().expect("a request");
        let median = latencies[latencies.len() / 2];
        println!("{what}: {} normal requests, median {median:?}, worst {worst:?}", latencies.len());
        assert!(worst < LATENCY_MAX, "{what}: a normal request took {worst:?}");
    }
}

/// What the proxy holds when nothing is going on.
pub(crate) struct Base {
    memory: u64,
    descriptors: usize,
}

/// How much more memory may be held after a strain than before, in bytes: the free lists of one worker and the
/// tables that have grown.
const NEAR: u64 = 16 << 20;

impl Base {
    /// After some service, so that what serving takes at all counts as the base. The proxy is to run with
    /// `--upstream-idle-timeout 1s`, so that pooled connections do not count.
    pub(crate) fn of(proxy: &Proxy) -> Base {
        let descriptors = proxy.descriptors();
        let load = Load::start(proxy.address());
        thread::sleep(Duration::from_millis(300));
        load.end("before");
        wait_until("no connection to be left", || proxy.descriptors() == descriptors);
        Base { memory: proxy.memory(), descriptors }
    }

    /// How many more descriptors there are than in the beginning.
    pub(crate) fn more_descriptors(&self, proxy: &Proxy) -> usize {
        proxy.descriptors().saturating_sub(self.descriptors)
    }

    /// Watches for `time` how much more memory is held than in the beginning; gives the most.
    pub(crate) fn most_memory(&self, proxy: &Proxy, time: Duration) -> u64 {
        let start = Instant::now();
        let mut most = 0;
        while start.elapsed() < time {
            most = most.max(proxy.memory().saturating_sub(self.memory));
            thread::sleep(Duration::from_millis(20));
        }
        most
    }

    /// Waits until memory and descriptors are back.
    #[track_caller]
    pub(crate) fn wait_back(&self, proxy: &Proxy) {
        wait_until("descriptors to be as before", || proxy.descriptors() == self.descriptors);
        let more = || proxy.memory().saturating_sub(self.memory);
        println!("afterwards {} KiB more than {} KiB before", more() >> 10, self.memory >> 10);
        wait_until("memory to be near what it was", || more() <= NEAR);
    }
}
