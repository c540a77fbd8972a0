//! Field lines, scanned from bytes to spans (RFC 9112 section 5).
//!
//! A general parser spent a quarter of all user instructions of a proxied request here, so this is by
//! hand: one pass that finds the parts of each line, gives the field its role, and notes whether the line
//! could be copied as it stands. Values are looked at eight bytes at a time.

use super::fields::{Role, Scratch};

/// A field line as offsets into the bytes it was scanned from.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    start: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
    /// What the field is to an intermediary.
    pub role: Role,
    /// It stands there as it would be written: name, colon, one space, value, CRLF.
    pub is_plain: bool,
}

impl Line {
    /// Of nothing, to be written over.
    pub(super) const EMPTY: Line =
        Line { start: 0, name_len: 0, value: 0, value_len: 0, role: Role::Other, is_plain: false };

    /// The field's name.
    pub fn name<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.start as usize..][..self.name_len as usize]
    }

    /// The field's value, without the white space around it.
    pub fn value<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.value as usize..][..self.value_len as usize]
    }

    /// Where a plain line starts, and where the next one does.
    pub fn place(&self) -> std::ops::Range<usize> {
        self.start as usize..(self.value + self.value_len) as usize + 2
    }
}

/// Why scanning stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The bytes end before the blank line.
    Partial,
    /// There are more than [`MAX_FIELDS`](super::fields::MAX_FIELDS) fields.
    TooMany,
    /// A byte that is not of a name, or white space before the colon, or a folded line.
    Name,
    /// A control byte in a value.
    Value,
    /// A CR that no LF follows.
    BareCr,
    /// An LF that no CR precedes, where that is not allowed.
    BareLf,
}

/// What is forgiven.
#[derive(Clone, Copy, Debug)]
pub struct Leniency {
    /// White space between a name and its colon: a proxy removes it from responses
    /// (RFC 9112 section 5.1).
    pub space_before_colon: bool,
    /// A bare LF at the end of a line (RFC 9112 section 2.2).
    pub bare_lf: bool,
}

/// Scans field lines from `at` to behind the blank line into `scratch`. Returns where the section ends.
///
/// Inlined into each of its three callers, for which what is forgiven is known.
#[inline(always)]
pub fn scan(bytes: &[u8], mut at: usize, leniency: Leniency, scratch: &mut Scratch) -> Result<usize, Stop> {
    scratch.clear();
    loop {
        let start = at;
        if bytes.get(start).is_none_or(|&byte| !TOKEN[usize::from(byte)]) {
            let is_blank = bytes.get(start..start + 2) == Some(b"\r\n");
            return if is_blank { Ok(start + 2) } else { end_of_section(bytes, start, leniency) };
        }
        let mut colon = find_colon(bytes, start);
        let mut role = Role::of(&bytes[start..colon]);
        // What has a role has a name of letters and dashes; of any other it is still to be seen.
        if role == Role::Other {
            let name_len = token_len(&bytes[start..colon]);
            if name_len < colon - start {
                colon = start + name_len;
                role = Role::of_other(&bytes[start..colon]);
            }
        }
        // Nearly every line stands there as it would be written.
        let plain = plain_value(bytes, colon);
        let is_plain = plain.is_some();
        let (value, value_end, next) = match plain {
            Some(value_end) => (colon + 2, value_end, value_end + 2),
            None => odd_value(bytes, colon, leniency)?,
        };
        at = next;
        let line = Line {
            start: start as u32,
            name_len: (colon - start) as u32,
            value: value as u32,
            value_len: (value_end - value) as u32,
            role,
            is_plain,
        };
        if !scratch.add(line) {
            return Err(Stop::TooMany);
        }
    }
}

/// The end of the value behind the colon at `colon`, where there is one and the line is plain.
#[inline(always)]
fn plain_value(bytes: &[u8], colon: usize) -> Option<usize> {
    let [b':', b' ', b'!'..=0xff, ..] = bytes.get(colon..)? else { return None };
    let end = find_below::<b' '>(bytes, colon + 2);
    let [b'!'..=0xff, b'\r', b'\n'] = bytes.get(end - 1..end + 2)? else { return None };
    Some(end)
}

/// The start and the end of the value of any line whose name ends at `colon`, and where the next line starts.
#[cold]
fn odd_value(bytes: &[u8], colon: usize, leniency: Leniency) -> Result<(usize, usize, usize), Stop> {
    let at = if leniency.space_before_colon { skip_white_space(bytes, colon) } else { colon };
    match bytes.get(at) {
        Some(b':') => {}
        Some(_) => return Err(Stop::Name),
        None => return Err(Stop::Partial),
    }
    let value = skip_white_space(bytes, at + 1);
    let text_end = end_of_text(bytes, value);
    let next = end_of_line(bytes, text_end, leniency)?;
    let trailing =
        bytes[value..text_end].iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    Ok((value, text_end - trailing, next))
}

