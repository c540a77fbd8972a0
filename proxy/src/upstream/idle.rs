//! The idle keep-alive connections of one worker.
//!
//! One slab of entries, each in two lists: that of all, by age, whose oldest is evicted and expires first; and that
//! of its peer, whose youngest is reused first, being the least likely to be closed by its server. So putting and
//! taking touch a handful of words however many there are. (nginx: `ngx_http_upstream_keepalive_module.c`)

use slotmap::SecondaryMap;

use super::PeerKey;
use crate::time::Time;

/// A bounded pool of idle connections, each known by a `C`. The pool closes nothing: it says whom to close.
#[derive(Debug)]
pub struct Idle<C> {
    limit: usize,
    len: usize,
    entries: Vec<Entry<C>>,
    /// The first of the unused entries, chained by the `older` link of [`ALL`].
    free: u32,
    all: List,
    /// A list stays when it is empty. A vanished peer's list may be gone before its entries are; those are then
    /// only in `all`.
    by_peer: SecondaryMap<PeerKey, List>,
}

/// An entry's place in the two lists it is in.
const ALL: usize = 0;
const PEER: usize = 1;
/// The end of a list.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry<C> {
    peer: PeerKey,
    conn: C,
    since: Time,
    links: [Link; 2],
}

#[derive(Clone, Copy, Debug)]
struct Link {
    younger: u32,
    older: u32,
}

#[derive(Clone, Copy, Debug)]
struct List {
    youngest: u32,
    oldest: u32,
}

impl List {
    const EMPTY: List = List { youngest: NONE, oldest: NONE };
}

impl Link {
    const ALONE: Link = Link { younger: NONE, older: NONE };
}

impl<C: Copy + Eq> Idle<C> {
    /// A pool of at most `limit` connections over all peers; 0 keeps none.
    pub fn new(limit: usize) -> Idle<C> {
        Idle {
            limit: limit.min(NONE as usize),
            len: 0,
            entries: Vec::new(),
            free: NONE,
            all: List::EMPTY,
            by_peer: SecondaryMap::new(),
        }
    }

    /// How many connections are idle.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `conn` to `peer` is idle from `now` on, which never lies before an earlier one's. Returns the connection to
    /// close for it: the one idle for longest where the pool is full, `conn` itself where it holds none.
    pub fn put(&mut self, peer: PeerKey, conn: C, now: Time) -> Option<C> {
        if self.limit == 0 {
            return Some(conn);
        }
        let evicted = (self.len == self.limit).then(|| self.detach(self.all.oldest));
        let entry = Entry { peer, conn, since: now, links: [Link::ALONE; 2] };
        let index = self.free;
        let index = if index == NONE {
            self.entries.push(entry);
            (self.entries.len() - 1) as u32
        } else {
            self.free = self.entries[index as usize].links[ALL].older;
            self.entries[index as usize] = entry;
            index
        };
        push(&mut self.entries, &mut self.all, ALL, index);
        if let Some(list) = self.by_peer.get_mut(peer) {
            push(&mut self.entries, list, PEER, index);
        } else {
            self.by_peer.insert(peer, List { youngest: index, oldest: index });
        }
        self.len += 1;
        evicted
    }

    /// The connection to `peer` that became idle last; it is no longer idle.
    pub fn take(&mut self, peer: PeerKey) -> Option<C> {
        let youngest = self.by_peer.get(peer)?.youngest;
        (youngest != NONE).then(|| self.detach(youngest))
    }

    /// `conn` to `peer` is gone. False where it was not idle. Quickest for the one idle for longest.
    pub fn remove(&mut self, peer: PeerKey, conn: C) -> bool {
        // A vanished peer may have lost its list; its connections are still in that of all.
        let (mut index, which) = match self.by_peer.get(peer) {
            Some(list) => (list.oldest, PEER),
            None => (self.all.oldest, ALL),
        };
        while index != NONE {
            let entry = &self.entries[index as usize];
            if entry.peer == peer && entry.conn == conn {
                self.detach(index);
                return true;
            }
            index = entry.links[which].younger;
        }
        false
    }

    /// The connection idle for longest, where it became idle at `deadline` or before; it is no longer idle.
    pub fn take_expired(&mut self, deadline: Time) -> Option<C> {
        let (_, since) = self.oldest()?;
        (since <= deadline).then(|| self.detach(self.all.oldest))
    }

    /// The connection idle for longest, and since when.
    pub fn oldest(&self) -> Option<(C, Time)> {
        let entry = self.entries.get(self.all.oldest as usize)?;
        Some((entry.conn, entry.since))
    }

    /// Takes all out, the one idle for longest first.
    pub fn drain(&mut self) -> impl Iterator<Item = C> {
        std::iter::from_fn(|| self.take_expired(Time::NEVER))
    }

    /// All, the one idle for longest first, with their peers.
    pub fn iter(&self) -> impl Iterator<Item = (PeerKey, C)> {
        let at = |index: u32| self.entries.get(index as usize);
        std::iter::successors(at(self.all.oldest), move |entry| at(entry.links[ALL].younger))
            .map(|entry| (entry.peer, entry.conn))
    }

    #[inline(always)]
    fn detach(&mut self, index: u32) -> C {
        let Entry { peer, conn, .. } = self.entries[index as usize];
        unlink(&mut self.entries, Some(&mut self.all), ALL, index);
        unlink(&mut self.entries, self.by_peer.get_mut(peer), PEER, index);
        self.entries[index as usize].links[ALL].older = self.free;
        self.free = index;
        self.len -= 1;
        conn
    }
}

fn push<C>(entries: &mut [Entry<C>], list: &mut List, which: usize, index: u32) {
    let before = std::mem::replace(&mut list.youngest, index);
    entries[index as usize].links[which] = Link { younger: NONE, older: before };
    match before {
        NONE => list.oldest = index,
        before => entries[before as usize].links[which].younger = index,
    }
}

fn unlink<C>(entries: &mut [Entry<C>], list: Option<&mut List>, which: usize, index: u32) {
    let Link { younger, older } = entries[index as usize].links[which];
    if younger != NONE {
        entries[younger as usize].links[which].older = older;
    }
    if older != NONE {
        entries[older as usize].links[which].younger = younger;
    }
    if let Some(list) = list {
        if list.youngest == index {
            list.youngest = older;
        }
        if list.oldest == index {
            list.oldest = younger;
        }
    }
}
