//! Requests that another location answers in place of an error, with the body that they bring, and what the client sees
//! where a server's status is not the one that is shown.

use super::*;
use crate::config::site::{Answer, ErrorPage, Forwarding, Listed, Match, PageStatus, PassBody};
use crate::config::template::{Part, Template, Variable};
use crate::config::{Action, Location, Pass};
use crate::time::Duration;

fn page(status: u16, shown: PageStatus) -> ErrorPage {
    ErrorPage { statuses: vec![status], status: shown, target: Template::text("@app") }
}

fn app(pass: Pass) -> Location {
    Location { matches: Match::Named("@app".into()), ..Location::new(Action::Proxy(pass)) }
}

/// Requests are answered with 418, for which a server's answer stands.
fn sent_on() -> Play {
    Play::new(|config| {
        let site = &mut config.sites[0];
        site.location.action = Action::Answer(Answer { status: 418, text: None });
        site.location.rules.error_pages = vec![page(418, PageStatus::Own)];
        site.locations.push(app(Pass::new(0, "app1:5000".into())));
    })
}

/// For a server's 404 its answer in another location stands, shown with this status.
fn shown_as(shown: u16) -> Play {
    Play::new(|config| {
        let site = &mut config.sites[0];
        site.location.rules.intercepts_errors = true;
        site.location.rules.error_pages = vec![page(404, PageStatus::Set(shown))];
        site.locations.push(app(Pass::new(0, "app1:5000".into())));
    })
}

const MISSING: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_body_goes_along_in_whatever_pieces_it_comes() {
    for (request, on) in [
        (format!("{POST}hello"), format!("{POST_ON}hello")),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n"
                .into(),
            "POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked||5|hello|0|X: 1||".into(),
        ),
    ] {
        for size in [1, 7, 1000] {
            let mut play = sent_on();
            play.reads = vec![size];
            play.client_sends(&format!("{request}{GET}"));
            assert_eq!(play.upstream_got(), on, "{request} {size}");
            play.upstream_sends(OK);
            assert_eq!(play.client_got(), OK_ON, "{request} {size}");
            assert_eq!(play.upstream_got(), GET_ON, "{request} {size}");
        }
    }
}

#[test]
fn a_body_that_is_not_here_any_more_cannot_go_along() {
    let mut play = Play::new(|config| {
        let site = &mut config.sites[0];
        site.location.rules.error_pages = vec![page(502, PageStatus::Own)];
        site.locations.push(app(Pass::new(0, "app1:5000".into())));
    });
    let body = "x".repeat(100_000);
    play.client_sends(&format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n{body}"));
    assert!(play.upstream_got().ends_with(&body));
    play.tries = 1;
    play.upstream().breaks = true;
    play.run();
    assert!(play.client_got().starts_with("HTTP/1.1 502 Bad Gateway|"));
}

/// The server's own location, and `@app`, with this for the body of what goes to the former.
fn dropping(body: PassBody) -> Play {
    Play::new(|config| {
        let site = &mut config.sites[0];
        let rules = &mut site.location.rules;
        rules.forwarding = Forwarding::Listed(Listed { body, response_head_max: 4096, ..Listed::default() });
        rules.error_pages = vec![page(502, PageStatus::Own)];
        site.locations.push(app(Pass::new(0, "app1:5000".into())));
    })
}

#[test]
fn a_body_that_was_dropped_is_not_announced_again() {
    let set = || PassBody::Replaced(Template::text("x"));
    for (body, length, pieces) in [
        (set(), "Content-Length: 5", &["hello"][..]),
        (set(), "Content-Length: 5", &["he", "llo"]),
        (PassBody::Dropped, "Transfer-Encoding: chunked", &["5\r\nhello\r\n0\r\n\r\n"]),
    ] {
        let mut play = dropping(body);
        (play.tries, play.links) = (1, [Link::Refused].into());
        play.client_sends(&format!("POST / HTTP/1.1\r\nHost: h\r\n{length}\r\n\r\n"));
        for piece in pieces {
            play.client_sends(piece);
        }
        assert!(play.client_got().starts_with("HTTP/1.1 502 Bad Gateway|"), "{length}");
        assert!(play.upstreams.is_empty(), "{length}");
    }
}

#[test]
fn a_request_that_has_become_one_for_a_page_stays_one() {
    let mut play = Play::new(|config| {
        let site = &mut config.sites[0];
        let to_page = ErrorPage { target: Template::text("/page"), ..page(502, PageStatus::Own) };
        site.location.rules.error_pages = vec![to_page];
        site.location.rules.recursive_error_pages = true;
        site.location.rules.next_upstream.error = false;
        let mut second = Location {
            matches: Match::Exact("/page".into()),
            ..Location::new(Action::Proxy(Pass::new(0, "app1:5000".into())))
        };
        second.rules.error_pages = vec![page(502, PageStatus::Own)];
        second.rules.next_upstream.error = false;
        site.locations.extend([second, app(Pass::new(0, "app1:5000".into()))]);
    });
    play.links = [Link::Refused, Link::Refused].into();
    play.client_sends(&format!("{POST}hello"));
    assert_eq!(play.upstream_got(), "GET /page HTTP/1.1|Host: h|Content-Length: 0||");
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON);
    play.tries = 1;
    play.client_sends(GET);
    assert_eq!(play.upstream_got(), GET_ON);
}

