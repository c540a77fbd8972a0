//! A signal ends what a measurement has started, and so does a reader that goes.

use std::fs;
use std::io::pipe;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bench::lab::{self, Arranged, Binaries, Kind, Process, Setup};
use rustix::process::{Pid, Signal, kill_process};

/// Set where the test is to play the measurement, in a process of its own.
const PLAYS: &str = "PLAYS_A_MEASUREMENT";

/// Its value marks all that descend from the measurement.
const MARK: &str = "TMPDIR";

/// The part of a measurement: a child that is stopped, and an nginx that puts itself into the
/// background and never gets ready, as its server answers nothing.
fn play_a_measurement() -> ! {
    lab::end_on_signals().unwrap();
    let folder = lab::folder().unwrap();
    let sleep = Process::start("sleep", Command::new("sleep").arg("600"), 0).unwrap();
    sleep.signal(Signal::STOP).unwrap();
    let nowhere = PathBuf::from("/nonexistent");
    let binaries = Binaries { proxy: nowhere.clone(), backend: nowhere.clone(), bench: nowhere };
    let nginx = Arranged::new(Kind::Nginx, &binaries, folder.path()).unwrap().expect("it is installed");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new([silent.local_addr().unwrap()]);
    let running = nginx.start_upgradable(&setup, 0);
    unreachable!("it does not get ready: {running:?}");
}

/// The processes that run with or in a folder; without those that are but waited for.
fn in_folder(folder: &Path) -> Vec<String> {
    let name = folder.to_str().unwrap();
    let read = |pid: &str, file: &str| {
        String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()).into_owned()
    };
    let pids =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(|pid| read(pid, "environ").contains(name) || read(pid, "cmdline").contains(name)).collect()
}

fn wait_until(what: &str, there: impl Fn() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what} did not come");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The pid file of nginx, in a folder of bench's.
fn pid_file(folder: &Path) -> Option<String> {
    let ours = fs::read_dir(folder).ok()?.flatten().next()?.path();
    fs::read_to_string(ours.join("nginx/nginx.pid")).ok()
}

#[test]
fn a_signal_ends_children_and_removes_folders() {
    if std::env::var_os(PLAYS).is_some() {
        play_a_measurement();
    }
    for (signal, number) in [(Signal::TERM, 15), (Signal::INT, 2), (Signal::HUP, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_signal_ends_children_and_removes_folders"]);
        command.env(PLAYS, "yes").env(MARK, folder.path());
        let mut measurement = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("nginx", || pid_file(folder.path()).is_some_and(|pid| !pid.is_empty()));
        let nginx = pid_file(folder.path()).unwrap().trim().to_owned();
        let before = in_folder(folder.path());
        // Itself, the one that is stopped, and nginx.
        assert!(before.len() >= 3 && before.contains(&nginx), "{before:?}, {nginx}");
        kill_process(Pid::from_child(&measurement), signal).unwrap();
        let status = measurement.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(128 + number), None));
        assert_eq!(in_folder(folder.path()), Vec::<String>::new(), "{before:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

/// Nobody reads what it says: `bench … 2>&1 | head -1`, after the first line.
fn unheard(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    let (_, out) = pipe().unwrap();
    command.args(arguments).stdin(Stdio::null()).stderr(out.try_clone().unwrap()).stdout(out);
    command
}

#[test]
fn nobody_has_to_read_to_the_end() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = fs::read_dir(root.join("runs")).unwrap().flatten().next().unwrap().path();
    let run = run.to_str().unwrap();
    assert_eq!(unheard(&["agree", run, run]).status().unwrap().code(), Some(0));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("balance.json");
    let line = ["balance", "--virtual-only", "--seconds", "1", "--json", file.to_str().unwrap()];
    assert_eq!(unheard(&line).status().unwrap().code(), Some(0));
    assert!(fs::read_to_string(file).unwrap().ends_with("}\n"));
    // Nor to hear why not.
    assert_eq!(unheard(&["agree", "none", "none"]).status().unwrap().code(), Some(1));
}

#[test]
fn a_file_that_cannot_be_written_is_named_at_once() {
    let line = ["balance", "--virtual-only", "--json", "/nonexistent/balance.json"];
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).args(line).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("bench: /nonexistent/balance.json: No such file"), "{said}");
    assert!(output.stdout.is_empty());
}
