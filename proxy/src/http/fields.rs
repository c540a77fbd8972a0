//! Header and trailer fields, each with the role that it plays for an intermediary.
//!
//! Names are looked at once, when the head is parsed; everything after that asks for roles.

use std::cmp::Ordering;

use super::lines::Line;

/// The most fields in one head or trailer section (nginx since 1.29.7: `max_headers`).
pub const MAX_FIELDS: usize = 1000;

/// How many roles there are, at most: a set of them fits 32 bits.
const ROLES: usize = 32;

/// Room for the lines of one section, to be used again and again, and what is known of them.
#[derive(Debug)]
pub struct Scratch {
    /// The first of them are the section's.
    pub(super) lines: Box<[Line; MAX_FIELDS]>,
    pub(super) found: Found,
    /// The number of the last line with each role that there is; of the others it says nothing.
    pub(super) last: [u16; ROLES],
}

impl Scratch {
    /// Room for [`MAX_FIELDS`].
    pub fn new() -> Scratch {
        Scratch { lines: Box::new([Line::EMPTY; MAX_FIELDS]), found: Found::default(), last: [0; ROLES] }
    }
}

/// Which roles the lines of a section have.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// How many lines there are.
    count: u32,
    /// A bit for each role that there is.
    present: u32,
    /// A bit for each role that more than one line has.
    repeated: u32,
}

impl Found {
    /// Takes the next line in, of which there are at most one more than [`MAX_FIELDS`]. Returns its number.
    #[inline(always)]
    pub(super) fn add(&mut self, role: Role, last: &mut [u16; ROLES]) -> usize {
        let number = self.count;
        self.count += 1;
        if role != Role::Other {
            let bit = role.bit();
            last[role as usize] = number as u16;
            self.repeated |= self.present & bit;
            self.present |= bit;
        }
        number as usize
    }
}

