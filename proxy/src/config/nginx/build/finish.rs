//! What was read, taken over from level to level, becomes a `Config`.

use super::super::error::{Error, Place};
use super::Builder;
use super::answers::default_types;
use super::http::{End, Last, Part, name};
use super::scope::{Change, ChangeFrom, Field, Log, Page, Root, Scope, Trusted};
use super::variables::{Text, Variables};
use crate::config::site::{
    Added, Answer, Delivery, ErrorPage, Files, Forwarding, Listed, Log as LogRule, Match, Otherwise,
    OwnRedirects, PassBody, RealIp, Redirect, RedirectFrom, Set, TryFiles,
};
use crate::config::{
    Action, ClientRules, Config, Listener, Location, LogFormat, Map, Rules, Site, Timeouts, Upstream,
};
use crate::time::Duration;

/// Fields of servers that nginx keeps to itself unless `proxy_pass_header` says otherwise
/// (`ngx_http_proxy_hide_headers`).
const HIDDEN: [&str; 10] = [
    "date",
    "server",
    "x-pad",
    "x-accel-expires",
    "x-accel-redirect",
    "x-accel-limit-rate",
    "x-accel-buffering",
    "x-accel-charset",
    "x-accel-internal",
    "x-accel-proxy",
];

/// A wait of no time at all is over at once: the shortest there is.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// What an `http` block comes to: a [`Config`] but for the process.
#[derive(Debug)]
pub(super) struct Http {
    listeners: Vec<Listener>,
    upstreams: Vec<Upstream>,
    sites: Vec<Site>,
    maps: Vec<Map>,
    slots: usize,
    formats: Vec<LogFormat>,
}

