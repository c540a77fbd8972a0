//! Header and trailer fields, each with the role that it plays for an intermediary.
//!
//! Names are looked at once, when the head is parsed; everything after that asks for roles.

use std::mem::MaybeUninit;

/// The most fields in one head or trailer section.
pub const MAX_FIELDS: usize = 128;

/// Room for the fields of one section, on the stack.
pub struct Scratch<'b> {
    /// For the parser. Not initialised, so that it costs nothing.
    pub(super) headers: [MaybeUninit<httparse::Header<'b>>; MAX_FIELDS],
    /// For [`Fields::new`].
    pub(super) roles: [Role; MAX_FIELDS],
}

impl Scratch<'_> {
    /// Fresh room.
    pub fn new() -> Self {
        Scratch { headers: [const { MaybeUninit::uninit() }; MAX_FIELDS], roles: [Role::Other; MAX_FIELDS] }
    }
}

impl Default for Scratch<'_> {
    fn default() -> Self {
        Scratch::new()
    }
}

/// What a field is to an intermediary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Passed on without a look.
    Other,
    /// Named with an underscore like a field that matters (`Content_Length`): dropped, because servers
    /// that map names to variables cannot tell the two apart.
    Lookalike,
    /// `Connection`
    Connection,
    /// `Content-Length`
    ContentLength,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Host`
    Host,
    /// `Expect`
    Expect,
    /// `TE`
    Te,
    /// `Upgrade`
    Upgrade,
    /// `Via`
    Via,
    /// `Date`
    Date,
    /// `Max-Forwards`
    MaxForwards,
    /// `X-Forwarded-For`
    ForwardedFor,
    /// `X-Forwarded-Proto`
    ForwardedProto,
    /// `X-Forwarded-Host`
    ForwardedHost,
    /// `X-Real-IP`
    RealIp,
    /// `Keep-Alive`, `Proxy-Connection` and `HTTP2-Settings`: for this connection alone
    /// (RFC 9110 section 7.6.1, RFC 7540 section 3.2.1).
    HopByHop,
    /// Fields that may stand in a head but never in a trailer section (RFC 9110 section 6.5.1):
    /// routing, request modifiers, authentication, and what a recipient needs before the body.
    NotInTrailers,
}

impl Role {
    /// The role of the field called `name`, which is a token (RFC 9110 section 5.1).
    fn of(name: &[u8]) -> Role {
        let key = key(name);
        match role(key) {
            Role::Other if has_underscore(key) => lookalike(name),
            role => role,
        }
    }

    fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// A name of at most [`NAME_MAX`] bytes without its case, packed into words, so that names are compared in
/// three comparisons: its length and middle byte, its first and its last eight bytes. Exact for tokens: no
/// two bytes of one that differ otherwise than in case become alike.
type Key = (u64, u64, u64);

/// The longest name that has a role.
const NAME_MAX: usize = 17;

/// What makes a letter a small one. It leaves digits and `-` as they are and turns `_` into 0x7f.
const SMALL: u64 = 0x2020_2020_2020_2020;

const fn key(name: &[u8]) -> Key {
    if name.is_empty() || name.len() > NAME_MAX {
        return (0, 0, 0);
    }
    let length_and_middle = (name.len() as u64) << 8 | name[name.len() / 2] as u64 | 0x20;
    let (start, end) = match (name.first_chunk(), name.last_chunk()) {
        (Some(start), Some(end)) => (u64::from_le_bytes(*start), u64::from_le_bytes(*end)),
        _ => match (name.first_chunk(), name.last_chunk()) {
            (Some(start), Some(end)) => (u32::from_le_bytes(*start) as u64, u32::from_le_bytes(*end) as u64),
            _ => (name[0] as u64, name[name.len() - 1] as u64),
        },
    };
    (length_and_middle, start | SMALL, end | SMALL)
}

/// The role of the name with this key.
fn role(name: Key) -> Role {
    const TE: Key = key(b"te");
    const VIA: Key = key(b"via");
    const HOST: Key = key(b"host");
    const DATE: Key = key(b"date");
    const EXPECT: Key = key(b"expect");
    const COOKIE: Key = key(b"cookie");
    const UPGRADE: Key = key(b"upgrade");
    const X_REAL_IP: Key = key(b"x-real-ip");
    const CONNECTION: Key = key(b"connection");
    const SET_COOKIE: Key = key(b"set-cookie");
    const KEEP_ALIVE: Key = key(b"keep-alive");
    const MAX_FORWARDS: Key = key(b"max-forwards");
    const CONTENT_TYPE: Key = key(b"content-type");
    const AUTHORIZATION: Key = key(b"authorization");
    const CACHE_CONTROL: Key = key(b"cache-control");
    const CONTENT_RANGE: Key = key(b"content-range");
    const CONTENT_LENGTH: Key = key(b"content-length");
    const HTTP2_SETTINGS: Key = key(b"http2-settings");
    const X_FORWARDED_FOR: Key = key(b"x-forwarded-for");
    const X_FORWARDED_HOST: Key = key(b"x-forwarded-host");
    const CONTENT_ENCODING: Key = key(b"content-encoding");
    const PROXY_CONNECTION: Key = key(b"proxy-connection");
    const X_FORWARDED_PROTO: Key = key(b"x-forwarded-proto");
    const TRANSFER_ENCODING: Key = key(b"transfer-encoding");
    match name {
        TE => Role::Te,
        VIA => Role::Via,
        HOST => Role::Host,
        DATE => Role::Date,
        EXPECT => Role::Expect,
        UPGRADE => Role::Upgrade,
        X_REAL_IP => Role::RealIp,
        CONNECTION => Role::Connection,
        MAX_FORWARDS => Role::MaxForwards,
        CONTENT_LENGTH => Role::ContentLength,
        X_FORWARDED_FOR => Role::ForwardedFor,
        X_FORWARDED_HOST => Role::ForwardedHost,
        X_FORWARDED_PROTO => Role::ForwardedProto,
        TRANSFER_ENCODING => Role::TransferEncoding,
        KEEP_ALIVE | HTTP2_SETTINGS | PROXY_CONNECTION => Role::HopByHop,
        COOKIE | SET_COOKIE | CONTENT_TYPE | AUTHORIZATION => Role::NotInTrailers,
        CACHE_CONTROL | CONTENT_RANGE | CONTENT_ENCODING => Role::NotInTrailers,
        _ => Role::Other,
    }
}

/// Whether a byte of the name is `_`.
fn has_underscore((middle, start, end): Key) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // `_` is 0x7f in a key, the one byte there that one more takes to 0x80; so no byte carries.
    [middle & 0x7f, start, end].into_iter().any(|word| word.wrapping_add(ONES) & ONES << 7 != 0)
}

/// [`Role::Lookalike`] where `name`, of at most [`NAME_MAX`] bytes, would have a role if `_` were `-`.
fn lookalike(name: &[u8]) -> Role {
    let mut dashed = [0; NAME_MAX];
    for (to, from) in dashed.iter_mut().zip(name) {
        *to = if *from == b'_' { b'-' } else { *from };
    }
    if role(key(&dashed[..name.len()])) == Role::Other { Role::Other } else { Role::Lookalike }
}

/// The fields of one section in their order.
#[derive(Clone, Copy)]
pub struct Fields<'h, 'b> {
    list: &'h [httparse::Header<'b>],
    roles: &'h [Role],
    /// A bit for each role that there is.
    present: u32,
    /// A bit for each role that more than one field has.
    repeated: u32,
}

/// There are several fields where one may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated;

impl<'h, 'b> Fields<'h, 'b> {
    /// Gives each field its role. `roles` is room for as many as there are fields.
    pub fn new(list: &'h [httparse::Header<'b>], roles: &'h mut [Role; MAX_FIELDS]) -> Fields<'h, 'b> {
        let (mut present, mut repeated) = (0, 0);
        for (header, role) in list.iter().zip(roles.iter_mut()) {
            *role = Role::of(header.name.as_bytes());
            repeated |= present & role.bit();
            present |= role.bit();
        }
        Fields { list, roles, present, repeated }
    }

    /// Whether any field has this role.
    pub fn has(&self, role: Role) -> bool {
        self.present & role.bit() != 0
    }

    /// The value of the one field with this role that there may be.
    pub fn only(&self, role: Role) -> Result<Option<&'b [u8]>, Repeated> {
        if !self.has(role) {
            return Ok(None);
        }
        if self.repeated & role.bit() != 0 {
            return Err(Repeated);
        }
        Ok(self.values(role).next())
    }

    /// The values of the fields with this role, in their order.
    pub fn values(&self, role: Role) -> impl Iterator<Item = &'b [u8]> + '_ {
        // Nearly every question is about a field that is not there: that costs one test.
        let asked = if self.has(role) { self.list } else { &[] };
        asked.iter().zip(self.roles).filter(move |(_, r)| **r == role).map(|(header, _)| header.value)
    }

    /// All fields: role, name, value.
    pub fn iter(&self) -> impl Iterator<Item = (Role, &'b [u8], &'b [u8])> + '_ {
        self.list.iter().zip(self.roles).map(|(header, role)| (*role, header.name.as_bytes(), header.value))
    }

    /// The value of the first field called `name` (in any case), whatever its role.
    pub fn find(&self, name: &str) -> Option<&'b [u8]> {
        self.list.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }
}

/// The members of a comma-separated list, trimmed, empty ones left out (RFC 9110 section 5.6.1.2).
pub fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// What the `Connection` fields of a message say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// `close` is among the options.
    pub close: bool,
    /// `keep-alive` is among the options.
    pub keep_alive: bool,
    /// `upgrade` is among the options.
    pub upgrade: bool,
    /// Another option is there: it names a field to be removed.
    pub nominates: bool,
}

impl Connection {
    /// Reads all `Connection` fields (RFC 9110 section 7.6.1); options are case-insensitive.
    pub fn of(fields: &Fields<'_, '_>) -> Connection {
        let mut connection = Connection::default();
        if !fields.has(Role::Connection) {
            return connection;
        }
        // What nearly every sender sends, before the general case.
        if let Ok(Some(b"keep-alive")) = fields.only(Role::Connection) {
            connection.keep_alive = true;
            return connection;
        }
        for option in fields.values(Role::Connection).flat_map(members) {
            if option.eq_ignore_ascii_case(b"keep-alive") {
                connection.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                connection.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                connection.upgrade = true;
            } else {
                connection.nominates = true;
            }
        }
        connection
    }

    /// Whether the sender of a message of this version lets the connection persist
    /// (RFC 9112 section 9.3).
    pub fn persists(self, version: super::Version) -> bool {
        !self.close && (version == super::Version::Http11 || self.keep_alive)
    }
}

/// Whether a `Connection` field nominates `name` for removal.
pub fn nominated(fields: &Fields<'_, '_>, name: &[u8]) -> bool {
    fields.values(Role::Connection).flat_map(members).any(|option| option.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [(&str, Role); 24] = [
        ("TE", Role::Te),
        ("Via", Role::Via),
        ("Host", Role::Host),
        ("Date", Role::Date),
        ("Expect", Role::Expect),
        ("Cookie", Role::NotInTrailers),
        ("Upgrade", Role::Upgrade),
        ("X-Real-IP", Role::RealIp),
        ("Connection", Role::Connection),
        ("Set-Cookie", Role::NotInTrailers),
        ("Keep-Alive", Role::HopByHop),
        ("Max-Forwards", Role::MaxForwards),
        ("Content-Type", Role::NotInTrailers),
        ("Authorization", Role::NotInTrailers),
        ("Cache-Control", Role::NotInTrailers),
        ("Content-Range", Role::NotInTrailers),
        ("Content-Length", Role::ContentLength),
        ("HTTP2-Settings", Role::HopByHop),
        ("X-Forwarded-For", Role::ForwardedFor),
        ("X-Forwarded-Host", Role::ForwardedHost),
        ("Content-Encoding", Role::NotInTrailers),
        ("Proxy-Connection", Role::HopByHop),
        ("X-Forwarded-Proto", Role::ForwardedProto),
        ("Transfer-Encoding", Role::TransferEncoding),
    ];

    const TOKEN: &[u8] = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    #[test]
    fn a_role_does_not_depend_on_case() {
        for (name, role) in NAMES {
            for spelling in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                assert_eq!(Role::of(spelling.as_bytes()), role, "{spelling}");
            }
        }
    }

    #[test]
    fn any_other_byte_at_any_place_takes_the_role() {
        for (name, _) in NAMES {
            for at in 0..name.len() {
                for &byte in TOKEN {
                    let mut changed = name.as_bytes().to_vec();
                    changed[at] = byte;
                    let spelled = String::from_utf8_lossy(&changed).into_owned();
                    if changed.eq_ignore_ascii_case(name.as_bytes()) {
                        continue;
                    }
                    let alike = byte == b'_' && name.as_bytes()[at] == b'-';
                    let expected = if alike { Role::Lookalike } else { Role::Other };
                    assert_eq!(Role::of(&changed), expected, "{spelled} for {name}");
                }
            }
        }
    }

    #[test]
    fn shorter_and_longer_names_have_no_role() {
        for (name, _) in NAMES {
            for other in [format!("{name}s"), format!("x{name}"), name[1..].to_owned()] {
                assert_eq!(Role::of(other.as_bytes()), Role::Other, "{other}");
            }
        }
        assert_eq!(Role::of(b"x_forwarded_for"), Role::Lookalike);
        assert_eq!(Role::of(b"a_name_that_is_long_enough_for_anyone"), Role::Other);
    }
}
