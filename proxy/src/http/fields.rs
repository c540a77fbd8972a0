//! Header and trailer fields, each with the role that it plays for an intermediary.
//!
//! Names are looked at once, when the head is parsed; everything after that asks for roles.

use std::mem::MaybeUninit;

/// The most fields in one head or trailer section.
pub const MAX_FIELDS: usize = 128;

/// Room for the fields of one section, on the stack.
pub type Scratch<'b> = [MaybeUninit<httparse::Header<'b>>; MAX_FIELDS];

/// Fresh [`Scratch`]; costs nothing, it is not initialised.
pub fn scratch<'b>() -> Scratch<'b> {
    [const { MaybeUninit::uninit() }; MAX_FIELDS]
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
    /// The role of the field called `name`.
    fn of(name: &[u8]) -> Role {
        // By length first: most names match no candidate and cost one comparison.
        let (role, known): (Role, &[u8]) = match name.len() {
            2 => (Role::Te, b"te"),
            3 => (Role::Via, b"via"),
            4 if name[0] | 0x20 == b'h' => (Role::Host, b"host"),
            4 => (Role::Date, b"date"),
            6 if name[0] | 0x20 == b'e' => (Role::Expect, b"expect"),
            6 => (Role::NotInTrailers, b"cookie"),
            7 => (Role::Upgrade, b"upgrade"),
            9 => (Role::RealIp, b"x-real-ip"),
            10 if name[0] | 0x20 == b'c' => (Role::Connection, b"connection"),
            10 if name[0] | 0x20 == b's' => (Role::NotInTrailers, b"set-cookie"),
            10 => (Role::HopByHop, b"keep-alive"),
            12 if name[0] | 0x20 == b'm' => (Role::MaxForwards, b"max-forwards"),
            12 => (Role::NotInTrailers, b"content-type"),
            13 if name[0] | 0x20 == b'a' => (Role::NotInTrailers, b"authorization"),
            13 if name[1] | 0x20 == b'a' => (Role::NotInTrailers, b"cache-control"),
            13 => (Role::NotInTrailers, b"content-range"),
            14 if name[0] | 0x20 == b'c' => (Role::ContentLength, b"content-length"),
            14 => (Role::HopByHop, b"http2-settings"),
            15 => (Role::ForwardedFor, b"x-forwarded-for"),
            16 if name[0] | 0x20 == b'x' => (Role::ForwardedHost, b"x-forwarded-host"),
            16 if name[0] | 0x20 == b'c' => (Role::NotInTrailers, b"content-encoding"),
            16 => (Role::HopByHop, b"proxy-connection"),
            17 if name[0] | 0x20 == b'x' => (Role::ForwardedProto, b"x-forwarded-proto"),
            17 => (Role::TransferEncoding, b"transfer-encoding"),
            _ => return Role::Other,
        };
        if name.eq_ignore_ascii_case(known) {
            role
        } else if name.contains(&b'_') && reads_alike(name, known) {
            Role::Lookalike
        } else {
            Role::Other
        }
    }

    fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// Whether `name` would be `known` (in lower case) if `_` were `-`.
fn reads_alike(name: &[u8], known: &[u8]) -> bool {
    name.len() == known.len()
        && name.iter().zip(known).all(|(a, b)| a.to_ascii_lowercase() == *b || (*a == b'_' && *b == b'-'))
}

/// The fields of one section in their order.
#[derive(Clone, Copy)]
pub struct Fields<'h, 'b> {
    list: &'h [httparse::Header<'b>],
    roles: [Role; MAX_FIELDS],
    present: u32,
}

impl<'h, 'b> Fields<'h, 'b> {
    /// Gives each field its role.
    pub fn new(list: &'h [httparse::Header<'b>]) -> Fields<'h, 'b> {
        let mut roles = [Role::Other; MAX_FIELDS];
        let mut present = 0;
        for (header, role) in list.iter().zip(&mut roles) {
            *role = Role::of(header.name.as_bytes());
            present |= role.bit();
        }
        Fields { list, roles, present }
    }

    /// Whether any field has this role.
    pub fn has(&self, role: Role) -> bool {
        self.present & role.bit() != 0
    }

    /// The values of the fields with this role, in their order.
    pub fn values(&self, role: Role) -> impl Iterator<Item = &'b [u8]> + '_ {
        // Nearly every question is about a field that is not there: that costs one test.
        let asked = if self.has(role) { self.list } else { &[] };
        asked.iter().zip(&self.roles).filter(move |(_, r)| **r == role).map(|(header, _)| header.value)
    }

    /// All fields: role, name, value.
    pub fn iter(&self) -> impl Iterator<Item = (Role, &'b [u8], &'b [u8])> + '_ {
        self.list.iter().zip(&self.roles).map(|(header, role)| (*role, header.name.as_bytes(), header.value))
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
