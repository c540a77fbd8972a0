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
//! - `files.rs`: a file by the path
//! - `texts.rs`: what places ask for, and so what is kept of a request

pub mod files;
mod names;
mod paths;
mod texts;

use std::net::IpAddr;
use std::sync::Arc;

use slotmap::SecondaryMap;

use crate::config::site::{
    Answer, Delivery, Files, Forwarding, Log, Match, PassTarget, PassUri, Set, SiteName, TryFiles,
};
use crate::config::template::{Part, Template, Variable};
use crate::config::{
    Action, ClientRules, Config, Listen, Listener, Location, LogFormat, Map, Pass, Pattern, Rules, Site,
    Sticky, Upstream,
};
use crate::ids::{GroupId, Ids};
use names::Names;
pub use names::name_of;
use paths::Paths;
use texts::Around;

/// Everything that holds for one request: its location's rules and those of its site.
#[derive(Debug)]
pub struct Place {
    /// How the site treats its clients.
    pub client: ClientRules,
    /// How requests get to where they end. Its `max_body_size` is not 0.
    pub rules: Rules,
    /// Where they end.
    pub action: Action,
    /// The group that its requests go to; `None` where they go to none, or it depends.
    pub upstream: Option<GroupId>,
    /// The largest head of a response in bytes.
    pub response_head_max: usize,
    /// How much of a path its location matched: what a `proxy_pass` with a URI replaces.
    pub matched: usize,
    /// The site, as an index.
    pub site: usize,
    /// The name of the site: its first one.
    pub name: Box<str>,
    /// Variables of a request's head that are asked for later.
    pub kept: Vec<Variable>,
    /// Variables of a server's response that are asked for later: the same wherever in its site a request is sent on to.
    pub kept_of_answer: Arc<[Variable]>,
    /// Variables of the response as it is sent that are asked for later.
    pub kept_of_sent: Vec<Variable>,
    /// The lines that its requests leave.
    pub logs: Vec<PlaceLog>,
    /// Its requests go to the servers of one group as the command line has them, and nothing is kept of them.
    pub is_plain: bool,
    /// The expressions that lead here, those of the locations around it first.
    pub patterns: Vec<Pattern>,
    /// The names of its site, where there are expressions among them.
    pub site_names: Vec<SiteName>,
    /// Variables that get values on the way, in their order: those of the site, then the location's.
    pub sets: Vec<Set>,
    /// How many of them are the site's.
    pub site_sets: usize,
    /// What is looked for first.
    pub try_files: Option<TryFiles>,
    /// Where its files are.
    pub files: Files,
    /// It is for requests that the proxy sends here itself.
    pub is_internal: bool,
    /// Bodies of its requests are kept, as far as the rules let them (`$request_body`), for texts here or where a request may
    /// be sent on to.
    pub keeps_body: bool,
    /// Bodies are waited for before anything is done, since a request to a server holds them in another place
    /// (`$request_body` in `proxy_set_body` and the like), here or where the request may be sent on to.
    pub awaits_body: bool,
    /// Something is to be kept of its requests.
    pub keeps_records: bool,
    /// A `Location` of a server's may become a path here, which is completed to an address.
    pub completes_redirects: bool,
    /// Fields of responses are added or left out.
    pub changes_answers: bool,
}

/// A log of the requests to a place.
#[derive(Debug)]
pub struct PlaceLog {
    /// Where it goes, and when lines are written.
    pub log: Log,
    /// The line.
    pub format: LogFormat,
}

