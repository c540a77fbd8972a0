//! A proxy within the test's own process, whose configuration the test holds in its hand.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use proxy::config::{Config, Host, Listen, Listener, Server};
use proxy::process::{self, RunError};
use rustix::process::{Signal, getpid, kill_process};
use tempfile::TempDir;

use crate::support::{Conn, Origin, free_address, wait_until};

/// Signals are for the whole process, so there is one proxy at a time.
static TURN: Mutex<()> = Mutex::new(());

type Source = Arc<Mutex<Result<Config, String>>>;

/// A running proxy. It ends with [`Within::end`], or with the test.
pub(crate) struct Within {
    thread: Option<JoinHandle<Result<(), RunError>>>,
    source: Source,
    /// What the test changes and hands over.
    pub(crate) config: Config,
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// Servers of a group, by their origins.
pub(crate) fn servers(origins: &[&Origin]) -> Vec<Server> {
    let server = |origin: &&Origin| {
        let name = origin.to_string();
        let address: SocketAddr = name.parse().expect("an address");
        Server::new(&name, Host::Literal(address))
    };
    origins.iter().map(server).collect()
}

impl Within {
    /// Listening on an address of its own, with two workers, ready.
    pub(crate) fn start(origins: &[&Origin], change: impl FnOnce(&mut Config)) -> Within {
        let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::new(servers(origins));
        config.listeners = vec![Listener::new(Listen::Tcp(free_address()))];
        config.process.workers = 2;
        config.process.pid_file = Some(folder.path().join("proxy.pid"));
        config.process.error_log = Some(folder.path().join("error.log"));
        change(&mut config);
        let source: Source = Arc::new(Mutex::new(Ok(config.clone())));
        let (read, first) = (source.clone(), config.clone());
        let thread = thread::spawn(move || {
            process::run(first, Some(&|| read.lock().expect("no panic while locked").clone()))
        });
        let within = Within { thread: Some(thread), source, config, folder, _turn: turn };
        wait_until("the pid file", || {
            assert!(within.is_running(), "the proxy ended at once: {}", within.log());
            within.path("proxy.pid").exists()
        });
        within
    }

    /// Where it listens first.
    pub(crate) fn address(&self) -> SocketAddr {
        address(&self.config.listeners[0])
    }

    pub(crate) fn connect(&self) -> Conn {
        Conn::to(self.address())
    }

    /// The body of the answer to a GET over a new connection.
    #[track_caller]
    pub(crate) fn get(&self) -> String {
        let response = self.connect().get("/");
        assert_eq!(response.status(), 200, "{}", response.head);
        response.text().to_owned()
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has the configuration to be handed over write a line per request to a file in its folder.
    pub(crate) fn log_to(&mut self, name: &str) {
        let path = self.path(name);
        self.config.log_to(path.to_str().expect("text"));
    }

    /// The error log so far.
    pub(crate) fn log(&self) -> String {
        read(&self.path("error.log"))
    }

    pub(crate) fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(getpid(), signal).expect("a signal");
    }

    /// Waits until so many lines of the error log hold `part`.
    #[track_caller]
    pub(crate) fn wait_log(&self, part: &str, count: usize) {
        wait_until(part, || self.log().lines().filter(|line| line.contains(part)).count() == count);
    }

    /// Has `config` taken up; to be called as the `number`th reload that goes well.
    #[track_caller]
    pub(crate) fn reload(&self, number: usize) {
        self.hand_over(self.config.clone());
        self.wait_log("the new configuration is at work", number);
    }

    /// Has another configuration looked at.
    pub(crate) fn hand_over(&self, config: Config) {
        *self.source.lock().expect("no panic while locked") = Ok(config);
        self.signal(Signal::HUP);
    }

    /// Has the source fail with this line.
    pub(crate) fn reload_bad(&self, line: &str) {
        *self.source.lock().expect("no panic while locked") = Err(line.to_owned());
        self.signal(Signal::HUP);
    }

    /// Tells it to end, and waits for that.
    #[track_caller]
    pub(crate) fn end(mut self, signal: Signal) {
        self.signal(signal);
        self.join();
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn join(&mut self) {
        wait_until("the proxy's end", || !self.is_running());
        let thread = self.thread.take().expect("joined once");
        thread.join().expect("no panic").expect("ended by a signal");
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.signal(Signal::TERM);
            // What matters of a test that fails has been said.
            let _ = thread.join();
        }
    }
}

pub(crate) fn address(listener: &Listener) -> SocketAddr {
    match &listener.address {
        Listen::Tcp(address) => *address,
        Listen::Unix(path) => panic!("a Unix socket: {}", path.display()),
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
