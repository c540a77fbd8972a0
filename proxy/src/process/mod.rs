//! One process from its configuration to its end: bind, start the workers, obey signals.
//!
//! | signal | what it does |
//! |---|---|
//! | HUP | go over to what the configuration's source says now |
//! | USR1 | open the logs anew |
//! | USR2 | start the binary anew, with the listeners of this one |
//! | WINCH | serve those who are being served and nobody else, until HUP |
//! | QUIT | finish what is in flight, then end |
//! | TERM, INT | end at once |
//!
//! - `reload.rs`: from one configuration to the next
//! - `successor.rs`: the change of the binary
//! - `background.rs`: daemon mode, and the user
//! - `pid_file.rs`, `limits.rs`: what the system is told, and what it allows
//! - `order.rs`: telling another process

pub mod background;
pub mod limits;
pub mod order;
pub mod pid_file;
mod reload;
pub mod successor;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::{Handle, Signals};
use socket2::Socket;

use crate::config::nginx::shown;
use crate::config::{Config, Listener};
use crate::exchange::Sequel;
use crate::log_file::OpenError;
use crate::logging;
use crate::worker::Worker;
use crate::worker::checker::Checker;
use crate::worker::generation::Generation;
use crate::worker::listen::{self, Bound, ListenError};
use crate::worker::logs::Logs;
use crate::worker::mio_net::{MioNet, Remote};
use crate::worker::resolver::{self, Resolver};
use crate::worker::shared::{Command, Shared};
use background::UserError;
use pid_file::{PidFile, PidFileError};
use successor::Inheritance;

/// How often a start tries to bind an address that is taken, and how long it waits after each try: as nginx does.
const BIND_TRIES: u32 = 5;
const BIND_PAUSE: Duration = Duration::from_millis(500);

/// Gives the configuration as it is now, or a line that says what is wrong with it.
pub type Source<'a> = dyn Fn() -> Result<Config, String> + 'a;

/// Why the process could not start or go on. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An address is taken or not allowed.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// An address was taken each time that it was tried, as has been said each time. In nginx's words.
    #[error("still could not bind()")]
    StillTaken,
    /// A log cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The pid file cannot be written.
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    /// The process cannot become the user that it is to run as.
    #[error(transparent)]
    User(#[from] UserError),
    /// Names do not resolve and `--strict-names` is given.
    #[error("no address for {0}; correct the name, or leave out --strict-names to have it tried again")]
    Names(String),
    /// The kernel refused something that always works.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    /// The workers are still about the last reload.
    #[error("the last configuration has not been taken up by all workers yet; try again")]
    Busy,
    /// A worker has ended though nobody asked it to.
    #[error("a worker has ended: {0}")]
    Worker(String),
}

impl RunError {
    /// The same in nginx's words, for those who have its configuration or read its log.
    pub fn as_nginx(&self) -> String {
        let open = |path: &Path, source| format!("open() \"{}\" failed ({})", path.display(), shown(source));
        match self {
            RunError::Listen(error) => {
                format!("bind() to {} failed ({})", error.listen, shown(&error.source))
            }
            RunError::Log(error) => open(&error.path, &error.source),
            RunError::PidFile(error) => open(&error.path, &error.source),
            RunError::User(UserError::NoUser(name)) => format!("getpwnam(\"{name}\") failed"),
            RunError::User(UserError::NoGroup(name)) => format!("getgrnam(\"{name}\") failed"),
            RunError::Names(names) => format!("host not found in upstream \"{names}\""),
            RunError::StillTaken
            | RunError::User(_)
            | RunError::Start(_)
            | RunError::Busy
            | RunError::Worker(_) => self.to_string(),
        }
    }
}