impl Place {
    fn new(around: &Around<'_>, location: &Location) -> Place {
        let (config, site) = (around.config, around.site());
        let mut rules = location.rules.clone();
        if rules.max_body_size == 0 {
            rules.max_body_size = u64::MAX;
        }
        let matched = match &location.matches {
            Match::Exact(path) | Match::Prefix { path, .. } => path.len(),
            Match::Regex(_) | Match::Named(_) => 0,
        };
        let name = site.names.first().map(SiteName::written).unwrap_or_default();
        let logs = rules.logs.iter();
        let logs = logs.map(|log| PlaceLog { log: log.clone(), format: config.formats[log.format].clone() });
        let logs: Vec<_> = logs.collect();
        let (mut kept, mut kept_of_sent) = (Vec::new(), Vec::new());
        let mut keeps_records = !logs.is_empty() || !rules.error_pages.is_empty();
        let late_texts = texts::late_texts(config, location);
        let mut asked: Vec<&Variable> = late_texts.into_iter().flat_map(Template::variables).collect();
        keeps_records |= !asked.is_empty();
        if let Action::Answer(Answer { text: Some(text), .. }) = &location.action {
            keeps_records |= text.variables().any(|variable| !variable.is_of_head());
        }
        while let Some(variable) = asked.pop() {
            use Variable as V;
            let list = match variable {
                V::SentHttp(_) => &mut kept_of_sent,
                // It is looked at when that is known which it depends on.
                V::Map(index) if texts::is_late(config, *index) => {
                    asked.extend(config.maps[*index].variables());
                    continue;
                }
                variable if variable.is_of_head() => &mut kept,
                _ => continue,
            };
            if !list.contains(variable) {
                list.push(variable.clone());
            }
        }
        let passes = matches!(
            &location.action,
            Action::Proxy(Pass { target: PassTarget::Upstream(_), uri: PassUri::AsItCame, .. })
        );
        let looks = |group: &Upstream| key(group).is_some() || group.sticky.is_some();
        let has_key = groups(config, &location.action).any(looks);
        let has_cookie = groups(config, &location.action)
            .any(|group| group.sticky.as_ref().is_some_and(|rule| rule.cookie.is_some()));
        let client = location.client.as_ref().unwrap_or(&site.client);
        let is_standard = passes && rules.forwarding == Forwarding::Standard && rules.access.is_empty();
        Place {
            is_plain: is_standard
                && !keeps_records
                && !location.is_internal
                && !has_key
                && location.try_files.is_none(),
            patterns: match &location.matches {
                Match::Regex(pattern) => vec![pattern.clone()],
                Match::Exact(_) | Match::Prefix { .. } | Match::Named(_) => Vec::new(),
            },
            site_names: match site.names.iter().any(|name| name.pattern().is_some()) {
                true => site.names.clone(),
                false => Vec::new(),
            },
            sets: site.sets.iter().chain(&location.sets).cloned().collect(),
            site_sets: site.sets.len(),
            try_files: match &location.action {
                // `return` comes before (`ngx_http_core_run_phases`).
                Action::Answer(_) => None,
                _ => location.try_files.clone(),
            },
            files: location.files.clone(),
            is_internal: location.is_internal,
            keeps_body: around.keeps_body(location),
            awaits_body: around.awaits_body(location),
            keeps_records,
            completes_redirects: rules.delivery.own_redirects.are_absolute
                && rules.delivery.redirects.iter().any(|redirect| may_be_path(&redirect.to)),
            changes_answers: rules.delivery != Delivery::default()
                || client.keepalive_header.is_some()
                || has_cookie,
            upstream: match &location.action {
                Action::Proxy(Pass { target: PassTarget::Upstream(index), .. }) => {
                    Some(around.ids.groups[*index])
                }
                Action::Proxy(_) | Action::Answer(_) | Action::File | Action::StubStatus => None,
            },
            client: client.clone(),
            response_head_max: response_head_max(site, &rules),
            rules,
            action: location.action.clone(),
            matched,
            site: around.index,
            name: name.into(),
            kept,
            kept_of_answer: around.kept_of_answer(location),
            kept_of_sent,
            logs,
        }
    }

    /// The part of `bytes` in which a request's head or a trailer section has to end.
    pub fn bounded<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[..bytes.len().min(self.client.max_header_size)]
    }

    /// The part of `bytes` in which a response's head has to end.
    pub fn bounded_response<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[..bytes.len().min(self.response_head_max)]
    }

    /// Whether what this peer says of the client is believed.
    #[inline]
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

    /// Whether its requests go to a server.
    pub fn passes_on(&self) -> bool {
        matches!(self.action, Action::Proxy(_))
    }

    /// The most servers tried for one request; 0: as many as there are.
    pub fn tries(&self) -> u32 {
        self.rules.tries
    }

    /// The `Host` of a request that has none.
    pub fn default_host(&self) -> &str {
        match &self.action {
            Action::Proxy(pass) => &pass.host,
            Action::Answer(_) | Action::File | Action::StubStatus => "",
        }
    }
}

