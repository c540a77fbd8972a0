//! What one request remembers while it looks for a server.

use std::net::IpAddr;

use super::PeerKey;

/// One request's way through the peers of a group. Reused from request to request, so that a
/// retry's list of peers is allocated once at most.
#[derive(Debug, Default)]
pub struct Attempt {
    /// The peers of this tier that did not do, sorted. Empty before the first retry.
    pub(super) tried: Vec<PeerKey>,
    pub(super) tries: u32,
    pub(super) tier: Tier,
    pub(super) client: ClientHash,
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

    pub(super) fn restart(&mut self, client: Option<IpAddr>, tries: u32) {
        self.tried.clear();
        self.tries = tries;
        self.tier = Tier::Primary;
        self.client = ClientHash::new(client);
    }

    pub(super) fn mark_tried(&mut self, key: PeerKey) {
        if let Err(place) = self.tried.binary_search(&key) {
            self.tried.insert(place, key);
        }
    }

    pub(super) fn fall_back(&mut self) {
        self.tier = Tier::Backup;
        self.tried.clear();
    }
}

/// The peers a request is chosen from: the backup ones only after no primary one was open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tier {
    #[default]
    Primary = 0,
    Backup = 1,
}

/// The state of `ip_hash`: which octets of the client count, and how far hashing has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ClientHash {
    octets: [u8; 16],
    len: u8,
    misses: u8,
    /// Where the next choice hashes on from. Below 6271.
    hash: u16,
}

impl ClientHash {
    const MISSES_MAX: u8 = 20;

    /// Three octets of an IPv4 address, all of an IPv6 one; clients without an address hash alike.
    fn new(client: Option<IpAddr>) -> ClientHash {
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
        ClientHash { octets, len, misses: 0, hash: 89 }
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

    pub(super) fn missed(&mut self) {
        self.misses += 1;
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.misses > Self::MISSES_MAX
    }
}
