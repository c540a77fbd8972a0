//! How values are written into texts: numbers, times, and what might be mistaken in a line of a log.

use std::io::Write;

use crate::config::Escape;
use crate::time::Duration;

/// Appends a text.
pub(super) fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a Vec cannot fail.
    let _ = out.write_fmt(text);
}

/// Appends a port, if it is known.
pub(super) fn port(port: u16, out: &mut Vec<u8>) {
    if port > 0 {
        push(out, format_args!("{port}"));
    }
}

/// With milliseconds, as nginx writes times.
pub(super) fn seconds(out: &mut Vec<u8>, time: Duration) {
    push(out, format_args!("{}.{:03}", time.as_secs(), time.subsec_millis()));
}

/// `24/Nov/2026:08:47:44 +0000`; the proxy's time zone is UTC.
pub(super) fn time_local(out: &mut Vec<u8>, wall: Duration) {
    let date = Date::new(wall);
    let (day, month, year, time) = (date.part(5..7), date.part(8..11), date.part(12..16), date.part(17..25));
    push(out, format_args!("{day}/{month}/{year}:{time} +0000"));
}

/// `2026-11-24T08:47:44+00:00`
pub(super) fn time_iso8601(out: &mut Vec<u8>, wall: Duration) {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let date = Date::new(wall);
    let month = MONTHS.find(date.part(8..11)).unwrap_or_default() / 3 + 1;
    let (day, year, time) = (date.part(5..7), date.part(12..16), date.part(17..25));
    push(out, format_args!("{year}-{month:02}-{day}T{time}+00:00"));
}

/// On the stack: a line in a log costs no allocation.
struct Date([u8; 29]);

impl Date {
    /// "Tue, 24 Nov 2026 08:15:03 GMT"
    fn new(wall: Duration) -> Date {
        let mut text = [b' '; 29];
        let time = std::time::UNIX_EPOCH + Duration::from_secs(wall.as_secs());
        // It is as long as that, always.
        let _ = write!(&mut text[..], "{}", httpdate::HttpDate::from(time));
        Date(text)
    }

    fn part(&self, range: std::ops::Range<usize>) -> &str {
        std::str::from_utf8(&self.0[range]).unwrap_or_default()
    }
}

/// Escapes what stands in `out` from `start` on (`ngx_http_log_escape`, `ngx_escape_json`).
pub(super) fn escape_from(out: &mut Vec<u8>, start: usize, escape: Escape) {
    let is_odd = |byte: u8| match escape {
        Escape::None => false,
        Escape::Default => matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x7f..),
        Escape::Json => matches!(byte, b'"' | b'\\' | 0..=0x1f),
    };
    if !out[start..].iter().any(|&byte| is_odd(byte)) {
        return;
    }
    for byte in out.split_off(start) {
        match (escape, byte) {
            (_, byte) if !is_odd(byte) => out.push(byte),
            (Escape::Json, b'"' | b'\\') => out.extend([b'\\', byte]),
            (Escape::Json, b'\n') => out.extend_from_slice(b"\\n"),
            (Escape::Json, b'\r') => out.extend_from_slice(b"\\r"),
            (Escape::Json, b'\t') => out.extend_from_slice(b"\\t"),
            (Escape::Json, 8) => out.extend_from_slice(b"\\b"),
            (Escape::Json, 12) => out.extend_from_slice(b"\\f"),
            (Escape::Json, byte) => push(out, format_args!("\\u{byte:04X}")),
            (_, byte) => push(out, format_args!("\\x{byte:02X}")),
        }
    }
}
