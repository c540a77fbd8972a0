//! Instructions per request in user space, counted by callgrind.
//!
//! The exchange is fixed: 64 connections, all asked, then all read, and again. What is counted therefore
//! does not depend on the machine's speed. It is run with N and with 2N requests; the difference is that
//! of N requests alone.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::lab::{Cores, LabError, Launch, installed};

const CONNECTIONS: u32 = 64;

/// What curl sends.
const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n";

/// Counts by callgrind.
pub(super) struct Callgrind {
    valgrind: PathBuf,
    folder: PathBuf,
}

impl Callgrind {
    /// `None` where valgrind is not installed. Its files go to `folder`.
    pub(super) fn find(folder: &Path) -> Option<Callgrind> {
        Some(Callgrind { valgrind: installed("valgrind")?, folder: folder.to_owned() })
    }

    /// Instructions per request.
    pub(super) fn visit(&self, launch: &Launch, cores: Cores, requests: u32) -> Result<f64, LabError> {
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
fn exchange(address: SocketAddr, rounds: u32) -> io::Result<()> {
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        streams.push(stream);
    }
    let mut buffer = vec![0; 4096];
    for _ in 0..rounds {
        for stream in &mut streams {
            stream.write_all(REQUEST)?;
        }
        for stream in &mut streams {
            let length = read_response(stream, &mut buffer)?;
            if !buffer[..length].starts_with(b"HTTP/1.1 200 ") {
                let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
                return Err(io::Error::other(format!("expected a 200, not: {head}")));
            }
        }
    }
    Ok(())
}

/// Reads one response that has a Content-Length; returns its length.
fn read_response(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    loop {
        let n = stream.read(&mut buffer[length..])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        length += n;
        if whole_length(&buffer[..length]).is_some_and(|whole| whole <= length) {
            return Ok(length);
        }
    }
}

/// The length of the response whose head is in `bytes`; `None` while it is not.
fn whole_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    Some(head + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_measured() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(whole_length(head.as_bytes()), Some(head.len() + 5));
        assert_eq!(whole_length(&head.as_bytes()[..head.len() - 1]), None);
    }

    #[test]
    fn totals_are_read() {
        assert_eq!(total("events: Ir\nfn=(1)\n1 5\ntotals: 63613842\n"), Some(63_613_842));
        assert_eq!(total("events: Ir\n"), None);
    }
}
