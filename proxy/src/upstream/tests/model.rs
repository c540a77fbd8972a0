//! The group against a second writing of nginx's rules: one plain function for each of its functions, flags where
//! the group has keys, whole seconds where it has nanoseconds.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
struct Peer {
    name: String,
    weight: i64,
    effective: i64,
    current: i64,
    conns: i64,
    max_conns: i64,
    max_fails: i64,
    fails: i64,
    accessed: i64,
    checked: i64,
    fail_timeout: i64,
    down: bool,
    /// Averages in milliseconds, and when each request in flight was sent, in seconds.
    response_ms: i64,
    waiting_ms: i64,
    sent: Vec<i64>,
}

struct Model {
    balance: Balance,
    /// Points of the consistent hash with the names of their servers.
    points: Vec<(u32, String)>,
    tiers: Vec<Vec<Peer>>,
}

#[derive(Clone)]
struct Search {
    tier: usize,
    tried: Vec<bool>,
    tries: usize,
    octets: Vec<i64>,
    hash: i64,
    key: String,
    rounds: usize,
    rehashes: i64,
    current: usize,
    since: i64,
}

impl Model {
    fn new(servers: &[Server], balance: Balance) -> Model {
        let tier = |backup: bool| {
            let lines = servers.iter().filter(|server| server.backup == backup);
            lines.map(Peer::new).collect::<Vec<_>>()
        };
        let (primary, backup) = (tier(false), tier(true));
        let points = points(&tier(false));
        Model {
            balance,
            points,
            tiers: if backup.is_empty() { vec![primary] } else { vec![primary, backup] },
        }
    }

    fn is_single(&self) -> bool {
        self.tiers.len() == 1 && self.tiers[0].len() == 1
    }

    fn init(&self, client: Ipv4Addr, key: &str, tries: usize) -> Search {
        let all = self.tiers.iter().flatten().filter(|peer| !peer.down).count();
        Search {
            tier: 0,
            tried: vec![false; 99],
            tries: if tries != 0 && all > tries { tries } else { all },
            octets: client.octets()[..3].iter().map(|&octet| i64::from(octet)).collect(),
            hash: match self.balance {
                Balance::Hash => 0,
                Balance::ConsistentHash => {
                    self.points.iter().filter(|(hash, _)| *hash < crc(key.as_bytes())).count() as i64
                }
                _ => 89,
            },
            key: key.to_owned(),
            rounds: 0,
            rehashes: 0,
            current: 0,
            since: 0,
        }
    }

    /// The name of the peer that gets the request.
    fn get(&mut self, search: &mut Search, now: i64) -> Option<String> {
        let found = match self.balance {
            Balance::RoundRobin => self.get_round_robin(search, now),
            Balance::LeastConn => self.get_least_conn(search, now),
            Balance::IpHash => self.get_ip_hash(search, now),
            Balance::Hash => self.get_hash(search, now),
            Balance::ConsistentHash => self.get_consistent_hash(search, now),
            Balance::LeastTime(measure) => self.get_least_time(search, measure.counts_unanswered, now),
            Balance::Random | Balance::RandomTwo => unreachable!("chance has no second writing"),
        };
        if let Some(index) = found {
            let peer = &mut self.tiers[search.tier][index];
            peer.conns += 1;
            peer.sent.push(now);
            search.since = now;
            if now - peer.checked > peer.fail_timeout {
                peer.checked = now;
            }
            search.tried[index] = true;
            search.current = index;
            return Some(peer.name.clone());
        }
        if search.tier + 1 < self.tiers.len() {
            search.tier += 1;
            search.tried.fill(false);
            return self.get(search, now);
        }
        None
    }

    fn can(&self, search: &Search, index: usize, now: i64) -> bool {
        let peer = &self.tiers[search.tier][index];
        let is_full = peer.max_conns > 0 && peer.conns >= peer.max_conns;
        let is_failed =
            peer.max_fails > 0 && peer.fails >= peer.max_fails && now - peer.checked <= peer.fail_timeout;
        if self.is_single() {
            return !peer.down && !is_full;
        }
        !search.tried[index] && !peer.down && !is_failed && !is_full
    }

