//! The program: its errors, its signals.

use std::io::{BufRead, BufReader};
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
        expect_error(&output, &culprit);
    }
}

#[test]
fn mistakes_are_one_line_and_status_2() {
    let serve = ["--serve", "app1=127.0.0.1:0"];
    for (more, culprit) in [
        (&["--serve", "app1=127.0.0.1:0"][..], "'app1' is served twice"),
        (&["--serve", "app2"], "'app2' is not NAME=ADDRESS"),
        (&["--serve", "app2=127.0.0.1:99999"], "'99999' is not a port"),
        (&["--serve", "app2=192.0.2.1:1"], "cannot listen on 192.0.2.1:1 for app2"),
        (&["--workers", "0"], "say a number from 1 to 256"),
        (&["--delay", "2h"], "'2h' is not a delay"),
        (&["--fail-rate", "2"], "'2' is not a share"),
        (&["--redis", "http://x"], "'http://x' is not a Redis URL"),
        (&["--plain", "--redis", "redis://127.0.0.1/"], "cannot be used with"),
        (&["--colour"], "'--colour'"),
    ] {
        let output = backend(&[&serve, more].concat()).output().unwrap();
        expect_error(&output, culprit);
    }
    expect_error(&backend(&[]).output().unwrap(), "nothing to serve");
}

#[test]
fn help_teaches() {
    let output = backend(&["--help"]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["/bytes/N", "--redis redis://redis:6379/0", "fail_rate=0.1", "unix:PATH", "--workers"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
}

fn expect_error(output: &Output, culprit: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("backend: ") && text.contains(culprit), "{text}: no {culprit}");
}
