//! Starts and stops the origin: binds, connects the counter, spawns the workers.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, sync_channel};
use std::thread::JoinHandle;

use mio::Waker;
use thiserror::Error;

use crate::counter::{Counter, Shared, Site};
use crate::listen::{Listener, Place};
use crate::options::{Address, Options};
use crate::redis_counter::{Inbox, QUEUE_MAX, RedisCounter};
use crate::worker::{Setup, Worker};

/// Why the origin did not start, in one line with the remedy; nothing is left bound, nor a socket's file.
#[derive(Debug, Error)]
pub enum StartError {
    /// No name is served.
    #[error("nothing to serve; say --serve NAME=ADDRESS, such as --serve app1=127.0.0.1:5001")]
    Nothing,
    /// A name is served twice.
    #[error("the name {0:?} is served twice; give each --serve its own name")]
    Repeated(String),
    /// Two names are to have an address that only one can have.
    #[error(
        "{} at {} and {} at {} cannot share an address; give each --serve its own, or port 0 for any free port",
        .names[0], escaped(&.addresses[0]), .names[1], escaped(&.addresses[1])
    )]
    SameAddress {
        /// The two, in the order given.
        names: [String; 2],
        /// Theirs, as they were given.
        addresses: [Address; 2],
    },
    /// A host is not known.
    #[error(
        "cannot listen on {} for {name}: {source}; give an IP address, or a name that this machine can look up",
        escaped(address)
    )]
    Host {
        /// The name it was for.
        name: String,
        /// As it was given.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {} for {name}: {source}; {remedy}", escaped(address))]
    Bind {
        /// The name it was for.
        name: String,
        /// As it was given.
        address: Address,
        /// What the system said.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The Redis URL is not one.
    #[error("invalid value {url:?} for --redis: {source}; write redis://HOST:PORT/DB")]
    RedisUrl {
        /// As it was given.
        url: String,
        /// What the `redis` crate said.
        source: redis::RedisError,
    },
    /// A poll or a thread could not be made.
    #[error("cannot start a thread: {0}; have fewer --workers, or raise the limits (ulimit -n, ulimit -u)")]
    Worker(#[from] io::Error),
}

/// An address in one line: a host or a path may have a line break in it.
fn escaped(address: &Address) -> String {
    address.to_string().escape_debug().to_string()
}

/// A running origin. Dropped, it stops.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<(String, Address)>,
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    workers: Vec<(Arc<Waker>, JoinHandle<()>)>,
    _files: SocketFiles,
}

impl Server {
    /// Binds all addresses, then serves on threads of its own.
    ///
    /// With Redis it waits up to a second for the first connection; a Redis that is away is no error.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn start(options: Options) -> Result<Self, StartError> {
        check_names(&options)?;
        let redis = redis_client(&options)?;
        let workers = options.workers.max(1);
        let (addresses, listeners, files) = bind_all(&options, workers)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (mut setups, mut inboxes) = (Vec::new(), Vec::new());
        for listeners in listeners {
            let (poll, waker) = Setup::poll()?;
            let (sender, inbox) = channel();
            inboxes.push(Inbox { sender, waker: waker.clone() });
            setups.push(Setup { poll, waker, listeners, inbox, stop: stop.clone() });
        }
        let counter = match redis {
            _ if options.plain => Counter::Off,
            None => Counter::embedded(),
            Some(client) => {
                let queue = sync_channel(QUEUE_MAX);
                Counter::Redis(RedisCounter::start(client, options.key.clone(), inboxes, queue)?)
            }
        };
        let shared = Arc::new(Shared { sites: Site::all(&options), counter });
        let mut server = Self { addresses, shared: shared.clone(), stop, workers: Vec::new(), _files: files };
        for (number, setup) in setups.into_iter().enumerate() {
            let waker = setup.waker.clone();
            let worker = Worker::new(number, setup, shared.clone())?;
            let run = move || {
                if let Err(error) = worker.run() {
                    log::error!("worker {number} ended: {error}");
                }
            };
            let thread = std::thread::Builder::new().name(format!("worker{number}")).spawn(run)?;
            server.workers.push((waker, thread));
        }
        Ok(server)
    }

    /// The names and where they listen, in the order given; port 0 has become the port that was taken.
    pub fn addresses(&self) -> &[(String, Address)] {
        &self.addresses
    }

    /// Where `name` listens.
    pub fn address(&self, name: &str) -> Option<&Address> {
        self.addresses.iter().find(|(served, _)| served == name).map(|(_, address)| address)
    }

    /// The last number that the embedded counter has handed out; `None` without it.
    pub fn hits(&self) -> Option<i64> {
        match &self.shared.counter {
            Counter::Embedded(last) => Some(last.load(Ordering::Relaxed)),
            Counter::Off | Counter::Redis(_) => None,
        }
    }

    /// Ends all connections and waits for the workers.
    pub fn stop(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for (waker, _) in &self.workers {
            if let Err(error) = waker.wake() {
                log::error!("cannot wake a worker to stop it: {error}");
            }
        }
        for (_, thread) in self.workers.drain(..) {
            if thread.join().is_err() {
                log::error!("a worker had panicked");
            }
        }
    }
}