/// A byte of each eight: one, and the topmost bit.
const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x8080_8080_8080_8080;

/// Behind the blank line that is at `at`.
fn end_of_section(bytes: &[u8], at: usize, leniency: Leniency) -> Result<usize, Stop> {
    match bytes.get(at) {
        Some(b'\r' | b'\n') => end_of_line(bytes, at, leniency),
        Some(_) => Err(Stop::Name),
        None => Err(Stop::Partial),
    }
}

/// Behind the line end that is at `at`, where a value or a line has ended.
#[inline]
pub fn end_of_line(bytes: &[u8], at: usize, leniency: Leniency) -> Result<usize, Stop> {
    match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(at + 2),
        (Some(b'\r'), Some(_)) => Err(Stop::BareCr),
        (Some(b'\n'), _) if leniency.bare_lf => Ok(at + 1),
        (Some(b'\n'), _) => Err(Stop::BareLf),
        (Some(b'\r'), None) | (None, _) => Err(Stop::Partial),
        (Some(_), _) => Err(Stop::Value),
    }
}

#[inline]
fn skip_white_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

/// The first control byte other than a tab at or behind `at`, or the end.
#[inline]
pub fn end_of_text(bytes: &[u8], mut at: usize) -> usize {
    loop {
        at = find_below::<b' '>(bytes, at);
        if bytes.get(at) != Some(&b'\t') {
            return at;
        }
        at += 1;
    }
}

/// The first byte at or behind `at` that is below `LIMIT` (at most 0x80) or DEL, or the end.
#[inline(always)]
pub fn find_below<const LIMIT: u8>(bytes: &[u8], at: usize) -> usize {
    let mut rest = bytes.get(at..).unwrap_or_default();
    while let Some((word, behind)) = rest.split_first_chunk() {
        let word = u64::from_le_bytes(*word);
        // A byte's top bit is set where subtracting borrowed into it: exact for the lowest such byte,
        // which is the one that is looked for.
        let below = word.wrapping_sub(ONES * u64::from(LIMIT));
        let del = (word & !TOPS) + ONES;
        let found = (below | del) & !word & TOPS;
        if found != 0 {
            return bytes.len() - rest.len() + found.trailing_zeros() as usize / 8;
        }
        rest = behind;
    }
    let is_text = |byte: u8| byte >= LIMIT && byte != 0x7f;
    while let Some((&byte, behind)) = rest.split_first()
        && is_text(byte)
    {
        rest = behind;
    }
    bytes.len() - rest.len()
}

/// The first colon at or behind `at`, or the end.
#[inline(always)]
fn find_colon(bytes: &[u8], at: usize) -> usize {
    let mut rest = bytes.get(at..).unwrap_or_default();
    while let Some((word, behind)) = rest.split_first_chunk() {
        // As in `find_below`: the lowest byte that became 0.
        let word = u64::from_le_bytes(*word) ^ (ONES * u64::from(b':'));
        let found = word.wrapping_sub(ONES) & !word & TOPS;
        if found != 0 {
            return bytes.len() - rest.len() + found.trailing_zeros() as usize / 8;
        }
        rest = behind;
    }
    let colon = rest.iter().position(|&byte| byte == b':').unwrap_or(rest.len());
    bytes.len() - rest.len() + colon
}

/// How long the token at the start of `name` is.
///
/// Names are letters and dashes, nearly all of them: those are passed eight at a time.
#[inline]
fn token_len(name: &[u8]) -> usize {
    let mut rest = name;
    while let Some((word, behind)) = rest.split_first_chunk() {
        let word = u64::from_le_bytes(*word);
        // The top bit of each byte tells; with that out of the way, no sum carries into the next byte.
        let lower = (word | (ONES * 0x20)) & !TOPS;
        let behind_z = lower + ONES * u64::from(0x7f - b'z');
        let letter = (lower + ONES * u64::from(0x80 - b'a')) ^ behind_z;
        let not_dash = ((word ^ (ONES * u64::from(b'-'))) & !TOPS) + ONES * 0x7f;
        if ((!letter & not_dash) | word) & TOPS != 0 {
            break;
        }
        rest = behind;
    }
    let behind = rest.iter().position(|&byte| !TOKEN[usize::from(byte)]).unwrap_or(rest.len());
    name.len() - rest.len() + behind
}

/// Octets of a token (RFC 9110 section 5.6.2).
pub static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        let c = b as u8;
        table[b] = c.is_ascii_alphanumeric()
            || matches!(c, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+')
            || matches!(c, b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        b += 1;
    }
    table
};
