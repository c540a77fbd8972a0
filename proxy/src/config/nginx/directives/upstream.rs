//! `upstream`, and what stands in it.

use super::{
    Arguments, Directive, HTTP, HTTP_LOCATION, LOCATION, NONE, ONE, ONE_OR_TWO, SOME, UP_TO_TWO, UPSTREAM,
    block, row,
};

pub(super) const ROWS: &[Directive] = &[
    block("upstream", HTTP, ONE, "A group of servers, by a name that `proxy_pass` can use."),
    row(
        "server",
        UPSTREAM,
        SOME,
        "",
        "One server: an address, then `weight=` (1), `max_conns=` (0: no bound), `max_fails=` \
         (1), `fail_timeout=` (10s), `slow_start=` (0), `backup`, `down`, `drain`, `route=`, `resolve`, `service=`: the name of a service of the host, \
         `http` for `_http._tcp`, whose servers with their ports and shares the `resolver` tells (SRV), the best \
         priority first and the others as `backup`.",
    )
    .differs(
        "A name is one server, whose addresses are resolved anew while running; in nginx each of \
         its addresses at start is one. A name that does not resolve does not keep the proxy from \
         starting, and one that does no more keeps its last addresses. `resolve` needs no `zone`. Of a service at most 64 servers are looked up, the best first; those at one address are one, with their shares together. `slow_start` and `drain`, which nginx sells, are here: after a failure a server's share grows \
         to its weight over the time of `slow_start` (not with `hash`, `ip_hash`, `random`), beginning with its first \
         answer, or with the check that takes it back; a server that drains gets the requests of clients that keep to \
         it (`sticky`), and else none.",
    ),
    row(
        "zone",
        UPSTREAM,
        ONE_OR_TWO,
        "",
        "Accepted for a group whose state all workers share, which here is every group.",
    ),
    row("ip_hash", UPSTREAM, NONE, "", "Chooses by the client's address."),
    row(
        "least_conn",
        UPSTREAM,
        NONE,
        "",
        "Chooses the server with the fewest requests in flight for its weight.",
    ),
    row(
        "least_time",
        UPSTREAM,
        ONE_OR_TWO,
        "",
        "Chooses the server that should be through first: by its mean response time, until the head (`header`) or the end \
         (`last_byte`), times its requests in flight, for its weight. With `inflight`, requests that wait for longer than \
         that count with their waiting.",
    ),
    row(
        "hash",
        UPSTREAM,
        ONE_OR_TWO,
        "",
        "Chooses by a text with variables; with `consistent` so that a server that goes away takes only its own \
         keys with it (ketama).",
    )
    .differs(
        "With `consistent`, a name has its share of the keys also while it has no address, and other addresses of it \
         move no key.",
    ),
    row(
        "random",
        UPSTREAM,
        UP_TO_TWO,
        "",
        "Chooses by chance and weight; `two` or `two least_conn`: of two servers that chance chose the one with fewer \
         requests in flight for its weight.",
    ),
    row(
        "sticky",
        UPSTREAM,
        Arguments::AtLeast(2),
        "",
        "Clients keep their server. `cookie NAME`, with `expires=`, `domain=`, `httponly`, `secure`, `samesite=`, `path=`: a \
         cookie names it, by its `route` or the MD5 of its address. `route $VARIABLE …`: the first of these variables \
         that is not empty names it. `learn create=$VARIABLE lookup=$VARIABLE zone=NAME:SIZE [timeout=10m] [header]`: a \
         response names a session that begins, and requests of that session go where it came from. Where that server cannot take the request the method chooses.",
    )
    .differs(
        "Answers of the proxy's own set no cookie. Sessions are kept in the memory of the process, one for each 128 octets of \
         the zone; they end with it, and where a reload changes the group.",
    ),
    row(
        "queue",
        UPSTREAM,
        ONE_OR_TWO,
        "",
        "While no server can take a request, so many wait in their order, over all workers, for `timeout=` (60s) at most. \
         Where there is no room, or the time is over: 502.",
    )
    .differs(
        "A request waits before its first try only; where it has been at a server, it goes on or ends. Whether a server \
         that failed can be tried again is looked at each second.",
    ),
    row("keepalive", UPSTREAM, ONE, "32", "Idle connections to keep, per worker."),
    row("keepalive_requests", UPSTREAM, ONE, "1000", "Requests over one connection before it is closed."),
    row("keepalive_time", UPSTREAM, ONE, "1h", "How long one connection takes requests."),
    row("keepalive_timeout", UPSTREAM, ONE, "60s", "How long an idle connection is kept."),
    row(
        "health_check",
        LOCATION,
        Arguments::AtLeast(0),
        "",
        "Asks each server of the group that the location's `proxy_pass` names, from time to time, and sends requests \
         only to those that answer well: `interval=` (5s), `jitter=` (0), `fails=` (1), `passes=` (1), `uri=` (/), \
         `port=` (the server's), `match=` (status 200 to 399), `mandatory`, `mandatory persistent`, `keepalive_time=`. \
         The location's `proxy_set_header`, `proxy_http_version` and timeouts hold; what a variable takes from a \
         client's request is empty. `interval=` is counted from the end of one check to the next.",
    )
    .differs(
        "Of nginx Plus. No `zone` is needed, as all workers share a group anyway, and `type=grpc` is refused. A reload \
         that does not change the group and its checks keeps what they have found, also without `persistent`; \
         otherwise a server that was unhealthy still is, until a check passes. `proxy_read_timeout` bounds the whole \
         response.",
    ),
    block("match", HTTP, ONE, "What a response to a check has to be like, in all points: `status [!] 200 301-303`, \
         `header [!] NAME`, `header NAME =|!=|~|!~ VALUE` (the field must be there), `body ~|!~ REGEX` (of the first 256k).")
    .differs("Of nginx Plus. `require` is refused. Regular expressions have no look-around and no back-references."),
    row(
        "resolver",
        HTTP_LOCATION.or(UPSTREAM),
        SOME,
        "",
        "Name servers to ask for the names of `server` lines that say `resolve` and for those that variables of \
         `proxy_pass` give: addresses, with port 53 where none is given, then `valid=` (as long as answers say), `ipv4=` (on), `ipv6=` (on), `status_zone=` (accepted).",
    )
    .differs(
        "The one that answered last is asked first, another one after 2 s of silence (nginx: in turn, after 5 s). The \
         name of a name server is looked up when it is asked. All other names are resolved as the system does \
         (/etc/hosts, /etc/resolv.conf), and those that say `resolve` too where there is no `resolver`.",
    ),
    row(
        "resolver_timeout",
        HTTP_LOCATION.or(UPSTREAM),
        ONE,
        "30s",
        "How long it may take to look one name up.",
    ),
];
