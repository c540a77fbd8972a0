//! Flags, listening, and what happens where that fails.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use rustix::process::Signal;

use crate::support::origin::{answer, ok};
use crate::support::{Conn, Origin, Proxy, free_address, process};

#[test]
fn bad_input_is_one_line_and_status_2_and_binds_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("listen");
    let pid_file = folder.path().join("pid");
    let listen = format!("unix:{}", socket.display());
    let good = ["--listen", &listen, "--pid-file", pid_file.to_str().expect("text")];
    for (bad, part) in [
        (&["--upstream", "a:1", "--balance", "random"][..], "unknown method"),
        (&["--upstream", "a:0"], "port 0 is no port"),
        (&["--upstream", ""], "no server"),
        (&[], "--upstream is missing"),
        (&["--upstream", "a:1,a:1"], "a:1 is there twice"),
        (&["--upstream", "a:1", "--read-timeout", "10x"], "not a time"),
        (&["--upstream", "a:1", "--listen", "0"], "port 0 is no port"),
        (&["--upstream", "a:1 weight=0"], "weight=0 gives it no share"),
        (&["--upstream", "a:1", "--workers", "0"], "no number of threads"),
        (&["--upstream", "a:1", "--upstreams", "b:1"], "unknown flag"),
    ] {
        let (status, text) = process::run(&[&good, bad].concat());
        assert_eq!(status, Some(2), "{bad:?}: {text}");
        assert!(text.starts_with("proxy: ") && text.contains(part), "{bad:?}: {text}");
        assert_eq!(text.matches('\n').count(), 1, "{bad:?}: {text}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "{bad:?}");
    }
}

#[test]
fn version_and_help_end_well() {
    for flag in ["--version", "--help", "-h"] {
        assert_eq!(process::run(&[flag]), (Some(0), String::new()));
    }
}

#[test]
fn it_listens_on_every_address_and_family() {
    let origin = Origin::named("here");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("listen");
    let other = free_address();
    let v6 = TcpListener::bind("[::1]:0").and_then(|listener| listener.local_addr()).expect("IPv6 loopback");
    for workers in [1, 3] {
        let flags =
            format!("--listen {other} --listen {v6} --listen unix:{} --workers {workers}", path.display());
        let mut proxy = Proxy::start(origin.to_string(), &flags);
        for address in [proxy.address(), other, v6] {
            assert_eq!(Conn::to(address).get("/").text(), "here", "{address}");
        }
        for _ in 0..5 {
            assert_eq!(Conn::to_unix(&path).get("/").text(), "here");
        }
        proxy.signal(Signal::TERM);
        assert!(proxy.wait_exit().success());
        assert!(!path.exists(), "the socket's file goes with the proxy");
    }
}

#[test]
fn upstreams_are_reached_over_ipv6_and_unix_sockets() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.sock");
    let unix = Origin::start_unix(&path, answer(ok("unix")));
    let v6: SocketAddr =
        TcpListener::bind("[::1]:0").and_then(|listener| listener.local_addr()).expect("IPv6 loopback");
    let inet = Origin::start_at(v6, answer(ok("inet")));
    let proxy = Proxy::start(format!("{unix},{inet}"), "");
    let mut conn = proxy.connect();
    let bodies: Vec<String> = (0..4).map(|_| conn.get("/").text().to_owned()).collect();
    assert_eq!(bodies, ["unix", "inet", "unix", "inet"]);
    assert_eq!((unix.connections(), inet.connections()), (1, 1));
}

/// With `SO_REUSEPORT` on every socket the kernel would let the second one in and split the clients.
#[test]
fn a_taken_port_is_a_clear_error_whatever_the_workers() {
    let origin = Origin::named("first");
    for (first, second) in [(1, 1), (1, 4), (4, 1), (4, 4)] {
        let proxy = Proxy::start(origin.to_string(), &format!("--workers {first}"));
        let address = proxy.address();
        let folder = tempfile::tempdir().expect("a folder");
        let pid_file = folder.path().join("pid");
        let (status, text) = process::run(&[
            "--upstream",
            "127.0.0.1:1",
            "--listen",
            &address.to_string(),
            "--workers",
            &second.to_string(),
            "--pid-file",
            pid_file.to_str().expect("text"),
        ]);
        assert_eq!(status, Some(1), "{first} and {second} workers: {text}");
        assert_eq!(
            text,
            format!(
                "proxy: cannot listen on {address}: Address already in use (os error 98); stop the process that \
                 listens there or choose another address with --listen\n"
            )
        );
        assert!(!pid_file.exists());
        for _ in 0..20 {
            assert_eq!(proxy.get("/"), "first");
        }
    }
}

#[test]
fn a_wildcard_beside_a_taken_address_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = taken.local_addr().expect("an address").port();
    let (status, text) =
        process::run(&["--upstream", "127.0.0.1:1", "--listen", &port.to_string(), "--workers", "2"]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.starts_with(&format!("proxy: cannot listen on 0.0.0.0:{port}: Address already in use")));
}

