//! Paths as they are compared and as they are sent (RFC 3986 sections 2 and 6.2.2).

use std::borrow::Cow;

/// The path of a request target, without its arguments, and the arguments behind the first `?`. Where nothing is in
/// front of that, as in `http://example.com?a`, the path is `/` (RFC 9110 section 4.2.3).
pub fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        Some(0) => (b"/", Some(&target[1..])),
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

/// The path is not one: an escape without its digits, a NUL, or more `..` than there are segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPath;

/// Whether a path is what [`normalize`] would make of it, which nearly all are.
fn is_normal(path: &[u8]) -> bool {
    let mut before = b' ';
    path.first() == Some(&b'/')
        && path.iter().all(|&byte| {
            let odd = matches!(byte, b'%' | b'#' | 0) || (before == b'/' && matches!(byte, b'.' | b'/'));
            before = byte;
            !odd
        })
}

/// Appends a path as locations compare it: escapes decoded, `.` and `..` resolved, repeated slashes merged, without a
/// fragment (`ngx_http_parse_complex_uri`).
pub fn normalize(path: &[u8], out: &mut Vec<u8>) -> Result<(), BadPath> {
    if is_normal(path) {
        out.extend_from_slice(path);
        return Ok(());
    }
    let start = out.len();
    decode(path, out)?;
    let decoded = out.split_off(start);
    if decoded.first() != Some(&b'/') {
        return Err(BadPath);
    }
    let last = decoded.iter().filter(|&&byte| byte == b'/').count();
    for (number, segment) in decoded.split(|&byte| byte == b'/').enumerate().skip(1) {
        let is_last = number == last;
        match segment {
            b"." | b"" if !is_last => {}
            b"." | b"" => out.push(b'/'),
            b".." => {
                let parent = out[start..].iter().rposition(|&byte| byte == b'/').ok_or(BadPath)?;
                out.truncate(start + parent);
                if is_last {
                    out.push(b'/');
                }
            }
            segment => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
        }
    }
    if out.len() == start {
        out.push(b'/');
    }
    Ok(())
}

/// Appends `text` with its escapes decoded, up to a fragment.
fn decode(text: &[u8], out: &mut Vec<u8>) -> Result<(), BadPath> {
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'#' => return Ok(()),
            b'%' => {
                let (digits, behind) = behind.split_first_chunk::<2>().ok_or(BadPath)?;
                let value = |digit: u8| char::from(digit).to_digit(16).ok_or(BadPath);
                let byte = (value(digits[0])? << 4 | value(digits[1])?) as u8;
                if byte == 0 {
                    return Err(BadPath);
                }
                out.push(byte);
                rest = behind;
            }
            0 => return Err(BadPath),
            byte => out.push(byte),
        }
    }
    Ok(())
}

/// Appends a decoded path so that it can be sent (`ngx_escape_uri` with `NGX_ESCAPE_URI`): what is not a visible
/// character, what would end the path, and what no URI has (RFC 3986 section 2) are escaped.
pub fn escape(path: &[u8], out: &mut Vec<u8>) {
    for &byte in path {
        if matches!(byte, b'!'..=b'~') && !br##""#%<>?\^`{|}"##.contains(&byte) {
            out.push(byte);
        } else {
            out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// Appends a target that was put together, with what would end it escaped, so that nothing a client sent becomes a
/// line of its own.
pub fn make_sound(target: &[u8], out: &mut Vec<u8>) {
    for &byte in target {
        if matches!(byte, 0..=b' ' | 0x7f) {
            out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        } else {
            out.push(byte);
        }
    }
}

/// An address that was put together, as it may stand in a field: one that holds control bytes is made sound.
pub fn as_value(address: &[u8]) -> Cow<'_, [u8]> {
    if !address.iter().any(u8::is_ascii_control) {
        return Cow::Borrowed(address);
    }
    let mut value = Vec::new();
    make_sound(address, &mut value);
    Cow::Owned(value)
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The value of the first argument called `name`, in any case (`ngx_http_arg`).
pub fn argument<'a>(args: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    args.split(|&byte| byte == b'&').find_map(|argument| {
        let at = memchr::memchr(b'=', argument)?;
        argument[..at].eq_ignore_ascii_case(name).then(|| &argument[at + 1..])
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(path: &str) -> Result<String, BadPath> {
        let mut out = Vec::new();
        normalize(path.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn paths_are_compared_in_one_form() {
        for (path, form) in [
            ("/", "/"),
            ("//", "/"),
            ("/a//b///", "/a/b/"),
            ("/a/./b/.", "/a/b/"),
            ("/a/b/../c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/a/../..a/...", "/..a/..."),
            ("/%61%2F%2e%2E/b", "/b"),
            ("/a%20b%3f", "/a b?"),
            ("/a#b", "/a"),
            ("/%2561", "/%61"),
        ] {
            assert_eq!(normal(path).as_deref(), Ok(form), "{path}");
        }
        for path in ["", "a", "/..", "/a/../..", "/%2e%2e", "/%", "/%4", "/%4g", "/%00"] {
            assert_eq!(normal(path), Err(BadPath), "{path}");
        }
    }

    #[test]
    fn what_no_path_has_is_escaped() {
        let mut out = Vec::new();
        escape("/a b\"<>\\^`{|}#%?~!$&'()*+,;=:@[]\u{e9}".as_bytes(), &mut out);
        let expected = "/a%20b%22%3C%3E%5C%5E%60%7B%7C%7D%23%25%3F~!$&'()*+,;=:@[]%C3%A9";
        assert_eq!(String::from_utf8(out).as_deref(), Ok(expected));
    }

    #[test]
    fn what_ends_a_target_is_escaped() {
        let mut out = Vec::new();
        make_sound(b"/a b?c%20\r\nX: 1\x7f\0", &mut out);
        assert_eq!(String::from_utf8(out).as_deref(), Ok("/a%20b?c%20%0D%0AX:%201%7F%00"));
    }

    #[test]
    fn an_address_ends_no_line() {
        assert_eq!(as_value(b"http://a/b c"), &b"http://a/b c"[..]);
        assert_eq!(as_value(b"/a\r\nX: 1"), &b"/a%0D%0AX:%201"[..]);
    }

    #[test]
    fn arguments_are_found() {
        let find = |args: &'static str, name: &str| {
            argument(args.as_bytes(), name.as_bytes())
                .map(|value| String::from_utf8_lossy(value).into_owned())
        };
        assert_eq!(find("a=1&b=2&a=3", "a").as_deref(), Some("1"));
        assert_eq!(find("A=x=y", "a").as_deref(), Some("x=y"));
        assert_eq!(find("ab=1&a", "a"), None);
        assert_eq!(split(b"/a?b?c"), (&b"/a"[..], Some(&b"b?c"[..])));
        assert_eq!(split(b"/a"), (&b"/a"[..], None));
        assert_eq!(split(b"?b"), (&b"/"[..], Some(&b"b"[..])));
    }

    proptest! {
        #[test]
        fn what_is_normal_stays_and_what_is_made_is_normal(path in "/([a-c./#]|%[2-6][0-9a-f]|%25){0,9}") {
            if is_normal(path.as_bytes()) {
                prop_assert_eq!(normal(&path), Ok(path.clone()));
            }
            if let Ok(form) = normal(&path) {
                prop_assert!(!form.contains("//") && !form.contains("/./") && !form.contains("/../"));
                let mut escaped = Vec::new();
                escape(form.as_bytes(), &mut escaped);
                let again = normal(std::str::from_utf8(&escaped).expect("ASCII"));
                prop_assert_eq!(again, Ok(form));
            }
        }
    }
}
