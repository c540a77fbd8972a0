//! The command line's messages, one by one.

use std::path::Path;

use super::*;
use crate::config::{Host, Server, Stream};

/// Parses what a shell would have split into `words`.
fn run(words: &[&str]) -> Result<Config, Exit> {
    parse(std::iter::once("proxy").chain(words.iter().copied()).map(OsString::from))
}

/// Parses the words after `--upstream a:1`, which must be good.
fn config(words: &[&str]) -> Config {
    run(&[&["--upstream", "a:1"], words].concat()).unwrap_or_else(|exit| panic!("{words:?}: {}", exit.text))
}

/// The line that is printed for bad words, without the program's name.
fn error(words: &[&str]) -> String {
    let exit = run(words).expect_err("bad words");
    assert_eq!((exit.stream, exit.status), (Stream::Stderr, 2), "{words:?}");
    let line = exit.text.strip_suffix('\n').expect("a line feed at the end");
    assert!(!line.contains('\n'), "more than one line: {line}");
    line.strip_prefix("proxy: ").expect("the program's name in front").to_owned()
}

/// As in `main`: run with the configuration, or print and end.
#[test]
fn how_main_uses_it() {
    let args = ["proxy", "--upstream", "app1:5000 weight=2,app2:5000"].map(OsString::from);
    let status = match parse(args.into_iter()) {
        Ok(config) => {
            assert_eq!(config.upstreams[0].servers.len(), 2);
            0
        }
        // `return exit.print()`
        Err(exit) => exit.status,
    };
    assert_eq!(status, 0);
}

#[test]
fn the_defaults_are_those_of_the_config() {
    assert_eq!(config(&[]), Config::new(vec![Server::new("a:1", Host::Name("a".to_owned(), 1))]));
}

#[test]
fn every_flag_reaches_the_config() {
    let flags = "--balance least-conn --max-fails 3 --fail-timeout 1m --next-upstream error,http_502 \
        --tries 2 --keepalive 8 --resolve-interval 1s --strict-names --listen [::1]:81 --listen unix:/l \
        --trust-forwarded 10.1.2.3/8,::1 --max-body-size 0 --max-header-size 32k --max-connections 5 \
        --connect-timeout 1s --read-timeout 2s --send-timeout 3s --client-header-timeout 4s \
        --client-body-timeout 5s --keepalive-timeout 6s --upstream-idle-timeout 7s --access-log /a \
        --log-level debug --workers 3 --pid-file /p --health-check /h?x --health-interval 1500ms";
    let mut words = vec!["--upstream", "a:1,b:1 max_fails=9", "--upstream", "c:1 fail_timeout=2s"];
    words.extend(flags.split_ascii_whitespace());
    let server = |name: &str, max_fails, seconds| Server {
        max_fails,
        fail_timeout: Duration::from_secs(seconds),
        ..Server::new(&format!("{name}:1"), Host::Name(name.to_owned(), 1))
    };
    let servers = vec![server("a", 3, 60), server("b", 9, 60), server("c", 3, 2)];
    let mut expected = Config::new(servers);
    expected.listeners = vec![
        Listener::new(Listen::Tcp("[::1]:81".parse().expect("an address"))),
        Listener::new(Listen::Unix("/l".into())),
    ];
    expected.process = Process {
        workers: 3,
        max_connections: 5,
        log_level: LevelFilter::Debug,
        pid_file: Some("/p".into()),
        strict_names: true,
        resolve_interval: Duration::from_secs(1),
        ..Process::default()
    };
    let group = &mut expected.upstreams[0];
    (group.balance, group.keepalive) = (Balance::LeastConn, 8);
    group.idle_timeout = Duration::from_secs(7);
    group.checks.push(HealthCheck {
        interval: Duration::from_millis(1500),
        response_head_max: 32 << 10,
        timeouts: Timeouts {
            connect: Duration::from_secs(1),
            read: Duration::from_secs(2),
            send: Duration::from_secs(3),
            ..Timeouts::default()
        },
        time_in_all: Some(Duration::from_millis(1500)),
        ..HealthCheck::new("/h?x", "a:1")
    });
    expected.sites[0].client = ClientRules {
        header_timeout: Duration::from_secs(4),
        keepalive_timeout: Duration::from_secs(6),
        max_header_size: 32 << 10,
        trusted: vec!["10.0.0.0/8".parse().expect("a net"), "::1/128".parse().expect("a net")],
        ..ClientRules::default()
    };
    expected.sites[0].location.rules = Rules {
        timeouts: Timeouts {
            connect: Duration::from_secs(1),
            read: Duration::from_secs(2),
            send: Duration::from_secs(3),
            client_body: Duration::from_secs(5),
            client_send: Duration::from_secs(3),
        },
        next_upstream: NextUpstream {
            timeout: false,
            statuses: [502, 0, 0, 0, 0, 0, 0],
            ..NextUpstream::default()
        },
        tries: 2,
        max_body_size: 0,
        ..Rules::default()
    };
    expected.log_to("/a");
    assert_eq!(run(&words), Ok(expected));
}

