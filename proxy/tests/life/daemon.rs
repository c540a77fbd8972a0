//! `proxy -p PREFIX/ -c nginx.conf -e error.log`: daemon mode, reload, the user and the limits, `-s`.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, getsid, getuid, kill_process};
use tempfile::TempDir;

use crate::load::{Load, Manner};
use crate::support::process::PROXY;
use crate::support::{Conn, Origin, free_address, wait_for, wait_until};

/// A proxy in the background, or one that has failed to get there. Dropping it ends it.
pub(crate) struct Daemon {
    folder: TempDir,
    program: PathBuf,
    pub(crate) address: SocketAddr,
    /// What the process that was started has said, and its end.
    output: Option<Output>,
}

impl Daemon {
    /// With `directives` in the main context, and `inner` ones in its server.
    pub(crate) fn start(origin: &Origin, directives: &str, inner: &str) -> Daemon {
        Daemon::prepare(|_| PROXY.into()).run(origin, directives, inner)
    }

    /// With a program that another user may start, too.
    pub(crate) fn start_as_root(origin: &Origin, directives: &str, inner: &str) -> Daemon {
        let copy = |folder: &Path| {
            let program = folder.join("proxy");
            // Not by this process: what another test starts at that moment would have the file open for writing, too, and
            // it could not be executed.
            let copied = Command::new("cp").arg(PROXY).arg(&program).status().expect("cp");
            assert!(copied.success());
            program
        };
        Daemon::prepare(copy).run(origin, directives, inner)
    }

    fn prepare(program: impl FnOnce(&Path) -> PathBuf) -> Daemon {
        let folder = tempfile::tempdir().expect("a folder");
        // Another user has to reach its files.
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(folder.path(), all).expect("permissions");
        let program = program(folder.path());
        Daemon { folder, program, address: free_address(), output: None }
    }

    fn run(mut self, origin: &Origin, directives: &str, inner: &str) -> Daemon {
        self.write(origin, directives, inner);
        // Its streams end with the last process that has them: the one in the background must not.
        self.output = Some(self.command(&[]));
        self
    }

    /// Writes its configuration.
    pub(crate) fn write(&self, origin: &Origin, directives: &str, inner: &str) {
        let address = self.address;
        let text = format!(
            "error_log error.log notice;\npid proxy.pid;\nworker_processes 2;\n{directives}\nevents {{}}\n\
             http {{\n    access_log off;\n    keepalive_requests 1000000;\n    upstream u {{ server {origin}; keepalive 8; }}\n    server {{\n        \
             listen {address};\n        {inner}\n        location / {{ proxy_pass http://u; }}\n    }}\n}}\n"
        );
        fs::write(self.path("nginx.conf"), text).expect("written");
    }

    /// Runs the program over its folder to its end.
    pub(crate) fn command(&self, more: &[&str]) -> Output {
        let prefix = format!("{}/", self.folder.path().display());
        let mut command = Command::new(&self.program);
        command.args(["-p", &prefix, "-c", "nginx.conf", "-e", "error.log"]).args(more);
        command.stdin(Stdio::null()).output().expect("it starts")
    }

    pub(crate) fn started(&self) -> &Output {
        self.output.as_ref().expect("it was started")
    }

    /// What it said before it went to the background, without the warning that root gets who names no user.
    fn errors(&self) -> String {
        let errors = String::from_utf8_lossy(&self.started().stderr).into_owned();
        let warning = "nginx: [warn] clients are served as root: name another user in \"user\", or \"user root\" if it is \
                       meant\n";
        match getuid().is_root() {
            true => errors.strip_prefix(warning).unwrap_or_else(|| panic!("no warning: {errors}")).to_owned(),
            false => errors,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("error.log")).expect("it is there from the start")
    }

