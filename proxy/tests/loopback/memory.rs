//! What an idle client costs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Conn, Origin, Proxy, wait_until};

/// Keep-alive clients that have made a request each and wait.
const CLIENTS: usize = 10_000;

/// User memory for each, in bytes.
const EACH_MAX: u64 = 1024;

#[test]
fn an_idle_client_costs_at_most_1_kib() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("a limit");
    // The other tests run in this process as well.
    let spare = 1_500;
    let allowed = limit.maximum.map_or(CLIENTS, |most| usize::try_from(most).expect("a count"));
    let count = CLIENTS.min(allowed.saturating_sub(spare));
    if count < CLIENTS {
        eprintln!("only {allowed} descriptors are allowed here: {count} clients instead of {CLIENTS}");
    }
    assert!(count >= 1_000, "{allowed} descriptors are too few to measure anything; raise the hard limit");

    let origin = Origin::named("ok");
    let proxy = Proxy::start(origin.to_string(), "--max-connections 20000");
    // What serving takes at all, whoever is served.
    let mut first: Vec<Conn> = (0..10).map(|_| proxy.connect()).collect();
    for conn in &mut first {
        conn.get("/");
    }
    let before = proxy.memory();
    let mut conns = Vec::with_capacity(count);
    for n in 0..count {
        let mut conn = proxy.connect();
        if n % 10 == 0 {
            // Bodies and pipelines must not leave anything behind either.
            conn.post("/", &"x".repeat(20_000));
        }
        assert_eq!(conn.get("/").text(), "ok");
        conns.push(conn);
    }
    let each = proxy.memory().saturating_sub(before) / count as u64;
    println!("{count} idle clients: {each} bytes of user memory each");
    assert!(each <= EACH_MAX, "{each} bytes for each of {count} idle clients");
    // They are alive, the first as well as the last.
    for conn in [0, count / 2, count - 1] {
        assert_eq!(conns[conn].get("/").text(), "ok");
    }
    assert_eq!(origin.connections(), 1);
    let with_all = proxy.descriptors();
    drop(conns);
    wait_until("their end", || proxy.descriptors() == with_all - count);
}
