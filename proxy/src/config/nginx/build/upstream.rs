//! `upstream` blocks, and the groups that a `proxy_pass` to an address implies.

use super::super::error::{Error, Place, Warning};
use super::super::reader::Statement;
use super::resolver::Asking;
use super::slots::{number, once, time, word};
use super::sticky;
use super::variables::{Text, Variables};
use crate::config::address::parse_host;
use crate::config::server::WEIGHT_MAX;
use crate::config::units::{parse_number, parse_size, parse_time};
use crate::config::url::{self, Kind, Url};
use crate::config::{Balance, Host, Measure, Queue, Server, Until, Upstream};
use crate::time::Duration;

/// The least size of a `zone`: eight pages, as in nginx.
pub(super) const ZONE_MIN: u64 = 8 * 4096;

/// How many idle connections are kept where no `keepalive` says it, as in nginx since 1.29.7.
const KEEPALIVE: u64 = 32;

/// How long a request waits in a `queue` that does not say.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest `route` of a server, as in nginx.
const ROUTE_MAX: usize = 32;

/// A group as far as it is known.
#[derive(Debug)]
pub(super) struct Group {
    name: String,
    servers: Vec<Server>,
    /// Which of them say `resolve`, as indexes.
    resolved: Vec<usize>,
    /// Nothing for what a `proxy_pass` implies.
    block: Option<Block>,
    /// The port of an implied group, part of its identity.
    port: Option<u16>,
}

/// What stands in an `upstream` block beside its servers.
#[derive(Debug, Default)]
pub(super) struct Block {
    balance: Option<Balance>,
    key: Option<Text>,
    sticky: Option<sticky::Draft>,
    queue: Option<Queue>,
    keepalive: Option<u64>,
    keepalive_requests: Option<u64>,
    keepalive_time: Option<Duration>,
    keepalive_timeout: Option<Duration>,
    asking: Asking,
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    all: Vec<(Group, Place)>,
}

impl Groups {
    /// Opens an `upstream` block.
    pub(super) fn open(&mut self, statement: &Statement) -> Result<(), Error> {
        let name = statement.arg(0);
        let place = &statement.place;
        let implied = |(group, at): &(Group, Place)| {
            group.name_matches(name).then(|| (group.block.is_some(), group.port, at.clone()))
        };
        for (is_block, port, at) in self.all.iter().filter_map(implied) {
            if is_block {
                return Err(statement.error(format!("duplicate upstream \"{name}\"")));
            }
            if let Some(port) = port {
                let message = format!("upstream \"{name}\" may not have port {port}");
                return Err(Error::at(&at, message));
            }
        }
        let group = Group { block: Some(Block::default()), ..Group::new(name, None) };
        // A `proxy_pass` above that named it without a port meant this one.
        match self.all.iter().position(|(group, _)| group.name_matches(name)) {
            Some(index) => self.all[index] = (group, place.clone()),
            None => self.all.push((group, place.clone())),
        }
        Ok(())
    }

    /// Carries out a directive of the `upstream` block of this name.
    pub(super) fn set(
        &mut self,
        name: &str,
        statement: &Statement,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), Error> {
        let (group, _) = self
            .all
            .iter_mut()
            .find(|(group, _)| group.block.is_some() && group.name == name)
            .expect("the block is open");
        let Group { servers, resolved, block: Some(block), .. } = group else {
            unreachable!("it is a block")
        };
        match statement.directive.name {
            "server" => {
                if statement.args[1..].iter().any(|word| word == "resolve") {
                    resolved.push(servers.len());
                }
                servers.push(server(statement, block.balance)?);
            }
            "ip_hash" => balance(block, Balance::IpHash, statement, warnings),
            "least_conn" => balance(block, Balance::LeastConn, statement, warnings),
            "least_time" => {
                if matches!(block.balance, Some(Balance::LeastTime(_))) {
                    return Err(statement.fault("is duplicate"));
                }
                balance(block, Balance::default(), statement, warnings);
                block.balance = Some(Balance::LeastTime(measure(statement)?));
            }
            "hash" => {
                block.key = Some(Text::arg(statement, 0)?);
                balance(block, Balance::Hash, statement, warnings);
                block.balance = Some(match statement.args.get(1).map(String::as_str) {
                    None => Balance::Hash,
                    Some("consistent") => Balance::ConsistentHash,
                    Some(word) => return Err(invalid_parameter(statement, word)),
                });
            }
            "random" => {
                balance(block, Balance::Random, statement, warnings);
                block.balance = Some(match statement.args.as_slice() {
                    [] => Balance::Random,
                    [two] if two == "two" => Balance::RandomTwo,
                    [two, method] if two == "two" && method == "least_conn" => Balance::RandomTwo,
                    [two, word] if two == "two" => return Err(invalid_parameter(statement, word)),
                    [word, ..] => return Err(invalid_parameter(statement, word)),
                });
            }
            "sticky" => once(&mut block.sticky, statement, || sticky::Draft::read(statement))?,
            "queue" => once(&mut block.queue, statement, || queue(statement))?,
            "zone" => zone(statement)?,
            "keepalive" => once(&mut block.keepalive, statement, || {
                parse_number(statement.arg(0)).ok_or_else(|| {
                    statement
                        .error(format!("invalid value \"{}\" in \"keepalive\" directive", statement.arg(0)))
                })
            })?,
            "keepalive_requests" => number(&mut block.keepalive_requests, statement)?,
            "keepalive_time" => time(&mut block.keepalive_time, statement)?,
            "keepalive_timeout" => time(&mut block.keepalive_timeout, statement)?,
            _ => {
                block.asking.set(statement)?;
            }
        }
        Ok(())
    }

