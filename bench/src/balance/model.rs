//! What a run of `bench balance` gives, as its JSON has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::compare::model::Machine;

/// A run falls into thirds, so that a server can be slow in the middle one.
pub const THIRDS: usize = 3;

/// Everything one run gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The command line, without the program.
    pub command: Vec<String>,
    /// Where it ran.
    pub machine: Machine,
    /// The subjects by name, with what they say of their version; without the simulation.
    pub versions: BTreeMap<String, String>,
    /// What was asked of everyone.
    pub plan: Plan,
    /// What came of it, in the order of the tables.
    pub cases: Vec<Case>,
}

/// The load and the servers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// How long requests arrive.
    pub seconds: f64,
    /// Requests a second in the mean; they arrive as a Poisson process.
    pub rate_per_s: f64,
    /// Clients, each in a network of its own; each request comes from one of them by chance.
    pub clients: usize,
    /// What arrivals and service times are drawn from.
    pub seed: u64,
    /// Requests that a server works on at once.
    pub slots: usize,
    /// The mean service time of a server at full speed.
    pub service_ms: f64,
}

/// One kind of servers under one method, by one balancer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    /// `equal`, `unequal` or `degrading`.
    pub servers: String,
    /// `round_robin`, `weighted`, `ip_hash`, `least_conn` or `least_time`.
    pub method: String,
    /// `virtual` for the production code in virtual time, else the subject's name.
    pub by: String,
    /// Requests that got no whole 200.
    pub failed: u64,
    /// From when a request was due until its answer was whole.
    pub latency: Latency,
    /// Server by server.
    pub per_server: Vec<PerServer>,
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The median.
    pub p50_ms: f64,
    /// Nine of ten are faster.
    pub p90_ms: f64,
    /// 99 of 100 are faster.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// What one server saw.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PerServer {
    /// `app1` and so on.
    pub name: String,
    /// Requests that came to it.
    pub requests: u64,
    /// Their share of all, 0 to 1.
    pub share: f64,
    /// Requests by the third of the run they came in.
    pub requests_by_third: [u64; THIRDS],
    /// How long a request waited for a slot in the mean.
    pub waiting_ms_mean: f64,
    /// The longest queue, without those being worked on.
    pub queue_max: usize,
    /// Work that came to it over what it can do in the run; above 1 it cannot keep up.
    pub load: f64,
}

impl Case {
    /// The last server's share of the requests in each third of the run, 0 to 1: what a method does when that one
    /// degrades.
    pub fn shares_of_last(&self) -> [f64; THIRDS] {
        std::array::from_fn(|third| {
            let of = |server: &PerServer| server.requests_by_third[third];
            let all: u64 = self.per_server.iter().map(of).sum();
            self.per_server.last().map_or(0, of) as f64 / all.max(1) as f64
        })
    }
}

impl Latency {
    /// Of these seconds; all zero where there is none.
    pub(super) fn of(mut seconds: Vec<f64>) -> Latency {
        seconds.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let rank = (share * seconds.len() as f64).ceil() as usize;
            1e3 * seconds.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Latency { p50_ms: at(0.5), p90_ms: at(0.9), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let latency = Latency::of((1..=100).rev().map(f64::from).collect());
        let expected = Latency { p50_ms: 50e3, p90_ms: 90e3, p99_ms: 99e3, max_ms: 100e3 };
        assert_eq!(latency, expected);
        assert_eq!(Latency::of(vec![0.002]).p50_ms, 2.0);
        assert_eq!(Latency::of(Vec::new()).max_ms, 0.0);
    }
}
