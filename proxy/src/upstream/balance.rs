//! The balancing methods. Each only chooses, among the peers that are open to the attempt.

use super::PeerKey;
use super::attempt::{ClientHash, KeyWalk, Misses};
use super::ring::Ring;
use super::server::Peer;
use crate::chance::Chance;
use crate::key::Digest;
use crate::time::Time;

/// What a method chooses from: one tier as one attempt sees it now.
pub(super) struct Choice<'a> {
    pub(super) peers: &'a mut [Peer],
    /// The sum of the weights of all `peers`, eligible or not.
    pub(super) total_weight: u64,
    /// Requests in flight by line.
    pub(super) in_flight: &'a [u32],
    /// Sorted.
    pub(super) tried: &'a [PeerKey],
    pub(super) now: Time,
}

impl Choice<'_> {
    fn is_open(&self, index: usize) -> bool {
        is_open(&self.peers[index], self.in_flight, self.tried, self.now)
    }

    /// Smooth weighted round robin: everyone gains its effective weight, the richest pays for all.
    /// The first wins a tie. (`ngx_http_upstream_get_peer`) Inlined where each request comes by.
    #[inline(always)]
    pub(super) fn round_robin(&mut self) -> Option<usize> {
        self.richest(0, |_| true)
    }

    /// The peer that the request is bound to. It may be draining. (`ngx_http_upstream_get_rr_peer_by_sid`)
    pub(super) fn bound(&self, name: Digest) -> Option<usize> {
        let takes = |peer: &Peer| peer.eligible_for(name, self.in_flight, self.now);
        self.peers.iter().position(|peer| takes(peer) && !is_tried(peer, self.tried))
    }

    /// Reckons a request that is bound to a peer as that one's turn, so that the others get those that are not. It does
    /// not run up more than a round's debt. (`ngx_http_upstream_get_peer`)
    pub(super) fn charge(&mut self, index: usize) {
        let peer = &self.peers[index];
        let others = (self.total_weight - u64::from(peer.weight)) << 10;
        if self.is_open(index) && peer.current_weight > -(others as i64) {
            let (_, total) = self.gain(0, |_| true);
            self.peers[index].current_weight -= total;
        }
    }

    /// Fewest requests in flight relative to weight, round robin among equals.
    /// (`ngx_http_upstream_get_least_conn_peer`)
    pub(super) fn least_conn(&mut self) -> Option<usize> {
        self.least(|peer| u64::from(peer.active))
    }

    /// The least time until all requests and this one are through, relative to weight, round robin among equals.
    /// (`ngx_http_upstream_get_least_time_peer`)
    pub(super) fn least_time(&mut self) -> Option<usize> {
        let now = self.now;
        for index in 0..self.peers.len() {
            if self.is_open(index) {
                self.peers[index].timing.look(now);
            }
        }
        self.least(|peer| peer.outlook_ms(now))
    }

    /// The least cost relative to weight, round robin among equals.
    fn least(&mut self, cost: impl Fn(&Peer) -> u64) -> Option<usize> {
        let mut best: Option<usize> = None;
        let mut is_tie = false;
        for index in 0..self.peers.len() {
            if !self.is_open(index) {
                continue;
            }
            let load = best.map(|best| self.compare(index, best, &cost));
            match load {
                None | Some(std::cmp::Ordering::Less) => {
                    best = Some(index);
                    is_tie = false;
                }
                Some(std::cmp::Ordering::Equal) => is_tie = true,
                Some(std::cmp::Ordering::Greater) => {}
            }
        }
        let best = best?;
        if !is_tie {
            return Some(best);
        }
        let (peer, now) = (&self.peers[best], self.now);
        let (least, share) = (cost(peer), peer.share(peer.weight, now));
        self.richest(best, |peer| product(cost(peer), share) == product(least, peer.share(peer.weight, now)))
    }

    /// The peer at the client's place in the sum of weights, hashing on while that one is not open;
    /// after more than 20 such misses of the attempt, round robin. (`ngx_http_upstream_get_ip_hash_peer`)
    pub(super) fn ip_hash(&mut self, client: &mut ClientHash) -> Option<usize> {
        if self.peers.len() < 2 {
            return self.round_robin();
        }
        let mut hash = client.start();
        while !client.misses.are_too_many() {
            hash = client.step(hash);
            let index = self.at_weight(u64::from(hash) % self.total_weight);
            if self.is_open(index) {
                client.found(hash);
                return Some(index);
            }
            client.misses.add();
        }
        self.round_robin()
    }

    /// The peer at the key's place in the sum of weights, hashing on as `ip_hash` does.
    /// (`ngx_http_upstream_get_hash_peer`)
    pub(super) fn hash(&mut self, walk: &mut KeyWalk) -> Option<usize> {
        while self.peers.len() > 1 && walk.leads_on() {
            let index = self.at_weight(u64::from(walk.step()) % self.total_weight);
            if self.is_open(index) {
                return Some(index);
            }
            walk.misses.add();
        }
        self.round_robin()
    }

    /// Round robin among the peers of the line that the key belongs to, or else, up to 20 times, of the line that has
    /// the next point of the ring. (`ngx_http_upstream_get_chash_peer`)
    pub(super) fn consistent_hash(&mut self, ring: &Ring, walk: &mut KeyWalk) -> Option<usize> {
        while self.peers.len() > 1 && walk.leads_on() {
            let owner = ring.owner(walk.place)?;
            let found = self.richest(0, |peer| ring.is_of(owner, peer.line));
            if found.is_some() {
                return found;
            }
            walk.place = walk.place.wrapping_add(1);
            walk.misses.add();
        }
        self.round_robin()
    }

    /// Any peer, by weight; where it is not open another one, up to 20 times. (`ngx_http_upstream_get_random_peer`)
    pub(super) fn random(&mut self, chance: &mut Chance, misses: &mut Misses) -> Option<usize> {
        while self.peers.len() > 1 && !misses.are_too_many() {
            let index = self.at_weight(chance.below(self.total_weight));
            if self.is_open(index) {
                return Some(index);
            }
            misses.add();
        }
        self.round_robin()
    }

    /// Of two different peers at random the one with fewer requests in flight relative to weight, the second where
    /// they are equal. As in nginx the first costs a miss too. (`ngx_http_upstream_get_random2_peer`)
    pub(super) fn random_two(&mut self, chance: &mut Chance, misses: &mut Misses) -> Option<usize> {
        let mut first = None;
        while self.peers.len() > 1 && !misses.are_too_many() {
            let index = self.at_weight(chance.below(self.total_weight));
            if first != Some(index) && self.is_open(index) {
                let Some(first) = first.replace(index) else {
                    misses.add();
                    continue;
                };
                let is_busier = self.compare(index, first, |peer| u64::from(peer.active)).is_gt();
                return Some(if is_busier { first } else { index });
            }
            misses.add();
        }
        self.round_robin()
    }

    /// Compares what two peers cost per weight, without dividing.
    fn compare(&self, a: usize, b: usize, cost: impl Fn(&Peer) -> u64) -> std::cmp::Ordering {
        let (a, b) = (&self.peers[a], &self.peers[b]);
        let a_scaled = product(cost(a), b.share(b.weight, self.now));
        a_scaled.cmp(&product(cost(b), a.share(a.weight, self.now)))
    }

    /// One round of the smooth round robin over the open peers from index `from` on that `take_part`.
    #[inline(always)]
    fn richest(&mut self, from: usize, take_part: impl Fn(&Peer) -> bool) -> Option<usize> {
        let (best, total) = self.gain(from, take_part);
        let best = best?;
        self.peers[best].current_weight -= total;
        Some(best)
    }

    /// Everyone gains; gives the richest and what all have gained.
    #[inline(always)]
    fn gain(&mut self, from: usize, take_part: impl Fn(&Peer) -> bool) -> (Option<usize>, i64) {
        let mut best: Option<(usize, i64)> = None;
        let mut total: i64 = 0;
        for (offset, peer) in self.peers[from..].iter_mut().enumerate() {
            if !take_part(peer) || !is_open(peer, self.in_flight, self.tried, self.now) {
                continue;
            }
            let gain = peer.share(peer.effective_weight, self.now) as i64;
            peer.current_weight += gain;
            total += gain;
            if peer.effective_weight < peer.weight {
                peer.effective_weight += 1;
            }
            let credit = peer.current_weight;
            if best.is_none_or(|(_, most)| credit > most) {
                best = Some((from + offset, credit));
            }
        }
        (best.map(|(index, _)| index), total)
    }

    /// The peer that covers `place` when all weights are laid end to end.
    fn at_weight(&self, mut place: u64) -> usize {
        for (index, peer) in self.peers.iter().enumerate() {
            let weight = u64::from(peer.weight);
            if place < weight {
                return index;
            }
            place -= weight;
        }
        unreachable!("a place below the total weight lies in some peer's share")
    }
}

/// Wide, since a time over many requests, times a weight, may be large.
fn product(cost: u64, share: u64) -> u128 {
    u128::from(cost) * u128::from(share)
}

/// Whether a peer is eligible and not `tried`.
#[inline]
fn is_open(peer: &Peer, in_flight: &[u32], tried: &[PeerKey], now: Time) -> bool {
    peer.eligible(in_flight, now) && !is_tried(peer, tried)
}

#[inline]
fn is_tried(peer: &Peer, tried: &[PeerKey]) -> bool {
    !tried.is_empty() && tried.binary_search(&peer.key).is_ok()
}
