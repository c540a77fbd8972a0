//! The shipped worker on a simulated network, one run for each seed.
//!
//! A run draws its [`weather`](weather::Weather) (what goes wrong, how often), a configuration, origins and
//! clients with their [scripts](script), and lets the [`Worker`] turn until nothing is due any more. The
//! [`wires`] are the network with its edge-triggered events, [`net`] lends them to the worker,
//! [`origin`]s answer with [`answers`] sound and unsound, [`client`]s read [`replies`]; the [`ledger`]
//! remembers all of it, and whoever sees something that must not be says so there.

mod answers;
mod chance;
mod client;
mod conn;
mod http;
mod ledger;
mod net;
mod origin;
mod replies;
mod script;
mod tap;
mod trace;
mod way;
mod weather;
mod wires;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use proxy::config::template::{Part, Template, Variable};
use proxy::config::{
    Balance, Config, Host, Listen, Listener, Measure, NextUpstream, Queue, Server, Timeouts, Until,
};
use proxy::time::Duration;
use proxy::worker::shared::{Command, Shared};
use proxy::worker::{Turn, Worker};

use chance::Chance;
use client::Client;
use ledger::{Leave, Ledger};
use net::{FIRST_PORT, Happening, SimNet};
use script::Bounds;
use trace::Trace;
use way::Way;
use weather::Weather;
use wires::Wires;

/// What came of a run.
pub(crate) struct Report {
    /// What must not be, if it was.
    pub(crate) violation: Option<String>,
    pub(crate) trace: Vec<String>,
    /// How often what was met.
    pub(crate) seen: BTreeMap<&'static str, usize>,
}

/// After this, nothing more goes wrong.
const CLEAR_UP: Duration = Duration::from_secs(40);

/// Turns in one run before that counts as having no end.
const TURNS_MAX: usize = 3_000_000;

/// Runs one seed to its end.
pub(crate) fn run(seed: u64, traced: bool) -> Report {
    let mut worker = build(seed, traced);
    let mut violation = None;
    for turn in 0.. {
        let checked = if turn == TURNS_MAX { Err("no end in sight".into()) } else { turn_once(&mut worker) };
        match checked {
            Ok(Turn::GoOn) if !worker.0.net().at_rest => {}
            Ok(ended) => {
                let net = worker.0.net_mut();
                if ended == Turn::End {
                    // The process is gone, and its listeners with it.
                    net.w.stop_listening();
                }
                net.run_out();
                violation = at_rest(&worker.0, &worker.1).err();
                break;
            }
            Err(why) => {
                violation = Some(why);
                break;
            }
        }
    }
    let net = worker.0.net();
    Report {
        violation: net.ledger.violation.clone().or(violation),
        trace: net.w.trace.lines().to_vec(),
        seen: net.ledger.seen.clone(),
    }
}

type Subject = (Worker<SimNet>, Arc<Shared>);

fn turn_once((worker, shared): &mut Subject) -> Result<Turn, String> {
    let turn = catch_unwind(AssertUnwindSafe(|| worker.turn())).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        format!("panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?"))
    })?;
    let turn = turn.map_err(|error| format!("the worker fails: {error}"))?;
    if let Some(why) = &worker.net().ledger.violation {
        return Err(why.clone());
    }
    conserved(worker, shared)?;
    if !shared.generation().groups[0].lock().queue().is_empty() {
        worker.net_mut().ledger.see("a request that waited for a server");
    }
    Ok(turn)
}

/// What holds between any two turns.
fn conserved(worker: &Worker<SimNet>, shared: &Shared) -> Result<(), String> {
    let census = worker.census();
    if census.lost > 0 {
        return Err("a panic, survived; it stands in the output".into());
    }
    let group = shared.generation().groups[0].clone();
    let mut group = group.lock();
    let active: u32 = group.peers().map(|(_, peer)| peer.active()).sum();
    let waiting = group.queue().len();
    if shared.connections() != census.clients {
        return Err(format!(
            "{} connections are counted, there are {}",
            shared.connections(),
            census.clients
        ));
    }
    if active as usize + waiting > census.clients {
        return Err(format!(
            "{active} requests are counted and {waiting} wait, of {} clients",
            census.clients
        ));
    }
    if census.upstreams < census.idle || census.upstreams - census.idle > census.clients {
        return Err(format!("upstream connections belong to nobody: {census:?}"));
    }
    if census.clients == 0 && (active > 0 || census.buffers > 0 || census.upstreams != census.idle) {
        return Err(format!("left behind by clients: {active} active requests, {census:?}"));
    }
    Ok(())
}

