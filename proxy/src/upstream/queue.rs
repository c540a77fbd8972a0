//! Requests that wait for a server, in their order, over all workers (`queue`).

use std::collections::VecDeque;

use crate::config;

/// Who waits. What the two numbers mean is up to who asks; together they are one request's alone while it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// Its worker.
    pub worker: usize,
    /// Its client there.
    pub client: u64,
}

/// Those who wait, in a group that may have some.
#[derive(Debug, Default)]
pub struct Queue {
    waiters: VecDeque<Waiter>,
    most: usize,
}

impl Queue {
    /// An empty one with as much room as the configuration says; without a word of it: none.
    pub(super) fn new(config: Option<config::Queue>) -> Queue {
        Queue { waiters: VecDeque::new(), most: config.map_or(0, |queue| queue.requests_max) }
    }

    /// The one whose turn it is.
    pub fn first(&self) -> Option<Waiter> {
        self.waiters.front().copied()
    }

    /// Whether somebody else is to be served before: whoever comes now is behind all who wait.
    pub fn is_behind(&self, waiter: Waiter) -> bool {
        self.first().is_some_and(|first| first != waiter)
    }

    /// Lets one wait, at the end unless it waits already. Says whether there was room.
    pub fn join(&mut self, waiter: Waiter) -> bool {
        let waits = self.waiters.contains(&waiter);
        if !waits && self.waiters.len() < self.most {
            self.waiters.push_back(waiter);
            return true;
        }
        waits
    }

    /// One waits no more. Gives the one that is now first and was not.
    pub fn leave(&mut self, waiter: Waiter) -> Option<Waiter> {
        let place = self.waiters.iter().position(|other| *other == waiter)?;
        self.waiters.remove(place);
        if place == 0 { self.first() } else { None }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }
}
