//! `random`: repeatable for a seed, fair, and never to a server that may not have the request.

use proptest::prelude::*;

use super::*;

const BY_CHANCE: [Balance; 2] = [Balance::Random, Balance::RandomTwo];

fn seeded(servers: &[Server], balance: Balance, seed: u64) -> Driver {
    let config = Upstream { balance, ..Upstream::new("app", servers.to_vec()) };
    Driver { group: Group::new(&config).seeded(seed) }
}

#[test]
fn a_seed_says_all_that_comes() {
    for balance in BY_CHANCE {
        let run = |seed| seeded(&weighted(&[1, 2, 3]), balance, seed).served(100, at(0));
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
}

#[test]
fn requests_are_shared_out_by_weight() {
    let mut driver = seeded(&weighted(&[1, 3]), Balance::Random, 7);
    let of_b = driver.served(4000, at(0)).matches('b').count();
    // The seed makes it one number; 3000 would be exact.
    assert!((2850..3150).contains(&of_b), "{of_b} of 4000");
}

#[test]
fn the_less_busy_of_two_is_taken() {
    // With two servers the two are always these; only 20 draws of one and the same would end in round robin.
    let mut driver = seeded(&weighted(&[1, 1]), Balance::RandomTwo, 7);
    let mut requests = Vec::new();
    for _ in 0..200 {
        let before: Vec<u32> = driver.group.peers().map(|(_, peer)| peer.active()).collect();
        let request = driver.start(None, at(0)).unwrap();
        let name = driver.name(&request);
        match before[0].cmp(&before[1]) {
            std::cmp::Ordering::Less => assert_eq!(name, "a"),
            std::cmp::Ordering::Greater => assert_eq!(name, "b"),
            std::cmp::Ordering::Equal => {}
        }
        requests.push(request);
    }
    assert!(driver.group.peers().all(|(_, peer)| peer.active() == 100));
}

#[test]
fn load_is_relative_to_weight() {
    let mut driver = seeded(&weighted(&[3, 1]), Balance::RandomTwo, 7);
    let requests: Vec<Request> = (0..40).map(|_| driver.start(None, at(0)).unwrap()).collect();
    let of_a = requests.iter().filter(|request| driver.name(request) == "a").count();
    assert!((29..=31).contains(&of_a), "{of_a} of 40");
}

proptest! {
    #[test]
    fn whoever_can_serve_is_found(
        weights in prop::collection::vec(1_u32..1000, 1..20),
        able: prop::sample::Index,
        seed: u64,
        balance in prop::sample::select(BY_CHANCE.to_vec()),
    ) {
        let mut servers = weighted(&weights);
        let able = able.index(servers.len());
        for (index, server) in servers.iter_mut().enumerate() {
            server.down = index != able;
        }
        let name = servers[able].name.clone();
        prop_assert_eq!(seeded(&servers, balance, seed).served(3, at(0)), name.repeat(3));
    }
}