#[test]
fn where_one_address_fails_nothing_stays_bound() {
    let taken = TcpListener::bind(free_address()).expect("a listener");
    let taken = taken.local_addr().map(|address| (taken, address)).expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("listen");
    let listen = format!("unix:{}", socket.display());
    let args = [
        "--upstream",
        "127.0.0.1:1",
        "--listen",
        &listen,
        "--listen",
        &taken.1.to_string(),
        "--workers",
        "2",
    ];
    let (status, text) = process::run(&args);
    assert_eq!(status, Some(1), "{text}");
    assert!(!socket.exists(), "a socket's file is left behind");

    let pid_file = folder.path().join("no/folder/pid");
    let log = folder.path().join("no/folder/log");
    for (flag, path) in [("--pid-file", pid_file), ("--access-log", log)] {
        let path = path.to_str().expect("text");
        let (status, text) =
            process::run(&["--upstream", "127.0.0.1:1", "--listen", &listen, flag, path, "--workers", "2"]);
        assert_eq!(status, Some(1), "{text}");
        assert!(text.starts_with("proxy: cannot ") && text.contains(path), "{text}");
        assert!(!socket.exists(), "a socket's file is left behind");
    }
}

#[test]
fn a_unix_socket_that_is_in_use_is_left_alone_and_a_stale_one_is_replaced() {
    let origin = Origin::named("here");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("listen");
    let listen = format!("unix:{}", path.display());
    let mut first = Proxy::start(origin.to_string(), &format!("--listen {listen}"));
    let (status, text) = process::run(&["--upstream", "127.0.0.1:1", "--listen", &listen]);
    assert_eq!(status, Some(1));
    assert!(text.starts_with(&format!("proxy: cannot listen on {listen}: ")), "{text}");
    assert!(text.contains("stop the process that listens there"), "{text}");
    assert_eq!(Conn::to_unix(&path).get("/").text(), "here");

    first.signal(Signal::KILL);
    first.wait_exit();
    assert!(path.exists(), "a killed process cannot clean up");
    let _second = Proxy::start(origin.to_string(), &format!("--listen {listen}"));
    assert_eq!(Conn::to_unix(&path).get("/").text(), "here");
}

#[test]
fn a_unix_socket_that_cannot_be_made_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, nowhere) = (folder.path().join("file"), folder.path().join("no/socket"));
    std::fs::write(&file, "text").expect("a file");
    for (path, remedy) in [
        (&file, "a file that is no socket is there, remove it or choose another path with --listen"),
        (&nowhere, "choose a path with --listen in a folder that is there and may be written to"),
    ] {
        let listen = format!("unix:{}", path.display());
        let (status, text) = process::run(&["--upstream", "127.0.0.1:1", "--listen", &listen]);
        assert_eq!(status, Some(1), "{text}");
        assert!(text.ends_with(&format!("; {remedy}\n")), "{text}");
    }
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), "text");
}

#[test]
fn the_pid_file_says_when_it_is_ready_and_goes_at_the_end() {
    let origin = Origin::named("here");
    for (workers, signal) in [(1, Signal::TERM), (3, Signal::QUIT), (2, Signal::INT)] {
        let mut proxy = Proxy::start(origin.to_string(), &format!("--workers {workers}"));
        // `start` has waited for nothing but the file.
        TcpStream::connect(proxy.address()).expect("it listens already");
        let text = std::fs::read_to_string(proxy.pid_file()).expect("a pid file");
        assert_eq!(text, format!("{}\n", proxy.pid()));
        proxy.signal(signal);
        assert_eq!(proxy.wait_exit().code(), Some(0));
        assert!(!proxy.pid_file().exists());
    }
}

#[test]
fn an_address_in_time_wait_can_be_listened_on_again() {
    let origin = Origin::named("here");
    let address = free_address();
    for workers in [1, 2, 1] {
        let mut proxy = Proxy::start_at(address, origin.to_string(), &format!("--workers {workers}"));
        let mut conn = proxy.connect();
        conn.get("/");
        proxy.signal(Signal::TERM);
        assert!(proxy.wait_exit().success());
        // The proxy closed first, so its side of the connection waits.
        conn.assert_closed();
    }
}

#[test]
fn a_standard_error_that_cannot_be_written_is_no_obstacle() {
    let folder = tempfile::tempdir().expect("a folder");
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is on every Linux");
    let path = folder.path().join("nginx.conf");
    let run = |more: &[&str]| {
        let mut command = Command::new(process::PROXY);
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "stderr"]).args(more);
        command.stderr(full()).status().expect("it starts").code()
    };
    std::fs::write(&path, "pid x.pid; error_log stderr; events {} http { access_log off; server {} }")
        .expect("a file");
    for (more, status) in [(&["-t"][..], 0), (&["-v"], 0), (&["-h"], 0), (&["-s", "stop"], 1), (&["-x"], 1)] {
        assert_eq!(run(more), Some(status), "{more:?}");
    }
    std::fs::write(&path, "foo;").expect("a file");
    assert_eq!((run(&[]), run(&["-t"])), (Some(1), Some(1)));
}
