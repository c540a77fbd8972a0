//! Requests that are bound to a peer (`sticky`).

use super::balance::ALL;
use super::*;
use crate::config::{HealthCheck, Learn};
use crate::key::{Digest, Lesson};
use crate::upstream::Checked;

impl Driver {
    /// A driver whose clients keep their server.
    fn sticky(servers: &[Server], balance: Balance) -> Driver {
        let sticky = Some(Sticky { lookup: Vec::new(), cookie: None, learn: None });
        let config = Upstream { balance, sticky, ..Upstream::new("app", servers.to_vec()) };
        Driver { group: Group::new(&config) }
    }

    /// A request that names its server.
    fn start_bound(&mut self, session: &str, now: Time) -> Result<Request, NoLivePeer> {
        let mut attempt = Attempt::default();
        self.group.begin(&mut attempt, None, Key::new(b"key"), 0);
        self.group.bind(&mut attempt, Some(Digest::new(session.as_bytes())), now);
        let key = self.group.pick(&mut attempt, now)?;
        Ok(Request { attempt, key })
    }

    /// One that is served; the server's name, or `-` where there is none.
    fn bound(&mut self, session: &str, now: Time) -> String {
        let Ok(request) = self.start_bound(session, now) else { return "-".to_owned() };
        let name = self.name(&request);
        self.end(request, Outcome::Served, now);
        name
    }
}

/// a, b, c, … with the routes ra, rb, rc, …
fn routed(weights: &[u32]) -> Vec<Server> {
    let route = |server: Server| Server { route: format!("r{}", server.name), ..server };
    weighted(weights).into_iter().map(route).collect()
}

#[test]
fn a_peer_is_called_by_its_route_or_by_the_digest_of_its_address() {
    let mut servers = routed(&[1, 1, 1]);
    servers[1].route.clear();
    servers[1].host = Host::Literal(([127, 0, 0, 1], 5001).into());
    servers[2].route.clear();
    servers[2].host = Host::Unix("/run/app.sock".into());
    let driver = Driver::sticky(&servers, Balance::RoundRobin);
    let names: Vec<String> =
        driver.group.peers().map(|(_, peer)| peer.session().expect("a name").to_string()).collect();
    // `printf 127.0.0.1:5001 | md5sum`, `printf unix:/run/app.sock | md5sum`
    assert_eq!(names, ["ra", "e73eb7edc6b16f4bfdbfe7bd78f9ac14", "939db79304b0f599c2c20969650359ab"]);
    let plain = Driver::round_robin(&servers);
    assert!(plain.group.peers().all(|(_, peer)| peer.session().is_none()));
}

#[test]
fn whoever_is_bound_comes_to_its_peer_by_any_method() {
    for balance in ALL {
        let mut driver = Driver::sticky(&routed(&[1, 1, 1]), balance);
        for name in ["c", "a", "b", "b", "c", "a"] {
            assert_eq!(driver.bound(&format!("r{name}"), at(0)), name, "{balance:?}");
        }
        let names: std::collections::HashSet<String> = (0..9).map(|_| driver.bound("other", at(0))).collect();
        assert!(!names.contains("-"), "a name that nobody has binds to nobody");
    }
}

#[test]
fn a_peer_that_cannot_take_it_is_replaced() {
    let mut servers = routed(&[1, 1, 1]);
    servers[1].max_conns = 1;
    servers[2].down = true;
    let mut driver = Driver::sticky(&servers, Balance::RoundRobin);
    let full = driver.start_bound("rb", at(0)).expect("room");
    assert_eq!(driver.bound("rb", at(0)), "a");
    driver.end(full, Outcome::Failed, at(0));
    assert_eq!((driver.bound("rb", at(5)), driver.bound("rc", at(5))), ("a".to_owned(), "a".to_owned()));
    assert_eq!(driver.bound("rb", at(11)), "b", "its time is over");
}

#[test]
fn one_that_failed_the_request_is_not_tried_again() {
    let mut servers = routed(&[1, 1]);
    servers.iter_mut().for_each(|server| server.max_fails = 0);
    let mut driver = Driver::sticky(&servers, Balance::LeastConn);
    let mut request = driver.start_bound("rb", at(0)).expect("a server");
    driver.group.release(request.key, &mut request.attempt, Outcome::Failed, at(0));
    assert!(request.attempt.tries_left());
    let next = driver.group.pick(&mut request.attempt, at(0)).expect("another");
    assert_eq!(&**driver.group.peer(next).expect("a peer").name(), "a");
}

#[test]
fn one_that_drains_takes_those_who_are_bound_to_it() {
    for balance in ALL {
        let mut servers = routed(&[1, 1]);
        servers[0].drain = true;
        let mut driver = Driver::sticky(&servers, balance);
        assert_eq!((driver.bound("ra", at(0)), driver.served(4, at(0))), ("a".to_owned(), "bbbb".to_owned()));
        servers[0].down = true;
        let mut driver = Driver::sticky(&servers, balance);
        assert_eq!(driver.bound("ra", at(0)), "b", "down is down");
    }
}