/// Runs the proxy until a signal ends it. A reload asks `source` for the next configuration; without one there
/// is nothing to reload.
///
/// Where the configuration says so the process goes to the background on the way: then the caller's process
/// ends in here.
///
/// # Errors
///
/// See [`RunError`]. Nothing is bound any more when it returns.
pub fn run(config: Config, source: Option<&Source<'_>>) -> Result<(), RunError> {
    let has_file = config.process.error_log.is_some();
    // The caller tells standard error.
    start(config, source).inspect_err(|error| {
        if has_file {
            log::error!(target: "emerg", "{}", error.as_nginx());
        }
    })
}

fn start(config: Config, source: Option<&Source<'_>>) -> Result<(), RunError> {
    logging::direct(logging::open(config.process.error_log.as_deref())?, config.process.log_level);
    set_limits(&config);
    // Signals are caught from here on, so that none ends the process half started.
    let caught = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD];
    let signals = Signals::new(caught)?;

    let mut inheritance = Inheritance::take();
    let mut config = config;
    let most = inheritance.most_at_one_address();
    if inheritance.is_successor() && most > config.process.workers {
        log::warn!(
            "{most} workers, not {}: clients wait at the listeners of as many",
            config.process.workers
        );
        config.process.workers = most;
    }
    let (caller, called) = resolver::line()?;
    let shared = Arc::new(Shared::new(config, Some(caller), RandomState::new().hash_one(0)));
    let generation = shared.generation();
    let process = &generation.config.process;
    let mut bound = BTreeMap::new();
    // A second process with the same flags is told at once.
    bind(&generation, &mut bound, &mut inheritance, source.is_some())?;
    inheritance.drop_rest();
    let mut resolver = Resolver::new(&generation);
    let missing = resolver.resolve_unknown(process.strict_names)?;
    if process.strict_names && !missing.is_empty() {
        return Err(RunError::Names(missing.join(", ")));
    }
    let logs = open_logs(&generation.config)?;
    if let Some(user) = &process.user {
        let error_log = logging::file();
        background::hand_over(user, logs.iter().flat_map(Logs::files).chain(error_log.as_deref()));
    }
    generation.supply_logs(logs);

    // A successor is where its predecessor was.
    if process.daemon && !inheritance.is_successor() {
        background::enter()?;
    }
    let in_background = process.daemon || inheritance.is_successor();
    let clock = Instant::now();
    let (mut remotes, mut workers) = (Vec::new(), Vec::new());
    for number in 0..process.workers {
        let own = |(&at, bound): (&usize, &Bound)| (at, bound.sockets[number].clone());
        let (net, remote) = MioNet::new(bound.iter().map(own).collect(), clock)?;
        remotes.push(remote);
        workers.push(Worker::new(net, shared.clone()));
    }
    let pid_file = process.pid_file.as_deref().map(PidFile::write).transpose()?;
    let is_privileged = successor::is_privileged();
    if let Some(user) = &process.user {
        // A successor writes to it in place where the folder is root's.
        background::hand_over(user, pid_file.iter().map(PidFile::file));
        background::become_user(user)?;
    }
    // Not joined: it may hang in a look-up for as long as the system's resolver likes.
    let asked = shared.clone();
    thread::Builder::new().name("resolver".into()).spawn(move || {
        if let Err(error) = resolver.run(&asked, called) {
            log::error!("names are not looked up any more: {error}; start the process anew");
        }
    })?;
    announce(&generation.config);
    let remotes = Arc::new(remotes);
    let crew = Crew {
        left: AtomicUsize::new(0),
        remotes: remotes.clone(),
        shared: shared.clone(),
        signals: signals.handle(),
    };
    let mut process = Process {
        shared,
        source,
        bound,
        is_ending: false,
        pid_file,
        in_background,
        is_privileged,
        inheritance,
        successor: None,
        remotes,
        crew: Arc::new(crew),
        threads: Vec::new(),
        clock,
    };
    let result = workers
        .into_iter()
        .enumerate()
        .try_for_each(|(number, worker)| process.enlist(format!("worker {number}"), || worker.run()))
        .and_then(|()| process.check_health(&generation));
    if result.is_err() {
        // Those that do run are to let go of their listeners.
        process.shared.order(Command::Stop);
        wake(&process.remotes);
    }
    drop(generation);
    result?;
    process.serve(signals)
}

