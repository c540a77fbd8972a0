//! What `stub_status` tells: each worker counts for itself and publishes at the end of a turn, and whoever is asked
//! adds up. Where the configuration has no `stub_status`, nothing of this is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Worker;
use super::net::{ClientKey, Net};
use super::shared::Shared;
use crate::exchange::{Counters, Stage};

/// What one worker has published. It alone writes.
#[derive(Debug, Default)]
pub struct Published {
    requests: AtomicU64,
    reading: AtomicU64,
    writing: AtomicU64,
}

impl Published {
    /// Adds its counts to `sum`.
    pub fn add_to(&self, sum: &mut Counters) {
        sum.requests += self.requests.load(Ordering::Relaxed);
        sum.reading += self.reading.load(Ordering::Relaxed);
        sum.writing += self.writing.load(Ordering::Relaxed);
    }
}

/// One worker's counts.
#[derive(Debug)]
pub(super) struct Counts {
    reading: u64,
    writing: u64,
    published: Arc<Published>,
}

impl Counts {
    pub(super) fn new(shared: &Shared) -> Counts {
        Counts { reading: 0, writing: 0, published: shared.publisher() }
    }

    /// A client goes from one stage to another.
    pub(super) fn moves(&mut self, from: &mut Stage, to: Stage) {
        let before = std::mem::replace(from, to);
        if before == to {
            return;
        }
        if let Some(count) = self.count(before) {
            *count -= 1;
        }
        if let Some(count) = self.count(to) {
            *count += 1;
        }
    }

    fn count(&mut self, stage: Stage) -> Option<&mut u64> {
        match stage {
            Stage::Waiting => None,
            Stage::Reading => Some(&mut self.reading),
            Stage::Writing => Some(&mut self.writing),
        }
    }

    pub(super) fn publish(&self, requests: u64) {
        self.published.requests.store(requests, Ordering::Relaxed);
        self.published.reading.store(self.reading, Ordering::Relaxed);
        self.published.writing.store(self.writing, Ordering::Relaxed);
    }
}

impl<N: Net> Worker<N> {
    /// Counts from here on, if the configuration asks for it and none before did.
    pub(super) fn renew_counts(&mut self) {
        if self.env.routes.has_status() && self.counts.is_none() {
            let mut counts = Counts::new(&self.shared);
            for client in self.clients.values_mut() {
                counts.moves(&mut client.stage, client.exchange.stage());
            }
            self.counts = Some(counts);
        }
    }

    /// Counts a client as what it is now.
    #[cold]
    pub(super) fn restage(&mut self, key: ClientKey) {
        if let (Some(counts), Some(client)) = (&mut self.counts, self.clients.get_mut(key)) {
            counts.moves(&mut client.stage, client.exchange.stage());
        }
    }

    /// Tells a client the counters of all workers.
    #[cold]
    pub(super) fn count(&mut self, key: ClientKey) {
        self.restage(key);
        if let Some(counts) = &self.counts {
            counts.publish(self.env.requests);
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        let counters = self.shared.counters();
        client.exchange.counted(&counters, &mut self.env);
    }
}
