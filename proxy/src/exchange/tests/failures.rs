//! Upstream connections that fail: what is tried again, what the client sees, who is to blame.

use super::play::Wire;
use super::*;
use crate::time::Duration;

/// What the client got: the status line and the end of the connection.
fn outcome(play: &mut Play) -> String {
    let got = play.client_got();
    let status = got.split('|').next().unwrap_or_default().to_owned();
    format!("{status}; {}", play.happened())
}

#[test]
fn a_refused_connection_moves_any_request_on() {
    for (request, on) in [(GET, GET_ON), (POST, POST_ON)] {
        let mut play = Play::plain();
        play.links = [Link::Refused, Link::Refused].into();
        play.client_sends(request);
        assert_eq!(play.upstream_got(), on);
        let refused = "refused, abandon connection refused";
        assert_eq!(play.happened(), format!("{refused}, {refused}, fresh"));
    }
}

#[test]
fn tries_come_to_an_end() {
    let mut play = Play::plain();
    play.links = [Link::Refused; 5].into();
    play.client_sends(GET);
    let refused = "refused, abandon connection refused, ";
    assert_eq!(outcome(&mut play), format!("HTTP/1.1 502 Bad Gateway; {}finish", refused.repeat(3)));
    play.tries = 1;
    play.links = [Link::Nobody].into();
    play.client_sends(GET);
    assert_eq!(outcome(&mut play), "HTTP/1.1 502 Bad Gateway; nobody, finish");
    // A body that is still to come cannot be told from the next request.
    play.tries = 1;
    play.links = [Link::Refused].into();
    play.client_sends(POST);
    let expected = "HTTP/1.1 502 Bad Gateway; refused, abandon connection refused, shut Client";
    assert_eq!(outcome(&mut play), expected);
}

/// RFC 9112 section 9.3.1, RFC 9110 section 9.2.2
#[test]
fn a_dead_pooled_connection_earns_another_on_the_same_server() {
    let mut play = Play::plain();
    play.tries = 1;
    play.links = [Link::Dead].into();
    play.client_sends(GET);
    assert_eq!(play.happened(), "dead, stale, same fresh");
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON);

    // Its end has come before anything was sent: so a POST too.
    let mut play = Play::plain();
    play.links = [Link::Ended].into();
    play.client_sends(&format!("{POST}hello"));
    assert_eq!(play.happened(), "ended, stale, same fresh");
    assert_eq!(play.upstream_got(), format!("{POST_ON}hello"));

    // A request that may have been processed is not sent twice …
    let mut play = Play::plain();
    play.links = [Link::Pooled].into();
    play.client_sends(&format!("{POST}hello"));
    play.upstream_ends();
    assert_eq!(outcome(&mut play), "HTTP/1.1 502 Bad Gateway; pooled, stale, finish");
    // … unless its sender's configuration takes that upon itself.
    let mut play = Play::new(|config| config.sites[0].location.rules.next_upstream.non_idempotent = true);
    play.links = [Link::Pooled].into();
    play.client_sends(&format!("{POST}hello"));
    play.upstream_ends();
    assert_eq!(play.happened(), "pooled, stale, same fresh");
    assert_eq!(play.upstream_got(), format!("{POST_ON}hello"));
}

/// Whoever is told that a request can be sent again need not look at a pooled connection first.
#[test]
fn a_request_is_known_to_be_repeatable_when_all_of_it_is_here() {
    let put = |framing: &str| format!("PUT / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n");
    for (request, is_repeatable) in [
        (GET.to_owned(), true),
        (put("Content-Length: 5") + "hello", true),
        (put("Transfer-Encoding: chunked") + "0\r\n\r\n", true),
        (put("Content-Length: 5") + "hell", false),
        (put("Content-Length: 500000"), false),
        (put("Transfer-Encoding: chunked") + "5\r\nhello", false),
        (format!("{POST}hello"), false),
    ] {
        let mut play = Play::plain();
        play.links = [Link::Pooled].into();
        play.client_sends(&request);
        assert_eq!((play.happened().as_str(), play.replay_safe), ("pooled", is_repeatable), "{request}");
    }
}

