//! Parts of a body: what `Range` asks for (RFC 9110 section 14, `ngx_http_range_filter_module.c`).
//!
//! The rules are nginx's, which are stricter than the RFC where ranges would cost more than the whole: those that
//! overlap to more than the body, or are more than allowed, are answered with all of it.

use std::ops::Range;

/// What is to be sent of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// These parts in this order, one at least. None is empty or beyond the end.
    Parts(Vec<Range<u64>>),
    /// Nothing of what is asked for is there, or it is no list of ranges (416).
    Nothing,
}

/// What the value of a `Range` asks for of a body of `length` octets, with at most `most` ranges.
///
/// Without the unit `bytes` it asks for nothing in particular.
pub fn wanted(value: &[u8], length: u64, most: u32) -> Wanted {
    let Some((unit, list)) = value.split_at_checked(6) else { return Wanted::Whole };
    if !unit.eq_ignore_ascii_case(b"bytes=") || list.is_empty() {
        return Wanted::Whole;
    }
    let mut parts = Vec::new();
    for member in list.split(|&byte| byte == b',') {
        match one(member, length) {
            None => return Wanted::Nothing,
            Some(part) if part.start < part.end => {
                if parts.len() as u64 >= u64::from(most) {
                    return Wanted::Whole;
                }
                parts.push(part);
            }
            // It begins at the front and ends before: there is no body.
            Some(Range { start: 0, .. }) => return Wanted::Whole,
            Some(_) => {}
        }
    }
    // Their number is bounded by the head, each by the largest file: no overflow with 128 bits.
    let sum: u128 = parts.iter().map(|part| u128::from(part.end - part.start)).sum();
    if parts.is_empty() {
        Wanted::Nothing
    } else if sum > u128::from(length) {
        Wanted::Whole
    } else {
        Wanted::Parts(parts)
    }
}

/// One range: `0-499`, `500-` or `-500`, with spaces around its parts. Empty where it lies behind the end.
fn one(text: &[u8], length: u64) -> Option<Range<u64>> {
    let text = spaces(text);
    let (start, rest) = match text.first() {
        Some(b'-') => (None, &text[1..]),
        _ => {
            let (start, rest) = number(text)?;
            let rest = spaces(rest).strip_prefix(b"-")?;
            let rest = spaces(rest);
            if rest.is_empty() {
                return Some(start..length);
            }
            (Some(start), rest)
        }
    };
    let (last, rest) = number(rest)?;
    if !spaces(rest).is_empty() {
        return None;
    }
    Some(match start {
        Some(start) => start..length.min(last + 1),
        None => length.saturating_sub(last)..length,
    })
}

fn spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|&&byte| byte == b' ').count()..]
}

/// The digits that `text` begins with, one at least, as the number that they are; at most a file's largest size.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    let number: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number.cast_unsigned(), rest))
}

/// The frame around several parts (`multipart/byteranges`, RFC 9110 section 14.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What separates the parts.
    boundary: String,
    /// What stands before each part, up to its range.
    opening: Vec<u8>,
    /// Of the whole body.
    length: u64,
}

impl Frame {
    /// For parts of a body of this type and length; the type may be empty. `seed` makes the boundary: no two responses
    /// of a connection should have the same.
    pub fn new(seed: u64, kind: &str, length: u64) -> Frame {
        let boundary = format!("{seed:020}");
        let mut opening = format!("\r\n--{boundary}\r\n");
        if !kind.is_empty() {
            opening += &format!("Content-Type: {kind}\r\n");
        }
        opening += "Content-Range: bytes ";
        Frame { boundary, opening: opening.into_bytes(), length }
    }

    /// The type of the whole.
    pub fn kind(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// What stands before a part.
    pub fn before(&self, part: &Range<u64>) -> Vec<u8> {
        let mut text = self.opening.clone();
        text.extend_from_slice(content_range(part, self.length).as_bytes());
        text.extend_from_slice(b"\r\n\r\n");
        text
    }

    /// What stands behind the last part.
    pub fn end(&self) -> Vec<u8> {
        format!("\r\n--{}--\r\n", self.boundary).into_bytes()
    }

    /// The octets of these parts in their frame.
    pub fn length_of(&self, parts: &[Range<u64>]) -> u64 {
        let one = |part: &Range<u64>| self.before(part).len() as u64 + (part.end - part.start);
        parts.iter().map(one).sum::<u64>() + self.end().len() as u64
    }
}

/// A part as `Content-Range` names it behind the unit: `0-499/1234`.
pub fn content_range(part: &Range<u64>, length: u64) -> String {
    format!("{}-{}/{length}", part.start, part.end - 1)
}
