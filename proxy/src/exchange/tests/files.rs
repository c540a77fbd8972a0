//! Requests that end in files: what is looked for, what goes out, and what becomes of one that shrinks.

use proptest::prelude::*;

use super::*;
use crate::config::site::{Answer, Files, IfModifiedSince, Match, Otherwise, TryFiles};
use crate::config::template::{Part, Template, Variable};
use crate::config::{Action, Location, Pass};

fn files(root: &str, index: &[&str]) -> Files {
    Files {
        root: Template::text(root),
        is_alias: false,
        replaced: 0,
        index: index.iter().map(|name| Template::text(name)).collect(),
        has_etag: true,
        if_modified_since: IfModifiedSince::Exact,
        ranges_max: u32::MAX,
    }
}

/// A site below `/srv` with a few files.
fn site() -> Play {
    site_with(|_| {})
}

fn site_with(change: impl FnOnce(&mut Files)) -> Play {
    let mut rules = files("/srv", &["index.html", "index.txt"]);
    change(&mut rules);
    let mut play = Play::new(|config| {
        let site = &mut config.sites[0];
        (site.location.action, site.location.files) = (Action::File, rules);
        let forwarding = |path: &str| Location {
            matches: Match::Prefix { path: path.into(), is_final: true },
            ..Location::new(Action::Answer(Answer { status: 200, text: Some(Template::text("elsewhere")) }))
        };
        site.locations.push(forwarding("/answered/"));
        let pass = Action::Proxy(Pass::new(0, "app1:5000".into()));
        let matches = Match::Exact("/served".into());
        site.locations.push(Location { matches, ..Location::new(pass) });
    });
    for (name, bytes) in [
        ("/srv/a.txt", &b"0123456789"[..]),
        ("/srv/empty", b""),
        ("/srv/d/index.txt", b"text"),
        ("/srv/none/x", b"x"),
    ] {
        play.files.insert(name, bytes.to_vec());
    }
    play
}

