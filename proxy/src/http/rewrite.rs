//! What changes in a head as it passes (RFC 9110 section 7.6).
//!
//! Nothing is edited in place: every head that goes out is written anew, with CRLF, single spaces and
//! the fields that this connection needs, from the fields that came in. That is also what keeps any
//! oddity of the sender's spelling from the recipient.

use std::net::IpAddr;

use super::fields::{Connection, Fields, Nominated, Role, Roles, members};
use super::framing::Length;
use super::head::{RequestHead, ResponseHead};
use super::lines::Line;
use super::target::Target;
use super::{Version, framing};
use crate::buffer::{Buffer, Full};

/// This proxy's name in `Via` and `Server`.
pub const PSEUDONYM: &str = "proxy";

/// What the next server is told of a client that nobody vouches for: made once for a connection, since it is
/// the same for each request.
#[derive(Debug)]
pub struct Introduction {
    /// The forwarding fields, up to the value of `X-Forwarded-Host`.
    text: Box<str>,
    address_len: u8,
}

impl Introduction {
    const START: &str = "X-Forwarded-For: ";

    /// Of the client with this address; `unix:` for one on a Unix socket.
    pub fn new(address: &str) -> Introduction {
        let start = Introduction::START;
        let text = format!(
            "{start}{address}\r\nX-Forwarded-Proto: http\r\nX-Real-IP: {address}\r\nX-Forwarded-Host: "
        );
        let address_len = u8::try_from(address.len()).expect("an address is short");
        Introduction { text: text.into_boxed_str(), address_len }
    }

    /// The client's address.
    pub fn address(&self) -> &str {
        &self.text[Introduction::START.len()..][..usize::from(self.address_len)]
    }
}

/// Who sent a request, as the next server is to know it.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// Who connected.
    pub introduction: &'a Introduction,
    /// The address of the client that a chain of trusted proxies tells of, where that is another.
    pub real: Option<&'a str>,
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

/// Fields of a request that go for this connection alone, or whose place is taken by the proxy's own.
pub(super) const REPLACED: Roles = Roles::of(&[
    Role::Connection,
    Role::HopByHop,
    Role::Lookalike,
    Role::Te,
    Role::ContentLength,
    Role::TransferEncoding,
]);

/// What a request says of its connection to the next server (RFC 9110 sections 7.6.1 and 10.1.4). One that is to become
/// another protocol's does not close.
#[inline(always)]
pub(super) fn connection(upgrades: bool, te_trailers: bool, closes: bool) -> &'static [u8] {
    match (upgrades, te_trailers) {
        (true, true) => b"TE: trailers\r\nConnection: upgrade, TE\r\n",
        (true, false) => b"Connection: upgrade\r\n",
        (false, true) if closes => b"TE: trailers\r\nConnection: close, TE\r\n",
        (false, true) => b"TE: trailers\r\nConnection: TE\r\n",
        (false, false) if closes => b"Connection: close\r\n",
        (false, false) => b"",
    }
}

/// Writes the last line of a request's head, and the blank one behind it. Of a length that is known here, so it is
/// copied in place.
#[inline(always)]
pub(super) fn append_via(out: &mut Buffer, version: Version) -> Result<(), Full> {
    match version {
        Version::Http10 => out.append(b"Via: 1.0 proxy\r\n\r\n"),
        Version::Http11 => out.append(b"Via: 1.1 proxy\r\n\r\n"),
    }
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
    let host = target.host.unwrap_or(sender.default_host.as_bytes());
    // Nearly always the first two lines stand there as they would be written, and go with those behind them.
    let is_whole_target = target.path.len() == head.target.len();
    let is_plain = head.plain_line > 0 && is_whole_target && head.fields.starts_with_plain(Role::Host);
    if !is_plain {
        let root: &[u8] = if target.path.first() == Some(&b'?') { b"/" } else { b"" };
        out.append_all([head.method_name, b" ", root, target.path, b" HTTP/1.1\r\nHost: ", host, b"\r\n"])?;
    }

    let fields = &head.fields;
    let old_client = head.version == Version::Http10;
    let dropped = REPLACED
        .and(&[Role::ForwardedFor])
        .and_if(!is_plain, &[Role::Host])
        .and_if(!sender.trusted, &[Role::ForwardedProto, Role::ForwardedHost, Role::RealIp])
        .and_if(!wishes.upgrade, &[Role::Upgrade])
        // RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is ignored.
        .and_if(old_client, &[Role::Expect])
        .and_if(wishes.max_forwards.is_some(), &[Role::MaxForwards]);
    let line_len = if is_plain { head.plain_line } else { 0 };
    if wishes.connection.nominates {
        let stays = Roles::of(&[Role::Upgrade, Role::Host]);
        copy_lines_not_nominated(out, fields, line_len, stays, |line| !dropped.contains(line.role))?;
    } else {
        copy_lines(out, fields, line_len, |line| !dropped.contains(line.role))?;
    }
    // TE is for this connection; that trailers are understood holds for the next one too. It would not for
    // an HTTP/1.0 client, to which no chunks and so no trailers can go.
    let te_trailers = !old_client
        && fields.has(Role::Te)
        && fields.values(Role::Te).flat_map(members).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));

    append_framing(out, fields, length, head.method_name)?;
    if let Some(n) = wishes.max_forwards {
        out.append(b"Max-Forwards: ")?;
        append_number(out, n.saturating_sub(1))?;
        out.append(b"\r\n")?;
    }
    let connection = connection(wishes.upgrade, te_trailers, false);
    if !connection.is_empty() {
        out.append(connection)?;
    }
    if sender.trusted || fields.has(Role::ForwardedFor) {
        forwarded(out, fields, host, wishes, sender)?;
    } else {
        // Nearly always: nothing of it is the client's own word.
        out.append_all([sender.introduction.text.as_bytes(), host, b"\r\n"])?;
    }
    append_via(out, head.version)
}

