//! Addresses as `listen`, `server` and `proxy_pass` have them, taken apart: nginx's `ngx_parse_url`
//! (`src/core/ngx_inet.c`) with its words for what is wrong.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Host;

/// The longest path of a Unix socket (unix(7)).
const UNIX_PATH_MAX: usize = 107;

/// An address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url<'t> {
    /// Where it is.
    pub place: Place<'t>,
    /// The host with its port, or the whole for a Unix socket: what an implicit upstream is called.
    pub name: &'t str,
    /// From the first `/` or `?` on, or for a Unix socket what follows the second colon.
    pub uri: &'t str,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<'t> {
    /// The path of a Unix socket.
    Unix(&'t str),
    /// An IPv4 address.
    V4(Ipv4Addr, Option<Ports>),
    /// An IPv6 address, which stands in brackets.
    V6(Ipv6Addr, Option<Ports>),
    /// `*`, or a port alone.
    Any(Option<Ports>),
    /// Anything else.
    Name(&'t str, Option<Ports>),
}

impl Url<'_> {
    /// What `$proxy_host` and `$proxy_port` are there: the host has no port where that is 80, and a Unix socket has none at
    /// all (`ngx_http_proxy_set_vars`).
    pub fn called(&self) -> (&str, Option<u16>) {
        match (&self.place, self.place.port()) {
            (Place::Unix(_), _) => ("localhost", None),
            (_, Some(80)) => (self.name.rsplit_once(':').map_or(self.name, |(host, _)| host), Some(80)),
            (_, Some(port)) => (self.name, Some(port)),
            (_, None) => (self.name, Some(80)),
        }
    }
}

impl Place<'_> {
    /// The first port that is given.
    pub fn port(&self) -> Option<u16> {
        match self {
            Place::V4(_, ports) | Place::V6(_, ports) | Place::Any(ports) | Place::Name(_, ports) => {
                ports.map(|(first, _)| first)
            }
            Place::Unix(_) => None,
        }
    }

    /// Where a server is, at `port` if none is given; `None` for what is for listening alone.
    pub fn host(&self, port: u16) -> Option<Host> {
        let port = self.port().unwrap_or(port);
        Some(match self {
            Place::V4(ip, _) => Host::Literal(SocketAddr::new((*ip).into(), port)),
            Place::V6(ip, _) => Host::Literal(SocketAddr::new((*ip).into(), port)),
            Place::Name(name, _) => Host::Name((*name).to_owned(), port),
            Place::Unix(path) => Host::Unix(path.into()),
            Place::Any(_) => return None,
        })
    }
}

/// A port, or a range of them: first and last.
pub type Ports = (u16, u16);

/// What an address may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `listen`: a port alone, `*`, and a range of ports.
    Listen,
    /// `server`.
    Server,
    /// `proxy_pass`: a URI behind it.
    Pass,
}

/// Takes an address apart; the error is nginx's word for what is wrong.
pub fn parse(text: &str, kind: Kind) -> Result<Url<'_>, &'static str> {
    if text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("unix:")) {
        return unix(text, kind);
    }
    let (authority, uri) = match text.find(['/', '?']) {
        Some(_) if kind != Kind::Pass => return Err("invalid host"),
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let place = match authority.strip_prefix('[') {
        Some(rest) => v6(rest, kind)?,
        None => other(authority, kind)?,
    };
    Ok(Url { place, name: authority, uri })
}

fn unix(text: &str, kind: Kind) -> Result<Url<'_>, &'static str> {
    let path = &text[5..];
    let (path, uri) = match path.split_once(':') {
        Some((path, uri)) if kind == Kind::Pass => (path, uri),
        _ => (path, ""),
    };
    match path.len() {
        0 => Err("no path in the unix domain socket"),
        1..=UNIX_PATH_MAX => Ok(Url { place: Place::Unix(path), name: &text[..5 + path.len()], uri }),
        _ => Err("too long path in the unix domain socket"),
    }
}