/// All places of a configuration, and how to find them.
#[derive(Debug)]
pub struct Routes {
    /// By the number of a listener; `None` where this configuration has no such one.
    listeners: Vec<Option<ListenerRoutes>>,
    sites: Vec<SiteRoutes>,
    maps: Vec<Map>,
    slots: usize,
    /// Names of groups, for `proxy_pass` with variables.
    upstreams: Vec<(Box<str>, GroupId)>,
    /// What a server of a group is found by, for those that go by a key.
    keys: SecondaryMap<GroupId, Template>,
    /// How clients keep their server, for groups where they do.
    sticky: SecondaryMap<GroupId, Sticky>,
    buffer_size: usize,
    keeps_records: bool,
    has_status: bool,
    asks_address: bool,
}

#[derive(Debug)]
struct ListenerRoutes {
    names: Names,
    /// Where a client is before its first request.
    default_place: Arc<Place>,
    /// All requests go there.
    is_plain: bool,
    address: Listen,
    takes_proxy_protocol: bool,
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
        let around: Vec<_> = (0..config.sites.len()).map(|index| Around::new(config, ids, index)).collect();
        let site = |(around, site): (&Around<'_>, &Site)| SiteRoutes {
            answer: site.answer.as_ref().map(|answer| {
                let mut location =
                    Location { action: Action::Answer(answer.clone()), ..site.location.clone() };
                // It comes before a location is found, and only then is the length of a body looked at.
                location.rules.max_body_size = 0;
                Arc::new(Place::new(around, &location))
            }),
            paths: Paths::new(around, &site.locations, &[]),
            rest: Arc::new(Place::new(around, &site.location)),
        };
        let sites: Vec<_> = around.iter().zip(&config.sites).map(site).collect();
        let listener = |listener: &Listener| {
            let names = Names::new(listener, &config.sites);
            let site = &sites[names.default()];
            let default_place = site.rest.clone();
            // As the command line has it: what comes goes on, whatever its path.
            let is_plain =
                names.is_one() && site.answer.is_none() && site.paths.is_empty() && site.rest.passes_on();
            let (address, takes_proxy_protocol) = (listener.address.clone(), listener.proxy_protocol);
            ListenerRoutes { names, default_place, is_plain, address, takes_proxy_protocol }
        };
        let mut listeners = Vec::new();
        listeners.resize_with(ids.listeners.iter().max().map_or(0, |most| most + 1), || None);
        for (one, &number) in config.listeners.iter().zip(&ids.listeners) {
            listeners[number] = Some(listener(one));
        }
        let heads = config.sites.iter().flat_map(|site| {
            let locations = site.locations.iter().chain([&site.location]);
            locations.map(|location| head_max(site, location)).chain([site.client.max_header_size])
        });
        let names = config.upstreams.iter().map(|group| group.name.as_str().into());
        let keys = config.upstreams.iter().map(|group| key(group).cloned());
        let sticky = config.upstreams.iter().map(|group| group.sticky.clone());
        Routes {
            listeners,
            keeps_records: around.iter().any(|around| {
                let mut locations = around.site().locations.iter().chain([&around.site().location]);
                locations.any(|location| asks_for_records(around, location))
            }),
            asks_address: config.asks_address,
            has_status: config.asks_counters
                || config.sites.iter().any(|site| {
                    let mut locations = site.locations.iter().chain([&site.location]);
                    locations.any(|location| location.ends_in(&Action::StubStatus))
                }),
            sites,
            maps: config.maps.clone(),
            slots: config.slots,
            upstreams: names.zip(ids.groups.iter().copied()).collect(),
            sticky: ids
                .groups
                .iter()
                .copied()
                .zip(sticky)
                .filter_map(|(id, rule)| Some((id, rule?)))
                .collect(),
            keys: ids.groups.iter().copied().zip(keys).filter_map(|(id, key)| Some((id, key?))).collect(),
            buffer_size: heads.max().unwrap_or_default() + 2048,
        }
    }

    /// Whether something is to be kept of requests anywhere.
    pub fn keeps_records(&self) -> bool {
        self.keeps_records
    }

    /// How many variables the configuration sets.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The group with this name.
    pub fn upstream(&self, name: &[u8]) -> Option<GroupId> {
        let mut groups = self.upstreams.iter();
        groups.find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(_, id)| *id)
    }

    /// What a server of this group is found by; `None` where it goes by no key.
    pub fn key(&self, group: GroupId) -> Option<&Template> {
        self.keys.get(group)
    }

    /// How the clients of this group keep their server; `None` where they do not.
    pub fn sticky(&self, group: GroupId) -> Option<&Sticky> {
        self.sticky.get(group)
    }

    /// The address of a listener, as configured; `None` where this configuration has no such one.
    pub fn address(&self, listener: usize) -> Option<&Listen> {
        self.listeners.get(listener)?.as_ref().map(|listener| &listener.address)
    }

    /// Whether the address that a client has connected to is asked for, and the listener's does not say it.
    pub fn asks_address(&self, listener: usize) -> bool {
        let is_any =
            |listen: &Listen| matches!(listen, Listen::Tcp(address) if address.ip().is_unspecified());
        self.asks_address && self.address(listener).is_some_and(is_any)
    }

    /// Whether connections to a listener begin with a header of the PROXY protocol.
    pub fn takes_proxy_protocol(&self, listener: usize) -> bool {
        self.at(listener).takes_proxy_protocol
    }

    /// Whether connections and requests are to be counted (`stub_status`).
    pub fn has_status(&self) -> bool {
        self.has_status
    }

    /// The `map` blocks.
    pub fn maps(&self) -> &[Map] {
        &self.maps
    }

    /// The size of a buffer that any head fits that is let in, with what the proxy adds to it.
    pub fn buffer_size(&self) -> usize {
        self.buffer_size
    }

    /// Whether there is a listener of this number.
    pub fn has_listener(&self, listener: usize) -> bool {
        self.listeners.get(listener).is_some_and(Option::is_some)
    }

    #[inline]
    fn at(&self, listener: usize) -> &ListenerRoutes {
        self.listeners[listener].as_ref().expect("a client keeps to a configuration that has its listener")
    }

    /// Where a client of this listener is before its first request.
    pub fn default_place(&self, listener: usize) -> &Arc<Place> {
        &self.at(listener).default_place
    }

    /// Whether all requests at this listener go to one place, so that none is to be looked for.
    pub fn is_plain(&self, listener: usize) -> bool {
        self.at(listener).is_plain
    }

    /// The place of a request for this host and this path, which is in its normal form.
    pub fn find(&self, listener: usize, host: &[u8], path: &[u8]) -> &Arc<Place> {
        let site = self.at(listener).names.find(host);
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

/// The largest head of a response to a request with these rules.
fn response_head_max(site: &Site, rules: &Rules) -> usize {
    match &rules.forwarding {
        Forwarding::Standard => site.client.max_header_size,
        Forwarding::Listed(listed) => listed.response_head_max,
    }
}

/// The same for a location and all within it.
fn head_max(site: &Site, location: &Location) -> usize {
    let nested = location.nested.iter().map(|nested| head_max(site, nested));
    nested.max().unwrap_or_default().max(response_head_max(site, &location.rules))
}

/// Whether a `Location` may begin with a slash that begins with this text.
fn may_be_path(text: &Template) -> bool {
    !matches!(text.parts.first(), Some(Part::Text(start)) if start.first() != Some(&b'/'))
}

/// The groups that an action may lead to.
fn groups<'c>(config: &'c Config, action: &Action) -> impl Iterator<Item = &'c Upstream> + Clone {
    let range = match action {
        Action::Proxy(Pass { target: PassTarget::Upstream(index), .. }) => *index..index + 1,
        Action::Proxy(Pass { target: PassTarget::Variable(_), .. }) => 0..config.upstreams.len(),
        Action::Answer(_) | Action::File | Action::StubStatus => 0..0,
    };
    config.upstreams[range].iter()
}

/// What a server of this group is found by.
fn key(group: &Upstream) -> Option<&Template> {
    group.balance.goes_by_key().then_some(&group.key)
}

fn asks_for_records(around: &Around<'_>, location: &Location) -> bool {
    Place::new(around, location).keeps_records
        || location.nested.iter().any(|nested| asks_for_records(around, nested))
}
