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

/// So many entries are not worth looking through.
const STALE_MAX: usize = 1024;

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

    /// Drops entries that have no meaning any more, where those are most. To be called when a connection
    /// has ended: what is left of it would stay for as long as its deadline was away, and with many short
    /// connections that is many.
    ///
    /// `live` is how many connections there are. `is_current` says whether an entry is the one that its
    /// connection remembers.
    pub fn prune(&mut self, live: usize, is_current: impl Fn(ClientKey, Time) -> bool) {
        // Each round drops three quarters or more, so an entry costs a few looks in its whole life.
        if self.heap.len() > STALE_MAX + 4 * live {
            self.heap.retain(|Reverse((time, key))| is_current(*key, *time));
        }
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

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;
    use crate::time::Duration;

    #[test]
    fn entries_of_ended_connections_do_not_pile_up() {
        let mut deadlines = Deadlines::default();
        let mut clients: SlotMap<ClientKey, Time> = SlotMap::with_key();
        let kept: Vec<_> = (0..100).map(|_| clients.insert(Time::NEVER)).collect();
        for &key in &kept {
            deadlines.schedule(key, Time::ZERO + Duration::from_secs(10), &mut clients[key]);
        }
        for n in 0..100_000 {
            let key = clients.insert(Time::NEVER);
            for seconds in [75, 60] {
                let deadline = Time::ZERO + Duration::from_secs(n + seconds);
                deadlines.schedule(key, deadline, &mut clients[key]);
            }
            clients.remove(key);
            deadlines.prune(clients.len(), |key, time| clients.get(key) == Some(&time));
            assert!(deadlines.len() <= STALE_MAX + 4 * 100 + 2);
        }
        let mut due: Vec<_> = std::iter::from_fn(|| deadlines.due(Time::ZERO + Duration::from_secs(10)))
            .map(|(_, key)| key)
            .collect();
        due.sort_unstable();
        assert_eq!(due, kept, "what is alive still comes up");
    }
}