/// The most `Via` fields of a request that goes on.
const VIA_MAX: usize = 100;

/// Whether a request has passed so many proxies that it goes round in a circle, where it would take a connection of
/// each (RFC 9110 section 7.6).
pub(super) fn goes_round(fields: &Fields<'_, '_>) -> bool {
    fields.has(Role::Via) && fields.values(Role::Via).count() > VIA_MAX
}

/// `X-Forwarded-*` and `X-Real-IP`: what the client says of itself is replaced unless it is trusted, the
/// chain of addresses grows by one.
#[cold]
fn forwarded(
    out: &mut Buffer,
    fields: &Fields<'_, '_>,
    host: &[u8],
    wishes: &Wishes,
    sender: &Sender<'_>,
) -> Result<(), Full> {
    let nominated = wishes.connection.nominates.then(|| Nominated::of(fields));
    if goes_round(fields) {
        return Err(Full);
    }
    let stays = |name: &[u8]| nominated.as_ref().is_none_or(|nominated| !nominated.has(name));
    out.append(b"X-Forwarded-For: ")?;
    if stays(b"X-Forwarded-For") {
        for value in fields.values(Role::ForwardedFor).filter(|value| !value.is_empty()) {
            out.append(value)?;
            out.append(b", ")?;
        }
    }
    let passed = |role, name| sender.trusted && fields.has(role) && stays(name);
    out.append_all([sender.introduction.address().as_bytes(), b"\r\n"])?;
    if !passed(Role::ForwardedProto, b"X-Forwarded-Proto") {
        out.append(b"X-Forwarded-Proto: http\r\n")?;
    }
    if !passed(Role::RealIp, b"X-Real-IP") {
        let real = sender.real.unwrap_or(sender.introduction.address());
        out.append_all([b"X-Real-IP: ", real.as_bytes(), b"\r\n"])?;
    }
    if !passed(Role::ForwardedHost, b"X-Forwarded-Host") {
        out.append_all([b"X-Forwarded-Host: ", host, b"\r\n"])?;
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

/// What a configuration changes in the fields of a response.
#[derive(Clone, Copy, Debug)]
pub struct Changes<'a> {
    /// Fields that are left out, in small letters.
    pub hidden: &'a [String],
    /// Fields that others of their name stand for.
    pub replaced: &'a [&'static str],
    /// Lines that are added, each with its CRLF.
    pub added: &'a [u8],
    /// What stands in `Location` instead.
    pub location: Option<&'a [u8]>,
    /// What stands in `Refresh` instead.
    pub refresh: Option<&'a [u8]>,
}

impl Changes<'_> {
    fn leaves_out(&self, name: &[u8]) -> bool {
        self.hidden.iter().any(|hidden| hidden.as_bytes().eq_ignore_ascii_case(name))
            || self.replaced.iter().any(|replaced| replaced.as_bytes().eq_ignore_ascii_case(name))
            || (self.location.is_some() && name.eq_ignore_ascii_case(b"location"))
            || (self.refresh.is_some() && name.eq_ignore_ascii_case(b"refresh"))
    }
}