impl Builder<'_> {
    /// The finished `http` block.
    pub(super) fn finish_http(&mut self) -> Result<Http, Error> {
        let mut upstreams =
            std::mem::take(&mut self.groups).finish(&self.variables, &self.http_scope.asking)?;
        for server in &self.servers {
            check_duplicates(&server.part)?;
        }
        let (maps, formats) = (self.finish_maps()?, self.finish_formats()?);
        let servers = std::mem::take(&mut self.servers);
        let mut sites = Vec::with_capacity(servers.len());
        for server in &servers {
            let mut scope = server.part.scope.clone();
            scope.inherit(&self.http_scope);
            self.add_checks(&server.part, &scope, &server.names, &mut upstreams)?;
            sites.push(Site {
                names: server.names.clone(),
                client: client_rules(&scope),
                sets: self.sets(&server.part)?,
                answer: self.answer(&server.part)?,
                locations: self.nested(&server.part, &scope)?,
                location: self.location_of(&server.part, &scope, true)?,
            });
        }
        for location in sites.iter_mut().flat_map(|site| &mut site.locations) {
            close(location, false);
        }
        let names: Vec<_> = sites.iter().map(|site| site.names.clone()).collect();
        self.sockets.check_names(&names, &mut self.warnings)?;
        let listeners = self.sockets.all.iter().map(|socket| socket.listener.clone()).collect();
        Ok(Http { listeners, upstreams, sites, maps, slots: self.variables.slots(), formats })
    }

    /// The finished configuration, if something is served at all.
    pub(super) fn finish(&mut self) -> Result<Config, Error> {
        let missing = |what| Error::whole(format!("no \"{what}\" section in configuration"));
        if !self.process.has_events {
            return Err(missing("events"));
        }
        match self.http.take() {
            Some(Http { listeners, upstreams, sites, maps, slots, formats }) if !sites.is_empty() => {
                let process = self.finish_process();
                let asks_counters = self.variables.asks_counters();
                let asks_address = self.variables.asks_address();
                Ok(Config {
                    process,
                    listeners,
                    upstreams,
                    sites,
                    maps,
                    slots,
                    formats,
                    asks_counters,
                    asks_address,
                })
            }
            _ => Err(missing("server")),
        }
    }

    /// The locations in a part, what is not said in them taken over from its scope.
    fn nested(&self, part: &Part, scope: &Scope) -> Result<Vec<Location>, Error> {
        let finish = |inner: &Part| {
            let mut own = inner.scope.clone();
            own.inherit(scope);
            self.location_of(inner, &own, false)
        };
        part.nested.iter().map(finish).collect()
    }

    /// A location with its merged scope; that of a site as a whole has what is nested in it beside it.
    fn location_of(&self, part: &Part, scope: &Scope, is_site: bool) -> Result<Location, Error> {
        let action = match (&part.end, self.answer(part)?) {
            (_, Some(answer)) if !is_site => Action::Answer(answer),
            (End::Pass(pass), _) => Action::Proxy(pass.finish(&self.variables)?),
            (End::StubStatus, _) => Action::StubStatus,
            (End::File, _) => Action::File,
        };
        Ok(Location {
            matches: part.matches.clone(),
            is_internal: part.is_internal,
            sets: if is_site { Vec::new() } else { self.sets(part)? },
            try_files: self.try_files(part, scope)?,
            files: self.static_files(scope)?,
            action,
            adds_slash: matches!(part.end, End::Pass(_)),
            rules: self.rules(part, scope)?,
            client: (!is_site).then(|| client_rules(scope)),
            nested: if is_site { Vec::new() } else { self.nested(part, scope)? },
        })
    }

    fn sets(&self, part: &Part) -> Result<Vec<Set>, Error> {
        let set = |(variable, value): &(_, _)| {
            Ok(Set { variable: Clone::clone(variable), value: self.variables.template(value)? })
        };
        part.sets.iter().map(set).collect()
    }

    fn answer(&self, part: &Part) -> Result<Option<Answer>, Error> {
        let Some((status, text)) = &part.answer else { return Ok(None) };
        Ok(Some(Answer { status: *status, text: self.variables.optional(text.as_ref())? }))
    }

    fn try_files(&self, part: &Part, scope: &Scope) -> Result<Option<TryFiles>, Error> {
        let Some(tries) = &part.try_files else { return Ok(None) };
        let name = |(name, is_folder): &(Text, bool)| Ok((self.variables.template(name)?, *is_folder));
        let is_alias = scope.root.as_ref().is_some_and(|root| root.is_alias);
        if is_alias && matches!(part.matches, Match::Regex(_)) {
            let message = "\"try_files\" with \"alias\" in a location that is given by regular expression is not \
                           supported by this proxy";
            return Err(Error::at(&part.place, message));
        }
        Ok(Some(TryFiles {
            names: tries.names.iter().map(name).collect::<Result<_, Error>>()?,
            otherwise: match &tries.otherwise {
                Last::Status(status) => Otherwise::Status(*status),
                Last::Place(text) => Otherwise::Place(self.variables.template(text)?),
            },
        }))
    }

    fn static_files(&self, scope: &Scope) -> Result<Files, Error> {
        let plain = |text: &str| Text::literal(text, &Place::CommandLine);
        let default = Root { path: plain(&self.options.full("html")), is_alias: false, replaced: 0 };
        let root = scope.root.as_ref().unwrap_or(&default);
        let index = scope.index.clone().unwrap_or_else(|| vec![plain("index.html")]);
        Ok(Files {
            root: self.variables.template(&root.path)?,
            is_alias: root.is_alias,
            replaced: root.replaced,
            index: index.iter().map(|name| self.variables.template(name)).collect::<Result<_, _>>()?,
            has_etag: scope.etag.unwrap_or(true),
            if_modified_since: scope.if_modified_since.unwrap_or_default(),
            ranges_max: scope.max_ranges.map_or(u32::MAX, |max| u32::try_from(max).unwrap_or(u32::MAX)),
        })
    }

    fn rules(&self, part: &Part, scope: &Scope) -> Result<Rules, Error> {
        let variables = &self.variables;
        let tries = scope.proxy_next_upstream_tries.unwrap_or(0);
        Ok(Rules {
            timeouts: timeouts(scope),
            next_upstream: scope.proxy_next_upstream.unwrap_or_default(),
            tries: u32::try_from(tries).unwrap_or(u32::MAX),
            tries_timeout: scope.proxy_next_upstream_timeout.unwrap_or_default(),
            max_body_size: scope.client_max_body_size.unwrap_or(1 << 20),
            bind: variables.optional(scope.proxy_bind.as_ref().and_then(Option::as_ref))?,
            body_kept_max: scope
                .client_body_buffer_size
                .map_or(8 << 10, |size| usize::try_from(size).unwrap_or(usize::MAX)),
            forwarding: Forwarding::Listed(listed(scope, variables)?),
            delivery: delivery(part, scope, variables)?,
            resolver: scope.asking.finish(),
            error_pages: error_pages(scope, variables)?,
            recursive_error_pages: scope.recursive_error_pages.unwrap_or(false),
            intercepts_errors: scope.proxy_intercept_errors.unwrap_or(false),
            buffers_answers: scope.proxy_buffering.unwrap_or(true),
            access: scope.access.clone().unwrap_or_default(),
            logs: self.logs(scope)?,
            types: scope.types.clone().unwrap_or_else(default_types),
            default_type: scope.default_type.clone().unwrap_or_else(|| "text/plain".to_owned()),
        })
    }

    fn logs(&self, scope: &Scope) -> Result<Vec<LogRule>, Error> {
        let finish = |log: &Log| {
            Ok(LogRule {
                path: self.variables.template(&log.path)?,
                format: log.format,
                buffer: log.buffer.map_or(0, |size| usize::try_from(size).unwrap_or(usize::MAX)),
                flush: log.flush.unwrap_or_default(),
                condition: self.variables.optional(log.condition.as_ref())?,
            })
        };
        match &scope.access_log {
            Some(logs) if logs.is_off => Ok(Vec::new()),
            Some(logs) => logs.logs.iter().map(finish).collect(),
            None => {
                let path = Text::literal(&self.options.full("logs/access.log"), &Place::CommandLine);
                Ok(vec![finish(&Log { path, format: 0, buffer: None, flush: None, condition: None })?])
            }
        }
    }
}

