//! What is wrong with a configuration is said in nginx's words, held against nginx itself: both read the
//! same file, and both lines are compared.
//!
//! `cases.rs` has the texts. What differs on purpose stands apart there, with what nginx says.

mod cases;

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use proxy::config::nginx::{self, Disk, Loaded, Refused, cli};

/// This proxy reads what a command line names, with the privileges of this test, as nginx is run by it too: the
/// words depend on them.
fn load(line: &cli::CommandLine) -> Result<Loaded, Box<Refused>> {
    nginx::load(&Disk, &line.options(rustix::process::geteuid().is_root(), "localhost"))
}

/// The command line for `nginx.conf` in a folder, which is also the prefix.
fn command_line(folder: &Path, flags: &[&str]) -> Vec<OsString> {
    let mut args: Vec<OsString> = ["-e", "error.log", "-c", "nginx.conf", "-p"].map(OsString::from).to_vec();
    args.push(folder.as_os_str().to_owned());
    args.extend(flags.iter().map(OsString::from));
    args
}

fn parse(args: &[OsString]) -> cli::CommandLine {
    cli::parse(args, "/w").expect("a command line")
}

/// What this proxy says of a file: its warnings, and the error if there is one.
fn ours(folder: &Path) -> Vec<String> {
    let (warnings, error) = match load(&parse(&command_line(folder, &[]))) {
        Ok(loaded) => (loaded.warnings, None),
        Err(refused) => (refused.warnings, Some(refused.error)),
    };
    let warnings = warnings.iter().map(|warning| format!("[warn] {warning}"));
    warnings.chain(error.map(|error| format!("[emerg] {error}"))).collect()
}