    pub(crate) fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.path("proxy.pid")).ok()?;
        // Where it cannot be removed at the end, it is emptied.
        if text.is_empty() { None } else { Pid::from_raw(text.trim().parse().expect("a pid")) }
    }

    /// Whether it is ready, which takes a moment longer than the end of the process that was started.
    #[track_caller]
    pub(crate) fn ready(&self) -> Pid {
        let errors = String::from_utf8_lossy(&self.started().stderr);
        let status = self.started().status;
        assert!(status.success(), "{status}: {errors}{}", self.log());
        wait_for("the pid file", || self.pid())
    }

    #[track_caller]
    pub(crate) fn end(self, signal: Signal) {
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

pub(crate) fn status(pid: Pid, word: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).expect("a process");
    let line = text.lines().find_map(|line| line.strip_prefix(word)).expect("a line");
    line.trim().to_owned()
}

#[test]
fn it_serves_in_the_background_until_it_is_told_to_end() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "", "");
    let pid = daemon.ready();
    assert_eq!((daemon.started().stdout.as_slice(), daemon.errors().as_str()), (&[][..], ""));
    assert_eq!(Conn::to(daemon.address).get("/").text(), "ok");
    let number = pid.as_raw_nonzero().get();
    wait_until("a line of its own", || daemon.log().contains(&format!("[notice] {number}#")));
    // A session of its own, and nothing of the terminal's.
    assert_eq!(getsid(Some(pid)).expect("a session"), pid);
    let target = |fd: u32| fs::read_link(format!("/proc/{number}/fd/{fd}")).expect("a descriptor");
    assert_eq!((target(0), target(1)), (PathBuf::from("/dev/null"), PathBuf::from("/dev/null")));
    assert_eq!(target(2), daemon.path("error.log"));
    // After its log was moved away, so is where panics go.
    fs::rename(daemon.path("error.log"), daemon.path("error.log.1")).expect("renamed");
    kill_process(pid, Signal::USR1).expect("a signal");
    wait_until("the new log", || target(2) == daemon.path("error.log"));
    daemon.end(Signal::QUIT);
}

#[test]
fn it_rests_and_serves_again() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "", "");
    let pid = daemon.ready();
    kill_process(pid, Signal::WINCH).expect("a signal");
    // Both workers have let go of their listeners, of which each has one, when nobody is served any more.
    wait_until("its rest", || {
        let mut conn = Conn::to(daemon.address);
        conn.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        std::thread::sleep(std::time::Duration::from_millis(20));
        conn.is_silent()
    });
    // Its listener is still there for HUP, so that a client can wait there.
    let mut waiting = Conn::to(daemon.address);
    waiting.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    kill_process(pid, Signal::HUP).expect("a signal");
    assert_eq!(waiting.response().text(), "ok");
    daemon.end(Signal::TERM);
}

#[test]
fn a_successor_stays_in_the_background() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "", "");
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

#[test]
fn what_goes_wrong_before_is_said_in_the_foreground() {
    let origin = Origin::named("ok");
    let taken = std::net::TcpListener::bind(free_address()).expect("an address");
    let address = taken.local_addr().expect("an address");
    let daemon = Daemon::start(&origin, "", &format!("listen {address};"));
    let errors = daemon.errors();
    assert_eq!(daemon.started().status.code(), Some(1));
    // As nginx has it, five times.
    let line = format!("bind() to {address} failed (98: Address already in use)\n");
    let expected = format!("nginx: [emerg] {line}").repeat(5) + "nginx: [emerg] still could not bind()\n";
    assert_eq!(errors, expected);
    let log = daemon.log();
    let logged: Vec<_> = log.lines().filter(|line| line.contains("[emerg]")).collect();
    assert_eq!(log.matches(&line).count(), 5, "{log}");
    assert!(logged.len() == 6 && logged[5].ends_with(": still could not bind()"), "{log}");
    assert!(daemon.pid().is_none() && TcpStream::connect(daemon.address).is_err());
}

