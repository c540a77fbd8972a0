//! Tables of cases for each rule, by the file that holds the rule.

mod body;
mod conditions;
mod fields;
mod framing;
mod head;
mod parse_back;
mod proxy_protocol;
mod ranges;
mod reply;
mod rewrite;
mod target;

use super::fields::{Fields, Scratch};
use super::head::{Parsed, RequestHead, ResponseHead};
use crate::buffer::{Buffer, Buffers};

/// An empty buffer that any head of these tests fits.
fn buffer() -> Buffer {
    Buffers::new(4096).small()
}

/// What `look` sees in `text`, which must be a whole request head.
fn with_request<T>(text: &str, look: impl FnOnce(&RequestHead<'_, '_>) -> T) -> T {
    match super::head::request(text.as_bytes(), &mut Scratch::new()) {
        Ok(Parsed::Complete(head)) => look(&head),
        Ok(Parsed::Partial) => panic!("only a part: {text:?}"),
        Err(refusal) => panic!("{refusal:?}: {text:?}"),
    }
}

/// What `look` sees in `text`, which must be a whole response head.
fn with_response<T>(text: &str, look: impl FnOnce(&ResponseHead<'_, '_>) -> T) -> T {
    match super::head::response(text.as_bytes(), &mut Scratch::new()) {
        Ok(Parsed::Complete(head)) => look(&head),
        Ok(Parsed::Partial) => panic!("only a part: {text:?}"),
        Err(why) => panic!("{why}: {text:?}"),
    }
}

/// What `look` sees in these field lines (each `name: value`, split by `|`).
fn with_fields<T>(lines: &str, look: impl FnOnce(&Fields<'_, '_>) -> T) -> T {
    with_request(&format!("GET / HTTP/1.1\r\n{}\r\n", field_lines(lines)), |head| look(&head.fields))
}

/// `a: b|c: d` as field lines.
fn field_lines(lines: &str) -> String {
    lines.split('|').filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
