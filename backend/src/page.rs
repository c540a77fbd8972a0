//! What a request target asks for.

use std::time::Duration;

/// The most bytes that `/bytes/N` and `/chunked/N` send: 1 GiB.
pub(crate) const BYTES_MAX: u64 = 1 << 30;

/// The longest `/delay/MS`, in milliseconds.
pub(crate) const DELAY_MS_MAX: u64 = 60_000;

/// One of the origin's resources, with its parameter checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// `/`: the greeting with its hit.
    Hello,
    /// `/bytes/N`: so many bytes of the pattern.
    Bytes(u64),
    /// `/chunked/N`: the same in chunks.
    Chunked(u64),
    /// `/delay/MS`: an answer after so long.
    Delay(Duration),
    /// `/status/CODE`: an answer with that status, 200 to 599.
    Status(u16),
    /// `/echo`: the request itself.
    Echo,
    /// `/healthz`: `ok`.
    Healthz,
    /// Anything else; the request is read to its end and the connection stays.
    Refused(Refusal),
}

/// An answer that says what was wrong with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// 400 to 599.
    pub(crate) status: u16,
    /// One line without its end.
    pub(crate) reason: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason }
    }
}

impl Page {
    /// The page for a method and a target in origin or absolute form (RFC 9112, section 3.2).
    pub(crate) fn find(method: &str, target: &str) -> Self {
        let path = path(target);
        let page = match path {
            "/" => Page::Hello,
            "/echo" => Page::Echo,
            "/healthz" => Page::Healthz,
            _ => Self::with_parameter(path),
        };
        let read_only = matches!(page, Page::Hello | Page::Healthz);
        let reading = matches!(method, "GET" | "HEAD");
        if method == "CONNECT" || read_only && !reading {
            return Page::Refused(Refusal::new(405, "this page is for GET and HEAD"));
        }
        page
    }

    fn with_parameter(path: &str) -> Self {
        let Some((name, parameter)) = path.strip_prefix('/').and_then(|rest| rest.split_once('/')) else {
            return Page::Refused(Refusal::new(404, "no such page"));
        };
        let number = number(parameter);
        let bad = |reason| Page::Refused(Refusal::new(400, reason));
        match (name, number) {
            ("bytes", Some(count @ ..=BYTES_MAX)) => Page::Bytes(count),
            ("bytes", _) => bad("/bytes/N takes 0 to 1073741824 bytes"),
            ("chunked", Some(count @ ..=BYTES_MAX)) => Page::Chunked(count),
            ("chunked", _) => bad("/chunked/N takes 0 to 1073741824 bytes"),
            ("delay", Some(ms @ ..=DELAY_MS_MAX)) => Page::Delay(Duration::from_millis(ms)),
            ("delay", _) => bad("/delay/MS takes 0 to 60000 milliseconds"),
            ("status", Some(code @ 200..=599)) => Page::Status(code as u16),
            ("status", _) => bad("/status/CODE takes 200 to 599"),
            _ => Page::Refused(Refusal::new(404, "no such page")),
        }
    }
}

/// The path of a target, without scheme, authority and query.
fn path(target: &str) -> &str {
    let target = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => match rest.find(['/', '?']) {
            Some(at) if rest.as_bytes()[at] == b'/' => &rest[at..],
            _ => "/",
        },
        _ => target,
    };
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// Decimal digits, at most 18 of them; `str::parse` would take a leading `+`.
pub(crate) fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &str, target: &str) -> u16 {
        match Page::find(method, target) {
            Page::Refused(refusal) => refusal.status,
            _ => 200,
        }
    }

    #[test]
    fn targets_are_found() {
        assert_eq!(Page::find("GET", "/"), Page::Hello);
        assert_eq!(Page::find("HEAD", "/?q=/x"), Page::Hello);
        assert_eq!(Page::find("GET", "http://app1:5000/?x"), Page::Hello);
        assert_eq!(Page::find("GET", "http://app1"), Page::Hello);
        assert_eq!(Page::find("GET", "http://app1/bytes/7"), Page::Bytes(7));
        assert_eq!(Page::find("POST", "/echo?to=http://x/"), Page::Echo);
        assert_eq!(Page::find("GET", "/chunked/1073741824?x"), Page::Chunked(BYTES_MAX));
        assert_eq!(Page::find("GET", "/delay/20"), Page::Delay(Duration::from_millis(20)));
        assert_eq!(Page::find("PUT", "/status/204"), Page::Status(204));
        assert_eq!(Page::find("GET", "/healthz"), Page::Healthz);
    }

    #[test]
    fn the_rest_is_refused() {
        for target in ["/x", "*", "", "/bytes", "/bytes2/3", "//", "/é", "é"] {
            assert_eq!(status("GET", target), 404, "{target}");
        }
        for target in
            ["/bytes/", "/bytes/+1", "/bytes/1073741825", "/delay/60001", "/status/199", "/status/abc"]
        {
            assert_eq!(status("GET", target), 400, "{target}");
        }
        assert_eq!(status("POST", "/"), 405);
        assert_eq!(status("CONNECT", "app1:80"), 405);
    }
}
