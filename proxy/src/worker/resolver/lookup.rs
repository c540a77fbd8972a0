//! One look-up of a name, from its beginning to its end: by the system, or by asking name servers in turn.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::engine::Io;
use super::system::System;
use super::transport::{self, Outcome};
use crate::config::{Host, Resolver};
use crate::dns::{Data, Kind, Query, Server};

/// How long one name server may take before the next one is asked. nginx takes 5 s, longer than most clients wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// After so long all are asked again where none could be asked, as while they start.
const PAUSE: Duration = Duration::from_millis(500);

/// The most names that are asked for one after the other, each an alias of the next; more are a circle.
const ALIASES_MAX: usize = 10;

/// The most servers of a service whose addresses are looked up.
const SERVERS_MAX: usize = 64;

/// Longer than any look-up may take by itself.
pub(super) const LONG: Duration = Duration::from_secs(24 * 3600);

/// How long addresses hold where others could not be had.
const PARTLY: Duration = Duration::from_secs(5);

/// A name, and who knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// Who is asked; `None`: the system.
    pub resolver: Option<Arc<Resolver>>,
    /// The name.
    pub host: Arc<str>,
    /// It is the name of a service, for whose servers is asked. That takes a `resolver`.
    pub is_service: bool,
}

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// At least one.
    pub addresses: Vec<Found>,
    /// How long they hold; `None` where nobody says.
    pub valid: Option<Duration>,
    /// What is not among them, of a service, and why.
    pub left_out: Vec<String>,
}

/// An address of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The address.
    pub ip: IpAddr,
    /// What else is known where the name is that of a service.
    pub offer: Option<Offer>,
}

/// How a server offers a service (RFC 2782).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Where.
    pub port: u16,
    /// Its share, at least 1.
    pub weight: u32,
    /// Others have a better priority.
    pub is_backup: bool,
}

impl Answer {
    /// The addresses alone.
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().map(|found| found.ip)
    }
}

/// What came of a look-up.
#[derive(Clone, Debug)]
pub struct LookedUp {
    /// What was asked.
    pub question: Question,
    /// The answer.
    pub found: Result<Answer, Unresolved>,
}

/// Why a name has no address, in nginx's words (`ngx_resolver_strerror`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// A name server says that there is no such name, or it has no address.
    #[error("3: Host not found")]
    NotFound,
    /// No name server can answer, for this reason (RFC 1035 section 4.1.1: RCODE).
    #[error("{0}: {name}", name = code_name(*.0))]
    Failed(u8),
    /// No name server has answered in time.
    #[error("110: Operation timed out")]
    TimedOut,
    /// Many others were asked for since.
    #[error("too many names are being looked up")]
    Busy,
    /// The look-up has met a bug in the proxy.
    #[error("the look-up was lost to a panic")]
    Panicked,
    /// The system says so.
    #[error("{0}")]
    System(String),
}

fn code_name(code: u8) -> &'static str {
    match code {
        1 => "Format error",
        2 => "Server failure",
        4 => "Unimplemented",
        5 => "Operation refused",
        _ => "Unknown error",
    }
}

/// Which name server of each resolver has answered last: it is asked first, so that one that is away costs one
/// look-up its time and not all.
#[derive(Debug, Default)]
pub(super) struct Preferences(Mutex<HashMap<Arc<Resolver>, usize>>);

impl Preferences {
    fn first(&self, resolver: &Arc<Resolver>) -> usize {
        self.0.lock().get(resolver).copied().unwrap_or(0)
    }

    fn has_answered(&self, resolver: &Arc<Resolver>, server: usize) {
        if server != self.first(resolver) {
            self.0.lock().insert(resolver.clone(), server);
        }
    }
}

/// What all look-ups go by.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) preferences: Arc<Preferences>,
    /// For names that the system knows.
    pub(super) system: Rc<System>,
    /// For those of name servers, which are not to wait for others.
    pub(super) system_for_servers: Rc<System>,
}

/// Looks a name up. The system takes as long as it likes; name servers are asked until `until`.
pub(super) async fn look_up(
    question: Question,
    means: Means,
    io: Rc<Io>,
    until: Instant,
) -> Result<Answer, Unresolved> {
    let Some(resolver) = &question.resolver else {
        return by_system(&question.host, &means.system, &io).await;
    };
    let until = until.min(Instant::now() + resolver.timeout);
    let asking = Asking { resolver, means: &means, io: &io, until };
    match question.is_service {
        true => asking.service(&question.host).await,
        false => asking.host(&question.host).await,
    }
}

async fn by_system(host: &Arc<str>, system: &System, io: &Io) -> Result<Answer, Unresolved> {
    let found = system.look_up(io, host, Instant::now() + LONG).await;
    let ips = found.map_err(|error| Unresolved::System(error.to_string()))?;
    let addresses: Vec<_> = ips.into_iter().map(|ip| Found { ip, offer: None }).collect();
    match addresses.is_empty() {
        true => Err(Unresolved::System("it has no address".to_owned())),
        false => Ok(Answer { addresses, valid: None, left_out: Vec::new() }),
    }
}

/// A look-up by way of name servers.
#[derive(Clone, Copy)]
struct Asking<'a> {
    resolver: &'a Arc<Resolver>,
    means: &'a Means,
    io: &'a Io,
    /// When it is given up.
    until: Instant,
}

