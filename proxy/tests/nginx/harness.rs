//! The contract with tools that were written for nginx: they start a binary by `-p`, `-c`, `-e` and `-g`, wait for its pid
//! file, signal the process in it, and read its logs. Each test holds both to the same words.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};

use rustix::process::Signal;

use crate::play::allow_all;
use crate::subject::{Kind, Subject};
use crate::support::{Conn, Origin, free_address, wait_until};

const BOTH: [Kind; 2] = [Kind::Nginx, Kind::Ours];

/// A prefix with an `nginx.conf`.
fn prefix(main: &str, http: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    allow_all(folder.path());
    let text = format!(
        "{main}\npid nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\nclient_body_temp_path t1;\n\
         proxy_temp_path t2;\nfastcgi_temp_path t3;\nuwsgi_temp_path t4;\nscgi_temp_path t5;\n{http}\n}}\n"
    );
    fs::write(folder.path().join("nginx.conf"), text).expect("a file");
    folder
}

/// Runs one of the two to its end.
fn run(kind: Kind, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(kind.program());
    command.arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "error.log"]).args(arguments);
    command.output().unwrap_or_else(|error| panic!("{kind:?} does not run: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn answering(address: SocketAddr, word: &str) -> String {
    format!("server {{ listen {address}; location / {{ return 200 {word}; }} }}")
}

#[test]
fn the_pid_file_says_that_every_listener_is_bound_and_who_it_is() {
    for kind in BOTH {
        let addresses = [free_address(), free_address()];
        let servers = addresses.map(|address| answering(address, "ok")).concat();
        let folder = prefix("daemon off;\nworker_processes 2;", &servers);
        let subject = Subject::start(kind, folder.path());
        for address in addresses {
            assert_eq!(Conn::to(address).get("/").text(), "ok", "{kind:?}");
        }
        let pid = fs::read_to_string(folder.path().join("nginx.pid")).expect("a pid file");
        assert_eq!(pid, format!("{}\n", subject.pid()), "{kind:?}");
        assert!(folder.path().join("error.log").exists(), "{kind:?}: error.log is there from the start");
        assert_eq!(subject.stop(), None);
    }
}

#[test]
fn directives_come_by_g_too() {
    for kind in BOTH {
        let address = free_address();
        let folder = prefix("", &answering(address, "ok"));
        let subject = Subject::start_with(kind, folder.path(), &["-g", "daemon off; worker_processes 1;"]);
        assert_eq!(Conn::to(address).get("/").text(), "ok", "{kind:?}");
        assert_eq!(subject.stop(), None);
    }
}

#[test]
fn a_test_says_that_the_file_is_good_and_binds_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let folder = prefix("daemon off;", &answering(address, "ok"));
    let [theirs, ours] = BOTH.map(|kind| {
        let output = run(kind, folder.path(), &["-t"]);
        (output.status.code(), text(&output.stderr))
    });
    // nginx tries to bind what it tests, though only to see whether it may.
    let words = |text: &str| text.lines().filter(|line| line.contains("syntax is ok")).collect::<String>();
    assert_eq!(words(&ours.1), words(&theirs.1));
    assert_eq!(ours.0, Some(0), "{}", ours.1);
}

#[test]
fn a_bad_file_ends_both_with_the_same_line() {
    let folder = prefix("daemon off;", "server { listen 127.0.0.1:1x; }");
    let [theirs, ours] = BOTH.map(|kind| {
        let output = run(kind, folder.path(), &[]);
        assert!(!folder.path().join("nginx.pid").exists(), "{kind:?}: a pid file without a process");
        (output.status.code(), text(&output.stderr))
    });
    assert_eq!(ours, theirs);
    assert_eq!(ours.0, Some(1));
}

#[test]
fn an_address_that_is_taken_is_said_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let main = if rustix::process::geteuid().is_root() { "daemon off; user root;" } else { "daemon off;" };
    let folder = prefix(main, &answering(address, "ok"));
    let output = run(Kind::Ours, folder.path(), &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("nginx: [emerg] ") && said.contains(&address.to_string()), "{said}");
    assert!(!folder.path().join("nginx.pid").exists());
}