/// A process that is bound, as its main thread has it.
struct Process<'a> {
    shared: Arc<Shared>,
    source: Option<&'a Source<'a>>,
    /// By the listener's number.
    bound: BTreeMap<usize, Bound>,
    /// It has been told to: it takes no more clients.
    is_ending: bool,
    pid_file: Option<PidFile>,
    /// No terminal is there that could have changed its size (WINCH).
    in_background: bool,
    /// It had root's privileges at first.
    is_privileged: bool,
    inheritance: Inheritance,
    /// The process that is to take this one's place.
    successor: Option<Child>,
    /// One for each worker.
    remotes: Arc<Vec<Remote>>,
    crew: Arc<Crew>,
    /// Those of the crew.
    threads: Vec<JoinHandle<io::Result<()>>>,
    /// What all event loops count their time from.
    clock: Instant,
}

impl Process<'_> {
    fn serve(mut self, mut signals: Signals) -> Result<(), RunError> {
        for signal in signals.forever() {
            self.obey(signal);
        }
        self.close();
        let mut result = Ok(());
        for thread in self.threads {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => result = Err(RunError::Worker(error.to_string())),
                Err(_) => result = Err(RunError::Worker("it panicked, see the log".into())),
            }
        }
        if Sequel::ALL.into_iter().any(|sequel| self.shared.counted(sequel) > 0) {
            log_sequels(&self.shared);
        }
        result
    }

    /// Starts one more thread of the crew.
    fn enlist(
        &mut self,
        name: String,
        run: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let crew = self.crew.clone();
        // Before it runs: whoever ends is not to take itself for the last one.
        crew.left.fetch_add(1, Ordering::AcqRel);
        let body = move || {
            let _on_duty = OnDuty(crew);
            run()
        };
        let started = thread::Builder::new().name(name).spawn(body);
        self.threads.push(started.inspect_err(|_| {
            self.crew.left.fetch_sub(1, Ordering::AcqRel);
        })?);
        Ok(())
    }

    /// Starts the loop for health checks, where a configuration has some and it does not run yet.
    fn check_health(&mut self, generation: &Generation) -> io::Result<()> {
        let has_checks = generation.config.upstreams.iter().any(|group| !group.checks.is_empty());
        if !has_checks || self.shared.has_checker() {
            return Ok(());
        }
        let (net, remote) = MioNet::new(Vec::new(), self.clock)?;
        let checker = Checker::new(net, self.shared.clone());
        self.enlist("checker".into(), || checker.run())?;
        self.shared.set_checker(remote);
        // What has happened in between.
        self.shared.wake_checker();
        Ok(())
    }

    fn obey(&mut self, signal: i32) {
        match signal {
            SIGHUP => self.reload(),
            SIGUSR1 => {
                log::info!("reopening logs");
                logging::reopen();
                self.redirect_errors();
                self.shared.reopen();
                log_sequels(&self.shared);
            }
            SIGUSR2 => self.change_binary(),
            SIGWINCH if self.in_background => self.rest(true),
            SIGWINCH => {}
            SIGCHLD => self.look_after_successor(),
            SIGQUIT => {
                log::info!("finishing the requests in flight, then ending");
                self.close();
                self.shared.order(Command::Drain);
            }
            _ => {
                log::info!("ending");
                self.close();
                self.shared.order(Command::Stop);
            }
        }
        wake(&self.remotes);
    }

    /// Lets go of the listeners; the workers close them.
    fn close(&mut self) {
        self.is_ending = true;
        self.settle_files(|_| true);
        self.bound.clear();
    }

    /// Whether the files of those Unix sockets that are to be closed now stay: where another process listens there, too,
    /// or where it was not this one nor the one before it that made them.
    fn settle_files(&mut self, is_closed: impl Fn(&usize) -> bool) {
        let is_shared = self.successor.is_some() || self.inheritance.predecessor_lives();
        for (_, bound) in self.bound.iter_mut().filter(|(number, _)| is_closed(number)) {
            if is_shared {
                bound.leave_file(true);
            } else if self.inheritance.is_successor() {
                bound.leave_file(false);
            }
        }
    }

    fn change_binary(&mut self) {
        if self.successor.is_some() || self.inheritance.predecessor_lives() {
            log::error!(
                target: "crit",
                "the change of the binary is ignored: one is under way, end the old process or the new one first"
            );
            return;
        }
        if self.is_ending {
            log::error!("the change of the binary is ignored: this process ends");
            return;
        }
        if let Some(Err(error)) = self.pid_file.as_mut().map(PidFile::set_aside) {
            log::error!(target: "alert", "the binary is not changed: the pid file cannot be renamed: {error}");
            return;
        }
        let listeners = self.bound.values().flat_map(|bound| &bound.sockets);
        match successor::start(listeners, self.is_privileged) {
            Ok(child) => {
                log::info!("changing the binary: the new process is {}", child.id());
                self.successor = Some(child);
            }
            Err(error) => {
                log::error!(target: "alert", "the new binary cannot be started: {error}");
                self.take_pid_file_back();
            }
        }
    }

    /// A process that this one started has ended. If it was to take this one's place, this one goes on.
    fn look_after_successor(&mut self) {
        let Some(child) = self.successor.as_mut() else { return };
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => {
                let pid = child.id();
                self.successor = None;
                self.take_pid_file_back();
                log::info!("the new binary's process {pid} has ended ({status}); this one goes on");
                self.rest(false);
            }
            Err(error) => log::error!("the new binary's process {} cannot be asked: {error}", child.id()),
        }
    }

    fn take_pid_file_back(&mut self) {
        if let Some(Err(error)) = self.pid_file.as_mut().map(PidFile::take_back) {
            log::error!(target: "alert", "the pid file cannot be renamed: {error}");
        }
    }
}

