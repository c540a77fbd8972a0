//! Checks, from the bytes of a response to what it is worth.

use proptest::prelude::*;

use super::*;
use crate::config::Pattern;
use crate::config::health::{Test, TestedPart};
use crate::time::Duration;

fn check() -> HealthCheck {
    HealthCheck::new("/healthz", "app")
}

fn expecting(tests: Vec<(TestedPart, bool)>) -> HealthCheck {
    let test = |(part, is_not)| Test { part, is_not, words: "the test".to_owned() };
    HealthCheck { expected: tests.into_iter().map(test).collect(), ..check() }
}

fn pattern(source: &str) -> Pattern {
    Pattern::new(source, false).expect("a pattern")
}

/// What comes of these bytes and then the end, in pieces of a size; `None` where it would be waited on.
fn report(check: &HealthCheck, bytes: &[u8], piece: usize) -> Option<Report> {
    let mut probe = Probe::new(check.clone());
    let report = bytes.chunks(piece).find_map(|piece| probe.received(piece));
    report.or_else(|| probe.eof())
}

fn result(check: &HealthCheck, text: &str) -> Result<(), String> {
    report(check, text.as_bytes(), text.len()).map_or(Err("broken off".to_owned()), |report| report.result)
}

#[test]
fn the_request_is_what_a_server_expects_of_a_client() {
    assert_eq!(
        String::from_utf8(request(&check())).expect("text"),
        format!(
            "GET /healthz HTTP/1.1\r\nHost: app\r\nUser-Agent: proxy/{} (health check)\r\nConnection: close\r\n\r\n",
            env!("CARGO_PKG_VERSION")
        )
    );
    let own = HealthCheck {
        is_http10: true,
        fields: vec![("host".to_owned(), "b".to_owned()), ("user-agent".to_owned(), "c".to_owned())],
        keepalive: Some(Duration::from_secs(1)),
        ..check()
    };
    let text = "GET /healthz HTTP/1.0\r\nhost: b\r\nuser-agent: c\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(request(&own), text.as_bytes());
}

#[test]
fn without_a_match_the_status_decides() {
    for (status, is_well) in [(199, true), (200, true), (302, true), (399, true), (400, false), (500, false)]
    {
        let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\n\r\nok");
        let text =
            if status == 199 { format!("{text}HTTP/1.1 204 x\r\n\r\n").replace("ok", "") } else { text };
        let expected = if is_well { Ok(()) } else { Err(format!("status {status}")) };
        assert_eq!(result(&check(), &text), expected);
    }
}

#[test]
fn a_response_that_is_none_says_what_it_is() {
    for (text, cause) in [
        ("nonsense\r\n\r\n", "the response does not start with HTTP/"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", "repeated Content-Length"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "malformed chunk size"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "broken off"),
        ("HTTP/1.1 200 OK\r\n", "broken off"),
        ("", "broken off"),
        ("HTTP/1.1 101 x\r\n\r\n", "status 101"),
    ] {
        assert_eq!(
            report(&check(), text.as_bytes(), 7).map_or(Err("broken off".to_owned()), |r| r.result),
            Err(cause.to_owned()),
            "{text:?}"
        );
    }
    let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(20_000));
    assert_eq!(
        report(&check(), long.as_bytes(), 100).expect("a report").result,
        Err("the response's head is too large".to_owned())
    );
}

#[test]
fn a_bad_status_says_more_than_a_body_that_does_not_end() {
    let mut probe = Probe::new(check());
    assert_eq!(probe.received(b"HTTP/1.1 503 x\r\nContent-Length: 9\r\n\r\n"), None);
    assert_eq!(probe.broken("read timeout").result, Err("status 503".to_owned()));
}

#[test]
fn statuses_are_in_ranges_or_not() {
    let ranges = || TestedPart::Status(vec![301..=303, 307..=307]);
    for (status, is_in) in [(300, false), (301, true), (303, true), (304, false), (307, true)] {
        let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(result(&expecting(vec![(ranges(), false)]), &text).is_ok(), is_in);
        assert_eq!(result(&expecting(vec![(ranges(), true)]), &text).is_ok(), !is_in);
    }
}