/// Has the exchange take `wire` for a pooled connection.
fn pool(play: &mut Play, request: &str, wire: Wire) {
    play.links = [Link::Slow].into();
    play.client_sends(request);
    play.happened();
    play.had(wire);
    play.exchange.acquired(true, play.env.now);
    play.run();
}

#[test]
fn a_pooled_connection_that_dies_before_anything_is_sent() {
    let mut play = Play::plain();
    pool(&mut play, &format!("{POST}hello"), Wire { stalls: true, ..Wire::default() });
    play.upstream().breaks = true;
    play.run();
    assert_eq!(play.happened(), "stale, same fresh");
    assert_eq!(play.upstream_got(), format!("{POST_ON}hello"));
}

#[test]
fn a_pooled_connection_that_cannot_be_sent_to() {
    // Nothing of either request can have come there.
    for (request, on) in
        [(GET.to_owned(), GET_ON.to_owned()), (format!("{POST}hello"), format!("{POST_ON}hello"))]
    {
        let mut play = Play::plain();
        pool(&mut play, &request, Wire { refuses: true, ..Wire::default() });
        assert_eq!(play.happened(), "stale, same fresh");
        assert_eq!(play.upstream_got(), on);
    }
}

#[test]
fn a_server_that_closes_without_a_word() {
    for (request, happened) in [
        (GET, "fresh, abandon connection closed before the response's end, fresh"),
        (POST, "fresh, abandon connection closed before the response's end, shut Client"),
    ] {
        let mut play = Play::plain();
        play.client_sends(request);
        play.upstream_ends();
        assert_eq!(play.happened(), happened, "{request}");
    }
}

#[test]
fn a_pooled_connection_that_has_begun_to_answer_was_not_dead() {
    let mut play = Play::plain();
    play.links = [Link::Pooled].into();
    play.client_sends(GET);
    play.upstream_sends("H");
    play.upstream_ends();
    assert_eq!(
        play.happened(),
        "pooled, abandon connection closed before the response's end, fresh",
        "a failure of its server, so another one"
    );
}

/// The client has nothing of a response yet (RFC 9110 section 9.2.2); but that says nothing of what the server did.
#[test]
fn a_server_that_closes_within_a_head() {
    for (request, happened) in [
        (GET, "fresh, abandon connection closed before the response's end, fresh"),
        (POST, "fresh, abandon connection closed before the response's end, shut Client"),
    ] {
        let mut play = Play::plain();
        play.client_sends(request);
        play.upstream_sends("HTTP/1.1 2");
        play.upstream_ends();
        assert_eq!(play.happened(), happened, "{request}");
    }
    let mut play = Play::plain();
    play.client_sends(GET);
    play.upstream_sends("HTTP/1.1 2");
    play.upstream_ends();
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON, "nothing of the first try is left");
}

/// What is short and of known length waits for its end, as long as another server can answer.
#[test]
fn a_server_that_closes_within_a_short_body() {
    let (half, rest) = OK.split_at(OK.len() - 1);
    let mut play = Play::plain();
    play.client_sends(GET);
    play.upstream_sends(half);
    play.upstream_ends();
    assert_eq!(play.happened(), "fresh, abandon connection closed before the response's end, fresh");
    play.upstream_sends(half);
    assert_eq!(play.client_got(), "");
    play.upstream_sends(rest);
    assert_eq!(play.client_got(), OK_ON);
    // A POST may not be sent twice, so nothing would be won.
    let mut play = Play::plain();
    play.client_sends(&format!("{POST}hello"));
    play.upstream_sends(half);
    assert_eq!(play.client_got(), OK_ON.strip_suffix('k').unwrap());
}