/// Binds what of a configuration's listeners is not in `bound` yet, with patience where an address is taken.
///
/// # Errors
///
/// When one cannot be bound. Then those before it are closed again.
fn bind(
    generation: &Generation,
    bound: &mut BTreeMap<usize, Bound>,
    inheritance: &mut Inheritance,
    is_patient: bool,
) -> Result<(), RunError> {
    let mut new = BTreeMap::new();
    for (&number, listener) in generation.ids.listeners.iter().zip(&generation.config.listeners) {
        if !bound.contains_key(&number) {
            let workers = generation.config.process.workers;
            let inherited = inheritance.at(&listener.address);
            let mut is_beside = false;
            for other in bound.values().chain(new.values()).filter(|other| other.overlaps(&listener.address))
            {
                // Where it cannot, binding says so.
                is_beside |= other.share().is_ok();
            }
            new.insert(number, bind_one(listener, workers, inherited, is_beside, is_patient)?);
        }
    }
    bound.append(&mut new);
    Ok(())
}

/// Binds one listener. With patience, an address that is taken is tried again as often and as fast as nginx does, with a
/// line for each try (`ngx_open_listening_sockets`): the process that has it may be about to end. Inherited sockets are
/// bound already.
fn bind_one(
    listener: &Listener,
    workers: usize,
    inherited: Vec<Socket>,
    is_beside: bool,
    is_patient: bool,
) -> Result<Bound, RunError> {
    if !is_patient || !inherited.is_empty() {
        return Ok(listen::bind(listener, workers, inherited, is_beside)?);
    }
    for _ in 0..BIND_TRIES {
        match listen::bind(listener, workers, Vec::new(), is_beside) {
            Err(error) if error.source.kind() == io::ErrorKind::AddrInUse => {
                say(&error.into());
                log::info!("try again to bind() after {}ms", BIND_PAUSE.as_millis());
                thread::sleep(BIND_PAUSE);
            }
            result => return Ok(result?),
        }
    }
    Err(RunError::StillTaken)
}

