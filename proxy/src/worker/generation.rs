//! One configuration at work: what the workers take up when it comes, and how it comes out of the one before.
//!
//! A reload makes the next [`Generation`] beside the one at work. Groups of servers that are configured as they
//! were are the same group in both, with all their state; the others begin anew, knowing of the failures of the
//! servers that they share with the group of their name. Listeners keep their number by their address.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use slotmap::SlotMap;

use super::logs::Logs;
use crate::config::{Config, Listen};
use crate::ids::{GroupId, Ids};
use crate::upstream::Group;

/// A group of servers, shared by all workers.
///
/// It is to be locked for a choice or an account, never across a system call. It does not matter to the next
/// holder if this one panics: every change of a group is complete before anything in it could.
pub type SharedGroup = Arc<Mutex<Group>>;

/// See the [module's page](self).
#[derive(Debug)]
pub struct Generation {
    /// What is configured.
    pub config: Config,
    /// How its parts are called.
    pub ids: Ids,
    /// Its groups of servers, in the configuration's order.
    pub groups: Vec<SharedGroup>,
    /// Nobody is served but those who are being served: another process takes the clients (WINCH).
    pub rests: bool,
    /// The logs of requests for each worker, open.
    logs: Mutex<Vec<Logs>>,
    adoptions: AtomicUsize,
}

impl Generation {
    /// Has the logs of requests ready for each worker.
    pub fn supply_logs(&self, logs: Vec<Logs>) {
        *self.logs.lock() = logs;
    }

    /// The logs for one worker; `None` where it is to go on with those it has.
    pub(super) fn take_logs(&self) -> Option<Logs> {
        self.logs.lock().pop()
    }

    /// A worker works by it now.
    pub fn adopted(&self) {
        self.adoptions.fetch_add(1, Ordering::Release);
    }

    /// How many workers work by it, or by a later one.
    pub fn adoptions(&self) -> usize {
        self.adoptions.load(Ordering::Acquire)
    }
}

/// What has been called how in this process.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// Kept while anybody has the group.
    groups: SlotMap<GroupId, Weak<Mutex<Group>>>,
    /// The seed of the next group.
    seed: u64,
    /// All addresses that were ever listened on, at the place of their number.
    addresses: Vec<Listen>,
}

impl Registry {
    /// The first one of a process; what it leaves to chance follows from `seed`.
    pub(super) fn new(seed: u64) -> Registry {
        Registry { seed, ..Registry::default() }
    }

    /// The generation of `config` that follows `last`. Changes nothing for `last`.
    pub(super) fn next(&mut self, config: Config, last: Option<&Generation>) -> Generation {
        self.groups.retain(|_, group| group.strong_count() > 0);
        let upstreams = last.map_or(&[][..], |last| &last.config.upstreams);
        let last_by_name: HashMap<_, _> =
            upstreams.iter().enumerate().map(|(index, upstream)| (upstream.name.as_str(), index)).collect();
        let mut ids = Ids { groups: Vec::new(), listeners: Vec::new() };
        let mut groups = Vec::new();
        for upstream in &config.upstreams {
            let before = last.zip(last_by_name.get(upstream.name.as_str()).copied());
            let (id, group) = match before {
                Some((last, index)) if last.config.upstreams[index] == *upstream => {
                    (last.ids.groups[index], last.groups[index].clone())
                }
                before => {
                    let mut group = Group::new(upstream).seeded(self.seed);
                    self.seed = self.seed.wrapping_add(1);
                    if let Some((last, index)) = before {
                        group.inherit(&last.groups[index].lock());
                    }
                    let group = Arc::new(Mutex::new(group));
                    (self.groups.insert(Arc::downgrade(&group)), group)
                }
            };
            ids.groups.push(id);
            groups.push(group);
        }
        ids.listeners = config.listeners.iter().map(|listener| self.number(&listener.address)).collect();
        Generation {
            config,
            ids,
            groups,
            rests: false,
            logs: Mutex::default(),
            adoptions: AtomicUsize::new(0),
        }
    }

    fn number(&mut self, address: &Listen) -> usize {
        self.addresses.iter().position(|known| known == address).unwrap_or_else(|| {
            self.addresses.push(address.clone());
            self.addresses.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;
    use crate::config::{Host, Listener, Server, Upstream};

    fn listen(port: u16) -> Listener {
        Listener::new(Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
    }

    /// Groups of one server each, by name and port, and listeners by port.
    fn config(upstreams: &[(&str, u16)], ports: &[u16]) -> Config {
        let mut config = Config::new(Vec::new());
        let server = |port: u16| {
            Server::new(&format!("app:{port}"), Host::Literal(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
        };
        config.upstreams =
            upstreams.iter().map(|(name, port)| Upstream::new(name, vec![server(*port)])).collect();
        config.listeners = ports.iter().map(|port| listen(*port)).collect();
        config
    }

    #[test]
    fn what_is_configured_as_it_was_keeps_its_id_and_its_state() {
        let mut registry = Registry::default();
        let first = registry.next(config(&[("a", 1), ("b", 2), ("c", 3)], &[80, 81]), None);
        let second = registry.next(config(&[("d", 4), ("c", 3), ("a", 9)], &[81, 82]), Some(&first));
        assert_eq!((&first.ids.listeners, &second.ids.listeners), (&vec![0, 1], &vec![1, 2]));
        assert_eq!(second.ids.groups[1], first.ids.groups[2]);
        assert!(Arc::ptr_eq(&second.groups[1], &first.groups[2]));
        assert!(!first.ids.groups.contains(&second.ids.groups[0]), "a new one");
        assert!(!first.ids.groups.contains(&second.ids.groups[2]), "a changed one");
        // What was gone and comes back: the address has its number, the group is a new one.
        let third = registry.next(config(&[("b", 2)], &[80]), Some(&second));
        assert_eq!(third.ids.listeners, [0]);
        assert!(!first.ids.groups.contains(&third.ids.groups[0]));
    }

    #[test]
    fn ids_of_groups_that_nobody_has_take_no_room() {
        let mut registry = Registry::default();
        let mut last = registry.next(config(&[("a", 1)], &[80]), None);
        for port in 2..1_000 {
            last = registry.next(config(&[("a", port)], &[80]), Some(&last));
            assert!(registry.groups.capacity() < 10);
        }
        assert_eq!(registry.groups.len(), 2, "the last one and the one before it");
    }
}
