//! What changes in a head as it passes (RFC 9110 section 7.6).
//!
//! Nothing is edited in place: every head that goes out is written anew, with CRLF, single spaces and
//! the fields that this connection needs, from the fields that came in. That is also what keeps any
//! oddity of the sender's spelling from the recipient.

use std::net::IpAddr;

use super::fields::{Connection, Fields, Role, members, nominated};
use super::framing::Length;
use super::head::{RequestHead, ResponseHead};
use super::target::Target;
use super::{Version, framing};
use crate::buffer::{Buffer, Full};

/// This proxy's name in `Via` and `Server`.
pub const PSEUDONYM: &str = "proxy";

/// Who sent a request, as the next server is to know it.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The client's address as text; `unix:` for a client on a Unix socket.
    pub address: &'a str,
    /// What the sender says in its `X-Forwarded-*` and `X-Real-IP` is believed and passed on.
    pub trusted: bool,
    /// The `Host` for a request without one.
    pub default_host: &'a str,
}

/// What a request's head asks for beyond its target and framing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The `Connection` fields.
    pub connection: Connection,
    /// A protocol change that is passed on.
    pub upgrade: bool,
    /// `Max-Forwards` of an OPTIONS or TRACE request.
    pub max_forwards: Option<u64>,
}

/// Writes the head of a request for the next server.
pub fn request(
    out: &mut Buffer,
    head: &RequestHead<'_, '_>,
    target: &Target<'_>,
    length: Length,
    wishes: &Wishes,
    sender: &Sender<'_>,
) -> Result<(), Full> {
    out.append(head.method_name)?;
    out.append(b" ")?;
    if target.path.first() == Some(&b'?') {
        out.append(b"/")?;
    }
    out.append(target.path)?;
    out.append(b" HTTP/1.1\r\nHost: ")?;
    let host = target.host.unwrap_or(sender.default_host.as_bytes());
    out.append(host)?;
    out.append(b"\r\n")?;

    let fields = &head.fields;
    let mut lines = Lines::of(head.bytes);
    let mut te_trailers = false;
    for (role, name, value) in fields.iter() {
        match role {
            Role::Connection | Role::HopByHop | Role::Lookalike | Role::Host => continue,
            Role::ContentLength | Role::TransferEncoding => continue,
            Role::ForwardedFor => continue,
            Role::ForwardedProto | Role::ForwardedHost | Role::RealIp if !sender.trusted => continue,
            Role::Upgrade if !wishes.upgrade => continue,
            // TE is for this connection; that trailers are understood holds for the next one too.
            Role::Te => {
                // It would not hold for an HTTP/1.0 client, to which no chunks and so no trailers can go.
                te_trailers |= head.version == Version::Http11
                    && members(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
                continue;
            }
            // RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is ignored.
            Role::Expect if head.version == Version::Http10 => continue,
            Role::MaxForwards if wishes.max_forwards.is_some() => continue,
            _ => {}
        }
        if !wishes.connection.nominates || role == Role::Upgrade || !nominated(fields, name) {
            lines.copy(out, name, value)?;
        }
    }
    lines.flush(out)?;

    append_framing(out, fields, length, head.method_name)?;
    if let Some(n) = wishes.max_forwards {
        out.append(b"Max-Forwards: ")?;
        append_number(out, n.saturating_sub(1))?;
        out.append(b"\r\n")?;
    }
    match (wishes.upgrade, te_trailers) {
        (true, true) => out.append(b"TE: trailers\r\nConnection: upgrade, TE\r\n")?,
        (true, false) => out.append(b"Connection: upgrade\r\n")?,
        (false, true) => out.append(b"TE: trailers\r\nConnection: TE\r\n")?,
        (false, false) => {}
    }
    forwarded(out, fields, host, wishes, sender)?;
    via(out, head.version)?;
    out.append(b"\r\n")
}

/// `X-Forwarded-*` and `X-Real-IP`: what the client says of itself is replaced unless it is trusted, the
/// chain of addresses grows by one.
fn forwarded(
    out: &mut Buffer,
    fields: &Fields<'_, '_>,
    host: &[u8],
    wishes: &Wishes,
    sender: &Sender<'_>,
) -> Result<(), Full> {
    let stays = |name: &[u8]| !(wishes.connection.nominates && nominated(fields, name));
    out.append(b"X-Forwarded-For: ")?;
    if stays(b"X-Forwarded-For") {
        for value in fields.values(Role::ForwardedFor).filter(|value| !value.is_empty()) {
            out.append(value)?;
            out.append(b", ")?;
        }
    }
    out.append(sender.address.as_bytes())?;
    out.append(b"\r\n")?;
    let told: [(Role, &[u8], &[u8]); 3] = [
        (Role::ForwardedProto, b"X-Forwarded-Proto", b"http"),
        (Role::ForwardedHost, b"X-Forwarded-Host", host),
        (Role::RealIp, b"X-Real-IP", sender.address.as_bytes()),
    ];
    for (role, name, value) in told {
        let passed = sender.trusted && fields.has(role) && stays(name);
        if !passed {
            field(out, name, value)?;
        }
    }
    Ok(())
}

/// How a response goes to its client.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// The framing that the client sees.
    pub framing: ClientFraming,
    /// The connection persists.
    pub keep_alive: bool,
    /// The response switches protocols.
    pub upgrade: bool,
    /// Its `Connection` names fields to be removed.
    pub nominates: bool,
}