/// Two locations of one level that are for the same paths.
fn check_duplicates(part: &Part) -> Result<(), Error> {
    for (index, location) in part.nested.iter().enumerate() {
        let is_same = |other: &Part| match (&location.matches, &other.matches) {
            (Match::Exact(path), Match::Exact(other)) => path == other,
            (Match::Prefix { path, .. }, Match::Prefix { path: other, .. }) => path == other,
            _ => false,
        };
        if part.nested[..index].iter().any(is_same) {
            let message = format!("duplicate location \"{}\"", name(&location.matches));
            return Err(Error::at(&location.place, message));
        }
        check_duplicates(location)?;
    }
    Ok(())
}

fn client_rules(scope: &Scope) -> ClientRules {
    let (count, size) = scope.large_client_header_buffers.unwrap_or((4, 8 << 10));
    let head = count.saturating_mul(size).clamp(1 << 10, 1 << 20);
    let (timeout, told) = scope.keepalive_timeout.unwrap_or((Duration::from_secs(75), None));
    let trusted = scope.set_real_ip_from.as_deref().unwrap_or_default();
    let real_ip = match scope.real_ip_header.as_deref().unwrap_or("X-Real-IP") {
        "proxy_protocol" => RealIp::ProxyProtocol,
        name => RealIp::Field {
            name: name.to_ascii_lowercase(),
            is_recursive: scope.real_ip_recursive.unwrap_or(false),
        },
    };
    ClientRules {
        header_timeout: scope.client_header_timeout.unwrap_or(Duration::from_secs(60)).max(WAIT_MIN),
        keepalive_timeout: timeout,
        keepalive_header: told.filter(|told| told.as_secs() > 0),
        keepalive_requests: scope.keepalive_requests.unwrap_or(1000).max(1),
        keepalive_time: scope.keepalive_time.unwrap_or(Duration::from_secs(3600)),
        max_header_size: usize::try_from(head).unwrap_or(1 << 20),
        underscores: scope.underscores_in_headers.unwrap_or(false),
        ignores_invalid: scope.ignore_invalid_headers.unwrap_or(true),
        trusted: trusted
            .iter()
            .filter_map(|trusted| match trusted {
                Trusted::Net(net) => Some(*net),
                Trusted::Unix => None,
            })
            .collect(),
        trusts_unix: trusted.iter().any(|trusted| matches!(trusted, Trusted::Unix)),
        real_ip,
    }
}

