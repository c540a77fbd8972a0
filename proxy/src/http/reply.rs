//! The proxy's own answers: a small page that says in one line what went wrong.

use super::rewrite::{PSEUDONYM, append_number};
use crate::buffer::{Buffer, Full};

/// An answer to be written.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The status, 200 to 999.
    pub status: u16,
    /// The body.
    pub content: Content<'a>,
    /// Where the client is sent to instead (`Location`).
    pub location: Option<&'a [u8]>,
    /// Lines of further fields, each with its CRLF.
    pub fields: &'a [u8],
    /// The methods that a 405 names.
    pub allowed: &'a str,
    /// The connection persists.
    pub keep_alive: bool,
    /// The request was a HEAD: the body is left out, its length is told.
    pub head: bool,
    /// The current time as an HTTP date.
    pub date: &'a [u8],
}

/// The room in octets that an answer needs besides what is given: its page, and the lines that it always has.
pub const ROOM: usize = 1024;

impl Reply<'_> {
    /// The room in octets that it needs.
    pub fn room(&self) -> usize {
        let content = match self.content {
            Content::Page(why) => why.len(),
            Content::Text { kind, body } => kind.len() + body.len(),
        };
        ROOM + content + self.location.map_or(0, <[u8]>::len) + self.fields.len()
    }
}

/// The methods that go to servers.
pub const FORWARDED: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";

/// The methods that are answered here.
pub const ANSWERED: &str = "GET, HEAD";

/// The body of an answer.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// A small page with the status and one line that says why; the line may be empty.
    Page(&'a str),
    /// A text.
    Text {
        /// Its `Content-Type`; empty: none.
        kind: &'a str,
        /// It.
        body: &'a [u8],
    },
}

/// The reason phrase of a status, in nginx's words.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Time-out",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

/// Writes the head of an answer that has a body of its own: `lines` and `fields` are lines with their CRLF.
pub fn write_head(
    out: &mut Buffer,
    status: u16,
    date: &[u8],
    [lines, fields]: [&[u8]; 2],
    keep_alive: bool,
) -> Result<(), Full> {
    start(out, status, date)?;
    out.append_all([lines, fields, connection(keep_alive)])
}

fn start(out: &mut Buffer, status: u16, date: &[u8]) -> Result<(), Full> {
    let mut digits = itoa::Buffer::new();
    let parts = ["HTTP/1.1 ", digits.format(status), " ", reason(status), "\r\nServer: ", PSEUDONYM];
    out.append_all(parts.map(str::as_bytes))?;
    out.append_all([b"\r\nDate: ", date, b"\r\n"])
}

/// The last line, and the one behind it.
fn connection(keep_alive: bool) -> &'static [u8] {
    if keep_alive { b"Connection: keep-alive\r\n\r\n" } else { b"Connection: close\r\n\r\n" }
}

/// Writes the whole answer and returns the octets of its body.
pub fn write(out: &mut Buffer, reply: &Reply<'_>) -> Result<u64, Full> {
    let reason = reason(reply.status);
    // nginx says one thing in the status line and another on the page.
    let title = match reply.status {
        302 => "Found",
        401 => "Authorization Required",
        _ => reason,
    };
    let mut digits = itoa::Buffer::new();
    let status = digits.format(reply.status);
    let (open, close) = if matches!(reply.content, Content::Page("")) { ("", "") } else { ("<p>", "</p>\n") };
    let why = if let Content::Page(why) = reply.content { why } else { "" };
    let page = [
        "<!DOCTYPE html>\n<html>\n<head><title>",
        status,
        " ",
        title,
        "</title></head>\n<body>\n<h1>",
        status,
        " ",
        title,
        "</h1>\n",
        open,
        why,
        close,
        "<hr>",
        PSEUDONYM,
        "\n</body>\n</html>\n",
    ]
    .map(str::as_bytes);
    let (kind, body) = match &reply.content {
        Content::Page(_) => ("text/html", &page[..]),
        Content::Text { kind, body } => (*kind, std::slice::from_ref(body)),
    };
    // RFC 9110 sections 15.3.5 and 15.4.5: these have no body, whatever they are given.
    let is_bodiless = matches!(reply.status, 204 | 304);
    let length = body.iter().map(|part| part.len()).sum::<usize>();

    start(out, reply.status, reply.date)?;
    if !is_bodiless {
        if !kind.is_empty() {
            out.append_all([b"Content-Type: ", kind.as_bytes(), b"\r\n"])?;
        }
        out.append(b"Content-Length: ")?;
        append_number(out, length as u64)?;
        out.append(b"\r\n")?;
    }
    if let Some(location) = reply.location {
        out.append_all([b"Location: ", location, b"\r\n"])?;
    }
    // RFC 9110 section 15.5.6: a 405 lists what is allowed. Of the proxy's own will, 200 only answers OPTIONS.
    if reply.status == 405 || (reply.status == 200 && matches!(reply.content, Content::Page(_))) {
        out.append_all([b"Allow: ", reply.allowed.as_bytes(), b"\r\n"])?;
    }
    out.append(reply.fields)?;
    out.append(connection(reply.keep_alive))?;
    if reply.head || is_bodiless {
        return Ok(0);
    }
    for part in body {
        out.append(part)?;
    }
    Ok(length as u64)
}
