//! The program: its errors, its signals.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;

fn backend(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backend"));
    command.args(arguments).env_remove("RUST_LOG");
    command
}

/// A running program that ends with the test.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = backend(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.trim_end().rsplit_once(" listens on ").unwrap_or_else(|| panic!("{line}")).1.into();
        Self { child, address }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, as most tests want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn signals_end_it_with_connections_open() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut running = Running::start(&["--serve", "app1=127.0.0.1:0", "--workers", "2"]);
        let mut client = Client::to(&running.address);
        assert_eq!(client.fetch("/").text(), "Hello from app1! Hits: 1\n");
        kill_process(Pid::from_child(&running.child), signal).unwrap();
        assert!(running.child.wait().unwrap().success());
        client.expect_end();
    }
}

#[test]
fn a_taken_port_is_an_error_even_with_shared_listeners() {
    let running = Running::start(&["--serve", "app1=127.0.0.1:0", "--workers", "2"]);
    let serve = format!("app2={}", running.address);
    for workers in ["1", "2"] {
        let output = backend(&["--serve", &serve, "--workers", workers]).output().unwrap();
        let culprit = format!("cannot listen on {} for app2: Address already in use", running.address);
        expect_error(&output, 1, &culprit);
        expect_error(&output, 1, "; stop what listens there, or give another port\n");
    }
}

#[test]
fn what_cannot_be_listened_on_is_status_1_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [socket, file, deep] = ["socket", "file", "no/socket"].map(|name| folder.path().join(name));
    std::fs::write(&file, "mine").unwrap();
    for (address, culprit) in [
        ("192.0.2.1:1", "cannot listen on 192.0.2.1:1 for app2: Cannot assign requested address"),
        ("192.0.2.1:1", "; this machine has no such address, give one of its own, such as 127.0.0.1"),
        ("no host.invalid:1", "; give an IP address, or a name that this machine can look up"),
        ("a\nhost:1", "cannot listen on a\\nhost:1 for app2"),
        (&format!("unix:{}", deep.display()), "; make its folder, or give another path"),
        (&format!("unix:{}", file.display()), "what is there is not a socket; remove it"),
    ] {
        let (first, second) = (format!("app1=unix:{}", socket.display()), format!("app2={address}"));
        let output = backend(&["--serve", &first, "--serve", &second]).output().unwrap();
        expect_error(&output, 1, culprit);
        assert!(!socket.exists(), "{address}: the socket of app1 is left");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn mistakes_are_one_line_and_status_2() {
    let serve = ["--serve", "app1=127.0.0.1:0"];
    for (more, culprit) in [
        (&["--serve", "app1=127.0.0.1:0"][..], "the name \"app1\" is served twice"),
        (&["--serve", "app2"], "invalid value \"app2\" for --serve: \"app2\" is not NAME=ADDRESS; write"),
        (&["--serve", "app2=127.0.0.1:99999"], "\"99999\" is not a port; write one from 1 to 65535"),
        (&["--serve", "a\nb=127.0.0.1:0"], "\"a\\nb\" is not a name; use visible ASCII"),
        (&["--serve", "app2=127.0.0.1:0,delay=1s,delay=2s"], "delay is given twice; drop one"),
        (&["--serve", "app2=127.0.0.1:0,delay=5"], "in \"delay=5\": a time needs its unit; write 5ms or 5s"),
        (
            &["--serve", "app2=127.0.0.1:1", "--serve", "app3=127.0.0.1:1"],
            "app2 at 127.0.0.1:1 and app3 at 127.0.0.1:1 cannot share an address; give each --serve its own",
        ),
        (&["--workers", "0"], "not a number of threads; write a number from 1 to 256, or auto"),
        (&["--workers", "-1"], "invalid value \"-1\" for --workers: it cannot be negative"),
        (&["--delay", "2h"], "invalid value \"2h\" for --delay: not a time; write 50ms or 2s"),
        (&["--delay", "50"], "a time needs its unit; write 50ms or 50s"),
        (&["--delay", "-5"], "invalid value \"-5\" for --delay: it cannot be negative"),
        (&["--delay", "-5ms"], "invalid value \"-5ms\" for --delay: it cannot be negative"),
        (&["--fail-rate", "2"], "invalid value \"2\" for --fail-rate: not a share; write a number"),
        (&["--fail-rate", "-1"], "invalid value \"-1\" for --fail-rate: it cannot be negative"),
        (&["--redis", "http://x\n"], "invalid value \"http://x\\n\" for --redis:"),
        (&["--redis", "http://x"], "; write redis://HOST:PORT/DB"),
        (&["--plain", "--redis", "redis://127.0.0.1/"], "--plain and --redis exclude each other; drop one"),
        (&["--key", "x"], "--key needs --redis; add --redis redis://HOST:PORT/DB"),
        (&["--redis", "redis://127.0.0.1/", "--key", ""], "invalid value \"\" for --key: a key has a name"),
        (&["--key"], "--key needs a value; write --key KEY"),
        (&["--plain", "--plain"], "--plain is given twice; drop one"),
        (&["--plain=3"], "--plain takes no value; drop \"3\""),
        (&["--colour"], "unknown flag \"--colour\"; --help lists all"),
        (&["--worker", "2"], "unknown flag \"--worker\"; did you mean --workers? --help lists all"),
        (&["app2=127.0.0.1:0"], "unexpected argument \"app2=127.0.0.1:0\"; names are given as --serve"),
    ] {
        let output = backend(&[&serve, more].concat()).output().unwrap();
        expect_error(&output, 2, culprit);
    }
    expect_error(&backend(&[]).output().unwrap(), 2, "nothing to serve; say --serve NAME=ADDRESS");
    let output = backend(&["--serve"]).arg(OsStr::from_bytes(b"\xff=127.0.0.1:0")).output().unwrap();
    expect_error(&output, 2, "an argument is not UTF-8");
}

#[test]
fn a_long_value_is_cut() {
    let output = backend(&["--delay", &"9".repeat(5000)]).output().unwrap();
    expect_error(&output, 2, "9999...\" for --delay: ");
    assert!(output.stderr.len() < 400, "{} bytes", output.stderr.len());
}

#[test]
fn help_teaches() {
    let output = backend(&["--help"]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for word in [
        "/bytes/N",
        "--redis redis://redis:6379/0",
        "fail_rate=0.1",
        "unix:PATH",
        "--workers",
        "1 where starting fails, 2 for a mistake",
        "GET / greets without a counter",
    ] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
}

fn expect_error(output: &Output, status: i32, culprit: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("backend: ") && text.contains(culprit), "{text}: no {culprit}");
}
