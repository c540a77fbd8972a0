//! Clients that ask all the time, and remember what went wrong.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crate::support::{DEADLINE, wait_until};

/// How a client treats its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// One connection for all requests, which must not be closed.
    Stays,
    /// A connection for each request.
    ComesAnew,
}

/// Clients at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Result<(), String>>>,
}

impl Load {
    /// One client for each of `manners`.
    pub(crate) fn start(address: SocketAddr, manners: &[Manner]) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let served = Arc::new(AtomicUsize::new(0));
        let client = |&manner: &Manner| {
            let (stop, served) = (stop.clone(), served.clone());
            thread::spawn(move || {
                let mut socket = None;
                while !stop.load(Ordering::Relaxed) {
                    ask(address, manner, &mut socket).map_err(|error| format!("{manner:?}: {error}"))?;
                    served.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        };
        let threads = manners.iter().map(client).collect();
        Load { stop, served, threads }
    }

    /// Waits until so many more requests have been served.
    #[track_caller]
    pub(crate) fn wait_more(&self, count: usize) {
        let goal = self.served.load(Ordering::Relaxed) + count;
        wait_until("more requests", || {
            self.served.load(Ordering::Relaxed) >= goal || self.threads.iter().any(JoinHandle::is_finished)
        });
    }

    /// Ends it. How many requests there were; fails where one of them did.
    #[track_caller]
    pub(crate) fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            if let Err(error) = thread.join().expect("no panic") {
                panic!("a request failed: {error}");
            }
        }
        self.served.load(Ordering::Relaxed)
    }
}

fn ask(address: SocketAddr, manner: Manner, kept: &mut Option<TcpStream>) -> Result<(), String> {
    let fail = |what: &str, error: std::io::Error| format!("{what}: {error}");
    let mut socket = match kept.take() {
        Some(socket) => socket,
        None => {
            let socket = TcpStream::connect(address).map_err(|error| fail("connecting", error))?;
            socket.set_read_timeout(Some(DEADLINE)).map_err(|error| fail("an option", error))?;
            socket
        }
    };
    let connection = if manner == Manner::Stays { "keep-alive" } else { "close" };
    let request = format!("GET / HTTP/1.1\r\nHost: test\r\nConnection: {connection}\r\n\r\n");
    socket.write_all(request.as_bytes()).map_err(|error| fail("sending", error))?;
    let mut response = Vec::new();
    let mut bytes = [0; 4096];
    while !is_whole(&response) {
        match socket.read(&mut bytes).map_err(|error| fail("receiving", error))? {
            0 => return Err(format!("cut off behind {:?}", String::from_utf8_lossy(&response))),
            n => response.extend_from_slice(&bytes[..n]),
        }
    }
    let text = String::from_utf8_lossy(&response);
    if !text.starts_with("HTTP/1.1 200 ") {
        return Err(format!("answered {text:?}"));
    }
    if manner == Manner::Stays {
        if text.contains("Connection: close") {
            return Err("asked to leave".to_owned());
        }
        *kept = Some(socket);
    }
    Ok(())
}

fn is_whole(response: &[u8]) -> bool {
    let text = String::from_utf8_lossy(response);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    length.is_none_or(|length| body.len() >= length.parse().expect("a number"))
}