#[test]
fn an_address_that_becomes_free_is_waited_for() {
    let origin = Origin::named("ok");
    let taken = std::net::TcpListener::bind(free_address()).expect("an address");
    let address = taken.local_addr().expect("an address");
    let ends = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(700));
        drop(taken);
    });
    let daemon = Daemon::start(&origin, "", &format!("listen {address};"));
    ends.join().expect("it ends");
    daemon.ready();
    assert_eq!(Conn::to(address).get("/").text(), "ok");
    let log = daemon.log();
    assert!(log.contains(" [notice] ") && log.contains(": try again to bind() after 500ms\n"), "{log}");
    daemon.end(Signal::QUIT);
}

#[test]
fn it_becomes_the_user_with_its_limits() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "user daemon root;\nworker_rlimit_nofile 1000;", "");
    let pid = daemon.ready();
    assert!(!String::from_utf8_lossy(&daemon.started().stderr).contains("as root"));
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

#[test]
fn it_reloads_from_its_file() {
    let origins = [Origin::named("ok1"), Origin::named("ok2")];
    let daemon = Daemon::start(&origins[0], "", "");
    let pid = daemon.ready();
    let load = Load::start(daemon.address, &[Manner::Stays, Manner::ComesAnew]);
    for number in 1..=10 {
        daemon.write(&origins[number % 2], "", &format!("add_header X-Number {number};"));
        assert!(daemon.command(&["-s", "reload"]).status.success());
        wait_until("the new configuration", || {
            Conn::to(daemon.address).get("/").field("x-number") == Some(number.to_string().as_str())
        });
        load.wait_more(10);
    }
    // One that is wrong costs a line.
    fs::write(daemon.path("nginx.conf"), "events {}\nhttp {\n    foo bar;\n}\n").expect("written");
    kill_process(pid, Signal::HUP).expect("a signal");
    let line = format!(": unknown directive \"foo\" in {}:3\n", daemon.path("nginx.conf").display());
    wait_until("the complaint", || daemon.log().contains(&line));
    assert!(daemon.log().contains(" [emerg] "), "{}", daemon.log());
    load.wait_more(10);
    load.stop();
    daemon.end(Signal::QUIT);
}

#[test]
fn orders_go_to_the_process_in_the_pid_file() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "", "");
    daemon.ready();
    fs::rename(daemon.path("error.log"), daemon.path("error.log.1")).expect("renamed");
    assert!(daemon.command(&["-s", "reopen"]).status.success());
    // The process that gives the order has it say so, too.
    wait_until("the new log", || daemon.log().contains(" requests whose connection"));
    assert!(daemon.log().contains("signal process started\n"), "{}", daemon.log());
    assert!(daemon.command(&["-s", "quit"]).status.success());
    wait_until("the pid file's end", || daemon.pid().is_none());
    let output = daemon.command(&["-s", "stop"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        format!(
            "nginx: [error] open() \"{}\" failed (2: No such file or directory)\n",
            daemon.path("proxy.pid").display()
        )
    );
    let log = daemon.log();
    assert!(log.contains(" [error] ") && log.ends_with(" failed (2: No such file or directory)\n"), "{log}");
}

#[test]
fn a_bad_file_is_said_on_both_sides() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "foo;", "");
    let expected = format!("unknown directive \"foo\" in {}:4\n", daemon.path("nginx.conf").display());
    assert_eq!(daemon.started().status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&daemon.started().stderr), format!("nginx: [emerg] {expected}"));
    assert!(daemon.log().ends_with(&format!(": {expected}")) && daemon.log().contains(" [emerg] "));
    for more in [&["-t"][..], &["-s", "stop"]] {
        fs::remove_file(daemon.path("error.log")).expect("removed");
        assert_eq!(daemon.command(more).status.code(), Some(1));
        let log = daemon.log();
        assert!(log.contains(" [emerg] ") && log.ends_with(&format!(": {expected}")), "{more:?}: {log}");
        assert_eq!(log.lines().count(), 1, "{more:?}: {log}");
    }
}

