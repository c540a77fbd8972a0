//! Daemon mode, the user and the limits, on processes of their own.
//!
//! This test has no harness: going to the background is for a process without other threads, and the harness has
//! some. Started with [`CHILD`] set, it is the proxy, by a configuration that stands in that variable's folder;
//! else it starts itself so and looks.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use proxy::config::{Config, Host, Listen, Listener, Server, User};
use proxy::process;
use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use support::{Conn, Origin, free_address, wait_for, wait_until};

/// The folder of the process that is to be the proxy.
const CHILD: &str = "PROXY_TEST_FOLDER";

fn main() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return be_the_proxy(Path::new(&folder));
    }
    let checks: [(&str, fn()); 5] = [
        ("it serves in the background until it is told to end", background),
        ("it rests and serves again", rests),
        ("a successor stays in the background", successor),
        ("what goes wrong before is said in the foreground", foreground_errors),
        ("it becomes the user, with its limits", user_and_limits),
    ];
    for (name, check) in checks {
        check();
        println!("{name} ... ok");
    }
}

/// Reads `settings`: a line for each, a word and its value.
fn configure(folder: &Path) -> Result<Config, String> {
    let mut config = Config::new(Vec::new());
    config.process.workers = 1;
    config.process.pid_file = Some(folder.join("proxy.pid"));
    config.process.error_log = Some(folder.join("error.log"));
    config.listeners.clear();
    let settings = fs::read_to_string(folder.join("settings")).map_err(|error| error.to_string())?;
    for line in settings.lines() {
        let (word, value) = line.split_once(' ').ok_or("a word and its value")?;
        let address = || value.parse::<SocketAddr>().map_err(|error| error.to_string());
        match word {
            "daemon" => config.process.daemon = value == "on",
            "listen" => config.listeners.push(Listener::new(Listen::Tcp(address()?))),
            "server" => config.upstreams[0].servers.push(Server::new(value, Host::Literal(address()?))),
            "user" => {
                let group = Some("root".to_owned());
                config.process.user = Some(User { name: value.to_owned(), group });
            }
            "open_files" => config.process.open_files = value.parse().ok(),
            word => return Err(format!("unknown directive \"{word}\"")),
        }
    }
    Ok(config)
}

fn be_the_proxy(folder: &Path) {
    let config = configure(folder).expect("settings");
    let ended = process::run(config, Some(&|| configure(folder)));
    if let Err(error) = ended {
        eprintln!("proxy: {error}");
        std::process::exit(1);
    }
}

/// A proxy in the background, or one that has failed to get there. Dropping it ends it.
struct Daemon {
    folder: TempDir,
    address: SocketAddr,
    /// What the process that was started has said, and its end.
    output: Output,
}

impl Daemon {
    fn start(origin: &Origin, settings: &str) -> Daemon {
        let address = free_address();
        let folder = tempfile::tempdir().expect("a folder");
        // Another user has to reach its files.
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(folder.path(), all).expect("permissions");
        let settings = format!("daemon on\nlisten {address}\nserver {origin}\n{settings}");
        fs::write(folder.path().join("settings"), settings).expect("written");
        // Its streams end with the last process that has them: the one in the background must not.
        let output = Command::new(std::env::current_exe().expect("a path"))
            .env(CHILD, folder.path())
            .stdin(Stdio::null())
            .output()
            .expect("it starts");
        Daemon { folder, address, output }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("error.log")).expect("it is there from the start")
    }

    fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.path("proxy.pid")).ok()?;
        Pid::from_raw(text.trim().parse().expect("a pid"))
    }

    /// Whether it is ready, which takes a moment longer than the end of the process that was started.
    #[track_caller]
    fn ready(&self) -> Pid {
        let (status, errors) = (self.output.status, String::from_utf8_lossy(&self.output.stderr));
        assert!(status.success(), "{status}: {errors}{}", self.log());
        wait_for("the pid file", || self.pid())
    }

    #[track_caller]
    fn end(self, signal: Signal) {
        kill_process(self.ready(), signal).expect("a signal");
        wait_until("the pid file's end", || self.pid().is_none());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            // It may have ended.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn status(pid: Pid, word: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).expect("a process");
    let line = text.lines().find_map(|line| line.strip_prefix(word)).expect("a line");
    line.trim().to_owned()
}