/// Tells standard error and the log's file of what has gone wrong, before it is known whether it ends the start.
fn say(error: &RunError) {
    let text = error.as_nginx();
    // Whoever reads it may have gone.
    let _ = writeln!(io::stderr(), "nginx: [emerg] {text}");
    if logging::file().is_some() {
        log::error!(target: "emerg", "{text}");
    }
}

/// Opens the pid file and all logs of a configuration and binds its addresses, then closes all again, to see whether that
/// can be done. In nginx's order (`ngx_init_cycle`), which says what the error is where there are several.
///
/// # Errors
///
/// Where one cannot be opened or bound.
pub fn check(config: &Config) -> Result<(), RunError> {
    let pid_file = config.process.pid_file.as_deref().map(PidFile::check).transpose()?;
    let error_log = logging::open(config.process.error_log.as_deref())?;
    let logs = Logs::open(config)?;
    if let Some(user) = &config.process.user {
        background::hand_over(user, logs.files().chain(error_log.file()).chain(&pid_file));
    }
    hand_over_log(config);
    config.listeners.iter().try_for_each(|listener| listen::check(&listener.address))?;
    Ok(())
}

/// Has the log of this process, which may have made it, belong to the user whose process goes on with it.
pub fn hand_over_log(config: &Config) {
    if let Some(user) = &config.process.user {
        background::hand_over(user, logging::file().as_deref().into_iter());
    }
}

/// The logs of requests for each worker.
fn open_logs(config: &Config) -> Result<Vec<Logs>, OpenError> {
    (0..config.process.workers).map(|_| Logs::open(config)).collect()
}

fn set_limits(config: &Config) {
    match limits::set_open_files(config.process.open_files) {
        Ok(limit) => {
            if let Some(warning) = limits::open_files_warning(limit, config) {
                log::warn!("{warning}");
            }
        }
        Err(error) => log::warn!("the limit of open files cannot be set: {error}"),
    }
}

fn announce(config: &Config) {
    let addresses: Vec<_> = config.listeners.iter().map(|listener| listener.address.to_string()).collect();
    let servers: usize = config.upstreams.iter().map(|group| group.servers.len()).sum();
    let several = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (text, workers) = (addresses.join(", "), several(config.process.workers, "worker"));
    log::info!("listening on {text} with {workers} for {}", several(servers, "server"));
}

/// What became of requests whose upstream connection failed: users of a pool want to know.
fn log_sequels(shared: &Shared) {
    let parts = Sequel::ALL.map(|sequel| format!("{} {}", shared.counted(sequel), sequel.text())).join(", ");
    log::info!("requests whose connection to a server failed: {parts}");
}

fn wake(remotes: &[Remote]) {
    for remote in remotes {
        if let Err(error) = remote.wake() {
            log::error!("a worker cannot be woken: {error}");
        }
    }
}

/// The workers of a process, and the loop for health checks, as they see each other.
struct Crew {
    left: AtomicUsize,
    remotes: Arc<Vec<Remote>>,
    shared: Arc<Shared>,
    /// Closed when the last worker has ended: the main thread sleeps in its signals.
    signals: Handle,
}

/// One of them that is running. However it ends, the others are told: with one worker lost, part of the
/// clients would hang, so the process ends and whoever supervises it starts it anew.
struct OnDuty(Arc<Crew>);

impl Drop for OnDuty {
    fn drop(&mut self) {
        if thread::panicking() || self.0.shared.command() == Command::Run {
            log::error!(target: "alert", "a worker has ended unasked: the process ends");
            self.0.shared.order(Command::Stop);
            wake(&self.0.remotes);
        }
        if self.0.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.signals.close();
        }
    }
}
