//! Field lines, scanned from bytes to spans (RFC 9112 section 5).
//!
//! A general parser spent a quarter of all user instructions of a proxied request here, so this is by
//! hand: one pass that finds the parts of each line, gives the field its role, and notes whether the line
//! could be copied as it stands. Bytes are looked at sixteen at a time (`lanes.rs`).

use super::fields::{Found, Role, Scratch};
use super::lanes::{below_or_del, find, find_at_end, letters_and_dash, not};

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
/// Not inlined: it needs the registers for itself.
#[inline(never)]
pub fn scan(bytes: &[u8], mut at: usize, leniency: Leniency, scratch: &mut Scratch) -> Result<usize, Stop> {
    let mut found = Found::default();
    let mut rest = bytes.get(at..).ok_or(Stop::Partial)?;
    let end = loop {
        at = bytes.len() - rest.len();
        if rest.starts_with(b"\r\n") {
            break at + 2;
        }
        if let Some((line, behind)) = plain_line(bytes, rest) {
            rest = behind;
            *scratch.lines.get_mut(found.add(line.role, &mut scratch.last)).ok_or(Stop::TooMany)? = line;
        } else if let Some((line, next)) = odd_line(bytes, at, leniency)? {
            rest = &bytes[next..];
            *scratch.lines.get_mut(found.add(line.role, &mut scratch.last)).ok_or(Stop::TooMany)? = line;
        } else {
            break end_of_line(bytes, at, leniency)?;
        }
    };
    scratch.found = found;
    Ok(end)
}

/// The line that `bytes`, the rest of `head`, start with, if it stands there as it would be written, under a name of
/// letters and dashes: nearly every line does. And the bytes behind it.
#[inline(always)]
fn plain_line<'b>(head: &[u8], bytes: &'b [u8]) -> Option<(Line, &'b [u8])> {
    let start = head.len() - bytes.len();
    let (name, rest) = bytes.split_at_checked(find_at_end(head, bytes, 0, not(letters_and_dash())))?;
    let rest = rest.strip_prefix(b": ")?;
    let (value, rest) = rest.split_at_checked(find_at_end(head, rest, 0, below_or_del(b' ')))?;
    let rest = rest.strip_prefix(b"\r\n")?;
    if name.is_empty() || matches!(value, [] | [b' ', ..] | [.., b' ']) {
        return None;
    }
    let line = Line {
        start: start as u32,
        name_len: name.len() as u32,
        value: (start + name.len() + 2) as u32,
        value_len: value.len() as u32,
        role: Role::of(name),
        is_plain: true,
    };
    Some((line, rest))
}

/// Any other line at `start`, and where the next one starts; `None` where the section ends.
#[cold]
fn odd_line(bytes: &[u8], start: usize, leniency: Leniency) -> Result<Option<(Line, usize)>, Stop> {
    let name = bytes.get(start..).unwrap_or_default();
    let name_len = name.iter().take_while(|&&byte| TOKEN[usize::from(byte)]).count();
    if name_len == 0 {
        return match name.first() {
            Some(b'\r' | b'\n') => Ok(None),
            Some(_) => Err(Stop::Name),
            None => Err(Stop::Partial),
        };
    }
    let end = start + name_len;
    let colon = if leniency.space_before_colon { skip_white_space(bytes, end) } else { end };
    match bytes.get(colon) {
        Some(b':') => {}
        Some(_) => return Err(Stop::Name),
        None => return Err(Stop::Partial),
    }
    let value = skip_white_space(bytes, colon + 1);
    let text_end = end_of_text(bytes, value);
    let next = end_of_line(bytes, text_end, leniency)?;
    let trailing =
        bytes[value..text_end].iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let line = Line {
        start: start as u32,
        name_len: name_len as u32,
        value: value as u32,
        value_len: (text_end - trailing - value) as u32,
        role: Role::of(&bytes[start..end]),
        is_plain: false,
    };
    Ok(Some((line, next)))
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
        at = find(bytes, at, below_or_del(b' '));
        if bytes.get(at) != Some(&b'\t') {
            return at;
        }
        at += 1;
    }
}

/// Whether this is a token.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| TOKEN[usize::from(*byte)])
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
