//! Response heads, appended to the output as bytes.

/// What is known of a response body before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// So many bytes.
    Known(u64),
    /// Chunks tell.
    Chunked,
    /// The end of the connection tells (HTTP/1.0 without a length).
    UntilClose,
    /// The status has no body (RFC 9110, section 15.3.5: 204; 15.4.5: 304).
    Bodiless,
}

/// What the response says of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// It stays, and need not be said (HTTP/1.1).
    Default,
    /// It stays, and must be said (HTTP/1.0).
    KeepAlive,
    /// It ends after this response.
    Close,
}

/// A response head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) status: u16,
    /// The name in `X-Backend`.
    pub(crate) backend: &'a str,
    /// IMF-fixdate, as kept by the worker.
    pub(crate) date: &'a [u8],
    pub(crate) content_type: &'static str,
    pub(crate) length: Length,
    pub(crate) persistence: Persistence,
}

impl Head<'_> {
    /// Appends the head, empty line included.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self.status {
            200 => out.extend_from_slice(b"HTTP/1.1 200 OK\r\nDate: "),
            status => {
                out.extend_from_slice(b"HTTP/1.1 ");
                decimal(out, u64::from(status));
                out.push(b' ');
                out.extend_from_slice(reason(status).as_bytes());
                out.extend_from_slice(b"\r\nDate: ");
            }
        }
        out.extend_from_slice(self.date);
        out.extend_from_slice(b"\r\nX-Backend: ");
        out.extend_from_slice(self.backend.as_bytes());
        if self.length != Length::Bodiless {
            out.extend_from_slice(b"\r\nContent-Type: ");
            out.extend_from_slice(self.content_type.as_bytes());
        }
        if self.status == 405 {
            out.extend_from_slice(b"\r\nAllow: GET, HEAD");
        }
        match self.length {
            Length::Known(bytes) => {
                out.extend_from_slice(b"\r\nContent-Length: ");
                decimal(out, bytes);
            }
            Length::Chunked => out.extend_from_slice(b"\r\nTransfer-Encoding: chunked"),
            Length::UntilClose | Length::Bodiless => {}
        }
        out.extend_from_slice(match self.persistence {
            Persistence::Default => b"\r\n\r\n".as_slice(),
            Persistence::KeepAlive => b"\r\nConnection: keep-alive\r\n\r\n",
            Persistence::Close => b"\r\nConnection: close\r\n\r\n",
        });
    }
}

/// The body of an error: one line with the status and what went wrong.
pub(crate) fn error_line(status: u16, why: &str) -> String {
    format!("{status} {}: {why}\n", reason(status))
}

/// Appends a number in decimal digits.
pub(crate) fn decimal(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The reason phrase of a status (RFC 9110, section 15, and the registry); `Unknown` for the rest.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}
