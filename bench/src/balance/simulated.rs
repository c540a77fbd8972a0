//! The production balancer in virtual time: `proxy::upstream::Group` as the proxy links it, with stations
//! for servers. No socket, no thread, no clock; what a second takes is a microsecond's work.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use proxy::config::{Host, Server, Upstream};
use proxy::key::Key;
use proxy::time::Time;
use proxy::upstream::{Attempt, Group, Outcome, PeerKey};

use super::model::{Case, Latency, Plan};
use super::plan::{Choice, Servers};

/// The group takes time zero for long ago.
const START: Time = Time::from_nanos(3_600_000_000_000);

/// Plays the plan's arrivals.
pub(super) fn play(plan: &Plan, servers: Servers, choice: &Choice) -> Case {
    let mut stations = servers.stations(plan);
    let mut group = group(choice);
    let mut ends: BinaryHeap<Reverse<End>> = BinaryHeap::new();
    let mut latencies = Vec::new();
    let mut failed = 0;

    for (number, arrival) in plan.arrivals().into_iter().enumerate() {
        while ends.peek().is_some_and(|Reverse(end)| end.at <= arrival.due)
            && let Some(Reverse(mut end)) = ends.pop()
        {
            group.release(end.peer, &mut end.attempt, Outcome::Served, START + end.at);
        }
        let mut attempt = Attempt::default();
        group.begin(&mut attempt, Some(IpAddr::V4(arrival.client)), Key::default(), 0);
        let Ok(peer) = group.pick(&mut attempt, START + arrival.due) else {
            failed += 1;
            continue;
        };
        let server = group.peer(peer).expect("it was just picked").server();
        let at = stations[server].arrive(arrival.due);
        latencies.push((at - arrival.due).as_secs_f64());
        ends.push(Reverse(End { at, number, peer, attempt }));
    }

    let all = latencies.len() as u64 + failed;
    let per_server = stations.iter().enumerate();
    let per_server =
        per_server.map(|(number, station)| station.summary(format!("app{}", number + 1), all)).collect();
    Case {
        servers: servers.name().into(),
        method: choice.name.into(),
        by: "virtual".into(),
        failed,
        latency: Latency::of(latencies),
        per_server,
    }
}

fn group(choice: &Choice) -> Group {
    let servers = choice.weights.iter().enumerate().map(|(number, &weight)| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 5001 + number as u16));
        let mut server = Server::new(&address.to_string(), Host::Literal(address));
        server.weight = weight;
        server
    });
    Group::new(&Upstream { balance: choice.method, ..Upstream::new("app", servers.collect()) })
}

/// A request will have been served.
struct End {
    at: Duration,
    /// Tells ends at the same time apart.
    number: usize,
    peer: PeerKey,
    attempt: Attempt,
}

impl PartialEq for End {
    fn eq(&self, other: &End) -> bool {
        self.number == other.number
    }
}

impl Eq for End {}

impl PartialOrd for End {
    fn partial_cmp(&self, other: &End) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for End {
    fn cmp(&self, other: &End) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::CHOICES;
    use super::*;

    fn plan() -> Plan {
        Plan { seconds: 60.0, rate_per_s: 240.0, clients: 24, seed: 1, slots: 4, service_ms: 20.0 }
    }

    fn case(servers: Servers, method: &str) -> Case {
        let choice = CHOICES.iter().find(|choice| choice.name == method).unwrap();
        play(&plan(), servers, choice)
    }

    fn shares(case: &Case) -> [f64; 3] {
        [0, 1, 2].map(|number| case.per_server[number].share)
    }

    #[test]
    fn round_robin_gives_the_slow_one_as_much() {
        for servers in Servers::ALL {
            let case = case(servers, "round_robin");
            assert_eq!(case.failed, 0);
            for share in shares(&case) {
                assert!((share - 1.0 / 3.0).abs() < 1e-3, "{servers:?}: {share}");
            }
        }
    }

    #[test]
    fn weights_are_shares() {
        let seen = shares(&case(Servers::Equal, "weighted"));
        for (seen, expected) in seen.into_iter().zip([0.4, 0.4, 0.2]) {
            assert!((seen - expected).abs() < 1e-3, "{seen}");
        }
    }

    #[test]
    fn ip_hash_looks_at_clients_and_not_at_servers() {
        let [equal, unequal] = [Servers::Equal, Servers::Unequal].map(|servers| case(servers, "ip_hash"));
        assert_eq!(shares(&equal), shares(&unequal));
    }

    #[test]
    fn least_time_spares_the_slow_one_as_well() {
        for servers in [Servers::Unequal, Servers::Degrading] {
            let [least_time, round_robin] = ["least_time", "round_robin"].map(|method| case(servers, method));
            assert!(shares(&least_time)[2] < 0.3, "{servers:?}: {:?}", shares(&least_time));
            assert!(least_time.latency.p99_ms < round_robin.latency.p99_ms);
        }
    }

    #[test]
    fn least_conn_spares_the_slow_one_and_queues_less() {
        let [least_conn, round_robin] =
            ["least_conn", "round_robin"].map(|method| case(Servers::Degrading, method));
        let of_last = |case: &Case| case.per_server[2].requests_by_third;
        let [before, during, after] = of_last(&least_conn);
        assert!(2 * during < before && 2 * during < after, "{before} {during} {after}");
        assert!(least_conn.latency.p99_ms < round_robin.latency.p99_ms);
        assert!(least_conn.per_server[2].queue_max < round_robin.per_server[2].queue_max);
    }
}