    /// Closes an `upstream` block.
    pub(super) fn close(&self, name: &str, place: &Place) -> Result<(), Error> {
        match self.all.iter().find(|(group, _)| group.block.is_some() && group.name == name) {
            Some((group, _)) if group.servers.is_empty() => {
                Err(Error::at(place, "no servers are inside upstream"))
            }
            _ => Ok(()),
        }
    }

    /// The index of the group that a `proxy_pass` is for, which may have its block further below.
    pub(super) fn named(&mut self, url: &Url<'_>, place: &Place) -> Result<usize, Error> {
        let (host, port) = match url.place {
            url::Place::Name(host, ports) => (host, ports.map(|(port, _)| port)),
            url::Place::V4(_, ports) | url::Place::V6(_, ports) | url::Place::Any(ports) => {
                let host = url.name.rsplit_once(':').filter(|_| ports.is_some());
                (host.map_or(url.name, |(host, _)| host), ports.map(|(port, _)| port))
            }
            url::Place::Unix(_) => (url.name, None),
        };
        for (index, (group, _)) in self.all.iter().enumerate() {
            if !group.name_matches(host) {
                continue;
            }
            match (group.block.is_some(), port) {
                (true, Some(port)) => {
                    return Err(Error::at(place, format!("upstream \"{host}\" may not have port {port}")));
                }
                (true, None) => return Ok(index),
                (false, port) if port == group.port => return Ok(index),
                _ => {}
            }
        }
        self.all.push((Group::new(host, port), place.clone()));
        Ok(self.all.len() - 1)
    }

    /// The finished groups: what only the whole shows is checked, and implied groups get their server. Where a group
    /// does not say who is asked for names, it is as in `around`.
    pub(super) fn finish(self, variables: &Variables, around: &Asking) -> Result<Vec<Upstream>, Error> {
        self.all.into_iter().map(|(group, place)| group.finish(&place, variables, around)).collect()
    }
}

impl Group {
    fn new(name: &str, port: Option<u16>) -> Group {
        Group { name: name.to_owned(), servers: Vec::new(), resolved: Vec::new(), block: None, port }
    }