#[test]
fn words_are_read_in_every_form() {
    for word in ["ip_hash", "ip-hash"] {
        assert_eq!(config(&["--balance", word]).upstreams[0].balance, Balance::IpHash);
    }
    for (word, level) in [
        ("emerg", LevelFilter::Error),
        ("crit", LevelFilter::Error),
        ("warn", LevelFilter::Warn),
        ("notice", LevelFilter::Info),
    ] {
        assert_eq!(config(&["--log-level", word]).process.log_level, level);
    }
    for path in ["-", "/dev/stdout", "./off"] {
        let logs = config(&["--access-log", path]).sites[0].location.rules.logs.clone();
        assert_eq!(
            logs.iter().map(|log| &log.path).collect::<Vec<_>>(),
            [&super::super::template::Template::text(path)]
        );
    }
    assert!(config(&["--access-log", "off"]).sites[0].location.rules.logs.is_empty());
    assert_eq!(config(&["--trust-forwarded", "10.0.0.1, ::/0"]).sites[0].client.trusted.len(), 2);
    assert!(config(&["--workers", "auto"]).process.workers >= 1);
}

#[test]
fn paths_need_not_be_utf8() {
    use std::os::unix::ffi::OsStringExt;

    let mut args = ["proxy", "--upstream", "a", "--pid-file"].map(OsString::from).to_vec();
    args.push(OsString::from_vec(b"/run/\xff".to_vec()));
    let path = parse(args.into_iter()).expect("a config").process.pid_file.expect("a path");
    assert_eq!(path.parent(), Some(Path::new("/run")));
}

#[test]
fn next_upstream_takes_commas_and_spaces() {
    let all = "error timeout,invalid_header non_idempotent http_500 http_502 http_503 http_504 http_403, \
               http_404 http_429";
    let next = config(&["--next-upstream", all]).sites[0].location.rules.next_upstream;
    assert!(next.error && next.timeout && next.invalid_header && next.non_idempotent);
    assert_eq!(next.statuses, [500, 502, 503, 504, 403, 404, 429]);
    let next = config(&["--next-upstream", "http_404,http_500"]).sites[0].location.rules.next_upstream;
    assert_eq!(next.statuses, [500, 404, 0, 0, 0, 0, 0], "the used places come first");
    let next = config(&["--next-upstream", "off"]).sites[0].location.rules.next_upstream;
    assert!(!next.error && !next.timeout && next.statuses == [0; 7]);
}

