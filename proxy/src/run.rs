//! One process from its configuration to its end: bind, start the workers, obey signals.

use std::io;
use std::sync::mpsc;
use std::sync::{Arc, atomic};
use std::thread;
use std::time::Instant;

use mio::Waker;
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::access_log::{self, Writer};
use crate::config::Config;
use crate::pid_file::{PidError, PidFile};
use crate::upstream::Group;
use crate::worker::Worker;
use crate::worker::listen::{self, ListenError};
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
    PidFile(#[from] PidError),
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
    let _ = logging::init(config.log_level);
    let open_files = limits::raise_open_files()?;
    if let Some(warning) = limits::open_files_warning(open_files, config) {
        log::warn!("{warning}");
    }
    // Signals are caught from here on, so that none ends the process half started.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGUSR1])?;

    let listeners = listen::bind(&config.listen, config.workers)?;
    let (suspects, suspected) = mpsc::channel();
    let group = Group::new(&config.servers, config.balance);
    let shared = Arc::new(Shared::new(group, Some(suspects)));
    let mut resolver = Resolver::new(shared.clone(), config.resolve_interval);
    let missing = resolver.resolve();
    if config.strict_names && !missing.is_empty() {
        listen::unlink(&config.listen);
        return Err(RunError::Names(missing.join(", ")));
    }
    // Not joined: it may hang in a look-up for as long as the system's resolver likes.
    thread::Builder::new().name("resolver".into()).spawn(move || resolver.run(&suspected))?;

    let start = Instant::now();
    let mut wakers = Vec::new();
    let mut workers = Vec::new();
    for (number, listeners) in listeners.into_iter().enumerate() {
        let (net, waker) = MioNet::new(listeners, start)?;
        let log = Writer::open(&config.access_log)?;
        let worker = Worker::new(config, net, shared.clone(), log);
        wakers.push(waker);
        workers.push((number, worker));
    }
    let _pid_file = config.pid_file.as_deref().map(PidFile::write).transpose()?;

    let lost = Arc::new(atomic::AtomicBool::new(false));
    let mut threads = Vec::new();
    for (number, worker) in workers {
        let (handle, lost) = (signals.handle(), lost.clone());
        let body = move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.run()));
            if !matches!(result, Ok(Ok(()))) {
                lost.store(true, atomic::Ordering::Relaxed);
            }
            // The main thread sleeps in its signals: when the last worker ends, so does it.
            handle.close();
            result
        };
        threads.push(thread::Builder::new().name(format!("worker {number}")).spawn(body)?);
    }
    let addresses = config.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    log::info!("listening on {addresses}, {} workers, {} servers", config.workers, config.servers.len());

    let _ = (&mut signals, &wakers, &shared, Command::Stop, threads, lost);
    Ok(())
}

fn wake(wakers: &[Arc<Waker>]) {
    for waker in wakers {
        if let Err(error) = waker.wake() {
            log::error!("a worker cannot be woken: {error}");
        }
    }
}
