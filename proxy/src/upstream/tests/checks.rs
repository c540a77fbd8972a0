//! Health checks: when they are due, and what servers they take out.

use super::*;
use crate::config::HealthCheck;
use crate::upstream::{Checked, DueCheck};

fn rule() -> HealthCheck {
    HealthCheck::new("/", "app")
}

fn checked(servers: &[Server], checks: &[HealthCheck]) -> Driver {
    let upstream = Upstream { checks: checks.to_vec(), ..Upstream::new("app", servers.to_vec()) };
    Driver { group: Group::new(&upstream) }
}

impl Driver {
    /// Carries out the checks that are due, of which those of the servers in `failing` fail. The lines that come of it.
    fn check(&mut self, failing: &str, now: Time) -> Vec<String> {
        let due = self.group.begin_checks(now, usize::MAX);
        let end = |due: DueCheck| {
            let name = self.group.peer(due.peer).expect("a peer").name().to_string();
            let how = if failing.contains(&name) { Checked::Failed } else { Checked::Passed };
            Some(self.group.checked(due.peer, due.check, how, now)?.line("status 500"))
        };
        due.into_iter().filter_map(end).collect()
    }
}

#[test]
fn a_server_that_fails_its_checks_gets_no_request_until_it_passes_them() {
    let rule = HealthCheck { fails: 2, passes: 3, ..rule() };
    let mut driver = checked(&weighted(&[1, 1]), &[rule]);
    assert_eq!(driver.check("b", at(0)), [""; 0]);
    assert_eq!(driver.served(4, at(1)), "abab", "one failed check is not enough");
    assert_eq!(driver.check("b", at(5)), ["b is unhealthy: 2 checks failed (status 500); next check in 5s"]);
    assert_eq!(driver.served(4, at(1000)), "aaaa", "time alone does not bring it back");
    assert_eq!(driver.group.servers_state(at(1000)), "a up, b unhealthy (2 checks failed)");
    for (time, failing) in [(10, ""), (15, ""), (20, "b"), (25, ""), (30, "")] {
        assert_eq!(driver.check(failing, at(time)), [""; 0], "passes count in a row");
    }
    assert_eq!(driver.served(4, at(31)), "aaaa");
    assert_eq!(driver.check("", at(35)), ["b is healthy again: 3 checks passed"]);
    assert!(driver.served(4, at(36)).contains('b'));
}

#[test]
fn failures_count_in_a_row() {
    let mut driver = checked(&weighted(&[1]), &[HealthCheck { fails: 2, ..rule() }]);
    for time in 0..10 {
        assert_eq!(driver.check(if time % 2 == 0 { "a" } else { "" }, at(time * 5)), [""; 0]);
    }
    assert_eq!(driver.check("a", at(50)), [""; 0]);
    assert_eq!(driver.check("a", at(55)).len(), 1);
}

#[test]
fn the_only_server_of_a_group_can_be_unhealthy_too() {
    let mut driver = checked(&weighted(&[1]), &[rule()]);
    driver.check("a", at(0));
    assert_eq!(driver.once(Outcome::Served, at(1)), "-");
    driver.check("", at(5));
    assert_eq!(driver.once(Outcome::Served, at(6)), "a");
}

#[test]
fn backup_serves_while_all_others_are_unhealthy() {
    let mut driver = checked(&[server("a"), Server { backup: true, ..server("b") }], &[rule()]);
    driver.check("a", at(0));
    assert_eq!(driver.served(2, at(1)), "bb");
    driver.check("", at(5));
    assert_eq!(driver.served(2, at(6)), "aa");
}

#[test]
fn with_mandatory_nobody_gets_a_request_before_its_first_check() {
    let rule = HealthCheck { mandatory: true, fails: 3, passes: 3, ..rule() };
    let mut driver = checked(&weighted(&[1, 1]), &[rule]);
    assert_eq!(driver.once(Outcome::Served, at(0)), "-");
    assert_eq!(driver.group.servers_state(at(0)), "a not checked yet, b not checked yet");
    assert_eq!(
        driver.check("b", at(0)),
        ["a is healthy: 1 check passed", "b is unhealthy: 1 check failed (status 500); next check in 5s"],
        "the first one decides"
    );
    assert_eq!(driver.served(3, at(1)), "aaa");
}

#[test]
fn with_mandatory_a_new_server_starts_slowly_too() {
    let slow = |name| Server { slow_start: Duration::from_secs(100), ..server(name) };
    let mandatory = HealthCheck { mandatory: true, ..rule() };
    let mut driver = checked(&[server("a"), slow("b")], &[mandatory]);
    driver.check("", at(0));
    let early = driver.served(20, at(5)).matches('b').count();
    assert!((1..=3).contains(&early), "{early} of 20");
    assert_eq!(driver.served(20, at(200)).matches('b').count(), 10);
}

