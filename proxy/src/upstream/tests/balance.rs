//! Who is chosen while nobody fails.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;

pub(super) const ALL: [Balance; 8] = [
    Balance::RoundRobin,
    Balance::LeastConn,
    Balance::IpHash,
    Balance::Hash,
    Balance::ConsistentHash,
    Balance::Random,
    Balance::RandomTwo,
    Balance::LeastTime(Measure { until: Until::LastByte, counts_unanswered: true }),
];

#[test]
fn weighted_round_robin_is_smooth() {
    for (weights, sequence) in [
        (&[1, 1][..], "abababab"),
        (&[1, 1, 1], "abcabcabc"),
        (&[5, 1, 1], "aabacaaaabacaa"),
        (&[4, 2, 1], "abacabaabacaba"),
        (&[1, 5], "bbabbbbbabbb"),
        (&[7], "aaaa"),
    ] {
        let mut driver = Driver::round_robin(&weighted(weights));
        assert_eq!(driver.served(sequence.len(), at(0)), sequence, "weights {weights:?}");
    }
}

#[test]
fn least_conn_is_round_robin_while_idle() {
    let mut driver = Driver::new(&weighted(&[5, 1, 1]), Balance::LeastConn);
    assert_eq!(driver.served(7, at(0)), "aabacaa");
}

#[test]
fn least_conn_avoids_the_slow_one() {
    let mut driver = Driver::new(&weighted(&[1, 1]), Balance::LeastConn);
    let slow = driver.start(None, at(0)).unwrap();
    assert_eq!(driver.name(&slow), "a");
    assert_eq!(driver.served(5, at(0)), "bbbbb");
    driver.end(slow, Outcome::Served, at(1));
    // Both idle again, and the round robin left as it was: a had its turn.
    assert_eq!(driver.served(4, at(1)), "baba");
}

#[test]
fn least_conn_weighs_what_is_in_flight() {
    let mut driver = Driver::new(&weighted(&[3, 1]), Balance::LeastConn);
    let mut names = String::new();
    let mut requests = Vec::new();
    for _ in 0..8 {
        let request = driver.start(None, at(0)).unwrap();
        names += &driver.name(&request);
        requests.push(request);
    }
    // 3 to 1 in flight at every fourth, whatever the order within.
    assert_eq!(names.matches('a').count(), 6, "{names}");
    assert_eq!(names[..4].matches('a').count(), 3, "{names}");
}

#[test]
fn ip_hash_takes_three_octets_of_ipv4_and_all_of_ipv6() {
    let mut driver = Driver::new(&weighted(&[1; 7]), Balance::IpHash);
    let mut chosen = |client: &str| {
        let request = driver.start(Some(client.parse().unwrap()), at(0)).unwrap();
        let name = driver.name(&request);
        driver.end(request, Outcome::Served, at(0));
        name
    };
    assert_eq!(chosen("10.1.2.3"), chosen("10.1.2.200"));
    let networks: std::collections::HashSet<_> = (0..50).map(|i| chosen(&format!("10.1.{i}.1"))).collect();
    assert_eq!(networks.len(), 7);
    let hosts: std::collections::HashSet<_> = (0..50).map(|i| chosen(&format!("2001:db8::{i}"))).collect();
    assert_eq!(hosts.len(), 7);
}

#[test]
fn ip_hash_treats_unix_clients_as_the_zero_network() {
    let mut driver = Driver::new(&weighted(&[2, 3, 1]), Balance::IpHash);
    let unix = driver.start(None, at(0)).unwrap();
    let zero = driver.start(Some(IpAddr::V4(Ipv4Addr::new(0, 0, 0, 9))), at(0)).unwrap();
    assert_eq!(driver.name(&unix), driver.name(&zero));
}

#[test]
fn a_down_server_keeps_its_place_in_ip_hash() {
    let mut servers = weighted(&[1, 1, 1, 1]);
    let whole = Driver::new(&servers, Balance::IpHash);
    servers[2].down = true;
    let reduced = Driver::new(&servers, Balance::IpHash);
    let [mut whole, mut reduced] = [whole, reduced];
    for third in 0..=255 {
        let client = Some(IpAddr::V4(Ipv4Addr::new(192, 168, third, 1)));
        let before = whole.start(client, at(0)).unwrap();
        let after = reduced.start(client, at(0)).unwrap();
        let (before, after) = (whole.name(&before), reduced.name(&after));
        assert!(after != "c" && (before == after || before == "c"), "{before} became {after}");
    }
}

