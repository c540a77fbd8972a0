//! Names that resolve later, to several addresses, and to others.

use proptest::prelude::*;

use super::super::Resolved;
use super::*;

fn name(name: &str) -> Server {
    Server { host: Host::Name(format!("{name}.example"), 80), ..server(name) }
}

fn addresses(hosts: &[u8]) -> Vec<Resolved> {
    hosts.iter().map(|&host| ([10, 0, 0, host], 80).into()).collect()
}

fn order(group: &Group) -> Vec<String> {
    group.peers().map(|(_, peer)| format!("{} {}", peer.name(), peer.address())).collect()
}

/// The peer of the name at 10.0.0.`host`.
fn key(group: &Group, host: u8) -> PeerKey {
    let address = format!("10.0.0.{host}:80");
    group.peers().find(|(_, peer)| peer.address().to_string() == address).expect("is there").0
}

/// Sends requests until one goes to 10.0.0.`host`.
fn start_to(driver: &mut Driver, host: u8, now: Time) -> Request {
    for _ in 0..100 {
        let request = driver.start(None, now).unwrap();
        if request.key == key(&driver.group, host) {
            return request;
        }
        driver.end(request, Outcome::Neutral, now);
    }
    panic!("10.0.0.{host} is never chosen");
}

#[test]
fn lines_keep_their_order_and_addresses_are_sorted_within() {
    let literal = Server { host: Host::Literal(([10, 0, 9, 9], 80).into()), ..server("b") };
    let mut driver = Driver::round_robin(&[name("a"), literal, name("c")]);
    assert_eq!(order(&driver.group), ["b 10.0.9.9:80"]);
    driver.group.resolved(2, &addresses(&[9]));
    driver.group.resolved(0, &addresses(&[2, 1, 2]));
    assert_eq!(order(&driver.group), ["a 10.0.0.1:80", "a 10.0.0.2:80", "b 10.0.9.9:80", "c 10.0.0.9:80"]);
    for (peer_key, peer) in driver.group.peers() {
        assert_eq!(driver.group.peer(peer_key).unwrap().address(), peer.address());
    }
}

#[test]
fn names_are_listed_for_whoever_resolves() {
    let mut driver = Driver::round_robin(&[server("a"), name("b"), name("c")]);
    driver.group.resolved(2, &addresses(&[1]));
    let names: Vec<_> =
        driver.group.names().map(|name| (name.server, name.host, name.port, name.is_resolved)).collect();
    assert_eq!(names, [(1, "b.example", Some(80), false), (2, "c.example", Some(80), true)]);
}

#[test]
fn without_an_address_there_is_no_server() {
    let mut driver = Driver::round_robin(&[name("a")]);
    assert_eq!(driver.served(1, at(0)), "-");
    assert_eq!(driver.group.servers_state(at(0)), "a not resolved");
    driver.group.resolved(0, &addresses(&[1]));
    assert_eq!(driver.served(2, at(0)), "aa");
    driver.group.resolved(0, &[]);
    assert_eq!(driver.served(1, at(0)), "-");
}

#[test]
fn an_address_that_stays_keeps_its_state_and_its_key() {
    let mut driver = Driver::round_robin(&[name("a"), server("b")]);
    driver.group.resolved(0, &addresses(&[2]));
    let request = start_to(&mut driver, 2, at(0));
    let before = request.key;
    driver.end(request, Outcome::Failed, at(0));
    driver.group.resolved(0, &addresses(&[1, 2]));
    assert_eq!(key(&driver.group, 2), before);
    assert!(driver.group.peer(before).unwrap().is_failed());
    assert!(!driver.group.peer(key(&driver.group, 1)).unwrap().is_failed());
    assert_eq!(driver.group.resolved(0, &addresses(&[2, 1])), [], "nothing changed, nothing said");
}

#[test]
fn health_goes_over_to_the_address_that_replaces_another() {
    let mut driver = Driver::round_robin(&[name("a"), server("b")]);
    driver.group.resolved(0, &addresses(&[1]));
    let request = start_to(&mut driver, 1, at(0));
    driver.end(request, Outcome::Failed, at(0));
    let changes = driver.group.resolved(0, &addresses(&[7]));
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].to_string(), "a: 10.0.0.7:80 is new, 10.0.0.1:80 is gone");
    assert_eq!(driver.served(3, at(10)), "bbb");
    let request = start_to(&mut driver, 7, at(11));
    assert_eq!(driver.end(request, Outcome::Served, at(11)).unwrap().to_string(), "a is up again");
}

#[test]
fn one_of_several_addresses_is_called_by_its_address() {
    let mut driver = Driver::round_robin(&[name("a")]);
    driver.group.resolved(0, &addresses(&[1, 2]));
    let request = start_to(&mut driver, 2, at(0));
    let change = driver.end(request, Outcome::Failed, at(0)).unwrap();
    assert_eq!(
        change.line("refused"),
        "a (10.0.0.2:80) is down: 1 failure within 10s (refused); next try in 10s"
    );
    assert_eq!(
        driver.group.servers_state(at(0)),
        "a (10.0.0.1:80) up, a (10.0.0.2:80) down (1 failure, next try in 10s)"
    );
}

