//! What a signal ends: the children, whom pid files name, and the folders of this run.
//!
//! `Drop` ends all of it where a run ends by itself. A signal would leave it: children of a session without a terminal get none,
//! and one that is stopped, or in the background on its own, would not mind.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, exit};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::process::END_WITHIN;

/// How often something is looked at that is to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What there is to end.
struct Left {
    /// Invariant: each was started by this process and has not been waited for, so that its number is no other's.
    children: Vec<Pid>,
    pid_files: BTreeSet<PathBuf>,
    /// Those that are gone already do no harm: their names are by chance.
    folders: Vec<PathBuf>,
}

static LEFT: Mutex<Left> =
    Mutex::new(Left { children: Vec::new(), pid_files: BTreeSet::new(), folders: Vec::new() });

fn left() -> MutexGuard<'static, Left> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on TERM, INT and HUP end all children and remove the folders before they end this process, with 128 and the signal's
/// number as its status. Those that whoever started it has set aside (`nohup`) stay so.
///
/// # Errors
///
/// Where the kernel refuses.
pub fn end_on_signals() -> io::Result<()> {
    let ignored = ignored(&fs::read_to_string("/proc/self/status")?);
    let wanted = [SIGTERM, SIGINT, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
    let mut signals = Signals::new(wanted)?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // Held to the end: nothing is started or waited for behind its back.
            let left = left();
            left.end();
            exit(128 + signal);
        }
    });
    Ok(())
}

/// The set of signals that are ignored, of `/proc/PID/status`: bit 0 is signal 1.
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// Starts a child that a signal ends, too.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut left = left();
    let child = command.spawn()?;
    left.children.push(Pid::from_child(&child));
    Ok(child)
}

/// Whether a child has ended, as [`Child::try_wait`]. It is waited for under the lock: its number may be another's afterwards.
pub(super) fn try_wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let mut left = left();
    let status = child.try_wait()?;
    if status.is_some() {
        left.children.retain(|pid| *pid != Pid::from_child(child));
    }
    Ok(status)
}

/// Waits for the end of a child.
pub(crate) fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = try_wait(child)? {
            return Ok(status);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// A folder that a signal removes, too.
pub(super) fn add_folder(path: &Path) {
    left().folders.push(path.to_owned());
}

/// A process that a pid file names. It ends with this value.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

impl PidFile {
    /// Of a process that is about to be started: what an earlier one left in the file is removed, since it names nobody.
    pub(super) fn new(path: PathBuf) -> io::Result<PidFile> {
        for file in both(&path) {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        left().pid_files.insert(path.clone());
        Ok(PidFile(path))
    }

    /// Who is in charge.
    pub(super) fn pid(&self) -> io::Result<Pid> {
        read(&self.0)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        end_all(&named(&self.0));
        left().pid_files.remove(&self.0);
    }
}

/// The file, and where an upgrade puts that of the old process meanwhile.
fn both(path: &Path) -> [PathBuf; 2] {
    let mut old = path.as_os_str().to_owned();
    old.push(".oldbin");
    [path.to_owned(), old.into()]
}

fn read(path: &Path) -> io::Result<Pid> {
    let text = fs::read_to_string(path)?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other(format!("no process id in {}", path.display())))
}

/// Those who run by this pid file.
fn named(path: &Path) -> Vec<Pid> {
    both(path).iter().filter_map(|file| read(file).ok()).collect()
}

impl Left {
    fn end(&self) {
        let mut pids: Vec<Pid> = self.pid_files.iter().flat_map(|file| named(file)).collect();
        pids.extend(&self.children);
        end_all(&pids);
        for folder in &self.folders {
            // What cannot be removed is left: there is nobody to tell.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Asks processes to end and waits until they have; after a while it does not ask.
fn end_all(pids: &[Pid]) {
    let start = Instant::now();
    let mut pids = pids.to_vec();
    loop {
        pids.retain(|pid| !is_gone(*pid));
        if pids.is_empty() {
            return;
        }
        let signal = if start.elapsed() < END_WITHIN { Signal::TERM } else { Signal::KILL };
        for pid in &pids {
            // It fails where the process has just ended. One that is stopped hears the first one only with the second.
            let _ = kill_process(*pid, signal);
            let _ = kill_process(*pid, Signal::CONT);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Whether a process has ended, also where nobody waits for it.
pub fn is_gone(pid: Pid) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) else { return true };
    // "PID (NAME) STATE …"; the name may contain anything.
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_were_set_aside_are_known() {
        // As under nohup: SIGHUP, and SIGPIPE, which is Rust's.
        let mask = ignored("Name:\tbench\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n");
        assert_ne!(mask & (1 << (SIGHUP - 1)), 0);
        assert_eq!(mask & (1 << (SIGTERM - 1)), 0);
    }

    #[test]
    fn a_pid_file_of_an_earlier_process_names_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.pid");
        let mut sleep = spawn(Command::new("sleep").arg("60")).unwrap();
        fs::write(&file, sleep.id().to_string()).unwrap();
        drop(PidFile::new(file.clone()).unwrap());
        assert_eq!(try_wait(&mut sleep).unwrap(), None);

        // But one that is written later ends with it, be it stopped.
        let pid_file = PidFile::new(file.clone()).unwrap();
        fs::write(&file, sleep.id().to_string()).unwrap();
        kill_process(pid_file.pid().unwrap(), Signal::STOP).unwrap();
        drop(pid_file);
        assert!(try_wait(&mut sleep).unwrap().is_some());
    }
}
