//! What may differ in every case, with the reasons, and what no two runs have in common.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use regex::Regex;

/// A difference that is meant, as what is taken out of a transcript.
struct Allowed {
    /// What it looks like in nginx's transcript and in ours.
    pattern: &'static str,
    /// What stands in its place.
    instead: &'static str,
    /// Why both are right.
    why: &'static str,
}

/// All differences that may be in any case. Case and order of fields' names are lost already where a transcript is
/// written, as names have no case and the order of different names means nothing (RFC 9110 section 5.3).
const ALLOWED: &[Allowed] = &[
    Allowed {
        pattern: r"(?m)^    via: 1\.[01] proxy\n",
        instead: "",
        why: "RFC 9110 section 7.6.3 asks a gateway for Via; nginx sends none",
    },
    Allowed {
        pattern: r"(?m)^    content-length: 0\n((?:    [a-z-]+: .*\n)*)(    \(seen by .\)\n)",
        instead: "$1$2",
        why: "RFC 9110 section 8.6: a PUT or PATCH without a body says so; nginx does not",
    },
    Allowed {
        pattern: r"(?m)^    allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\n",
        instead: "",
        why: "RFC 9110 section 15.5.6: a 405 lists what is allowed; nginx does not",
    },
    Allowed {
        pattern: r"(?m)^    server: (nginx/[\d.]+|nginx|proxy|proxy/[\d.]+)$",
        instead: "    server: (its own)",
        why: "each says its own name",
    },
    Allowed {
        pattern: r"(?m)^    content-length: \d+\n((?:    [a-z-]+: .*\n)*)    \| (?:<!DOCTYPE html>\\n)?<html>(?:⏎|\\n)<head><title>([^<]*)</title></head>.*$",
        instead: "$1    | (a page: $2)",
        why: "error pages: the same title and status, but our own name below, and a line that says what went wrong",
    },
];

/// A transcript without what each run has of its own: clients' ports, dates, times, numbers of processes.
pub(crate) fn words(text: &str, clients: &[u16], listeners: &BTreeMap<&str, SocketAddr>) -> String {
    let mut text = text.to_owned();
    let listeners = listeners.values().map(|address| (address.port(), "(listen)"));
    let ports = clients.iter().map(|port| (*port, "(port)")).chain(listeners);
    for (port, word) in ports {
        let pattern = Regex::new(&format!(r"\b{port}\b")).expect("a pattern");
        text = pattern.replace_all(&text, word).into_owned();
    }
    for (pattern, instead) in [
        (r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", "(date)"),
        (r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", "(time)"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", "(time)"),
        (r"\b\d{10}\.\d{3}\b", "(now)"),
        // With what stands around it, so that no address is taken for one; twice, as neighbours share that.
        (r"(^|[^\d.])\d{1,3}\.\d{3}([^\d.]|$)", "$1(seconds)$2"),
        (r"(^|[^\d.])\d{1,3}\.\d{3}([^\d.]|$)", "$1(seconds)$2"),
    ] {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, instead).into_owned();
    }
    text
}

/// A transcript without what may differ.
pub(crate) fn without_allowed(text: &str) -> String {
    ALLOWED.iter().fold(text.to_owned(), |text, allowed| {
        let pattern = Regex::new(allowed.pattern).expect("a pattern");
        assert!(!allowed.why.is_empty(), "a difference without a reason");
        pattern.replace_all(&text, allowed.instead).into_owned()
    })
}