/// The framing that a client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFraming {
    /// As the server framed it, with its own fields.
    Same,
    /// Chunked by this proxy.
    Chunked,
    /// Without chunks, for a client that knows none: as long as its `Content-Length` says, or up to the end of
    /// the connection (RFC 9112 section 6.1: no `Transfer-Encoding` for HTTP/1.0, in no response).
    Unchunked,
    /// None, as the status that it sees has no body.
    Bodiless,
    /// That of a body that is empty, as the server's status has none and the one that it sees has.
    Empty,
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
    const NONE: Changes<'_> =
        Changes { hidden: &[], replaced: &[], added: b"", location: None, refresh: None };
    write_response::<false>(out, head, delivery, &NONE, date)
}

/// Writes the head of a response with what a configuration changes in it.
pub fn changed_response(
    out: &mut Buffer,
    head: &ResponseHead<'_, '_>,
    delivery: &Delivery,
    changes: &Changes<'_>,
    date: &[u8],
) -> Result<(), Full> {
    write_response::<true>(out, head, delivery, changes, date)
}

/// Compiled once without a thought of changes: nearly no response has any.
#[inline(always)]
fn write_response<const CHANGED: bool>(
    out: &mut Buffer,
    head: &ResponseHead<'_, '_>,
    delivery: &Delivery,
    changes: &Changes<'_>,
    date: &[u8],
) -> Result<(), Full> {
    let status = head.status;
    if head.plain_line == 0 {
        let digits = [status / 100, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8);
        out.append_all([b"HTTP/1.1 ", &digits, b" ", head.reason, b"\r\n"])?;
    }
    let bodiless = matches!(head.status, 100..=199 | 204);
    const DROPPED: Roles = Roles::of(&[Role::Connection, Role::HopByHop, Role::Lookalike, Role::Te]);
    let fields = &head.fields;
    let dropped = DROPPED
        .and_if(!(delivery.upgrade || status == 426), &[Role::Upgrade])
        // RFC 9110 section 8.6: neither in 1xx and 204.
        .and_if(bodiless, &[Role::ContentLength, Role::TransferEncoding])
        .and_if(delivery.framing != ClientFraming::Same, &[Role::TransferEncoding])
        .and_if(
            CHANGED && matches!(delivery.framing, ClientFraming::Bodiless | ClientFraming::Empty),
            &[Role::ContentLength],
        );
    let passes = |line: &Line| {
        // Without its framing a body would be taken for something else.
        let is_framing = matches!(line.role, Role::ContentLength | Role::TransferEncoding);
        let is_left_out = CHANGED && !is_framing && changes.leaves_out(line.name(fields.bytes()));
        !dropped.contains(line.role) && !is_left_out
    };
    if delivery.nominates {
        copy_lines_not_nominated(out, fields, head.plain_line, ESSENTIAL, passes)?;
    } else {
        copy_lines(out, fields, head.plain_line, passes)?;
    }
    if CHANGED {
        if let Some(location) = changes.location {
            field(out, b"Location", location)?;
        }
        if let Some(refresh) = changes.refresh {
            field(out, b"Refresh", refresh)?;
        }
        out.append(changes.added)?;
    }
    if delivery.framing == ClientFraming::Chunked {
        out.append(b"Transfer-Encoding: chunked\r\n")?;
    }
    if CHANGED && delivery.framing == ClientFraming::Empty {
        out.append(b"Content-Length: 0\r\n")?;
    }
    // Where the server's are left out, these are the proxy's own, as in nginx.
    if (!head.fields.has(Role::Date) || (CHANGED && changes.leaves_out(b"Date"))) && head.status >= 200 {
        field(out, b"Date", date)?;
    }
    if CHANGED && head.status >= 200 && changes.leaves_out(b"Server") {
        field(out, b"Server", PSEUDONYM.as_bytes())?;
    }
    // Pieces of a length that is known here are copied in place.
    match head.version {
        Version::Http10 => out.append(b"Via: 1.0 proxy\r\n")?,
        Version::Http11 => out.append(b"Via: 1.1 proxy\r\n")?,
    }
    // RFC 9110 section 7.8: Upgrade is named in Connection, in a 426 too.
    let advises = head.status == 426 && head.fields.has(Role::Upgrade);
    match (delivery.upgrade, delivery.keep_alive) {
        (true, _) => out.append(b"Connection: upgrade\r\n\r\n"),
        (false, _) if head.status < 200 => out.append(b"\r\n"),
        (false, true) if advises => out.append(b"Connection: keep-alive, upgrade\r\n\r\n"),
        (false, false) if advises => out.append(b"Connection: close, upgrade\r\n\r\n"),
        (false, true) => out.append(b"Connection: keep-alive\r\n\r\n"),
        (false, false) => out.append(b"Connection: close\r\n\r\n"),
    }
}