#[test]
fn quit_finishes_what_is_under_way_and_term_ends_at_once() {
    for (signal, kind) in
        [Signal::QUIT, Signal::TERM, Signal::INT].into_iter().flat_map(|s| BOTH.map(|k| (s, k)))
    {
        let address = free_address();
        let folder = prefix("daemon off;", &answering(address, "ok"));
        let mut subject = Subject::start(kind, folder.path());
        // Idle connections are closed in either way.
        let mut idle = Conn::to(address);
        assert_eq!(idle.get("/").text(), "ok", "{kind:?}");
        subject.signal(signal);
        assert!(subject.wait_exit().success(), "{kind:?} {signal:?}: {}", subject.words());
        wait_until("the pid file's end", || !folder.path().join("nginx.pid").exists());
    }
}

#[test]
fn a_bad_header_of_the_proxy_protocol_is_told_in_the_same_words() {
    for kind in BOTH {
        let address = free_address();
        let folder =
            prefix("daemon off;", &format!("server {{ listen {address} proxy_protocol; return 200 ok; }}"));
        let subject = Subject::start(kind, folder.path());
        for (sent, told) in [
            ("GET /a HTTP/1.1", "broken header: \"GET /a HTTP/1.1\""),
            ("\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0", "unknown PROXY protocol version: 3"),
        ] {
            let mut conn = Conn::to(address);
            conn.send(sent);
            assert_eq!(conn.rest().0, b"", "{kind:?}");
            let line = format!("{told} while reading PROXY protocol, client: 127.0.0.1, server: {address}");
            wait_until("the line", || subject.words().contains(&line));
        }
        assert_eq!(subject.stop(), None);
    }
}

#[test]
fn a_response_head_that_is_too_large_is_told_in_the_same_words() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(2000)));
    });
    for kind in BOTH {
        let address = free_address();
        let folder = prefix(
            "daemon off;",
            &format!(
                "server {{ listen {address}; server_name s; proxy_buffer_size 1k; \
                 location / {{ proxy_pass http://{origin}; }} }}"
            ),
        );
        let subject = Subject::start(kind, folder.path());
        assert_eq!(Conn::to(address).get("/").status(), 502, "{kind:?}");
        let line = "upstream sent too big header while reading response header from upstream, client: 127.0.0.1, server: s, ";
        wait_until("the line", || subject.words().contains(line));
        assert!(
            subject.words().contains(&format!("upstream: \"http://{origin}")),
            "{kind:?}: {}",
            subject.words()
        );
        assert_eq!(subject.stop(), None);
    }
}

#[test]
fn usr1_opens_logs_anew() {
    for kind in BOTH {
        let address = free_address();
        let log = "log_format one '$uri';";
        let server = format!("server {{ listen {address}; access_log one.log one; return 200 ok; }}");
        let folder = prefix("daemon off;", &format!("{log} {server}"));
        let (log, old) = (folder.path().join("one.log"), folder.path().join("old.log"));
        let subject = Subject::start(kind, folder.path());
        Conn::to(address).get("/before");
        wait_until("a line", || fs::read_to_string(&log).is_ok_and(|text| text == "/before\n"));
        fs::rename(&log, &old).expect("a file");
        subject.signal(Signal::USR1);
        wait_until("the new file", || log.exists());
        // Both workers have it when one has written to it.
        wait_until("a line in the new file", || {
            Conn::to(address).get("/after");
            fs::read_to_string(&log).is_ok_and(|text| text.contains("/after\n"))
        });
        assert!(fs::read_to_string(&old).expect("a file").starts_with("/before\n"), "{kind:?}");
        assert_eq!(subject.stop(), None);
    }
}

/// Writes the file anew.
fn rewrite(folder: &Path, text: &str) {
    fs::write(folder.join("nginx.conf"), text).expect("a file");
}

fn file(folder: &Path) -> String {
    fs::read_to_string(folder.join("nginx.conf")).expect("a file")
}

