//! `proxy::upstream` against the real nginx: the same `server` lines, the same misbehaving servers, the same
//! requests; every request must go through the same servers in the same order.
//!
//! The origins are threads that serve, answer with a status, hang up or hold a request until told; one more
//! address refuses. nginx says where a request went by `$upstream_addr`: all its tries, and the group's name
//! where none was left. Nothing here depends on how fast things go: `fail_timeout` is far beyond the length of
//! a run, or the run is void and repeated where it took too long.

mod keys;
mod rig;

use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::time::Instant;

use proxy::config::{Balance, Server};
use proxy::key::Key;
use proxy::time::Duration;
use proxy::upstream::{Attempt, Outcome, PeerKey};

use rig::{
    Behaviour, Case, Chance, Nginx, Ours, PATIENCE, compare, line, origins, refusing, way_of, weighted,
};

const METHODS: [Balance; 3] = [Balance::RoundRobin, Balance::LeastConn, Balance::IpHash];

#[test]
fn servers_that_serve() {
    let origins = origins(4);
    let mut cases = Vec::new();
    for method in METHODS {
        for weights in [&[1][..], &[1, 1], &[5, 1, 1], &[4, 2, 1], &[3, 7, 2, 5]] {
            cases.push(Case::new("weights", method, weighted(&origins, weights)));
        }
        let mut servers = weighted(&origins, &[2, 3, 1]);
        servers[1].down = true;
        cases.push(Case::new("down", method, servers));
        let mut servers = weighted(&origins, &[1]);
        servers[0].down = true;
        cases.push(Case::new("only one, down", method, servers));
        if method != Balance::IpHash {
            let mut servers = weighted(&origins, &[2, 1, 1, 3]);
            servers[0].down = true;
            servers[1].down = true;
            servers[2].backup = true;
            servers[3].backup = true;
            cases.push(Case::new("backup", method, servers));
        }
    }
    compare(&cases, &origins, 60, |_| {});
}

#[test]
fn servers_that_refuse() {
    let origins = origins(3);
    let mut cases = Vec::new();
    for method in METHODS {
        for max_fails in [0, 1, 3, 5] {
            let mut servers = weighted(&origins, &[2, 1, 3]);
            servers.insert(1, Server { weight: 4, max_fails, ..line(refusing(&origins[0])) });
            cases.push(Case::new("refusing among others", method, servers));
        }
        cases.push(Case::new("refusing alone", method, vec![line(refusing(&origins[0]))]));
        let servers = origins.iter().map(|origin| line(refusing(origin))).collect();
        cases.push(Case::new("all refusing", method, servers));
        if method != Balance::IpHash {
            let backup = Server { backup: true, ..line(origins[0].address) };
            let servers = vec![line(refusing(&origins[0])), backup.clone()];
            cases.push(Case::new("backup for one refusing", method, servers));
            let down = Server { backup: true, down: true, ..line(origins[1].address) };
            let mut servers = vec![line(refusing(&origins[0])), line(refusing(&origins[1])), backup, down];
            servers.iter_mut().for_each(|server| server.max_fails = 2);
            cases.push(Case { tries: 2, ..Case::new("two tries", method, servers.clone()) });
            cases.push(Case::new("as many tries as servers", method, servers));
        }
    }
    compare(&cases, &origins, 60, |_| {});
}