#[test]
fn bad_values_are_explained() {
    let time = "not a time; write 10s, 500ms, 1m30s or 2h (a bare number is seconds)";
    let address = "no port; write PORT, IP:PORT, [IPV6]:PORT or unix:PATH";
    for (flag, value, problem) in [
        ("--upstream", "", "no server; name at least one, as in app1:5000"),
        ("--upstream", "a:0", "port 0 is no port; give one from 1 to 65535"),
        ("--upstream", "a:1 weight=0", "weight=0 gives it no share; write 1 or more, or \"down\""),
        ("--upstream", "a:1,", "a comma without a server; drop the comma"),
        ("--listen", "0", "port 0 is no port; give one from 1 to 65535"),
        ("--listen", "127.0.0.1", address),
        ("--listen", "", address),
        ("--listen", "127.0.0.1:1,127.0.0.1:2", "several addresses; give --listen once for each"),
        ("--upstream", "a:1;b:2", "\";\" in an address; servers are separated by commas"),
        ("--access-log", "", "no path; write a file, - or off"),
        ("--balance", "random", "unknown method; write round_robin, least_conn, least_time or ip_hash"),
        ("--max-fails", "x", "not a number in range; write 0 to 4294967295"),
        ("--max-fails", "+1", "not a number in range; write 0 to 4294967295"),
        ("--fail-timeout", "10x", time),
        (
            "--next-upstream",
            "errors",
            "unknown word \"errors\"; there are error, timeout, invalid_header, non_idempotent, http_500, \
             http_502, http_503, http_504, http_403, http_404, http_429 and off",
        ),
        ("--next-upstream", "", "no word; write off to try no other server"),
        ("--next-upstream", "off,error", "off stands alone; drop it or the other words"),
        ("--next-upstream", "error,error", "error is there twice; drop one"),
        ("--tries", "-1", "not a number in range; write 0 to 4294967295"),
        ("--keepalive", "1000001", "not a number in range; write 0 to 1000000"),
        ("--health-check", "healthz", "not a path; write /healthz"),
        ("--health-check", "/a b", "not a path; write /healthz"),
        ("--max-body-size", "1mb", "not a size; write 8k, 1m, 1g or a number of bytes"),
        ("--max-header-size", "1023", "out of range; write a size from 1k to 1m"),
        ("--max-header-size", "1025k", "out of range; write a size from 1k to 1m"),
        ("--max-connections", "0", "not a number in range; write 1 to 10000000"),
        ("--workers", "0", "no number of threads; write 1 to 1024, or auto"),
        ("--workers", "all", "no number of threads; write 1 to 1024, or auto"),
        ("--log-level", "trace", "unknown level; write error, warn, info or debug"),
        ("--trust-forwarded", "10.0.0.0/33", "not a network; write 10.0.0.0/8, fd00::/8 or a single address"),
        ("--trust-forwarded", "", "not a network; write 10.0.0.0/8, fd00::/8 or a single address"),
    ] {
        let written = format!("{flag}={value}");
        let words = ["--upstream", "good:1", written.as_str()];
        let words = if flag == "--upstream" { &words[2..] } else { &words[..] };
        assert_eq!(error(words), format!("invalid value {value:?} for {flag}: {problem}"));
    }
}

#[test]
fn no_wait_may_be_zero() {
    for flag in [
        "--connect-timeout",
        "--read-timeout",
        "--send-timeout",
        "--client-header-timeout",
        "--client-body-timeout",
        "--keepalive-timeout",
        "--upstream-idle-timeout",
        "--resolve-interval",
        "--health-interval",
    ] {
        assert_eq!(
            error(&["--upstream", "a", flag, "0"]),
            format!("invalid value \"0\" for {flag}: 0 leaves no time at all; write 1ms or more")
        );
    }
}

#[test]
fn what_does_not_fit_together_is_explained() {
    for (words, text) in [
        (&[][..], "--upstream is missing; name the servers, as in --upstream app1:5000,app2:5000"),
        (
            &["--upstream", "a:1,b:1", "--upstream", "a:1"],
            "invalid servers for --upstream: a:1 is there twice; list each server once, and use weight= to \
             give it more",
        ),
        (
            &["--upstream", "a backup"],
            "invalid servers for --upstream: every server is a backup; leave at least one without it",
        ),
        (
            &["--upstream", "a,b backup", "--balance", "ip_hash"],
            "invalid value \"ip_hash\" for --balance: b is a backup, which ip_hash does not support; drop it \
             or choose another method",
        ),
        (
            &["--upstream", "a", "--listen", "8080", "--listen", ":8080"],
            "invalid value \"0.0.0.0:8080\" for --listen: it is there twice; drop one",
        ),
    ] {
        assert_eq!(error(words), text);
    }
}