/// The framing that a client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFraming {
    /// As the server framed it, with its own fields.
    Same,
    /// Chunked by this proxy.
    Chunked,
    /// The end of the connection is the end of the body.
    Close,
}

/// Writes the head of a response for the client.
///
/// `date` is the current time as an HTTP date, added where the server sent none
/// (RFC 9110 section 6.6.1).
pub fn response(
    out: &mut Buffer,
    head: &ResponseHead<'_, '_>,
    delivery: &Delivery,
    date: &[u8],
) -> Result<(), Full> {
    let mut lines = Lines::of(head.bytes);
    let status = head.status;
    let digits = [status / 100, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8);
    out.append(b"HTTP/1.1 ")?;
    out.append(&digits)?;
    out.append(b" ")?;
    out.append(head.reason)?;
    out.append(b"\r\n")?;
    let bodiless = matches!(head.status, 100..=199 | 204);
    for (role, name, value) in head.fields.iter() {
        match role {
            Role::Connection | Role::HopByHop | Role::Lookalike | Role::Te => continue,
            Role::Upgrade if !(delivery.upgrade || head.status == 426) => continue,
            // RFC 9110 section 8.6: not in 1xx and 204.
            Role::ContentLength if bodiless => continue,
            Role::TransferEncoding if bodiless || delivery.framing != ClientFraming::Same => continue,
            _ => {}
        }
        if !delivery.nominates || essential(role) || !nominated(&head.fields, name) {
            lines.copy(out, name, value)?;
        }
    }
    lines.flush(out)?;
    if delivery.framing == ClientFraming::Chunked {
        out.append(b"Transfer-Encoding: chunked\r\n")?;
    }
    if !head.fields.has(Role::Date) && head.status >= 200 {
        field(out, b"Date", date)?;
    }
    via(out, head.version)?;
    // RFC 9110 section 7.8: Upgrade is named in Connection, in a 426 too.
    let advises = head.status == 426 && head.fields.has(Role::Upgrade);
    out.append(match (delivery.upgrade, delivery.keep_alive) {
        (true, _) => b"Connection: upgrade\r\n\r\n".as_slice(),
        (false, _) if head.status < 200 => b"\r\n",
        (false, true) if advises => b"Connection: keep-alive, upgrade\r\n\r\n",
        (false, false) if advises => b"Connection: close, upgrade\r\n\r\n",
        (false, true) => b"Connection: keep-alive\r\n\r\n",
        (false, false) => b"Connection: close\r\n\r\n",
    })
}

