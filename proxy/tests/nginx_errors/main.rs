//! What is wrong with a configuration is said in nginx's words, held against nginx itself: both read the same file, and
//! both lines are compared.
//!
//! `cases.rs` has the texts. What differs on purpose stands apart there, with what nginx says.

mod cases;

use std::path::Path;
use std::process::Command;

use proxy::config::nginx::{self, Disk, Options};

/// What this proxy says of a file: its warnings, and the error if there is one.
fn ours(folder: &Path) -> Vec<String> {
    let prefix = format!("{}/", folder.display());
    let options = Options {
        path: format!("{prefix}nginx.conf"),
        prefix,
        globals: "",
        error_log: "error.log",
        // As nginx is run by this test: the words depend on it.
        is_root: rustix::process::geteuid().is_root(),
        hostname: "localhost",
    };
    let (warnings, error) = match nginx::load(&Disk, &options) {
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
