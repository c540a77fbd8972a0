//! Timeouts: a heap that is touched once for many requests.
//!
//! A connection knows its own deadline and moves it freely. The heap holds an entry that is due no later;
//! when that comes up, the deadline is looked at, and the entry goes in again if it has moved. So a
//! keep-alive request, which only moves deadlines back, costs the heap nothing.
//! (nginx does the same within 300 ms: `src/event/ngx_event_timer.h`)

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::net::ClientKey;
use crate::time::Time;

/// The deadlines of one worker's clients.
#[derive(Debug, Default)]
pub struct Deadlines {
    heap: BinaryHeap<Reverse<(Time, ClientKey)>>,
}

impl Deadlines {
    /// Makes sure that `key` comes up by `deadline`. `scheduled` is the connection's memory of its
    /// entry, [`Time::NEVER`] at first.
    pub fn schedule(&mut self, key: ClientKey, deadline: Time, scheduled: &mut Time) {
        if deadline < *scheduled {
            *scheduled = deadline;
            self.heap.push(Reverse((deadline, key)));
        }
    }

    /// When the first entry comes up.
    pub fn first(&self) -> Time {
        self.heap.peek().map_or(Time::NEVER, |Reverse((time, _))| *time)
    }

    /// The next entry that has come up. It counts only if its time is what the connection remembers;
    /// else an earlier one has taken its place.
    pub fn due(&mut self, now: Time) -> Option<(Time, ClientKey)> {
        if self.first() > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}
