//! What failures do to the choice, and what is said about it.

use super::*;

/// Two servers, the first with the given bounds.
fn pair(max_fails: u32, fail_timeout: u64) -> Driver {
    let mut servers = weighted(&[1, 1]);
    servers[0].max_fails = max_fails;
    servers[0].fail_timeout = Duration::from_secs(fail_timeout);
    Driver::round_robin(&servers)
}

/// A request to `a` with this outcome; `None` where `a` is not chosen within four requests: as many as
/// it may take to come round when failures have cost it weight.
fn to_a(driver: &mut Driver, outcome: Outcome, now: Time) -> Option<Option<Change>> {
    for _ in 0..4 {
        let request = driver.start(None, now).unwrap();
        if driver.name(&request) == "a" {
            return Some(driver.end(request, outcome, now));
        }
        driver.end(request, Outcome::Served, now);
    }
    None
}

#[test]
fn failures_are_accounted_as_nginx_does() {
    use Outcome::{Failed, Neutral, Next, Served};
    /// What becomes of a request meant for `a`.
    #[derive(Debug, PartialEq)]
    enum Then {
        /// It went there, and this many failures count afterwards.
        Fails(u32),
        /// It was kept away from there.
        Avoided,
    }
    use Then::{Avoided, Fails};
    type Step = (u64, Outcome, Then);
    let cases: &[(&str, u32, u64, &[Step])] = &[
        ("one failure takes it out", 1, 10, &[(0, Failed, Fails(1)), (1, Served, Avoided)]),
        (
            "it is tried again only after fail_timeout has passed, not when it is reached",
            1,
            10,
            &[(0, Failed, Fails(1)), (10, Served, Avoided), (11, Served, Fails(0))],
        ),
        (
            "a probe that fails costs another fail_timeout",
            1,
            10,
            &[(0, Failed, Fails(1)), (11, Failed, Fails(2)), (21, Served, Avoided), (22, Served, Fails(0))],
        ),
        (
            "max_fails=0 never marks",
            0,
            10,
            &[(0, Failed, Fails(1)), (0, Failed, Fails(2)), (0, Served, Fails(2))],
        ),
        (
            "the window is none: failures less than fail_timeout apart add up over any time",
            3,
            10,
            &[
                (0, Failed, Fails(1)),
                (9, Failed, Fails(2)),
                (18, Served, Fails(2)),
                (19, Failed, Fails(3)),
                (20, Served, Avoided),
            ],
        ),
        (
            "a success forgives only after fail_timeout without a check",
            3,
            10,
            &[(0, Failed, Fails(1)), (10, Served, Fails(1)), (11, Served, Fails(0)), (12, Failed, Fails(1))],
        ),
        (
            "a failure after a long rest still adds up when no success came between",
            2,
            10,
            &[(0, Failed, Fails(1)), (100, Failed, Fails(2)), (101, Served, Avoided)],
        ),
        (
            "what is not the server's doing leaves the count, and forgives nothing",
            2,
            10,
            &[(0, Failed, Fails(1)), (11, Neutral, Fails(1)), (12, Served, Fails(0))],
        ),
        (
            "403 and 404 are answers",
            1,
            10,
            &[(0, Next, Fails(0)), (1, Failed, Fails(1)), (12, Next, Fails(0))],
        ),
    ];
    for (case, max_fails, fail_timeout, steps) in cases {
        let mut driver = pair(*max_fails, *fail_timeout);
        for (seconds, outcome, then) in *steps {
            let was_chosen = to_a(&mut driver, *outcome, at(*seconds)).is_some();
            let fails = driver.group.peers().next().expect("a is the first").1.fails();
            let what = if was_chosen { Fails(fails) } else { Avoided };
            assert_eq!(what, *then, "{case}: {outcome:?} at {seconds} s");
        }
    }
}

#[test]
fn only_one_request_probes() {
    let mut driver = pair(1, 10);
    to_a(&mut driver, Outcome::Failed, at(0)).unwrap();
    let probe = loop {
        let request = driver.start(None, at(11)).unwrap();
        if driver.name(&request) == "a" {
            break request;
        }
        driver.end(request, Outcome::Served, at(11));
    };
    assert_eq!(driver.served(5, at(12)), "bbbbb");
    assert!(matches!(driver.end(probe, Outcome::Served, at(13)), Some(Change::Up { .. })));
    assert!(driver.served(2, at(13)).contains('a'));
}

#[test]
fn a_single_server_is_never_marked() {
    let mut driver = Driver::round_robin(&weighted(&[1]));
    for second in 0..5 {
        let request = driver.start(None, at(second)).unwrap();
        assert_eq!(driver.end(request, Outcome::Failed, at(second)), None);
    }
    assert_eq!(driver.through("a", Outcome::Failed, 0, at(9)), "a", "and its request has no second try");

    let mut servers = weighted(&[1, 1]);
    servers[1].backup = true;
    let mut driver = Driver::round_robin(&servers);
    assert_eq!(driver.through("a", Outcome::Failed, 0, at(0)), "ab", "one with a backup is marked");
    assert_eq!(driver.served(2, at(1)), "bb");
}

