//! One line per request, in nginx's `combined` format with the server and the time behind it:
//!
//! ```text
//! 10.0.0.7 - - [24/Nov/2026:08:15:03 +0000] "GET / HTTP/1.1" 200 25 "-" "curl/8.5" app1:5000 0.004
//! ```

use crate::exchange::Record;
use crate::time::Time;

/// What a line says beyond what was kept of the request.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// The address that counts.
    pub client: Option<std::net::IpAddr>,
    /// The status that was answered; 0 where the client left before.
    pub status: u16,
    /// Octets of the response's body.
    pub body_bytes: u64,
    /// The server that answered or was tried last.
    pub server: Option<&'a str>,
    /// Now, on the clock of [`Record::since`].
    pub now: Time,
    /// The time of day as an HTTP date.
    pub date: &'a str,
}

/// Writes the line, without its line feed.
pub fn write(line: &mut Vec<u8>, record: &Record, outcome: &Outcome<'_>) {
    use std::io::Write;

    let client = outcome.client.as_ref().map_or(&"unix:" as &dyn std::fmt::Display, |address| address);
    // "Tue, 24 Nov 2026 08:15:03 GMT"
    let (day, month, year, time) =
        (&outcome.date[5..7], &outcome.date[8..11], &outcome.date[12..16], &outcome.date[17..25]);
    // Writing to a Vec cannot fail.
    let _ = write!(line, "{client} - - [{day}/{month}/{year}:{time} +0000] \"");
    escape(line, &record.request_line);
    // nginx's word for a client that has gone.
    let status = if outcome.status == 0 { 499 } else { outcome.status };
    let _ = write!(line, "\" {status} {} \"", outcome.body_bytes);
    escape_or_dash(line, &record.referer);
    line.extend_from_slice(b"\" \"");
    escape_or_dash(line, &record.user_agent);
    let millis = outcome.now.since(record.since).as_millis();
    let server = outcome.server.unwrap_or("-");
    let _ = write!(line, "\" {server} {}.{:03}", millis / 1000, millis % 1000);
}

fn escape_or_dash(line: &mut Vec<u8>, text: &[u8]) {
    if text.is_empty() { line.push(b'-') } else { escape(line, text) }
}

/// As nginx escapes: what could end the field or the line goes as `\x22`.
fn escape(line: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        if matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x7f..) {
            line.extend_from_slice(b"\\x");
            line.push(b"0123456789ABCDEF"[usize::from(byte >> 4)]);
            line.push(b"0123456789ABCDEF"[usize::from(byte & 15)]);
        } else {
            line.push(byte);
        }
    }
}
