//! What holds for a request: the way from a configuration to the rules that one exchange obeys.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::{Action, ClientRules, Config, Location, Rules, Site};

/// Everything that holds for one request: its location's rules and those of its site.
#[derive(Debug)]
pub struct Place {
    pub(super) client: ClientRules,
    pub(super) rules: Rules,
    pub(super) action: Action,
}

impl Place {
    fn new(site: &Site, location: &Location) -> Place {
        let mut rules = location.rules.clone();
        if rules.max_body_size == 0 {
            rules.max_body_size = u64::MAX;
        }
        Place { client: site.client.clone(), rules, action: location.action.clone() }
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

    /// The group that its requests go to, as an index; `None` where they go to none.
    pub fn upstream(&self) -> Option<usize> {
        match &self.action {
            Action::Proxy(pass) => Some(pass.upstream),
        }
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
    /// By listener: where its requests are treated before it is known what they ask for.
    defaults: Vec<Arc<Place>>,
    buffer_size: usize,
}

impl Routes {
    /// Those of this configuration.
    pub fn new(config: &Config) -> Routes {
        let places: Vec<_> =
            config.sites.iter().map(|site| Arc::new(Place::new(site, &site.location))).collect();
        let heads = config.sites.iter().map(|site| site.client.max_header_size);
        Routes {
            defaults: config.listeners.iter().map(|listener| places[listener.default_site].clone()).collect(),
            buffer_size: heads.max().unwrap_or_default() + 2048,
        }
    }

    /// The size of a buffer that any head fits that is let in, with what the proxy adds to it.
    pub fn buffer_size(&self) -> usize {
        self.buffer_size
    }

    /// Where a client of this listener is before its first request.
    pub(super) fn default_place(&self, listener: usize) -> &Arc<Place> {
        &self.defaults[listener]
    }
}