/// Fields that stay even where `Connection` nominates them, because without them the message would be
/// read otherwise than it was framed.
fn essential(role: Role) -> bool {
    matches!(role, Role::ContentLength | Role::TransferEncoding | Role::Upgrade | Role::Date)
}

/// Writes a trailer section, from behind the last chunk's line to the end of the message.
///
/// Fields for this connection, fields that `Connection` nominates (`head_nominates` is the head's list,
/// asked by name), and fields that must not stand in a trailer section are left out.
pub fn trailers(
    out: &mut Buffer,
    fields: &Fields<'_, '_>,
    head_nominates: impl Fn(&[u8]) -> bool,
) -> Result<(), Full> {
    for (role, name, value) in fields.iter() {
        let may_stand = role == Role::Other && !NOT_IN_TRAILERS.iter().any(|f| f.eq_ignore_ascii_case(name));
        if may_stand && !nominated(fields, name) && !head_nominates(name) {
            field(out, name, value)?;
        }
    }
    out.append(b"\r\n")
}

/// Beside those with [`Role::NotInTrailers`] or another role: framing, routing, request modifiers,
/// authentication and response control data, which a recipient that merges trailers into the head would
/// act upon (RFC 9110 section 6.5.1). Nobody looks for these in a head.
const NOT_IN_TRAILERS: [&[u8]; 20] = [
    b"Trailer",
    b"Forwarded",
    b"Range",
    b"If-Match",
    b"If-None-Match",
    b"If-Modified-Since",
    b"If-Unmodified-Since",
    b"If-Range",
    b"Proxy-Authorization",
    b"Proxy-Authenticate",
    b"WWW-Authenticate",
    b"Pragma",
    b"Age",
    b"Expires",
    b"Location",
    b"Retry-After",
    b"Vary",
    b"Warning",
    b"Proxy-Authentication-Info",
    b"Authentication-Info",
];

/// The framing of a request, written anew from what was decided about it.
fn append_framing(
    out: &mut Buffer,
    fields: &Fields<'_, '_>,
    length: Length,
    method: &[u8],
) -> Result<(), Full> {
    match length {
        Length::Exact(n) => {
            out.append(b"Content-Length: ")?;
            append_number(out, n)?;
            out.append(b"\r\n")
        }
        Length::Chunked => out.append(b"Transfer-Encoding: chunked\r\n"),
        // RFC 9110 section 8.6: a method that anticipates content says so even where there is none.
        Length::Empty if fields.has(Role::ContentLength) || matches!(method, b"POST" | b"PUT" | b"PATCH") => {
            out.append(b"Content-Length: 0\r\n")
        }
        Length::Empty | Length::UntilClose => Ok(()),
    }
}

fn via(out: &mut Buffer, received: Version) -> Result<(), Full> {
    out.append(match received {
        Version::Http10 => b"Via: 1.0 proxy\r\n",
        Version::Http11 => b"Via: 1.1 proxy\r\n",
    })
}

/// Copies field lines, in as few pieces as they allow.
///
/// Most lines come as they would be written, `name: value` and CRLF, one behind the other: a run of them
/// that all pass is one copy.
struct Lines<'b> {
    bytes: &'b [u8],
    /// The run that is to be copied, as a part of `bytes`.
    run: std::ops::Range<usize>,
}

