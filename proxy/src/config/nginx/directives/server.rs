//! `http` and `server`: who is listened to, under which names, and how clients are treated.

use super::Context;
use super::{
    Arguments, Directive, FLAG, HTTP, HTTP_LOCATION, HTTP_SERVER, NONE, ONE, ONE_OR_TWO, SOME, TWO, block,
    ignored, only_off, row,
};

const SERVER: Context = Context::SERVER;

pub(super) const ROWS: &[Directive] = &[
    block("server", HTTP, NONE, "One site: where it listens, its names, its locations."),
    row(
        "listen",
        SERVER,
        SOME,
        "*:80 or *:8000",
        "Where it listens: `PORT`, `ADDRESS:PORT`, `[IPV6]:PORT`, `unix:PATH`; then \
         `default_server`, `backlog=`, `rcvbuf=`, `sndbuf=`, `so_keepalive=`, \
         `ipv6only=`, `proxy_protocol`, `reuseport`, `deferred`, `fastopen=`, `bind`.",
    )
    .differs(
        "`ssl`, `http2` and `quic` are refused; `ipv6only=off` is too. The header of the PROXY protocol may come in \
         pieces, has at most 3 KiB, and its addresses must be some. `reuseport` changes \
         nothing, as each worker has a socket of its own; `deferred`, `fastopen=`, `rcvbuf=` and \
         `sndbuf=` are checked and not used.",
    ),
    row(
        "server_name",
        SERVER,
        SOME,
        "\"\"",
        "Its names: exact, `*.example.com`, `.example.com`, `www.example.*`, `~regex`.",
    )
    .differs("Regular expressions have no look-around and no back-references."),
    row("client_header_timeout", HTTP_SERVER, ONE, "60s", "How long the head of a request may take."),
    row("client_body_timeout", HTTP_LOCATION, ONE, "60s", "Between two reads of a request's body."),
    row("send_timeout", HTTP_LOCATION, ONE, "60s", "Between two writes to a client."),
    row("client_max_body_size", HTTP_LOCATION, ONE, "1m", "The largest body of a request; 0: no bound."),
    row("client_body_buffer_size", HTTP_LOCATION, ONE, "8k", "The longest body that `$request_body` has.").differs(
        "A body is passed on as it comes. In logs and in pages for errors `$request_body` has one that went to a server; what is sent to a server \
         has one that fits `large_client_header_buffers` together with its head, and waits for it.",
    ),
    row("large_client_header_buffers", HTTP_SERVER, TWO, "4 8k", "The largest head of a request.").differs(
        "The head as a whole is bounded, by number times size; in nginx each line fits one \
         buffer.",
    ),
    row(
        "ignore_invalid_headers",
        HTTP_SERVER,
        FLAG,
        "on",
        "Drops fields with a name that is not letters, digits and hyphens.",
    )
    .differs("A name with an octet that no token has (RFC 9110 section 5.6.2) makes a bad request either way."),
    row(
        "underscores_in_headers",
        HTTP_SERVER,
        FLAG,
        "off",
        "Takes underscores for valid in names of fields.",
    )
    .differs("What looks like a field that the proxy itself sets, as `X-Real_IP`, is dropped all the same."),
    ignored(
        "merge_slashes",
        HTTP_SERVER,
        FLAG,
        "Several slashes in a path are always one when a location is chosen.",
    ),
    row(
        "keepalive_timeout",
        HTTP_LOCATION,
        ONE_OR_TWO,
        "75s",
        "How long an idle client is kept; 0: not at all. The second time is told in `Keep-Alive`.",
    ),
    row(
        "keepalive_requests",
        HTTP_LOCATION,
        ONE,
        "1000",
        "Requests over one connection before it is closed.",
    ),
    row("keepalive_time", HTTP_LOCATION, ONE, "1h", "How long one connection takes requests."),
    row(
        "set_real_ip_from",
        HTTP_LOCATION,
        ONE,
        "",
        "Proxies whose word about the client is believed: networks, addresses, `unix:`.",
    )
    .differs("In a `location` it takes the place of the server's; nginx asks that first."),
    row("real_ip_header", HTTP_LOCATION, ONE, "X-Real-IP", "Where they say it: a field, or `proxy_protocol`.")
        .differs("In a `location` it takes the place of the server's; nginx asks that first."),
    row(
        "real_ip_recursive",
        HTTP_LOCATION,
        FLAG,
        "off",
        "Takes the last address that is not trusted itself.",
    )
    .differs("In a `location` it takes the place of the server's; nginx asks that first."),
    row(
        "log_format",
        HTTP,
        Arguments::AtLeast(2),
        "combined",
        "A format of the access log, with `escape=default|json|none`.",
    )
    .differs(
        "A value that is there and empty is `-`, as one that is not there. Of a request that is refused for its head, \
         `$request` is known and what follows from the connection.",
    ),
    row(
        "access_log",
        HTTP_LOCATION,
        SOME,
        "logs/access.log combined",
        "Where requests are logged: a file, whose path may have variables, or `off`; then a \
         format, `buffer=`, `flush=`, `if=`. Several are possible.",
    )
    .differs(
        "`gzip=` and `syslog:` are not supported. A path with variables is opened also where the `root` is not there.",
    ),
    row(
        "server_tokens",
        HTTP_LOCATION,
        ONE,
        "on",
        "How much the proxy's own answers tell of it: `on`, `off`, `build`.",
    )
    .differs("They never tell its version."),
    ignored(
        "client_header_buffer_size",
        HTTP_SERVER,
        ONE,
        "A head has one buffer, which grows up to `large_client_header_buffers`.",
    ),
    ignored("client_body_temp_path", HTTP_LOCATION, Arguments::Between(1, 4), "Nothing is spooled to files."),
    ignored("client_body_in_single_buffer", HTTP_LOCATION, FLAG, "A body is passed on as it comes."),
    ignored("connection_pool_size", HTTP_SERVER, ONE, "There are no such pools."),
    ignored("request_pool_size", HTTP_SERVER, ONE, "There are no such pools."),
    ignored("server_names_hash_max_size", HTTP, ONE, "Tables grow by themselves."),
    ignored("server_names_hash_bucket_size", HTTP, ONE, "Tables grow by themselves."),
    ignored("variables_hash_max_size", HTTP, ONE, "Tables grow by themselves."),
    ignored("variables_hash_bucket_size", HTTP, ONE, "Tables grow by themselves."),
    ignored("keepalive_disable", HTTP_LOCATION, ONE_OR_TWO, "The browsers it is for are gone."),
    ignored(
        "reset_timedout_connection",
        HTTP_LOCATION,
        FLAG,
        "A client that timed out is closed; nothing is kept for it.",
    ),
    ignored("tcp_nodelay", HTTP_LOCATION, FLAG, "It is always on."),
    ignored("tcp_nopush", HTTP_LOCATION, FLAG, "Head and body go out in one call."),
    ignored("sendfile", HTTP_LOCATION, FLAG, "How a file is sent makes no difference to the client."),
    ignored(
        "sendfile_max_chunk",
        HTTP_LOCATION,
        ONE,
        "How a file is sent makes no difference to the client.",
    ),
    ignored("aio", HTTP_LOCATION, ONE, "How a file is read makes no difference to the client."),
    ignored("aio_write", HTTP_LOCATION, FLAG, "Nothing is spooled to files."),
    ignored("directio", HTTP_LOCATION, ONE, "How a file is read makes no difference to the client."),
    ignored("read_ahead", HTTP_LOCATION, ONE, "How a file is read makes no difference to the client."),
    ignored("output_buffers", HTTP_LOCATION, TWO, "How a file is read makes no difference to the client."),
    ignored("postpone_output", HTTP_LOCATION, ONE, "What is there is sent at once."),
    ignored("send_lowat", HTTP_LOCATION, ONE, "It has no effect on Linux in nginx either."),
    ignored(
        "lingering_close",
        HTTP_LOCATION,
        ONE,
        "How a connection ends is fixed: what a client still sends is read for a while.",
    ),
    ignored("lingering_time", HTTP_LOCATION, ONE, "How a connection ends is fixed."),
    ignored("lingering_timeout", HTTP_LOCATION, ONE, "How a connection ends is fixed."),
    ignored("log_not_found", HTTP_LOCATION, FLAG, "A missing file is not logged as an error."),
    ignored("log_subrequest", HTTP_LOCATION, FLAG, "There are no subrequests."),
    ignored("open_log_file_cache", HTTP_LOCATION, Arguments::Between(1, 4), "Logs stay open."),
    ignored("msie_padding", HTTP_LOCATION, FLAG, "The browser it is for is gone."),
    ignored("msie_refresh", HTTP_LOCATION, FLAG, "The browser it is for is gone."),
    ignored("subrequest_output_buffer_size", HTTP_LOCATION, ONE, "There are no subrequests."),
    only_off("ssl", HTTP_SERVER),
    only_off("gzip", HTTP_LOCATION),
    only_off("gunzip", HTTP_LOCATION),
    only_off("gzip_static", HTTP_LOCATION),
    only_off("ssi", HTTP_LOCATION),
    only_off("charset", HTTP_LOCATION),
    only_off("userid", HTTP_LOCATION),
    only_off("client_body_in_file_only", HTTP_LOCATION),
];