#[test]
fn backup_servers_serve_only_while_no_other_can() {
    let mut servers = weighted(&[1, 1, 1]);
    servers[2].backup = true;
    for balance in ALL {
        let mut driver = Driver::new(&servers, balance);
        assert!(!driver.served(10, at(0)).contains('c'));
        assert_eq!(driver.through("ab", Outcome::Failed, 0, at(0)).chars().last(), Some('c'));
        assert_eq!(driver.served(3, at(0)), "ccc");
    }
}

#[test]
fn max_conns_moves_on_to_the_next_then_the_backup_then_the_error() {
    let mut servers = weighted(&[1, 1, 1]);
    servers[0].max_conns = 1;
    servers[1].max_conns = 2;
    servers[2].backup = true;
    servers[2].max_conns = 1;
    for balance in [Balance::RoundRobin, Balance::LeastConn] {
        let mut driver = Driver::new(&servers, balance);
        let mut requests: Vec<Request> = (0..4).map(|_| driver.start(None, at(0)).unwrap()).collect();
        let names: String = requests.iter().map(|request| driver.name(request)).collect();
        assert_eq!(names, "abbc");
        assert!(driver.start(None, at(0)).is_err());
        driver.end(requests.remove(1), Outcome::Served, at(0));
        assert_eq!(driver.served(2, at(0)), "bb");
    }
}

#[test]
fn max_conns_bounds_a_single_server_too() {
    let mut servers = weighted(&[1]);
    servers[0].max_conns = 1;
    let mut driver = Driver::round_robin(&servers);
    let request = driver.start(None, at(0)).unwrap();
    assert!(driver.start(None, at(0)).is_err());
    driver.end(request, Outcome::Served, at(0));
    assert_eq!(driver.served(1, at(0)), "a");
}

#[test]
fn an_attempt_is_small_and_allocates_nothing_before_a_retry() {
    assert!(size_of::<Attempt>() <= 96, "{} bytes", size_of::<Attempt>());
    let mut driver = Driver::round_robin(&weighted(&[1, 1]));
    let mut attempt = Attempt::default();
    for outcome in [Outcome::Served, Outcome::Neutral] {
        driver.group.begin(&mut attempt, None, Key::default(), 0);
        let key = driver.group.pick(&mut attempt, at(0)).unwrap();
        driver.group.release(key, &mut attempt, outcome, at(0));
        assert_eq!(attempt.tried.capacity(), 0);
    }
}

proptest! {
    /// Any run of total-weight many choices gives each server exactly its weight, and nobody is ever a whole
    /// request ahead of its share.
    #[test]
    fn weights_are_respected_in_every_window(weights in prop::collection::vec(1_u32..20, 1..8)) {
        let total = weights.iter().sum::<u32>() as usize;
        let mut driver = Driver::round_robin(&weighted(&weights));
        let sequence: Vec<String> = (0..3 * total).map(|_| driver.once(Outcome::Served, at(0))).collect();
        for window in sequence.windows(total) {
            let mut counts: HashMap<&str, u32> = HashMap::new();
            window.iter().for_each(|name| *counts.entry(name).or_default() += 1);
            for (server, weight) in driver.group.peers().map(|(_, peer)| (peer.name(), peer.weight)) {
                prop_assert_eq!(counts[&**server], weight);
            }
        }
        for (index, weight) in weights.iter().enumerate() {
            let name = char::from(b'a' + index as u8).to_string();
            let mut count = 0;
            for (length, chosen) in (1_u64..).zip(&sequence) {
                count += u64::from(*chosen == name);
                prop_assert!(count * (total as u64) < length * u64::from(*weight) + total as u64);
            }
        }
    }

    /// `ip_hash` as its manual describes it, written down plainly.
    #[test]
    fn ip_hash_finds_the_place_of_the_hash(
        weights in prop::collection::vec(1_u32..9, 2..12),
        client in any::<IpAddr>(),
    ) {
        let octets = match client {
            IpAddr::V4(address) => address.octets()[..3].to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let mut hash = 89_u64;
        for octet in octets {
            hash = (hash * 113 + u64::from(octet)) % 6271;
        }
        let shares: Vec<usize> =
            weights.iter().enumerate().flat_map(|(i, &weight)| vec![i; weight as usize]).collect();
        let expected = char::from(b'a' + shares[hash as usize % shares.len()] as u8).to_string();

        let mut driver = Driver::new(&weighted(&weights), Balance::IpHash);
        let request = driver.start(Some(client), at(0)).unwrap();
        prop_assert_eq!(driver.name(&request), expected);
    }
}