#[test]
fn every_check_of_several_has_to_be_passed() {
    let mut driver = checked(&weighted(&[1, 1]), &[rule(), HealthCheck { mandatory: true, ..rule() }]);
    let due = driver.group.begin_checks(at(0), usize::MAX);
    let order: Vec<_> = due.iter().map(|due| due.check).collect();
    assert_eq!(order, [0, 1, 0, 1]);
    let mut end = |index: usize, how| driver.group.checked(due[index].peer, due[index].check, how, at(0));
    assert!(end(0, Checked::Failed).is_some());
    assert_eq!(end(1, Checked::Passed), None, "the other one has failed");
    assert_eq!(end(2, Checked::Passed), None, "the other one is still to come");
    assert!(end(3, Checked::Passed).is_some());
    assert_eq!(driver.served(2, at(1)), "bb");
}

#[test]
fn a_check_is_due_an_interval_after_the_end_of_the_last() {
    let mut driver = checked(&weighted(&[1]), &[rule()]);
    assert_eq!(driver.group.next_check(), Time::ZERO, "at once");
    let due = driver.group.begin_checks(at(0), usize::MAX);
    assert_eq!(driver.group.next_check(), Time::NEVER, "while it is under way there is no other");
    assert!(driver.group.begin_checks(at(100), usize::MAX).is_empty());
    driver.group.checked(due[0].peer, 0, Checked::Passed, at(7));
    assert_eq!(driver.group.next_check(), at(12));
    assert!(driver.group.begin_checks(at(11), usize::MAX).is_empty());
    assert_eq!(driver.group.begin_checks(at(12), usize::MAX), due);
}

#[test]
fn jitter_follows_from_the_seed_and_stays_within_its_bound() {
    let rule = HealthCheck { jitter: Duration::from_secs(3), ..rule() };
    let dues = |seed| {
        let mut driver = checked(&weighted(&[1]), std::slice::from_ref(&rule));
        driver.group = driver.group.seeded(seed);
        let mut dues = Vec::new();
        for _ in 0..100 {
            let due = driver.group.begin_checks(at(1_000_000), 1).remove(0);
            driver.group.checked(due.peer, 0, Checked::Passed, at(0));
            dues.push(driver.group.next_check());
        }
        dues
    };
    let of_one = dues(1);
    assert!(of_one.iter().all(|due| (at(5)..=at(8)).contains(due)), "{of_one:?}");
    assert!(of_one.iter().any(|due| *due < at(6)) && of_one.iter().any(|due| *due > at(7)));
    assert_eq!(of_one, dues(1));
    assert_ne!(of_one, dues(2));
}

#[test]
fn no_more_checks_begin_than_there_is_room_for() {
    let mut driver = checked(&weighted(&[1, 1, 1]), &[rule()]);
    assert_eq!(driver.group.begin_checks(at(0), 2).len(), 2);
    assert_eq!(driver.group.next_check(), Time::ZERO);
    assert_eq!(driver.group.begin_checks(at(0), 2).len(), 1);
}

#[test]
fn who_has_been_due_for_longest_is_checked_first() {
    let mut driver = checked(&weighted(&[1, 1, 1]), &[rule()]);
    let mut begin = |now, count| -> Vec<DueCheck> { driver.group.begin_checks(now, count) };
    let first = begin(at(0), 2);
    for due in &first {
        driver.group.checked(due.peer, 0, Checked::Failed, at(60));
    }
    let due = driver.group.begin_checks(at(100), 2);
    assert!(!first.contains(&due[0]), "it waits since the beginning");
    assert_eq!(due[1], first[0]);
}

#[test]
fn servers_that_are_down_by_configuration_are_not_asked() {
    let mut driver = checked(&[Server { down: true, ..server("a") }, server("b")], &[rule()]);
    assert_eq!(driver.group.begin_checks(at(0), 9).len(), 1);
    assert_eq!(driver.group.next_check(), Time::NEVER);
}

#[test]
fn a_check_that_could_not_be_made_says_nothing() {
    let mut driver = checked(&weighted(&[1]), &[HealthCheck { mandatory: true, ..rule() }]);
    let due = driver.group.begin_checks(at(0), 9).remove(0);
    assert_eq!(driver.group.checked(due.peer, 0, Checked::NotAsked, at(0)), None);
    assert_eq!((driver.once(Outcome::Served, at(1)).as_str(), driver.group.next_check()), ("-", at(5)));
}