    fn get_round_robin(&mut self, search: &Search, now: i64) -> Option<usize> {
        let takers: Vec<usize> =
            (0..self.tiers[search.tier].len()).filter(|&i| self.can(search, i, now)).collect();
        self.round(search.tier, &takers)
    }

    fn round(&mut self, tier: usize, takers: &[usize]) -> Option<usize> {
        let peers = &mut self.tiers[tier];
        let mut total = 0;
        for &i in takers {
            peers[i].current += peers[i].effective;
            total += peers[i].effective;
            peers[i].effective = peers[i].weight.min(peers[i].effective + 1);
        }
        let most = takers.iter().map(|&i| peers[i].current).max()?;
        let best = *takers.iter().find(|&&i| peers[i].current == most)?;
        peers[best].current -= total;
        Some(best)
    }

    fn get_least_conn(&mut self, search: &Search, now: i64) -> Option<usize> {
        let takers: Vec<usize> =
            (0..self.tiers[search.tier].len()).filter(|&i| self.can(search, i, now)).collect();
        let peers = &self.tiers[search.tier];
        // Common denominators instead of fractions.
        let scale: i64 = peers.iter().map(|peer| peer.weight).product();
        let load = |i: usize| peers[i].conns * (scale / peers[i].weight);
        let least = takers.iter().map(|&i| load(i)).min()?;
        let equals: Vec<usize> = takers.into_iter().filter(|&i| load(i) == least).collect();
        match equals[..] {
            [one] => Some(one),
            _ => self.round(search.tier, &equals),
        }
    }

    fn get_least_time(&mut self, search: &Search, counts_unanswered: bool, now: i64) -> Option<usize> {
        let takers: Vec<usize> =
            (0..self.tiers[search.tier].len()).filter(|&i| self.can(search, i, now)).collect();
        let peers = &mut self.tiers[search.tier];
        let scale: i64 = peers.iter().map(|peer| peer.weight).product();
        let mut costs = vec![0; peers.len()];
        for &i in &takers {
            let peer = &mut peers[i];
            let waits = counts_unanswered && !peer.sent.is_empty();
            if waits {
                let waited: i64 = peer.sent.iter().map(|sent| 1000 * (now - sent)).sum();
                let mean = waited / peer.sent.len() as i64;
                peer.waiting_ms = average(peer.waiting_ms, mean);
            }
            let mut time = peer.response_ms;
            let unasked = now - peer.checked;
            if unasked > peer.fail_timeout {
                // With nanoseconds for seconds, one more fits before each end of a `fail_timeout`.
                let halvings = 1_000_000_000 * unasked / (1_000_000_000 * peer.fail_timeout + 1);
                time = if halvings < 63 { time >> halvings } else { 0 };
            }
            if waits {
                time = time.max(peer.waiting_ms);
            }
            time = if time > 5000 { 5000 } else { (time / 20 + 1) * 20 };
            costs[i] = time * (peer.conns + 1) * (scale / peer.weight);
        }
        let least = takers.iter().map(|&i| costs[i]).min()?;
        let equals: Vec<usize> = takers.into_iter().filter(|&i| costs[i] == least).collect();
        match equals[..] {
            [one] => Some(one),
            _ => self.round(search.tier, &equals),
        }
    }

    fn get_ip_hash(&mut self, search: &mut Search, now: i64) -> Option<usize> {
        if search.tier == 0 && self.tiers[0].len() >= 2 {
            let mut hash = search.hash;
            while search.rehashes <= 20 {
                for octet in &search.octets {
                    hash = (hash * 113 + octet) % 6271;
                }
                let shares: Vec<usize> = (self.tiers[0].iter().enumerate())
                    .flat_map(|(i, peer)| vec![i; peer.weight as usize])
                    .collect();
                let index = shares[hash as usize % shares.len()];
                if self.can(search, index, now) {
                    search.hash = hash;
                    return Some(index);
                }
                search.rehashes += 1;
            }
        }
        self.get_round_robin(search, now)
    }

