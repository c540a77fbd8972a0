//! Choosing a server: what a request costs the group, from its beginning to the account at its end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use proxy::config::{Balance, Host, Measure, Server, Until, Upstream};
use proxy::key::Key;
use proxy::time::{Duration, Time};
use proxy::upstream::{Attempt, Group, Outcome};

fn servers(count: u32) -> Vec<Server> {
    let server = |number: u32| {
        let [_, a, b, c] = number.to_be_bytes();
        let address = SocketAddr::from((Ipv4Addr::new(10, a, b, c), 5000));
        Server::new(&address.to_string(), Host::Literal(address))
    };
    (0..count).map(server).collect()
}

fn choosing(c: &mut Criterion) {
    let methods = [
        ("round_robin", Balance::RoundRobin),
        ("least_conn", Balance::LeastConn),
        ("ip_hash", Balance::IpHash),
        ("hash", Balance::Hash),
        ("consistent_hash", Balance::ConsistentHash),
        ("random", Balance::Random),
        ("random_two", Balance::RandomTwo),
        ("least_time", Balance::LeastTime(Measure { until: Until::LastByte, counts_unanswered: true })),
    ];
    let now = Time::ZERO + Duration::from_secs(3600);
    for (name, balance) in methods {
        let mut group = c.benchmark_group(format!("choose/{name}"));
        for count in [2, 100, 10_000] {
            let mut servers = Group::new(&Upstream { balance, ..Upstream::new("app", servers(count)) });
            let mut attempt = Attempt::default();
            let mut client = 0_u32;
            group.bench_function(BenchmarkId::from_parameter(count), |b| {
                b.iter(|| {
                    client = client.wrapping_add(0x0101_0101);
                    servers.begin(
                        &mut attempt,
                        Some(IpAddr::V4(Ipv4Addr::from_bits(client))),
                        Key::new(&client.to_be_bytes()),
                        0,
                    );
                    let peer = servers.pick(&mut attempt, now).expect("all servers live");
                    servers.release(peer, &mut attempt, Outcome::Served, now)
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, choosing);
criterion_main!(benches);
