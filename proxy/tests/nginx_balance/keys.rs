//! `hash` and `random`.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

use proxy::config::{Balance, Server};

use crate::rig::{Behaviour, Case, Chance, Nginx, Origin, Ours, line, origins, refusing, weighted};

const BY_KEY: [Balance; 2] = [Balance::Hash, Balance::ConsistentHash];
const BY_CHANCE: [Balance; 2] = [Balance::Random, Balance::RandomTwo];

/// Keys of many lengths, the empty one among them.
fn keys() -> impl Iterator<Item = String> {
    (0..80).map(|i: usize| format!("{:0width$x}", i * i * 7919, width = i / 4)).chain([String::new()])
}

/// Sends each key through every case on both sides; `before` each may change what the origins do.
fn compare_keys(cases: &[Case], origins: &[Origin], mut before: impl FnMut(usize)) {
    let nginx = Nginx::start(cases);
    for (index, case) in cases.iter().enumerate() {
        origins.iter().for_each(|origin| origin.set(Behaviour::Serve));
        let mut ours = Ours::new(cases, index, origins);
        for (request, key) in keys().enumerate() {
            before(request);
            let theirs = nginx.way_by(index, &key);
            let (name, method, servers) = (&case.name, case.method, &case.servers);
            assert_eq!(ours.way_by(&key), theirs, "{name} ({method:?}), key {key:?}: {servers:#?}");
        }
    }
}

#[test]
fn a_key_finds_the_server_that_it_finds_in_nginx() {
    let origins = origins(5);
    let mut cases = Vec::new();
    for method in BY_KEY {
        for weights in [&[1][..], &[1, 1], &[5, 1, 1], &[3, 7, 2, 5, 1]] {
            cases.push(Case::new("weights", method, weighted(&origins, weights)));
        }
        let mut servers = weighted(&origins, &[2, 3, 1, 4]);
        servers[1].down = true;
        cases.push(Case::new("one down", method, servers.clone()));
        servers.iter_mut().for_each(|server| server.down = true);
        servers[2].down = false;
        cases.push(Case::new("all but one down", method, servers));
        let twice = [weighted(&origins, &[2, 1]), weighted(&origins, &[3])].concat();
        cases.push(Case::new("one twice", method, twice));
        let mut servers = weighted(&origins, &[1, 2]);
        servers.push(Server { weight: 3, max_fails: 2, ..line(refusing(&origins[0])) });
        cases.push(Case::new("one refusing", method, servers));
        let servers = origins.iter().map(|origin| line(refusing(origin))).collect();
        cases.push(Case { tries: 3, ..Case::new("all refusing", method, servers) });
    }
    compare_keys(&cases, &origins, |_| {});
}

#[test]
fn keys_of_servers_that_come_and_go() {
    let origins = origins(5);
    let mut chance = Chance(19);
    let mut cases = Vec::new();
    for round in 0..24 {
        let mut servers = Vec::new();
        for origin in origins.iter().take(1 + chance.below(5) as usize) {
            servers.push(Server {
                weight: 1 + chance.below(6) as u32,
                max_fails: chance.below(5) as u32,
                down: chance.one_in(6),
                ..line(origin.address)
            });
        }
        cases.push(Case::new("random", BY_KEY[round % 2], servers));
    }
    compare_keys(&cases, &origins, |request| {
        if request % 5 == 0 {
            for origin in &origins {
                origin.set(match chance.below(10) {
                    0 => Behaviour::HangUp,
                    1 => Behaviour::Status(502),
                    2 => Behaviour::Status(404),
                    _ => Behaviour::Serve,
                });
            }
        }
    });
}

/// Whom chance chooses cannot be the same in two programs; what is left where there is no choice can be.
#[test]
fn chance_goes_through_all_that_fail_to_the_one_that_does_not() {
    let origins = origins(1);
    let mut cases = Vec::new();
    for method in BY_CHANCE {
        for max_fails in [0, 1, 3] {
            let refused = (0..3).map(|i| {
                let address = (Ipv4Addr::new(127, 0, 0, 2 + i), origins[0].address.port());
                Server { max_fails, ..line(address.into()) }
            });
            let servers = refused.chain([Server { weight: 2, ..line(origins[0].address) }]).collect();
            cases.push(Case::new("one that serves", method, servers));
        }
        cases.push(Case::new("alone", method, vec![line(refusing(&origins[0]))]));
        let down = Server { down: true, ..line(refusing(&origins[0])) };
        cases.push(Case::new("one down", method, vec![down, line(origins[0].address)]));
    }
    let nginx = Nginx::start(&cases);
    for (index, case) in cases.iter().enumerate() {
        let mut ours = Ours::new(&cases, index, &origins);
        let mut seen = [BTreeSet::new(), BTreeSet::new()];
        for _ in 0..60 {
            for (way, seen) in [ours.way(None), nginx.way(index)].into_iter().zip(&mut seen) {
                let (last, failed) = way.rsplit_once(", ").map_or((way.as_str(), ""), |(a, b)| (b, a));
                let once: BTreeSet<_> = failed.split(", ").collect();
                assert_eq!(once.len(), failed.split(", ").count(), "{}: {way}", case.name);
                seen.insert(last.to_owned());
                seen.extend(once.into_iter().map(str::to_owned));
            }
        }
        let [ours, theirs] = seen;
        assert_eq!(ours, theirs, "{} ({:?})", case.name, case.method);
    }
}

#[test]
fn chance_gives_each_server_its_share_as_in_nginx() {
    const REQUESTS: u32 = 3000;
    let origins = origins(3);
    let cases = BY_CHANCE.map(|method| Case::new("shares", method, weighted(&origins, &[1, 2, 5])));
    let nginx = Nginx::start(&cases);
    for (index, case) in cases.iter().enumerate() {
        let mut ours = Ours::new(&cases, index, &origins);
        let mut counts: HashMap<String, [f64; 2]> = HashMap::new();
        for _ in 0..REQUESTS {
            counts.entry(ours.way(None)).or_default()[0] += 1.0;
            counts.entry(nginx.way(index)).or_default()[1] += 1.0;
        }
        for (server, [ours, theirs]) in counts {
            // Two counts of one distribution differ by more than six deviations once in 500 million runs.
            let share = (ours + theirs) / f64::from(2 * REQUESTS);
            let deviation = (2.0 * f64::from(REQUESTS) * share * (1.0 - share)).sqrt();
            assert!(
                (ours - theirs).abs() < 6.0 * deviation,
                "{:?}: {server} got {ours} here and {theirs} in nginx",
                case.method
            );
        }
    }
}

/// From the file to the socket: what the exchange makes of the key, and that it reaches the group.
#[test]
fn the_program_finds_the_same_servers_from_the_same_file() {
    let origins = origins(4);
    let mut cases = Vec::new();
    for method in BY_KEY {
        let mut servers = weighted(&origins, &[1, 4, 2, 1]);
        servers[3].down = true;
        cases.push(Case::new("one down", method, servers));
        let mut servers = weighted(&origins, &[1, 2]);
        servers.push(Server { weight: 3, max_fails: 2, ..line(refusing(&origins[0])) });
        cases.push(Case::new("one refusing", method, servers));
    }
    let (nginx, proxy) = (Nginx::start(&cases), Nginx::replaced(&cases));
    for (index, case) in cases.iter().enumerate() {
        for key in keys() {
            let (ours, theirs) = (proxy.way_by(index, &key), nginx.way_by(index, &key));
            assert_eq!(ours, theirs, "{} ({:?}), key {key:?}", case.name, case.method);
        }
    }
}
