//! `user`: what becomes of a process that root has started. Where the tests are not root's, little of it can be seen.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Resource, Signal, getrlimit, getuid, kill_process};

use crate::daemon::{Daemon, status};
use crate::support::{Conn, Origin, Proxy, free_address, wait_for, wait_until};

#[test]
fn a_successor_of_a_process_that_was_root_s_reads_its_file_as_root_would() {
    let origin = Origin::named("ok");
    let other = free_address();
    let daemon = Daemon::start_as_root(&origin, "user daemon root;", &format!("listen {other};"));
    let old = daemon.ready();
    daemon.write(&origin, "user daemon root;", "");
    kill_process(old, Signal::USR2).expect("a signal");
    let new = wait_for("the new process", || daemon.pid().filter(|pid| *pid != old));
    let log = daemon.log();
    if getuid().is_root() {
        assert!(!log.contains("super-user privileges"), "{log}");
        assert_eq!(status(new, "Uid:"), status(old, "Uid:"));
    }
    let line = format!("[warn] {}#", new.as_raw_nonzero());
    let warned = log.lines().find(|line| line.contains(&format!(": {other} was handed over and is not")));
    assert!(warned.is_some_and(|found| found.contains(&line)), "{log}");
    kill_process(old, Signal::QUIT).expect("a signal");
    wait_until("the old one's end", || !daemon.path("proxy.pid.oldbin").exists());
    assert_eq!(Conn::to(daemon.address).get("/").text(), "ok");
    daemon.end(Signal::QUIT);
}

#[test]
fn a_pid_file_in_a_folder_of_root_s_does_for_a_new_binary_and_names_nobody_at_the_end() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start_as_root(&origin, "user daemon root;", "");
    let old = daemon.ready();
    fs::set_permissions(daemon.path(""), Permissions::from_mode(0o755)).expect("permissions");
    let pid = || daemon.pid();
    // First the new one ends, which undoes it, then the old one.
    for (ending, left) in [(1, 0), (0, 1)] {
        kill_process(old, Signal::USR2).expect("a signal");
        let new = wait_for("the new process", || pid().filter(|pid| *pid != old));
        let processes = [old, new];
        kill_process(processes[ending], Signal::QUIT).expect("a signal");
        if left == 0 {
            wait_until("the old one's return", || pid() == Some(old));
        } else {
            let is_alone = || status(new, "PPid:") != old.as_raw_nonzero().to_string();
            wait_until("the old one's end", is_alone);
        }
        assert_eq!(Conn::to(daemon.address).get("/").text(), "ok");
        assert_eq!(pid(), Some(processes[left]));
    }
    assert_eq!(daemon.log().matches(" is not ours any more").count(), 0, "{}", daemon.log());
    daemon.end(Signal::TERM);
}

#[test]
fn logs_on_pipes_outlive_a_reload() {
    let origin = Origin::named("ok");
    let folder = tempfile::tempdir().expect("a folder");
    let log = |name: &str, place: &str| {
        let path = folder.path().join(name);
        symlink(place, &path).expect("a link");
        path.display().to_string()
    };
    let main = format!("user daemon root; error_log {} notice;", log("error.log", "/dev/stderr"));
    let http = format!(
        "log_format l $request; access_log {} l; server {{ listen LISTEN; location / {{ proxy_pass http://{origin}; }} }}",
        log("access.log", "/dev/stdout")
    );
    let mut proxy = Proxy::start_logging(&main, &http);
    for folder in [folder.path(), proxy.folder()] {
        fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("permissions");
    }
    let access = fs::metadata(format!("/proc/{}/fd/1", proxy.pid())).expect("a pipe");
    assert!(access.file_type().is_fifo());
    proxy.signal(Signal::HUP);
    proxy.wait_log(": the new configuration is at work");
    assert_eq!(proxy.get("/after"), "ok");
    proxy.wait_output("GET /after ");
    proxy.signal(Signal::USR1);
    proxy.wait_log("requests whose connection to a server failed");
    assert!(proxy.log().iter().all(|line| !line.contains("going on with the old file")));
    assert_eq!(proxy.get("/reopened"), "ok");
    proxy.wait_output("GET /reopened ");
    if getuid().is_root() {
        // A folder that it may not even enter.
        fs::set_permissions(proxy.folder(), Permissions::from_mode(0o700)).expect("permissions");
        proxy.signal(Signal::TERM);
        assert!(proxy.wait_exit().success());
        assert_eq!(fs::read_to_string(proxy.pid_file()).expect("a file"), "");
    }
}

/// Root's threads are not counted, those of the user are.
#[test]
fn a_reload_that_finds_no_room_for_a_thread_changes_nothing() {
    let origin = Origin::named("ok");
    let daemon = Daemon::start(&origin, "user daemon root;", "");
    let pid = daemon.ready();
    // It is the user by then.
    wait_until("its threads", || daemon.log().contains("listening on "));
    let number = |word| status(pid, word).split('\t').next().and_then(|id| id.parse().ok()).expect("an id");
    // A user may limit what is its own.
    let limit = |soft: &str| {
        let mut command = Command::new("prlimit");
        command.args([&format!("--pid={}", pid.as_raw_nonzero()), &format!("--nproc={soft}:")]);
        if getuid().is_root() {
            command.uid(number("Uid:")).gid(number("Gid:"));
        }
        assert!(command.status().expect("it is there (util-linux)").success());
    };
    let before = getrlimit(Resource::Nproc).current.map_or("unlimited".to_owned(), |most| most.to_string());
    limit("0");
    let checked = "location /checked { proxy_pass http://u; health_check; }";
    daemon.write(&origin, "user daemon root;", checked);
    kill_process(pid, Signal::HUP).expect("a signal");
    wait_until("a complaint", || daemon.log().contains("cannot start: Resource temporarily unavailable"));
    assert_eq!(Conn::to(daemon.address).get("/").text(), "ok");
    limit(&before);
    kill_process(pid, Signal::HUP).expect("a signal");
    wait_until("the reload", || daemon.log().contains("the new configuration is at work"));
    assert_eq!(Conn::to(daemon.address).get("/").text(), "ok");
    daemon.end(Signal::QUIT);
}