#[test]
fn fields_are_there_or_not_and_have_values_or_not() {
    let text = "HTTP/1.1 500 x\r\nX-A: one\r\nx-a: two\r\nContent-Length: 0\r\n\r\n";
    let name = |name: &str| name.to_owned();
    for (part, holds, lacks) in [
        (TestedPart::Field(name("X-a")), true, false),
        (TestedPart::Field(name("X-B")), false, true),
        (TestedPart::FieldIs(name("X-A"), name("two")), true, false),
        (TestedPart::FieldIs(name("X-A"), name("Two")), false, true),
        (TestedPart::FieldIs(name("X-B"), name("two")), false, false),
        (TestedPart::FieldMatches(name("X-A"), pattern("^t")), true, false),
        (TestedPart::FieldMatches(name("X-A"), pattern("z")), false, true),
        (TestedPart::FieldMatches(name("X-B"), pattern("")), false, false),
    ] {
        for (is_not, is_passed) in [(false, holds), (true, lacks)] {
            let expected = if is_passed { Ok(()) } else { Err("no match for the test".to_owned()) };
            assert_eq!(result(&expecting(vec![(part.clone(), is_not)]), text), expected, "{part:?} {is_not}");
        }
    }
}

#[test]
fn bodies_match_or_not_however_they_are_framed() {
    let body = |source: &str, is_not| expecting(vec![(TestedPart::Body(pattern(source)), is_not)]);
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nI'm up!",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nI'm\r\n4\r\n up!\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nI'm\r\n4\r\n up!\r\n0\r\nA: b\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nI'm up!",
    ] {
        for piece in 1..text.len() {
            let is_well =
                |check: &HealthCheck| report(check, text.as_bytes(), piece).expect("a report").result.is_ok();
            assert!(is_well(&body("^I'm up!$", false)) && !is_well(&body("^I'm up!$", true)), "{text:?}");
            assert!(is_well(&body("down", true)) && !is_well(&body("down", false)), "{text:?}");
        }
    }
}

#[test]
fn all_tests_have_to_be_passed() {
    let (ok, up) = (TestedPart::Status(vec![200..=200]), TestedPart::Body(pattern("up")));
    let check = expecting(vec![(ok, false), (up, false)]);
    assert_eq!(result(&check, "HTTP/1.1 200 OK\r\n\r\nup"), Ok(()));
    assert_eq!(result(&check, "HTTP/1.1 201 OK\r\n\r\nup"), Err("status 201".to_owned()));
    assert_eq!(result(&check, "HTTP/1.1 200 OK\r\n\r\ndown"), Err("no match for the test".to_owned()));
    assert_eq!(result(&expecting(Vec::new()), "HTTP/1.1 500 x\r\n\r\n"), Ok(()), "nothing is asked");
}

#[test]
fn so_much_of_a_body_is_looked_at_and_no_more() {
    let check = expecting(vec![(TestedPart::Body(pattern("a$")), false)]);
    let mut probe = Probe::new(check);
    assert_eq!(probe.received(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    let piece = vec![b'a'; BODY_MAX / 4];
    for _ in 0..3 {
        assert_eq!(probe.received(&piece), None);
    }
    let last = [&piece[..], b"b"].concat();
    assert_eq!(probe.received(&last), Some(Report { result: Ok(()), is_reusable: false }));
}

#[test]
fn a_connection_is_used_again_only_where_both_know_that_nothing_is_left() {
    for (text, is_reusable) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true),
        ("HTTP/1.1 500 x\r\nContent-Length: 2\r\n\r\nno", true),
        ("HTTP/1.1 204 x\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokx", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", true),
        ("HTTP/1.1 200 OK\r\n\r\nok", false),
    ] {
        let report = report(&check(), text.as_bytes(), text.len()).expect("a report");
        assert_eq!(report.is_reusable, is_reusable, "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken_and_any_split_of_them_is_alike(
        start in "(HTTP/1[.]1 (1|2|5)00 x\r\n(Content-Length: 3\r\n|Transfer-Encoding: chunked\r\n|a: b\r\n)?\r\n)?",
        rest in prop::collection::vec(any::<u8>(), 0..40),
        piece in 1_usize..20,
    ) {
        let bytes = [start.as_bytes(), &rest].concat();
        let whole = report(&check(), &bytes, bytes.len().max(1));
        let pieces = report(&check(), &bytes, piece);
        // What is wrong may show earlier where less is at hand.
        prop_assert_eq!(whole.map(|report| report.result.is_ok()), pieces.map(|report| report.result.is_ok()));
    }
}