/// Fields that stay even where `Connection` nominates them, because without them the message would be
/// read otherwise than it was framed.
const ESSENTIAL: Roles = Roles::of(&[Role::ContentLength, Role::TransferEncoding, Role::Upgrade, Role::Date]);

/// Writes a trailer section, from behind the last chunk's line to the end of the message.
///
/// Fields for this connection, fields that `Connection` nominates (in the head too: `of_head`), and fields that must not stand in a trailer section are left out.
pub fn trailers(out: &mut Buffer, fields: &Fields<'_, '_>, of_head: &Nominated<'_>) -> Result<(), Full> {
    let nominated = Nominated::of(fields);
    for (role, name, value) in fields.iter() {
        let may_stand = role == Role::Other && !NOT_IN_TRAILERS.iter().any(|f| f.eq_ignore_ascii_case(name));
        let is_missed = planted!(MissedTrailer);
        if may_stand && !nominated.has(name) && !of_head.has(name) && !is_missed {
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
#[inline(always)]
pub(super) fn append_framing(
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

/// Copies the field lines that `pass`, in as few pieces as they allow.
///
/// Most lines stand there as they would be written, one behind the other: a run of them that all pass is
/// one copy. The `plain` bytes in front of the fields are the first of a run.
#[inline(always)]
pub(super) fn copy_lines(
    out: &mut Buffer,
    fields: &Fields<'_, '_>,
    plain: usize,
    pass: impl Fn(&Line) -> bool,
) -> Result<(), Full> {
    let bytes = fields.bytes();
    let mut run = 0..plain;
    for line in fields.lines() {
        if !pass(line) {
            continue;
        }
        let place = line.place();
        if line.is_plain && place.start == run.end {
            run.end = place.end;
            continue;
        }
        if !run.is_empty() {
            out.append(&bytes[run])?;
        }
        run = if line.is_plain { place } else { 0..0 };
        if !line.is_plain {
            field(out, line.name(bytes), line.value(bytes))?;
        }
    }
    if run.is_empty() { Ok(()) } else { out.append(&bytes[run]) }
}

/// The same, without fields that `Connection` nominates, but for those whose role `stays`.
#[cold]
#[inline(never)]
fn copy_lines_not_nominated(
    out: &mut Buffer,
    fields: &Fields<'_, '_>,
    plain: usize,
    stays: Roles,
    pass: impl Fn(&Line) -> bool,
) -> Result<(), Full> {
    let nominated = Nominated::of(fields);
    copy_lines(out, fields, plain, |line| {
        pass(line) && (stays.contains(line.role) || !nominated.has(line.name(fields.bytes())))
    })
}

pub(super) fn field(out: &mut Buffer, name: &[u8], value: &[u8]) -> Result<(), Full> {
    out.append_all([name, b": ", value, b"\r\n"])
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

/// What a request's fields ask for. Inlined where each request comes by.
#[inline(always)]
pub fn wishes(head: &RequestHead<'_, '_>) -> Wishes {
    let fields = &head.fields;
    let connection = Connection::of(fields);
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

/// What a value of `X-Forwarded-For` tells, last first, between commas and blanks; those at its end and in a row count for
/// nothing. One that it begins with is part of its first member, and spoils it: so has it nginx
/// (`ngx_http_get_forwarded_addr_internal`).
pub fn told_from_the_end(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_between = |byte: &u8| b", \t".contains(byte);
    let mut rest = value;
    std::iter::from_fn(move || {
        while let [before @ .., last] = rest
            && is_between(last)
            && !before.is_empty()
        {
            rest = before;
        }
        let start = rest.iter().skip(1).rposition(is_between).map_or(0, |index| index + 2);
        let (before, member) = rest.split_at(start);
        rest = before;
        Some(member).filter(|member| !member.is_empty())
    })
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
        for member in told_from_the_end(value) {
            let Some(address) = std::str::from_utf8(member).ok().and_then(|m| m.parse().ok()) else {
                return client;
            };
            let address: IpAddr = address;
            let address = address.to_canonical();
            client = Some(address);
            if !trusted(address) {
                return client;
            }
        }
    }
    client
}
