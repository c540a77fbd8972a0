//! Addresses as nginx writes them: where to listen, and where a server is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::units::parse_number;
use super::{Host, Listen};

/// The port of a server that is written without one, as in nginx.
const PORT_DEFAULT: u16 = 80;

/// The longest path of a Unix socket: `sockaddr_un.sun_path` less its final zero (unix(7)).
const UNIX_PATH_MAX: usize = 107;

/// What is wrong with an address, and the remedy. The caller names the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(String);

/// Reads where a server is: `10.0.0.1:5000`, `[::1]:5000`, `app1:5000`, each also without its port (then
/// 80, as in nginx), or `unix:PATH`.
pub fn parse_host(text: &str) -> Result<Host, AddressError> {
    if text.contains(';') {
        return Err(problem("\";\" in an address; servers are separated by commas"));
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(Host::Unix(unix_path(path)?));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let place = rest.split('/').next().unwrap_or_default();
        return Err(AddressError(match scheme {
            "http" => format!("a server has no scheme; write {place}"),
            _ => format!("{scheme}:// is not spoken to servers; write HOST:PORT of plain HTTP"),
        }));
    }
    let (host, port) = split_port(text)?;
    let port = port.map_or(Ok(PORT_DEFAULT), parse_port)?;
    match host {
        Place::V6(ip) => Ok(Host::Literal(SocketAddr::new(ip.into(), port))),
        Place::Other("") => Err(problem("no host; write HOST:PORT")),
        Place::Other(host) => match host.parse::<Ipv4Addr>() {
            Ok(ip) => Ok(Host::Literal(SocketAddr::new(ip.into(), port))),
            Err(_) => Ok(Host::Name(parse_name(host)?.to_owned(), port)),
        },
    }
}

/// Reads where to listen: `8080`, `:8080` and `*:8080` (all IPv4 addresses), `127.0.0.1:8080`,
/// `[::1]:8080`, or `unix:PATH`.
pub fn parse_listen(text: &str) -> Result<Listen, AddressError> {
    if text.contains(',') && !text.starts_with("unix:") {
        return Err(problem("several addresses; give --listen once for each"));
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(Listen::Unix(unix_path(path)?));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Listen::Tcp(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), parse_port(text)?)));
    }
    let (host, port) = split_port(text)?;
    let ip: IpAddr = match host {
        Place::V6(ip) => ip.into(),
        Place::Other("" | "*") => Ipv4Addr::UNSPECIFIED.into(),
        Place::Other(host) => host
            .parse::<Ipv4Addr>()
            .map_err(|_| problem("not an address; write PORT, IP:PORT, [IPV6]:PORT or unix:PATH"))?
            .into(),
    };
    match port {
        Some(port) => Ok(Listen::Tcp(SocketAddr::new(ip, parse_port(port)?))),
        None => Err(problem("no port; write PORT, IP:PORT, [IPV6]:PORT or unix:PATH")),
    }
}

/// What stands before the port.
enum Place<'a> {
    /// In brackets.
    V6(Ipv6Addr),
    /// Anything else.
    Other(&'a str),
}

/// Splits into the place and the text after its colon, if there is one.
fn split_port(text: &str) -> Result<(Place<'_>, Option<&str>), AddressError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, after) =
            rest.split_once(']').ok_or_else(|| problem("\"[\" without \"]\"; write [IPV6]:PORT"))?;
        let ip = ip.parse().map_err(|_| problem("no IPv6 address in the brackets; write [IPV6]:PORT"))?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((Place::V6(ip), Some(port))),
            None if after.is_empty() => Ok((Place::V6(ip), None)),
            None => Err(problem("only a port may follow the brackets; write [IPV6]:PORT")),
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            Err(problem("more than one colon; write an IPv6 address in brackets, [IPV6]:PORT"))
        }
        Some((host, port)) => Ok((Place::Other(host), Some(port))),
        None => Ok((Place::Other(text), None)),
    }
}