#[test]
fn a_test_finds_a_pid_file_that_cannot_be_written() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "foo;", "");
    daemon.write(&origin, "", "");
    assert!(daemon.command(&["-t"]).status.success());
    assert_eq!(fs::read_to_string(daemon.path("proxy.pid")).expect("nginx leaves it, too"), "");
    fs::write(daemon.path("proxy.pid"), "of a process\n").expect("written");
    assert!(daemon.command(&["-t"]).status.success());
    let kept = fs::read_to_string(daemon.path("proxy.pid")).expect("a file");
    assert_eq!(kept, "of a process\n");
    // Whose drop would look for a process there.
    fs::remove_file(daemon.path("proxy.pid")).expect("removed");
    let text = fs::read_to_string(daemon.path("nginx.conf")).expect("a file");
    fs::write(daemon.path("nginx.conf"), text.replace("pid proxy.pid;", "pid no/x.pid;")).expect("written");
    let tested = daemon.command(&["-t"]);
    assert_eq!(tested.status.code(), Some(1));
    let said = String::from_utf8_lossy(&tested.stderr).into_owned();
    let expected =
        format!("open() \"{}\" failed (2: No such file or directory)\n", daemon.path("no/x.pid").display());
    assert!(said.contains(&format!("nginx: [emerg] {expected}nginx: configuration file ")), "{said}");
    assert!(said.ends_with(" test failed\n"), "{said}");
    assert!(daemon.log().ends_with(&format!(": {expected}")), "{}", daemon.log());
}

#[test]
fn a_test_finds_an_address_that_cannot_be_bound() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "", "");
    daemon.ready();
    // What is taken may well be its own, which goes on; a socket's file is there for a moment.
    let socket = daemon.path("x.sock");
    daemon.write(&origin, "", &format!("listen unix:{};", socket.display()));
    let tested = daemon.command(&["-t"]);
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    assert!(!socket.exists());
    let taken = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    assert!(daemon.command(&["-t"]).status.success());
    assert!(socket.exists());
    drop(taken);
    assert_eq!(Conn::to(daemon.address).get("/").text(), "ok");
    let nowhere = daemon.path("no/x.sock");
    for (address, failed) in [
        (
            "192.0.2.1:18080".to_owned(),
            "bind() to 192.0.2.1:18080 failed (99: Cannot assign requested address)".to_owned(),
        ),
        (
            format!("unix:{}", nowhere.display()),
            format!("bind() to unix:{} failed (2: No such file or directory)", nowhere.display()),
        ),
    ] {
        daemon.write(&origin, "", &format!("listen {address};"));
        let tested = daemon.command(&["-t"]);
        let said = String::from_utf8_lossy(&tested.stderr).into_owned();
        assert_eq!(tested.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("nginx: [emerg] {failed}\n")), "{said}");
        assert!(said.ends_with(" test failed\n"), "{said}");
    }
    daemon.write(&origin, "", "");
    daemon.end(Signal::QUIT);
}

#[test]
fn the_old_process_goes_on_where_the_new_one_does_not() {
    let origin = Origin::named("ok1");
    let daemon = Daemon::start(&origin, "", "");
    let old = daemon.ready();
    let load = Load::start(daemon.address, &[Manner::Stays, Manner::ComesAnew]);
    daemon.write(&origin, "foo;", "");
    kill_process(old, Signal::USR2).expect("a signal");
    wait_until("the new one's end", || daemon.log().contains("; this one goes on"));
    assert_eq!(daemon.pid(), Some(old));
    load.wait_more(10);
    load.stop();
    // Also where it had begun to leave.
    daemon.write(&origin, "", "");
    kill_process(old, Signal::USR2).expect("a signal");
    let new = wait_for("the new process", || daemon.pid().filter(|pid| *pid != old));
    kill_process(old, Signal::WINCH).expect("a signal");
    wait_until("the old one's rest", || daemon.log().contains("accepting nobody any more"));
    kill_process(new, Signal::QUIT).expect("a signal");
    wait_until("the old one's return", || daemon.log().contains("accepting again"));
    assert_eq!(Conn::to(daemon.address).get("/").text(), "ok1");
    assert_eq!(daemon.pid(), Some(old));
    daemon.end(Signal::QUIT);
}

