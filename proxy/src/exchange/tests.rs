//! The automaton without sockets: what goes out for what comes in, and what becomes of the connections.

mod discards;
mod elsewhere;
mod failures;
mod files;
mod ids;
mod lifetimes;
mod messages;
mod play;
mod preface;
#[allow(dead_code)] // The fuzz targets use more of it.
mod reference;
mod reload;
mod splits;
mod switches;

use crate as proxy;
use play::{DATE, Link, Play};

impl Play {
    /// With the default configuration.
    fn plain() -> Play {
        Play::new(|_| {})
    }

    /// Bytes come from the client.
    fn client_sends(&mut self, bytes: &str) {
        self.client.incoming.extend(bytes.as_bytes());
        self.run();
    }

    /// Bytes come from the upstream.
    fn upstream_sends(&mut self, bytes: &str) {
        self.upstream().incoming.extend(bytes.as_bytes());
        self.run();
    }

    /// The client sends no more.
    fn client_ends(&mut self) {
        self.client.ends = true;
        self.run();
    }

    /// The upstream sends no more.
    fn upstream_ends(&mut self) {
        self.upstream().ends = true;
        self.run();
    }

    /// What went to the client since this was asked last.
    #[track_caller]
    fn client_got(&mut self) -> String {
        shown(std::mem::take(&mut self.client.sent))
    }

    /// What went to the latest upstream since this was asked last, without what every request gets.
    #[track_caller]
    fn upstream_got(&mut self) -> String {
        let got = self.upstreams.last_mut().map(|wire| std::mem::take(&mut wire.sent)).unwrap_or_default();
        let got = shown(got);
        ["1.1", "1.0"].iter().fold(got, |got, version| {
            ["h", "app1:5000"].iter().fold(got, |got, host| {
                got.replace(
                    &format!(
                        "X-Forwarded-For: 192.0.2.7|X-Forwarded-Proto: http|X-Real-IP: 192.0.2.7|\
                         X-Forwarded-Host: {host}|Via: {version} proxy|"
                    ),
                    "",
                )
            })
        })
    }

    /// What happened to connections since this was asked last.
    fn happened(&mut self) -> String {
        std::mem::take(&mut self.log).join(", ")
    }

    /// One GET and its response, to the end.
    fn one_exchange(&mut self) {
        self.client_sends(GET);
        self.upstream_sends(OK);
        assert_eq!(self.upstream_got(), GET_ON);
        assert_eq!(self.client_got(), OK_ON);
    }
}

/// Lines of a head joined by `|`; the date of every play left out.
fn shown(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes).expect("text");
    text.replace(&format!("Date: {DATE}\r\n"), "").replace("\r\n", "|")
}

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const GET_ON: &str = "GET / HTTP/1.1|Host: h||";
const POST: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n";
const POST_ON: &str = "POST / HTTP/1.1|Host: h|Content-Length: 5||";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const OK_ON: &str = "HTTP/1.1 200 OK|Content-Length: 2|Via: 1.1 proxy|Connection: keep-alive||ok";
