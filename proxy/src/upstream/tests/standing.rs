//! `slow_start` and `drain`: servers that get less than their weight says.

use proptest::prelude::*;

use super::*;

/// Servers with these weights of which `a` failed and came back this moment, with ten seconds to grow.
fn recovered(weights: &[u32], balance: Balance) -> Driver {
    let mut servers = weighted(weights);
    servers[0].slow_start = Duration::from_secs(10);
    servers[0].fail_timeout = Duration::from_secs(1);
    let mut driver = Driver::new(&servers, balance);
    while driver.once(Outcome::Failed, at(0)) != "a" {}
    let mut requests = Vec::new();
    loop {
        let request = driver.start(None, at(20)).unwrap();
        let is_a = driver.name(&request) == "a";
        requests.push(request);
        if is_a {
            break;
        }
    }
    for request in requests {
        driver.end(request, Outcome::Served, at(20));
    }
    driver
}

#[test]
fn a_share_grows_with_the_time_since_the_server_came_back() {
    for weights in [[1, 1], [7, 7]] {
        for (seconds, of_a) in [(20, 0), (21, 9), (25, 33), (29, 47), (30, 50), (99, 50)] {
            let mut driver = recovered(&weights, Balance::RoundRobin);
            // Failing cost it some effective weight, which is back after a few choices.
            driver.served(20, at(seconds));
            let count = driver.served(100, at(seconds)).matches('a').count();
            assert!(count.abs_diff(of_a) <= 1, "{weights:?}, {seconds}: {count}");
        }
    }
}

#[test]
fn a_cold_server_is_not_hit_by_all_at_once_for_being_idle() {
    let mut driver = recovered(&[1, 1], Balance::LeastConn);
    let requests: Vec<Request> = (0..50).map(|_| driver.start(None, at(21)).unwrap()).collect();
    let of_a = requests.iter().filter(|request| driver.name(request) == "a").count();
    assert!((4..=6).contains(&of_a), "a tenth of what b has: {of_a}");
}

#[test]
fn without_slow_start_all_is_back_at_once() {
    let mut driver = recovered(&[1, 1], Balance::RoundRobin);
    let mut plain = weighted(&[1, 1]);
    plain[0].fail_timeout = Duration::from_secs(1);
    let mut other = Driver::round_robin(&plain);
    other.through("a", Outcome::Failed, 0, at(0));
    other.served(2, at(20));
    assert_eq!(other.served(10, at(20)).matches('a').count(), 5);
    assert!(driver.served(10, at(20)).matches('a').count() <= 1);
}

#[test]
fn who_is_back_has_all_of_its_share_also_for_a_thread_whose_clock_is_behind() {
    for balance in [Balance::RoundRobin, Balance::LeastConn] {
        let mut servers = weighted(&[1, 1]);
        servers[0].fail_timeout = Duration::from_secs(1);
        let mut driver = Driver::new(&servers, balance);
        driver.through("a", Outcome::Failed, 0, at(0));
        driver.served(2, at(20));
        assert_eq!(driver.served(10, at(19)).matches('a').count(), 5, "{balance:?}");
    }
}

#[test]
fn a_server_that_drains_ends_what_it_has_and_gets_no_more() {
    for balance in [Balance::RoundRobin, Balance::LeastConn, Balance::Hash, Balance::RandomTwo] {
        let mut servers = weighted(&[3, 1]);
        servers[0].drain = true;
        let mut driver = Driver::new(&servers, balance);
        assert_eq!(driver.served(20, at(0)), "b".repeat(20));
        assert_eq!(driver.through("b", Outcome::Failed, 0, at(0)), "b", "nor a further try");
        let state = driver.group.servers_state(at(0));
        assert!(state.starts_with("a draining (0 in flight), b down (1 failure"), "{state}");
    }
}

proptest! {
    #[test]
    fn a_share_is_never_nothing_never_shrinks_and_ends_at_the_weight(
        weight in 1_u32..=1_000_000,
        mut moments in prop::collection::vec(20_u64..32, 1..20),
    ) {
        let driver = recovered(&[weight, 1], Balance::RoundRobin);
        let (_, peer) = driver.group.peers().next().unwrap();
        moments.sort_unstable();
        let shares: Vec<u64> = moments.iter().map(|&moment| peer.share(weight, at(moment))).collect();
        prop_assert!(shares.is_sorted() && shares[0] > 0);
        for (moment, share) in moments.iter().zip(shares) {
            prop_assert_eq!(*moment >= 30, share == u64::from(weight) << 10);
        }
    }
}