#[test]
fn one_that_is_unhealthy_takes_nobody_even_while_it_drains() {
    let mut servers = routed(&[1, 1, 1]);
    servers[0].drain = true;
    let checks = vec![HealthCheck::new("/", "app")];
    let sticky = Some(Sticky { lookup: Vec::new(), cookie: None, learn: None });
    let mut driver =
        Driver { group: Group::new(&Upstream { checks, sticky, ..Upstream::new("app", servers) }) };
    for (how, bound) in [(Checked::Failed, "cc"), (Checked::Passed, "ab")] {
        for due in driver.group.begin_checks(at(100), usize::MAX) {
            let how = if due.server == 2 { Checked::Passed } else { how };
            driver.group.checked(due.peer, due.check, how, at(0));
        }
        assert_eq!(driver.bound("ra", at(1)) + &driver.bound("rb", at(1)), bound);
    }
}

#[test]
fn a_backup_keeps_its_clients_only_while_no_other_can_serve() {
    let mut servers = routed(&[1, 1, 1]);
    servers[0].down = true;
    servers[1].backup = true;
    servers[2].backup = true;
    let mut driver = Driver::sticky(&servers, Balance::RoundRobin);
    assert_eq!((driver.bound("rc", at(0)), driver.bound("rc", at(0))), ("c".to_owned(), "c".to_owned()));
    servers[0].down = false;
    let mut driver = Driver::sticky(&servers, Balance::RoundRobin);
    assert_eq!(driver.bound("rc", at(0)), "a");
}

#[test]
fn round_robin_reckons_a_bound_request_as_a_turn() {
    let mut driver = Driver::sticky(&routed(&[1, 1, 1]), Balance::RoundRobin);
    assert_eq!(driver.bound("ra", at(0)), "a");
    assert_eq!(driver.served(2, at(0)), "bc");
    // But many in a row leave no debt that keeps the others out for as long.
    for _ in 0..50 {
        assert_eq!(driver.bound("ra", at(0)), "a");
    }
    let names = driver.served(9, at(0));
    assert!(names.starts_with("bc"), "{names}");
    assert!(names.matches('a').count() >= 2, "{names}");
}

/// A driver that learns so many sessions, each for ten seconds.
fn learning(sessions_max: usize) -> Driver {
    let timeout = Duration::from_secs(10);
    let learn = Some(Learn { create: Vec::new(), sessions_max, timeout, at_header: false });
    let sticky = Some(Sticky { lookup: Vec::new(), cookie: None, learn });
    Driver { group: Group::new(&Upstream { sticky, ..Upstream::new("app", weighted(&[1, 1, 1])) }) }
}

impl Driver {
    /// One request of a session that is served, and whose response names it, as one that `begins` or not.
    fn learns(&mut self, session: &str, begins: bool, now: Time) -> String {
        let request = self.start_bound(session, now).expect("a server");
        let name = self.name(&request);
        let lesson = Lesson { session: Digest::new(session.as_bytes()), begins };
        self.group.learn(request.key, lesson, now);
        self.end(request, Outcome::Served, now);
        name
    }
}

#[test]
fn a_session_is_learnt_from_the_response_that_begins_it() {
    let mut driver = learning(100);
    assert_eq!(driver.learns("s", false, at(0)), "a", "nobody knows it");
    assert_eq!(driver.learns("s", true, at(0)), "b");
    for second in 0..5 {
        // Each response keeps it for ten more seconds.
        assert_eq!(driver.learns("s", false, at(9 * second)), "b");
    }
    assert_eq!(driver.bound("s", at(45)), "b");
    assert_ne!(driver.learns("s", false, at(46)), "b", "it is forgotten, and not begun anew");
    assert_ne!(driver.bound("s", at(46)), driver.bound("s", at(46)));
}

#[test]
fn a_session_that_goes_elsewhere_stays_there() {
    let mut driver = learning(100);
    assert_eq!(driver.learns("s", true, at(0)), "a");
    let mut request = driver.start_bound("s", at(1)).expect("a server");
    driver.group.release(request.key, &mut request.attempt, Outcome::Failed, at(1));
    let next = driver.learns("s", false, at(1));
    assert_ne!(next, "a", "that one is down");
    assert_eq!(driver.bound("s", at(9)), next);
}

#[test]
fn no_more_sessions_are_known_than_there_is_room_for() {
    let mut driver = learning(2);
    assert_eq!(driver.learns("s", true, at(0)), "a");
    assert_eq!(driver.learns("t", true, at(1)), "b");
    assert_eq!(driver.learns("s", false, at(2)), "a");
    // The one that was used longest ago goes.
    assert_eq!(driver.learns("u", true, at(3)), "c");
    assert_eq!((driver.bound("s", at(3)), driver.bound("u", at(3))), ("a".to_owned(), "c".to_owned()));
    let names: std::collections::HashSet<String> = (0..3).map(|_| driver.bound("t", at(3))).collect();
    assert!(names.len() > 1, "it is bound to nobody: {names:?}");
}
