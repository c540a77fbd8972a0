//! The client: requests out, and what came back as a transcript's lines.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use crate::notation::{bytes, show};
use crate::support::{Conn, Message};

/// A connection from `source`, and its port.
pub(crate) fn connect(source: IpAddr, to: SocketAddr) -> (Conn, u16) {
    let conn = Conn::from_to(source, to);
    let port = conn.socket().local_addr().ok().and_then(|address| address.as_socket());
    (conn, port.expect("an address").port())
}

/// The bytes of a request.
pub(crate) fn request(method: &str, target: &str, fields: &str, body: &str) -> Vec<u8> {
    let body = bytes(body);
    let mut out = bytes(&format!("{method} {target} HTTP/1.1{fields}⏎"));
    if !body.is_empty() {
        out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&body);
    out
}

/// Reads a final response, and interim ones before it, as lines. The second is false where the connection has ended.
pub(crate) fn response(conn: &mut Conn, is_head: bool) -> (String, bool) {
    let mut text = String::new();
    loop {
        let Some(mut message) = conn.head_or_end() else {
            return (text + "  closed\n", false);
        };
        let status = message.status();
        let is_final = status >= 200;
        let is_bodiless = is_head || !is_final || matches!(status, 204 | 304);
        let has_end = message.is_chunked() || message.content_length().is_some();
        let mut is_open = message.field("connection") != Some("close");
        if !is_bodiless && has_end {
            conn.body(&mut message);
        }
        if is_final && (!is_open || !(is_bodiless || has_end)) {
            message.body.extend(conn.rest().0);
            is_open = false;
        }
        write_message(&mut text, &message);
        if is_final {
            return (text, is_open);
        }
    }
}

/// Appends a message: its first line, its fields by name, its body.
pub(crate) fn write_message(out: &mut String, message: &Message) {
    let _ = writeln!(out, "  {}", show(message.first_line().as_bytes()));
    let lines = message.head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut fields: Vec<_> =
        lines.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    for (name, value) in fields {
        let _ = writeln!(out, "    {name}: {}", show(value.as_bytes()));
    }
    if !message.body.is_empty() {
        let _ = writeln!(out, "    | {}", show(&message.body));
    }
}
