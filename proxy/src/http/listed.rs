//! The head of a request as `nginx.conf` has it: the fields that it lists, then those of the client that none of
//! these replaces (`ngx_http_proxy_create_request`).

use super::Version;
use super::fields::{Nominated, Role, members};
use super::framing::Length;
use super::head::RequestHead;
use super::rewrite::{self, REPLACED, Wishes, append_framing, append_number, copy_lines, field};
use crate::buffer::{Buffer, Full};

/// A field that is given, name and value.
pub type Given<'a> = (&'a [u8], &'a [u8]);

/// What a request says to its server, as `nginx.conf` has it.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// The method: a token.
    pub method: &'a [u8],
    /// The target.
    pub target: &'a [u8],
    /// The `Host` of an HTTP/1.1 request to which `fields` give none (RFC 9112 section 3.2).
    pub host: &'a [u8],
    /// Fields in their order. One without a value is not sent, and replaces the client's all the same.
    pub fields: &'a [Given<'a>],
    /// None of the client's fields pass.
    pub drops_fields: bool,
    /// The client's `Expect` does not pass, since the body that it is about does not.
    pub drops_expect: bool,
    /// The version is HTTP/1.0.
    pub is_http10: bool,
    /// Fields of the client with an underscore in their name do not pass.
    pub drops_underscores: bool,
    /// Fields of the client do not pass whose name has something else than letters, digits, `-` and `_`.
    pub drops_invalid: bool,
}

/// What has been told a server of the client's wishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// That no other request follows over the connection.
    pub closes: bool,
    /// The protocol change that the client asks for.
    pub upgrade: bool,
    /// What the client expects.
    pub expects: bool,
}

/// Writes the head of a request. See the [module's page](self).
pub fn request(
    out: &mut Buffer,
    head: &RequestHead<'_, '_>,
    listed: &Listed<'_>,
    length: Length,
    wishes: &Wishes,
) -> Result<Told, Full> {
    if rewrite::goes_round(&head.fields) {
        return Err(Full);
    }
    let version: &[u8] = if listed.is_http10 { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" };
    out.append_all([listed.method, b" ", target_of(listed), version])?;
    let mut closes = listed.is_http10;
    let is_host =
        |(name, value): &Given<'_>| name.eq_ignore_ascii_case(b"host") && is_sent(value.trim_ascii());
    if !listed.is_http10 && !listed.fields.iter().any(is_host) {
        field(out, b"Host", listed.host)?;
    }
    for (name, value) in listed.fields {
        if name.eq_ignore_ascii_case(b"connection") {
            closes |= value.eq_ignore_ascii_case(b"close");
            continue;
        }
        let value = value.trim_ascii();
        // This proxy's own affair, for this connection.
        const OWN: [&[u8]; 5] = [b"upgrade", b"content-length", b"transfer-encoding", b"te", b"keep-alive"];
        let is_own = OWN.iter().any(|own| own.eq_ignore_ascii_case(name));
        if !is_own && is_sent(value) {
            field(out, name, value)?;
        }
    }
    let fields = &head.fields;
    let old_client = head.version == Version::Http10;
    let is_given = |name: &[u8]| listed.fields.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    // Without a body, the configuration may have it that nothing is said about one.
    if length != Length::Empty || !is_given(b"content-length") {
        append_framing(out, fields, length, listed.method)?;
    }
    let dropped = REPLACED
        .and(&[Role::Upgrade])
        // RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is ignored.
        .and_if(old_client || listed.is_http10 || listed.drops_expect, &[Role::Expect])
        .and_if(wishes.max_forwards.is_some(), &[Role::MaxForwards]);
    let nominated = wishes.connection.nominates.then(|| Nominated::of(fields));
    let passes = |role: Role, name: &[u8]| {
        !dropped.contains(role)
            && nominated.as_ref().is_none_or(|nominated| !nominated.has(name))
            && name.iter().all(|byte| match byte {
                b'_' => !listed.drops_underscores,
                b'-' => true,
                byte => byte.is_ascii_alphanumeric() || !listed.drops_invalid,
            })
            && !is_given(name)
    };
    if !listed.drops_fields {
        copy_lines(out, fields, 0, |line| passes(line.role, line.name(fields.bytes())))?;
    }
    if let Some(n) = wishes.max_forwards
        && !is_given(b"Max-Forwards")
    {
        out.append(b"Max-Forwards: ")?;
        append_number(out, n.saturating_sub(1))?;
        out.append(b"\r\n")?;
    }
    // RFC 9110 section 7.8: in HTTP/1.0 there is no upgrade.
    let upgrade = wishes.upgrade && !listed.is_http10 && !listed.drops_fields;
    if upgrade {
        for value in fields.values(Role::Upgrade) {
            field(out, b"Upgrade", value)?;
        }
    }
    // That trailers are understood holds for the next connection too, unless chunks cannot go all the way.
    let te_trailers = !old_client
        && !listed.is_http10
        && !listed.drops_fields
        && !is_given(b"TE")
        && fields.values(Role::Te).flat_map(members).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
    closes &= !upgrade;
    out.append(rewrite::connection(upgrade, te_trailers, closes))?;
    rewrite::append_via(out, head.version)?;
    let expects = fields.has(Role::Expect) && !listed.drops_fields && passes(Role::Expect, b"Expect");
    Ok(Told { closes, upgrade, expects })
}

/// Whether a field with this value is sent. A value may hold what a client sent; no line may end in it, nor a control
/// byte be sent on (RFC 9110 section 5.5).
fn is_sent(value: &[u8]) -> bool {
    !value.is_empty() && !value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
}

/// The target, if it can stand in a request line: it may come from a variable.
fn target_of<'a>(listed: &Listed<'a>) -> &'a [u8] {
    let ends_nothing = !listed.target.iter().any(|byte| matches!(byte, 0..=b' ' | 0x7f));
    // RFC 9112 section 3.2.4: the asterisk is for OPTIONS.
    let has_its_method = listed.target != b"*" || listed.method == b"OPTIONS";
    if ends_nothing && has_its_method && !listed.target.is_empty() { listed.target } else { b"/" }
}