    fn get_hash(&mut self, search: &mut Search, now: i64) -> Option<usize> {
        if search.tier == 0 && self.tiers[0].len() >= 2 && !search.key.is_empty() {
            let shares: Vec<usize> = (self.tiers[0].iter().enumerate())
                .flat_map(|(i, peer)| vec![i; peer.weight as usize])
                .collect();
            while search.rehashes <= 20 {
                let number = if search.rounds == 0 { String::new() } else { search.rounds.to_string() };
                search.rounds += 1;
                search.hash += i64::from((crc((number + &search.key).as_bytes()) >> 16) & 0x7fff);
                let index = shares[search.hash as usize % shares.len()];
                if self.can(search, index, now) {
                    return Some(index);
                }
                search.rehashes += 1;
            }
        }
        self.get_round_robin(search, now)
    }

    fn get_consistent_hash(&mut self, search: &mut Search, now: i64) -> Option<usize> {
        if search.tier == 0 && self.tiers[0].len() >= 2 && !search.key.is_empty() {
            while search.rehashes <= 20 {
                let (_, name) = &self.points[search.hash as usize % self.points.len()];
                let takers: Vec<usize> = (0..self.tiers[0].len())
                    .filter(|&i| self.tiers[0][i].name == *name && self.can(search, i, now))
                    .collect();
                if !takers.is_empty() {
                    return self.round(0, &takers);
                }
                search.hash += 1;
                search.rehashes += 1;
            }
        }
        self.get_round_robin(search, now)
    }

    fn free(&mut self, search: &mut Search, outcome: Outcome, now: i64) {
        let is_single = self.is_single();
        let peer = &mut self.tiers[search.tier][search.current];
        peer.conns -= 1;
        let place = peer.sent.iter().position(|sent| *sent == search.since).expect("it was sent");
        peer.sent.remove(place);
        if outcome == Outcome::Served {
            peer.response_ms = average(peer.response_ms, 1000 * (now - search.since));
        }
        if outcome == Outcome::Neutral {
            search.tried[search.current] = false;
            return;
        }
        if is_single {
            peer.fails = 0;
            search.tries = 0;
            return;
        }
        if outcome == Outcome::Failed {
            peer.fails += 1;
            peer.accessed = now;
            peer.checked = now;
            if peer.max_fails > 0 {
                peer.effective = 0.max(peer.effective - peer.weight / peer.max_fails);
            }
        } else if peer.accessed < peer.checked {
            peer.fails = 0;
        }
        search.tries = search.tries.saturating_sub(1);
    }
}

impl Peer {
    fn new(server: &Server) -> Peer {
        Peer {
            name: server.name.clone(),
            weight: server.weight.into(),
            effective: server.weight.into(),
            current: 0,
            conns: 0,
            max_conns: server.max_conns.into(),
            max_fails: server.max_fails.into(),
            fails: 0,
            accessed: 0,
            checked: 0,
            fail_timeout: server.fail_timeout.as_secs() as i64,
            down: server.down,
            response_ms: 0,
            waiting_ms: 0,
            sent: Vec::new(),
        }
    }
}

/// Rounded exactly, where nginx's floating point may fall short by one in a half.
fn average(average: i64, value: i64) -> i64 {
    if average == 0 { value } else { average + (value - average + 10).div_euclid(20) }
}

fn points(peers: &[Peer]) -> Vec<(u32, String)> {
    let mut points = BTreeMap::new();
    for peer in peers {
        // None of these names has a port.
        let mut last = 0;
        for _ in 0..peer.weight * 160 {
            last = crc(&[peer.name.as_bytes(), b"\0", &u32::to_le_bytes(last)].concat());
            points.entry(last).or_insert(peer.name.clone());
        }
    }
    points.into_iter().collect()
}

/// CRC-32 bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
        }
    }
    !crc
}

