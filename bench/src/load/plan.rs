//! What a generator is to do, complete and checked: nothing is decided while it runs.

use std::net::SocketAddr;
use std::time::Duration;

/// A run of the generator.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// What is asked for; at least one.
    pub targets: Vec<Target>,
    /// When requests are due.
    pub pace: Pace,
    /// How long the rate takes to rise from 0, evenly. Part of the warm-up, or of what is measured where
    /// that is shorter.
    pub ramp: Duration,
    /// Requests that are due so early are sent and checked, but not measured.
    pub warm_up: Duration,
    /// How long requests are due after the warm-up.
    pub duration: Duration,
    /// The most requests, warm-up included.
    pub limit: Option<u64>,
    /// Connections over all threads; at least one for each thread.
    pub connections: usize,
    /// Threads, each with its own event loop; at least 1.
    pub threads: usize,
    /// The cores of the threads, in turn; empty: wherever the process may run.
    pub cores: Vec<usize>,
    /// A connection serves many requests; else each has its own.
    pub keep_alive: bool,
    /// Requests that a connection may have in flight; at least 1, and 1 without keep-alive.
    pub pipeline: usize,
    /// How long a response may take from when its request was sent, and a connection to open.
    pub timeout: Duration,
    /// The length of the intervals of the time line.
    pub interval: Duration,
    /// Of the random source for Poisson gaps and the choice of targets.
    pub seed: u64,
}

/// When requests are due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Closed loop: a connection asks again as soon as it is answered.
    Saturate,
    /// Open loop: so many per second, evenly spaced.
    Constant(f64),
    /// Open loop: so many per second on average, independent of each other, as many users are.
    Poisson(f64),
}

impl Pace {
    /// Requests per second that are offered; `None` in a closed loop.
    pub fn rate(self) -> Option<f64> {
        match self {
            Pace::Saturate => None,
            Pace::Constant(rate) | Pace::Poisson(rate) => Some(rate),
        }
    }
}

/// A request, ready to be sent, and what its response has to be.
#[derive(Clone, Debug)]
pub struct Target {
    /// Head and body as they go out.
    pub bytes: Vec<u8>,
    /// Its share against the other targets.
    pub weight: u32,
    /// The method is HEAD: the response has no body, whatever its head says.
    pub is_head: bool,
    /// What the response has to be.
    pub check: Check,
}

/// What a response has to be.
#[derive(Clone, Debug, Default)]
pub struct Check {
    /// Its status; `None`: any from 200 to 399.
    pub status: Option<u16>,
    /// The length of its body.
    pub length: Option<u64>,
    /// How its body begins, or all of it where `length` says the same.
    pub prefix: Vec<u8>,
}

/// The request line, fields and body of a [`Target`].
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// What Host says.
    pub host: &'a str,
    /// The path and query.
    pub path: &'a str,
    /// Further fields, as `Name: value`.
    pub fields: &'a [String],
    /// The body; its length is announced where it is not empty or the method is one with content.
    pub body: &'a [u8],
    /// Whether the connection is to stay.
    pub keep_alive: bool,
}

impl Request<'_> {
    /// As it goes out. Fields that curl sends are added where they are not given, so that a subject has a
    /// usual head to work on.
    pub fn bytes(&self) -> Vec<u8> {
        let Request { method, host, path, fields, body, keep_alive } = self;
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        let given = |name: &str| {
            fields.iter().any(|field| field.split(':').next().is_some_and(|n| n.eq_ignore_ascii_case(name)))
        };
        let mut add = |name: &str, value: &str| {
            if !given(name) {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        };
        add("Host", host);
        add("User-Agent", "curl/8.14.1");
        add("Accept", "*/*");
        if !keep_alive {
            add("Connection", "close");
        }
        if !body.is_empty() || matches!(*method, "POST" | "PUT" | "PATCH") {
            add("Content-Length", &body.len().to_string());
        }
        for field in *fields {
            head.push_str(field);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        [head.as_bytes(), body].concat()
    }
}

impl Target {
    /// A `GET` that curl would send, to be answered by a 200 whose body begins with `prefix`.
    pub fn get(address: SocketAddr, path: &str, prefix: &[u8]) -> Target {
        let host = address.to_string();
        let request = Request { method: "GET", host: &host, path, fields: &[], body: &[], keep_alive: true };
        let check = Check { status: Some(200), length: None, prefix: prefix.to_vec() };
        Target { bytes: request.bytes(), weight: 1, is_head: false, check: check.and_pattern_of(path) }
    }
}

/// Up to here a body of the pattern is held against every byte; a longer one only against its begin.
const PATTERN_MAX: u64 = 4 << 20;

impl Check {
    /// The same, and the backend's pattern where `path` is `/bytes/N` or `/chunked/N`.
    #[must_use]
    pub fn and_pattern_of(mut self, path: &str) -> Check {
        let count = path.strip_prefix("/bytes/").or_else(|| path.strip_prefix("/chunked/"));
        if let Some(count) = count.and_then(|count| count.parse::<u64>().ok()) {
            self.length = Some(count);
            self.prefix.clear();
            backend::pattern::append(&mut self.prefix, 0, count.min(PATTERN_MAX) as usize);
        }
        self
    }
}

impl Plan {
    /// A closed loop on one thread over `connections` connections for `duration`, without a warm-up.
    pub fn saturate(target: Target, address: SocketAddr, connections: usize, duration: Duration) -> Plan {
        Plan {
            address,
            targets: vec![target],
            pace: Pace::Saturate,
            ramp: Duration::ZERO,
            warm_up: Duration::ZERO,
            duration,
            limit: None,
            connections,
            threads: 1,
            cores: Vec::new(),
            keep_alive: true,
            pipeline: 1,
            timeout: Duration::from_secs(5),
            interval: Duration::from_secs(1),
            seed: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_curl_sends() {
        let target = Target::get("127.0.0.1:8080".parse().unwrap(), "/bytes/65", b"");
        let text = String::from_utf8(target.bytes).unwrap();
        assert_eq!(
            text,
            "GET /bytes/65 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n"
        );
        assert_eq!(target.check.length, Some(65));
        assert_eq!(target.check.prefix.len(), 65);
    }

    #[test]
    fn given_fields_replace_the_usual_ones() {
        let fields = ["host: a".to_owned(), "X-A: b".to_owned()];
        let request =
            Request { method: "POST", host: "h", path: "/", fields: &fields, body: b"xy", keep_alive: false };
        let text = String::from_utf8(request.bytes()).unwrap();
        assert_eq!(
            text,
            "POST / HTTP/1.1\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\nConnection: close\r\n\
             Content-Length: 2\r\nhost: a\r\nX-A: b\r\n\r\nxy"
        );
    }
}
