//! The two servers of a case, and what is done to the second.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use super::fault::{Cast, Fault};
use crate::lab::{Binaries, LabError, Process, Reply, Scripted, Then, free_address, installed};

/// How long Redis may take until it answers.
const REDIS_WITHIN: Duration = Duration::from_secs(10);

/// app1, which is well, and app2, which is put to the fault.
pub(super) enum Servers {
    /// Scripted ones.
    Scripted {
        app1: Scripted,
        app2: Scripted,
        /// What app2 does now.
        reply: Arc<Mutex<Reply>>,
    },
    /// Processes with their counter in Redis.
    Backends { app1: Box<Backend>, app2: Box<Backend>, redis: Box<Redis> },
}

impl Servers {
    /// Starts what the fault is about.
    ///
    /// # Errors
    ///
    /// Where one does not start, or Redis is not installed.
    pub(super) fn start(fault: Fault, binaries: &Binaries, core: usize) -> Result<Servers, LabError> {
        match fault.cast() {
            Cast::Scripted => {
                let reply = Arc::new(Mutex::new(Reply::default()));
                let decide = reply.clone();
                let app2 = Scripted::start("app2", move || *lock(&decide))?;
                Ok(Servers::Scripted { app1: Scripted::start("app1", Reply::default)?, app2, reply })
            }
            Cast::Backends => {
                let redis = Box::new(Redis::start(core)?);
                let start = |name| Backend::start(name, &binaries.backend, &redis, core).map(Box::new);
                let (app1, app2) = (start("app1")?, start("app2")?);
                Ok(Servers::Backends { app1, app2, redis })
            }
        }
    }

    /// Where they listen.
    pub(super) fn addresses(&self) -> [SocketAddr; 2] {
        match self {
            Servers::Scripted { app1, app2, .. } => [app1.address, app2.address],
            Servers::Backends { app1, app2, .. } => [app1.address, app2.address],
        }
    }

    /// Requests that reached them, as they counted them.
    ///
    /// # Errors
    ///
    /// Where Redis does not say.
    pub(super) fn hits(&self) -> Result<u64, LabError> {
        match self {
            Servers::Scripted { app1, app2, .. } => Ok(app1.hits() + app2.hits()),
            Servers::Backends { redis, .. } => redis.hits(),
        }
    }

    /// Lets it happen; returns it in words. `slow` is what an answer takes then.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub(super) fn break_it(&mut self, fault: Fault, slow: Duration) -> Result<&'static str, LabError> {
        match self {
            Servers::Scripted { app2, reply, .. } => {
                let (after, then, what) = match fault {
                    Fault::Refuse => {
                        app2.refuse();
                        return Ok("app2 refuses");
                    }
                    Fault::BlackHole => {
                        app2.swallow()?;
                        return Ok("app2 swallows packets");
                    }
                    Fault::Slow => (slow, Then::Answer, "app2 is slow"),
                    Fault::Status500 => (Duration::ZERO, Then::Fail, "app2 answers 500"),
                    Fault::CutHead => (Duration::ZERO, Then::TruncateHead, "app2 cuts heads"),
                    Fault::CutBody => (Duration::ZERO, Then::TruncateBody, "app2 cuts bodies"),
                    _ => (Duration::ZERO, Then::Reset, "app2 resets"),
                };
                *lock(reply) = Reply { after, then };
                Ok(what)
            }
            Servers::Backends { app2, redis, .. } => match fault {
                Fault::Redis => {
                    redis.kill()?;
                    Ok("Redis killed")
                }
                Fault::Stop => {
                    app2.process.signal(Signal::STOP)?;
                    Ok("app2 stopped")
                }
                _ => {
                    app2.process.kill()?;
                    Ok("app2 killed")
                }
            },
        }
    }

    /// Ends it; returns that in words.
    ///
    /// # Errors
    ///
    /// Where something does not come back.
    pub(super) fn mend(&mut self, fault: Fault) -> Result<&'static str, LabError> {
        match self {
            Servers::Scripted { app2, reply, .. } => {
                *lock(reply) = Reply::default();
                if matches!(fault, Fault::Refuse | Fault::BlackHole) {
                    app2.listen()?;
                    return Ok("app2 listens again");
                }
                Ok("app2 is well again")
            }
            Servers::Backends { app2, redis, .. } => match fault {
                Fault::Redis => {
                    redis.restart()?;
                    Ok("Redis is back")
                }
                Fault::Stop => {
                    app2.process.signal(Signal::CONT)?;
                    Ok("app2 continues")
                }
                _ => {
                    app2.restart()?;
                    Ok("app2 started again")
                }
            },
        }
    }
}