/// Nothing waits that is long, of unknown length, the last server's, or where the configuration says so.
#[test]
fn other_bodies_do_not_wait() {
    let begins = |play: &mut Play, response: &str| {
        play.client_sends(GET);
        play.upstream_sends(response);
        !play.client_got().is_empty()
    };
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab";
    assert!(!begins(&mut Play::plain(), short));
    assert!(begins(&mut Play::plain(), &short.replace("Content-Length: 5", "Content-Length: 99999")));
    assert!(begins(&mut Play::plain(), &short.replace("Content-Length: 5", "X: y")));
    assert!(begins(&mut Play::plain(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"));
    let mut play = Play::plain();
    play.tries = 1;
    assert!(begins(&mut play, short));
    assert!(begins(&mut Play::new(|config| config.sites[0].location.rules.buffers_answers = false), short));
    // What fits to the octet waits, one octet more does not.
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 00000\r\n\r\n";
    let room = Play::plain().env.buffers.small_size() - head.len();
    for (length, waits) in [(room, true), (room + 1, false)] {
        let mut play = Play::plain();
        let head = head.replace("00000", &format!("{length:05}"));
        assert_eq!(begins(&mut play, &head), !waits, "{length}");
        play.upstream_sends(&"x".repeat(length));
        assert_eq!(play.happened(), "fresh, release reusable served, finish");
    }
}

/// RFC 9112 section 8: an incomplete response is never presented as complete.
#[test]
fn truncated_responses_lack_their_end() {
    for (response, passed) in [
        ("Content-Length: 5\r\n\r\nabc", "Content-Length: 5|*abc"),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "Transfer-Encoding: chunked|*3|abc|"),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "Transfer-Encoding: chunked|*3|abc|0|"),
        (
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n",
            "Transfer-Encoding: chunked|*3|abc|0|",
        ),
        ("Transfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding: chunked|*"),
    ] {
        for breaks in [false, true] {
            let mut play = Play::plain();
            play.tries = 1;
            play.client_sends(GET);
            play.upstream_sends(&format!("HTTP/1.1 200 OK\r\n{response}"));
            play.upstream().ends = !breaks;
            play.upstream().breaks = breaks;
            play.run();
            let passed = passed.replace('*', "Via: 1.1 proxy|Connection: keep-alive||");
            assert_eq!(play.client_got(), format!("HTTP/1.1 200 OK|{passed}"));
            assert!(play.happened().ends_with(", shut Client"), "{response:?}");
        }
    }
    // A body that ends with its connection must end in peace. Where that is so for the client too, it has to be told.
    for (version, end, happened) in [("1.1", "||3|abc", "shut Client"), ("1.0", "||abc", "reset")] {
        let mut play = Play::plain();
        play.client_sends(&GET.replace("1.1", version));
        play.upstream_sends("HTTP/1.1 200 OK\r\n\r\nabc");
        play.upstream().breaks = true;
        play.run();
        assert!(play.client_got().ends_with(end));
        assert!(play.happened().ends_with(&format!(", {happened}")));
    }
}

#[test]
fn chunks_that_go_wrong_do_not_come_to_their_end() {
    for chunks in ["3\r\nabcX", "3\nabc", "x", "3\r\nabc\r\n0\r\nX : y\r\n\r\n", "1 1\r\na\r\n"] {
        let mut play = Play::plain();
        play.client_sends(GET);
        play.upstream_sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        play.upstream_sends(chunks);
        assert!(play.happened().ends_with(", shut Client"), "{chunks:?}");
        assert!(!play.client_got().ends_with("||0||"));
    }
}

#[test]
fn invalid_responses_are_not_passed_on() {
    let large = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(2000));
    for response in [
        "ICY 200 OK\r\n\r\n",
        "<html></html>",
        "HTTP/1.1 2 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
        // RFC 9110 section 15.2.2
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        &large,
        &large[..1500],
    ] {
        let mut play = Play::new(|config| config.sites[0].client.max_header_size = 1024);
        play.client_sends(GET);
        play.upstream_sends(response);
        assert!(play.client_got().starts_with("HTTP/1.1 502 Bad Gateway|"), "{response:?}");
        // The connection to the client is none the worse for it.
        assert_eq!(play.upstreams.len(), 1);
        play.tries = 1;
        play.one_exchange();

        // `proxy_next_upstream invalid_header`
        let mut play = Play::new(|config| {
            config.sites[0].client.max_header_size = 1024;
            config.sites[0].location.rules.next_upstream.invalid_header = true;
        });
        play.client_sends(GET);
        play.upstream_sends(response);
        assert_eq!((play.client_got(), play.upstreams.len()), (String::new(), 2), "{response:?}");
        assert_eq!(play.upstream_got(), GET_ON);
    }
}