#[test]
fn an_address_stands_beside_all_of_them() {
    let origin = Origin::named("ok");
    let port = free_address().port();
    let part = format!("127.0.0.1:{port}");
    let inner = format!(
        "listen {port};\n        location / {{ proxy_pass http://u; }}\n    }}\n    server {{\n        listen {part};\n        \
         return 200 part;"
    );
    let daemon = Daemon::start(&origin, "", &inner);
    daemon.ready();
    // Connections go to the one that says more, here and after a reload.
    for round in 0..2 {
        for _ in 0..20 {
            assert_eq!(Conn::to(part.parse().expect("an address")).get("/").text(), "part");
        }
        let other = SocketAddr::from(([127, 0, 0, 2], port));
        assert_eq!(Conn::to(other).get("/").text(), "ok");
        if round == 0 {
            assert!(daemon.command(&["-s", "reload"]).status.success());
            wait_until("the reload", || daemon.log().contains("the new configuration is at work"));
        }
    }
    daemon.end(Signal::QUIT);
}

#[test]
fn a_unix_socket_is_for_all_and_outlives_a_successor_that_fails() {
    let origin = Origin::named("ok");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let unix = format!("listen unix:{};", path.display());
    let daemon = Daemon::start(&origin, "", &unix);
    let old = daemon.ready();
    let mode = fs::metadata(&path).expect("a socket").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o666);
    // It fails behind the listeners.
    daemon.write(&origin, "", &format!("{unix} access_log none/a.log;"));
    kill_process(old, Signal::USR2).expect("a signal");
    wait_until("the new one's end", || daemon.log().contains("; this one goes on"));
    assert!(path.exists());
    let connect = || std::os::unix::net::UnixStream::connect(&path);
    connect().expect("somebody listens");
    // One that takes its place removes it at its end.
    daemon.write(&origin, "", &unix);
    kill_process(old, Signal::USR2).expect("a signal");
    let new = wait_for("the new process", || daemon.pid().filter(|pid| *pid != old));
    kill_process(old, Signal::QUIT).expect("a signal");
    wait_until("the old one's end", || status(new, "PPid:") != old.as_raw_nonzero().to_string());
    connect().expect("somebody listens");
    kill_process(new, Signal::QUIT).expect("a signal");
    wait_until("the socket's end", || !path.exists());
}

#[test]
fn the_logs_belong_to_the_user_who_opens_them_again() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "user daemon root;", "access_log access.log;");
    let pid = daemon.ready();
    let count = |text: &str| daemon.log().matches(text).count();
    kill_process(pid, Signal::HUP).expect("a signal");
    wait_until("the reload", || count("the new configuration is at work") == 1);
    kill_process(pid, Signal::USR1).expect("a signal");
    wait_until("the reopening", || count("reopening logs") == 1);
    // Resting, its workers still have their logs.
    let mut kept = Conn::to(daemon.address);
    kept.get("/");
    kill_process(pid, Signal::WINCH).expect("a signal");
    wait_until("its rest", || count("accepting nobody any more") == 1);
    kept.get("/resting");
    wait_until("a line", || {
        fs::read_to_string(daemon.path("access.log")).is_ok_and(|text| text.contains("GET /resting "))
    });
    kill_process(pid, Signal::HUP).expect("a signal");
    wait_until("its return", || count("the new configuration is at work") == 2);
    wait_until("a line", || {
        Conn::to(daemon.address).get("/");
        fs::read_to_string(daemon.path("access.log")).is_ok_and(|text| text.contains("GET / "))
    });
    assert_eq!(count("failed (13"), 0, "{}", daemon.log());
    // So do those that `-s` and `-t` make as root.
    fs::rename(daemon.path("error.log"), daemon.path("error.log.1")).expect("renamed");
    assert!(daemon.command(&["-s", "reopen"]).status.success());
    wait_until("the reopening", || {
        fs::read_to_string(daemon.path("error.log.1"))
            .is_ok_and(|text| text.matches("reopening logs").count() == 2)
    });
    daemon.write(&origin, "user daemon root;", "access_log new.log;");
    assert!(daemon.command(&["-t"]).status.success());
    kill_process(pid, Signal::HUP).expect("a signal");
    wait_until("the reload", || count("the new configuration is at work") == 1);
    assert_eq!(count("failed (13"), 0, "{}", daemon.log());
    daemon.end(Signal::QUIT);
}