#[test]
fn hup_takes_a_new_file_for_new_requests_and_keeps_the_old_one_where_it_is_bad() {
    for kind in BOTH {
        let address = free_address();
        let folder = prefix("daemon off;", &answering(address, "old"));
        let subject = Subject::start(kind, folder.path());
        assert_eq!(Conn::to(address).get("/").text(), "old", "{kind:?}");

        let good = file(folder.path());
        rewrite(folder.path(), &good.replace("return 200 old;", "retrun 200 new;"));
        subject.signal(Signal::HUP);
        let said = "[emerg] ";
        wait_until("the error", || subject.words().contains(said));
        let words = subject.words();
        let line = words.lines().find(|line| line.contains(said)).unwrap_or_default();
        assert!(line.contains("unknown directive \"retrun\" in ") && line.contains("nginx.conf:"), "{line}");
        assert_eq!(Conn::to(address).get("/").text(), "old", "{kind:?}");

        rewrite(folder.path(), &good.replace("return 200 old;", "return 200 new;"));
        subject.signal(Signal::HUP);
        wait_until("the new file", || Conn::to(address).get("/").text() == "new");
        let pid = fs::read_to_string(folder.path().join("nginx.pid")).expect("a pid file");
        assert_eq!(pid, format!("{}\n", subject.pid()), "{kind:?}");
        assert_eq!(subject.stop(), None);
    }
}

#[test]
fn a_new_listener_comes_with_a_reload_and_an_old_one_goes() {
    for kind in BOTH {
        let [old, new] = [free_address(), free_address()];
        let folder = prefix("daemon off;", &answering(old, "ok"));
        let subject = Subject::start(kind, folder.path());
        let text = file(folder.path()).replace(&old.to_string(), &new.to_string());
        rewrite(folder.path(), &text);
        subject.signal(Signal::HUP);
        wait_until("the new listener", || std::net::TcpStream::connect(new).is_ok());
        assert_eq!(Conn::to(new).get("/").text(), "ok", "{kind:?}");
        wait_until("the old listener's end", || std::net::TcpStream::connect(old).is_err());
        assert_eq!(subject.stop(), None);
    }
}

#[test]
fn s_signals_the_process_in_the_pid_file() {
    for (word, kind) in ["quit", "stop"].into_iter().flat_map(|word| BOTH.map(|kind| (word, kind))) {
        let address = free_address();
        let folder = prefix("daemon off;", &answering(address, "old"));
        let mut subject = Subject::start(kind, folder.path());
        rewrite(folder.path(), &file(folder.path()).replace("return 200 old;", "return 200 new;"));
        let output = run(kind, folder.path(), &["-s", "reload"]);
        assert!(output.status.success(), "{kind:?}: {}", text(&output.stderr));
        wait_until("the new file", || Conn::to(address).get("/").text() == "new");
        let output = run(kind, folder.path(), &["-s", word]);
        assert!(output.status.success(), "{kind:?}: {}", text(&output.stderr));
        assert!(subject.wait_exit().success(), "{kind:?}: {}", subject.words());
        // Nobody is there any more, and both say so alike.
        let output = run(kind, folder.path(), &["-s", word]);
        assert_eq!(output.status.code(), Some(1), "{kind:?}");
        assert!(
            text(&output.stderr).contains("nginx.pid\" failed (2: No such file or directory)"),
            "{kind:?}"
        );
    }
}

#[test]
fn without_daemon_off_it_goes_to_the_background() {
    for kind in BOTH {
        let address = free_address();
        let folder = prefix("worker_processes 1;", &answering(address, "ok"));
        let output = run(kind, folder.path(), &[]);
        assert!(output.status.success(), "{kind:?}: {}", text(&output.stderr));
        wait_until("the pid file", || {
            fs::read_to_string(folder.path().join("nginx.pid")).is_ok_and(|pid| pid.ends_with('\n'))
        });
        assert_eq!(Conn::to(address).get("/").text(), "ok", "{kind:?}");
        let output = run(kind, folder.path(), &["-s", "quit"]);
        assert!(output.status.success(), "{kind:?}: {}", text(&output.stderr));
        wait_until("the pid file's end", || !folder.path().join("nginx.pid").exists());
    }
}

#[test]
fn versions_go_to_standard_error() {
    for kind in BOTH {
        for flag in ["-v", "-V"] {
            let output = Command::new(kind.program()).arg(flag).output().expect("it runs");
            assert!(output.status.success() && output.stdout.is_empty(), "{kind:?} {flag}");
            assert!(text(&output.stderr).contains("nginx version: nginx/1."), "{kind:?} {flag}");
        }
    }
}