/// Reads a port, 1 to 65535.
fn parse_port(text: &str) -> Result<u16, AddressError> {
    match parse_number(text).and_then(|port| u16::try_from(port).ok()) {
        Some(0) => Err(problem("port 0 is no port; give one from 1 to 65535")),
        Some(port) => Ok(port),
        None => Err(AddressError(format!("{text:?} is no port; give one from 1 to 65535"))),
    }
}

/// Checks a host name: labels of letters, digits, hyphens and underscores (container names have them).
/// A last label of digits alone would be a mistyped address (RFC 1123, section 2.1).
fn parse_name(name: &str) -> Result<&str, AddressError> {
    let labels = name.strip_suffix('.').unwrap_or(name);
    if let Some(c) = labels.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        return Err(AddressError(format!(
            "{c:?} in a host name; use letters, digits, hyphens, underscores and dots"
        )));
    }
    let well_sized = |label: &str| (1..=63).contains(&label.len());
    if labels.len() > 253 || !labels.split('.').all(well_sized) {
        return Err(problem("not a host name; it has at most 253 characters, each label 1 to 63"));
    }
    if labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(AddressError(format!("{name} is neither a name nor an IPv4 address; write HOST:PORT")));
    }
    Ok(name)
}

/// Checks the path of a Unix socket.
fn unix_path(path: &str) -> Result<PathBuf, AddressError> {
    match path.len() {
        0 => Err(problem("no path; write unix:PATH")),
        1..=UNIX_PATH_MAX if !path.contains('\0') => Ok(PathBuf::from(path)),
        1..=UNIX_PATH_MAX => Err(problem("a zero byte in the path; write unix:PATH")),
        length => Err(AddressError(format!(
            "a path of {length} bytes; a Unix socket's has at most {UNIX_PATH_MAX}"
        ))),
    }
}

fn problem(text: &str) -> AddressError {
    AddressError(text.to_owned())
}