fn v6(rest: &str, kind: Kind) -> Result<Place<'_>, &'static str> {
    let (ip, after) = rest.split_once(']').ok_or("invalid host")?;
    let ports = match after.strip_prefix(':') {
        Some(text) => Some(ports(text, kind)?),
        None if after.is_empty() => None,
        None => return Err("invalid host"),
    };
    if ip.is_empty() {
        return Err("no host");
    }
    ip.parse().map(|ip| Place::V6(ip, ports)).map_err(|_| "invalid IPv6 address")
}

fn other(authority: &str, kind: Kind) -> Result<Place<'_>, &'static str> {
    let (host, ports) = match authority.split_once(':') {
        Some((host, text)) => (host, Some(ports(text, kind)?)),
        None if kind == Kind::Listen && is_ports(authority) => {
            return Ok(Place::Any(Some(ports(authority, kind)?)));
        }
        None => (authority, None),
    };
    match host {
        "" => Err("no host"),
        "*" if kind == Kind::Listen => Ok(Place::Any(ports)),
        host => Ok(host.parse().map_or(Place::Name(host, ports), |ip| Place::V4(ip, ports))),
    }
}

/// Whether it looks like a port or a range of ports.
fn is_ports(text: &str) -> bool {
    let first = text.split_once('-').map_or(text, |(first, _)| first);
    !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit())
}

fn ports(text: &str, kind: Kind) -> Result<Ports, &'static str> {
    let port = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u16>().ok().filter(|port| *port > 0).ok_or("invalid port"),
        false => Err("invalid port"),
    };
    match text.split_once('-') {
        Some((first, last)) if kind == Kind::Listen => {
            let (first, last) = (port(first)?, port(last)?);
            if first <= last { Ok((first, last)) } else { Err("invalid port range") }
        }
        _ => port(text).map(|port| (port, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let v4 = |text: &str| text.parse::<Ipv4Addr>().expect("an address");
        for (text, kind, place, name, uri) in [
            ("8080", Kind::Listen, Place::Any(Some((8080, 8080))), "8080", ""),
            ("*:80-82", Kind::Listen, Place::Any(Some((80, 82))), "*:80-82", ""),
            ("8080", Kind::Server, Place::Name("8080", None), "8080", ""),
            ("127.0.0.1", Kind::Listen, Place::V4(v4("127.0.0.1"), None), "127.0.0.1", ""),
            ("a:1/b?c", Kind::Pass, Place::Name("a", Some((1, 1))), "a:1", "/b?c"),
            ("a?b:c/", Kind::Pass, Place::Name("a", None), "a", "?b:c/"),
            ("[::1]:5/", Kind::Pass, Place::V6(Ipv6Addr::LOCALHOST, Some((5, 5))), "[::1]:5", "/"),
            ("unix:/a:/b", Kind::Pass, Place::Unix("/a"), "unix:/a", "/b"),
            ("unix:/a:/b", Kind::Server, Place::Unix("/a:/b"), "unix:/a:/b", ""),
        ] {
            assert_eq!(parse(text, kind), Ok(Url { place, name, uri }), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_nginx_s_words() {
        for (text, kind, error) in [
            ("foo:bar", Kind::Listen, "invalid port"),
            ("0", Kind::Listen, "invalid port"),
            ("65536", Kind::Listen, "invalid port"),
            ("9-8", Kind::Listen, "invalid port range"),
            (":80", Kind::Listen, "no host"),
            ("1.2.3.4:80/a", Kind::Listen, "invalid host"),
            ("http://a", Kind::Server, "invalid host"),
            ("a:80-81", Kind::Server, "invalid port"),
            ("a:", Kind::Server, "invalid port"),
            ("[::1:80", Kind::Pass, "invalid host"),
            ("[::1]80", Kind::Pass, "invalid host"),
            ("[]:80", Kind::Pass, "no host"),
            ("[::g]:80", Kind::Pass, "invalid IPv6 address"),
            ("unix:", Kind::Pass, "no path in the unix domain socket"),
            ("", Kind::Pass, "no host"),
        ] {
            assert_eq!(parse(text, kind).map(|url| url.name.to_owned()), Err(error), "{text}");
        }
    }
}