fn background() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "");
    let pid = daemon.ready();
    assert_eq!((daemon.output.stdout.as_slice(), daemon.output.stderr.as_slice()), (&[][..], &[][..]));
    assert_eq!(Conn::to(daemon.address).get("/").text(), "ok");
    let number = pid.as_raw_nonzero().get();
    wait_until("a line of its own", || daemon.log().contains(&format!("[notice] {number}#")));
    // A session of its own, and nothing of the terminal's.
    assert_eq!(rustix::process::getsid(Some(pid)).expect("a session"), pid);
    let target = |fd: u32| fs::read_link(format!("/proc/{number}/fd/{fd}")).expect("a descriptor");
    assert_eq!((target(0), target(1)), (PathBuf::from("/dev/null"), PathBuf::from("/dev/null")));
    assert_eq!(target(2), daemon.path("error.log"));
    // After its log was moved away, so is where panics go.
    fs::rename(daemon.path("error.log"), daemon.path("error.log.1")).expect("renamed");
    kill_process(pid, Signal::USR1).expect("a signal");
    wait_until("the new log", || target(2) == daemon.path("error.log"));
    daemon.end(Signal::QUIT);
}

fn rests() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "");
    let pid = daemon.ready();
    let mut kept = Conn::to(daemon.address);
    assert_eq!(kept.get("/").text(), "ok");
    kill_process(pid, Signal::WINCH).expect("a signal");
    kept.assert_closed();
    // Its listener is still there for HUP, so that a client can wait there.
    let mut waiting = Conn::to(daemon.address);
    waiting.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(waiting.is_silent());
    kill_process(pid, Signal::HUP).expect("a signal");
    assert_eq!(waiting.response().text(), "ok");
    daemon.end(Signal::TERM);
}

fn successor() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "");
    let old = daemon.ready();
    kill_process(old, Signal::USR2).expect("a signal");
    let new = wait_for("the new process", || daemon.pid().filter(|pid| *pid != old));
    assert_eq!(status(new, "PPid:"), old.as_raw_nonzero().to_string(), "it is the process that was started");
    kill_process(old, Signal::WINCH).expect("a signal");
    wait_until("the old one's rest", || daemon.log().contains("accepting nobody any more"));
    for _ in 0..20 {
        assert_eq!(Conn::to(daemon.address).get("/").text(), "ok");
    }
    kill_process(old, Signal::QUIT).expect("a signal");
    wait_until("the old one's end", || !daemon.path("proxy.pid.oldbin").exists());
    assert_eq!(Conn::to(daemon.address).get("/").text(), "ok");
    daemon.end(Signal::QUIT);
}

fn foreground_errors() {
    let origin = Origin::named("ok");
    let taken = std::net::TcpListener::bind(free_address()).expect("an address");
    let address = taken.local_addr().expect("an address");
    let daemon = Daemon::start(&origin, &format!("listen {address}\n"));
    let errors = String::from_utf8_lossy(&daemon.output.stderr).into_owned();
    assert_eq!(daemon.output.status.code(), Some(1));
    assert!(errors.starts_with(&format!("proxy: cannot listen on {address}")), "{errors}");
    assert!(daemon.log().contains(&format!(": cannot listen on {address}")), "{}", daemon.log());
    assert!(daemon.pid().is_none() && TcpStream::connect(daemon.address).is_err());
}

fn user_and_limits() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "user daemon\nopen_files 1000\n");
    let pid = daemon.ready();
    assert_eq!(Conn::to(daemon.address).get("/").text(), "ok");
    let limits = fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_nonzero())).expect("a process");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line");
    assert_eq!(line.split_ascii_whitespace().nth(3), Some("1000"), "{line}");
    if getuid().is_root() {
        let users = fs::read_to_string("/etc/passwd").expect("users");
        let line =
            users.lines().find(|line| line.starts_with("daemon:")).expect("this user is on every Linux");
        let number = line.split(':').nth(2).expect("its number");
        assert_eq!(status(pid, "Uid:"), [number; 4].join("\t"));
        assert_eq!(status(pid, "Gid:"), ["0"; 4].join("\t"));
    } else {
        wait_until("a warning", || daemon.log().contains("super-user privileges: daemon is ignored"));
    }
    daemon.end(Signal::QUIT);
}