#[test]
fn a_successor_with_fewer_workers_leaves_nobody_waiting() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "", "");
    let old = daemon.ready();
    let text = fs::read_to_string(daemon.path("nginx.conf")).expect("a file");
    fs::write(daemon.path("nginx.conf"), text.replace("worker_processes 2;", "worker_processes 1;"))
        .expect("written");
    kill_process(old, Signal::USR2).expect("a signal");
    wait_for("the new process", || daemon.pid().filter(|pid| *pid != old));
    assert!(daemon.log().contains("2 workers, not 1"), "{}", daemon.log());
    kill_process(old, Signal::WINCH).expect("a signal");
    wait_until("the old one's rest", || daemon.log().contains("accepting nobody any more"));
    for _ in 0..40 {
        assert_eq!(Conn::to(daemon.address).get("/").text(), "ok");
    }
    // Told to reload, the old one serves again as it did, though the file is wrong by now.
    fs::write(daemon.path("nginx.conf"), "foo;").expect("written");
    kill_process(old, Signal::HUP).expect("a signal");
    wait_until("the old one's return", || daemon.log().contains("accepting again"));
    kill_process(old, Signal::QUIT).expect("a signal");
    wait_until("the old one's end", || !daemon.path("proxy.pid.oldbin").exists());
    assert_eq!(Conn::to(daemon.address).get("/").text(), "ok");
    daemon.end(Signal::QUIT);
}

#[test]
fn a_test_finds_logs_that_cannot_be_opened() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "", "");
    daemon.ready();
    let tested = daemon.command(&["-t"]);
    assert!(tested.status.success());
    daemon.write(&origin, "", "access_log none/a.log;");
    for more in [&["-t"][..], &["-t", "-s", "stop"]] {
        let tested = daemon.command(more);
        assert_eq!(tested.status.code(), Some(1));
        let (said, file) = (String::from_utf8_lossy(&tested.stderr), daemon.path("nginx.conf"));
        let expected = format!(
            "nginx: the configuration file {0} syntax is ok\nnginx: [emerg] open() \"{1}\" failed (2: No such file or \
             directory)\nnginx: configuration file {0} test failed\n",
            file.display(),
            daemon.path("none/a.log").display()
        );
        assert_eq!(said, expected);
    }
    assert_eq!(Conn::to(daemon.address).get("/").text(), "ok", "no signal was sent");
    daemon.end(Signal::QUIT);
}

#[test]
fn what_is_doubtful_is_said_on_both_sides() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "", "server_name a/b;");
    daemon.ready();
    let text = String::from_utf8_lossy(&daemon.started().stderr).into_owned();
    assert!(text.contains("\"a/b\""), "{text}");
    for line in text.lines() {
        let warning = line.strip_prefix("nginx: [warn] ").expect("a warning");
        assert!(daemon.log().contains(&format!(": {warning}\n")), "{}", daemon.log());
    }
    daemon.end(Signal::TERM);
}
