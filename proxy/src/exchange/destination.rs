//! Where a `proxy_pass` with variables leads (`ngx_http_proxy_eval`, `ngx_http_upstream_init_request`).

use super::Exchange;
use crate::config::url::{self, Kind};
use crate::config::{Action, Host};
use crate::ids::GroupId;

/// The port of a server that is written without one.
const PORT: u16 = 80;

/// What follows the scheme, taken apart.
#[derive(Debug)]
pub(super) struct Destination {
    /// Host and port as they are written: what the server is called.
    name: Box<str>,
    /// `$proxy_host`
    called: Box<str>,
    /// `$proxy_port`
    port: Option<u16>,
    host: Host,
}

/// Why a text leads nowhere, in nginx's words. What it is about is named by the caller.
#[derive(Debug)]
pub(super) struct Nowhere(pub(super) &'static str);

impl Exchange {
    /// Goes where `text` says: scheme, host and perhaps a URI. Returns the URI, empty where there is none.
    pub(super) fn head_for(&mut self, text: &[u8]) -> Result<Vec<u8>, Nowhere> {
        let (scheme, rest) = text.split_at_checked(7).ok_or(Nowhere("invalid URL prefix"))?;
        if !scheme.eq_ignore_ascii_case(b"http://") {
            return Err(Nowhere("invalid URL prefix"));
        }
        let (authority, uri) = split(rest);
        // `$proxy_host` may become a field of the request, which none of these may end.
        if authority.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
            return Err(Nowhere("invalid host"));
        }
        let authority = str::from_utf8(authority).map_err(|_| Nowhere("invalid host"))?;
        let url = url::parse(authority, Kind::Pass).map_err(Nowhere)?;
        let (called, port) = url.called();
        let host = url.place.host(PORT).ok_or(Nowhere("invalid host"))?;
        self.upstream = self.routes.upstream(authority.as_bytes());
        self.destination =
            Some(Box::new(Destination { name: authority.into(), called: called.into(), port, host }));
        let mut target = uri.to_vec();
        if target.first() == Some(&b'?') {
            target.insert(0, b'/');
        }
        Ok(target)
    }

    /// The group that the request goes to.
    pub fn upstream(&self) -> Option<GroupId> {
        self.place.upstream.or(self.upstream)
    }

    /// Where the request goes if to none of the groups: how that is written, and the address or the name.
    pub fn destination(&self) -> Option<(&str, &Host)> {
        self.destination.as_ref().map(|to| (&*to.name, &to.host))
    }

    /// `$proxy_host` and `$proxy_port`; `None` where the request goes to no server.
    pub(super) fn proxy_host_and_port(&self) -> Option<(&str, Option<u16>)> {
        match (&self.place.action, &self.destination) {
            (Action::Proxy(_), Some(to)) => Some((&to.called, to.port)),
            (Action::Proxy(pass), None) => Some((&pass.host, pass.port)),
            _ => None,
        }
    }
}

/// Parts where the URI begins: at a slash or a question mark, behind the path of a Unix socket at a colon.
fn split(rest: &[u8]) -> (&[u8], &[u8]) {
    let is_unix = rest.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"unix:"));
    if is_unix {
        let colon = memchr::memchr(b':', &rest[5..]).map(|at| at + 5);
        return colon.map_or((rest, b"".as_slice()), |at| (&rest[..at], &rest[at + 1..]));
    }
    rest.split_at(memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len()))
}
