//! The proxy as a process: started, watched, signalled, and gone at the test's end.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Conn, DEADLINE, free_address, wait_for};

/// The binary under test.
pub(crate) const PROXY: &str = env!("CARGO_BIN_EXE_proxy");

const ERROR_LOG: &str = "error_log stderr info;";

/// A running proxy. Dropping it kills it and fails where it panicked.
#[derive(Debug)]
pub(crate) struct Proxy {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
    errors: Arc<Lines>,
    output: Arc<Lines>,
    has_ended: bool,
}

/// The lines of a stream, as they come.
#[derive(Debug, Default)]
struct Lines {
    lines: Mutex<Vec<String>>,
    changed: Condvar,
}

impl Proxy {
    /// With one worker unless `flags` say otherwise, listening on an address of its own, ready.
    ///
    /// `flags` are separated by spaces.
    #[track_caller]
    pub(crate) fn start(upstream: impl AsRef<str>, flags: &str) -> Proxy {
        Proxy::start_under(Command::new(PROXY), free_address(), upstream.as_ref(), flags)
    }

    /// The same on a known address.
    #[track_caller]
    pub(crate) fn start_at(address: SocketAddr, upstream: impl AsRef<str>, flags: &str) -> Proxy {
        Proxy::start_under(Command::new(PROXY), address, upstream.as_ref(), flags)
    }