    fn name_matches(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn finish(mut self, place: &Place, variables: &Variables, around: &Asking) -> Result<Upstream, Error> {
        let name = match self.port {
            Some(port) => format!("{}:{port}", self.name),
            None => self.name,
        };
        let is_implied = self.block.is_none();
        if is_implied {
            let host = parse_host(&name)
                .map_err(|_| Error::at(place, format!("host not found in upstream \"{name}\"")))?;
            self.servers.push(Server::new(&name, host));
        }
        let mut block = self.block.unwrap_or_default();
        block.asking.inherit(around);
        let resolver = block.asking.finish();
        for index in self.resolved {
            let server = &mut self.servers[index];
            server.resolver.clone_from(&resolver);
            if server.service.is_some() && resolver.is_none() {
                let what = "no resolver defined to resolve names at run time";
                return Err(Error::at(place, format!("{what} in upstream \"{name}\"")));
            }
        }
        let balance = block.balance.unwrap_or_default();
        if self.servers.iter().all(|server| server.backup) {
            return Err(Error::at(place, format!("no servers in upstream \"{name}\"")));
        }
        let keepalive = block.keepalive.unwrap_or(KEEPALIVE);
        Ok(Upstream {
            balance,
            key: variables.optional(block.key.as_ref())?.unwrap_or_default(),
            sticky: block.sticky.map(|sticky| sticky.finish(variables)).transpose()?,
            queue: block.queue,
            keepalive: usize::try_from(keepalive).unwrap_or(usize::MAX),
            idle_timeout: block.keepalive_timeout.unwrap_or(Duration::from_secs(60)),
            requests_max: block.keepalive_requests.unwrap_or(1000).max(1),
            time_max: block.keepalive_time.unwrap_or(Duration::from_secs(3600)),
            ..Upstream::new(&name, self.servers)
        })
    }
}

fn balance(block: &mut Block, method: Balance, statement: &Statement, warnings: &mut Vec<Warning>) {
    if block.balance.is_some() || block.keepalive.is_some() || block.sticky.is_some() || block.queue.is_some()
    {
        warnings.push(statement.error("load balancing method redefined"));
    }
    block.balance = Some(method);
}

/// What `least_time` measures.
fn measure(statement: &Statement) -> Result<Measure, Error> {
    let counts_unanswered = match statement.args.get(1).map(String::as_str) {
        None => false,
        Some("inflight") => true,
        Some(word) => return Err(invalid_parameter(statement, word)),
    };
    let mut until = None;
    word(&mut until, statement, &[("header", Until::Header), ("last_byte", Until::LastByte)])?;
    Ok(Measure { until: until.expect("a word has been read"), counts_unanswered })
}

/// How requests wait: how many, and for how long.
fn queue(statement: &Statement) -> Result<Queue, Error> {
    let number = parse_number(statement.arg(0)).and_then(|number| usize::try_from(number).ok());
    let Some(requests_max) = number.filter(|number| *number > 0) else {
        return Err(statement.fault("invalid value"));
    };
    let timeout = match statement.args.get(1) {
        None => QUEUE_TIMEOUT,
        Some(word) => {
            let time = word.strip_prefix("timeout=").and_then(|value| parse_time(value).ok());
            time.ok_or_else(|| invalid_parameter(statement, word))?
        }
    };
    Ok(Queue { requests_max, timeout })
}

fn invalid_parameter(statement: &Statement, word: &str) -> Error {
    statement.error(format!("invalid parameter \"{word}\""))
}

/// One `server` line: an address and its parameters.
fn server(statement: &Statement, balance: Option<Balance>) -> Result<Server, Error> {
    let name = statement.arg(0);
    // The address is looked at last, as in nginx.
    let mut server = Server::new(name, Host::Unix(Default::default()));
    for word in statement.args.iter().skip(1) {
        let invalid = || invalid_parameter(statement, word);
        let count =
            |text: &str| parse_number(text).and_then(|number| u32::try_from(number).ok()).ok_or_else(invalid);
        match word.split_once('=') {
            Some(("weight", value)) => {
                server.weight = count(value)?;
                if !(1..=WEIGHT_MAX).contains(&server.weight) {
                    return Err(invalid());
                }
            }
            Some(("max_conns", value)) => server.max_conns = count(value)?,
            Some(("max_fails", value)) => server.max_fails = count(value)?,
            Some(("fail_timeout", value)) => {
                server.fail_timeout = parse_time(value).map_err(|_| invalid())?;
            }
            Some(("slow_start", _)) | None
                if is_for_ranks(word) && !balance.unwrap_or_default().ranks_servers() =>
            {
                let message = format!("balancing method does not support parameter \"{word}\"");
                return Err(statement.error(message));
            }
            Some(("route", "")) => return Err(statement.error("route is empty")),
            Some(("route", value)) if value.len() > ROUTE_MAX => {
                return Err(statement.error(format!("route is longer than {ROUTE_MAX}")));
            }
            Some(("route", value)) => server.route = value.to_owned(),
            Some(("slow_start", value)) => {
                server.slow_start = parse_time(value).map_err(|_| invalid())?;
            }
            None if word == "backup" => server.backup = true,
            None if word == "down" => server.down = true,
            None if word == "drain" => server.drain = true,
            // The caller keeps it in mind.
            None if word == "resolve" => {}
            Some(("service", "")) => return Err(statement.error("service is empty")),
            Some(("service", value)) => server.service = Some(service_name(value, name)),
            _ => return Err(invalid()),
        }
    }
    let not = |problem: &str| statement.error(format!("{problem} in upstream \"{name}\""));
    url::parse(name, Kind::Server).map_err(not)?;
    server.host = parse_host(name).map_err(|_| not("host not found"))?;
    if server.service.is_some() {
        let problem = match &server.host {
            Host::Literal(_) | Host::Unix(_) => Some("requires domain name"),
            Host::Name(host, _) if host.len() != name.len() => Some("may not have port"),
            Host::Name(..) if !statement.args.iter().any(|word| word == "resolve") => {
                Some("requires \"resolve\" parameter")
            }
            Host::Name(..) => None,
        };
        if let Some(problem) = problem {
            return Err(statement.error(format!("service upstream \"{name}\" {problem}")));
        }
    }
    Ok(server)
}

/// The name to ask for the servers of a service of `host`. One with a dot comes with its protocol.
fn service_name(service: &str, host: &str) -> String {
    if service.contains('.') { format!("{service}.{host}") } else { format!("_{service}._tcp.{host}") }
}

/// Parameters that mean nothing where a server is not ranked by its standing.
fn is_for_ranks(word: &str) -> bool {
    word == "backup" || word.starts_with("slow_start=")
}

fn zone(statement: &Statement) -> Result<(), Error> {
    let name = statement.arg(0);
    if name.is_empty() {
        return Err(statement.error("invalid zone name \"\""));
    }
    let Some(text) = statement.args.get(1) else { return Ok(()) };
    match parse_size(text) {
        Err(_) => Err(statement.error(format!("invalid zone size \"{text}\""))),
        Ok(size) if size < ZONE_MIN => Err(statement.error(format!("zone \"{name}\" is too small"))),
        Ok(_) => Ok(()),
    }
}
