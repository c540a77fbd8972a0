//! How one configuration's parts are called while the process lives.
//!
//! A configuration names its groups and listeners by index, and the next one may mean others by the same
//! indexes. What is in flight outlives its configuration, so it goes by these instead.

use slotmap::{SlotMap, new_key_type};

use crate::config::Config;

new_key_type! {
    /// A group of servers, for as long as it stays as it is configured. Another one never gets its id.
    pub struct GroupId;
}

/// The ids of all that one configuration names, each list by the configuration's own index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// Of the groups.
    pub groups: Vec<GroupId>,
    /// Of the listeners: small numbers. An address keeps its number for good, also where it comes back.
    pub listeners: Vec<usize>,
}

impl Ids {
    /// Those of a process's first configuration.
    pub fn first(config: &Config) -> Ids {
        let mut groups: SlotMap<GroupId, ()> = SlotMap::with_key();
        Ids {
            groups: config.upstreams.iter().map(|_| groups.insert(())).collect(),
            listeners: (0..config.listeners.len()).collect(),
        }
    }
}
