//! The PROXY protocol in its versions 1 and 2 (HAProxy's `doc/proxy-protocol.txt`): before the client's first byte, a
//! proxy in front says who the client is.
//!
//! Like a head, a header is read from the start of the bytes at hand, and it does not matter in what pieces they come.

use std::net::{IpAddr, SocketAddr};

use super::framing;
use super::head::Parsed;

/// The longest header in bytes. One of version 1 has at most [`LINE_MAX`]; in version 2 nearly all of it would be
/// further fields, of which nothing is used here. Any buffer holds it.
pub const HEADER_MAX: usize = 3 << 10;

/// The longest line of version 1, its CRLF included (section 2.1).
const LINE_MAX: usize = 107;

/// What version 2 begins with (section 2.2): no request does.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and protocol, length of the rest.
const PREFIX: usize = 16;

/// The two ends of a connection that somebody passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Who connected.
    pub source: SocketAddr,
    /// Where to.
    pub destination: SocketAddr,
}

/// What is wrong with a header, in nginx's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// It is none, or cannot be read.
    #[error("broken header")]
    Broken,
    /// It looks like version 2, but is of another one.
    #[error("unknown PROXY protocol version: {0}")]
    Version(u8),
    /// It is longer than [`HEADER_MAX`].
    #[error("header is too large")]
    TooLarge,
}

/// Reads a header. Returns its length, and the ends that it tells of: there are none where the proxy speaks for itself
/// (`LOCAL`), or of what has no addresses of IP (`UNKNOWN`, Unix sockets).
///
/// # Errors
///
/// [`Bad`]: the connection is to be closed, whatever else has come (section 2).
pub fn header(bytes: &[u8]) -> Result<Parsed<(usize, Option<Ends>)>, Bad> {
    const START: &[u8] = b"PROXY ";
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(byte, expected)| byte == expected);
    if begins(SIGNATURE) {
        binary(bytes)
    } else if begins(START) {
        let head = &bytes[..bytes.len().min(LINE_MAX)];
        match memchr::memchr(b'\n', head) {
            Some(end) => {
                let line = head[..end].strip_suffix(b"\r").ok_or(Bad::Broken)?;
                let ends = line.strip_prefix(START).and_then(text).ok_or(Bad::Broken)?;
                Ok(Parsed::Complete((end + 1, ends)))
            }
            None if bytes.len() < LINE_MAX => Ok(Parsed::Partial),
            None => Err(Bad::Broken),
        }
    } else {
        Err(Bad::Broken)
    }
}

/// Version 1, behind `PROXY `; `None` where it is malformed.
fn text(line: &[u8]) -> Option<Option<Ends>> {
    let mut words = line.split(|&byte| byte == b' ');
    let is_v4 = match words.next()? {
        b"TCP4" => true,
        b"TCP6" => false,
        // Whatever else stands there is to be ignored.
        b"UNKNOWN" => return Some(None),
        _ => return None,
    };
    let mut address = || {
        let address: IpAddr = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
        (address.is_ipv4() == is_v4).then_some(address)
    };
    let (source, destination) = (address()?, address()?);
    let mut port = || u16::try_from(framing::digits(words.next()?)?).ok();
    let (source, destination) = (SocketAddr::new(source, port()?), SocketAddr::new(destination, port()?));
    words.next().is_none().then_some(Some(Ends { source, destination }))
}

/// Version 2, of which the bytes are the start.
fn binary(bytes: &[u8]) -> Result<Parsed<(usize, Option<Ends>)>, Bad> {
    let Some((prefix, rest)) = bytes.split_at_checked(PREFIX) else { return Ok(Parsed::Partial) };
    let (version, command) = (prefix[12] >> 4, prefix[12] & 0x0f);
    if version != 2 {
        return Err(Bad::Version(version));
    }
    let len = usize::from(u16::from_be_bytes([prefix[14], prefix[15]]));
    if PREFIX + len > HEADER_MAX {
        return Err(Bad::TooLarge);
    }
    let Some(rest) = rest.get(..len) else { return Ok(Parsed::Partial) };
    // Only what is proxied (1), as TCP over IPv4 or IPv6 (0x11, 0x21), tells of a client.
    let ends = match (command, prefix[13]) {
        (1, 0x11) => Some(binary_ends::<4>(rest).ok_or(Bad::Broken)?),
        (1, 0x21) => Some(binary_ends::<16>(rest).ok_or(Bad::Broken)?),
        _ => None,
    };
    Ok(Parsed::Complete((PREFIX + len, ends)))
}

/// Two addresses of `N` octets and two ports.
fn binary_ends<const N: usize>(bytes: &[u8]) -> Option<Ends>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = bytes.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (source_port, rest) = rest.split_first_chunk::<2>()?;
    let (destination_port, _) = rest.split_first_chunk::<2>()?;
    let end = |address: &[u8; N], port: &[u8; 2]| {
        SocketAddr::new(IpAddr::from(*address), u16::from_be_bytes(*port))
    };
    Some(Ends { source: end(source, source_port), destination: end(destination, destination_port) })
}
