//! What all workers share: the sites and the one hit counter over them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::options::Options;
use crate::redis_counter::RedisCounter;

/// The truth over all workers and names.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) sites: Vec<Site>,
    pub(crate) counter: Counter,
}

/// Where the hits of `/` are counted.
#[derive(Debug)]
pub(crate) enum Counter {
    /// Nowhere (`--plain`).
    Off,
    /// In memory; holds the last number handed out.
    Embedded(AtomicI64),
    /// In Redis, on a thread of its own.
    Redis(RedisCounter),
}

impl Counter {
    pub(crate) fn embedded() -> Self {
        Counter::Embedded(AtomicI64::new(0))
    }
}

/// One served name.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) name: String,
    /// How long every answer of `/` waits.
    pub(crate) delay: Duration,
    fail_rate: f64,
    /// Requests of `/` so far; kept only while there is a fail rate.
    asked: AtomicU64,
}

impl Site {
    /// The sites of `options`, in their order.
    pub(crate) fn all(options: &Options) -> Vec<Self> {
        let site = |serve: &crate::Serve| Site {
            name: serve.name.clone(),
            delay: serve.delay.unwrap_or(options.delay),
            fail_rate: serve.fail_rate.unwrap_or(options.fail_rate),
            asked: AtomicU64::new(0),
        };
        options.serve.iter().map(site).collect()
    }

    /// Whether the next request of `/` fails on purpose. The failures are spread evenly, so that of
    /// any n requests in a row `n * fail_rate`, rounded up or down, fail.
    pub(crate) fn fails_next(&self) -> bool {
        if self.fail_rate <= 0.0 {
            return false;
        }
        let before = self.asked.fetch_add(1, Ordering::Relaxed) as f64;
        ((before + 1.0) * self.fail_rate).floor() > (before * self.fail_rate).floor()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_spread_evenly() {
        for (rate, expected) in [(0.0, 0), (0.1, 100), (0.25, 250), (1.0, 1000)] {
            let mut options = Options::new(vec!["a=127.0.0.1:0".parse().unwrap()]);
            options.fail_rate = rate;
            let site = &Site::all(&options)[0];
            let failures: Vec<usize> = (0..1000).filter(|_| site.fails_next()).collect();
            assert_eq!(failures.len(), expected, "rate {rate}");
            let gap = failures.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
            assert!(gap as f64 <= 1.0 / f64::max(rate, 0.001) + 1.0, "rate {rate}: a gap of {gap}");
        }
    }
}