/// What nginx says of it.
fn theirs(folder: &Path) -> Vec<String> {
    let output = Command::new("nginx")
        .args(command_line(folder, &["-t"]))
        .output()
        .unwrap_or_else(|error| panic!("nginx does not run ({error}): apt-get install nginx-light"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = text.lines().filter_map(|line| line.strip_prefix("nginx: "));
    lines
        .filter(|line| line.starts_with("[warn] ") || line.starts_with("[emerg] "))
        .map(str::to_owned)
        .collect()
}

/// A folder with the case as `nginx.conf`. What nginx opens for logs is kept in it.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("logs")).expect("a folder");
    std::fs::write(folder.path().join("nginx.conf"), format!("pid nginx.pid;\n{text}\n")).expect("a file");
    folder
}

/// A case in full: `~` is an `http` block, `%` a `server` in it, `@` a `location` in that.
fn full(case: &str) -> String {
    let temp = "client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; \
                scgi_temp_path t5; access_log off;";
    let (level, text) = case.split_at(1);
    match level {
        "~" => format!("events {{}} http {{ {temp}\nserver {{ listen unix:a.sock; }}\n{text}\n}}"),
        "%" => format!("events {{}} http {{ {temp}\nserver {{ listen unix:a.sock;\n{text}\n}} }}"),
        "@" => {
            format!(
                "events {{}} http {{ {temp}\nserver {{ listen unix:a.sock; location /a/ {{\n{text}\n}} }} }}"
            )
        }
        _ => case.to_owned(),
    }
}

/// Lines without the folder's name, and without the place of an unknown variable, which nginx leaves out.
fn comparable(lines: Vec<String>, folder: &Path) -> Vec<String> {
    let shorten = |line: String| {
        let line = line.replace(&format!("{}/", folder.display()), "");
        match line.split_once("\" variable in nginx.conf") {
            Some((start, _)) if start.starts_with("[emerg] unknown \"") => format!("{start}\" variable"),
            _ => line,
        }
    };
    lines.into_iter().map(shorten).collect()
}

#[test]
fn both_say_the_same() {
    let mut different = Vec::new();
    for case in cases::SAME {
        let folder = folder(&full(case));
        let ours = comparable(ours(folder.path()), folder.path());
        let theirs = comparable(theirs(folder.path()), folder.path());
        if ours != theirs {
            different.push(format!("{case}\n  ours:   {ours:?}\n  nginx's: {theirs:?}"));
        }
    }
    let count = different.len();
    assert!(different.is_empty(), "{count} cases differ:\n{}", different.join("\n"));
}

#[test]
fn what_differs_differs_as_expected() {
    let mut wrong = Vec::new();
    for (case, ours_expected, theirs_expected) in cases::DIFFERENT {
        let folder = folder(&full(case));
        let ours = comparable(ours(folder.path()), folder.path()).join("; ");
        let theirs = comparable(theirs(folder.path()), folder.path()).join("; ");
        if ours != *ours_expected || theirs != *theirs_expected {
            wrong.push(format!("{case}\n  ours:   {ours:?}\n  nginx's: {theirs:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} cases are not as expected:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_check_is_reported_as_nginx_reports_it() {
    let good = full("%server_name a/b; include more; location / { return 200; }");
    let bad = full("%foo;");
    let no_events = "http { access_log off; server { listen unix:a.sock; } }".to_owned();
    for (text, flags, globals) in [
        (&good, "-t", ""),
        (&good, "-tq", ""),
        (&good, "-T", ""),
        (&good, "-Tq", "worker_processes 2;"),
        (&bad, "-t", ""),
        (&bad, "-Tq", ""),
        (&good, "-t", "foo;"),
        (&good, "-t", "daemon off"),
        (&good, "-t", "worker_processes 2; events {}"),
        (&good, "-t", "pid b;"),
    ] {
        let folder = folder(text);
        let path = folder.path();
        std::fs::write(path.join("more"), "# nothing\n").expect("a file");
        let flags = if globals.is_empty() { vec![flags] } else { vec![flags, "-g", globals] };
        let args = command_line(path, &flags);
        let line = parse(&args);
        assert_eq!(line.path, path.join("nginx.conf").to_str().expect("UTF-8"));
        let report = cli::report(&line, &load(&line));
        let output = Command::new("nginx").args(&args).output().expect("nginx runs");
        let case = format!("{flags:?} {text}");
        assert_eq!(report.stderr, String::from_utf8_lossy(&output.stderr), "{case}");
        assert_eq!(
            String::from_utf8_lossy(&report.stdout),
            String::from_utf8_lossy(&output.stdout),
            "{case}"
        );
        assert_eq!(report.is_ok, output.status.success(), "{case}");
    }
    // Its syntax is well, the whole is not; and without -t the error is all there is.
    let folder = folder(&no_events);
    let path = format!("{}/nginx.conf", folder.path().display());
    let words = |flags: &[&str]| {
        let line = parse(&command_line(folder.path(), flags));
        cli::report(&line, &load(&line)).stderr
    };
    let error = "nginx: [emerg] no \"events\" section in configuration\n";
    assert_eq!(
        words(&["-t"]),
        format!(
            "nginx: the configuration file {path} syntax is ok\n{error}nginx: configuration file {path} test failed\n"
        )
    );
    assert_eq!(words(&[]), error);
}

#[test]
fn slips_of_the_command_line_are_worded_as_nginx_words_them() {
    for words in ["-x", "foo", "-s foo", "-s", "-g", "-c", "-e", "-p", "-tx"] {
        let args: Vec<_> = words.split(' ').map(OsString::from).collect();
        let output = Command::new("nginx").args(&args).output().expect("nginx runs");
        let theirs = String::from_utf8_lossy(&output.stderr).into_owned();
        let error = cli::parse(&args, "/w").expect_err(words);
        assert_eq!(format!("nginx: {error}\n"), theirs, "{words}");
    }
}

#[test]
fn the_project_s_own_configurations_are_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace");
    let line = parse(&command_line(&root.join("nginx"), &["-g", "daemon off;"]));
    let loaded = load(&line).map_err(|refused| refused.error.to_string());
    let loaded = loaded.expect("nginx/nginx.conf is read");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(loaded.config.upstreams[0].servers.len(), 2);

    let readme = std::fs::read_to_string(root.join("README.md")).expect("the page");
    let snippets: Vec<_> =
        readme.split("```nginx\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(snippets.len() > 2, "the page has snippets of nginx.conf");
    for snippet in snippets {
        let server = "server { listen unix:a.sock; location / { proxy_pass http://app; } }";
        let folder = folder(&format!("events {{}} http {{ {snippet} {server} }}"));
        assert_eq!(ours(folder.path()), [""; 0], "{snippet}");
    }
}
