//! Response heads: the same outcome under any split, and what goes on for an accepted one reads strictly,
//! with the length that was decided.
//!
//! Input: one byte for the request's method and the client's version, the bytes of the response.

#![no_main]

#[path = "../../src/exchange/tests/reference.rs"]
#[allow(dead_code)]
mod reference;

use libfuzzer_sys::fuzz_target;
use proxy::buffer::Buffers;
use proxy::http::fields::{Connection, MAX_FIELDS, Scratch};
use proxy::http::framing::{self, Length};
use proxy::http::head::{self, Parsed, ResponseHead};
use proxy::http::rewrite::{self, ClientFraming, Delivery};
use proxy::http::{Method, Version};

/// What becomes of these bytes: the length of the head, nothing yet, or an error.
fn outcome(bytes: &[u8]) -> Result<Option<usize>, ()> {
    // The error's words are for the log and may differ.
    match head::response(bytes, &mut Scratch::new()).map_err(drop)? {
        Parsed::Complete(head) => Ok(Some(head.len)),
        Parsed::Partial => Ok(None),
    }
}

fn check_delivered(head: &ResponseHead<'_, '_>, method: Method, old_client: bool) {
    let Ok(length) = framing::response(&head.fields, head.version, head.status, method) else { return };
    let framing = match length {
        _ if old_client => ClientFraming::Unchunked,
        Length::UntilClose => ClientFraming::Chunked,
        _ => ClientFraming::Same,
    };
    let connection = Connection::of(&head.fields);
    let upgrade = head.status == 101;
    let delivery = Delivery { framing, keep_alive: true, upgrade, nominates: connection.nominates };
    let mut out = Buffers::new(1 << 20).small();
    rewrite::response(&mut out, head, &delivery, b"Sun, 06 Nov 1994 08:49:37 GMT").expect("it fits");

    let written = out.filled();
    let name = if method == Method::Head { "HEAD" } else { "GET" };
    let message = reference::response(written, name).expect("canonical").expect("a whole head");
    assert_eq!(message.status(), head.status);
    let chunked = message.values("transfer-encoding").len();
    match length {
        Length::Empty => assert!(message.is_whole && !message.until_close),
        Length::Exact(n) => {
            let told = message.values("content-length")[0];
            assert_eq!(std::str::from_utf8(told).unwrap().parse(), Ok(n));
        }
        Length::Chunked | Length::UntilClose => assert_eq!(chunked, usize::from(!old_client)),
    }
    assert!(!old_client || chunked == 0);
    assert!(!message.values("date").is_empty() || head.status < 200);
    for gone in ["keep-alive", "proxy-connection", "te", "content_length", "transfer_encoding"] {
        assert!(message.values(gone).is_empty(), "{gone}");
    }
    let mut headers = [httparse::EMPTY_HEADER; 2 * MAX_FIELDS];
    let mut response = httparse::Response::new(&mut headers);
    assert_eq!(response.parse(written), Ok(httparse::Status::Complete(written.len())));
    assert_eq!(response.headers.len(), message.fields.len());
    assert_eq!(response.code, Some(head.status));
}

fuzz_target!(|input: &[u8]| {
    let [kind, bytes @ ..] = input else { return };
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
    let mut scratch = Scratch::new();
    if let Ok(Parsed::Complete(head)) = head::response(bytes, &mut scratch) {
        assert!((100..=999).contains(&head.status));
        assert_eq!(bytes.starts_with(b"HTTP/1.0"), head.version == Version::Http10);
        let method = if kind & 1 == 1 { Method::Head } else { Method::Get };
        check_delivered(&head, method, kind & 2 == 2);
    }
});
