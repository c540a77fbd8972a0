//! What is asked of every balancer: the servers, the methods, and one schedule of arrivals.

use std::net::Ipv4Addr;
use std::time::Duration;

use proxy::config::{Balance, Measure, Until};

use super::model::{Plan, THIRDS};
use super::station::{Speed, Station, exponential};

/// Three servers, of which the last may be worse than the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Servers {
    /// All alike.
    Equal,
    /// The last takes twice as long.
    Unequal,
    /// The last takes five times as long in the middle third of the run.
    Degrading,
}

/// How many servers there are.
pub(super) const SERVERS: usize = 3;

/// What `weighted` gives them: the last counts half.
const WEIGHTS: [u32; SERVERS] = [2, 2, 1];

impl Servers {
    pub(super) const ALL: [Servers; 3] = [Servers::Equal, Servers::Unequal, Servers::Degrading];

    pub(super) fn name(self) -> &'static str {
        match self {
            Servers::Equal => "equal",
            Servers::Unequal => "unequal",
            Servers::Degrading => "degrading",
        }
    }

    /// The stations at the start of a run.
    pub(super) fn stations(self, plan: &Plan) -> Vec<Station> {
        let slowdown_of_last = match self {
            Servers::Equal => [1.0; THIRDS],
            Servers::Unequal => [2.0; THIRDS],
            Servers::Degrading => [1.0, 5.0, 1.0],
        };
        (0..SERVERS)
            .map(|number| {
                let slowdown = if number + 1 == SERVERS { slowdown_of_last } else { [1.0; THIRDS] };
                let service = Duration::from_secs_f64(plan.service_ms / 1e3);
                let speed = Speed { slots: plan.slots, service, slowdown };
                let seed = plan.seed.wrapping_add(1 + number as u64);
                Station::new(speed, plan.whole(), seed)
            })
            .collect()
    }
}

/// A method as the tables name it, and what it is configured as.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) name: &'static str,
    pub(super) method: Balance,
    pub(super) weights: [u32; SERVERS],
}

/// Origins answer all at once, so the head is there with the last byte.
const LEAST_TIME: Balance = Balance::LeastTime(Measure { until: Until::LastByte, counts_unanswered: true });

pub(super) const CHOICES: [Choice; 5] = [
    Choice { name: "round_robin", method: Balance::RoundRobin, weights: [1; SERVERS] },
    Choice { name: "weighted", method: Balance::RoundRobin, weights: WEIGHTS },
    Choice { name: "ip_hash", method: Balance::IpHash, weights: [1; SERVERS] },
    Choice { name: "least_conn", method: Balance::LeastConn, weights: [1; SERVERS] },
    Choice { name: "least_time", method: LEAST_TIME, weights: [1; SERVERS] },
];

/// A request: when it is due since the start of the run, and who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) due: Duration,
    pub(super) client: Ipv4Addr,
}

impl Plan {
    /// How long requests arrive.
    pub(super) fn whole(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// The arrivals, the same for every balancer. A client is a loopback address, in a /24 of its own since
    /// `ip_hash` sees no more of it.
    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        let mut chance = fastrand::Rng::with_seed(self.seed);
        let gap = Duration::from_secs_f64(1.0 / self.rate_per_s);
        let mut due = Duration::ZERO;
        let mut arrivals = Vec::new();
        loop {
            due += exponential(&mut chance, gap);
            if due >= self.whole() {
                return arrivals;
            }
            let client = client(chance.usize(..self.clients));
            arrivals.push(Arrival { due, client });
        }
    }
}

/// The address of client `number`, below [`CLIENTS_MAX`].
fn client(number: usize) -> Ipv4Addr {
    let [.., high, low] = (number + 1).to_be_bytes();
    Ipv4Addr::new(127, high, low, 1)
}

/// How many clients there can be: so many networks of 256 addresses has 127.0.0.0/8, less the first.
pub(super) const CLIENTS_MAX: usize = 65_535;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn arrivals_come_at_their_rate_from_all_clients() {
        let plan =
            Plan { seconds: 100.0, rate_per_s: 200.0, clients: 50, seed: 3, slots: 1, service_ms: 1.0 };
        let arrivals = plan.arrivals();
        assert!((19_000..21_000).contains(&arrivals.len()), "{}", arrivals.len());
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.due));
        let clients: HashSet<Ipv4Addr> = arrivals.iter().map(|arrival| arrival.client).collect();
        assert_eq!(clients.len(), 50);
        assert_eq!(arrivals, plan.arrivals());
    }

    #[test]
    fn every_client_has_a_network_of_its_own() {
        assert_eq!(client(0), Ipv4Addr::new(127, 0, 1, 1));
        assert_eq!(client(256), Ipv4Addr::new(127, 1, 1, 1));
        assert_eq!(client(CLIENTS_MAX - 1), Ipv4Addr::new(127, 255, 255, 1));
    }
}
