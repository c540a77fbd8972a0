//! One process from its configuration to its end: bind, start the workers, obey signals.

use std::hash::BuildHasher;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use mio::Waker;
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::{Handle, Signals};

use crate::access_log;
use crate::config::Config;
use crate::exchange::Sequel;
use crate::pid_file::{PidFile, PidFileError};
use crate::upstream::Group;
use crate::worker::Worker;
use crate::worker::listen::{self, ListenError};
use crate::worker::logs::Logs;
use crate::worker::mio_net::MioNet;
use crate::worker::resolver::Resolver;
use crate::worker::shared::{Command, Shared};
use crate::{limits, logging};

/// Why the process could not start or go on. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An address is taken or not allowed.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The access log cannot be opened.
    #[error(transparent)]
    AccessLog(#[from] access_log::OpenError),
    /// The pid file cannot be written.
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    /// Names do not resolve and `--strict-names` is given.
    #[error("{0} does not resolve; correct the name or leave out --strict-names to have it tried again")]
    Names(String),
    /// The kernel refused something that always works.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    /// A worker has ended though nobody asked it to.
    #[error("a worker has ended: {0}")]
    Worker(String),
}

/// Runs the proxy until a signal ends it.
///
/// # Errors
///
/// See [`RunError`]. Nothing is bound any more when it returns.
pub fn run(config: &Config) -> Result<(), RunError> {
    // A second logger is only refused where tests run several proxies in one process.
    let _ = logging::init(config.process.log_level);
    match limits::raise_open_files() {
        Ok(limit) => {
            if let Some(warning) = limits::open_files_warning(limit, config) {
                log::warn!("{warning}");
            }
        }
        Err(error) => log::warn!("the limit of open files cannot be raised: {error}"),
    }
    // Signals are caught from here on, so that none ends the process half started.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGUSR1])?;

    let addresses: Vec<_> = config.listeners.iter().map(|listener| listener.address.clone()).collect();
    let listeners = listen::bind(&addresses, config.process.workers)?;
    let mut files = Some(listen::Files(&addresses));
    let (suspects, suspected) = mpsc::channel();
    let seed = std::hash::RandomState::new();
    let groups = config.upstreams.iter().enumerate();
    let groups = groups.map(|(index, group)| Group::new(group).seeded(seed.hash_one(index))).collect();
    let shared = Arc::new(Shared::new(groups, Some(suspects)));
    let mut resolver = Resolver::new(shared.clone(), config.process.resolve_interval);
    let missing = resolver.resolve();
    if config.process.strict_names && !missing.is_empty() {
        return Err(RunError::Names(missing.join(", ")));
    }
    // Not joined: it may hang in a look-up for as long as the system's resolver likes.
    thread::Builder::new().name("resolver".into()).spawn(move || resolver.run(&suspected))?;

    let start = Instant::now();
    let mut wakers = Vec::new();
    let mut workers = Vec::new();
    for (number, listeners) in listeners.into_iter().enumerate() {
        let (net, waker) = MioNet::new(listeners, start)?;
        let logs = Logs::open(config)?;
        let worker = Worker::new(config, net, shared.clone(), logs);
        wakers.push(waker);
        workers.push((number, worker));
    }
    let _pid_file = config.process.pid_file.as_deref().map(PidFile::write).transpose()?;

    let crew =
        Arc::new(Crew { left: AtomicUsize::new(workers.len()), wakers, shared, signals: signals.handle() });
    let mut threads = Vec::new();
    for (number, worker) in workers {
        let crew = crew.clone();
        let body = move || {
            let on_duty = OnDuty(&crew);
            let result = worker.run();
            drop(on_duty);
            result
        };
        threads.push(thread::Builder::new().name(format!("worker {number}")).spawn(body)?);
    }
    let text = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let servers: usize = config.upstreams.iter().map(|group| group.servers.len()).sum();
    log::info!("listening on {text} with {} workers for {servers} servers", config.process.workers);

    for signal in signals.forever() {
        if signal != SIGUSR1 {
            // From here on another process may listen there: its file must not be removed later.
            drop(files.take());
        }
        crew.obey(signal);
    }
    let mut result = Ok(());
    for thread in threads {
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => result = Err(RunError::Worker(error.to_string())),
            Err(_) => result = Err(RunError::Worker("it panicked, see the log".into())),
        }
    }
    crew.log_sequels();
    result
}

/// The workers of a process, as its main thread sees them.
struct Crew {
    left: AtomicUsize,
    wakers: Vec<Arc<Waker>>,
    shared: Arc<Shared>,
    /// Closed when the last worker has ended: the main thread sleeps in its signals.
    signals: Handle,
}

impl Crew {
    fn obey(&self, signal: i32) {
        match signal {
            SIGUSR1 => {
                log::info!("reopening logs");
                self.shared.reopen();
                self.log_sequels();
            }
            SIGQUIT => {
                log::info!("finishing the requests in flight, then ending");
                self.shared.order(Command::Drain);
            }
            _ => {
                log::info!("ending");
                self.shared.order(Command::Stop);
            }
        }
        self.wake();
    }

    /// What became of requests whose upstream connection failed: users of a pool want to know.
    fn log_sequels(&self) {
        let parts =
            Sequel::ALL.map(|sequel| format!("{} {}", self.shared.counted(sequel), sequel.text())).join(", ");
        log::info!("requests whose connection to a server failed: {parts}");
    }

    fn wake(&self) {
        for waker in &self.wakers {
            if let Err(error) = waker.wake() {
                log::error!("a worker cannot be woken: {error}");
            }
        }
    }
}

/// A worker that is running. However it ends, the others are told: with one worker lost, part of the
/// clients would hang, so the process ends and whoever supervises it starts it anew.
struct OnDuty<'a>(&'a Crew);

impl Drop for OnDuty<'_> {
    fn drop(&mut self) {
        if thread::panicking() || self.0.shared.command() == Command::Run {
            log::error!("a worker has ended unasked: the process ends");
            self.0.shared.order(Command::Stop);
            self.0.wake();
        }
        if self.0.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.signals.close();
        }
    }
}
