//! What one request remembers while it looks for a server.

use std::net::IpAddr;

use super::PeerKey;
use super::timing::Clock;
use crate::key::{Digest, Key};

/// One request's way through the peers of a group. Reused from request to request, so that a
/// retry's list of peers is allocated once at most.
#[derive(Debug, Default)]
pub struct Attempt {
    /// The peers of this tier that did not do, sorted. Empty before the first retry.
    pub(super) tried: Vec<PeerKey>,
    pub(super) tries: u32,
    pub(super) tier: Tier,
    pub(super) walk: Walk,
    /// What the peer is called that the request is bound to; `None` where it is bound to none.
    pub(super) bound_to: Option<Digest>,
}

impl Attempt {
    /// Whether another server may be asked, now that the last one was released.
    pub fn tries_left(&self) -> bool {
        self.tries > 0
    }

    /// Whether the server it has now is the last one it may ask: a response with a status that would move the
    /// request on then passes through, and is [`Outcome::Served`](super::Outcome) (`ngx_http_upstream_test_next`).
    pub fn is_last_try(&self) -> bool {
        self.tries <= 1
    }

    /// Whether the group wants to hear when the response's head is there ([`Group::answered`](super::Group)).
    pub fn awaits_head(&self) -> bool {
        matches!(&self.walk, Walk::LeastTime(clock) if clock.awaits_head())
    }

    pub(super) fn restart(&mut self, tries: u32) {
        self.tried.clear();
        self.tries = tries;
        self.tier = Tier::Primary;
        self.bound_to = None;
    }

    pub(super) fn mark_tried(&mut self, key: PeerKey) {
        if let Err(place) = self.tried.binary_search(&key) {
            self.tried.insert(place, key);
        }
    }

    pub(super) fn fall_back(&mut self) {
        self.tier = Tier::Backup;
        self.tried.clear();
        if !matches!(self.walk, Walk::LeastConn | Walk::LeastTime(_)) {
            self.walk = Walk::RoundRobin;
        }
    }
}

/// The peers a request is chosen from: the backup ones only after no primary one was open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tier {
    #[default]
    Primary = 0,
    Backup = 1,
}

impl Tier {
    /// In the order in which they are gone through.
    pub(super) const ALL: [Tier; 2] = [Tier::Primary, Tier::Backup];
}

/// How the attempt chooses, and how far it has come with that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Walk {
    #[default]
    RoundRobin,
    LeastConn,
    IpHash(ClientHash),
    Hash(KeyWalk),
    ConsistentHash(KeyWalk),
    Random(Misses),
    RandomTwo(Misses),
    LeastTime(Clock),
}

/// How often an attempt met a peer that was not open to it. After too many it goes on in round robin.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Misses(u8);

impl Misses {
    const MAX: u8 = 20;

    pub(super) fn add(&mut self) {
        self.0 += 1;
    }

    pub(super) fn are_too_many(self) -> bool {
        self.0 > Self::MAX
    }
}

/// The state of `hash`: the key, and how far it has led.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyWalk {
    key: Key,
    /// The sum of all hashes so far; the number of a point where the hash is consistent.
    pub(super) place: u32,
    rounds: u32,
    pub(super) misses: Misses,
}

impl KeyWalk {
    pub(super) fn new(key: Key, place: u32) -> KeyWalk {
        KeyWalk { key, place, rounds: 0, misses: Misses::default() }
    }

    /// Whether the key leads anywhere.
    pub(super) fn leads_on(&self) -> bool {
        !self.key.is_empty() && !self.misses.are_too_many()
    }

    /// Hashes on: the first time the key, then the number of the round and the key. Compatible with
    /// `Cache::Memcached`.
    pub(super) fn step(&mut self) -> u32 {
        let crc = match self.rounds {
            0 => self.key.crc(),
            rounds => self.key.crc_behind(itoa::Buffer::new().format(rounds).as_bytes()),
        };
        self.rounds += 1;
        self.place = self.place.wrapping_add((crc >> 16) & 0x7fff);
        self.place
    }
}

/// The state of `ip_hash`: which octets of the client count, and how far hashing has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientHash {
    octets: [u8; 16],
    len: u8,
    pub(super) misses: Misses,
    /// Where the next choice hashes on from. Below 6271.
    hash: u16,
}

impl ClientHash {
    /// Three octets of an IPv4 address, all of an IPv6 one; clients without an address hash alike.
    pub(super) fn new(client: Option<IpAddr>) -> ClientHash {
        let mut octets = [0; 16];
        let len = match client {
            Some(IpAddr::V4(address)) => {
                octets[..3].copy_from_slice(&address.octets()[..3]);
                3
            }
            Some(IpAddr::V6(address)) => {
                octets = address.octets();
                16
            }
            None => 3,
        };
        ClientHash { octets, len, misses: Misses::default(), hash: 89 }
    }

    pub(super) fn start(&self) -> u16 {
        self.hash
    }

    pub(super) fn step(&self, hash: u16) -> u16 {
        let octets = &self.octets[..usize::from(self.len)];
        let hash = octets.iter().fold(u32::from(hash), |hash, &octet| (hash * 113 + u32::from(octet)) % 6271);
        hash as u16
    }

    pub(super) fn found(&mut self, hash: u16) {
        self.hash = hash;
    }
}
