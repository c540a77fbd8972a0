//! `user`: what becomes of a process that root has started. Where the tests are not root's, little of it can be seen.

use rustix::process::{Signal, getuid, kill_process};

use crate::daemon::{Daemon, status};
use crate::support::{Conn, Origin, free_address, wait_for, wait_until};

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
