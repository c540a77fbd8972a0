//! USR2: another binary takes over while the proxy serves.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::load::{Load, Manner};
use crate::support::{Conn, Origin, Proxy, wait_for, wait_until};

/// The process of a pid file that is not the test's child. Dropping it ends it.
struct Stranger {
    pid: Pid,
}

impl Stranger {
    /// Whoever is in the file and is not `other`.
    #[track_caller]
    fn in_file(path: &Path, other: u32) -> Stranger {
        let pid = wait_for("another process in the pid file", || {
            let text = std::fs::read_to_string(path).ok()?;
            let pid: i32 = text.trim().parse().expect("a pid");
            Pid::from_raw(pid).filter(|pid| pid.as_raw_nonzero().get().cast_unsigned() != other)
        });
        Stranger { pid }
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("a signal");
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // It may have ended.
        let _ = kill_process(self.pid, Signal::KILL);
    }
}

fn aside(proxy: &Proxy) -> PathBuf {
    proxy.folder().join("proxy.pid.oldbin")
}

#[test]
fn the_binary_changes_without_a_failed_request() {
    for workers in [1, 3] {
        let origin = Origin::named("ok1");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("listen");
        let flags = format!("--workers {workers} --listen unix:{}", path.display());
        let mut old = Proxy::start(origin.to_string(), &flags);
        let load = Load::start(old.address(), &[Manner::ComesAnew; 3]);
        load.wait_more(20);
        let mut kept = old.connect();
        kept.get("/");
        old.signal(Signal::USR2);
        let new = Stranger::in_file(&old.pid_file(), old.pid());
        assert_eq!(std::fs::read_to_string(aside(&old)).expect("a pid").trim(), old.pid().to_string());
        load.wait_more(50);
        // While both are there, no other change begins.
        old.signal(Signal::USR2);
        old.wait_log("the change of the binary is ignored");
        old.signal(Signal::QUIT);
        kept.assert_closed();
        assert_eq!(old.wait_exit().code(), Some(0));
        assert!(!aside(&old).exists());
        load.wait_more(50);
        load.stop();
        assert_eq!(old.connect().get("/").text(), "ok1");
        assert_eq!(Conn::to_unix(&path).get("/").text(), "ok1", "the socket's file is the new one's now");
        new.signal(Signal::QUIT);
        wait_until("the new one's end", || !old.pid_file().exists() && !path.exists());
    }
}

#[test]
fn a_change_can_be_undone() {
    let origin = Origin::named("ok1");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("listen");
    let mut old = Proxy::start(origin.to_string(), &format!("--listen unix:{}", path.display()));
    let load = Load::start(old.address(), &[Manner::ComesAnew; 2]);
    for _ in 0..2 {
        old.signal(Signal::USR2);
        let new = Stranger::in_file(&old.pid_file(), old.pid());
        load.wait_more(20);
        new.signal(Signal::QUIT);
        wait_until("the old one's pid file", || {
            !aside(&old).exists()
                && std::fs::read_to_string(old.pid_file())
                    .is_ok_and(|text| text.trim() == old.pid().to_string())
        });
        assert!(test_kill_process(new.pid).is_err(), "the new one has ended");
        load.wait_more(20);
    }
    load.stop();
    assert_eq!(Conn::to_unix(&path).get("/").text(), "ok1");
    old.signal(Signal::QUIT);
    assert_eq!(old.wait_exit().code(), Some(0));
    assert!(!old.pid_file().exists() && !path.exists());
}

#[test]
fn without_a_configuration_file_there_is_nothing_to_reload() {
    let origin = Origin::named("ok");
    let mut proxy = Proxy::start(origin.to_string(), "");
    proxy.signal(Signal::HUP);
    proxy.wait_log("nothing to reload");
    // A terminal that changes its size says so too, to a process in its foreground.
    proxy.signal(Signal::WINCH);
    assert_eq!(proxy.get("/"), "ok");
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
}
