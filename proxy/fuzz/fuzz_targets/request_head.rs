//! Request heads: the same outcome under any split, nothing accepted but what the grammar has, and what
//! goes on for an accepted one reads strictly as the request that was meant.

#![no_main]

#[path = "../../src/exchange/tests/reference.rs"]
#[allow(dead_code)]
mod reference;

use libfuzzer_sys::fuzz_target;
use proxy::buffer::Buffers;
use proxy::http::fields::{MAX_FIELDS, Role, Scratch};
use proxy::http::framing::{self, Length};
use proxy::http::head::{self, Parsed, RequestHead};
use proxy::http::rewrite::{self, Introduction, Sender};
use proxy::http::{Refusal, Version, target};

/// What becomes of these bytes: the length of the head, nothing yet, or a refusal.
fn outcome(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    match head::request(bytes, &mut Scratch::new())? {
        Parsed::Complete(head) => Ok(Some(head.len)),
        Parsed::Partial => Ok(None),
    }
}

/// Lines of a whole head as the grammar has them (RFC 9112 sections 2.2, 3 and 5): method, target, minor
/// version and fields; `None` where it is not one.
type Lines<'b> = (&'b [u8], &'b [u8], u8, Vec<(&'b [u8], &'b [u8])>);

fn grammar(bytes: &[u8]) -> Option<(Lines<'_>, usize)> {
    let mut at = 0;
    while let Some(n) = [&b"\r\n"[..], b"\n"].iter().find(|end| bytes[at..].starts_with(end)).map(|e| e.len())
    {
        at += n;
    }
    let mut line = || {
        let end = at + bytes[at..].iter().position(|&b| b == b'\n')?;
        let text = &bytes[at..end];
        at = end + 1;
        Some(text.strip_suffix(b"\r").unwrap_or(text))
    };
    let token = |t: &[u8]| {
        !t.is_empty() && t.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
    };
    let first = line()?;
    let parts: Vec<_> = first.split(|&b| b == b' ').collect();
    let [method, target, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9']] = parts[..] else {
        return None;
    };
    // Non-ASCII targets are refused by what they are for, not by the grammar here.
    let visible = !target.is_empty() && target.iter().all(|&b| b > b' ' && b != 0x7f);
    if !token(method) || !visible || std::str::from_utf8(target).is_err() {
        return None;
    }
    let mut fields = Vec::new();
    loop {
        let text = line()?;
        if text.is_empty() {
            break;
        }
        let colon = text.iter().position(|&b| b == b':')?;
        let (name, value) = (&text[..colon], text[colon + 1..].trim_ascii());
        if !token(name) || text.iter().any(|&b| (b < b' ' && b != b'\t') || b == 0x7f) {
            return None;
        }
        fields.push((name, value));
    }
    (fields.len() <= MAX_FIELDS).then_some(((method, target, *minor, fields), at))
}

fn check_forwarded(head: &RequestHead<'_, '_>) {
    let Ok(target) = target::of(head.method, head.target, head.version, &head.fields) else { return };
    let Ok(length) = framing::request(&head.fields, head.version) else { return };
    let wishes = rewrite::wishes(head);
    let introduction = &Introduction::new("192.0.2.7");
    let sender = Sender { introduction, real: None, trusted: head.len % 2 == 0, default_host: "app1:5000" };
    let mut out = Buffers::new(1 << 20).small();
    rewrite::request(&mut out, head, &target, length, &wishes, &sender).expect("it fits");

    let written = out.filled();
    let message = reference::request(written).expect("canonical").expect("a whole head");
    let told: u64 = match (message.values("content-length").first(), length) {
        (Some(digits), _) => std::str::from_utf8(digits).unwrap().parse().unwrap(),
        (None, _) => 0,
    };
    assert_eq!(told, if let Length::Exact(n) = length { n } else { 0 });
    assert_eq!(message.values("transfer-encoding").len(), usize::from(length == Length::Chunked));
    assert_eq!(message.method().as_bytes(), head.method_name);
    assert_eq!(message.values("host"), [target.host.unwrap_or(b"app1:5000")]);
    for gone in ["keep-alive", "proxy-connection", "http2-settings", "content_length", "transfer_encoding"] {
        assert!(message.values(gone).is_empty(), "{gone}");
    }
    // Every other field passes unless Connection nominates it.
    let options: Vec<_> = head.fields.values(Role::Connection).collect();
    let options = String::from_utf8_lossy(&options.join(&b","[..])).to_lowercase();
    let options: Vec<_> = options.split(',').map(str::trim).collect();
    for (role, name, value) in head.fields.iter().filter(|(role, ..)| *role == Role::Other) {
        let name = String::from_utf8_lossy(name).to_lowercase();
        let passes = message.values(&name).contains(&value);
        assert_eq!(passes, !options.contains(&name.as_str()), "{role:?} {name}");
    }
    // Another parser sees the same.
    let mut headers = [httparse::EMPTY_HEADER; 2 * MAX_FIELDS];
    let mut request = httparse::Request::new(&mut headers);
    assert_eq!(request.parse(written), Ok(httparse::Status::Complete(written.len())));
    assert_eq!(request.headers.len(), message.fields.len());
}

fuzz_target!(|bytes: &[u8]| {
    let whole = outcome(bytes);
    let step = 1 + bytes.len() / 200;
    for n in (0..bytes.len()).step_by(step) {
        match outcome(&bytes[..n]) {
            Ok(None) => {}
            early => {
                assert_eq!(early, whole, "the first {n} bytes alone");
                break;
            }
        }
    }
    let grammatical = grammar(bytes);
    match whole {
        Ok(Some(len)) => assert_eq!(grammatical.as_ref().map(|g| g.1), Some(len)),
        Ok(None) => assert!(grammatical.is_none(), "not whole, they say"),
        Err(refusal) => assert!(grammatical.is_none(), "{refusal:?}"),
    }
    let mut scratch = Scratch::new();
    if let Ok(Parsed::Complete(head)) = head::request(bytes, &mut scratch) {
        let ((method, target, minor, fields), _) = grammatical.expect("whole");
        assert_eq!((head.method_name, head.target), (method, target));
        assert_eq!(head.version == Version::Http10, minor == b'0');
        assert!(head.fields.iter().map(|(_, name, value)| (name, value)).eq(fields));
        check_forwarded(&head);
    }
});