/// `proxy_next_upstream http_503`
#[test]
fn statuses_move_on_where_configured() {
    let sick = "HTTP/1.1 503 Sick\r\nContent-Length: 4\r\n\r\nsick";
    let with_503 = || Play::new(|config| config.sites[0].location.rules.next_upstream.statuses[0] = 503);
    let mut play = with_503();
    play.client_sends(GET);
    play.upstream_sends(sick);
    assert_eq!(play.happened(), "fresh, abandon status 503, fresh");
    assert_eq!(play.upstream_got(), GET_ON);
    play.upstream_sends(sick);
    play.upstream_sends(sick);
    // When every server has answered so, the last answer passes.
    assert!(play.client_got().starts_with("HTTP/1.1 503 Sick|"));
    assert_eq!(play.happened(), "abandon status 503, fresh, release reusable served, finish");

    // Its head may come in parts.
    let mut play = with_503();
    play.client_sends(GET);
    play.upstream_sends(&sick[..15]);
    play.upstream_sends(&sick[15..]);
    assert_eq!(play.happened(), "fresh, abandon status 503, fresh");

    // Not a request that may not be sent twice, nor one whose client has seen something.
    let mut play = with_503();
    play.client_sends(&format!("{POST}hello"));
    play.upstream_sends(sick);
    assert!(play.client_got().starts_with("HTTP/1.1 503 Sick|"));
    let mut play = with_503();
    play.client_sends(GET);
    play.upstream_sends(&format!("HTTP/1.1 103 Early\r\n\r\n{sick}"));
    assert!(play.client_got().contains("HTTP/1.1 503 Sick|"));
}

#[test]
fn a_body_that_is_held_is_sent_again() {
    let put = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n";
    let on = "PUT / HTTP/1.1|Host: h|Content-Length: 10||";
    let mut play = Play::plain();
    play.client_sends(&format!("{put}hello"));
    play.upstream_ends();
    assert_eq!(play.upstream_got(), format!("{on}hello"));
    play.client_sends("world");
    assert_eq!(play.upstream_got(), "world");
    play.upstream_ends();
    assert_eq!(play.upstream_got(), format!("{on}helloworld"));
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON);
}