#[derive(Clone, Debug)]
enum Step {
    /// A request from this client, whose number is also its key, with so many tries at most. 0 has no key.
    Start(u32, u32),
    /// The end of one in flight, and another try where one is left.
    End(prop::sample::Index, Outcome),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Served),
        3 => Just(Outcome::Failed),
        1 => Just(Outcome::Next),
        1 => Just(Outcome::Neutral),
    ];
    prop_oneof![
        4 => (prop_oneof![9 => any::<u32>(), 1 => Just(0)], 0..4_u32).prop_map(|(client, tries)| Step::Start(client, tries)),
        6 => (any::<prop::sample::Index>(), outcome).prop_map(|(index, outcome)| Step::End(index, outcome)),
        1 => (0..15_u64).prop_map(Step::Wait),
    ]
}

fn servers() -> impl Strategy<Value = Vec<Server>> {
    let line = (
        1..7_u32,
        0..4_u32,
        0..12_u64,
        prop_oneof![3 => Just(0), 1 => 1..4_u32],
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.15),
    );
    prop::collection::vec(line, 1..7).prop_map(|lines| {
        let mut servers = Vec::new();
        for (i, (weight, max_fails, seconds, max_conns, backup, down)) in lines.into_iter().enumerate() {
            let name = char::from(b'a' + i as u8).to_string();
            let fail_timeout = Duration::from_secs(seconds);
            // The first is primary, as nginx wants one.
            let backup = backup && i > 0;
            servers.push(Server {
                weight,
                max_fails,
                fail_timeout,
                max_conns,
                backup,
                down,
                ..server(&name)
            });
        }
        servers
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn the_group_chooses_as_the_model(
        servers in servers(),
        steps in prop::collection::vec(step(), 0..200),
        balance in prop::sample::select(vec![
            Balance::RoundRobin,
            Balance::IpHash,
            Balance::LeastConn,
            Balance::Hash,
            Balance::ConsistentHash,
            Balance::LeastTime(Measure { until: Until::LastByte, counts_unanswered: false }),
            Balance::LeastTime(Measure { until: Until::LastByte, counts_unanswered: true }),
        ]),
    ) {
        let mut group = Group::new(&Upstream { balance, ..Upstream::new("app", servers.clone()) });
        let mut model = Model::new(&servers, balance);
        let mut in_flight: Vec<(Attempt, PeerKey, Search)> = Vec::new();
        let mut seconds = 0;
        for step in steps {
            let now = at(seconds);
            let model_now = 3600 + seconds as i64;
            let (mut attempt, mut search) = match step {
                Step::Start(client, tries) => {
                    let key = if client == 0 { String::new() } else { client.to_string() };
                    let client = Ipv4Addr::from(client);
                    let mut attempt = Attempt::default();
                    group.begin(&mut attempt, Some(client.into()), Key::new(key.as_bytes()), tries);
                    (attempt, model.init(client, &key, tries as usize))
                }
                Step::End(index, outcome) => {
                    if in_flight.is_empty() {
                        continue;
                    }
                    let (mut attempt, key, mut search) = in_flight.swap_remove(index.index(in_flight.len()));
                    group.release(key, &mut attempt, outcome, now);
                    model.free(&mut search, outcome, model_now);
                    prop_assert_eq!(attempt.tries_left(), search.tries > 0);
                    if outcome == Outcome::Served || !attempt.tries_left() {
                        continue;
                    }
                    (attempt, search)
                }
                Step::Wait(wait) => {
                    seconds += wait;
                    continue;
                }
            };
            let chosen = group.pick(&mut attempt, now);
            let name = chosen.ok().map(|key| group.peer(key).expect("just picked").name().to_string());
            prop_assert_eq!(&name, &model.get(&mut search, model_now));
            if let Ok(key) = chosen {
                in_flight.push((attempt, key, search));
            }
            for (_, peer) in group.peers() {
                let same = model.tiers.iter().flatten().find(|other| other.name == **peer.name()).unwrap();
                prop_assert_eq!(i64::from(peer.active()), same.conns);
                prop_assert_eq!(i64::from(peer.fails()), same.fails);
                prop_assert!(same.max_conns == 0 || same.conns <= same.max_conns);
                prop_assert!(!same.down || same.conns == 0);
            }
        }
    }
}