/// What holds when nothing is due any more.
fn at_rest(worker: &Worker<SimNet>, shared: &Shared) -> Result<(), String> {
    let (census, net) = (worker.census(), worker.net());
    conserved(worker, shared)?;
    if census.clients + census.upstreams > 0 {
        return Err(format!("waits that never end: {census:?}"));
    }
    net.ledger.check_tunnels()?;
    if census.deadlines > 0 && !net.ledger.draining {
        return Err(format!("deadlines that never come up: {census:?}"));
    }
    match net.clients.iter().position(|client| !client.closed) {
        Some(number) => Err(format!("client {number} was never served to its end")),
        None => Ok(()),
    }
}

/// Draws everything that a seed decides.
fn build(seed: u64, traced: bool) -> Subject {
    let mut chance = Chance::new(seed);
    let origins = chance.between(1, 3);
    let mut weather = Weather::draw(&mut chance, origins);
    let body_max = chance.of(&[100, 5_000, 60_000, 600_000]).min(weather.buffer_max * 200);
    let mut config = configure(&mut chance, &weather, origins, body_max);
    let way = Way::draw(&mut chance);
    config.sites[0].location.rules.forwarding = way.forwarding();
    if config.sites[0].location.rules.tries > 0
        || config.upstreams[0].servers.iter().any(|server| server.max_conns > 0)
    {
        weather.saint = None;
    }
    let rules = config.sites[0].location.rules.next_upstream;
    let leave = Leave {
        non_idempotent: rules.non_idempotent,
        retries_responses: rules.invalid_header || rules.statuses != [0; 7],
        max_conns: config.upstreams[0].servers.iter().any(|server| server.max_conns > 0),
        saint: weather.saint.is_some() && rules.error && rules.timeout && rules.statuses == [0; 7],
        memory: match config.upstreams[0].servers.as_slice() {
            // It is never left alone.
            [one] if matches!(one.host, Host::Literal(_)) => Duration::ZERO,
            servers => {
                let longest = servers.iter().map(|server| server.fail_timeout).max();
                longest.unwrap_or_default() + Duration::from_secs(60)
            }
        },
        keepalive: config.sites[0].client.keepalive_timeout,
    };
    let mut ledger = Ledger::new(leave, way);
    let bounds = Bounds {
        body_max,
        allowed: if config.sites[0].location.rules.max_body_size == 0 {
            u64::MAX
        } else {
            config.sites[0].location.rules.max_body_size
        },
    };
    let count = 1 + chance.size(11);
    let scripts: Vec<_> =
        (0..count).map(|n| script::write(n, &bounds, &mut chance, &weather, &mut ledger)).collect();
    let listeners = chance.between(1, 2);
    config.listeners = (0..listeners as u16)
        .map(|n| Listener::new(Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080 + n)))))
        .collect();
    let shared = Arc::new(Shared::new(config.clone(), None, seed));
    let files_max = if weather.no_files_accept > 0.0 { 4 + chance.size(20) } else { usize::MAX };
    let mut trace = Trace::new(traced);
    trace.note(proxy::time::Time::ZERO + Duration::from_secs(3600), || format!("{config:?}"));
    let crowded = chance.yes(0.5);
    let orders = chance.yes(0.15).then(|| chance.of(&[Command::Drain, Command::Drain, Command::Stop]));
    let w = Wires::new(chance, weather, trace, listeners);
    let mut net = SimNet::new(w, ledger, shared.clone(), body_max, files_max);
    for (number, (acts, asks)) in scripts.into_iter().enumerate() {
        let client = Client::new(number, acts, asks, &mut net.w);
        let within = Duration::from_millis(if crowded { 20 } else { 10_000 });
        let after = net.w.chance.span(within);
        net.add_client(client, after);
    }
    net.add_happening(Happening::ClearUp, CLEAR_UP);
    if shared.generation().groups[0].lock().names().count() > 0 {
        let first = net::addresses(&mut net.w.chance);
        shared.generation().groups[0].lock().resolved(0, &first);
        for _ in 0..net.w.chance.below(4) {
            let after = net.w.chance.span(Duration::from_secs(10));
            net.add_happening(Happening::Resolve, after);
        }
    }
    if net.w.chance.yes(0.2) {
        for _ in 0..net.w.chance.between(1, 3) {
            let after = net.w.chance.span(Duration::from_secs(20));
            net.add_happening(Happening::Reload, after);
        }
    }
    if let Some(command) = orders {
        let after = net.w.chance.span(Duration::from_secs(20));
        net.add_happening(Happening::Order(command), after);
    }
    (Worker::new(net, shared.clone()), shared)
}

