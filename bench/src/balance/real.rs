//! The same plan over real sockets: a subject in front of origins that queue as the stations do.
//!
//! Each request goes out when it is due, on a thread of its own and on an idle connection of its client, or a new
//! one: nobody waits for another's answer. A client is a loopback address, so that `ip_hash` sees it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::model::{Case, Latency, Plan};
use super::plan::{Choice, Servers};
use super::station::Station;
use crate::lab::{Arranged, Client, LabError, Reply, Scripted, Setup, Then};

/// Requests past this many at once would say more about threads than about a balancer.
const IN_FLIGHT_MAX: usize = 2000;

/// Plays the plan's arrivals.
///
/// # Errors
///
/// Where an origin or the subject does not start.
pub(super) fn play(
    plan: &Plan,
    servers: Servers,
    choice: &Choice,
    subject: &Arranged,
    core: usize,
) -> Result<Case, LabError> {
    let start = Arc::new(Mutex::new(Instant::now()));
    let mut stations = Vec::new();
    let mut origins = Vec::new();
    for (number, station) in servers.stations(plan).into_iter().enumerate() {
        let station = Arc::new(Mutex::new(station));
        origins.push(Scripted::start(&format!("app{}", number + 1), decide(&start, &station))?);
        stations.push(station);
    }
    let mut setup = Setup::new(origins.iter().map(|origin| origin.address));
    setup.balance = choice.method;
    for ((_, weight), chosen) in setup.servers.iter_mut().zip(choice.weights) {
        *weight = chosen;
    }
    let running = subject.start(&setup, core)?;

    // The request that found the subject ready has been at a station; the run begins with idle ones.
    for (fresh, station) in servers.stations(plan).into_iter().zip(&stations) {
        *lock(station) = fresh;
    }
    let begin = Instant::now();
    *lock(&start) = begin;
    let results = send_all(plan, running.address, begin);

    let all = results.len() as u64;
    let latencies: Vec<f64> = results.into_iter().flatten().collect();
    let per_server = stations.iter().enumerate();
    let per_server = per_server
        .map(|(number, station)| lock(station).summary(format!("app{}", number + 1), all))
        .collect();
    Ok(Case {
        servers: servers.name().into(),
        method: choice.name.into(),
        by: subject.kind.name().into(),
        failed: all - latencies.len() as u64,
        latency: Latency::of(latencies),
        per_server,
    })
}

/// A request is answered when the station says.
fn decide(
    start: &Arc<Mutex<Instant>>,
    station: &Arc<Mutex<Station>>,
) -> impl Fn() -> Reply + Send + Sync + use<> {
    let (start, station) = (start.clone(), station.clone());
    move || {
        // The clock is read under the lock, since a station wants arrivals in their order.
        let mut station = lock(&station);
        let now = lock(&start).elapsed();
        Reply { after: station.arrive(now) - now, then: Then::Answer }
    }
}

/// Seconds from when each request was due; `None` where it got no whole 200.
fn send_all(plan: &Plan, address: SocketAddr, begin: Instant) -> Vec<Option<f64>> {
    let idle: Mutex<HashMap<Ipv4Addr, Vec<Client>>> = Mutex::default();
    let idle = &idle;
    thread::scope(|scope| {
        // A thread that has ended keeps its stack until it is joined.
        let mut threads: VecDeque<thread::ScopedJoinHandle<'_, Option<f64>>> = VecDeque::new();
        let mut results = Vec::new();
        let join = |thread: thread::ScopedJoinHandle<'_, Option<f64>>| thread.join().ok().flatten();
        for arrival in plan.arrivals() {
            let due = begin + arrival.due;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            while threads.front().is_some_and(thread::ScopedJoinHandle::is_finished) {
                results.extend(threads.pop_front().map(join));
            }
            while threads.iter().filter(|thread| !thread.is_finished()).count() >= IN_FLIGHT_MAX {
                thread::sleep(Duration::from_millis(1));
            }
            threads.push_back(scope.spawn(move || {
                let reused = lock(idle).get_mut(&arrival.client).and_then(Vec::pop);
                let mut client = match reused {
                    Some(client) => client,
                    None => connect(arrival.client, address).ok()?,
                };
                client.get().ok()?;
                let seconds = due.elapsed().as_secs_f64();
                lock(idle).entry(arrival.client).or_default().push(client);
                Some(seconds)
            }));
        }
        results.extend(threads.into_iter().map(join));
        results
    })
}

fn connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<Client> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect(&to.into())?;
    Client::over(TcpStream::from(socket))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
