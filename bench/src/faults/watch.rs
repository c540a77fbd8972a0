//! Reads a subject's log while it grows, for the moment at which it says that a server is out.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use crate::lab::Kind;

/// How often it looks; also the precision of what it says.
const EVERY: Duration = Duration::from_millis(5);

/// A thread that watches.
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<SystemTime>>,
}

impl Watch {
    /// Watches `log` from its present end for what `kind` says when `server`, called `name`, is out.
    ///
    /// # Errors
    ///
    /// Where the file cannot be opened.
    pub(super) fn start(log: &Path, kind: Kind, name: &str, server: SocketAddr) -> io::Result<Watch> {
        let mut file = File::open(log)?;
        file.read_to_end(&mut Vec::new())?;
        let words = words(kind, name, server);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut seen = Vec::new();
            let mut text = String::new();
            loop {
                // Read after the flag, so that nothing written before the stop is missed.
                let is_last = stopped.load(Ordering::Relaxed);
                let mut bytes = Vec::new();
                if file.read_to_end(&mut bytes).is_err() {
                    return seen;
                }
                text.push_str(&String::from_utf8_lossy(&bytes));
                while let Some(end) = text.find('\n') {
                    let line: String = text.drain(..=end).collect();
                    if words.iter().all(|word| line.contains(word)) {
                        seen.push(SystemTime::now());
                    }
                }
                if is_last {
                    return seen;
                }
                thread::sleep(EVERY);
            }
        });
        Ok(Watch { stop, thread })
    }

    /// When it said so, each time.
    pub(super) fn end(self) -> Vec<SystemTime> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// The words that stand in a line by which a subject says that a server is out.
fn words(kind: Kind, name: &str, server: SocketAddr) -> [String; 2] {
    match kind {
        Kind::Nginx => ["temporarily disabled".into(), format!("//{server}")],
        Kind::Haproxy => ["is DOWN".into(), format!("/{name} ")],
        _ => [" is down: ".into(), format!("{server} ")],
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn only_new_lines_about_this_server_count() {
        let server = "127.0.0.1:5002".parse().unwrap();
        for (kind, line) in [
            (
                Kind::Proxy,
                "2026/11/24 08:47:44 [warn] 7#8: 127.0.0.1:5002 is down: 1 failure within 2s (reset)",
            ),
            (
                Kind::Nginx,
                "2026/11/24 08:47:44 [warn] 7#7: *1 upstream server temporarily disabled while connecting to \
                 upstream, client: 127.0.0.1, upstream: \"http://127.0.0.1:5002/\", host: \"a\"",
            ),
            (Kind::Haproxy, "[WARNING]  (7) : Server app/app2 is DOWN, reason: Layer4 connection problem"),
        ] {
            let mut log = tempfile::NamedTempFile::new().unwrap();
            writeln!(log, "{line}").unwrap();
            let watch = Watch::start(log.path(), kind, "app2", server).unwrap();
            write!(log, "{}\n{}\n", line, line.replace("5002", "5001").replace("app2", "app1")).unwrap();
            assert_eq!(watch.end().len(), 1, "{kind:?}");
        }
    }
}