    /// The same with descriptors limited to `limit`, which it cannot raise.
    #[track_caller]
    pub(crate) fn start_with_descriptors(limit: u32, upstream: impl AsRef<str>, flags: &str) -> Proxy {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -n {limit}; exec \"$@\"")).arg("sh").arg(PROXY);
        Proxy::start_under(command, free_address(), upstream.as_ref(), flags)
    }

    /// With this in the `http` block of its `nginx.conf`, where `LISTEN` is its address and `FOLDER` its folder, which
    /// `fill` has filled before. One worker unless `main`, what stands outside of the block, says otherwise.
    #[track_caller]
    pub(crate) fn start_with(main: &str, http: &str, fill: impl FnOnce(&Path)) -> Proxy {
        Proxy::start_from(
            &format!("{ERROR_LOG} events {{}} {main}"),
            &format!("access_log off; {http}"),
            fill,
        )
    }

    /// The same where `main` says where the error log is and `http` where the access log is.
    #[track_caller]
    pub(crate) fn start_logging(main: &str, http: &str) -> Proxy {
        Proxy::start_from(&format!("events {{}} {main}"), http, |_| {})
    }

    /// The same as `start_with`, with these lines in the `events` block.
    #[track_caller]
    pub(crate) fn start_with_events(main: &str, events: &str, http: &str) -> Proxy {
        let main = format!("{ERROR_LOG} events {{ {events} }} {main}");
        Proxy::start_from(&main, &format!("access_log off; {http}"), |_| {})
    }

    #[track_caller]
    fn start_from(main: &str, http: &str, fill: impl FnOnce(&Path)) -> Proxy {
        let (address, folder) = (free_address(), tempfile::tempdir().expect("a folder"));
        fill(folder.path());
        let text = format!("daemon off; pid proxy.pid; {main} http {{ {http} }}");
        let text = text.replace("LISTEN", &address.to_string());
        let text = text.replace("FOLDER", &folder.path().display().to_string());
        std::fs::write(folder.path().join("nginx.conf"), text).expect("a file");
        let mut command = Command::new(PROXY);
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
        Proxy::watch(command, address, folder)
    }

    #[track_caller]
    fn start_under(mut command: Command, address: SocketAddr, upstream: &str, flags: &str) -> Proxy {
        let folder = tempfile::tempdir().expect("a folder");
        let pid_file = folder.path().join("proxy.pid");
        command.args(["--upstream", upstream, "--listen"]).arg(address.to_string());
        command.arg("--pid-file").arg(&pid_file).args(flags.split_ascii_whitespace());
        if !flags.contains("--workers") {
            command.args(["--workers", "1"]);
        }
        Proxy::watch(command, address, folder)
    }

    /// Starts it, and waits until it is ready.
    #[track_caller]
    fn watch(mut command: Command, address: SocketAddr, folder: TempDir) -> Proxy {
        let pid_file = folder.path().join("proxy.pid");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the proxy starts");
        let errors = Lines::of(child.stderr.take().expect("piped"));
        let output = Lines::of(child.stdout.take().expect("piped"));
        let mut proxy = Proxy { child, address, folder, errors, output, has_ended: false };
        wait_for("the pid file", || {
            assert!(proxy.child.try_wait().expect("a child").is_none(), "the proxy ended at once");
            pid_file.exists().then_some(())
        });
        proxy
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new connection to it.
    #[track_caller]
    pub(crate) fn connect(&self) -> Conn {
        Conn::to(self.address)
    }

    /// The body of the answer to a GET over a new connection, which must be a 200.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> String {
        let response = self.connect().get(target);
        assert_eq!(response.status(), 200, "{}{}", response.head, response.text());
        response.text().to_owned()
    }

    /// The status of the answer to a GET over a new connection.
    #[track_caller]
    pub(crate) fn status(&self, target: &str) -> u16 {
        self.connect().get(target).status()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its pid file.
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.folder.path().join("proxy.pid")
    }

    /// A folder that lives as long as it does.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed()).expect("a process id");
        kill_process(pid, signal).expect("a signal");
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        let status = wait_for("the proxy's end", || self.child.try_wait().expect("a child"));
        self.has_ended = true;
        status
    }

    /// The messages of the error log so far, without their times.
    pub(crate) fn log(&self) -> Vec<String> {
        self.errors.all().iter().map(|line| message(line).to_owned()).collect()
    }

    /// Waits for a message of the error log that holds `part`, and gives it whole: `warn  app1 is down …`.
    #[track_caller]
    pub(crate) fn wait_log(&self, part: &str) -> String {
        message(&self.errors.wait(part)).to_owned()
    }

    /// Waits for a line on standard output that holds `part`.
    #[track_caller]
    pub(crate) fn wait_output(&self, part: &str) -> String {
        self.output.wait(part)
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.pid());
        std::fs::read_dir(folder).expect("a running process").count()
    }

    /// Processor time so far, in the kernel's ticks of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("a process");
        // The name in parentheses may hold anything; utime and stime are fields 14 and 15 (proc(5)).
        let (_, fields) = stat.rsplit_once(") ").expect("a name");
        let numbers = fields.split(' ').skip(11).take(2);
        numbers.map(|number| number.parse::<u64>().expect("a number")).sum()
    }

    /// Memory of its own that is resident, in bytes: neither files nor anything shared.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes * 1024
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if !self.has_ended {
            // Its end is what matters; it may have come already.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let log = self.errors.all();
        if thread::panicking() {
            eprintln!("the proxy's log:\n{}", log.join("\n"));
        } else {
            let panicked = log.iter().any(|line| line.contains("panicked"));
            assert!(!panicked, "the proxy panicked:\n{}", log.join("\n"));
        }
    }
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Arc<Lines> {
        let lines = Arc::new(Lines::default());
        let filled = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                filled.lines.lock().expect("no panic while locked").push(line);
                filled.changed.notify_all();
            }
        });
        lines
    }

    fn all(&self) -> Vec<String> {
        self.lines.lock().expect("no panic while locked").clone()
    }

    #[track_caller]
    fn wait(&self, part: &str) -> String {
        let start = Instant::now();
        let mut lines = self.lines.lock().expect("no panic while locked");
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(part)) {
                return line.clone();
            }
            let left = DEADLINE.saturating_sub(start.elapsed());
            // Dropped first: a panic must not poison the lock for the report that follows.
            if left.is_zero() {
                drop(lines);
                panic!("no line with {part:?}");
            }
            lines = self.changed.wait_timeout(lines, left).expect("no panic while locked").0;
        }
    }
}

/// A line of the error log without its time.
fn message(line: &str) -> &str {
    line.split_once(' ').map_or(line, |(_, message)| message)
}

/// Runs the proxy to its end, for command lines that are wrong. Returns exit status and standard error,
/// without warnings: whether this machine allows enough open files is not what is asked.
#[track_caller]
pub(crate) fn run(args: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(PROXY)
        .args(args)
        .args(["--log-level", "error"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the proxy starts");
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if start.elapsed() > DEADLINE {
            let _ = child.kill();
            panic!("{args:?}: the proxy runs instead of refusing");
        }
        thread::sleep(std::time::Duration::from_millis(2));
    };
    let mut text = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut text).expect("text");
    (status.code(), text)
}
