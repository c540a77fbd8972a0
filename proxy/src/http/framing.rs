//! How long a body is: the only place that decides it (RFC 9112 section 6).
//!
//! Whatever two recipients could read differently is refused, not repaired.

use super::fields::{Fields, Role, members};
use super::lines::is_token;
use super::{Method, Refusal, Version};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Length {
    /// There is none.
    #[default]
    Empty,
    /// So many octets; never 0.
    Exact(u64),
    /// Chunked coding.
    Chunked,
    /// The server closes the connection (responses only).
    UntilClose,
}

/// The length of a request's body (RFC 9112 section 6.3).
#[inline(always)]
pub fn request(fields: &Fields<'_, '_>, version: Version) -> Result<Length, Refusal> {
    let coding =
        fields.only(Role::TransferEncoding).map_err(|_| Refusal::bad("repeated Transfer-Encoding"))?;
    if let Some(coding) = coding {
        // Rule 3 allows Transfer-Encoding to override Content-Length; a server in front of this one or
        // behind it may do the opposite, so both together are an attack until shown otherwise.
        if fields.has(Role::ContentLength) {
            return Err(Refusal::bad("both Content-Length and Transfer-Encoding"));
        }
        // Section 6.1: the framing of such a message is faulty.
        if version == Version::Http10 {
            return Err(Refusal::bad("Transfer-Encoding in an HTTP/1.0 request"));
        }
        return request_coding(coding);
    }
    match content_length(fields) {
        Ok(None | Some(0)) => Ok(Length::Empty),
        Ok(Some(n)) => Ok(Length::Exact(n)),
        Err(why) => Err(Refusal::bad(why)),
    }
}

/// The one value that is understood is a single `chunked` (RFC 9112 sections 6.1 and 7).
fn request_coding(value: &[u8]) -> Result<Length, Refusal> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Length::Chunked);
    }
    let chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let sound = members(value).all(is_token)
        && members(value).filter(|coding| chunked(coding)).count() == 1
        && members(value).last().is_some_and(chunked);
    if sound && members(value).count() > 1 {
        // Section 6.1: well formed, with a coding below `chunked` that is not known here.
        return Err(Refusal::new(501, "a transfer coding other than chunked"));
    }
    // Section 6.3 rule 4: where `chunked` is not the last coding, the length cannot be known.
    Err(Refusal::bad("malformed Transfer-Encoding"))
}

/// The length of a response's body; the error is for the log (RFC 9112 section 6.3).
///
/// `method` is the request's. 101 is the caller's affair. Inlined where each response comes by.
#[inline(always)]
pub fn response(
    fields: &Fields<'_, '_>,
    version: Version,
    status: u16,
    method: Method,
) -> Result<Length, &'static str> {
    // Rule 1: these end with their head, whatever their fields say.
    if matches!(status, 100..=199 | 204) {
        return Ok(Length::Empty);
    }
    let length = content_length(fields)?;
    let coding =
        fields.only(Role::TransferEncoding).map_err(|_| "repeated Transfer-Encoding in the response")?;
    let chunked = match coding {
        None => false,
        Some(_) if length.is_some() => {
            return Err("both Content-Length and Transfer-Encoding in the response");
        }
        Some(_) if version == Version::Http10 => return Err("Transfer-Encoding in an HTTP/1.0 response"),
        Some(coding) if coding.eq_ignore_ascii_case(b"chunked") => true,
        Some(_) => return Err("a transfer coding other than a single chunked in the response"),
    };
    // Rule 1 again, after the fields are known to be sound: they describe the body of a GET.
    if method == Method::Head || status == 304 {
        return Ok(Length::Empty);
    }
    Ok(match (chunked, length) {
        (true, _) => Length::Chunked,
        (false, Some(0)) => Length::Empty,
        (false, Some(n)) => Length::Exact(n),
        (false, None) => Length::UntilClose,
    })
}

/// The value of the one Content-Length field there may be (RFC 9110 section 8.6).
///
/// A list of equal values could be collapsed, says RFC 9112 section 6.3; it is refused, since others
/// along the way may take the first or the last or fail.
#[inline(always)]
fn content_length(fields: &Fields<'_, '_>) -> Result<Option<u64>, &'static str> {
    let only = fields.only(Role::ContentLength).map_err(|_| "repeated Content-Length")?;
    let Some(value) = only else { return Ok(None) };
    digits(value).map(Some).ok_or("invalid Content-Length")
}

/// 1 to 19 decimal digits and nothing else; `None` also where the number does not fit 63 bits. More digits could only
/// begin with zeros, and a recipient that counts them might take the number for an overflow.
///
/// By hand, since `str::parse` takes a leading `+`.
pub fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    if value.len() <= 18 {
        // So many cannot overflow.
        return value.iter().try_fold(0_u64, |n, b| {
            let digit = b.wrapping_sub(b'0');
            (digit < 10).then_some(n * 10 + u64::from(digit))
        });
    }
    value.iter().try_fold(0_u64, |n, b| {
        let digit = b.is_ascii_digit().then_some(u64::from(b.wrapping_sub(b'0')))?;
        n.checked_mul(10)?.checked_add(digit).filter(|n| *n <= i64::MAX as u64)
    })
}
