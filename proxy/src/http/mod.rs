//! HTTP/1.x on slices of bytes: no sockets, no clock, no state beyond a body cursor.
//!
//! Bytes become a head ([`head`]), a head says how long its body is ([`framing`]), a cursor walks the
//! body without copying it ([`body`]), and what goes on is written anew ([`rewrite`], [`listed`]). The proxy's own
//! answers are made by [`reply`].

pub mod body;
pub mod conditions;
pub mod fields;
pub mod framing;
pub mod head;
pub mod lanes;
pub mod lines;
pub mod listed;
pub mod proxy_protocol;
pub mod ranges;
pub mod reply;
pub mod rewrite;
pub mod target;
#[cfg(test)]
mod tests;
pub mod uri;

/// A protocol version. Minor versions above 1 are treated as 1.1 (RFC 9110 section 2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
}

/// What matters about a method: how its response is framed and whether it may be sent twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// GET
    #[default]
    Get,
    /// HEAD: its response never has a body.
    Head,
    /// OPTIONS
    Options,
    /// PUT or DELETE
    PutOrDelete,
    /// TRACE: not for a gateway.
    Trace,
    /// CONNECT: not for a gateway.
    Connect,
    /// POST, PATCH, and all that this proxy does not know.
    Other,
}

impl Method {
    /// The method of this name; names are case-sensitive (RFC 9110 section 9.1).
    pub fn of(name: &[u8]) -> Method {
        match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"OPTIONS" => Method::Options,
            b"PUT" | b"DELETE" => Method::PutOrDelete,
            b"TRACE" => Method::Trace,
            b"CONNECT" => Method::Connect,
            _ => Method::Other,
        }
    }

    /// Whether sending it twice has the effect of sending it once (RFC 9110 section 9.2.2).
    pub fn is_idempotent(self) -> bool {
        match self {
            Method::Get | Method::Head | Method::Options | Method::PutOrDelete | Method::Trace => true,
            Method::Connect | Method::Other => false,
        }
    }
}

/// A request that is answered by the proxy instead of being forwarded: what to answer and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// One line for the client and the log.
    pub why: &'static str,
}

impl Refusal {
    /// Shorthand for a 400.
    pub const fn bad(why: &'static str) -> Refusal {
        Refusal { status: 400, why }
    }

    /// A refusal with a status of its own.
    pub const fn new(status: u16, why: &'static str) -> Refusal {
        Refusal { status, why }
    }
}
