//! A group that is configured otherwise takes over what is known of its servers.

use super::*;

fn failed(driver: &mut Driver, name: &str, now: Time) {
    for _ in 0..100 {
        let request = driver.start(None, now).expect("a server is up");
        let outcome = if driver.name(&request) == name { Outcome::Failed } else { Outcome::Neutral };
        driver.end(request, outcome, now);
        if outcome == Outcome::Failed {
            return;
        }
    }
    panic!("{name} is never chosen");
}

#[test]
fn servers_of_the_same_name_keep_their_failures() {
    let mut old = Driver::round_robin(&weighted(&[1, 1, 1]));
    failed(&mut old, "b", at(0));
    let mut new = Driver::round_robin(&[server("d"), Server { weight: 5, ..server("b") }, server("a")]);
    new.group.inherit(&old.group);
    assert_eq!(new.served(4, at(1)), "dada", "b is down");
    assert!(new.served(9, at(11)).contains('b'), "it is tried again when it would have been");
}

#[test]
fn another_address_is_another_server() {
    let mut old = Driver::round_robin(&weighted(&[1, 1]));
    failed(&mut old, "b", at(0));
    let moved = Server { host: Host::Literal(([127, 0, 0, 2], 1).into()), ..server("b") };
    let mut new = Driver::round_robin(&[server("a"), moved]);
    new.group.inherit(&old.group);
    assert_eq!(new.served(4, at(1)), "abab");
}

#[test]
fn the_only_server_has_no_failures_whatever_it_had_before() {
    let mut old = Driver::round_robin(&weighted(&[1, 1]));
    failed(&mut old, "b", at(0));
    let mut new = Driver::round_robin(&[server("b")]);
    new.group.inherit(&old.group);
    assert_eq!(new.served(3, at(1)), "bbb");
}

#[test]
fn names_keep_their_addresses() {
    let name = Server { host: Host::Name("n.example".to_owned(), 80), ..server("n") };
    let mut old = Driver::round_robin(&[name.clone(), server("a")]);
    old.group.resolved(0, &[([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], 80).into()]);
    let mut new = Driver::round_robin(&[server("b"), Server { backup: true, ..name }]);
    new.group.inherit(&old.group);
    let addresses: Vec<_> = new.group.peers().map(|(_, peer)| peer.address().to_string()).collect();
    assert_eq!(addresses[1..], ["10.0.0.1:80", "10.0.0.2:80"]);
    assert!(new.group.names().all(|name| name.is_resolved));
}

#[test]
fn requests_in_flight_end_in_the_group_that_they_began_in() {
    let mut old = Driver::round_robin(&weighted(&[1, 1]));
    let request = old.start(None, at(0)).expect("a server is up");
    let mut new = Driver::round_robin(&[server("a")]);
    new.group.inherit(&old.group);
    assert!(new.group.peers().all(|(_, peer)| peer.active() == 0));
    old.end(request, Outcome::Served, at(1));
    assert!(old.group.peers().all(|(_, peer)| peer.active() == 0));
}