/// Bodies of more than 10 octets get the answer of another server.
fn narrow(target: &str) -> Play {
    let page = ErrorPage { target: Template::text(target), ..page(413, PageStatus::Own) };
    Play::new(|config| {
        let site = &mut config.sites[0];
        site.location.rules.max_body_size = 10;
        site.location.rules.error_pages = vec![page];
        let large = Match::Exact("/large".into());
        let pass = || Action::Proxy(Pass::new(0, "app1:5000".into()));
        site.locations.extend([
            app(Pass::new(0, "app1:5000".into())),
            Location { matches: large, ..Location::new(pass()) },
        ]);
    })
}

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_body_that_turns_out_too_large_parts_with_its_server_before_another_one_is_asked() {
    for (target, on) in
        [("@app", "POST / HTTP/1.1|Host: h|Content-Length: 0||"), ("/large", "GET /large HTTP/1.1|Host: h||")]
    {
        let mut play = narrow(target);
        play.client_sends(&format!("{CHUNKED}5\r\nhello\r\n"));
        play.upstream_got();
        play.happened();
        play.client_sends("6\r\nhello!\r\n");
        assert!(play.happened().starts_with("abandon the request is answered with 413"), "{target}");
        assert_eq!(play.upstream_got(), on);
        play.upstream_sends(OK);
        assert_eq!(play.client_got(), OK_ON.replace("keep-alive", "close"));
        // The client still sends, and is not to lose the answer for it.
        assert_eq!(play.closed, None);
        play.client_sends("7\r\nhello!!\r\n");
        assert_eq!(play.closed, None);
        play.client_ends();
        assert_eq!(play.closed, Some(false));
    }
}

#[test]
fn a_page_for_a_large_body_leaves_nothing_of_a_file_that_was_wanted() {
    let mut play = Play::new(|config| {
        let site = &mut config.sites[0];
        site.location.action = Action::File;
        site.location.rules.max_body_size = 10;
        let to_page = ErrorPage { target: Template::text("/large"), ..page(413, PageStatus::Own) };
        site.location.rules.error_pages = vec![to_page];
        let answer = Answer { status: 200, text: Some(Template::text("too large")) };
        site.locations.push(Location {
            matches: Match::Exact("/large".into()),
            ..Location::new(Action::Answer(answer))
        });
    });
    play.client_sends(&format!("{CHUNKED}b\r\nhello hello\r\n").replace("POST", "PUT"));
    let got = play.client_got();
    assert!(got.starts_with("HTTP/1.1 200 OK|") && got.ends_with("||too large"), "{got}");
    assert_eq!(got.matches("HTTP/1.1").count(), 1, "{got}");
}