impl Default for Scratch {
    fn default() -> Scratch {
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
    /// The role of the field called `name`, which is a token and not empty. Inlined where it is asked for each
    /// field.
    #[inline(always)]
    pub(super) fn of(name: &[u8]) -> Role {
        // By length and first letter: that leaves one candidate, for most names none.
        match (name.len(), name[0] | 0x20) {
            (2, b't') => Role::if_called(name, b"te", Role::Te),
            (3, b'v') => Role::if_called(name, b"via", Role::Via),
            (4, b'h') => Role::if_called(name, b"host", Role::Host),
            (4, b'd') => Role::if_called(name, b"date", Role::Date),
            (6, b'e') => Role::if_called(name, b"expect", Role::Expect),
            (6, b'c') => Role::if_called(name, b"cookie", Role::NotInTrailers),
            (7, b'u') => Role::if_called(name, b"upgrade", Role::Upgrade),
            (9, b'x') => Role::if_called(name, b"x-real-ip", Role::RealIp),
            (10, b'c') => Role::if_called(name, b"connection", Role::Connection),
            (10, b'k') => Role::if_called(name, b"keep-alive", Role::HopByHop),
            (10, b's') => Role::if_called(name, b"set-cookie", Role::NotInTrailers),
            (12, b'c') => Role::if_called(name, b"content-type", Role::NotInTrailers),
            (12, b'm') => Role::if_called(name, b"max-forwards", Role::MaxForwards),
            (13, b'a') => Role::if_called(name, b"authorization", Role::NotInTrailers),
            (13, b'c') if name[1] | 0x20 == b'a' => {
                Role::if_called(name, b"cache-control", Role::NotInTrailers)
            }
            (13, b'c') => Role::if_called(name, b"content-range", Role::NotInTrailers),
            (14, b'c') => Role::if_called(name, b"content-length", Role::ContentLength),
            (14, b'h') => Role::if_called(name, b"http2-settings", Role::HopByHop),
            (15, b'x') => Role::if_called(name, b"x-forwarded-for", Role::ForwardedFor),
            (16, b'c') => Role::if_called(name, b"content-encoding", Role::NotInTrailers),
            (16, b'p') => Role::if_called(name, b"proxy-connection", Role::HopByHop),
            (16, b'x') => Role::if_called(name, b"x-forwarded-host", Role::ForwardedHost),
            (17, b't') => Role::if_called(name, b"transfer-encoding", Role::TransferEncoding),
            (17, b'x') => Role::if_called(name, b"x-forwarded-proto", Role::ForwardedProto),
            _ => Role::Other,
        }
    }

    /// `role` where `name` is `known`, which is in lower case.
    #[inline(always)]
    fn if_called<const N: usize>(name: &[u8], known: &[u8; N], role: Role) -> Role {
        let difference = difference(name, known);
        if difference == 0 {
            role
        } else if difference & !LOOKALIKE == 0 && reads_alike(name, known) {
            Role::Lookalike
        } else {
            Role::Other
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// A set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles(u32);

impl Roles {
    /// Just these.
    pub const fn of(roles: &[Role]) -> Roles {
        let mut set = 0;
        let mut at = 0;
        while at < roles.len() {
            set |= roles[at].bit();
            at += 1;
        }
        Roles(set)
    }

    /// These too.
    #[must_use]
    pub const fn and(self, roles: &[Role]) -> Roles {
        Roles(self.0 | Roles::of(roles).0)
    }

    /// These too, if so.
    #[must_use]
    pub const fn and_if(self, so: bool, roles: &[Role]) -> Roles {
        if so { self.and(roles) } else { self }
    }

    /// Whether it has this one.
    pub const fn contains(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }
}

/// In what `name` differs from `known`, which is in lower case: 0 where they are alike but for the case of
/// letters, only bits of [`LOOKALIKE`] where they are but for `_` for `-`.
///
/// Eight bytes at a time, since this is asked of every field.
#[inline(always)]
fn difference<const N: usize>(name: &[u8], known: &[u8; N]) -> u64 {
    let Ok(name) = <&[u8; N]>::try_from(name) else { return u64::MAX };
    let word = |bytes: &[u8; N], at: usize, len: usize| {
        let mut word = [0; 8];
        word[..len].copy_from_slice(&bytes[at..at + len]);
        u64::from_le_bytes(word)
    };
    let mut difference = 0;
    let mut at = 0;
    while at < N {
        let len = if N - at < 8 { N - at } else { 8 };
        let known = word(known, at, len);
        // Letters are lowered and nothing else: of the bytes of a known name only letters have bit 6.
        let letters = (known & 0x4040_4040_4040_4040) >> 1;
        difference |= (word(name, at, len) | letters) ^ known;
        at += len;
    }
    difference
}

/// What `_` for `-` differs by, in each byte.
const LOOKALIKE: u64 = 0x7272_7272_7272_7272;

/// Whether `name` would be `known` (in lower case) if `_` were `-`.
#[cold]
fn reads_alike(name: &[u8], known: &[u8]) -> bool {
    name.iter().zip(known).all(|(a, b)| a.to_ascii_lowercase() == *b || (*a == b'_' && *b == b'-'))
}

/// The fields of one section in their order.
#[derive(Clone, Copy)]
pub struct Fields<'h, 'b> {
    bytes: &'b [u8],
    scratch: &'h Scratch,
}

/// There are several fields where one may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated;

impl<'h, 'b> Fields<'h, 'b> {
    /// Of lines that were scanned from `bytes`.
    pub fn new(bytes: &'b [u8], scratch: &'h Scratch) -> Fields<'h, 'b> {
        Fields { bytes, scratch }
    }

    /// Whether any field has this role.
    pub fn has(&self, role: Role) -> bool {
        self.scratch.found.present & role.bit() != 0
    }

    /// The value of the one field with this role that there may be.
    #[inline]
    pub fn only(&self, role: Role) -> Result<Option<&'b [u8]>, Repeated> {
        if !self.has(role) {
            return Ok(None);
        }
        if self.scratch.found.repeated & role.bit() != 0 {
            return Err(Repeated);
        }
        let only = usize::from(self.scratch.last[role as usize]);
        Ok(Some(self.scratch.lines[only].value(self.bytes)))
    }

    /// The values of the fields with this role, in their order.
    pub fn values(&self, role: Role) -> impl Iterator<Item = &'b [u8]> + '_ {
        // Nearly every question is about a field that is not there: that costs one test.
        let asked = if self.has(role) { self.lines() } else { &[] };
        asked.iter().filter(move |line| line.role == role).map(|line| line.value(self.bytes))
    }

    /// All fields: role, name, value.
    pub fn iter(&self) -> impl Iterator<Item = (Role, &'b [u8], &'b [u8])> + '_ {
        self.lines().iter().map(|line| (line.role, line.name(self.bytes), line.value(self.bytes)))
    }

    /// All field lines, as spans of [`bytes`](Fields::bytes).
    pub fn lines(&self) -> &'h [Line] {
        &self.scratch.lines[..self.scratch.found.count as usize]
    }

    /// What the lines are spans of.
    pub fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// Whether the first line has this role and stands there as it would be written.
    pub fn starts_with_plain(&self, role: Role) -> bool {
        self.lines().first().is_some_and(|line| line.role == role && line.is_plain)
    }

    /// The value of the first field called `name` (in any case), whatever its role.
    pub fn find(&self, name: &str) -> Option<&'b [u8]> {
        let mut fields = self.iter();
        fields.find(|(_, found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, _, value)| value)
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
    #[inline]
    pub fn of(fields: &Fields<'_, '_>) -> Connection {
        if fields.has(Role::Connection) { Connection::read(fields) } else { Connection::default() }
    }

    fn read(fields: &Fields<'_, '_>) -> Connection {
        let mut connection = Connection::default();
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

/// The fields that a message nominates for removal in its `Connection` fields, in an order in which each is found
/// quickly: there can be thousands of them, and every field of the message is looked for.
#[derive(Debug)]
pub struct Nominated<'b>(Vec<&'b [u8]>);

impl<'b> Nominated<'b> {
    /// By these fields.
    pub fn of(fields: &Fields<'_, 'b>) -> Nominated<'b> {
        Nominated::of_lists(fields.values(Role::Connection))
    }

    /// By these values of `Connection`.
    pub fn of_lists(lists: impl Iterator<Item = &'b [u8]>) -> Nominated<'b> {
        let mut names: Vec<_> = lists.flat_map(members).collect();
        names.sort_unstable_by(|a, b| order(a, b));
        Nominated(names)
    }

    /// Whether `name` is among them, in any case.
    pub fn has(&self, name: &[u8]) -> bool {
        self.0.binary_search_by(|nominated| order(nominated, name)).is_ok()
    }
}

/// Shorter names before longer ones, then by their letters whatever the case.
fn order(a: &[u8], b: &[u8]) -> Ordering {
    let lower = u8::to_ascii_lowercase;
    a.len().cmp(&b.len()).then_with(|| a.iter().map(lower).cmp(b.iter().map(lower)))
}
