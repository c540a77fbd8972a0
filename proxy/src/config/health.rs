//! Health checks: requests of the proxy's own that show whether a server is well (`health_check`, `match`).

use std::ops::RangeInclusive;

use super::{Pattern, Timeouts};
use crate::time::Duration;

/// One check of all servers of a group (`health_check`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// From the end of one check of a server to the beginning of the next (`interval=`).
    pub interval: Duration,
    /// The most that chance adds to that (`jitter=`).
    pub jitter: Duration,
    /// So many failed checks in a row take a server out (`fails=`). At least 1.
    pub fails: u32,
    /// So many passed checks in a row take it back in (`passes=`). At least 1.
    pub passes: u32,
    /// A server gets no request before its first check has passed (`mandatory`).
    pub mandatory: bool,
    /// A server that was healthy before a reload does not wait for that (`persistent`).
    pub persistent: bool,
    /// The port instead of the server's own (`port=`); a Unix socket has none.
    pub port: Option<u16>,
    /// What is asked for, beginning with a slash (`uri=`).
    pub uri: String,
    /// The request is HTTP/1.0 (`proxy_http_version`).
    pub is_http10: bool,
    /// Its fields but for `Connection`, `Host` among them (`proxy_set_header`).
    pub fields: Vec<(String, String)>,
    /// How long a connection is used for checks, from its beginning; `None`: for one (`keepalive_time=`).
    pub keepalive: Option<Duration>,
    /// The largest head of a response in bytes (`proxy_buffer_size`).
    pub response_head_max: usize,
    /// The bounds on connecting, on sending the request, and on receiving the response; the last counts for the whole
    /// of it.
    pub timeouts: Timeouts,
    /// The bound on all of that together, from the check's beginning; `None`: each has its own only.
    pub time_in_all: Option<Duration>,
    /// What a response has to be like: all of it (`match`).
    pub expected: Vec<Test>,
}

impl HealthCheck {
    /// nginx's defaults for all parameters but `uri=`, and the `Host` of its requests.
    pub fn new(uri: &str, host: &str) -> HealthCheck {
        HealthCheck {
            interval: Duration::from_secs(5),
            jitter: Duration::ZERO,
            fails: 1,
            passes: 1,
            mandatory: false,
            persistent: false,
            port: None,
            uri: uri.to_owned(),
            is_http10: false,
            fields: vec![("Host".to_owned(), host.to_owned())],
            keepalive: None,
            response_head_max: 16 << 10,
            timeouts: Timeouts::default(),
            time_in_all: None,
            expected: vec![Test::of_status(200..=399)],
        }
    }
}

/// Whether it can be asked for: a path that can stand in a request line as it is.
pub fn is_uri(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Something that a response has to be like, or not to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// What is looked at.
    pub part: TestedPart,
    /// It is to be otherwise (`!`).
    pub is_not: bool,
    /// The test as written, for the log: `body ~ ready`.
    pub words: String,
}

impl Test {
    /// A test of the status alone.
    fn of_status(range: RangeInclusive<u16>) -> Test {
        let words = format!("status {}-{}", range.start(), range.end());
        Test { part: TestedPart::Status(vec![range]), is_not: false, words }
    }
}

/// What a test looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestedPart {
    /// Its status is in one of these ranges.
    Status(Vec<RangeInclusive<u16>>),
    /// It has a field of this name.
    Field(String),
    /// It has a field of this name with this value.
    FieldIs(String, String),
    /// It has a field of this name whose value matches.
    FieldMatches(String, Pattern),
    /// Its body, or the beginning of one that is long, matches.
    Body(Pattern),
}
