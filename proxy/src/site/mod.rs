//! What a configuration says about a request: which site it is for, which location of that, and what holds there.
//!
//! ```text
//!   listener ─▶ names.rs ─▶ site ─▶ paths.rs ─▶ Place: rules and action, one value for the exchange to obey
//! ```
//!
//! [`Routes`] are all places of a configuration. Where all requests go to one place, as with the command line, nothing
//! is looked for.
//!
//! - `names.rs`: a site by the name that is asked for
//! - `paths.rs`: a location by the path

mod names;
mod paths;

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::site::PassTarget;
use crate::config::{Action, ClientRules, Config, Location, Rules, Site};
use crate::ids::{GroupId, Ids};
use names::Names;
use paths::Paths;

/// Everything that holds for one request: its location's rules and those of its site.
#[derive(Debug)]
pub struct Place {
    /// How the site treats its clients.
    pub client: ClientRules,
    /// How requests get to where they end. Its `max_body_size` is not 0.
    pub rules: Rules,
    /// Where they end.
    pub action: Action,
    /// How much of a path its location matched: what a `proxy_pass` with a URI replaces.
    pub matched: usize,
    /// The site, as an index.
    pub site: usize,
    /// The name of the site: its first one.
    pub name: Box<str>,
    /// The group that its requests go to; `None` where they go to none, or it depends.
    pub group: Option<GroupId>,
}

impl Place {
    fn new(site: &Site, index: usize, location: &Location, ids: &Ids) -> Place {
        use crate::config::site::{Match, SiteName};
        let mut rules = location.rules.clone();
        if rules.max_body_size == 0 {
            rules.max_body_size = u64::MAX;
        }
        let matched = match &location.matches {
            Match::Exact(path) | Match::Prefix { path, .. } => path.len(),
            Match::Regex(_) | Match::Named(_) => 0,
        };
        let name = match site.names.first() {
            Some(SiteName::Exact(name) | SiteName::Prefix(name)) => name.as_str(),
            Some(SiteName::Suffix(name)) => name.as_str(),
            Some(SiteName::Regex(_)) | None => "",
        };
        Place {
            client: site.client.clone(),
            rules,
            action: location.action.clone(),
            matched,
            site: index,
            name: name.into(),
            group: match &location.action {
                Action::Proxy(pass) => match pass.target {
                    PassTarget::Upstream(index) => Some(ids.groups[index]),
                    PassTarget::Variable(_) => None,
                },
                Action::Answer(_) | Action::File(_) | Action::StubStatus => None,
            },
        }
    }

    /// The part of `bytes` in which a head or a trailer section has to end.
    pub fn bounded<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[..bytes.len().min(self.client.max_header_size)]
    }

    /// Whether what this peer says of the client is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let trusted = &self.client.trusted;
        !trusted.is_empty() && trusted.iter().any(|net| net.contains(&address.to_canonical()))
    }

    /// Whether this client is let in: by the first rule that is for it.
    pub fn lets_in(&self, client: Option<IpAddr>) -> bool {
        let fits = |access: &&crate::config::site::Access| match (client, &access.net) {
            (Some(address), Some(net)) => net.contains(&address),
            (None, Some(_)) => access.is_unix,
            (_, None) => !access.is_unix || client.is_none(),
        };
        self.rules.access.iter().find(fits).is_none_or(|access| access.is_allowed)
    }

    /// The most servers tried for one request; 0: as many as there are.
    pub fn tries(&self) -> u32 {
        self.rules.tries
    }

    /// The `Host` of a request that has none.
    pub fn default_host(&self) -> &str {
        match &self.action {
            Action::Proxy(pass) => &pass.host,
            Action::Answer(_) | Action::File(_) | Action::StubStatus => "",
        }
    }
}

/// All places of a configuration, and how to find them.
#[derive(Debug)]
pub struct Routes {
    /// By the number of a listener; `None` where this configuration has no such one.
    listeners: Vec<Option<Names>>,
    sites: Vec<SiteRoutes>,
    buffer_size: usize,
}

#[derive(Debug)]
struct SiteRoutes {
    /// What answers before a location is looked for.
    answer: Option<Arc<Place>>,
    paths: Paths,
    /// Where no location is for a path.
    rest: Arc<Place>,
}

impl Routes {
    /// Those of this configuration, whose parts are called `ids`.
    pub fn new(config: &Config, ids: &Ids) -> Routes {
        let site = |(index, site): (usize, &Site)| SiteRoutes {
            answer: site.answer.as_ref().map(|answer| {
                let location = Location { action: Action::Answer(answer.clone()), ..site.location.clone() };
                Arc::new(Place::new(site, index, &location, ids))
            }),
            paths: Paths::new(site, index, &site.locations, ids),
            rest: Arc::new(Place::new(site, index, &site.location, ids)),
        };
        let heads = config.sites.iter().map(|site| site.client.max_header_size);
        let numbers = ids.listeners.iter().copied();
        let mut listeners = Vec::new();
        listeners.resize_with(numbers.clone().max().map_or(0, |most| most + 1), || None);
        for (listener, number) in config.listeners.iter().zip(numbers) {
            listeners[number] = Some(Names::new(listener, &config.sites));
        }
        Routes {
            listeners,
            sites: config.sites.iter().enumerate().map(site).collect(),
            buffer_size: heads.max().unwrap_or_default() + 2048,
        }
    }

    /// The size of a buffer that any head fits that is let in, with what the proxy adds to it.
    pub fn buffer_size(&self) -> usize {
        self.buffer_size
    }

    /// Whether there is a listener of this number.
    pub fn has_listener(&self, listener: usize) -> bool {
        self.listeners.get(listener).is_some_and(Option::is_some)
    }

    fn names(&self, listener: usize) -> &Names {
        self.listeners[listener].as_ref().expect("a client keeps to a configuration that has its listener")
    }

    /// Where a client of this listener is before its first request.
    pub fn default_place(&self, listener: usize) -> &Arc<Place> {
        &self.sites[self.names(listener).default()].rest
    }

    /// Whether all requests at this listener go to one place, so that none is to be looked for.
    pub fn is_plain(&self, listener: usize) -> bool {
        let names = self.names(listener);
        let site = &self.sites[names.default()];
        names.is_one() && site.answer.is_none() && site.paths.is_empty()
    }

    /// The place of a request for this host and this path, which is in its normal form.
    pub fn find(&self, listener: usize, host: &[u8], path: &[u8]) -> &Arc<Place> {
        let site = self.names(listener).find(host);
        self.find_in(site, path)
    }

    /// The place of a path in a site.
    pub fn find_in(&self, site: usize, path: &[u8]) -> &Arc<Place> {
        let site = &self.sites[site];
        site.answer.as_ref().or_else(|| site.paths.find(path)).unwrap_or(&site.rest)
    }

    /// The location of a site with this name.
    pub fn named(&self, site: usize, name: &[u8]) -> Option<&Arc<Place>> {
        self.sites[site].paths.named(name)
    }
}