fn configure(chance: &mut Chance, weather: &Weather, origins: usize, body_max: usize) -> Config {
    let named = chance.yes(0.2);
    let servers = (0..origins).map(|n| {
        let port = FIRST_PORT + n as u16;
        let name = if n == 0 { script::first_server().to_owned() } else { format!("app{n}:{port}") };
        let host = match n {
            0 if named => Host::Name("app0".to_owned(), port),
            _ => Host::Literal(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        };
        Server {
            weight: chance.between(1, 3) as u32,
            max_fails: chance.of(&[0, 1, 1, 3]),
            fail_timeout: Duration::from_millis(chance.of(&[100, 1000, 10_000])),
            max_conns: if chance.yes(0.1) { chance.between(1, 3) as u32 } else { 0 },
            backup: n > 0 && weather.saint != Some(n) && chance.yes(0.1),
            ..Server::new(&name, host)
        }
    });
    let servers = servers.collect();
    let seconds = |chance: &mut Chance, list: &[u64]| Duration::from_secs(chance.of(list));
    let mut statuses = [0; 7];
    if chance.yes(0.3) {
        statuses[..3].copy_from_slice(&[502, 503, 404]);
    }
    let mut config = Config::new(servers);
    let until = chance.of(&[Until::Header, Until::LastByte]);
    let measure = Measure { until, counts_unanswered: chance.yes(0.5) };
    let group = &mut config.upstreams[0];
    group.balance = chance.of(&[
        Balance::RoundRobin,
        Balance::IpHash,
        Balance::LeastConn,
        Balance::Hash,
        Balance::ConsistentHash,
        Balance::Random,
        Balance::RandomTwo,
        Balance::LeastTime(measure),
    ]);
    if group.balance.goes_by_key() {
        group.key = Template::default().with(Part::Variable(Variable::RequestUri));
    }
    let site = &mut config.sites[0];
    site.location.rules.next_upstream = NextUpstream {
        error: chance.yes(0.9),
        timeout: chance.yes(0.9),
        invalid_header: chance.yes(0.3),
        non_idempotent: chance.yes(0.1),
        statuses,
    };
    site.location.rules.tries = if chance.yes(0.2) { chance.between(1, 3) as u32 } else { 0 };
    group.keepalive = chance.of(&[0, 1, 2, 8, 64, 64]);
    let (connect, read, send) =
        (seconds(chance, &[1, 4]), seconds(chance, &[5, 20]), seconds(chance, &[5, 20]));
    site.client.header_timeout = seconds(chance, &[30, 60]);
    let client_body = seconds(chance, &[5, 20]);
    site.client.keepalive_timeout = seconds(chance, &[5, 75]);
    group.idle_timeout = seconds(chance, &[1, 4, 60]);
    site.location.rules.timeouts = Timeouts { connect, read, send, client_body, client_send: send };
    site.location.rules.max_body_size = if chance.yes(0.2) { (body_max / 3).max(1) as u64 } else { 0 };
    site.client.max_header_size = chance.of(&[1024, 4096, 16384]);
    config.process.max_connections = if chance.yes(0.1) { chance.between(1, 4) } else { 1000 };
    if chance.yes(0.2) {
        let (requests_max, timeout) = (chance.between(1, 5), seconds(chance, &[1, 10]));
        let group = &mut config.upstreams[0];
        group.queue = Some(Queue { requests_max, timeout });
        // Something to wait for.
        for server in &mut group.servers {
            server.max_conns = 1;
        }
    }
    if chance.yes(0.5) {
        config.log_to("/dev/null");
    }
    config
}