/// The files of Unix sockets; dropped, it removes them.
#[derive(Debug, Default)]
struct SocketFiles(Vec<PathBuf>);

impl Drop for SocketFiles {
    fn drop(&mut self) {
        for path in &self.0 {
            // Somebody may have removed it before; there is nothing left to do then.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn check_names(options: &Options) -> Result<(), StartError> {
    if options.serve.is_empty() {
        return Err(StartError::Nothing);
    }
    for (at, serve) in options.serve.iter().enumerate() {
        if options.serve[..at].iter().any(|other| other.name == serve.name) {
            return Err(StartError::Repeated(serve.name.clone()));
        }
    }
    Ok(())
}

fn redis_client(options: &Options) -> Result<Option<redis::Client>, StartError> {
    let Some(url) = &options.redis else { return Ok(None) };
    let client = redis::Client::open(url.as_str());
    client.map(Some).map_err(|source| StartError::RedisUrl { url: url.clone(), source })
}

type Bound = (Vec<(String, Address)>, Vec<Vec<Listener>>, SocketFiles);

/// Binds every address once per worker; the listeners come sorted by worker, then by site.
fn bind_all(options: &Options, workers: usize) -> Result<Bound, StartError> {
    let places = places(options)?;
    let mut addresses = Vec::new();
    let mut by_worker: Vec<Vec<Listener>> = (0..workers).map(|_| Vec::new()).collect();
    let mut files = SocketFiles::default();
    for (serve, place) in options.serve.iter().zip(&places) {
        let (bound, listeners) = place.bind(workers).map_err(|source| StartError::Bind {
            name: serve.name.clone(),
            address: serve.address.clone(),
            remedy: place.remedy(&source),
            source,
        })?;
        if let Address::Unix(path) = &bound {
            files.0.push(path.clone());
        }
        addresses.push((serve.name.clone(), bound));
        for (worker, listener) in listeners.into_iter().enumerate() {
            by_worker[worker].push(listener);
        }
    }
    Ok((addresses, by_worker, files))
}

/// Where the names are to listen; none is in the way of another one.
fn places(options: &Options) -> Result<Vec<Place>, StartError> {
    let mut places: Vec<Place> = Vec::new();
    for serve in &options.serve {
        let place = Place::resolve(&serve.address).map_err(|source| StartError::Host {
            name: serve.name.clone(),
            address: serve.address.clone(),
            source,
        })?;
        if let Some(at) = places.iter().position(|other| other.overlaps(&place)) {
            let other = &options.serve[at];
            return Err(StartError::SameAddress {
                names: [other.name.clone(), serve.name.clone()],
                addresses: [other.address.clone(), serve.address.clone()],
            });
        }
        places.push(place);
    }
    Ok(places)
}
