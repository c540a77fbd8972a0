//! System calls per request: the kernel's tracepoints, counted by `perf stat`.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::CompareError;
use super::model::Calls;
use crate::lab::{LabError, Process, ending, installed};

/// All system calls.
const ALL: &str = "raw_syscalls:sys_enter";

/// The calls that proxies make while they serve.
const NAMED: [&str; 16] = [
    "epoll_wait",
    "epoll_pwait",
    "epoll_ctl",
    "recvfrom",
    "recvmsg",
    "read",
    "readv",
    "sendto",
    "sendmsg",
    "write",
    "writev",
    "accept4",
    "connect",
    "close",
    "getsockopt",
    "futex",
];

/// Counts by `perf`.
pub(super) struct Counter {
    perf: PathBuf,
}

impl Counter {
    /// Why it cannot count here, as an error in words: it is not installed, or may not.
    pub(super) fn find() -> Result<Counter, String> {
        let perf = installed("perf").ok_or("perf is not installed (Debian: linux-perf)")?;
        let command = Command::new(&perf).args(["stat", "-x", ",", "-e", ALL, "true"]).output();
        let output = command.map_err(|error| format!("perf does not start: {error}"))?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        match count(&text, ALL) {
            Some(_) => Ok(Counter { perf }),
            None => Err(format!("perf cannot count them (run as root): {}", text.trim())),
        }
    }

    /// Counts while the load is on, from before its first request to after its last. `load` says how many requests
    /// there were.
    pub(super) fn visit(
        &self,
        process: &Process,
        load: impl FnOnce() -> Result<u64, CompareError>,
    ) -> Result<Calls, CompareError> {
        let pids = process.tree().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut events = ALL.to_owned();
        for name in NAMED {
            events.push_str(",syscalls:sys_enter_");
            events.push_str(name);
        }
        let mut command = Command::new(&self.perf);
        command.args(["stat", "-x", ",", "-e", &events, "-p", &pids]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut perf = ending::spawn(&mut command)?;
        // There is no sign of its being ready; without it the count would come out low, never high.
        thread::sleep(Duration::from_millis(500));
        let requests = load();
        kill_process(Pid::from_child(&perf), Signal::INT).map_err(std::io::Error::from)?;
        let mut text = String::new();
        if let Some(stderr) = &mut perf.stderr {
            stderr.read_to_string(&mut text)?;
        }
        ending::wait(&mut perf)?;
        let requests = requests?.max(1) as f64;
        let all = count(&text, ALL).filter(|n| *n > 0);
        let all = all.ok_or_else(|| LabError::Tool { tool: "perf", said: text.trim().to_owned() })?;
        let by_name = NAMED
            .into_iter()
            .filter_map(|name| Some((name, count(&text, &format!("syscalls:sys_enter_{name}"))? as f64)))
            .map(|(name, n)| (name.to_owned(), n / requests))
            .filter(|(_, n)| *n >= 0.005)
            .collect();
        Ok(Calls { all: all as f64 / requests, by_name })
    }
}

/// The count of `event` in perf's comma-separated output.
fn count(text: &str, event: &str) -> Option<u64> {
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    lines.find(|words| words.get(2) == Some(&event))?.first()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        let text = "123,,raw_syscalls:sys_enter,1,100.00,,\n<not supported>,,syscalls:sys_enter_read,0,0,,\n";
        assert_eq!(count(text, ALL), Some(123));
        assert_eq!(count(text, "syscalls:sys_enter_read"), None);
        assert_eq!(count(text, "syscalls:sys_enter_write"), None);
    }
}