/// What comes for a request: its target, and further field lines.
fn ask(play: &mut Play, request: &str) -> String {
    let (target, lines) = request.split_once('|').unwrap_or((request, ""));
    let (method, target) = target.split_once(' ').unwrap_or(("GET", target));
    let lines: String =
        lines.split('|').filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
    play.client_sends(&format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
    play.client_got()
}

const VALIDATORS: &str = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT|ETag: \"2ebc98a1-a\"|";

fn start(status: &str) -> String {
    format!("HTTP/1.1 {status}|Server: proxy|")
}

#[test]
fn a_file_goes_out_whole() {
    let mut play = site();
    let expected = format!(
        "{}Content-Type: text/plain|Content-Length: 10|{VALIDATORS}Accept-Ranges: bytes|\
         Connection: keep-alive||0123456789",
        start("200 OK")
    );
    assert_eq!(ask(&mut play, "/a.txt"), expected);
    let head = expected.strip_suffix("0123456789").expect("a head");
    assert_eq!(ask(&mut play, "HEAD /a.txt"), head);
    assert!(ask(&mut play, "/empty").ends_with("Connection: keep-alive||"));
    assert!(ask(&mut play, "/b.txt").starts_with(&start("404 Not Found")));
    assert_eq!(
        play.happened(),
        "open /srv/a.txt, finish, open /srv/a.txt, finish, open /srv/empty, finish, \
        open /srv/b.txt, finish"
    );
    assert!(play.closed.is_none());
}

#[test]
fn only_reading_is_for_files() {
    let mut play = site();
    for (request, status) in [
        ("PUT /a.txt", "405 Not Allowed"),
        ("DELETE /nothing", "405 Not Allowed"),
        ("OPTIONS /d/", "405 Not Allowed"),
        ("POST /a.txt|Content-Length: 0", "405 Not Allowed"),
        ("POST /nothing|Content-Length: 0", "404 Not Found"),
    ] {
        let got = ask(&mut play, request);
        assert!(got.starts_with(&start(status)), "{request}: {got}");
        assert_eq!(got.contains("|Allow: GET, HEAD|"), status.starts_with("405"), "{got}");
    }
}

#[test]
fn a_folder_has_its_index() {
    let mut play = site();
    assert!(ask(&mut play, "/d/").ends_with("||text"));
    assert_eq!(play.happened(), "open /srv/d/index.html, open /srv/d/, open /srv/d/index.txt, finish");
    play.log.clear();
    assert!(ask(&mut play, "/none/").starts_with(&start("403 Forbidden")));
    assert!(ask(&mut play, "/nothing/").starts_with(&start("404 Not Found")));
    assert!(ask(&mut play, "/a.txt/").starts_with(&start("404 Not Found")));
    let got = ask(&mut play, "/d?a=b");
    assert!(got.starts_with(&start("301 Moved Permanently")), "{got}");
    assert!(got.contains("|Location: http://h:8080/d/?a=b|"), "{got}");
}

#[test]
fn an_index_may_lead_to_another_location() {
    let mut play = site_with(|rules| rules.index = vec![Template::text("no"), Template::text("/answered/x")]);
    assert!(ask(&mut play, "/none/").ends_with("||elsewhere"));
    let mut play = site_with(|rules| rules.index = vec![Template::text("/")]);
    assert!(ask(&mut play, "/").starts_with(&start("500 Internal Server Error")));
}

#[test]
fn a_body_goes_with_the_request_to_another_location() {
    let mut play = site_with(|rules| rules.index = vec![Template::text("/served")]);
    play.client_sends("POST /none/?a=b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel");
    play.client_sends("lo");
    let got = play.upstream_got();
    assert!(got.starts_with("POST /served?a=b HTTP/1.1|") && got.ends_with("||hello"), "{got}");
    play.upstream_sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert!(play.client_got().ends_with("||ok"));
    assert!(play.closed.is_none());
}

/// A site that looks for `$uri`, then for a folder, then goes elsewhere.
fn trying(otherwise: Otherwise) -> Play {
    let mut play = site();
    let uri = || Template::default().with(Part::Variable(Variable::Uri));
    let folder = files("/srv", &["index.txt"]);
    let tries = TryFiles { names: vec![(uri(), false), (uri(), true)], otherwise };
    let found = play.files.clone();
    play = Play::new(|config| {
        let site = &mut config.sites[0];
        (site.location.action, site.location.files) = (Action::File, folder);
        site.location.try_files = Some(tries);
        let pass = Action::Proxy(Pass::new(0, "app1:5000".into()));
        site.locations.push(Location { matches: Match::Named("@app".into()), ..Location::new(pass) });
    });
    play.files = found;
    play
}

#[test]
fn the_first_file_that_is_there_stands_for_a_request() {
    let mut play = trying(Otherwise::Status(404));
    assert!(ask(&mut play, "/a.txt").ends_with("||0123456789"));
    assert_eq!(play.happened(), "open /srv/a.txt, finish", "it is opened once");
    assert!(ask(&mut play, "/d/").ends_with("||text"));
    assert_eq!(play.happened(), "open /srv/d/, open /srv/d/, open /srv/d/index.txt, finish");
    assert!(ask(&mut play, "/missing").starts_with("HTTP/1.1 404 "));
    assert_eq!(play.happened(), "open /srv/missing, open /srv/missing, finish");
}

#[test]
fn a_body_goes_with_a_request_for_which_no_file_is_there() {
    for size in [1, 1000] {
        let mut play = trying(Otherwise::Place(Template::text("@app")));
        play.reads = vec![size];
        play.client_sends(&POST.replace("POST / ", "POST /missing?a=b "));
        play.client_sends("hello");
        assert_eq!(play.upstream_got(), format!("{}hello", POST_ON.replace("POST / ", "POST /missing?a=b ")));
        play.upstream_sends(OK);
        assert_eq!(play.client_got(), OK_ON);
    }
}

#[test]
fn requests_for_files_may_lie_one_behind_the_other() {
    let mut play = site();
    let body = "GET /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    play.client_sends(&format!("{body}GET /d/index.txt HTTP/1.1\r\nHost: h\r\n\r\n{body}"));
    let got = play.client_got();
    assert_eq!((got.matches("||0123456789").count(), got.matches("||text").count()), (2, 1), "{got}");
    assert!(play.closed.is_none());
    play.client_sends("GET /a.txt HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
    assert!(play.client_got().starts_with(&start("400 Bad Request")));
}

#[test]
fn a_part_goes_out_alone() {
    let mut play = site();
    let expected = format!(
        "{}Content-Type: text/plain|Content-Length: 3|Content-Range: bytes 2-4/10|{VALIDATORS}\
         Connection: keep-alive||234",
        start("206 Partial Content")
    );
    assert_eq!(ask(&mut play, "/a.txt|Range: bytes=2-4"), expected);
    assert!(ask(&mut play, "/a.txt|Range: bytes=2-4|If-Range: \"other\"").starts_with(&start("200 OK")));
    let got = ask(&mut play, "/a.txt|Range: bytes=10-");
    assert!(got.starts_with(&start("416 Requested Range Not Satisfiable")), "{got}");
    assert!(got.contains("|Content-Range: bytes */10|"), "{got}");
    let mut play = site_with(|rules| rules.ranges_max = 0);
    let got = ask(&mut play, "/a.txt|Range: bytes=2-4");
    assert!(got.starts_with(&start("200 OK")) && !got.contains("Accept-Ranges"), "{got}");
}

#[test]
fn several_parts_go_out_in_a_frame() {
    let mut play = site();
    let got = ask(&mut play, "/a.txt|Range: bytes=0-0,8-");
    let (_, rest) = got.split_once("boundary=").expect("a boundary");
    let boundary = &rest[..20];
    let part = |range: &str, bytes: &str| {
        format!("|--{boundary}|Content-Type: text/plain|Content-Range: bytes {range}/10||{bytes}")
    };
    let body = part("0-0", "0") + &part("8-9", "89") + &format!("|--{boundary}--|");
    assert!(got.ends_with(&format!("||{body}")), "{got}");
    let length = body.replace('|', "\r\n").len();
    assert!(got.contains(&format!("|Content-Length: {length}|")), "{got}");
    assert!(play.exchange.is_idle());
}

#[test]
fn conditions_are_weighed() {
    let mut play = site();
    for (lines, status) in [
        ("If-None-Match: \"2ebc98a1-a\"", "304 Not Modified"),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", "304 Not Modified"),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT", "200 OK"),
        ("If-Match: \"x\"", "412 Precondition Failed"),
        ("If-None-Match: \"2ebc98a1-a\"|Range: bytes=0-0", "304 Not Modified"),
    ] {
        let got = ask(&mut play, &format!("/a.txt|{lines}"));
        assert!(got.starts_with(&start(status)), "{lines}: {got}");
        if status.starts_with("304") {
            assert_eq!(got, format!("{}{VALIDATORS}Connection: keep-alive||", start(status)));
        }
    }
}

#[test]
fn a_file_that_shrinks_ends_in_a_reset() {
    let mut play = site();
    play.client.room = Some(100);
    play.files.insert("/srv/long", vec![b'x'; 200_000]);
    ask(&mut play, "/long");
    play.files.insert("/srv/long", vec![b'x'; 100_000]);
    play.client.room = None;
    play.client.stalls = false;
    play.run();
    assert_eq!(play.closed, Some(true));
}

#[test]
fn a_body_that_nobody_wants_does_not_hold_a_file_up() {
    let mut play = site();
    let request = "GET /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc";
    play.client_sends(request);
    let got = play.client_got();
    assert!(got.contains("|Connection: close||0123456789"), "{got}");
}

proptest! {
    /// In whatever pieces a file is read and sent, the client gets what it asked for.
    #[test]
    fn pieces_do_not_matter(
        length in 1..60_000_usize,
        cuts in prop::collection::vec((0..60_000_usize, 0..60_000_usize), 0..4),
        reads in prop::collection::vec(1..40_000_usize, 0..4),
        writes in prop::collection::vec(1..40_000_usize, 0..4),
    ) {
        let bytes: Vec<u8> = (0..length).map(|at| b'a' + (at % 23) as u8).collect();
        let mut play = site();
        play.files.insert("/srv/f", bytes.clone());
        (play.reads, play.writes) = (reads, writes);
        let mut parts: Vec<_> = cuts.iter().map(|&(a, b)| (a.min(b) % length, a.max(b) % length)).collect();
        parts.retain(|(from, to)| from <= to);
        let list: Vec<_> = parts.iter().map(|(from, to)| format!("{from}-{to}")).collect();
        let asks = if parts.is_empty() { String::new() } else { format!("Range: bytes={}\r\n", list.join(",")) };
        play.client_sends(&format!("GET /f HTTP/1.1\r\nHost: h\r\n{asks}\r\n"));
        let got = String::from_utf8(std::mem::take(&mut play.client.sent)).expect("text");
        let (head, body) = got.split_once("\r\n\r\n").expect("a head");
        let declared = head.split_once("Content-Length: ").expect("a length").1.split("\r\n").next();
        prop_assert_eq!(declared.map(str::to_owned), Some(body.len().to_string()));
        let text = |from: usize, to: usize| std::str::from_utf8(&bytes[from..=to]).expect("text");
        let sum: usize = parts.iter().map(|(from, to)| to - from + 1).sum();
        if parts.is_empty() || sum > length {
            prop_assert_eq!(body, text(0, length - 1));
        } else if let [(from, to)] = parts[..] {
            prop_assert_eq!(body, text(from, to));
        } else {
            let mut rest = body;
            for (from, to) in parts {
                let range = format!("Content-Range: bytes {from}-{to}/{length}\r\n\r\n");
                let (_, behind) = rest.split_once(&range).expect("a part");
                rest = behind.strip_prefix(text(from, to)).expect("its bytes");
            }
            prop_assert!(rest.ends_with("--\r\n"));
        }
        prop_assert!(play.exchange.is_idle() && play.closed.is_none());
    }
}
