//! Names of servers, looked up off the loop: at start, from time to time, and when a connection fails.
//!
//! A name that does not resolve (yet) keeps the addresses it had; it is said once, and tried again.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::generation::{Generation, SharedGroup};
use super::shared::{Call, Shared, Suspect};

/// Between two look-ups that failed connections ask for.
const SUSPECT_PAUSE: Duration = Duration::from_secs(1);

/// How often names are looked up while one of them has never had an address.
const UNKNOWN_INTERVAL: Duration = Duration::from_secs(1);

/// Looks names up and tells their groups.
#[derive(Debug)]
pub struct Resolver {
    names: Vec<Name>,
    interval: Duration,
}

#[derive(Debug)]
struct Name {
    /// Whose name it is.
    of: Suspect,
    group: SharedGroup,
    host: String,
    port: u16,
    /// Its last look-up failed, and that has been said.
    failing: bool,
    /// It has had an address.
    known: bool,
}

impl Resolver {
    /// For the names in all groups of a configuration.
    pub fn new(generation: &Generation) -> Resolver {
        let mut names = Vec::new();
        for (&id, group) in generation.ids.groups.iter().zip(&generation.groups) {
            names.extend(group.lock().names().map(|name| Name {
                of: Suspect { group: id, server: name.server },
                group: group.clone(),
                host: name.host.to_owned(),
                port: name.port,
                failing: false,
                known: name.is_resolved,
            }));
        }
        Resolver { names, interval: generation.config.process.resolve_interval }
    }

    /// Looks all names up that have no address yet. Returns those that do not resolve.
    pub fn resolve_unknown(&mut self) -> Vec<String> {
        self.names.iter_mut().filter(|name| !name.known).for_each(Name::resolve);
        self.names
            .iter()
            .filter(|name| name.failing)
            .map(|name| format!("{}:{}", name.host, name.port))
            .collect()
    }

    /// Goes on looking names up, those of the configuration at work: from time to time and when one of `calls`
    /// names a server, until the other end of `calls` is gone.
    pub fn run(mut self, shared: &Shared, calls: &Receiver<Call>) {
        let mut last = Instant::now();
        loop {
            // Without an address a server is of no use, so that is not waited for long.
            let unknown = self.names.iter().any(|name| !name.known);
            let interval = if unknown { self.interval.min(UNKNOWN_INTERVAL) } else { self.interval };
            let wait = interval.saturating_sub(last.elapsed());
            // Without a name there is nothing to come back for.
            let call = match self.names.is_empty() {
                true => calls.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => calls.recv_timeout(wait),
            };
            match call {
                Ok(call) => {
                    let mut all = vec![call];
                    all.extend(calls.try_iter());
                    if all.contains(&Call::Reloaded) {
                        self.follow(&shared.generation());
                    }
                    let is_suspect = |name: &&mut Name| all.contains(&Call::Suspect(name.of));
                    let suspects = self.names.iter_mut().filter(is_suspect).map(Name::resolve).count();
                    if suspects > 0 {
                        shared.wake_checker();
                        // Many connections fail at once: one look-up serves them all.
                        std::thread::sleep(SUSPECT_PAUSE.min(self.interval));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if last.elapsed() >= interval {
                self.names.iter_mut().for_each(Name::resolve);
                shared.wake_checker();
                last = Instant::now();
            }
        }
    }

    /// Goes over to another configuration. What has been said of a name is not said again.
    fn follow(&mut self, generation: &Generation) {
        let old = std::mem::replace(self, Resolver::new(generation));
        for name in &mut self.names {
            let is_same = |old: &Name| (&old.host, old.port) == (&name.host, name.port);
            name.failing = old.names.iter().any(|old| old.failing && is_same(old));
        }
    }
}

impl Name {
    fn resolve(&mut self) {
        let found =
            (self.host.as_str(), self.port).to_socket_addrs().map(|all| all.collect::<Vec<SocketAddr>>());
        let found = found.and_then(|all| {
            if all.is_empty() { Err(std::io::Error::other("it has no address")) } else { Ok(all) }
        });
        match found {
            Ok(addresses) => {
                self.failing = false;
                self.known = true;
                let changes = self.group.lock().resolved(self.of.server, &addresses);
                for change in changes {
                    log::info!("{}", change.line(""));
                }
            }
            Err(error) => {
                if !self.failing {
                    let (host, port) = (&self.host, self.port);
                    log::warn!("{host}:{port} does not resolve ({error}); it is tried again");
                }
                self.failing = true;
            }
        }
    }
}