#[test]
fn a_body_that_is_too_long_to_be_held_is_not() {
    let mut play = Play::new(|config| config.sites[0].client.max_header_size = 1024);
    play.client_sends("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
    play.client_sends(&"x".repeat(90000));
    play.upstream_ends();
    assert!(play.client_got().starts_with("HTTP/1.1 502 "));
    assert_eq!(play.happened(), "fresh, abandon connection closed before the response's end, shut Client");
}

/// A server may answer and close while the request is still being sent.
#[test]
fn a_response_before_a_failure_to_send_is_passed_on() {
    let mut play = Play::plain();
    play.client_sends(POST);
    play.upstream().incoming.extend("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n".as_bytes());
    play.upstream().refuses = true;
    play.client_sends("hello");
    assert!(play.client_got().starts_with("HTTP/1.1 413 Too Large|"));
    assert_eq!(play.happened(), "fresh, release served, shut Client");
}

/// It is that connection's, not the next one's.
#[test]
fn a_failure_to_send_is_forgotten_with_its_request() {
    let mut play = Play::plain();
    play.links.push_back(Link::Slow);
    play.client_sends(&format!("{POST}hello"));
    play.had(Wire { room: Some(10), ..Wire::default() });
    play.exchange.acquired(false, play.env.now);
    play.run();
    play.upstream().incoming.extend("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".as_bytes());
    (play.upstream().stalls, play.upstream().refuses) = (false, true);
    play.run();
    assert_eq!(play.happened(), "slow, release served, finish");
    play.client_sends(GET);
    play.upstream_sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(play.upstream_got(), GET_ON);
    assert_eq!(play.client_got().matches("HTTP/1.1 200 OK|").count(), 2);
}

#[test]
fn a_failure_to_send_without_a_response_is_a_failure() {
    let mut play = Play::plain();
    play.client_sends(POST);
    play.upstream().refuses = true;
    play.client_sends("hello");
    assert_eq!(outcome(&mut play), "HTTP/1.1 502 Bad Gateway; fresh, abandon broken pipe, finish");
}

/// The client must never get the proxy's answer in the middle of an interim response.
#[test]
fn an_interim_response_that_is_half_sent_comes_to_its_end_first() {
    let interim = "HTTP/1.1 103 Early|Link: x|Via: 1.1 proxy||";
    let prepare = |request: &str| {
        let mut play = Play::plain();
        play.client_sends(request);
        // Ten bytes of it go, then no more.
        play.client.room = Some(10);
        play.upstream_sends("HTTP/1.1 103 Early\r\nLink: x\r\n\r\n");
        play
    };
    // The client's body turns out malformed.
    let mut play = prepare("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    play.client_sends("x");
    (play.client.stalls, play.client.room) = (false, None);
    play.run();
    let got = play.client_got();
    assert!(got.starts_with(&format!("{interim}HTTP/1.1 400 Bad Request|")), "{got}");
    // The upstream cannot be sent to.
    let mut play = prepare(POST);
    play.upstream().refuses = true;
    play.client_sends("hello");
    (play.client.stalls, play.client.room) = (false, None);
    play.run();
    let got = play.client_got();
    assert!(got.starts_with(&format!("{interim}HTTP/1.1 502 Bad Gateway|")), "{got}");
}

/// `proxy_next_upstream_timeout`
#[test]
fn after_a_time_no_other_server_is_tried() {
    let sick = "HTTP/1.1 503 Sick\r\nContent-Length: 4\r\n\r\nsick";
    let play = |after_ms: u64, timeout_ms: u64| {
        let mut play = Play::new(|config| {
            let rules = &mut config.sites[0].location.rules;
            rules.next_upstream.statuses[0] = 503;
            rules.tries_timeout = Duration::from_millis(timeout_ms);
        });
        play.client_sends(GET);
        play.env.now = play.env.now + Duration::from_millis(after_ms);
        play
    };
    for (after_ms, timeout_ms) in [(4_999, 5_000), (3_600_000, 0)] {
        let mut play = play(after_ms, timeout_ms);
        play.upstream_sends(sick);
        assert_eq!(play.happened(), "fresh, abandon status 503, fresh");
    }
    // The status passes, and a failure is the client's to hear of.
    let mut late = play(5_000, 5_000);
    late.upstream_sends(sick);
    assert!(late.client_got().starts_with("HTTP/1.1 503 Sick|"));
    let mut late = play(5_000, 5_000);
    late.upstream_ends();
    assert_eq!(
        outcome(&mut late),
        "HTTP/1.1 502 Bad Gateway; fresh, abandon connection closed before the response's end, finish"
    );
    // The next request has its own time.
    late.client_sends(GET);
    late.upstream_sends(sick);
    assert_eq!(late.happened(), "fresh, abandon status 503, fresh");
}

#[test]
fn a_head_is_as_large_as_the_rules_let_it_be() {
    for (longer, answer) in [(0, "HTTP/1.1 200 OK|"), (1, "HTTP/1.1 502 Bad Gateway|")] {
        for size in [1, 100, 10_000] {
            let mut play = Play::new(|config| {
                config.sites[0].client.max_header_size = 1000;
            });
            play.tries = 1;
            play.reads = vec![size];
            play.client_sends(GET);
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: \r\n\r\n";
            let head = head.replace("X: ", &format!("X: {}", "x".repeat(1000 - head.len() + longer)));
            play.upstream_sends(&format!("{head}a"));
            let got = play.client_got();
            assert!(got.starts_with(answer), "{longer} {size}: {got}");
        }
    }
}
