//! The processes of a measurement: origins and subjects, each on its core, gone at the end.
//!
//! - `process.rs`: a child with its core, its descendants and its CPU time
//! - `ending.rs`: what a signal ends: children and folders
//! - `client.rs`: a keep-alive client that checks its answers
//! - `binaries.rs`: this project's own binaries, built by release rules
//! - `subjects.rs`: what is compared; `configurations.rs`: each one's minimal tuned configuration
//! - `awake.rs`: cores that do not sleep while something is measured
//! - `gauge.rs`: how fast cores run, where somebody else may share them
//! - `setup.rs`: the same rules on servers and failures, said to each subject in its own words
//! - `words.rs`: what all configurations of nginx, and all of HAProxy, have in common
//! - `scripted.rs`: an origin whose every answer is decided by the caller

mod awake;
mod binaries;
mod client;
mod configurations;
pub(crate) mod ending;
pub(crate) mod gauge;
mod process;
mod scripted;
mod setup;
mod subjects;
mod words;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub use awake::{Awake, IdleCores};
pub use binaries::{Binaries, refuse_debug_build};
pub use client::Client;
pub use ending::{end_on_signals, is_gone};
pub use gauge::{Gauge, Speeds, Timings};
pub use process::{
    Process, allowed_cores, installed, on_core, page_length, stay_on_core, thread_cpu, version_line,
};
pub use scripted::{Decide, Reply, Scripted, Then};
pub use setup::{Arranged, Running, Setup};
pub use subjects::{Kind, Launch, Subject};

/// Why a measurement cannot be made, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A program did not start.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Its name.
        program: String,
        /// What failed.
        source: io::Error,
    },
    /// A program started and did not get ready.
    #[error("{program} does not answer on {address}; it said: {said}")]
    NotReady {
        /// Its name.
        program: String,
        /// Where it should listen.
        address: SocketAddr,
        /// Its standard error.
        said: String,
    },
    /// A program that the measurement cannot do without is not there.
    #[error("{0} is not installed; on Debian: apt-get install {0}")]
    Missing(&'static str),
    /// This binary, or what it would measure, was not built for speed.
    #[error("this is a debug build, and its figures would mean nothing; use cargo run --release -p bench")]
    DebugBuild,
    /// There is no core for each side.
    #[error(
        "cores {subject} and {load} are to be two different ones of those that this process may use: {cores}"
    )]
    Cores {
        /// The core asked for for the subject.
        subject: usize,
        /// The core asked for for load and origins.
        load: usize,
        /// Those there are.
        cores: String,
    },
    /// The project's own binaries could not be built.
    #[error(
        "cargo build --release failed; run it by hand to see why, or name built binaries with --binaries"
    )]
    Build,
    /// A tool's answer could not be understood.
    #[error("{tool}: {said}")]
    Tool {
        /// Its name.
        tool: &'static str,
        /// What it said.
        said: String,
    },
    /// A file could not be written.
    #[error("{}: {source}", file.display())]
    File {
        /// Which one.
        file: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The kernel refused something that always works.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Where the load and the subjects run.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// The subject's, and nothing else's.
    pub subject: usize,
    /// The load generator's and the origins'.
    pub load: usize,
}

impl Cores {
    /// Two different cores that this process may use.
    ///
    /// # Errors
    ///
    /// [`LabError::Cores`] where they are not.
    pub fn new(subject: usize, load: usize) -> Result<Cores, LabError> {
        let cores = allowed_cores()?;
        if subject == load || !cores.contains(&subject) || !cores.contains(&load) {
            return Err(LabError::Cores { subject, load, cores: list(&cores) });
        }
        Ok(Cores { subject, load })
    }

    /// Whether the two are threads of one core, which then do not add up to two. Where the kernel does not say they are not.
    pub fn are_siblings(self) -> bool {
        let file = format!("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", self.subject);
        fs::read_to_string(file).is_ok_and(|list| is_in(self.load, &list))
    }
}

/// Cores in words.
pub(crate) fn list(cores: &[usize]) -> String {
    cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether a core is in a list of the kernel's, such as `0-1,4` (Documentation/admin-guide/cputopology.rst).
fn is_in(core: usize, list: &str) -> bool {
    list.trim().split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let numbers = first.parse::<usize>().ok().zip(last.parse::<usize>().ok());
        numbers.is_some_and(|(first, last)| (first..=last).contains(&core))
    })
}

