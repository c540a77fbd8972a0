//! `listen` and `server_name`: where a site answers, and to which names.

use std::net::{Ipv4Addr, SocketAddr};

use super::super::error::{Error, Place, Warning};
use super::super::reader::Statement;
use super::variables::Variables;
use crate::config::site::SiteName;
use crate::config::units::{parse_number, parse_size, parse_time};
use crate::config::url::{self, Kind};
use crate::config::{Listen, Listener, TcpKeepalive};

/// A socket, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct Socket {
    /// What it becomes.
    pub(super) listener: Listener,
    /// Somebody said `default_server`.
    has_default: bool,
    /// Somebody said something that holds for the socket as a whole.
    has_options: bool,
}

/// The sockets of all sites, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    pub(super) all: Vec<Socket>,
}

/// What a `listen` says besides its address.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    is_default: bool,
    is_set: bool,
    backlog: Option<u32>,
    tcp_keepalive: Option<TcpKeepalive>,
    proxy_protocol: bool,
}

impl Sockets {
    /// Carries out a `listen` of the site at this index.
    pub(super) fn add(&mut self, site: usize, statement: &Statement) -> Result<(), Error> {
        let addresses = addresses(statement)?;
        let options = options(statement)?;
        for address in addresses {
            self.add_one(site, address, options, &statement.place)?;
        }
        Ok(())
    }

    /// Lets a site without a `listen` answer on a port of all IPv4 addresses.
    pub(super) fn add_default(&mut self, site: usize, port: u16, place: &Place) -> Result<(), Error> {
        let address = Listen::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
        self.add_one(site, address, Options::default(), place)
    }

    fn add_one(
        &mut self,
        site: usize,
        address: Listen,
        options: Options,
        place: &Place,
    ) -> Result<(), Error> {
        let Some(socket) = self.all.iter_mut().find(|socket| socket.listener.address == address) else {
            let listener = Listener {
                sites: vec![site],
                default_site: site,
                backlog: options.backlog,
                tcp_keepalive: options.tcp_keepalive,
                proxy_protocol: options.proxy_protocol,
                ..Listener::new(address)
            };
            let (has_default, has_options) = (options.is_default, options.is_set);
            self.all.push(Socket { listener, has_default, has_options });
            return Ok(());
        };
        let listener = &mut socket.listener;
        let name = listener.address.to_string();
        if listener.sites.contains(&site) {
            return Err(Error::at(place, format!("a duplicate listen {name}")));
        }
        listener.sites.push(site);
        // It holds for the socket, whichever site says it.
        listener.proxy_protocol |= options.proxy_protocol;
        if options.is_set {
            if socket.has_options {
                return Err(Error::at(place, format!("duplicate listen options for {name}")));
            }
            socket.has_options = true;
            listener.backlog = options.backlog;
            listener.tcp_keepalive = options.tcp_keepalive;
        }
        if options.is_default {
            if socket.has_default {
                return Err(Error::at(place, format!("a duplicate default server for {name}")));
            }
            socket.has_default = true;
            listener.default_site = site;
        }
        Ok(())
    }

    /// Warns of names that two sites of a socket have, of which the first one answers. Like nginx this looks at
    /// sockets with several sites alone; there a name with a `*` that is no wildcard is an error.
    pub(super) fn check_names(
        &self,
        names: &[Vec<SiteName>],
        warnings: &mut Vec<Warning>,
    ) -> Result<(), Error> {
        for socket in self.all.iter().filter(|socket| socket.listener.sites.len() > 1) {
            let mut seen: Vec<&SiteName> = Vec::new();
            let empty = SiteName::Exact(String::new());
            for site in &socket.listener.sites {
                let own = &names[*site];
                let own = if own.is_empty() { std::slice::from_ref(&empty) } else { &own[..] };
                for name in own.iter().filter(|name| !matches!(name, SiteName::Regex(_))) {
                    let (text, address) = (name.written(), &socket.listener.address);
                    if matches!(name, SiteName::Exact(name) if name.contains('*')) {
                        let message = format!("invalid server name or wildcard \"{text}\" on {address}");
                        return Err(Error::whole(message));
                    }
                    if seen.contains(&name) {
                        let message = format!("conflicting server name \"{text}\" on {address}, ignored");
                        warnings.push(Error::whole(message));
                    }
                    seen.push(name);
                }
            }
        }
        Ok(())
    }
}

