//! The proxy's own answers: a small page that says in one line what went wrong.

use super::rewrite::{PSEUDONYM, append_number};
use crate::buffer::{Buffer, Full};

/// An answer to be written.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The status, 200 to 599.
    pub status: u16,
    /// One line that says why.
    pub why: &'a str,
    /// The connection persists.
    pub keep_alive: bool,
    /// The request was a HEAD: the body is left out, its length is told.
    pub head: bool,
    /// The current time as an HTTP date.
    pub date: &'a [u8],
}

/// The reason phrase of a status, in nginx's words.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        405 => "Not Allowed",
        408 => "Request Time-out",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// Writes the whole answer and returns the octets of its body. `out` has room for it unless it is smaller than 1 KiB.
pub fn write(out: &mut Buffer, reply: &Reply<'_>) -> Result<u64, Full> {
    let reason = reason(reply.status);
    let mut digits = itoa::Buffer::new();
    let status = digits.format(reply.status);
    let body: [&str; 12] = [
        "<!DOCTYPE html>\n<html>\n<head><title>",
        status,
        " ",
        reason,
        "</title></head>\n<body>\n<h1>",
        status,
        " ",
        reason,
        "</h1>\n<p>",
        reply.why,
        "</p>\n<hr>",
        PSEUDONYM,
    ];
    const END: &str = "\n</body>\n</html>\n";
    let length = body.iter().map(|part| part.len()).sum::<usize>() + END.len();

    for part in ["HTTP/1.1 ", status, " ", reason, "\r\nServer: ", PSEUDONYM, "\r\nDate: "] {
        out.append(part.as_bytes())?;
    }
    out.append(reply.date)?;
    out.append(b"\r\nContent-Type: text/html\r\nContent-Length: ")?;
    append_number(out, length as u64)?;
    // RFC 9110 section 15.5.6: a 405 lists what is allowed. 200 only ever answers OPTIONS.
    if matches!(reply.status, 200 | 405) {
        out.append(b"\r\nAllow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH")?;
    }
    out.append(if reply.keep_alive {
        b"\r\nConnection: keep-alive\r\n\r\n"
    } else {
        b"\r\nConnection: close\r\n\r\n".as_slice()
    })?;
    if reply.head {
        return Ok(0);
    }
    for part in body {
        out.append(part.as_bytes())?;
    }
    out.append(END.as_bytes())?;
    Ok(length as u64)
}
