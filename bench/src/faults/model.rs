//! What a run of `bench faults` gives, as its JSON has it. Times are in milliseconds since the load began.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::compare::model::Machine;

/// Everything one run gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The command line, without the program.
    pub command: Vec<String>,
    /// Where it ran.
    pub machine: Machine,
    /// The subjects by name, with what they say of their version.
    pub versions: BTreeMap<String, String>,
    /// What every subject was configured with.
    pub rules: Rules,
    /// What came of it: fault by fault, and within that subject by subject.
    pub cases: Vec<Case>,
}

/// The load, and the rules that all subjects share.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rules {
    /// GET requests a second, evenly spaced, whatever comes back.
    pub rate_per_s: f64,
    /// Keep-alive connections of the load.
    pub connections: usize,
    /// Failures that take a server out.
    pub max_fails: u32,
    /// How long it is out.
    pub fail_timeout_ms: u64,
    /// For a connection to a server.
    pub connect_timeout_ms: u64,
    /// For a server's answer.
    pub read_timeout_ms: u64,
    /// What a `slow` server takes for an answer.
    pub slow_ms: u64,
    /// Load before the fault.
    pub calm_ms: u64,
    /// From the fault to its end.
    pub fault_ms: u64,
    /// Load after that.
    pub after_ms: u64,
    /// The length of a bucket of the time lines.
    pub bucket_ms: u64,
}

/// One fault, one subject.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    /// The fault's short name, such as `kill`.
    pub fault: String,
    /// What happens, in a line.
    pub what: String,
    /// Whether a healthy server is left all the time and no byte of an answer is out when it happens, so that a
    /// proxy can serve every idempotent request.
    pub can_be_hidden: bool,
    /// Who met it.
    pub subject: String,
    /// What was seen; `None` where the subject has no such thing, as `note` says.
    pub seen: Option<Seen>,
    /// What is to be known about it.
    pub note: Option<String>,
}

/// What was seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// The figures.
    pub figures: Figures,
    /// What was done, in order.
    pub events: Vec<Event>,
    /// The time line, by when answers came; buckets in which nothing came are left out.
    pub buckets: Vec<Bucket>,
}

/// A time line in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Requests that were sent.
    pub requests: u64,
    /// Those without a whole 200 from a server.
    pub failed: u64,
    /// Requests that were due and not sent, as the load ended before it had the time: nobody's failure.
    pub unsent: u64,
    /// How late the load was at most with a request: so much of `worst_ms` may be its own doing.
    pub load_late_ms: f64,
    /// The failed ones by how, without ways of which there were none.
    pub failures: BTreeMap<String, u64>,
    /// From the fault until the subject's log says that the server is out; `None` where it never does.
    pub eject_ms: Option<f64>,
    /// From the end of the fault until the bucket ended in which the server answered again; `None` where it was not
    /// out, or never came back.
    pub return_ms: Option<f64>,
    /// The longest that a client waited, from when its request was due to the end of its answer or to its failure.
    pub worst_ms: f64,
    /// The median of all answers.
    pub median_ms: f64,
    /// Requests that reached the servers, as they counted them; with Redis as the counter: the hits in it.
    pub hits: u64,
    /// Whole 200s that the load received.
    pub answers: u64,
}

/// Something that was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at_ms: f64,
    /// What, as in `app2 killed`.
    pub what: String,
}

/// A part of a time line.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Bucket {
    /// When it begins.
    pub at_ms: u64,
    /// Requests that ended in it.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Answers by the server that `X-Backend` named.
    pub by_server: BTreeMap<String, u64>,
    /// The median of the answers, from when their requests were due.
    pub median_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}
