//! `least_time`: who is chosen by how fast servers answer.

use super::*;

const fn least_time(until: Until, counts_unanswered: bool) -> Balance {
    Balance::LeastTime(Measure { until, counts_unanswered })
}

/// Milliseconds after [`at`] 0.
fn ms(ms: u64) -> Time {
    at(0) + Duration::from_millis(ms)
}

impl Driver {
    /// One request that begins then, and is answered at once or never, and ends so much later.
    fn takes(&mut self, head_ms: Option<u64>, whole_ms: u64, now: Time) -> String {
        let mut request = self.start(None, now).expect("a server");
        let name = self.name(&request);
        if let Some(head) = head_ms {
            let then = now + Duration::from_millis(head);
            self.group.answered(request.key, &mut request.attempt, then);
        }
        self.end(request, Outcome::Served, now + Duration::from_millis(whole_ms));
        name
    }
}

#[test]
fn those_who_are_about_as_fast_take_turns() {
    let mut driver = Driver::new(&weighted(&[1, 1, 1]), least_time(Until::LastByte, false));
    let names: String = (0..9).map(|n| driver.takes(None, 1 + 9 * (n % 3), ms(n * 100))).collect();
    assert_eq!(names, "abcabcabc");
}

#[test]
fn the_fast_one_gets_all_until_it_has_more_to_do() {
    let mut driver = Driver::new(&weighted(&[1, 1]), least_time(Until::LastByte, false));
    assert_eq!(driver.takes(None, 110, ms(0)), "a");
    assert_eq!(driver.takes(None, 30, ms(0)), "b");
    // 40 ms a request against 120 ms: at two requests for one it is even.
    let names: String = (0..5).map(|_| driver.takes(None, 30, ms(200))).collect();
    assert_eq!(names, "bbbbb");
    let held: Vec<Request> = (0..2).map(|_| driver.start(None, ms(300)).expect("a server")).collect();
    assert_eq!(held.iter().map(|request| driver.name(request)).collect::<String>(), "bb");
    let third = driver.start(None, ms(300)).expect("a server");
    let fourth = driver.start(None, ms(300)).expect("a server");
    let mut names = [driver.name(&third), driver.name(&fourth)];
    names.sort();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn weight_counts() {
    let mut driver = Driver::new(&weighted(&[3, 1]), least_time(Until::LastByte, false));
    driver.takes(None, 90, ms(0));
    let held = driver.start(None, ms(100)).expect("a server");
    assert_eq!(driver.name(&held), "b", "untried, it is taken for the fastest");
    driver.end(held, Outcome::Served, ms(150));
    // 100 for a third each against 60.
    assert_eq!(driver.takes(None, 90, ms(200)), "a");
}

#[test]
fn a_head_is_what_header_goes_by() {
    for (until, expected) in [(Until::Header, "aaaa"), (Until::LastByte, "bbbb")] {
        let mut driver = Driver::new(&weighted(&[1, 1]), least_time(until, false));
        assert_eq!(driver.takes(Some(1), 300, ms(0)), "a");
        assert_eq!(driver.takes(Some(99), 100, ms(400)), "b");
        // Without word of the head, it came with the end.
        let names: String = (0..4).map(|_| driver.takes(None, 15, ms(600))).collect();
        assert_eq!(names, expected, "{until:?}");
    }
}

#[test]
fn only_a_header_is_waited_for() {
    for (balance, waits) in [
        (least_time(Until::Header, false), true),
        (least_time(Until::Header, true), true),
        (least_time(Until::LastByte, true), false),
        (Balance::LeastConn, false),
    ] {
        let mut driver = Driver::new(&weighted(&[1, 1]), balance);
        let mut request = driver.start(None, ms(0)).expect("a server");
        assert_eq!(request.attempt.awaits_head(), waits, "{balance:?}");
        driver.group.answered(request.key, &mut request.attempt, ms(1));
        assert!(!request.attempt.awaits_head());
    }
}

#[test]
fn failing_fast_is_no_merit() {
    let mut servers = weighted(&[1, 1]);
    servers[0].max_fails = 0;
    let mut driver = Driver::new(&servers, least_time(Until::LastByte, false));
    assert_eq!(driver.takes(None, 90, ms(0)), "a");
    assert_eq!(driver.takes(None, 50, ms(100)), "b");
    for n in 0..20 {
        // One in flight at b, so that a is the better one.
        let held = driver.start(None, ms(200 + n)).expect("a server");
        let failing = driver.start(None, ms(200 + n)).expect("a server");
        assert_eq!((driver.name(&held), driver.name(&failing)), ("b".to_owned(), "a".to_owned()));
        driver.end(failing, Outcome::Failed, ms(200 + n));
        driver.end(held, Outcome::Neutral, ms(200 + n));
    }
}

#[test]
fn the_waiting_of_requests_counts_where_it_is_asked_for() {
    for (counts, expected) in [(false, "aaaaaa"), (true, "bbbbbb")] {
        let mut driver = Driver::new(&weighted(&[1, 1]), least_time(Until::LastByte, counts));
        assert_eq!(driver.takes(None, 30, ms(0)), "a");
        assert_eq!(driver.takes(None, 190, ms(100)), "b");
        // One at a does not come back: 2 requests of 40 ms are less than one of 200 ms, but not once it waits for 5 s.
        let stuck = driver.start(None, ms(300)).expect("a server");
        assert_eq!(driver.name(&stuck), "a");
        for n in 0..40 {
            let request = driver.start(None, ms(4000 + 50 * n)).expect("a server");
            driver.end(request, Outcome::Neutral, ms(4000 + 50 * n));
        }
        let names: String = (0..6).map(|_| driver.once(Outcome::Neutral, ms(6000))).collect();
        assert_eq!(names, expected);
        driver.end(stuck, Outcome::Neutral, ms(6000));
        assert_eq!(driver.once(Outcome::Neutral, ms(6000)), "a", "nothing waits there any more");
    }
}

#[test]
fn one_that_was_slow_gets_another_chance() {
    let mut driver = Driver::new(&weighted(&[1, 1]), least_time(Until::LastByte, false));
    assert_eq!(driver.takes(None, 150, ms(0)), "a");
    assert_eq!(driver.takes(None, 30, ms(0)), "b");
    // 150 ms are 75, 37 and 18 ms after one, two and three times ten seconds.
    for (seconds, expected) in [(5, "b"), (11, "b"), (21, "b"), (31, "a")] {
        assert_eq!(driver.takes(None, 30, at(seconds)), expected, "{seconds} s");
    }
}

#[test]
fn a_peer_that_vanishes_takes_its_clocks_with_it() {
    let mut servers = weighted(&[1, 1]);
    servers[0].host = Host::Name("a".to_owned(), 1);
    let mut driver = Driver::new(&servers, least_time(Until::Header, true));
    driver.group.resolved(0, &[([127, 0, 0, 1], 1).into()]);
    let mut request = driver.start(None, ms(0)).expect("a server");
    assert_eq!(driver.name(&request), "a");
    driver.group.resolved(0, &[([127, 0, 0, 2], 1).into()]);
    driver.group.answered(request.key, &mut request.attempt, ms(10));
    driver.end(request, Outcome::Failed, ms(20));
    assert_eq!(driver.served(1, ms(30)), "b", "the turn after a's");
}
