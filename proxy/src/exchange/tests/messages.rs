//! Messages that come to their end, and requests that are refused.

use super::*;

#[test]
fn requests_follow_one_another_on_one_connection() {
    let mut play = Play::plain();
    for _ in 0..3 {
        play.one_exchange();
        assert_eq!(play.happened(), "fresh, release reusable served, finish");
        assert!(
            play.exchange.is_idle() && play.env.buffers.lent() == 0,
            "an idle connection holds no buffer"
        );
    }
}

/// RFC 9112 section 9.3.2: responses in the order of the requests.
#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut play = Play::plain();
    play.client_sends(&format!("{GET}{POST}helloGET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    assert_eq!(play.upstream_got(), GET_ON);
    play.upstream_sends(OK);
    assert_eq!(play.upstream_got(), format!("{POST_ON}hello"));
    play.upstream_sends(OK);
    assert_eq!(play.upstream_got(), "GET /last HTTP/1.1|Host: h||");
    play.upstream_sends(OK);
    let last = OK_ON.replace("keep-alive", "close");
    assert_eq!(play.client_got(), format!("{OK_ON}{OK_ON}{last}"));
    let one = "fresh, release reusable served, ";
    assert_eq!(play.happened(), format!("{one}finish, {one}finish, {one}close"));
}

#[test]
fn bodies_pass_both_ways() {
    let close = "HTTP/1.1 200 OK|Via: 1.1 proxy|Connection: close||ok";
    let chunked =
        "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Via: 1.1 proxy|Connection: keep-alive||2|ok|0||";
    for (request, on, response, back, happened) in [
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
            "POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked||3|abc|0||",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n",
            chunked,
            "fresh, release reusable served, finish",
        ),
        // RFC 9112 section 9.3: a server that closes, or speaks HTTP/1.0, is not used again.
        (
            GET,
            GET_ON,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            OK_ON,
            "fresh, release served, finish",
        ),
        (
            GET,
            GET_ON,
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK|Content-Length: 2|Via: 1.0 proxy|Connection: keep-alive||ok",
            "fresh, release served, finish",
        ),
        (
            GET,
            GET_ON,
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK|Content-Length: 2|Via: 1.0 proxy|Connection: keep-alive||ok",
            "fresh, release reusable served, finish",
        ),
        // Bytes behind the end of a response spoil the connection and go nowhere.
        (
            GET,
            GET_ON,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
            OK_ON,
            "fresh, release served, finish",
        ),
        (
            GET,
            GET_ON,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nx",
            chunked,
            "fresh, release served, finish",
        ),
        // RFC 9112 section 6.3 rule 1: no body, whatever is said of it.
        (
            "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
            "HEAD / HTTP/1.1|Host: h||",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            "HTTP/1.1 200 OK|Content-Length: 9|Via: 1.1 proxy|Connection: keep-alive||",
            "fresh, release reusable served, finish",
        ),
        (
            "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
            "HEAD / HTTP/1.1|Host: h||",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK|Content-Length: 2|Via: 1.1 proxy|Connection: keep-alive||",
            "fresh, release served, finish",
        ),
        (
            GET,
            GET_ON,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            "HTTP/1.1 304 Not Modified|Content-Length: 9|Via: 1.1 proxy|Connection: keep-alive||",
            "fresh, release reusable served, finish",
        ),
        (
            GET,
            GET_ON,
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 204 No Content|Via: 1.1 proxy|Connection: keep-alive||",
            "fresh, release reusable served, finish",
        ),
        // HTTP/1.0 clients: no chunks, no Transfer-Encoding (RFC 9112 section 6.1), closed unless asked.
        (
            "GET / HTTP/1.0\r\nHost: h\r\n\r\n",
            GET_ON,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
            close,
            "fresh, release reusable served, close",
        ),
        (
            "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
            GET_ON,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            close,
            // It may send more, which must not reset what it has not read.
            "fresh, release reusable served, shut Client",
        ),
        (
            "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
            GET_ON,
            OK,
            OK_ON,
            "fresh, release reusable served, finish",
        ),
        (
            "HEAD / HTTP/1.0\r\n\r\n",
            "HEAD / HTTP/1.1|Host: app1:5000||",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK|Via: 1.1 proxy|Connection: close||",
            "fresh, release reusable served, close",
        ),
    ] {
        let mut play = Play::plain();
        play.client_sends(request);
        assert_eq!(play.upstream_got(), on, "{request}");
        play.upstream_sends(response);
        assert_eq!(play.client_got(), back, "{response}");
        assert_eq!(play.happened(), happened, "{request}{response}");
    }
}

