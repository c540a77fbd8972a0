//! A child process on its core: its descendants, its CPU time, its end.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use super::{BODY_MARK, LabError, ending};

/// How long a program may take to get ready; under valgrind that is seconds.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// How long a program may take to end before it is killed.
pub(super) const END_WITHIN: Duration = Duration::from_secs(5);

/// A child process. It ends with this value.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// Where its standard error goes, unless that is kept.
    log: Option<PathBuf>,
}

impl Process {
    /// Starts a program that may use one core only, with its standard error kept.
    ///
    /// # Errors
    ///
    /// Where it cannot be started.
    pub fn start(name: &str, command: &mut Command, core: usize) -> Result<Process, LabError> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = on_core(core, || ending::spawn(command))
            .map_err(|source| LabError::Start { program: name.into(), source })?;
        Ok(Process { name: name.into(), child, log: None })
    }

    /// Starts a program as [`Process::start`] does, with its standard error going to `log`, which is made anew.
    ///
    /// # Errors
    ///
    /// Where it or the file cannot be opened.
    pub fn start_logging(
        name: &str,
        command: &mut Command,
        core: usize,
        log: &Path,
    ) -> Result<Process, LabError> {
        let file = fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let child = on_core(core, || ending::spawn(command))
            .map_err(|source| LabError::Start { program: name.into(), source })?;
        Ok(Process { name: name.into(), child, log: Some(log.to_owned()) })
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// Where it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(self.pid(), signal)?)
    }

    /// Waits until the program answers a request as the origins do.
    ///
    /// # Errors
    ///
    /// With what it said on its standard error, where it does not; it is ended then.
    pub fn wait_until_ready(&mut self, address: SocketAddr) -> Result<(), LabError> {
        let start = Instant::now();
        while !answers(address) {
            if start.elapsed() > READY_WITHIN {
                let said = self.said();
                return Err(LabError::NotReady { program: self.name.clone(), address, said });
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What is on the standard error by now.
    fn said(&mut self) -> String {
        // The pipe ends with the program.
        self.end();
        if let Some(log) = &self.log {
            return fs::read_to_string(log).unwrap_or_default().trim().to_owned();
        }
        let mut bytes = Vec::new();
        if let Some(stderr) = &mut self.child.stderr {
            // What cannot be read is no help.
            let _ = stderr.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }

    /// This process and all that descend from it.
    pub fn tree(&self) -> Vec<u32> {
        let mut tree = vec![self.child.id()];
        let mut at = 0;
        while let Some(&pid) = tree.get(at) {
            for task in tasks(pid) {
                let children =
                    fs::read_to_string(format!("/proc/{pid}/task/{task}/children")).unwrap_or_default();
                tree.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
            }
            at += 1;
        }
        tree
    }

    /// CPU time that the tree has used, in nanoseconds, as the scheduler accounts it.
    ///
    /// # Errors
    ///
    /// Where a process has ended, which no subject may.
    pub fn cpu_ns(&self) -> io::Result<u64> {
        self.schedstat(0)
    }

    /// How long threads of the tree were ready to run and others ran on their core, in nanoseconds, all together.
    ///
    /// # Errors
    ///
    /// As [`Process::cpu_ns`].
    pub fn waited_ns(&self) -> io::Result<u64> {
        self.schedstat(1)
    }

    /// A word of `/proc/PID/task/TID/schedstat`, over all threads.
    fn schedstat(&self, word: usize) -> io::Result<u64> {
        let (mut sum, mut threads) = (0, 0);
        for pid in self.tree() {
            for task in tasks(pid) {
                // A thread may end meanwhile; of a process that has ended there is none.
                let Ok(text) = fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat")) else {
                    continue;
                };
                let number = text.split_whitespace().nth(word).and_then(|word| word.parse::<u64>().ok());
                sum += number.ok_or_else(|| io::Error::other("the kernel keeps no scheduler statistics"))?;
                threads += 1;
            }
        }
        if threads == 0 { Err(io::ErrorKind::NotFound.into()) } else { Ok(sum) }
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    ///
    /// Where it cannot be waited for.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        ending::wait(&mut self.child).map(drop)
    }

    /// The share of the tree's CPU time that it spent in user space since it began, as (user, all), in clock ticks.
    /// The kernel samples this, other than the sum of [`Process::cpu_ns`].
    pub fn ticks(&self) -> (u64, u64) {
        let of = |pid: u32| -> Option<(u64, u64)> {
            let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name may hold spaces and parentheses; utime and stime are the 12th and 13th word after it.
            let mut words = text.rsplit_once(") ")?.1.split(' ').skip(11);
            let (user, system) = (words.next()?.parse::<u64>().ok()?, words.next()?.parse::<u64>().ok()?);
            Some((user, user + system))
        };
        self.tree().into_iter().filter_map(of).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Resident memory of the tree, in KiB; what processes share counts in each.
    pub fn memory_kib(&self) -> u64 {
        let of = |pid: u32| -> Option<u64> {
            let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.split_whitespace().next()?.parse().ok()
        };
        self.tree().into_iter().filter_map(of).sum()
    }

    /// The cores that threads of the tree may run on, as the kernel lists them, without repetition.
    pub fn cores(&self) -> Vec<String> {
        let of = |pid: u32, task: u32| -> Option<String> {
            let text = fs::read_to_string(format!("/proc/{pid}/task/{task}/status")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
            Some(line.trim().to_owned())
        };
        let tree = self.tree().into_iter();
        let mut cores: Vec<String> =
            tree.flat_map(|pid| tasks(pid).into_iter().filter_map(move |task| of(pid, task))).collect();
        cores.sort();
        cores.dedup();
        cores
    }

    /// Asks the program to end and waits until it has.
    pub fn end(&mut self) {
        let pid = Pid::from_child(&self.child);
        let start = Instant::now();
        while let Ok(None) = ending::try_wait(&mut self.child) {
            let signal = if start.elapsed() < END_WITHIN { Signal::TERM } else { Signal::KILL };
            // It fails where the program has just ended.
            let _ = kill_process(pid, signal);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn tasks(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Does something on one core alone; children that it starts inherit that.
///
/// # Errors
///
/// Where the core is not one of this process's, and what `body` fails with.
pub fn on_core<T>(core: usize, body: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = sched_getaffinity(None)?;
    stay_on_core(core)?;
    let result = body();
    sched_setaffinity(None, &before)?;
    result
}

/// Keeps the calling thread to one core, and what it starts.
///
/// # Errors
///
/// Where the core is not one of this process's.
pub fn stay_on_core(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    // The set has room for so many, and panics on others.
    if core < CpuSet::MAX_CPU {
        set.set(core);
    }
    let none = |error: rustix::io::Errno| {
        io::Error::new(error.kind(), format!("core {core} cannot be used: {error}"))
    };
    sched_setaffinity(None, &set).map_err(none)
}

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The cores that the calling thread may use, in ascending order.
///
/// # Errors
///
/// Where the kernel does not say.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

fn answers(address: SocketAddr) -> bool {
    page(address).is_ok_and(|page| page.windows(BODY_MARK.len()).any(|window| window == BODY_MARK))
}

/// The length of the body that an origin without a counter makes of `/`.
///
/// # Errors
///
/// Where it does not answer.
pub fn page_length(address: SocketAddr) -> io::Result<u64> {
    let page = page(address)?;
    let head = page.windows(4).position(|window| window == b"\r\n\r\n");
    let head = head.ok_or_else(|| io::Error::other(format!("{address} does not answer with a page")))?;
    Ok((page.len() - head - 4) as u64)
}

/// `/`, head and body.
fn page(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: ready\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Whether a program is in the search path, where Debian keeps servers, or where `scripts/peers.sh` puts them.
pub fn installed(program: &str) -> Option<std::path::PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let path = variable("PATH").unwrap_or_default();
    let caches = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let caches = caches.or_else(|| Some(Path::new(&variable("HOME")?).join(".cache")));
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let places = places.chain(caches.map(|caches| caches.join("bench-peers/bin")));
    places.map(|place| place.join(program)).find(|file| file.is_file())
}

/// The first line of what a program says of its version that is not empty.
pub fn version_line(program: &std::path::Path, flag: &str) -> String {
    let Ok(output) = Command::new(program).arg(flag).output() else { return "unknown".into() };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("unknown");
    // Envoy begins with the path that it was called by, which is this machine's own.
    let path = program.display().to_string();
    line.strip_prefix(path.as_str()).unwrap_or(line).trim().to_owned()
}