impl Asking<'_> {
    /// The addresses of a host.
    async fn host(self, host: &str) -> Result<Answer, Unresolved> {
        let kinds: &[Kind] = match (self.resolver.ipv4, self.resolver.ipv6) {
            (true, true) => &[Kind::A, Kind::Aaaa],
            (true, false) => &[Kind::A],
            (false, _) => &[Kind::Aaaa],
        };
        let (all, ttl) = self.records(host, kinds).await?;
        let address = |data| match data {
            Data::Address(ip) => Some(Found { ip, offer: None }),
            Data::Server(_) => None,
        };
        let addresses = all.into_iter().filter_map(address).collect();
        Ok(Answer { addresses, valid: self.valid(ttl), left_out: Vec::new() })
    }

    /// The addresses of the servers of a service, of which some may have none.
    async fn service(self, service: &str) -> Result<Answer, Unresolved> {
        let (all, mut least) = self.records(service, &[Kind::Srv]).await?;
        let server = |data| match data {
            // RFC 2782: the root as the target says that there is no such service.
            Data::Server(server) if !server.name.is_empty() => Some(server),
            Data::Server(_) | Data::Address(_) => None,
        };
        let mut servers: Vec<Server> = all.into_iter().filter_map(server).collect();
        servers.sort_unstable_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
        let (mut found, mut left_out, mut failed) = (Vec::new(), Vec::new(), Unresolved::NotFound);
        let mut most = Duration::MAX;
        let mut known: HashMap<&str, Vec<IpAddr>> = HashMap::new();
        for server in &servers {
            if !known.contains_key(&*server.name) {
                if known.len() == SERVERS_MAX {
                    left_out.push(format!("the servers of {service} behind the first {SERVERS_MAX}"));
                    break;
                }
                let ips = match self.hurried().host(&server.name).await {
                    Ok(answer) => {
                        least = least.min(answer.valid.unwrap_or(least));
                        answer.ips().collect()
                    }
                    Err(error) => {
                        left_out
                            .push(format!("{} of {service}, which does not resolve ({error})", server.name));
                        // It may be there in a moment.
                        most = if error == Unresolved::NotFound { most } else { PARTLY };
                        failed = error;
                        Vec::new()
                    }
                };
                known.insert(&server.name, ips);
            }
            found.extend(known[&*server.name].iter().map(|ip| (*ip, server)));
        }
        // The best of those that are there, which come in that order.
        let best = found.first().ok_or(failed)?.1.priority;
        let addresses = found.iter().map(|(ip, server)| Found {
            ip: *ip,
            offer: Some(Offer {
                port: server.port,
                weight: u32::from(server.weight).max(1),
                is_backup: server.priority != best,
            }),
        });
        let valid = self.valid(least).map(|valid| valid.min(most));
        Ok(Answer { addresses: addresses.collect(), valid, left_out })
    }

    /// With the time for one round of the name servers: what has no answer must not cost others theirs.
    fn hurried(self) -> Self {
        let round = PATIENCE * u32::try_from(self.resolver.servers.len()).unwrap_or(1);
        Asking { until: self.until.min(Instant::now() + round), ..self }
    }

    /// How long addresses hold that hold for `ttl` by themselves.
    fn valid(self, ttl: Duration) -> Option<Duration> {
        Some(self.resolver.valid.unwrap_or(ttl))
    }

    /// Asks for a name, and for what it is an alias of. There is at least one record.
    async fn records(self, host: &str, kinds: &[Kind]) -> Result<(Vec<Data>, Duration), Unresolved> {
        let (mut name, mut least) = (host.to_owned(), Duration::MAX);
        for _ in 0..ALIASES_MAX {
            // Nobody has such a name, whoever is asked.
            if Query::new(&name, Kind::A, 0).is_err() {
                return Err(Unresolved::NotFound);
            }
            match self.each(&name, kinds).await? {
                Outcome::Found(all, ttl) => return Ok((all, ttl.min(least))),
                Outcome::Alias(next, ttl) => (name, least) = (next, least.min(ttl)),
                Outcome::NotFound => return Err(Unresolved::NotFound),
                Outcome::Failed(code) => return Err(Unresolved::Failed(code)),
            }
        }
        Err(Unresolved::NotFound)
    }

    /// Asks one name server after the other, and all of them again, until one knows the name or denies it, all have
    /// said that they cannot tell, or the time is over.
    async fn each(self, name: &str, kinds: &[Kind]) -> Result<Outcome, Unresolved> {
        let Asking { resolver, means: Means { preferences, .. }, until, .. } = self;
        let count = resolver.servers.len();
        let first = preferences.first(resolver);
        loop {
            let (begin, mut failed, mut silent) = (Instant::now(), None, false);
            for index in (0..count).map(|step| (first + step) % count) {
                let now = Instant::now();
                if now >= until {
                    return Err(Unresolved::TimedOut);
                }
                match self.one(&resolver.servers[index], name, kinds, until.min(now + PATIENCE)).await {
                    Ok(Outcome::Failed(code)) => failed = Some(code),
                    Ok(outcome) => {
                        preferences.has_answered(resolver, index);
                        return Ok(outcome);
                    }
                    Err(error) => {
                        log::debug!("{name} was asked for in vain: {error}");
                        silent = true;
                    }
                }
            }
            if let (Some(code), false) = (failed, silent) {
                return Ok(Outcome::Failed(code));
            }
            self.io.sleep((begin + PAUSE).min(until)).await;
        }
    }

    /// Asks one name server. One given by its name is looked up by the system.
    async fn one(self, server: &Host, name: &str, kinds: &[Kind], until: Instant) -> io::Result<Outcome> {
        let address = match server {
            Host::Literal(address) => *address,
            Host::Name(host, port) => {
                let host = host.as_str().into();
                let found = self.means.system_for_servers.look_up(self.io, &host, until).await?;
                let ip = found.first().copied().ok_or(ErrorKind::NotFound)?;
                SocketAddr::new(ip, *port)
            }
            Host::Unix(_) => return Err(ErrorKind::Unsupported.into()),
        };
        transport::ask(self.io, address, name, kinds, until).await
    }
}