/// The bounds on waiting for servers and clients.
pub(super) fn timeouts(scope: &Scope) -> Timeouts {
    let wait = |time: Option<Duration>| time.unwrap_or(Duration::from_secs(60)).max(WAIT_MIN);
    Timeouts {
        connect: wait(scope.proxy_connect_timeout),
        read: wait(scope.proxy_read_timeout),
        send: wait(scope.proxy_send_timeout),
        client_body: wait(scope.client_body_timeout),
        client_send: wait(scope.send_timeout),
    }
}

/// What requests to servers say.
pub(super) fn listed(scope: &Scope, variables: &Variables) -> Result<Listed, Error> {
    let fields = scope.proxy_set_header.as_deref().unwrap_or_default();
    let finish = |field: &Field| Ok((field.name.clone(), variables.template(&field.value)?));
    let mut fields: Vec<_> = fields.iter().map(finish).collect::<Result<_, Error>>()?;
    if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        let host = Text::parse("$proxy_host", &Place::CommandLine)?;
        fields.insert(0, ("Host".to_owned(), variables.template(&host)?));
    }
    let head = scope.proxy_buffer_size.unwrap_or(4 << 10).clamp(1, 1 << 20);
    Ok(Listed {
        fields,
        drops_fields: scope.proxy_pass_request_headers == Some(false),
        body: match &scope.proxy_set_body {
            Some(text) => PassBody::Replaced(variables.template(text)?),
            None if scope.proxy_pass_request_body == Some(false) => PassBody::Dropped,
            None => PassBody::Passed,
        },
        method: variables.optional(scope.proxy_method.as_ref())?,
        is_http10: scope.proxy_http_version == Some(false),
        response_head_max: usize::try_from(head).unwrap_or(1 << 20),
    })
}

fn delivery(part: &Part, scope: &Scope, variables: &Variables) -> Result<Delivery, Error> {
    let passed = scope.proxy_pass_header.as_deref().unwrap_or_default();
    let listed = scope.proxy_hide_header.as_deref().unwrap_or_default();
    let mut hidden: Vec<String> = listed.to_vec();
    hidden.extend(HIDDEN.iter().map(|name| (*name).to_owned()));
    hidden.retain(|name| !passed.contains(name));
    hidden.sort();
    hidden.dedup();
    let add = |field: &Field| {
        let value = variables.template(&field.value)?;
        Ok(Added { name: field.name.clone(), value, is_always: field.always })
    };
    let added = scope.add_header.as_deref().unwrap_or_default();
    let changes: Vec<Change> = match &scope.proxy_redirect {
        Some(changes) => changes.clone().unwrap_or_default(),
        None => match &part.end {
            End::Pass(pass) => pass.change(&part.matches).into_iter().collect(),
            _ => Vec::new(),
        },
    };
    let change = |change: &Change| {
        let from = match &change.from {
            ChangeFrom::Prefix(text) => RedirectFrom::Text(variables.template(text)?),
            ChangeFrom::Pattern(pattern) => RedirectFrom::Regex(pattern.clone()),
        };
        Ok(Redirect { from, to: variables.template(&change.to)? })
    };
    Ok(Delivery {
        hidden,
        added: added.iter().map(add).collect::<Result<_, Error>>()?,
        redirects: changes.iter().map(change).collect::<Result<_, Error>>()?,
        own_redirects: OwnRedirects {
            are_absolute: scope.absolute_redirect.unwrap_or(true),
            name_the_site: scope.server_name_in_redirect.unwrap_or(false),
            have_port: scope.port_in_redirect.unwrap_or(true),
        },
    })
}

fn error_pages(scope: &Scope, variables: &Variables) -> Result<Vec<ErrorPage>, Error> {
    let pages = scope.error_page.as_deref().unwrap_or_default();
    let finish = |page: &Page| {
        let target = variables.template(&page.to)?;
        Ok(ErrorPage { statuses: page.statuses.clone(), status: page.answers, target })
    };
    pages.iter().map(finish).collect()
}

/// What is within a location for the proxy's own requests is for those, too.
fn close(location: &mut Location, is_internal: bool) {
    location.is_internal |= is_internal;
    let is_internal = location.is_internal;
    location.nested.iter_mut().for_each(|nested| close(nested, is_internal));
}
