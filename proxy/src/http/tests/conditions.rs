//! Requests on condition, as nginx weighs them.

use super::super::conditions::{Validators, Verdict, allow_ranges, judge};
use super::with_fields;
use crate::config::site::IfModifiedSince::{self, Before, Exact, Off};

const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn validators(etag: Option<&[u8]>) -> Validators<'_> {
    Validators { modified: THEN.parse().expect("a date"), etag }
}

fn verdict(lines: &str, how: IfModifiedSince) -> Verdict {
    with_fields(&format!("Host: h|{lines}"), |fields| judge(fields, &validators(Some(b"\"a-1\"")), how))
}

#[test]
fn dates_are_compared() {
    use Verdict::{Fails, Holds, NotModified};
    for (date, how, expected) in [
        (EARLIER, Exact, Holds),
        (THEN, Exact, NotModified),
        (LATER, Exact, Holds),
        (EARLIER, Before, Holds),
        (THEN, Before, NotModified),
        (LATER, Before, NotModified),
        (THEN, Off, Holds),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Exact, NotModified),
        ("yesterday", Exact, Holds),
        ("yesterday", Before, Holds),
    ] {
        assert_eq!(verdict(&format!("If-Modified-Since: {date}"), how), expected, "{date} {how:?}");
    }
    for (date, expected) in [(EARLIER, Fails), (THEN, Holds), (LATER, Holds), ("tomorrow", Fails)] {
        assert_eq!(verdict(&format!("If-Unmodified-Since: {date}"), Exact), expected, "{date}");
    }
}

#[test]
fn tags_are_compared() {
    use Verdict::{Fails, Holds, NotModified};
    for (lines, expected) in [
        ("If-None-Match: \"a-1\"", NotModified),
        ("If-None-Match: W/\"a-1\"", NotModified),
        ("If-None-Match: \"b\", \"a-1\" , \"c\"", NotModified),
        ("If-None-Match: *", NotModified),
        ("If-None-Match: \"a-12\"", Holds),
        ("If-None-Match: a-1", Holds),
        ("If-Match: \"a-1\"", Holds),
        ("If-Match: *", Holds),
        ("If-Match: W/\"a-1\"", Fails),
        ("If-Match: \"b\"", Fails),
        ("", Holds),
    ] {
        assert_eq!(verdict(lines, Exact), expected, "{lines}");
    }
    with_fields("Host: h|If-None-Match: \"a-1\"", |fields| {
        assert_eq!(judge(fields, &validators(None), Exact), Holds);
    });
}

#[test]
fn all_conditions_have_to_hold() {
    use Verdict::{Fails, Holds, NotModified};
    for (lines, expected) in [
        (format!("If-None-Match: \"a-1\"|If-Modified-Since: {THEN}"), NotModified),
        (format!("If-None-Match: \"a-1\"|If-Modified-Since: {EARLIER}"), Holds),
        (format!("If-None-Match: \"b\"|If-Modified-Since: {THEN}"), Holds),
        (format!("If-Match: \"a-1\"|If-Unmodified-Since: {EARLIER}"), Fails),
        (format!("If-Match: \"b\"|If-None-Match: \"a-1\"|If-Unmodified-Since: {LATER}"), Fails),
    ] {
        assert_eq!(verdict(&lines, Exact), expected, "{lines}");
    }
}

#[test]
fn parts_are_for_who_has_the_others() {
    for (lines, expected) in [
        ("".to_owned(), true),
        ("If-Range: \"a-1\"".to_owned(), true),
        ("If-Range: W/\"a-1\"".to_owned(), false),
        ("If-Range: \"b\"".to_owned(), false),
        (format!("If-Range: {THEN}"), true),
        (format!("If-Range: {LATER}"), false),
        ("If-Range: soon".to_owned(), false),
    ] {
        let allowed = with_fields(&format!("Host: h|{lines}"), |f| {
            let now = validators(Some(b"\"a-1\""));
            allow_ranges(f, Some(now.modified), now.etag)
        });
        assert_eq!(allowed, expected, "{lines}");
    }
}