#[test]
fn what_is_no_flag_is_explained() {
    for (words, text) in [
        (&["--upstreams", "a"][..], "unknown flag \"--upstreams\"; did you mean --upstream?"),
        (&["--zzz"], "unknown flag \"--zzz\"; --help lists all"),
        (&["-x"], "unknown flag \"-x\"; --help lists all"),
        (&["é"], "unexpected argument \"é\"; servers are given as --upstream SERVERS"),
        (
            &["--upstream", "a", "10.0.0.1:5000"],
            "unexpected argument \"10.0.0.1:5000\"; servers are given as --upstream SERVERS",
        ),
        (
            &["--upstream", "a", "--fail-timeout", "-5s"],
            "\"-5\" is no flag, and no value here may be below zero",
        ),
        (
            &["--upstream", "a", "-c", "nginx.conf"],
            "-c is for an nginx.conf and does not go with flags; put it first and leave those out",
        ),
        (
            &["--upstream", "a", "--health-interval", "1s"],
            "--health-interval needs --health-check; add the path that each server is asked for",
        ),
        (&["app1:5000"], "unexpected argument \"app1:5000\"; servers are given as --upstream SERVERS"),
        (&["--listen"], "--listen needs a value; write --listen ADDRESS"),
        (&["--pid-file="], "--pid-file needs a value; write --pid-file PATH"),
        (&["--strict-names=yes"], "--strict-names takes no value; drop \"yes\""),
        (&["--tries", "1", "--tries", "2"], "--tries is given twice; drop one"),
    ] {
        assert_eq!(error(words), text);
    }
}

#[test]
fn odd_values_stay_one_short_line() {
    assert!(error(&["--balance", "a\nb\u{1b}[31m"]).starts_with("invalid value \"a\\nb\\u{1b}[31m\" for"));
    assert!(error(&["--balance", &"x".repeat(100_000)]).len() < 400);
    use std::os::unix::ffi::OsStringExt;
    let args = [OsString::from("proxy"), "--balance".into(), OsString::from_vec(b"\xff".to_vec())];
    let exit = parse(args.into_iter()).expect_err("not UTF-8");
    assert_eq!(exit.text, "proxy: an argument is not UTF-8; only paths may be anything else\n");
}

/// The text of `-h` or `--help`.
fn help(flag: &str) -> String {
    // Also where something else would be wrong.
    let exit = run(&["--tries", "1", flag, "--zzz"]).expect_err("help");
    assert_eq!((exit.stream, exit.status), (Stream::Stdout, 0));
    exit.text
}

#[test]
fn help_shows_every_flag_within_80_columns() {
    for text in [help("-h"), help("--help")] {
        assert!(text.ends_with('\n') && !text.contains("\n\n\n"), "{text}");
        for line in text.lines() {
            assert!(line.len() <= 80 && line.trim_end() == line, "{line:?}");
        }
        for arg in command().get_arguments() {
            let flag = format!("--{}", arg.get_long().expect("a long name"));
            let line = text
                .lines()
                .find(|line| line.starts_with("  ") && line.split(' ').any(|word| word == flag))
                .unwrap_or_else(|| panic!("{flag} is not described"));
            assert!(line[31..].starts_with(' ') && line.len() > 33, "{line:?}");
            if let [default] = arg.get_default_values()
                && arg.get_action().takes_values()
            {
                let default = format!("[{}]", default.to_str().expect("text"));
                assert!(line.ends_with(&default), "{line:?} without {default}");
            }
        }
    }
}

#[test]
fn long_help_explains_every_flag_with_a_value() {
    for arg in command().get_arguments().filter(|arg| arg.get_action().takes_values()) {
        let name = arg.get_id();
        assert!(arg.get_long_help().is_some(), "{name} has no explanation");
    }
    let text = help("--help");
    assert!(text.lines().count() < 190, "{} lines", text.lines().count());
    assert!(!text.contains("<") && text.matches("    proxy --upstream").count() >= 4);
}

#[test]
fn the_examples_of_the_help_are_good() {
    let text = help("--help").replace("\\\n", " ");
    let mut count = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("    proxy ")) {
        // Quotes as a shell takes them; the examples have no others.
        let mut words = vec![String::new()];
        let mut quote = None;
        for c in line.chars() {
            match (quote, c) {
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), c) if open == c => quote = None,
                (None, ' ') => words.push(String::new()),
                (_, c) => words.last_mut().expect("a word").push(c),
            }
        }
        let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
        run(&words).unwrap_or_else(|exit| panic!("{line}: {}", exit.text));
        count += 1;
    }
    assert_eq!(count, 6);
}

#[test]
fn the_version_is_the_packages() {
    let exit = run(&["--version"]).expect_err("the version");
    assert_eq!(exit.text, format!("proxy {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!((exit.stream, exit.status), (Stream::Stdout, 0));
}
