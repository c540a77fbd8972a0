//! Where messages end: a reading of RFC 9112 of the suite's own, plain rather than fast, so that the proxy
//! is not measured with its own ruler.

use crate::notation::{show, show_body};

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Length(usize),
    Chunked,
    UntilClose,
}

/// A body as far as it has come.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) data: Vec<u8>,
    /// Bytes that it takes, where it is whole.
    pub(crate) len: usize,
    pub(crate) is_whole: bool,
    /// It is not to the letter; it ends here.
    pub(crate) bad: Option<&'static str>,
}

impl Body {
    /// Looks at bytes behind a head. `closed`: nothing more will come.
    pub(crate) fn scan(self, bytes: &[u8], closed: bool) -> Scan {
        match self {
            Body::Length(n) => {
                let len = n.min(bytes.len());
                Scan { data: bytes[..len].to_vec(), len, is_whole: len == n, bad: None }
            }
            Body::UntilClose => Scan { data: bytes.to_vec(), len: bytes.len(), is_whole: closed, bad: None },
            Body::Chunked => chunked(bytes),
        }
    }
}

fn chunked(bytes: &[u8]) -> Scan {
    let mut scan = Scan::default();
    let bad = |mut scan: Scan, why| {
        (scan.is_whole, scan.len, scan.bad) = (true, bytes.len(), Some(why));
        scan
    };
    let mut at = 0;
    loop {
        let Some(line) = line(&bytes[at..]) else { return scan };
        let digits =
            std::str::from_utf8(line).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(size) = digits.and_then(|text| usize::from_str_radix(text, 16).ok()) else {
            return bad(scan, " (bad chunk size)");
        };
        at += line.len() + 2;
        if size == 0 {
            break;
        }
        let have = size.min(bytes.len() - at);
        scan.data.extend_from_slice(&bytes[at..at + have]);
        at += have;
        match bytes.get(at..at + 2) {
            Some(b"\r\n") => at += 2,
            Some(_) => return bad(scan, " (bad chunk end)"),
            None => return scan,
        }
    }
    loop {
        let Some(line) = line(&bytes[at..]) else { return scan };
        at += line.len() + 2;
        if line.is_empty() {
            (scan.is_whole, scan.len) = (true, at);
            return scan;
        }
    }
}

/// Up to a CR LF, which must have come.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    bytes.windows(2).position(|two| two == b"\r\n").map(|end| &bytes[..end])
}

/// The values of a head's fields of this name.
fn values<'h>(head: &'h [u8], name: &str) -> Vec<&'h [u8]> {
    let lines = head.split(|&b| b == b'\n').skip(1);
    lines
        .filter_map(|line| {
            let colon = line.iter().position(|&b| b == b':')?;
            line[..colon].eq_ignore_ascii_case(name.as_bytes()).then(|| line[colon + 1..].trim_ascii())
        })
        .collect()
}

/// How a request's body ends. An origin takes what can be taken in one way only as that; anything else is a
/// body that ends when the connection does, so that it is seen in the summary.
pub(crate) fn request_body(head: &[u8]) -> Body {
    framing(head).unwrap_or(Body::Length(0))
}

fn framing(head: &[u8]) -> Option<Body> {
    match (&values(head, "transfer-encoding")[..], &values(head, "content-length")[..]) {
        ([], []) => None,
        ([], [length]) => {
            let length = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok());
            Some(length.map_or(Body::UntilClose, Body::Length))
        }
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Some(Body::Chunked),
        _ => Some(Body::UntilClose),
    }
}

/// A response as far as it came.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) is_whole: bool,
    /// A page of the proxy's own: its text is not compared.
    is_page: bool,
    pub(crate) is_probe: bool,
}

impl Response {
    pub(crate) fn is_final(&self) -> bool {
        self.status >= 200 || self.status == 101
    }

    /// `200 ok`, with `…` behind what is not whole.
    pub(crate) fn summary(&self) -> String {
        let mut text = self.status.to_string();
        if !self.body.is_empty() && !self.is_page {
            text.push(' ');
            text.push_str(&show_body(&self.body));
        }
        if !self.is_whole {
            text.push('…');
        }
        text
    }
}

/// Reads responses from what a client received. `heads_only`: the methods of the requests, as far as it
/// matters: whether the response with that number has a head only. Returns what is behind them, too.
pub(crate) fn responses(
    raw: &[u8],
    heads_only: impl Fn(usize) -> bool,
    closed: bool,
) -> (Vec<Response>, String) {
    let mut all = Vec::new();
    let mut finals = 0;
    let mut rest = raw;
    while rest.starts_with(b"HTTP/1.") {
        let Some(len) = rest.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) else { break };
        let (head, behind) = rest.split_at(len);
        let status = head
            .get(9..12)
            .and_then(|word| std::str::from_utf8(word).ok())
            .and_then(|word| word.parse().ok());
        let Some(status) = status else { break };
        let body = match status {
            101 => Body::UntilClose,
            100..=199 | 204 | 304 => Body::Length(0),
            _ if heads_only(finals) => Body::Length(0),
            _ => framing(head).unwrap_or(Body::UntilClose),
        };
        let scan = body.scan(behind, closed);
        let response = Response {
            status,
            is_page: values(head, "content-type") == [b"text/html"],
            is_probe: !values(head, "x-probe").is_empty(),
            is_whole: scan.is_whole || status == 101,
            body: scan.data,
        };
        finals += usize::from(response.is_final());
        all.push(response);
        if !scan.is_whole {
            return (all, String::new());
        }
        rest = &behind[scan.len..];
    }
    (all, show(rest))
}