/// The names of a `server_name`.
pub(super) fn names(
    into: &mut Vec<SiteName>,
    statement: &Statement,
    variables: &mut Variables,
    hostname: &str,
    warnings: &mut Vec<Warning>,
) -> Result<(), Error> {
    for word in &statement.args {
        let invalid = || Err(statement.error(format!("server name \"{word}\" is invalid")));
        if (word.starts_with('*') && (word.len() < 3 || !word.starts_with("*."))) || word == "." {
            return invalid();
        }
        if word.contains('/') {
            warnings.push(statement.error(format!("server name \"{word}\" has suspicious symbols")));
        }
        let lower = match word.eq_ignore_ascii_case("$hostname") {
            true => hostname.to_ascii_lowercase(),
            false => word.to_ascii_lowercase(),
        };
        match word.strip_prefix('~') {
            Some("") => return Err(statement.error("empty regex in server name \"~\"")),
            Some(source) => {
                // A capital letter has it ignore case, as all names are in small letters then.
                let is_caseless = source.bytes().any(|byte| byte.is_ascii_uppercase());
                let pattern = variables.pattern(source, is_caseless, &statement.place)?;
                into.push(SiteName::Regex(pattern));
            }
            None if lower.starts_with('.') => {
                into.push(SiteName::Exact(lower[1..].to_owned()));
                into.push(SiteName::Suffix(lower));
            }
            None => into.push(match (lower.strip_prefix('*'), lower.strip_suffix('*')) {
                (Some(end), _) if !end.contains('*') => SiteName::Suffix(end.to_owned()),
                (_, Some(start)) if start.ends_with('.') && !start.contains('*') => {
                    SiteName::Prefix(start.to_owned())
                }
                _ => SiteName::Exact(lower),
            }),
        }
    }
    Ok(())
}

/// The addresses that a `listen` names: several with a range of ports.
fn addresses(statement: &Statement) -> Result<Vec<Listen>, Error> {
    let word = statement.arg(0);
    let fail =
        |problem: &str| Err(statement.error(format!("{problem} in \"{word}\" of the \"listen\" directive")));
    let url = match url::parse(word, Kind::Listen) {
        Ok(url) => url,
        Err(problem) => return fail(problem),
    };
    let (ip, ports) = match url.place {
        url::Place::Unix(path) => return Ok(vec![Listen::Unix(path.into())]),
        url::Place::V4(ip, ports) => (ip.into(), ports),
        url::Place::V6(ip, ports) => (ip.into(), ports),
        url::Place::Any(ports) => (Ipv4Addr::UNSPECIFIED.into(), ports),
        url::Place::Name("localhost", ports) => (Ipv4Addr::LOCALHOST.into(), ports),
        url::Place::Name(..) => return fail("host not found"),
    };
    let (first, last) = ports.unwrap_or((80, 80));
    Ok((first..=last).map(|port| Listen::Tcp(SocketAddr::new(ip, port))).collect())
}

fn options(statement: &Statement) -> Result<Options, Error> {
    let mut options = Options::default();
    for word in statement.args.iter().skip(1) {
        let invalid = |what: &str| statement.error(format!("invalid {what} \"{word}\""));
        let unsupported = || {
            let parameter = word.as_str();
            statement.error(format!(
                "the \"{parameter}\" parameter of the \"listen\" directive is not supported by this proxy"
            ))
        };
        let (key, value) = word.split_once('=').map_or((&word[..], None), |(key, value)| (key, Some(value)));
        match (key, value) {
            ("default_server" | "default", None) => options.is_default = true,
            ("proxy_protocol", None) => options.proxy_protocol = true,
            ("bind" | "deferred" | "reuseport", None) => options.is_set = true,
            ("ssl" | "http2" | "quic", None) | ("ipv6only", Some("off")) => {
                return Err(unsupported());
            }
            ("backlog", Some(value)) => {
                let backlog = parse_number(value).and_then(|backlog| u32::try_from(backlog).ok());
                options.backlog = Some(backlog.filter(|n| *n > 0).ok_or_else(|| invalid("backlog"))?);
                options.is_set = true;
            }
            ("fastopen", Some(value)) => {
                parse_number(value).ok_or_else(|| invalid("fastopen"))?;
                options.is_set = true;
            }
            ("rcvbuf" | "sndbuf", Some(value)) => {
                parse_size(value).map_err(|_| invalid(key))?;
                options.is_set = true;
            }
            ("ipv6only", Some("on")) => options.is_set = true,
            ("ipv6only", Some(value)) if value.starts_with('o') => {
                return Err(statement.error(format!("invalid ipv6only flags \"{value}\"")));
            }
            ("so_keepalive", Some(value)) => {
                options.tcp_keepalive =
                    Some(tcp_keepalive(value).ok_or_else(|| {
                        statement.error(format!("invalid so_keepalive value: \"{value}\""))
                    })?);
                options.is_set = true;
            }
            _ => return Err(invalid("parameter")),
        }
    }
    Ok(options)
}

/// `on`, `off`, or `IDLE:INTERVAL:PROBES` with parts left out.
fn tcp_keepalive(value: &str) -> Option<TcpKeepalive> {
    match value {
        "on" => return Some(TcpKeepalive { is_on: true, ..TcpKeepalive::default() }),
        "off" => return Some(TcpKeepalive::default()),
        _ => {}
    }
    let mut parts = value.splitn(3, ':').map(|part| Some(part).filter(|part| !part.is_empty()));
    let [idle, interval, probes] = std::array::from_fn(|_| parts.next().flatten());
    idle.or(interval).or(probes)?;
    // Nothing stays nothing; what cannot be read is nothing at all.
    let time = |text: Option<&str>| match text {
        Some(text) => parse_time(text).ok().map(Some),
        None => Some(None),
    };
    let probes = match probes {
        Some(text) => Some(u32::try_from(parse_number(text)?).ok()?),
        None => None,
    };
    Some(TcpKeepalive { is_on: true, idle: time(idle)?, interval: time(interval)?, probes })
}