#[test]
fn who_comes_back_through_a_check_has_no_failures_and_starts_slowly() {
    let slow = |name| Server { slow_start: Duration::from_secs(100), ..server(name) };
    let mut driver = checked(&[slow("a"), slow("b")], &[rule()]);
    for _ in 0..2 {
        let request = driver.start(None, at(0)).expect("a server");
        let outcome = if driver.name(&request) == "b" { Outcome::Failed } else { Outcome::Served };
        driver.end(request, outcome, at(0));
    }
    driver.check("b", at(0));
    driver.check("", at(5));
    assert_eq!(
        driver.group.servers_state(at(5)),
        "a up, b up",
        "the check knows better than a failure before it"
    );
    let early = driver.served(20, at(10)).matches('b').count();
    assert!((1..=3).contains(&early), "{early} of 20");
    assert_eq!(driver.served(20, at(200)).matches('b').count(), 10);
}

#[test]
fn a_check_that_passes_does_not_undo_failures_of_requests() {
    let mut driver = checked(&weighted(&[1, 1]), &[rule()]);
    assert_eq!(driver.once(Outcome::Failed, at(0)), "a");
    driver.check("", at(1));
    assert_eq!(driver.served(2, at(2)), "bb");
}

#[test]
fn a_changed_group_remembers_who_was_unhealthy() {
    let mut old = checked(&weighted(&[1, 1]), &[rule()]);
    old.check("b", at(0));
    let mut new = checked(&weighted(&[2, 2]), &[HealthCheck { interval: Duration::from_secs(1), ..rule() }]);
    new.group.inherit(&old.group);
    assert_eq!(new.served(2, at(1)), "aa");
    assert_eq!(new.group.servers_state(at(1)), "a up, b unhealthy (1 check failed)");
    assert_eq!(new.group.next_check(), Time::ZERO, "they are checked at once");
    new.check("", at(1));
    assert!(new.served(3, at(2)).contains('b'));
    // Without checks there is nobody to say so any more.
    let mut without = checked(&weighted(&[1, 1]), &[]);
    without.group.inherit(&old.group);
    assert!(without.served(2, at(1)).contains('b'));
}

#[test]
fn with_persistent_who_was_healthy_before_a_reload_need_not_be_checked_first() {
    let mandatory = HealthCheck { mandatory: true, ..rule() };
    let persistent = HealthCheck { persistent: true, ..mandatory.clone() };
    let mut old = checked(&weighted(&[1, 1]), std::slice::from_ref(&mandatory));
    old.check("b", at(0));
    for (rule, served) in [(&mandatory, "-"), (&persistent, "a")] {
        let rule = HealthCheck { passes: 2, ..rule.clone() };
        let mut new = checked(&[server("c"), server("b"), server("a")], &[rule]);
        new.group.inherit(&old.group);
        assert_eq!(new.once(Outcome::Served, at(1)), served, "and c is new");
    }
}

#[test]
fn another_address_of_a_name_is_as_unhealthy_until_it_is_checked() {
    let name = Server { host: Host::Name("n.example".to_owned(), 80), ..server("n") };
    let address = |last| ([10, 0, 0, last], 80).into();
    let mut driver = checked(&[name, server("a")], &[HealthCheck { mandatory: true, ..rule() }]);
    driver.group.resolved(0, &[address(1)]);
    driver.check("", at(0));
    driver.group.resolved(0, &[address(2)]);
    assert_eq!(driver.served(2, at(1)), "aa", "what was said of the other address says nothing of this one");
    assert_eq!(driver.group.next_check(), Time::ZERO);
    driver.check("n", at(1));
    driver.group.resolved(0, &[address(3)]);
    assert_eq!(driver.group.servers_state(at(1)), "n unhealthy (1 check failed), a up");
    let gone = driver.group.begin_checks(at(1), 9).remove(0);
    driver.group.resolved(0, &[address(4)]);
    assert_eq!(driver.group.checked(gone.peer, 0, Checked::Passed, at(2)), None, "it has vanished meanwhile");
    assert_eq!(driver.check("", at(2)), ["n is healthy again: 1 check passed"]);
}

#[test]
fn an_address_that_replaces_an_unhealthy_one_gets_no_request_before_it_is_checked() {
    let name = Server { host: Host::Name("n.example".to_owned(), 80), ..server("n") };
    let mut driver = checked(&[name, server("a")], &[rule()]);
    driver.group.resolved(0, &[([10, 0, 0, 1], 80).into()]);
    driver.check("n", at(0));
    driver.group.resolved(0, &[([10, 0, 0, 2], 80).into()]);
    assert_eq!(driver.served(4, at(1)), "aaaa");
    driver.check("", at(1));
    assert!(driver.served(3, at(2)).contains('n'));
}