#[test]
fn a_body_that_is_too_large_at_once_asks_the_other_server_alone() {
    for (target, on) in
        [("@app", "POST / HTTP/1.1|Host: h|Content-Length: 0||"), ("/large", "GET /large HTTP/1.1|Host: h||")]
    {
        let mut play = narrow(target);
        play.client_sends(&format!("{CHUNKED}b\r\nhello hello\r\n"));
        assert_eq!(play.upstreams.len(), 1, "{target}");
        assert_eq!(play.upstream_got(), on);
        play.upstream_sends(OK);
        assert_eq!(play.client_got(), OK_ON.replace("keep-alive", "close"));
    }
}

#[test]
fn a_status_without_a_body_that_is_shown_as_one_with_a_body_has_an_empty_one() {
    for bare in ["304 Not Modified\r\nContent-Length: 7", "204 No Content"] {
        let mut play = shown_as(404);
        play.client_sends(&format!("{GET}{GET}"));
        play.upstream_sends(MISSING);
        play.upstream_sends(&format!("HTTP/1.1 {bare}\r\n\r\n"));
        let got = play.client_got();
        assert_eq!(
            got, "HTTP/1.1 404 Not Found|Content-Length: 0|Via: 1.1 proxy|Connection: keep-alive||",
            "{bare}"
        );
        play.upstream_sends(OK);
        assert_eq!(play.client_got(), OK_ON, "the next response is where it should be");
    }
}

#[test]
fn a_body_that_is_shown_with_a_status_without_one_goes_nowhere() {
    for body in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "Content-Length: 5\r\n\r\nhe",
    ] {
        let mut play = shown_as(204);
        play.client_sends(&format!("{GET}{GET}"));
        play.upstream_sends(MISSING);
        play.happened();
        play.upstream_sends(&format!("HTTP/1.1 200 OK\r\n{body}"));
        assert_eq!(play.client_got(), "HTTP/1.1 204 No Content|Via: 1.1 proxy|Connection: keep-alive||");
        let happened = play.happened();
        assert!(happened.starts_with("release served"), "the connection is not used again: {happened}");
        play.upstream_sends(OK);
        assert_eq!(play.client_got(), OK_ON, "{body}");
    }
}

#[test]
fn a_body_that_stands_in_a_variable_is_waited_for() {
    let body = Template { parts: [Part::Variable(Variable::RequestBody)].into() };
    let mut play = Play::new(|config| {
        let fields = vec![("Host".to_owned(), Template::text("s"))];
        config.sites[0].location.rules.forwarding = Forwarding::Listed(Listed {
            fields,
            body: PassBody::Replaced(body),
            response_head_max: 4096,
            ..Listed::default()
        });
    });
    play.client_sends(POST);
    play.client_sends("hel");
    assert!(play.upstreams.is_empty());
    play.client_sends(&format!("lo{GET}"));
    assert_eq!(play.upstream_got(), "POST / HTTP/1.1|Host: s|Content-Length: 5|Via: 1.1 proxy||hello");
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON);
    assert_eq!(play.upstream_got(), "GET / HTTP/1.1|Host: s|Content-Length: 0|Via: 1.1 proxy||");
    play.upstream_sends(OK);
    play.client_got();
    // A client that waits to be told is told, once.
    play.client_sends(&POST.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"));
    assert_eq!(play.client_got(), "HTTP/1.1 100 Continue||");
    play.client_sends("hel");
    assert_eq!(play.client_got(), "");
    play.client_sends("lo");
    assert_eq!(play.upstream_got(), "POST / HTTP/1.1|Host: s|Content-Length: 5|Via: 1.1 proxy||hello");
    play.upstream_sends(OK);
    assert_eq!(play.client_got(), OK_ON);
    // It has the time that a body has, from piece to piece.
    play.client_sends(POST);
    let first = play.exchange.deadline();
    play.env.now = play.env.now + Duration::from_secs(1);
    play.client_sends("hel");
    assert_eq!(play.exchange.deadline(), first + Duration::from_secs(1));
    assert!(play.expire());
    assert!(play.client_got().starts_with("HTTP/1.1 408 "));
}