/// An address to connect from, with or without a port.
pub fn local_address(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = text.parse().ok().filter(|address: &SocketAddr| address.port() > 0);
    with_port.or_else(|| bare.parse().ok().map(|address| SocketAddr::new(address, 0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn literal(text: &str) -> Host {
        Host::Literal(text.parse().expect("an address"))
    }

    fn name(name: &str, port: u16) -> Host {
        Host::Name(name.to_owned(), port)
    }

    #[test]
    fn hosts_in_every_form() {
        for (text, host) in [
            ("10.0.0.1:5000", literal("10.0.0.1:5000")),
            ("10.0.0.1", literal("10.0.0.1:80")),
            ("[::1]:5000", literal("[::1]:5000")),
            ("[2001:db8::1]", literal("[2001:db8::1]:80")),
            ("app1:5000", name("app1", 5000)),
            ("app1", name("app1", 80)),
            ("my_app-1.example.org.:65535", name("my_app-1.example.org.", 65535)),
            ("3com.example:1", name("3com.example", 1)),
            ("unix:/run/app.sock", Host::Unix("/run/app.sock".into())),
            ("unix:app:1.sock", Host::Unix("app:1.sock".into())),
        ] {
            assert_eq!(parse_host(text), Ok(host), "{text}");
        }
    }

    #[test]
    fn bad_hosts_are_explained() {
        let long_path = format!("unix:/{}", "x".repeat(107));
        let long_label = format!("{}:80", "x".repeat(64));
        for (text, error) in [
            ("", "no host; write HOST:PORT"),
            (":5000", "no host; write HOST:PORT"),
            ("app1:", "\"\" is no port; give one from 1 to 65535"),
            ("app1:0", "port 0 is no port; give one from 1 to 65535"),
            ("app1:00", "port 0 is no port; give one from 1 to 65535"),
            ("app1:65536", "\"65536\" is no port; give one from 1 to 65535"),
            ("app1:+80", "\"+80\" is no port; give one from 1 to 65535"),
            ("app1:80/", "\"80/\" is no port; give one from 1 to 65535"),
            ("[::1]:0", "port 0 is no port; give one from 1 to 65535"),
            ("::1", "more than one colon; write an IPv6 address in brackets, [IPV6]:PORT"),
            ("[::1", "\"[\" without \"]\"; write [IPV6]:PORT"),
            ("[app1]:80", "no IPv6 address in the brackets; write [IPV6]:PORT"),
            ("[::1]80", "only a port may follow the brackets; write [IPV6]:PORT"),
            ("http://app1:5000/x", "a server has no scheme; write app1:5000"),
            ("https://app1", "https:// is not spoken to servers; write HOST:PORT of plain HTTP"),
            ("app 1:80", "' ' in a host name; use letters, digits, hyphens, underscores and dots"),
            ("*:80", "'*' in a host name; use letters, digits, hyphens, underscores and dots"),
            ("ä:80", "'ä' in a host name; use letters, digits, hyphens, underscores and dots"),
            ("a..b:80", "not a host name; it has at most 253 characters, each label 1 to 63"),
            (&long_label, "not a host name; it has at most 253 characters, each label 1 to 63"),
            ("256.0.0.1:80", "256.0.0.1 is neither a name nor an IPv4 address; write HOST:PORT"),
            ("5000", "5000 is neither a name nor an IPv4 address; write HOST:PORT"),
            ("unix:", "no path; write unix:PATH"),
            ("unix:/a\0b", "a zero byte in the path; write unix:PATH"),
            (&long_path, "a path of 108 bytes; a Unix socket's has at most 107"),
        ] {
            assert_eq!(parse_host(text), Err(problem(error)), "{text:?}");
        }
    }

    #[test]
    fn listeners_in_every_form() {
        for (text, address) in [
            ("8080", "0.0.0.0:8080"),
            (":8080", "0.0.0.0:8080"),
            ("*:8080", "0.0.0.0:8080"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("[::1]:8080", "[::1]:8080"),
            ("[::]:80", "[::]:80"),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(parse_listen(text), Ok(Listen::Tcp(address)), "{text}");
        }
        assert_eq!(parse_listen("unix:/run/p.sock"), Ok(Listen::Unix("/run/p.sock".into())));
    }

    #[test]
    fn bad_listeners_are_explained() {
        for (text, error) in [
            ("", "no port; write PORT, IP:PORT, [IPV6]:PORT or unix:PATH"),
            ("*", "no port; write PORT, IP:PORT, [IPV6]:PORT or unix:PATH"),
            ("127.0.0.1", "no port; write PORT, IP:PORT, [IPV6]:PORT or unix:PATH"),
            ("[::1]", "no port; write PORT, IP:PORT, [IPV6]:PORT or unix:PATH"),
            ("localhost:80", "not an address; write PORT, IP:PORT, [IPV6]:PORT or unix:PATH"),
            ("localhost", "not an address; write PORT, IP:PORT, [IPV6]:PORT or unix:PATH"),
            ("http://x", "not an address; write PORT, IP:PORT, [IPV6]:PORT or unix:PATH"),
            ("0", "port 0 is no port; give one from 1 to 65535"),
            (":0", "port 0 is no port; give one from 1 to 65535"),
            ("99999", "\"99999\" is no port; give one from 1 to 65535"),
            (":http", "\"http\" is no port; give one from 1 to 65535"),
            ("::1:8080", "more than one colon; write an IPv6 address in brackets, [IPV6]:PORT"),
            ("unix:", "no path; write unix:PATH"),
        ] {
            assert_eq!(parse_listen(text), Err(problem(error)), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_an_error(text in "\\PC*|(unix:)?[\\[\\]0-9a:.*]{0,30}") {
            let _ = parse_host(&text);
            if let Ok(Listen::Tcp(address)) = parse_listen(&text) {
                prop_assert_ne!(address.port(), 0);
            }
        }
    }
}
