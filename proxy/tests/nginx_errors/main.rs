//! What is wrong with a configuration is said in nginx's words, held against nginx itself: both read the
//! same file, and both lines are compared.
//!
//! `cases.rs` has the texts. What differs on purpose stands apart there, with what nginx says.

mod cases;

use std::path::Path;
use std::process::Command;

use proxy::config::nginx::{self, Disk, Loaded, Options, Refused, cli};

/// This proxy reads `nginx.conf` of a folder, which is also the prefix.
fn load(folder: &Path, globals: &str) -> Result<Loaded, Box<Refused>> {
    let prefix = format!("{}/", folder.display());
    let options = Options {
        path: format!("{prefix}nginx.conf"),
        prefix,
        globals,
        error_log: "error.log",
        // As nginx is run by this test: the words depend on it.
        is_root: rustix::process::geteuid().is_root(),
        hostname: "localhost",
    };
    nginx::load(&Disk, &options)
}

/// What this proxy says of a file: its warnings, and the error if there is one.
fn ours(folder: &Path) -> Vec<String> {
    let (warnings, error) = match load(folder, "") {
        Ok(loaded) => (loaded.warnings, None),
        Err(refused) => (refused.warnings, Some(refused.error)),
    };
    let warnings = warnings.iter().map(|warning| format!("[warn] {warning}"));
    warnings.chain(error.map(|error| format!("[emerg] {error}"))).collect()
}

/// What nginx says of it.
fn theirs(folder: &Path) -> Vec<String> {
    let output = Command::new("nginx")
        .arg("-t")
        .args(["-e", "error.log", "-c", "nginx.conf", "-p"])
        .arg(folder)
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
        let mut args = vec!["-e".into(), "error.log".into(), "-c".into(), "nginx.conf".into(), "-p".into()];
        args.extend([path.as_os_str().to_owned(), flags.into()]);
        if !globals.is_empty() {
            args.extend(["-g".into(), globals.into()]);
        }
        let line = cli::parse(&args, "/w").expect("a command line");
        assert_eq!(line.path, path.join("nginx.conf").to_str().expect("UTF-8"));
        let report = cli::report(&line, &load(path, &line.globals));
        let output = Command::new("nginx").args(&args).output().expect("nginx runs");
        let case = format!("{flags} {globals:?} {text}");
        assert_eq!(report.stderr, String::from_utf8_lossy(&output.stderr), "{case}");
        assert_eq!(
            String::from_utf8_lossy(&report.stdout),
            String::from_utf8_lossy(&output.stdout),
            "{case}"
        );
        assert_eq!(report.is_ok, output.status.success(), "{case}");
    }
    // Its syntax is well, the whole is not; there nginx's words differ with what it is built with.
    let folder = folder(&no_events);
    let line = cli::parse(&["-t".into()], "/w").expect("a command line");
    let report = cli::report(&line, &load(folder.path(), ""));
    assert_eq!(
        report.stderr,
        "nginx: the configuration file /w/nginx.conf syntax is ok\n\
         nginx: [emerg] no \"events\" section in configuration\n\
         nginx: configuration file /w/nginx.conf test failed\n"
    );
}

#[test]
fn slips_of_the_command_line_are_worded_as_nginx_words_them() {
    for words in ["-x", "foo", "--help", "-s foo", "-s", "-g", "-c", "-e", "-p", "-tx"] {
        let args: Vec<_> = words.split(' ').map(std::ffi::OsString::from).collect();
        let output = Command::new("nginx").args(&args).output().expect("nginx runs");
        let theirs = String::from_utf8_lossy(&output.stderr).into_owned();
        let error = cli::parse(&args, "/w").expect_err(words);
        assert_eq!(format!("nginx: {error}\n"), theirs, "{words}");
    }
}

#[test]
fn the_project_s_own_configurations_are_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace");
    let loaded = load(&root.join("nginx"), "daemon off;").map_err(|refused| refused.error.to_string());
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
