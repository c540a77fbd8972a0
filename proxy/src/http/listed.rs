//! The head of a request as `nginx.conf` has it: the fields that it lists, then those of the client that none of
//! these replaces (`ngx_http_proxy_create_request`).

use super::Version;
use super::fields::{Role, nominated};
use super::framing::Length;
use super::head::RequestHead;
use super::rewrite::{self, REPLACED, Wishes, append_framing, copy_lines, field};
use crate::buffer::{Buffer, Full};

/// A field that is given, name and value.
pub type Given<'a> = (&'a [u8], &'a [u8]);

/// What a request says to its server, as `nginx.conf` has it.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The target.
    pub target: &'a [u8],
    /// Fields in their order. One without a value is not sent, and replaces the client's all the same.
    pub fields: &'a [Given<'a>],
    /// None of the client's fields pass.
    pub drops_fields: bool,
    /// The version is HTTP/1.0.
    pub is_http10: bool,
    /// Fields of the client with an underscore in their name do not pass.
    pub drops_underscores: bool,
    /// Fields of the client do not pass whose name has something else than letters, digits, `-` and `_`.
    pub drops_invalid: bool,
}

/// Writes the head of a request. See the [module's page](self).
pub fn request(
    out: &mut Buffer,
    head: &RequestHead<'_, '_>,
    listed: &Listed<'_>,
    length: Length,
    wishes: &Wishes,
) -> Result<(), Full> {
    let version: &[u8] = if listed.is_http10 { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" };
    // A target may come from a variable; nothing of a client's ends the line.
    let is_sound = |bytes: &[u8]| !bytes.iter().any(|byte| matches!(byte, 0..=b' ' | 0x7f));
    let target = if is_sound(listed.target) && !listed.target.is_empty() { listed.target } else { b"/" };
    out.append_all([listed.method, b" ", target, version])?;
    let mut closes = listed.is_http10;
    for (name, value) in listed.fields {
        if name.eq_ignore_ascii_case(b"connection") {
            closes |= value.eq_ignore_ascii_case(b"close");
            continue;
        }
        // This proxy's own affair, for this connection.
        const OWN: [&[u8]; 5] = [b"upgrade", b"content-length", b"transfer-encoding", b"te", b"keep-alive"];
        let is_own = OWN.iter().any(|own| own.eq_ignore_ascii_case(name));
        let is_line = value.iter().all(|byte| !matches!(byte, b'\r' | b'\n' | 0));
        if !is_own && is_line && !value.is_empty() {
            field(out, name, value)?;
        }
    }
    append_framing(out, &head.fields, length, listed.method)?;
    let fields = &head.fields;
    let dropped = REPLACED.and(&[Role::Upgrade]).and_if(head.version == Version::Http10, &[Role::Expect]);
    let nominates = wishes.connection.nominates;
    if !listed.drops_fields {
        copy_lines(out, fields, 0, |line| {
            let name = line.name(fields.bytes());
            !dropped.contains(line.role)
                && (!nominates || !nominated(fields, name))
                && name.iter().all(|byte| match byte {
                    b'_' => !listed.drops_underscores,
                    b'-' => true,
                    byte => byte.is_ascii_alphanumeric() || !listed.drops_invalid,
                })
                && !listed.fields.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
        })?;
    }
    if wishes.upgrade {
        for value in fields.values(Role::Upgrade) {
            field(out, b"Upgrade", value)?;
        }
    }
    out.append(rewrite::connection(wishes.upgrade, false, closes))?;
    out.append(&rewrite::via(head.version)[2..])
}
