//! The request target and the host it is for (RFC 9112 sections 3.2 and 3.3).

use std::net::Ipv6Addr;

use super::fields::{Fields, Role};
use super::lanes::{find, letters_digits_dash_and_dot, not};
use super::{Method, Refusal, Version};

/// Where a request is to go: what the next request line and Host field will say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'b> {
    /// Path and query in origin-form, or `*`. Starts with `?` where an absolute-form target had a query
    /// and no path: then a `/` is to be put in front.
    pub path: &'b [u8],
    /// Host and optional port; `None` in an HTTP/1.0 request that names none.
    pub host: Option<&'b [u8]>,
}

/// Reads the target and the Host field of a request.
#[inline(always)]
pub fn of<'b>(
    method: Method,
    target: &'b [u8],
    version: Version,
    fields: &Fields<'_, 'b>,
) -> Result<Target<'b>, Refusal> {
    let host = host_field(version, fields)?;
    if method == Method::Connect {
        return Err(Refusal::new(405, "CONNECT is not for a reverse proxy"));
    }
    if target.contains(&b'#') {
        return Err(Refusal::bad("a fragment in the request target"));
    }
    match target {
        [b'/', ..] => Ok(Target { path: target, host }),
        b"*" if method == Method::Options => Ok(Target { path: target, host }),
        _ => absolute(method, target),
    }
}

/// Absolute-form: its authority replaces whatever Host says (RFC 9112 section 3.2.2).
fn absolute(method: Method, target: &[u8]) -> Result<Target<'_>, Refusal> {
    let rest = match strip_prefix_ignore_case(target, b"http://") {
        Some(rest) => rest,
        // RFC 9110 section 7.4: a request for a secured origin must not be served over cleartext.
        None if strip_prefix_ignore_case(target, b"https://").is_some() => {
            return Err(Refusal::new(421, "an https target on a cleartext port"));
        }
        None => return Err(Refusal::bad("the request target is neither a path nor an http URI")),
    };
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !is_host(authority) {
        return Err(Refusal::bad("invalid host in the request target"));
    }
    let path: &[u8] = match path {
        // RFC 9112 section 3.2.4: the last proxy turns an OPTIONS without a path into `*`.
        [] if method == Method::Options => b"*",
        [] => b"/",
        path => path,
    };
    Ok(Target { path, host: Some(authority) })
}

/// A target that [`of`] takes in origin-form: what it starts with, and the rest (RFC 9112 section 3.2.1).
pub fn origin_form(target: &[u8]) -> [&[u8]; 2] {
    let Some(rest) = strip_prefix_ignore_case(target, b"http://") else { return [b"", target] };
    let path = rest.iter().position(|b| matches!(b, b'/' | b'?')).map_or(&b""[..], |at| &rest[at..]);
    [if path.first() == Some(&b'/') { b"" } else { b"/" }, path]
}

/// Exactly one valid Host field, or none in HTTP/1.0 (RFC 9112 section 3.2).
#[inline(always)]
fn host_field<'b>(version: Version, fields: &Fields<'_, 'b>) -> Result<Option<&'b [u8]>, Refusal> {
    let host = fields.only(Role::Host).map_err(|_| Refusal::bad("repeated Host field"))?;
    match (host, version) {
        (Some(host), _) if is_host(host) => Ok(Some(host)),
        (Some(_), _) => Err(Refusal::bad("invalid Host field")),
        (None, Version::Http10) => Ok(None),
        (None, Version::Http11) => Err(Refusal::bad("no Host field")),
    }
}

fn strip_prefix_ignore_case<'b>(bytes: &'b [u8], prefix: &[u8]) -> Option<&'b [u8]> {
    let (start, rest) = bytes.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Whether this is `uri-host [":" port]` (RFC 9110 section 7.2, RFC 3986 section 3.2.2), not empty, no dot alone and
/// without user information.
pub fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host {
        [b'[', rest @ ..] => {
            let Some(end) = memchr::memchr(b']', rest) else { return false };
            // The other form of a literal, IPvFuture, has no future yet.
            let literal = std::str::from_utf8(&rest[..end]);
            if !literal.is_ok_and(|literal| literal.parse::<Ipv6Addr>().is_ok()) {
                return false;
            }
            (&rest[..end], &rest[end + 1..])
        }
        _ => {
            let is_name = |&&byte: &&u8| HOST[usize::from(byte)];
            let mut end = find(host, 0, not(letters_digits_dash_and_dot()));
            end += host[end..].iter().take_while(is_name).count();
            if host.get(end) == Some(&b'%') {
                end = memchr::memchr(b':', host).unwrap_or(host.len());
                if !escapes_are_whole(&host[..end]) {
                    return false;
                }
            }
            host.split_at(end)
        }
    };
    let port_is_sound = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    // A dot at the end is left out where a site is looked for, and a name is to be left.
    !matches!(name, [] | [b'.']) && port_is_sound
}

/// Whether a name holds nothing but the octets it may and escapes with both their digits
/// (RFC 3986 section 2.1).
fn escapes_are_whole(name: &[u8]) -> bool {
    let mut rest = name;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = match (byte, behind) {
            (b'%', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => behind,
            (byte, behind) if HOST[byte as usize] => behind,
            _ => return false,
        };
    }
    true
}

/// Octets of a registered name: unreserved and sub-delimiters but the comma, by which servers split lists.
/// Escapes are seen to apart.
static HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        let c = b as u8;
        table[b] = c.is_ascii_alphanumeric()
            || matches!(c, b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')')
            || matches!(c, b'*' | b'+' | b';' | b'=');
        b += 1;
    }
    table
};