#[test]
fn a_failure_costs_weight_that_comes_back_by_one_a_choice() {
    let mut servers = weighted(&[6, 1]);
    servers[0].max_fails = 2;
    let mut driver = Driver::round_robin(&servers);
    let effective = |driver: &Driver| driver.group.peers().next().unwrap().1.effective_weight;
    assert_eq!(driver.once(Outcome::Failed, at(0)), "a");
    assert_eq!(effective(&driver), 3);
    driver.served(2, at(0));
    assert_eq!(effective(&driver), 5);
    driver.served(5, at(0));
    assert_eq!(effective(&driver), 6);
}

#[test]
fn a_request_tries_each_server_once_backup_included() {
    let mut servers = weighted(&[1, 1, 1, 1]);
    servers.iter_mut().for_each(|server| server.max_fails = 0);
    servers[1].down = true;
    servers[3].backup = true;
    let mut driver = Driver::round_robin(&servers);
    for outcome in [Outcome::Failed, Outcome::Next] {
        let way = driver.through("abcd", outcome, 0, at(0));
        assert!(way == "acd" || way == "cad", "{way}");
    }
    assert_eq!(driver.through("abcd", Outcome::Failed, 2, at(0)).len(), 2);
    assert_eq!(driver.through("abcd", Outcome::Failed, 1, at(0)).len(), 1);
    assert_eq!(driver.through("abcd", Outcome::Failed, 9, at(0)).len(), 3);
}

#[test]
fn a_neutral_end_costs_no_try_and_no_place() {
    let mut driver = Driver::round_robin(&weighted(&[1, 1]));
    let mut attempt = Attempt::default();
    driver.group.begin(&mut attempt, None, Key::default(), 1);
    for name in ["a", "b", "a"] {
        let key = driver.group.pick(&mut attempt, at(0)).unwrap();
        assert_eq!(&**driver.group.peer(key).unwrap().name(), name);
        driver.group.release(key, &mut attempt, Outcome::Neutral, at(0));
        assert!(attempt.tries_left());
    }
}

#[test]
fn all_failed_is_an_error_until_fail_timeout_has_passed() {
    let mut driver = Driver::round_robin(&weighted(&[1, 1]));
    assert_eq!(driver.through("ab", Outcome::Failed, 0, at(0)), "ab");
    assert_eq!(driver.through("", Outcome::Failed, 0, at(10)), "-");
    // Both come back without weight, so the order is that of the credits before they failed.
    assert_eq!(driver.served(3, at(11)), "bba");
}

#[test]
fn a_change_is_said_once_in_one_line() {
    let mut driver = pair(3, 10);
    let mut said = Vec::new();
    for second in [0, 1, 2] {
        said.extend(to_a(&mut driver, Outcome::Failed, at(second)).unwrap());
    }
    // A failed probe changes nothing that was not said; an answered one does.
    said.extend(to_a(&mut driver, Outcome::Failed, at(13)).unwrap());
    said.extend(to_a(&mut driver, Outcome::Served, at(24)).unwrap());
    let lines: Vec<String> = said.iter().map(|change| change.line("connection refused")).collect();
    assert_eq!(
        lines,
        ["a is down: 3 failures within 10s (connection refused); next try in 10s", "a is up again"]
    );
    assert_eq!(said[0].to_string(), "a is down: 3 failures within 10s; next try in 10s");

    let mut driver = pair(1, 10);
    let change = to_a(&mut driver, Outcome::Failed, at(0)).unwrap().unwrap();
    assert_eq!(change.line("timed out"), "a is down: 1 failure within 10s (timed out); next try in 10s");
}

#[test]
fn late_failures_of_requests_in_flight_say_nothing_more() {
    let mut driver = Driver::round_robin(&weighted(&[1, 1]));
    let requests: Vec<Request> = (0..4).map(|_| driver.start(None, at(0)).unwrap()).collect();
    let said: Vec<Change> =
        requests.into_iter().filter_map(|request| driver.end(request, Outcome::Failed, at(1))).collect();
    assert_eq!(said.len(), 2, "{said:?}");
}

#[test]
fn the_state_of_all_servers_is_one_line() {
    let mut servers = weighted(&[1, 1, 1, 1, 1]);
    servers[0].max_fails = 3;
    servers[1].max_conns = 1;
    servers[2].down = true;
    servers[3].host = Host::Name("d.example".to_owned(), 80);
    servers[4].backup = true;
    let mut driver = Driver::round_robin(&servers);
    for _ in 0..3 {
        to_a(&mut driver, Outcome::Failed, at(0)).unwrap();
    }
    let _full = driver.start(None, at(0)).unwrap();
    assert_eq!(
        driver.group.servers_state(at(3)),
        "a down (3 failures, next try in 7s), b full (1 in flight), c down by configuration, \
         d not resolved, e up"
    );
    assert!(driver.group.servers_state(at(10)).starts_with("a down (3 failures, next try now), "));
}
