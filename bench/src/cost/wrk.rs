//! A closed load from `wrk`: each connection asks again as soon as it is answered.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::lab::{LabError, on_core};

/// A load that can be put on one subject after the other.
pub(super) struct Load {
    pub(super) program: PathBuf,
    pub(super) connections: u32,
    pub(super) seconds: u32,
    pub(super) core: usize,
}

/// What the load saw.
pub(super) struct Seen {
    pub(super) requests: u64,
    pub(super) seconds: f64,
}

impl Load {
    /// Opens the upstream connections and fills the caches.
    pub(super) fn warm_up(&self, address: SocketAddr) -> Result<(), LabError> {
        self.run(address, 1).map(|_| ())
    }

    /// Puts the load on.
    pub(super) fn put_on(&self, address: SocketAddr) -> Result<Seen, LabError> {
        self.run(address, self.seconds)
    }

    fn run(&self, address: SocketAddr, seconds: u32) -> Result<Seen, LabError> {
        let mut command = Command::new(&self.program);
        command.args(["--threads", "1", "--connections", &self.connections.to_string()]);
        command.args(["--duration", &format!("{seconds}s"), "--timeout", "5s"]);
        // What curl sends: wrk alone would send nothing but Host.
        command.args(["--header", "User-Agent: curl/8.14.1", "--header", "Accept: */*"]);
        command.arg(format!("http://{address}/"));
        let output = on_core(self.core, || command.output())?;
        let text = String::from_utf8_lossy(&output.stdout);
        parse(&text).ok_or_else(|| LabError::Tool { tool: "wrk", said: text.trim().to_owned() })
    }
}

/// Reads `N requests in 2.00s, …`; `None` also where any request failed.
fn parse(text: &str) -> Option<Seen> {
    if text.contains("Socket errors") || text.contains("Non-2xx") {
        return None;
    }
    let line = text.lines().map(str::trim).find(|line| line.contains(" requests in "))?;
    let (requests, rest) = line.split_once(" requests in ")?;
    let time = rest.split(',').next()?;
    let seconds = match (time.strip_suffix("ms"), time.strip_suffix('s'), time.strip_suffix('m')) {
        (Some(ms), ..) => ms.parse::<f64>().ok()? / 1e3,
        (None, Some(s), _) => s.parse().ok()?,
        (None, None, Some(m)) => m.parse::<f64>().ok()? * 60.0,
        _ => return None,
    };
    Some(Seen { requests: requests.parse().ok().filter(|n| *n > 0)?, seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Running 2s test\n  1 threads and 64 connections\n  \
        101234 requests in 2.10s, 20.66MB read\nRequests/sec:  48206.67\n";

    #[test]
    fn the_count_is_read() {
        let seen = parse(GOOD).unwrap();
        assert_eq!(seen.requests, 101_234);
        assert!((seen.seconds - 2.1).abs() < 1e-9);
    }

    #[test]
    fn a_run_with_failures_is_none() {
        for bad in
            ["  Socket errors: connect 0, read 3, write 0, timeout 0\n", "  Non-2xx or 3xx responses: 5\n"]
        {
            assert!(parse(&format!("{GOOD}{bad}")).is_none());
        }
        assert!(parse(&GOOD.replace("101234", "0")).is_none());
        assert!(parse("unable to connect").is_none());
    }
}
