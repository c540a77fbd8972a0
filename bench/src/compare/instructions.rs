//! Instructions per request in user space, counted by callgrind.
//!
//! The exchange is fixed: 64 connections, all asked, then all read, and again. What is counted therefore
//! does not depend on the machine's speed. It is run with N and with 2N requests; the difference is that
//! of N requests alone.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::lab::{Client, Cores, LabError, Launch, installed};

pub(crate) const CONNECTIONS: u32 = 64;

/// Counts by callgrind.
pub(crate) struct Callgrind {
    valgrind: PathBuf,
    folder: PathBuf,
}

impl Callgrind {
    /// `None` where valgrind is not installed. Its files go to `folder`.
    pub(crate) fn find(folder: &Path) -> Option<Callgrind> {
        Some(Callgrind { valgrind: installed("valgrind")?, folder: folder.to_owned() })
    }

    /// Instructions per request.
    pub(crate) fn visit(&self, launch: &Launch, cores: Cores, requests: u32) -> Result<f64, LabError> {
        let rounds = requests.div_ceil(CONNECTIONS);
        let once = self.count(launch, cores, rounds)?;
        let twice = self.count(launch, cores, 2 * rounds)?;
        Ok((twice as f64 - once as f64) / f64::from(rounds * CONNECTIONS))
    }

    /// Instructions of a whole run, from start to end, in all processes of the subject.
    fn count(&self, launch: &Launch, cores: Cores, rounds: u32) -> Result<u64, LabError> {
        let folder = self.folder.join(format!("callgrind-{}-{rounds}", launch.kind.name()));
        fs::create_dir_all(&folder)?;
        let wrapper = [
            self.valgrind.display().to_string(),
            "--tool=callgrind".into(),
            "--quiet".into(),
            format!("--callgrind-out-file={}/%p", folder.display()),
        ];
        let mut subject = launch.start(cores, &wrapper)?;
        exchange(subject.address, rounds)?;
        // The totals are written at the end.
        subject.process.end();
        let mut sum = 0;
        for file in fs::read_dir(&folder)? {
            let text = fs::read_to_string(file?.path())?;
            sum +=
                total(&text).ok_or_else(|| LabError::Tool { tool: "callgrind", said: "no totals".into() })?;
        }
        Ok(sum)
    }
}

fn total(text: &str) -> Option<u64> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("totals:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// All connections ask, then all are read, `rounds` times.
pub(crate) fn exchange(address: SocketAddr, rounds: u32) -> io::Result<()> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(address)?);
    }
    for _ in 0..rounds {
        for client in &mut clients {
            client.ask()?;
        }
        for client in &mut clients {
            client.receive()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read() {
        assert_eq!(total("events: Ir\nfn=(1)\n1 5\ntotals: 63613842\n"), Some(63_613_842));
        assert_eq!(total("events: Ir\n"), None);
    }
}
