//! How a request is passed on, and what comes back: the `proxy_*` directives.

use super::{
    Directive, FLAG, HTTP_LOCATION, LOCATION, ONE, ONE_OR_TWO, ONE_TO_FOUR, SOME, TWO, ignored, only_off, row,
};

pub(super) const ROWS: &[Directive] = &[
    row(
        "proxy_pass",
        LOCATION,
        ONE,
        "",
        "Passes requests to `http://` a server, a group or a `unix:` socket. With a URI it \
         replaces what the location matched; variables are used as they are.",
    )
    .differs(
        "`https://` is refused. A name that is given as it is, before variables in the path, is looked up by the \
         system, as one without variables is; one that variables give needs a `resolver`, as in nginx.",
    ),
    row("proxy_http_version", HTTP_LOCATION, ONE, "1.1", "The version towards servers: `1.0` or `1.1`.")
        .differs("1.1 with connections that are kept, as nginx since 1.29.7; a chunked body towards 1.0 is refused (411)."),
    row(
        "proxy_set_header",
        HTTP_LOCATION,
        TWO,
        "Host $proxy_host",
        "A field of requests; an empty value removes it. Inherited only where a level has none.",
    )
    .differs(
        "HTTP/1.1 always has a Host. Framing, `TE` and `Upgrade` are this proxy's affair; where it keeps `Expect` from \
         the server it answers 100 itself. A line break in the file is one space, with the blanks around it; a value with \
         another control byte, or with one that a variable brings in, is not sent.",
    ),
    row(
        "proxy_pass_request_headers",
        HTTP_LOCATION,
        FLAG,
        "on",
        "Whether the client's fields are passed on.",
    ),
    row("proxy_pass_request_body", HTTP_LOCATION, FLAG, "on", "Whether the client's body is passed on.")
        .differs("Without it no `Content-Length` promises one."),
    row("proxy_bind", HTTP_LOCATION, ONE_OR_TWO, "", "The address that connections to servers come from, or `off`.")
        .differs("`transparent` is refused. Such connections are not kept. What cannot be bound is 502 or 503."),
    row(
        "proxy_set_body",
        HTTP_LOCATION,
        ONE,
        "",
        "The body of requests, with its `Content-Length`; the client's is read to its end and dropped.",
    )
    .differs("Body and head together have at most 64k, or what `large_client_header_buffers` asks for: 500 beyond."),
    row("proxy_method", HTTP_LOCATION, ONE, "", "The method towards servers.")
        .differs("HEAD stays HEAD, and no other method becomes it, nor TRACE or CONNECT. The method that is sent says whether it may be sent twice."),
    row("proxy_connect_timeout", HTTP_LOCATION, ONE, "60s", "Connecting to a server."),
    row("proxy_send_timeout", HTTP_LOCATION, ONE, "60s", "Between two writes to a server."),
    row("proxy_read_timeout", HTTP_LOCATION, ONE, "60s", "Between two reads from a server."),
    row("proxy_next_upstream", HTTP_LOCATION, SOME, "error timeout", "When another server is tried."),
    row(
        "proxy_next_upstream_tries",
        HTTP_LOCATION,
        ONE,
        "0",
        "The most servers tried for a request; 0: no bound.",
    ),
    row("proxy_next_upstream_timeout", HTTP_LOCATION, ONE, "0", "How long others are tried; 0: no bound."),
    row("proxy_hide_header", HTTP_LOCATION, ONE, "", "A field of responses that does not pass."),
    row(
        "proxy_pass_header",
        HTTP_LOCATION,
        ONE,
        "",
        "A field of responses that passes although nginx would hide it.",
    ),
    row(
        "proxy_redirect",
        HTTP_LOCATION,
        ONE_OR_TWO,
        "default",
        "Changes `Location` and `Refresh` of responses.",
    ),
    row(
        "proxy_intercept_errors",
        HTTP_LOCATION,
        FLAG,
        "off",
        "Lets `error_page` answer in place of a server's status of 300 or more.",
    ),
    row("proxy_buffer_size", HTTP_LOCATION, ONE, "4k", "The largest head of a response; a larger one is 502.")
        .differs("At most 1m, and 4k by default on every system."),
    row(
        "proxy_buffering",
        HTTP_LOCATION,
        FLAG,
        "on",
        "Whether a response that fits a buffer may wait for the whole of its body.",
    )
    .differs("It waits while its length is known and another server could answer, and moves on where it breaks off. Others pass at once; a slow client slows the server."),
    ignored("proxy_request_buffering", HTTP_LOCATION, FLAG, "What a client sends is passed on at once."),
    ignored("proxy_buffers", HTTP_LOCATION, TWO, "A response holds one buffer of a fixed size."),
    ignored("proxy_busy_buffers_size", HTTP_LOCATION, ONE, "A response holds one buffer of a fixed size."),
    ignored("proxy_max_temp_file_size", HTTP_LOCATION, ONE, "Nothing is spooled to files."),
    ignored("proxy_temp_file_write_size", HTTP_LOCATION, ONE, "Nothing is spooled to files."),
    ignored("proxy_temp_path", HTTP_LOCATION, ONE_TO_FOUR, "Nothing is spooled to files."),
    ignored(
        "fastcgi_temp_path",
        HTTP_LOCATION,
        ONE_TO_FOUR,
        "Nothing is spooled to files; FastCGI is not spoken.",
    ),
    ignored(
        "uwsgi_temp_path",
        HTTP_LOCATION,
        ONE_TO_FOUR,
        "Nothing is spooled to files; uwsgi is not spoken.",
    ),
    ignored("scgi_temp_path", HTTP_LOCATION, ONE_TO_FOUR, "Nothing is spooled to files; SCGI is not spoken."),
    ignored(
        "proxy_ignore_client_abort",
        HTTP_LOCATION,
        FLAG,
        "A client whose connection breaks always cancels its request. One that says that it sends no more is still answered.",
    ),
    ignored(
        "proxy_ignore_headers",
        HTTP_LOCATION,
        SOME,
        "`X-Accel-…` and the like have no effect in the first place.",
    ),
    ignored(
        "proxy_socket_keepalive",
        HTTP_LOCATION,
        FLAG,
        "The pool and the timeouts bound how long a connection is held.",
    ),
    ignored("proxy_send_lowat", HTTP_LOCATION, ONE, "It has no effect on Linux in nginx either."),
    ignored("proxy_force_ranges", HTTP_LOCATION, FLAG, "Ranges of responses are the servers' affair."),
    ignored("proxy_headers_hash_max_size", HTTP_LOCATION, ONE, "There is no such table."),
    ignored("proxy_headers_hash_bucket_size", HTTP_LOCATION, ONE, "There is no such table."),
    only_off("proxy_cache", HTTP_LOCATION),
    only_off("proxy_store", HTTP_LOCATION),
];