#[test]
fn servers_of_a_service_have_their_weights_and_tiers_and_change_them() {
    let of = |host: u8, weight, is_backup| Resolved {
        address: ([10, 0, 0, host], 80).into(),
        weight: Some(weight),
        is_backup,
    };
    let weights = |group: &Group| -> Vec<u32> { group.peers().map(|(_, peer)| peer.weight).collect() };
    let service = |name: Server| Server { service: Some("_http._tcp.example".to_owned()), ..name };
    let lines = [service(name("a")), server("b"), service(Server { weight: 5, ..name("c") })];
    let mut driver = Driver::round_robin(&lines);
    driver.group.resolved(0, &[of(3, 1, true), of(2, 3, false), of(1, 1, false), of(1, 1, true)]);
    driver.group.resolved(2, &[of(9, 2, false)]);
    let all = ["a 10.0.0.1:80", "a 10.0.0.2:80", "b 127.0.0.1:3098", "c 10.0.0.9:80", "a 10.0.0.3:80"];
    assert_eq!(order(&driver.group), all);
    assert_eq!(weights(&driver.group), [1, 3, 1, 5, 1], "a weight of the line's own counts");

    // The failure that is known of 10.0.0.2 goes with it to the other tier.
    let request = start_to(&mut driver, 2, at(0));
    driver.end(request, Outcome::Failed, at(0));
    let busy = start_to(&mut driver, 1, at(0));
    assert_eq!(driver.group.resolved(0, &[of(1, 4, false), of(2, 1, true), of(3, 1, true)]), []);
    let all = ["a 10.0.0.1:80", "b 127.0.0.1:3098", "c 10.0.0.9:80", "a 10.0.0.2:80", "a 10.0.0.3:80"];
    assert_eq!(order(&driver.group), all);
    assert_eq!(weights(&driver.group), [4, 1, 5, 1, 1]);
    assert!(driver.group.peer(key(&driver.group, 2)).unwrap().is_failed());
    assert_eq!(driver.group.peer(busy.key).unwrap().active(), 1);
    driver.end(busy, Outcome::Served, at(0));

    let mut next = Driver::round_robin(&lines);
    next.group.inherit(&driver.group);
    assert_eq!(order(&next.group), all);
    assert_eq!(weights(&next.group), [4, 1, 5, 1, 1]);
    let mut other = Driver::round_robin(&[name("a"), server("b")]);
    other.group.inherit(&driver.group);
    assert_eq!(order(&other.group), ["b 127.0.0.1:3098"], "a name that is no service has other addresses");
}

#[test]
fn turns_that_were_run_up_with_other_shares_are_forgotten() {
    let of = |host: u8, weight| Resolved { weight: Some(weight), ..([10, 0, 0, host], 80).into() };
    let mut driver = Driver::round_robin(&[name("a")]);
    driver.group.resolved(0, &[of(1, 60_000), of(2, 60_000)]);
    driver.served(1, at(0));
    driver.group.resolved(0, &[of(1, 1), of(2, 1)]);
    for host in [1, 2, 1, 2] {
        let request = driver.start(None, at(0)).unwrap();
        assert_eq!(request.key, key(&driver.group, host));
        driver.end(request, Outcome::Served, at(0));
    }
}

#[test]
fn the_last_address_left_is_single_and_forgiven() {
    let mut driver = Driver::round_robin(&[name("a")]);
    driver.group.resolved(0, &addresses(&[1, 2]));
    let request = start_to(&mut driver, 2, at(0));
    driver.end(request, Outcome::Failed, at(0));
    let changes = driver.group.resolved(0, &addresses(&[2]));
    assert_eq!(changes.last().unwrap().to_string(), "a is up again");
    assert_eq!(driver.served(2, at(1)), "aa");
}

#[test]
fn a_request_to_a_vanished_address_ends_without_a_trace() {
    for outcome in [Outcome::Served, Outcome::Failed, Outcome::Neutral, Outcome::Next] {
        let mut driver = Driver::round_robin(&[Server { max_conns: 1, ..name("a") }, server("b")]);
        driver.group.resolved(0, &addresses(&[1]));
        let mut request = start_to(&mut driver, 1, at(0));
        driver.group.resolved(0, &addresses(&[2]));
        assert!(driver.group.peer(request.key).is_none());
        let tries = request.attempt.tries;
        // The line is free for the new address: what is on its way to the old one does not count there.
        let other = start_to(&mut driver, 2, at(0));
        assert_eq!(driver.group.release(request.key, &mut request.attempt, outcome, at(0)), None);
        assert_eq!(request.attempt.tries, tries - u32::from(outcome != Outcome::Neutral));
        assert_eq!(driver.group.peer(other.key).unwrap().active(), 1);
        assert_eq!(driver.group.peer(other.key).unwrap().fails(), 0);
        driver.end(other, Outcome::Served, at(0));
    }
}

