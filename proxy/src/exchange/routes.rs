//! What holds for a request: the way from a configuration to the rules that one exchange obeys.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::{Action, ClientRules, Config, Location, Rules, Site};
use crate::ids::{GroupId, Ids};

/// Everything that holds for one request: its location's rules and those of its site.
#[derive(Debug)]
pub struct Place {
    pub(super) client: ClientRules,
    pub(super) rules: Rules,
    pub(super) action: Action,
    group: Option<GroupId>,
}

impl Place {
    fn new(site: &Site, location: &Location, ids: &Ids) -> Place {
        let mut rules = location.rules.clone();
        if rules.max_body_size == 0 {
            rules.max_body_size = u64::MAX;
        }
        let group = match &location.action {
            Action::Proxy(pass) => Some(ids.groups[pass.upstream]),
        };
        Place { client: site.client.clone(), rules, action: location.action.clone(), group }
    }

    /// The part of `bytes` in which a head or a trailer section has to end.
    pub(super) fn bounded<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[..bytes.len().min(self.client.max_header_size)]
    }

    /// Whether what this peer says of the client is believed.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        let trusted = &self.client.trusted;
        !trusted.is_empty() && trusted.iter().any(|net| net.contains(&address.to_canonical()))
    }

    /// The group that its requests go to; `None` where they go to none.
    pub fn upstream(&self) -> Option<GroupId> {
        self.group
    }

    /// The most servers tried for one request; 0: as many as there are.
    pub fn tries(&self) -> u32 {
        self.rules.tries
    }

    /// The `Host` of a request that has none.
    pub(super) fn default_host(&self) -> &str {
        match &self.action {
            Action::Proxy(pass) => &pass.host,
        }
    }
}

/// All places of a configuration, and how to find them.
#[derive(Debug)]
pub struct Routes {
    /// By the number of a listener: where its requests are treated before it is known what they ask for.
    /// `None` where this configuration has no such listener.
    defaults: Vec<Option<Arc<Place>>>,
    generation: u32,
    buffer_size: usize,
}

impl Routes {
    /// Those of this configuration, whose parts are called `ids`.
    pub fn new(config: &Config, ids: &Ids) -> Routes {
        let places: Vec<_> =
            config.sites.iter().map(|site| Arc::new(Place::new(site, &site.location, ids))).collect();
        let heads = config.sites.iter().map(|site| site.client.max_header_size);
        let numbers = ids.listeners.iter().copied();
        let mut defaults = vec![None; numbers.clone().max().map_or(0, |most| most + 1)];
        for (listener, number) in config.listeners.iter().zip(numbers) {
            defaults[number] = Some(places[listener.default_site].clone());
        }
        Routes { defaults, generation: ids.generation, buffer_size: heads.max().unwrap_or_default() + 2048 }
    }

    /// The size of a buffer that any head fits that is let in, with what the proxy adds to it.
    pub fn buffer_size(&self) -> usize {
        self.buffer_size
    }

    /// Which configuration of the process this is.
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// Where a client of this listener is before its first request; `None` where there is no such listener.
    pub fn default_place(&self, listener: usize) -> Option<&Arc<Place>> {
        self.defaults.get(listener)?.as_ref()
    }
}
