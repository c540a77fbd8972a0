//! nginx or the proxy as a process: started from a file, and ended by its pid.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::process::PROXY;
use crate::support::{wait_for, wait_until};

/// Who reads the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Ours,
}

impl Kind {
    /// The binary.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Kind::Nginx => "nginx",
            Kind::Ours => PROXY,
        }
    }
}

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Subject {
    kind: Kind,
    child: Child,
    folder: PathBuf,
}

impl Subject {
    /// From `nginx.conf` in `folder`, which is the prefix; ready when this returns. The file has `daemon off` and has the
    /// pid in `nginx.pid`.
    #[track_caller]
    pub(crate) fn start(kind: Kind, folder: &Path) -> Subject {
        Subject::start_with(kind, folder, &[])
    }

    /// The same with more arguments.
    #[track_caller]
    pub(crate) fn start_with(kind: Kind, folder: &Path, arguments: &[&str]) -> Subject {
        let words = fs::File::create(folder.join("words")).expect("a file");
        let child = Command::new(kind.program())
            .arg("-p")
            .arg(folder)
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(words)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{} does not start ({error}): apt-get install nginx-light", kind.program())
            });
        let mut subject = Subject { kind, child, folder: folder.to_owned() };
        wait_for("the pid file", || {
            if let Some(status) = subject.child.try_wait().expect("a child") {
                panic!("{kind:?} ended with {status}: {}", subject.words());
            }
            // It is there before it is written.
            fs::read_to_string(folder.join("nginx.pid")).is_ok_and(|pid| pid.ends_with('\n')).then_some(())
        });
        subject
    }

    /// What it said on standard error and in the error log.
    pub(crate) fn words(&self) -> String {
        let read = |name| fs::read(self.folder.join(name)).unwrap_or_default();
        [read("words"), read("error.log")].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a process id");
        kill_process(pid, signal).expect("a signal");
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        wait_for("the process's end", || self.child.try_wait().expect("a child"))
    }

    /// Ends it in order. Returns what was wrong with it.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Option<String> {
        self.signal(Signal::QUIT);
        let status = self.wait_exit();
        wait_until("the pid file's end", || !self.folder.join("nginx.pid").exists());
        let words = self.words();
        let is_sound = status.success() && !words.contains("panicked") && !words.contains("[alert]");
        (!is_sound).then(|| format!("{:?} ended with {status}: {words}", self.kind))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // Its end is what matters; it may have come already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