/// RFC 9112 section 6.3 rule 8
#[test]
fn a_body_that_ends_with_its_connection_is_chunked_for_those_who_know_chunks() {
    let response = "HTTP/1.0 200 OK\r\n\r\nab";
    let mut play = Play::plain();
    play.client_sends(GET);
    play.upstream_sends(response);
    play.upstream_sends("cde");
    play.upstream_ends();
    assert_eq!(
        play.client_got(),
        "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Via: 1.0 proxy|Connection: keep-alive||2|ab|3|cde|0||"
    );
    assert_eq!(play.happened(), "fresh, release served, finish");

    play.client_sends(GET);
    play.upstream_sends("HTTP/1.1 200 OK\r\n\r\n");
    play.upstream_ends();
    assert!(play.client_got().ends_with("||0||"), "an empty body has its end too");

    let mut play = Play::plain();
    play.client_sends("GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
    play.upstream_sends(response);
    play.upstream_sends("cde");
    play.upstream_ends();
    assert_eq!(play.client_got(), "HTTP/1.1 200 OK|Via: 1.0 proxy|Connection: close||abcde");
    assert_eq!(play.happened(), "fresh, release served, shut Client");
}

/// RFC 9112 section 7.1.2, RFC 9110 section 6.5.1
#[test]
fn trailers_pass_both_ways_without_what_must_not() {
    let mut play = Play::plain();
    play.client_sends(
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: x-mine\r\nTransfer-Encoding: chunked\r\n\r\n\
         1\r\na\r\n0\r\nX-Sum:1\r\nX-Mine: 2\r\nContent-Length: 3\r\n\r\n",
    );
    assert_eq!(play.upstream_got(), "POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked||1|a|0|X-Sum: 1||");
    play.upstream_sends("HTTP/1.1 200 OK\r\nConnection: x-mine\r\nTransfer-Encoding: chunked\r\n\r\n");
    play.upstream_sends("1\r\na\r\n0\r\nX-Su");
    play.upstream_sends("m: 1\r\nX-Mine: 2\r\nHost: 3\r\n\r\n");
    assert_eq!(
        play.client_got(),
        "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Via: 1.1 proxy|Connection: keep-alive||1|a|0|X-Sum: 1||"
    );
    assert_eq!(play.happened(), "fresh, release reusable served, finish");
    play.one_exchange();
}

#[test]
fn trailers_are_held_to_rules() {
    for (trailers, status) in [
        ("A : b\r\n\r\n", "400"),
        ("A: b\n\r\n", "400"),
        ("A\r\n\r\n", "400"),
        (&*format!("A: {}\r\n\r\n", "b".repeat(2000)), "431"),
    ] {
        let mut play = Play::new(|config| config.sites[0].client.max_header_size = 1024);
        play.client_sends("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
        play.client_sends(trailers);
        let got = play.client_got();
        assert!(
            got.starts_with(&format!("HTTP/1.1 {status} ")) && got.contains("Connection: close"),
            "{got}"
        );
        assert!(!play.upstreams[0].sent.ends_with(b"0\r\n\r\n"), "the request was ended");
        assert_eq!(play.happened(), "fresh, release, shut Client");
    }
}

/// A head up to the limit passes, one byte more does not, whatever lies behind it.
#[test]
fn heads_are_bounded_to_the_byte() {
    for (size, fits) in [(1024, true), (1025, false)] {
        for behind in ["", "\r\n\r\n", "\0"] {
            let rest = size - GET.len() - "X: \r\n".len();
            let request = GET.replace("Host", &format!("X: {}\r\nHost", "x".repeat(rest)));
            let mut play = Play::new(|config| config.sites[0].client.max_header_size = 1024);
            play.client_sends(&format!("{request}{behind}"));
            assert_eq!(play.upstreams.len(), usize::from(fits), "{size} {behind:?}");
            assert_eq!(play.client_got().starts_with("HTTP/1.1 431 "), !fits);

            let rest = size - "HTTP/1.1 204 \r\nX: \r\n\r\n".len();
            let response = format!("HTTP/1.1 204 \r\nX: {}\r\n\r\n{behind}", "x".repeat(rest));
            let mut play = Play::new(|config| config.sites[0].client.max_header_size = 1024);
            play.client_sends(GET);
            play.upstream_sends(&response);
            assert_eq!(play.client_got().starts_with("HTTP/1.1 204 "), fits, "{size} {behind:?}");
        }
    }
}

#[test]
fn a_request_without_a_host_gets_the_servers_name() {
    use crate::config::{Config, Host, Server};
    for (server, host) in [
        (Server::new("app2:81", Host::Name("app2".into(), 81)), "app2:81"),
        // A path is not a host (RFC 9110 section 7.2).
        (Server::new("unix:/tmp/app", Host::Unix("/tmp/app".into())), "localhost"),
    ] {
        let mut play = Play::new(|config| *config = Config::new(vec![server]));
        play.client_sends("GET / HTTP/1.0\r\n\r\n");
        let got = play.upstream_got();
        assert!(got.starts_with(&format!("GET / HTTP/1.1|Host: {host}|")), "{got}");
    }
}

/// However small the chunks are: what passes of a buffer goes on at once.
#[test]
fn framing_that_does_not_pass_costs_no_sends() {
    const CHUNKS: usize = 10_000;
    let most = |play: &Play, len: usize| 2 * len / play.env.buffers.small_size() + 4;
    let mut play = Play::plain();
    let body = "1;a\r\nX\r\n".repeat(CHUNKS);
    play.client_sends(&format!(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n"
    ));
    let (sends, most_sends) = (play.upstream().sends, most(&play, body.len()));
    assert!(sends <= most_sends, "{sends} sends");
    let on = "1|X|".repeat(CHUNKS);
    assert_eq!(play.upstream_got(), format!("POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked||{on}0||"));

    let mut play = Play::plain();
    let body = "10\r\n0123456789abcdef\r\n".repeat(CHUNKS);
    play.client_sends("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    play.upstream_sends(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n"));
    assert!(play.client.sends <= most(&play, body.len()), "{} sends", play.client.sends);
    assert!(play.client_got().ends_with(&format!("||{}", "0123456789abcdef".repeat(CHUNKS))));
    assert_eq!(play.happened(), "fresh, release reusable served, close");
}

/// A request whose chunks had extensions can still go to another server, without those.
#[test]
fn what_is_dropped_is_not_missed_when_sending_again() {
    let mut play = Play::plain();
    play.links = [Link::Dead].into();
    play.client_sends(
        "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\nX\r\n2 ;b\r\nYZ\r\n0;c\r\n\r\nGET",
    );
    assert_eq!(play.happened(), "dead, stale, same fresh");
    assert_eq!(play.upstream_got(), "PUT / HTTP/1.1|Host: h|Transfer-Encoding: chunked||1|X|2|YZ|0||");
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON);
    play.client_sends(" / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(play.upstream_got(), GET_ON, "the request behind it lies there whole");
}

/// RFC 9110 sections 10.1.1 and 15.2
#[test]
fn interim_responses_pass_to_those_who_know_them() {
    let mut play = Play::plain();
    play.client_sends("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(play.upstream_got(), "POST / HTTP/1.1|Host: h|Expect: 100-continue|Content-Length: 5||");
    play.upstream_sends("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(play.client_got(), "HTTP/1.1 100 Continue|Via: 1.1 proxy||");
    play.client_sends("hello");
    assert_eq!(play.upstream_got(), "hello");
    play.upstream_sends(&format!("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n{OK}"));
    assert_eq!(
        play.client_got(),
        format!("HTTP/1.1 102 Processing|Via: 1.1 proxy||HTTP/1.1 103 Early|Link: x|Via: 1.1 proxy||{OK_ON}")
    );
    assert_eq!(play.happened(), "fresh, release reusable served, finish");

    let mut play = Play::plain();
    play.client_sends("GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
    play.upstream_sends(&format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n\r\n{OK}"));
    assert_eq!(play.client_got(), OK_ON);
}

#[test]
fn interim_responses_are_counted() {
    let mut play = Play::plain();
    play.client_sends(GET);
    play.upstream_sends(&"HTTP/1.1 103 Early\r\n\r\n".repeat(32));
    assert_eq!(play.client_got().matches("103").count(), 32);
    play.upstream_sends("HTTP/1.1 103 Early\r\n\r\n");
    assert!(play.client_got().starts_with("HTTP/1.1 502 "));
    assert_eq!(play.happened(), "fresh, abandon too many interim responses, finish");
}

/// RFC 9110 section 10.1.1: the client may be refused before it sends its body.
#[test]
fn a_final_response_instead_of_100() {
    let mut play = Play::plain();
    play.client_sends("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    play.upstream_sends("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
    assert_eq!(play.client_got(), "HTTP/1.1 403 No|Content-Length: 2|Via: 1.1 proxy|Connection: close||no");
    // What it sends nevertheless is dropped until it closes.
    assert_eq!(play.happened(), "fresh, release served, shut Client");
    play.client_sends("hello");
    assert_eq!(play.upstreams.len(), 1);
    play.client_ends();
    assert_eq!(play.happened(), "close");
}

#[test]
fn an_early_response_ends_both_connections() {
    let mut play = Play::plain();
    play.client_sends(&format!("{POST}he"));
    assert_eq!(play.upstream_got(), format!("{POST_ON}he"));
    play.upstream_sends("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwh");
    // The rest of the request goes on as long as the response comes.
    play.client_sends("l");
    assert_eq!(play.upstream_got(), "l");
    play.upstream_sends("at");
    assert_eq!(play.client_got(), "HTTP/1.1 200 OK|Content-Length: 4|Via: 1.1 proxy|Connection: close||what");
    assert_eq!(play.happened(), "fresh, release served, shut Client");
}

/// Nothing that came behind a request may be taken for a part of it, nor the other way round.
#[test]
fn an_early_response_to_a_whole_request_that_was_not_sent_to_its_end() {
    let mut play = Play::plain();
    play.client_sends(POST);
    play.upstream().stalls = true;
    play.client_sends(&format!("hello{GET}"));
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON);
    assert_eq!(play.happened(), "fresh, release served, finish, fresh");
    assert_eq!(play.upstream_got(), GET_ON);
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON);
}

#[test]
fn refusals_name_their_status_and_close() {
    let long = "x".repeat(2000);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", "400 Bad Request"),
        ("GET / HTTP/3.0\r\nHost: h\r\n\r\n", "505 HTTP Version Not Supported"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 HTTP Version Not Supported"),
        ("\u{16}\u{3}\u{1}", "400 Bad Request"),
        ("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", "405 Not Allowed"),
        ("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", "405 Not Allowed"),
        ("GET https://h/ HTTP/1.1\r\nHost: h\r\n\r\n", "421 Misdirected Request"),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n", "200 OK"),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400 Bad Request",
        ),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x, chunked\r\n\r\n", "501 Not Implemented"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n", "413 Request Entity Too Large"),
        (&*format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), "414 Request-URI Too Large"),
        (&*format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n"), "431 Request Header Fields Too Large"),
    ] {
        let mut play = Play::new(|config| {
            (config.sites[0].client.max_header_size, config.sites[0].location.rules.max_body_size) =
                (1024, 8);
        });
        // What comes behind is not taken for a request.
        play.client_sends(&format!("{request}{GET}"));
        let got = play.client_got();
        assert!(got.starts_with(&format!("HTTP/1.1 {status}|Server: proxy|")), "{request:?} {got}");
        assert!(got.contains("|Connection: close||<!DOCTYPE"), "{got}");
        assert_eq!(play.happened(), "shut Client", "{request:?}");
        play.client_ends();
        assert_eq!((play.happened(), play.upstreams.len()), ("close".into(), 0));
    }
}

#[test]
fn a_refused_head_request_gets_no_body() {
    for (request, has_body) in [
        ("HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", false),
        ("\n\r\nHEAD / HTTP/1.1\r\nHost : h", false),
        ("HEAD \0", false),
        // What is malformed before its method comes has none, in whatever pieces it comes.
        ("\n\rHEAD / HTTP/1.1", true),
        (" HEAD / HTTP/1.1", true),
        ("HEADS \0", true),
    ] {
        for reads in [vec![], vec![1]] {
            let mut play = Play::plain();
            play.reads = reads;
            play.client_sends(request);
            let got = play.client_got();
            assert!(got.starts_with("HTTP/1.1 400 "), "{got}");
            assert_eq!(!got.ends_with("Connection: close||"), has_body, "{request:?} {got}");
        }
    }
}

#[test]
fn bodies_are_refused_on_the_way() {
    let chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, status, went) in [
        ("3\r\nabc\r\n6\r\nabcdef\r\n", "413", ""),
        ("3\r\nabcX", "400", ""),
        ("3\nabc", "400", ""),
        ("3\r\nabc\r\n0\n\r\n", "400", ""),
    ] {
        let mut play = Play::new(|config| config.sites[0].location.rules.max_body_size = 8);
        play.client_sends(chunked);
        play.client_sends(body);
        let got = play.client_got();
        assert!(
            got.starts_with(&format!("HTTP/1.1 {status} ")) && got.contains("Connection: close"),
            "{got}"
        );
        assert!(!play.upstreams[0].sent.ends_with(b"0\r\n\r\n"), "{body:?} was ended: {went}");
        // The server is not to blame; its connection is of no more use.
        assert_eq!(play.happened(), "fresh, release, shut Client", "{body:?}");
    }
}

/// RFC 9112 section 2.2
#[test]
fn empty_lines_between_requests_are_ignored() {
    let mut play = Play::plain();
    play.client_sends(&format!("\r\n\r\n{GET}\r\n{GET}"));
    play.upstream_sends(OK);
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), format!("{OK_ON}{OK_ON}"));
}