#[test]
fn max_conns_bounds_the_line_over_all_its_addresses() {
    let mut driver = Driver::round_robin(&[Server { max_conns: 3, ..name("a") }]);
    driver.group.resolved(0, &addresses(&[1, 2]));
    let requests: Vec<Request> = (0..3).map(|_| driver.start(None, at(0)).unwrap()).collect();
    assert!(driver.start(None, at(0)).is_err());
    driver.group.resolved(0, &addresses(&[1]));
    assert_eq!(driver.group.peer(key(&driver.group, 1)).unwrap().active(), 2);
    let more = driver.start(None, at(0)).unwrap();
    assert!(driver.start(None, at(0)).is_err());
    for request in requests.into_iter().chain([more]) {
        driver.end(request, Outcome::Served, at(0));
    }
    assert_eq!(driver.group.peer(key(&driver.group, 1)).unwrap().active(), 0);
}

#[test]
fn literals_do_not_resolve() {
    let mut driver = Driver::round_robin(&[server("a")]);
    let before = order(&driver.group);
    assert_eq!(driver.group.resolved(0, &addresses(&[1])), []);
    assert_eq!(order(&driver.group), before);
}

#[derive(Clone, Debug)]
enum Step {
    Start,
    End(prop::sample::Index, Outcome),
    Resolve(usize, Vec<u8>),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome =
        prop::sample::select(vec![Outcome::Served, Outcome::Failed, Outcome::Neutral, Outcome::Next]);
    prop_oneof![
        4 => Just(Step::Start),
        3 => (any::<prop::sample::Index>(), outcome).prop_map(|(index, outcome)| Step::End(index, outcome)),
        1 => (0..3_usize, prop::collection::vec(0_u8..6, 0..5)).prop_map(|(line, hosts)| Step::Resolve(line, hosts)),
        1 => (0..20_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever resolves when: peers stand in order, every one counts the requests on their way to it,
    /// no line goes past its bound, and at rest nothing is left.
    #[test]
    fn counts_are_conserved_while_addresses_change(
        steps in prop::collection::vec(step(), 0..150),
        balance in prop::sample::select(vec![Balance::RoundRobin, Balance::IpHash, Balance::LeastConn]),
    ) {
        let servers = [
            Server { max_conns: 3, ..name("a") },
            Server { weight: 3, max_fails: 2, ..name("b") },
            Server { backup: true, ..name("c") },
            Server { down: true, ..server("d") },
        ];
        let mut driver = Driver::new(&servers, balance);
        let mut in_flight: Vec<Request> = Vec::new();
        // Those of the first line, which are others as time goes by.
        let mut spare: Vec<String> = Vec::new();
        let is_spare = |host: u8, now: Time| (u64::from(host) + now.as_nanos() / 1_000_000_000).is_multiple_of(3);
        let mut now = at(0);
        for step in steps {
            match step {
                Step::Start => in_flight.extend(driver.start(None, now)),
                Step::End(index, outcome) => {
                    if !in_flight.is_empty() {
                        let request = in_flight.swap_remove(index.index(in_flight.len()));
                        driver.end(request, outcome, now);
                    }
                }
                Step::Resolve(line, hosts) => {
                    // Lines have addresses of their own.
                    let hosts: Vec<u8> = hosts.iter().map(|host| host + 10 * line as u8).collect();
                    let resolved = |host: &u8| Resolved {
                        address: ([10, 0, 0, *host], 80).into(),
                        weight: (line == 0).then_some(1 + u32::from(*host)),
                        is_backup: line == 0 && is_spare(*host, now),
                    };
                    let resolved: Vec<Resolved> = hosts.iter().map(resolved).collect();
                    if line == 0 {
                        let is_spare = resolved.iter().filter(|found| found.is_backup);
                        spare = is_spare.map(|found| found.address.to_string()).collect();
                    }
                    driver.group.resolved(line, &resolved);
                    let count = hosts.iter().collect::<std::collections::HashSet<_>>().len();
                    prop_assert_eq!(driver.group.peers().filter(|(_, peer)| peer.server() == line).count(), count);
                }
                Step::Wait(seconds) => now = now + Duration::from_secs(seconds),
            }
            let mut of_a = 0;
            let mut last = None;
            for (peer_key, peer) in driver.group.peers() {
                let on_the_way = in_flight.iter().filter(|request| request.key == peer_key).count();
                prop_assert_eq!(peer.active() as usize, on_the_way);
                prop_assert!(on_the_way == 0 || peer.server() != 3, "one went to a server that is down");
                of_a += if peer.server() == 0 { on_the_way } else { 0 };
                let address = peer.address().to_string();
                let is_backup = peer.server() == 2 || (peer.server() == 0 && spare.contains(&address));
                let place = (is_backup, peer.server(), address);
                prop_assert!(last < Some(place.clone()));
                last = Some(place);
            }
            prop_assert!(of_a <= 3);
        }
        for request in in_flight {
            driver.end(request, Outcome::Served, now);
        }
        prop_assert!(driver.group.peers().all(|(_, peer)| peer.active() == 0));
    }
}