fn lock(reply: &Mutex<Reply>) -> std::sync::MutexGuard<'_, Reply> {
    reply.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A backend of one name in a process of its own.
pub(super) struct Backend {
    address: SocketAddr,
    process: Process,
    program: PathBuf,
    arguments: Vec<String>,
    core: usize,
}

impl Backend {
    fn start(name: &str, program: &Path, redis: &Redis, core: usize) -> Result<Backend, LabError> {
        let address = free_address()?;
        let arguments = vec!["--serve".into(), format!("{name}={address}"), "--redis".into(), redis.url()];
        let process = Process::start(name, Command::new(program).args(&arguments), core)?;
        let mut backend = Backend { address, process, program: program.to_owned(), arguments, core };
        backend.process.wait_until_ready(address)?;
        Ok(backend)
    }

    fn restart(&mut self) -> Result<(), LabError> {
        let mut command = Command::new(&self.program);
        self.process = Process::start("app2", command.args(&self.arguments), self.core)?;
        // Whoever asks it whether it is ready would count as a hit: its port says that too.
        wait_for_port(self.address, "backend")
    }
}

/// A Redis of its own, which loses nothing when it is killed.
pub(super) struct Redis {
    address: SocketAddr,
    process: Process,
    program: PathBuf,
    folder: TempDir,
    core: usize,
}

impl Redis {
    fn start(core: usize) -> Result<Redis, LabError> {
        let program = installed("redis-server").ok_or(LabError::Missing("redis-server"))?;
        let (address, folder) = (free_address()?, crate::lab::folder()?);
        let process = Redis::spawn(&program, address, folder.path(), core)?;
        Ok(Redis { address, process, program, folder, core })
    }

    fn spawn(program: &Path, address: SocketAddr, folder: &Path, core: usize) -> Result<Process, LabError> {
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
        // Whatever it has said yes to is on the disk.
        command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir"]);
        let process = Process::start("redis-server", command.arg(folder), core)?;
        wait_for_port(address, "redis-server")?;
        Ok(process)
    }

    fn kill(&mut self) -> Result<(), LabError> {
        Ok(self.process.kill()?)
    }

    fn restart(&mut self) -> Result<(), LabError> {
        self.process = Redis::spawn(&self.program, self.address, self.folder.path(), self.core)?;
        Ok(())
    }

    fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    fn hits(&self) -> Result<u64, LabError> {
        let query = || {
            let client = redis::Client::open(self.url())?;
            let mut connection = client.get_connection_with_timeout(REDIS_WITHIN)?;
            redis::cmd("GET").arg("hits").query::<Option<u64>>(&mut connection)
        };
        let hits =
            query().map_err(|error| LabError::Tool { tool: "redis-server", said: error.to_string() })?;
        Ok(hits.unwrap_or_default())
    }
}

fn wait_for_port(address: SocketAddr, tool: &'static str) -> Result<(), LabError> {
    let start = Instant::now();
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    while start.elapsed() < REDIS_WITHIN {
        match TcpStream::connect(address) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err(LabError::Tool { tool, said: format!("does not listen on {address}: {last}") })
}