/// Ports below those that the kernel gives to outgoing connections (`ip_local_port_range`): among thousands of these,
/// one would sooner or later sit on the port of a server that is away for a moment.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A loopback address that is free now. By chance, so that two who look at the same time seldom find the same.
///
/// # Errors
///
/// Where hardly any port is free.
pub fn free_address() -> io::Result<SocketAddr> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, fastrand::u16(PORTS))) {
            Ok(listener) => return listener.local_addr(),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Lets this process, and those that it starts, open as many files as the kernel allows them: load and subjects have
/// a socket or two for each connection.
///
/// # Errors
///
/// Where the kernel refuses what it said it would allow.
pub fn raise_open_files() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(())
}

/// Two names served by one origin process, on the load's core.
#[derive(Debug)]
pub struct Origins {
    /// Where they listen.
    pub addresses: Vec<SocketAddr>,
    /// Serves them all.
    pub process: Process,
    _redis: Option<Process>,
}

impl Origins {
    /// Starts them: the project's backend without its counter.
    ///
    /// # Errors
    ///
    /// Where it does not start.
    pub fn start(binaries: &Binaries, cores: Cores) -> Result<Origins, LabError> {
        Origins::with(binaries, cores, &["--plain"], None)
    }

    /// Starts them with a Redis that counts, on the same core; its files go to `folder`.
    ///
    /// # Errors
    ///
    /// Where Redis is not installed, or one of the two does not start.
    pub fn start_with_redis(
        binaries: &Binaries,
        cores: Cores,
        folder: &std::path::Path,
    ) -> Result<Origins, LabError> {
        let program = installed("redis-server").ok_or(LabError::Missing("redis-server"))?;
        let address = free_address()?;
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["--save", "", "--appendonly", "no"]).arg("--dir").arg(folder);
        let redis = Process::start("redis-server", &mut command, cores.load)?;
        // The origins answer as wanted only when they have reached it.
        Origins::with(binaries, cores, &["--redis", &format!("redis://{address}/0")], Some(redis))
    }

    fn with(
        binaries: &Binaries,
        cores: Cores,
        counter: &[&str],
        redis: Option<Process>,
    ) -> Result<Origins, LabError> {
        let addresses = vec![free_address()?, free_address()?];
        let mut command = Command::new(&binaries.backend);
        for (number, address) in addresses.iter().enumerate() {
            command.arg("--serve").arg(format!("app{}={address}", number + 1));
        }
        let mut process = Process::start("backend", command.args(counter), cores.load)?;
        process.wait_until_ready(addresses[1])?;
        Ok(Origins { addresses, process, _redis: redis })
    }
}

/// What [`Origins`] answer to `/`, and so what every subject has to.
pub const BODY_MARK: &[u8] = b"Hello from app";

/// Where this run keeps configurations and raw data; removed at the end, and by a signal ([`end_on_signals`]).
pub fn folder() -> io::Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir()?;
    ending::add_folder(folder.path());
    Ok(folder)
}

/// A path as a configuration file wants it.
fn text(path: PathBuf) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_those_that_this_process_may_use() {
        let all = allowed_cores().unwrap();
        assert!(all.len() >= 2, "{all:?}");
        let (first, second) = (all[0], all[1]);
        // As under taskset, on a thread of its own.
        std::thread::spawn(move || {
            stay_on_core(second).unwrap();
            assert_eq!(allowed_cores().unwrap(), [second]);
            let error = Cores::new(first, second).unwrap_err().to_string();
            assert!(error.ends_with(&format!("may use: {second}")), "{error}");
        })
        .join()
        .unwrap();
        assert!(Cores::new(first, second).is_ok());
        assert!(matches!(Cores::new(first, first), Err(LabError::Cores { .. })));
        assert!(on_core(100_000, || Ok(())).unwrap_err().to_string().contains("core 100000"));
    }

    #[test]
    fn siblings_are_read() {
        for (list, siblings) in
            [("0\n", vec![0]), ("0-1\n", vec![0, 1]), ("0,4-5\n", vec![0, 4, 5]), ("", vec![])]
        {
            assert_eq!((0..8).filter(|core| is_in(*core, list)).collect::<Vec<_>>(), siblings, "{list}");
        }
    }
}
