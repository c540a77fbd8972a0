//! Requests on condition (RFC 9110 section 13): whether a client's copy still holds. The rules are nginx's
//! (`ngx_http_not_modified_filter_module.c`, `ngx_http_range_filter_module.c`).

use std::cmp::Ordering;

use httpdate::HttpDate;

use super::fields::Fields;
use crate::config::site::IfModifiedSince;

/// What tells one state of a body from another.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// When it was changed last.
    pub modified: HttpDate,
    /// Its tag with the quotes, where it has one.
    pub etag: Option<&'a [u8]>,
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They hold, or there are none.
    Holds,
    /// The client's copy is still good (304).
    NotModified,
    /// They do not hold (412).
    Fails,
}

/// Weighs the conditions of a request against the body's state.
///
/// As with nginx, and other than RFC 9110 section 13.2.2 has it, all conditions have to hold and none stands back for
/// another: a copy is good if both its tag and its date say so. A date that is none holds never.
pub fn judge(fields: &Fields<'_, '_>, now: &Validators<'_>, how: IfModifiedSince) -> Verdict {
    let is_older = |value| date(value).is_some_and(|date| date >= now.modified);
    if fields.find("if-unmodified-since").is_some_and(|value| !is_older(value)) {
        return Verdict::Fails;
    }
    if fields.find("if-match").is_some_and(|list| !lists(list, now.etag, false)) {
        return Verdict::Fails;
    }
    let (since, tags) = (fields.find("if-modified-since"), fields.find("if-none-match"));
    if since.is_none() && tags.is_none() {
        return Verdict::Holds;
    }
    let is_new = since.is_some_and(|value| match (how, date(value).map(|date| date.cmp(&now.modified))) {
        (IfModifiedSince::Off, _) | (_, None) => true,
        (_, Some(Ordering::Equal)) => false,
        (IfModifiedSince::Exact, _) => true,
        (IfModifiedSince::Before, Some(order)) => order == Ordering::Less,
    });
    if is_new || tags.is_some_and(|list| !lists(list, now.etag, true)) {
        Verdict::Holds
    } else {
        Verdict::NotModified
    }
}

/// Whether the client's ranges may be answered: it has no part yet, or its part is of the state that the response tells
/// (`If-Range`).
pub fn allow_ranges(fields: &Fields<'_, '_>, modified: Option<HttpDate>, etag: Option<&[u8]>) -> bool {
    match fields.find("if-range") {
        None => true,
        Some(tag) if tag.len() >= 2 && tag.ends_with(b"\"") => etag == Some(tag),
        Some(value) => modified.is_some() && date(value) == modified,
    }
}

/// An HTTP date (RFC 9110 section 5.6.7).
pub fn date(value: &[u8]) -> Option<HttpDate> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Whether a list of tags has this one, or is `*`; `is_weak`: tags that say `W/` count like others.
fn lists(list: &[u8], etag: Option<&[u8]>, is_weak: bool) -> bool {
    if list == b"*" {
        return true;
    }
    let Some(etag) = etag else { return false };
    let strong = |tag| if is_weak { <[u8]>::strip_prefix(tag, b"W/").unwrap_or(tag) } else { tag };
    list.split(|&byte| byte == b',').any(|tag| strong(tag.trim_ascii()) == etag)
}