#[test]
fn random_groups_of_servers_that_come_and_go() {
    let origins = origins(5);
    let mut chance = Chance(20_240_501);
    let mut cases = Vec::new();
    for _ in 0..40 {
        let method = METHODS[chance.below(3) as usize];
        let mut servers = Vec::new();
        for (i, origin) in origins.iter().enumerate().take(1 + chance.below(5) as usize) {
            servers.push(Server {
                weight: 1 + chance.below(6) as u32,
                max_fails: chance.below(12) as u32,
                down: chance.one_in(6),
                // nginx wants a primary server, and no backup with ip_hash.
                backup: i > 0 && method != Balance::IpHash && chance.one_in(3),
                ..line(origin.address)
            });
        }
        let tries = if chance.one_in(3) { 1 + chance.below(3) as u32 } else { 0 };
        cases.push(Case { tries, ..Case::new("random", method, servers) });
    }
    compare(&cases, &origins, 60, |request| {
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

#[test]
fn ip_hash_by_client_address() {
    let origins = origins(4);
    let mut servers = weighted(&origins, &[1, 4, 2, 1]);
    servers[3].down = true;
    let refused = Server { weight: 3, max_fails: 2, ..line(refusing(&origins[0])) };
    let cases = [
        Case::new("two", Balance::IpHash, weighted(&origins, &[1, 1])),
        Case::new("weights and one down", Balance::IpHash, servers.clone()),
        Case::new("one refusing", Balance::IpHash, [servers, vec![refused]].concat()),
    ];
    let nginx = Nginx::start_with_tcp(&cases);
    for (index, case) in cases.iter().enumerate() {
        let mut ours = Ours::new(&cases, index, &origins);
        for i in 0..60_u8 {
            let source = Ipv4Addr::new(127, i.wrapping_mul(67), i / 2, 1 + i);
            let theirs = nginx.way_from(index, source);
            assert_eq!(ours.way(Some(source.into())), theirs, "{}, client {source}", case.name);
        }
    }
}

#[test]
fn requests_in_flight_count_for_least_conn_and_max_conns() {
    let origins = origins(4);
    let mut cases = Vec::new();
    for method in [Balance::RoundRobin, Balance::LeastConn] {
        cases.push(Case::new("equal", method, weighted(&origins, &[1, 1, 1])));
        cases.push(Case::new("weights", method, weighted(&origins, &[3, 1, 2, 1])));
        let mut servers = weighted(&origins, &[2, 1, 1, 1]);
        for (server, max_conns) in servers.iter_mut().zip([1, 3, 2, 1]) {
            server.max_conns = max_conns;
        }
        servers[3].backup = true;
        cases.push(Case::new("max_conns", method, servers));
        let servers = vec![Server { max_conns: 2, ..line(origins[0].address) }];
        cases.push(Case::new("max_conns of one", method, servers));
    }
    let nginx = Nginx::start(&cases);
    origins.iter().for_each(|origin| origin.set(Behaviour::Hold));
    let mut chance = Chance(7);
    for (index, case) in cases.iter().enumerate() {
        let mut ours = Ours::new(&cases, index, &origins);
        let mut held: Vec<(UnixStream, Sender<()>, Attempt, PeerKey, String)> = Vec::new();
        for request in 0..60 {
            if !held.is_empty() && (held.len() == 8 || chance.one_in(2)) {
                let one = chance.below(held.len() as u64) as usize;
                let (stream, release, mut attempt, key, expected) = held.swap_remove(one);
                release.send(()).expect("its origin waits");
                assert_eq!(way_of(stream), expected, "{}, request {request}", case.name);
                ours.group.release(key, &mut attempt, Outcome::Served, ours.now);
                continue;
            }
            let (mut attempt, mut expected) = (Attempt::default(), String::new());
            ours.group.begin(&mut attempt, None, Key::default(), case.tries);
            let picked = ours.pick(&mut attempt, &mut expected);
            let stream = nginx.send(index);
            let Ok(key) = picked else {
                assert_eq!(way_of(stream), expected, "{}, request {request}", case.name);
                continue;
            };
            // It must turn up where ours went; only then does nginx count it for sure.
            let origin = origins.iter().find(|origin| origin.address.to_string() == expected).unwrap();
            let release = origin.held.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("{}, request {request}: ours goes to {expected}, nginx's elsewhere", case.name)
            });
            held.push((stream, release, attempt, key, expected));
        }
        for (stream, release, ..) in held {
            release.send(()).expect("its origin waits");
            way_of(stream);
        }
    }
}

#[test]
fn a_failed_server_is_tried_again_after_fail_timeout() {
    let fail_timeout = Duration::from_secs(2);
    let origins = origins(3);
    let mut cases = Vec::new();
    for method in [Balance::RoundRobin, Balance::LeastConn] {
        for max_fails in [1, 2] {
            let mut servers = weighted(&origins, &[3, 1, 2]);
            servers.iter_mut().for_each(|server| server.fail_timeout = fail_timeout);
            servers[0].max_fails = max_fails;
            cases.push(Case::new("recovery", method, servers));
        }
    }
    // Each phase is over well within fail_timeout, and they lie more than it apart, so all of one happens at
    // one time for both sides. A phase that took too long on a busy machine says nothing: then all is run again.
    let phases = [Behaviour::HangUp, Behaviour::HangUp, Behaviour::Serve, Behaviour::Serve];
    for _ in 0..5 {
        let nginx = Nginx::start(&cases);
        let mut groups: Vec<Ours<'_>> =
            (0..cases.len()).map(|index| Ours::new(&cases, index, &origins)).collect();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut is_void = false;
        for behaviour in phases {
            origins[0].set(behaviour);
            let start = Instant::now();
            for group in &mut groups {
                for _ in 0..15 {
                    ours.push(group.way(None));
                    theirs.push(nginx.way(group.index));
                }
                group.now = group.now + fail_timeout + Duration::from_secs(1);
            }
            is_void |= start.elapsed() >= fail_timeout / 2;
            // nginx counts whole seconds, so "more than fail_timeout" may take one more.
            std::thread::sleep(fail_timeout + Duration::from_millis(1_100));
        }
        if !is_void {
            assert_eq!(ours, theirs);
            return;
        }
    }
    panic!("this machine is too busy: in five runs 60 requests took more than {:?}", fail_timeout / 2);
}