impl<'b> Lines<'b> {
    /// For lines whose names and values are parts of `bytes`.
    fn of(bytes: &'b [u8]) -> Lines<'b> {
        Lines { bytes, run: 0..0 }
    }

    /// Copies a line, at the latest with the next `flush`.
    fn copy(&mut self, out: &mut Buffer, name: &[u8], value: &[u8]) -> Result<(), Full> {
        let start = (name.as_ptr() as usize).wrapping_sub(self.bytes.as_ptr() as usize);
        let colon = start.wrapping_add(name.len());
        let line_end = colon.wrapping_add(2 + value.len());
        let pair = |at: usize| self.bytes.get(at..at.wrapping_add(2));
        let follows = value.as_ptr() as usize == (name.as_ptr() as usize).wrapping_add(name.len() + 2);
        let is_plain = follows && pair(colon) == Some(b": ") && pair(line_end) == Some(b"\r\n");
        if !is_plain {
            self.flush(out)?;
            return field(out, name, value);
        }
        if self.run.end != start {
            self.flush(out)?;
            self.run.start = start;
        }
        self.run.end = line_end + 2;
        Ok(())
    }

    /// Copies what has not been copied yet.
    fn flush(&mut self, out: &mut Buffer) -> Result<(), Full> {
        let run = std::mem::replace(&mut self.run, 0..0);
        out.append(&self.bytes[run])
    }
}

fn field(out: &mut Buffer, name: &[u8], value: &[u8]) -> Result<(), Full> {
    out.append(name)?;
    out.append(b": ")?;
    out.append(value)?;
    out.append(b"\r\n")
}

/// Appends a decimal number.
pub fn append_number(out: &mut Buffer, n: u64) -> Result<(), Full> {
    out.append(itoa::Buffer::new().format(n).as_bytes())
}

/// Appends the line that opens a chunk of `size` bytes; `open` says that a chunk before it still lacks
/// its line end.
pub fn append_chunk_line(out: &mut Buffer, size: usize, open: bool) -> Result<(), Full> {
    let mut line = [0_u8; 2 + 16 + 2];
    let mut at = line.len() - 2;
    line[at..].copy_from_slice(b"\r\n");
    let mut left = size;
    loop {
        at -= 1;
        line[at] = b"0123456789abcdef"[left & 15];
        left >>= 4;
        if left == 0 {
            break;
        }
    }
    if open {
        at -= 2;
        line[at..at + 2].copy_from_slice(b"\r\n");
    }
    out.append(&line[at..])
}

/// What a request's fields ask for.
pub fn wishes(head: &RequestHead<'_, '_>) -> Wishes {
    let fields = &head.fields;
    let connection =
        if fields.has(Role::Connection) { Connection::of(fields) } else { Connection::default() };
    // An upgrade to HTTP/2 would carry requests past every check that is made here, so `h2c` is not
    // passed on (a server may ignore any upgrade, RFC 9110 section 7.8).
    let upgrade = connection.upgrade
        && head.version == Version::Http11
        && fields.has(Role::Upgrade)
        && fields.values(Role::Upgrade).flat_map(members).all(|p| !p.to_ascii_lowercase().starts_with(b"h2"));
    let counted = matches!(head.method, super::Method::Options | super::Method::Trace);
    let max_forwards =
        if counted { fields.values(Role::MaxForwards).next().and_then(framing::digits) } else { None };
    Wishes { connection, upgrade, max_forwards }
}

/// The client's address as a chain of trusted proxies tells it: the last address in `X-Forwarded-For`
/// that is not itself trusted (nginx's `real_ip_recursive on`); `None` where there is none.
pub fn forwarded_client(fields: &Fields<'_, '_>, trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let mut client = None;
    let mut lists = [None; 8];
    let mut count = 0;
    for value in fields.values(Role::ForwardedFor) {
        // Only the last eight fields matter; more is not sent by any proxy.
        lists[count % lists.len()] = Some(value);
        count += 1;
    }
    for i in (count.saturating_sub(lists.len())..count).rev() {
        let value = lists[i % lists.len()].unwrap_or_default();
        for member in value.split(|&b| b == b',').rev() {
            let Some(address) = std::str::from_utf8(member).ok().and_then(|m| m.trim().parse().ok()) else {
                return client;
            };
            client = Some(address);
            if !trusted(address) {
                return client;
            }
        }
    }
    client
}
