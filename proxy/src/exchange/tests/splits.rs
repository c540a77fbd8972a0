//! However the bytes of both sides are cut, what goes out and what becomes of the connections is the same.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::reference::{self, Message};
use super::*;

const REQUESTS: [&str; 14] = [
    GET,
    "HEAD /x HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "\r\nGET http://h/x HTTP/1.3\nHost: h\nConnection: x\nX: 1\n\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n10 \r\n0123456789abcdef\r\n0\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: x\r\n\r\n1\r\na\r\n0;e\r\nX: 1\r\nY: 2\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: u\r\nConnection: upgrade\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
    "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.77\r\nHost: h\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\nhello",
    "\u{16}\u{3}\u{1}",
];

const RESPONSES: [&str; 11] = [
    OK,
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nold",
    "HTTP/1.1 200 OK\r\n\r\nup to the end, in however many pieces it comes",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0010 \r\n0123456789abcdef\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x\r\n\r\n1\r\na\r\n0\r\nX: 1\r\nY: 2\r\n\r\n",
    "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
    "HTTP/1.1 101 Switch\r\nUpgrade: u\r\nConnection: upgrade\r\n\r\nas it is",
    "HTTP/1.4 304 Same\nContent-Length : 5\n\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
    "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
];

/// Chunked bodies that go wrong: how much of one has gone on before that shows does depend on its pieces.
const MALFORMED: [&str; 6] = [
    "3\r\nabcX",
    "3\nabc",
    "1\r\na\r\n0\r\nX: 1\n\r\n",
    "3 x\r\nabc",
    "1\r\na\r\n0\r\nX : 1\r\n\r\n",
    "1;\0\r\n",
];

/// All that can be seen from outside, with bodies freed from the chunks that the proxy cuts itself.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    client: Vec<Message>,
    /// What was sent in a tunnel.
    tunnel: Vec<u8>,
    /// For which request, and what.
    upstreams: Vec<(usize, String)>,
    log: Vec<String>,
}

/// Plays the requests, all of which lie there from the start, against one response to each.
fn outcome(requests: &[&str], responses: &[&str], reads: Vec<usize>, writes: Vec<usize>) -> Outcome {
    let mut play = Play::plain();
    (play.reads, play.writes, play.tries) = (reads, writes, u32::MAX);
    play.client_sends(&requests.concat());
    let mut responses = responses.iter();
    while play.has_upstream && play.closed.is_none() {
        let Some(response) = responses.next() else { break };
        let connection = play.upstreams.len();
        play.upstream_sends(response);
        if play.has_upstream && play.upstreams.len() == connection {
            play.upstream_ends();
        }
    }
    let (mut rest, mut client, mut tunnel) = (&play.client.sent[..], Vec::new(), Vec::new());
    let mut methods = requests.iter().map(|request| request.trim_start().split(' ').next().unwrap_or("GET"));
    let mut method = methods.next().unwrap_or("GET");
    while !rest.is_empty() {
        let message = reference::response(rest, method).expect("canonical").expect("a whole head");
        rest = &rest[message.len..];
        if message.status() == 101 {
            tunnel = std::mem::take(&mut rest).to_vec();
        }
        if message.status() >= 200 {
            method = methods.next().unwrap_or("GET");
        }
        client.push(Message { len: 0, ..message });
    }
    let upstreams = play
        .upstreams
        .iter()
        .map(|wire| (wire.request, String::from_utf8_lossy(&wire.sent).into()))
        .collect();
    Outcome { client, tunnel, upstreams, log: play.log.clone() }
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![1]), vec(1..4_usize, 1..8), vec(1..60_usize, 1..8), vec(1..2000_usize, 1..4)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_split_gives_the_same(
        requests in vec(select(&REQUESTS[..]), 1..5),
        responses in vec(select(&RESPONSES[..]), 5),
        reads in sizes(),
        writes in sizes(),
    ) {
        let whole = outcome(&requests, &responses, Vec::new(), Vec::new());
        let split = outcome(&requests, &responses, reads, writes);
        prop_assert_eq!(whole, split);
    }

    #[test]
    fn any_split_of_a_malformed_body_is_refused_alike(
        body in select(&MALFORMED[..]),
        reads in sizes(),
        writes in sizes(),
    ) {
        let request = format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let whole = outcome(&[&request, GET], &[OK], Vec::new(), Vec::new());
        let split = outcome(&[&request, GET], &[OK], reads.clone(), writes.clone());
        prop_assert_eq!(whole.client, split.client);
        for (_, sent) in split.upstreams {
            let message = reference::request(sent.as_bytes()).expect("canonical");
            prop_assert!(!message.is_some_and(|message| message.is_whole), "{}", sent);
        }
        // The client of a response is told, or has a part of which the end is missing.
        let mut play = Play::plain();
        (play.reads, play.writes) = (reads, writes);
        play.client_sends(GET);
        play.upstream_sends(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
        let message = reference::response(&play.client.sent, "GET").expect("canonical");
        let whole = message.filter(|message| message.is_whole);
        prop_assert!(whole.as_ref().is_none_or(|message| message.status() == 502));
        prop_assert_eq!((play.closed, play.client.shut), (None, whole.is_none()));
    }
}
