//! `location`, and what a request can end with that is not a server's answer.

use super::{
    Arguments, Context, Directive, FLAG, HTTP, HTTP_LOCATION, LOCATION, NONE, ONE, ONE_OR_TWO,
    SERVER_LOCATION, SOME, TWO, block, ignored, only_off, row,
};

const TWO_OR_THREE: Arguments = Arguments::Between(2, 3);

pub(super) const ROWS: &[Directive] = &[
    block(
        "location",
        SERVER_LOCATION,
        ONE_OR_TWO,
        "Requests by their path: a prefix, `= exact`, `^~ prefix`, `~ regex`, `~* regex`, \
         `@name`; also inside of each other.",
    )
    .differs("Regular expressions have no look-around and no back-references."),
    row(
        "internal",
        LOCATION,
        NONE,
        "",
        "Only for requests that `error_page` and the like bring here; others get 404.",
    ),
    row(
        "return",
        SERVER_LOCATION,
        ONE_OR_TWO,
        "",
        "Answers with a status, and a text or the URL of a redirect. 444 closes without a word, as 408 and 499 do that have no text.",
    ),
    row("set", SERVER_LOCATION, TWO, "", "Gives a variable a value.").differs(
        "One of a field of a response (`$upstream_http_x`) is empty where no `set` has run. An empty `$arg_x`, `$http_x` \
         or `$cookie_x` is `-` in logs.",
    ),
    block(
        "map",
        HTTP,
        TWO,
        "A variable whose value follows from others: `default`, `hostnames`, `volatile`, texts \
         and `~regex`.",
    )
    .differs(
        "Regular expressions have no look-around and no back-references. What one captures is for its value alone. \
         A value is worked out at each use, as with `volatile`: after `error_page` or `try_files` from what holds then.",
    ),
    row(
        "error_page",
        HTTP_LOCATION,
        Arguments::AtLeast(2),
        "",
        "Where a status leads: `CODE… [=[CODE]] URI|@name|URL`. Inherited only where a level has \
         none.",
    )
    .differs(
        "A URI is fetched without the body of the request that failed. \
         A body that has left its buffer cannot go along to a `@name`: the error itself is the answer then, as for a page \
         while a body still comes. A status that is shown is 200 at least. A request that is refused for its head alone (400, 405, \
         414, 421, 431, 501, 505) has the built-in page.",
    ),
    row(
        "recursive_error_pages",
        HTTP_LOCATION,
        FLAG,
        "off",
        "Whether an `error_page` may lead to another one.",
    ),
    row(
        "add_header",
        HTTP_LOCATION,
        TWO_OR_THREE,
        "",
        "A field of responses, for good statuses or `always`. Inherited only where a level has \
         none.",
    )
    .differs(
        "A line break in the file is one space, with the blanks around it. A value into which a variable brings a line \
         break is not sent.",
    ),
    row(
        "allow",
        HTTP_LOCATION,
        ONE,
        "",
        "Lets a network in: an address, a network, `unix:`, `all`. The first match counts.",
    ),
    row("deny", HTTP_LOCATION, ONE, "", "Keeps a network out, with 403. The first match counts."),
    row("root", HTTP_LOCATION, ONE, "html", "The folder of static files.").differs(
        "One that begins with a variable has to come out absolute, and nothing in a variable leads to a folder above: \
         404.",
    ),
    row("alias", LOCATION, ONE, "", "The folder that stands for what the location matched.").differs(
        "No path leads out of it, as `/img../x` would below `location /img { alias /data/img/; }`: 404.",
    ),
    row(
        "try_files",
        SERVER_LOCATION,
        Arguments::AtLeast(2),
        "",
        "The first of several files, or folders (a slash at the end), that is there stands for the request; behind them what comes \
         otherwise: a URI, `@name` or `=CODE`.",
    )
    .differs("Not with `alias` behind a regular expression. `proxy_pass` without a URI asks for what was found."),
    row("index", HTTP_LOCATION, SOME, "index.html", "What stands for a folder."),
    block("types", HTTP_LOCATION, NONE, "Media types by a file's extension."),
    row("default_type", HTTP_LOCATION, ONE, "text/plain", "The media type of other files."),
    row("etag", HTTP_LOCATION, FLAG, "on", "Whether static files have an `ETag`."),
    row(
        "if_modified_since",
        HTTP_LOCATION,
        ONE,
        "exact",
        "How the time of a file is compared: `off`, `exact`, `before`.",
    ),
    row("max_ranges", HTTP_LOCATION, ONE, "", "The most ranges of one request; 0: none."),
    row(
        "absolute_redirect",
        HTTP_LOCATION,
        FLAG,
        "on",
        "Whether redirects to a path here have scheme and host: the proxy's own, and those that `proxy_redirect` makes.",
    ),
    row(
        "server_name_in_redirect",
        HTTP_LOCATION,
        FLAG,
        "off",
        "Whether they have the first `server_name` for host.",
    )
    .differs("Where `listen` has no address, a client that names no host is sent to a path alone."),
    row("port_in_redirect", HTTP_LOCATION, FLAG, "on", "Whether they have the port."),
    row(
        "stub_status",
        SERVER_LOCATION,
        Arguments::Between(0, 1),
        "",
        "Answers with the counts of connections and requests.",
    ),
    ignored(
        "chunked_transfer_encoding",
        HTTP_LOCATION,
        FLAG,
        "A body without a length is chunked for clients of HTTP/1.1.",
    ),
    ignored("types_hash_max_size", HTTP_LOCATION, ONE, "Tables grow by themselves."),
    ignored("types_hash_bucket_size", HTTP_LOCATION, ONE, "Tables grow by themselves."),
    ignored("map_hash_max_size", HTTP, ONE, "Tables grow by themselves."),
    ignored("map_hash_bucket_size", HTTP, ONE, "Tables grow by themselves."),
    ignored("open_file_cache", HTTP_LOCATION, ONE_OR_TWO, "Files are opened anew for each request."),
    ignored("open_file_cache_valid", HTTP_LOCATION, ONE, "Files are opened anew for each request."),
    ignored("open_file_cache_min_uses", HTTP_LOCATION, ONE, "Files are opened anew for each request."),
    ignored("open_file_cache_errors", HTTP_LOCATION, FLAG, "Files are opened anew for each request."),
    ignored("open_file_cache_events", HTTP_LOCATION, FLAG, "Files are opened anew for each request."),
    ignored("rewrite_log", Context::HTTP.or(SERVER_LOCATION), FLAG, "There is no `rewrite`."),
    ignored(
        "uninitialized_variable_warn",
        HTTP_LOCATION,
        FLAG,
        "An unset variable is empty, without a warning.",
    ),
    only_off("autoindex", HTTP_LOCATION),
    only_off("random_index", LOCATION),
    only_off("auth_basic", HTTP_LOCATION),
];
