//! The command line by itself: what it says where something is wrong, and when.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use backend::{Options, Server};

/// Runs `bench` with these words, in a shell that allows it so many open files.
fn bench(files: u32, words: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {files}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_bench")]);
    command.args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn server() -> (Server, String) {
    let server = Server::start(Options::new(vec!["app1=127.0.0.1:0".parse().unwrap()])).unwrap();
    let url = format!("http://{}/", server.address("app1").unwrap());
    (server, url)
}

#[test]
fn a_limit_of_this_process_is_not_the_servers_fault() {
    let (server, url) = server();
    let output = bench(40, &["load", &url, "--requests", "10", "--connections", "100"]);
    let said = said(&output);
    assert!(!output.status.success());
    assert!(
        said.contains("cannot open 100 connections to 127.0.0.1") && said.contains("ulimit -n"),
        "{said}"
    );
    server.stop();
}

/// An hour of load whose results could not be kept is not begun.
#[test]
fn files_are_opened_before_the_load() {
    let (server, url) = server();
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("results");
    let nowhere = folder.path().join("no/results");
    let [there, nowhere] = [&there, &nowhere].map(|path| path.to_str().unwrap());
    for option in ["--json", "--hlog"] {
        let output = bench(1000, &["load", &url, "--duration", "1h", option, nowhere]);
        let said = said(&output);
        assert!(!output.status.success() && said.contains("no/results: No such file"), "{said}");
        // What has no results leaves no file.
        let output = bench(1000, &["load", "http://127.0.0.1:1/", option, there]);
        assert!(!output.status.success() && !Path::new(there).exists());
    }
    let output = bench(1000, &["load", &url, "--requests", "10", "--hlog", there]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(fs::read_to_string(there).unwrap().ends_with('\n'));
    let output = bench(1000, &["load", "--merge", there]);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("10 requests answered"));
    server.stop();
}

/// A device that is full when all is over.
#[test]
fn the_table_is_shown_whatever_happens_to_the_files() {
    let (server, url) = server();
    for option in ["--json", "--hlog"] {
        let output = bench(1000, &["load", &url, "--requests", "10", option, "/dev/full"]);
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(shown.starts_with("10 requests answered"), "{shown}");
        let said = said(&output);
        assert!(!output.status.success() && said.contains("/dev/full: No space left"), "{said}");
    }
    server.stop();
}

#[test]
fn an_address_that_is_not_of_this_machine_is_named() {
    let output = bench(1000, &["relay", "--listen", "192.0.2.1:80", "--upstream", "127.0.0.1:1"]);
    let said = said(&output);
    assert!(said.starts_with("bench: cannot listen on 192.0.2.1:80: "), "{said}");
}
