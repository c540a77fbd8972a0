//! Names of servers, looked up off the loop: at start, from time to time, and when a connection fails.
//!
//! A name that does not resolve (yet) keeps the addresses it had; it is said once, and tried again.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::shared::{Shared, Suspect};

/// Between two look-ups that failed connections ask for.
const SUSPECT_PAUSE: Duration = Duration::from_secs(1);

/// How often names are looked up while one of them has never had an address.
const UNKNOWN_INTERVAL: Duration = Duration::from_secs(1);

/// Looks names up and tells their groups.
#[derive(Debug)]
pub struct Resolver {
    shared: Arc<Shared>,
    names: Vec<Name>,
    interval: Duration,
}

#[derive(Debug)]
struct Name {
    /// Whose name it is.
    of: Suspect,
    host: String,
    port: u16,
    /// Its last look-up failed, and that has been said.
    failing: bool,
    /// It has had an address.
    known: bool,
}

impl Resolver {
    /// For the names in all groups.
    pub fn new(shared: Arc<Shared>, interval: Duration) -> Resolver {
        let mut names = Vec::new();
        for (group, servers) in shared.groups().iter().enumerate() {
            names.extend(servers.lock().names().map(|name| Name {
                of: Suspect { group, server: name.server },
                host: name.host.to_owned(),
                port: name.port,
                failing: false,
                known: false,
            }));
        }
        Resolver { shared, names, interval }
    }

    /// Looks all names up. Returns those that do not resolve.
    pub fn resolve(&mut self) -> Vec<String> {
        for name in &mut self.names {
            name.resolve(&self.shared);
        }
        self.names
            .iter()
            .filter(|name| name.failing)
            .map(|name| format!("{}:{}", name.host, name.port))
            .collect()
    }

    /// Goes on looking names up, from time to time and when `suspects` names a server, until the
    /// other end of `suspects` is gone.
    pub fn run(mut self, suspects: &Receiver<Suspect>) {
        if self.names.is_empty() {
            return;
        }
        let mut last = Instant::now();
        loop {
            // Without an address a server is of no use, so that is not waited for long.
            let unknown = self.names.iter().any(|name| !name.known);
            let interval = if unknown { self.interval.min(UNKNOWN_INTERVAL) } else { self.interval };
            let wait = interval.saturating_sub(last.elapsed());
            match suspects.recv_timeout(wait) {
                Ok(suspect) => {
                    let mut all = vec![suspect];
                    all.extend(suspects.try_iter());
                    for name in self.names.iter_mut().filter(|name| all.contains(&name.of)) {
                        name.resolve(&self.shared);
                    }
                    // Many connections fail at once: one look-up serves them all.
                    std::thread::sleep(SUSPECT_PAUSE.min(self.interval));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if last.elapsed() >= interval {
                self.resolve();
                last = Instant::now();
            }
        }
    }
}

impl Name {
    fn resolve(&mut self, shared: &Shared) {
        let found =
            (self.host.as_str(), self.port).to_socket_addrs().map(|all| all.collect::<Vec<SocketAddr>>());
        let found = found.and_then(|all| {
            if all.is_empty() { Err(std::io::Error::other("it has no address")) } else { Ok(all) }
        });
        match found {
            Ok(addresses) => {
                self.failing = false;
                self.known = true;
                let changes = shared.group(self.of.group).resolved(self.of.server, &addresses);
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
