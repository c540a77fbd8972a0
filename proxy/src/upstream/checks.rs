//! The health checks of a group: which are due, and what comes of one that is over.

use super::PeerKey;
use super::change::Change;
use super::group::Group;
use super::health::{Checked, Opinion, next_due};
use super::server::{Address, Peer};
use crate::config::HealthCheck;
use crate::time::Time;

/// A check that is to be carried out. It ends with [`Group::checked`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueCheck {
    /// Whom to ask.
    pub peer: PeerKey,
    /// Where that is, but for [`HealthCheck::port`].
    pub address: Address,
    /// The index of its `server` line.
    pub server: usize,
    /// Which of the group's [`checks`](Group::checks), as an index.
    pub check: usize,
}

impl Group {
    /// How its servers are checked.
    pub fn checks(&self) -> &[HealthCheck] {
        &self.checks
    }

    /// When the next check is due; never where none is, or all that are there are under way.
    pub fn next_check(&self) -> Time {
        let peers = self.tiers.iter().flat_map(|tier| &tier.peers);
        peers.filter(|peer| peer.is_of_use()).map(|peer| peer.health.due()).min().unwrap_or(Time::NEVER)
    }

    /// Begins the checks that are due, at most so many, those first that have been due for longest. A server that is down by configuration is not asked; one that drains
    /// is, for the sake of those who are bound to it.
    pub fn begin_checks(&mut self, now: Time, most: usize) -> Vec<DueCheck> {
        let mut begun = Vec::new();
        let peers = self.tiers.iter_mut().flat_map(|tier| &mut tier.peers);
        let is_due = |peer: &&mut Peer| peer.is_of_use() && peer.health.due() <= now;
        let mut due: Vec<&mut Peer> = peers.filter(is_due).collect();
        due.sort_by_key(|peer| peer.health.due());
        for peer in due {
            while begun.len() < most
                && let Some(check) = peer.health.begin(now)
            {
                let (address, server) = (peer.address().clone(), peer.server());
                begun.push(DueCheck { peer: peer.key, address, server, check });
            }
        }
        begun
    }

    /// A check that was begun is over. Returns what is worth a log line. That of a vanished peer changes nothing.
    ///
    /// # Panics
    ///
    /// Where the group has no check of this number.
    pub fn checked(&mut self, key: PeerKey, check: usize, how: Checked, now: Time) -> Option<Change> {
        let rule = &self.checks[check];
        let due = next_due(rule, &mut self.jitter, now);
        let place = *self.places.get(key)?;
        let peer = &mut self.tiers[place.tier as usize].peers[place.index as usize];
        let (before, after) = peer.checked(check, rule, how, due, now)?;
        let checks = peer.health.in_a_row(check);
        let interval = rule.interval;
        let (name, address) = self.label(place);
        match after {
            Opinion::Unhealthy => Some(Change::Unhealthy { name, address, checks, interval }),
            Opinion::Healthy => {
                Some(Change::Healthy { name, address, checks, again: before == Opinion::Unhealthy })
            }
            // One of its checks takes it back, another one is still to come.
            Opinion::Unchecked => None,
        }
    }
}
