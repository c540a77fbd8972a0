//! What the tests of this module share.

mod balance;
mod chance;
mod checks;
mod health;
mod idle;
mod keys;
mod model;
mod names;
mod queue;
mod reload;
mod session;
mod standing;
mod timing;

use std::net::IpAddr;

use super::{Attempt, Change, Group, NoLivePeer, Outcome, PeerKey};
use crate::config::{self, Balance, Host, Measure, Server, Sticky, Until, Upstream};
use crate::key::Key;
use crate::time::{Duration, Time};

/// A `server` line with nginx's defaults, at a literal address of its own.
fn server(name: &str) -> Server {
    let port = name.bytes().fold(1000, |port, byte| port * 3 % 30_000 + u16::from(byte));
    Server::new(name, Host::Literal(([127, 0, 0, 1], port).into()))
}

/// `seconds` after an arbitrary start, well above zero as every clock here.
fn at(seconds: u64) -> Time {
    Time::from_nanos(3_600_000_000_000) + Duration::from_secs(seconds)
}

/// Weighted lines a, b, c, … with the given weights.
fn weighted(weights: &[u32]) -> Vec<Server> {
    let names = ('a'..='z').map(String::from);
    weights.iter().zip(names).map(|(&weight, name)| Server { weight, ..server(&name) }).collect()
}

/// A request of a client that is chosen for, not yet released.
struct Request {
    attempt: Attempt,
    key: PeerKey,
}

/// A group with the calls of a request in one word each.
struct Driver {
    group: Group,
}

impl Driver {
    fn new(servers: &[Server], balance: Balance) -> Driver {
        Driver { group: Group::new(&Upstream { balance, ..Upstream::new("app", servers.to_vec()) }) }
    }

    fn round_robin(servers: &[Server]) -> Driver {
        Driver::new(servers, Balance::RoundRobin)
    }

    fn start(&mut self, client: Option<IpAddr>, now: Time) -> Result<Request, NoLivePeer> {
        self.start_by(client, "", now)
    }

    fn start_by(&mut self, client: Option<IpAddr>, key: &str, now: Time) -> Result<Request, NoLivePeer> {
        let mut attempt = Attempt::default();
        self.group.begin(&mut attempt, client, Key::new(key.as_bytes()), 0);
        let key = self.group.pick(&mut attempt, now)?;
        Ok(Request { attempt, key })
    }

    fn name(&self, request: &Request) -> String {
        self.group.peer(request.key).map_or("gone".to_owned(), |peer| peer.name().to_string())
    }

    fn end(&mut self, mut request: Request, outcome: Outcome, now: Time) -> Option<Change> {
        self.group.release(request.key, &mut request.attempt, outcome, now)
    }

    /// One request that goes to one server; its name, or `-` where there is none.
    fn once(&mut self, outcome: Outcome, now: Time) -> String {
        match self.start(None, now) {
            Ok(request) => {
                let name = self.name(&request);
                self.end(request, outcome, now);
                name
            }
            Err(NoLivePeer) => "-".to_owned(),
        }
    }

    /// `count` requests in a row that are served.
    fn served(&mut self, count: usize, now: Time) -> String {
        (0..count).map(|_| self.once(Outcome::Served, now)).collect()
    }

    /// The servers one request goes through while those in `failing` fail it, with `-` for none left.
    fn through(&mut self, failing: &str, outcome: Outcome, tries: u32, now: Time) -> String {
        let mut attempt = Attempt::default();
        self.group.begin(&mut attempt, None, Key::default(), tries);
        let mut way = String::new();
        loop {
            let Ok(key) = self.group.pick(&mut attempt, now) else {
                return way + "-";
            };
            let name = self.group.peer(key).expect("just picked").name().to_string();
            way += &name;
            let outcome = if failing.contains(&name) { outcome } else { Outcome::Served };
            self.group.release(key, &mut attempt, outcome, now);
            if outcome == Outcome::Served || !attempt.tries_left() {
                return way;
            }
        }
    }
}
