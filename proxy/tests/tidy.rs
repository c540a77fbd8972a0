//! The house rules that a compiler does not know, checked by reading the tree: who may know whom, what
//! stays out of the pure layers, and that files can be read in one sitting.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A part of the tree and the words that must not stand in its code, with the reason.
struct Rule {
    place: &'static str,
    words: &'static [&'static str],
    why: &'static str,
}

/// Sockets, clocks and chance: what would make a run depend on more than its inputs.
const WORLD: &[&str] = &[
    "mio::",
    "socket2",
    "std::net::Tcp",
    "std::net::Udp",
    "std::os::unix::net",
    "Instant",
    "SystemTime",
    "thread::sleep",
    "rand::",
    "fastrand",
];

const RULES: &[Rule] = &[
    Rule { place: "src/site", words: WORLD, why: "a place is found by bytes alone" },
    Rule {
        place: "src/site",
        words: &["crate::exchange", "crate::worker", "crate::upstream", "log::"],
        why: "what the configuration says stands below the exchange",
    },
    Rule { place: "src/http", words: WORLD, why: "the protocol is bytes to spans and back" },
    Rule {
        place: "src/http",
        words: &["crate::upstream", "crate::worker", "crate::exchange"],
        why: "http and upstream never meet, and both stand below the exchange",
    },
    Rule { place: "src/exchange", words: WORLD, why: "the exchange is driven by whoever knows the sockets" },
    Rule {
        place: "src/exchange",
        words: &["crate::upstream", "crate::worker"],
        why: "an exchange does not know who serves it",
    },
    Rule { place: "src/upstream", words: WORLD, why: "the choice of a server is replayed in virtual time" },
    Rule {
        place: "src/upstream",
        words: &["crate::http", "crate::worker", "crate::exchange", "log::"],
        why: "http and upstream never meet, and a group is held under a lock",
    },
    Rule { place: "src/probe", words: WORLD, why: "a check's response is judged by its bytes alone" },
    Rule {
        place: "src/probe",
        words: &["crate::upstream", "crate::worker", "crate::exchange", "log::"],
        why: "what a check asks and hears has nothing to do with who is asked, and by whom",
    },
    Rule { place: "src/dns.rs", words: WORLD, why: "a name server's answer is bytes" },
    Rule { place: "src/buffer.rs", words: WORLD, why: "buffers are memory" },
    Rule { place: "src/time.rs", words: &["Instant::now", "SystemTime"], why: "time is passed in" },
    Rule {
        place: "src/config",
        words: &["mio::", "socket2", "crate::worker", "crate::exchange"],
        why: "a configuration is checked, not carried out",
    },
    Rule {
        place: "src/worker/clients.rs",
        words: WORLD,
        why: "the worker sees the network through Net alone",
    },
    Rule {
        place: "src/worker/upstreams.rs",
        words: WORLD,
        why: "the worker sees the network through Net alone",
    },
    Rule {
        place: "src/worker/checker",
        words: WORLD,
        why: "health checks see the network through Net alone",
    },
    Rule {
        place: "src/worker/panics.rs",
        words: WORLD,
        why: "the worker sees the network through Net alone",
    },
    Rule {
        place: "src/worker/mod.rs",
        words: &["mio::", "socket2", "Instant"],
        why: "the worker sees the network through Net alone",
    },
    Rule {
        place: "src",
        words: &["unsafe {", "unsafe fn", "unsafe impl"],
        why: "there is no measured reason for unsafe code",
    },
    Rule {
        place: "src",
        words: &["todo!(", "unimplemented!(", "dbg!(", "FIXME", "XXX"],
        why: "unfinished work is not committed",
    },
];

/// The longest a file may be: it is to be read in one sitting.
const LINES_MAX: usize = 600;

/// The workspace says which Rust it needs, and what it is built from needs no newer one.
#[test]
fn no_dependency_needs_a_newer_rust_than_is_said() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--filter-platform",
        "x86_64-unknown-linux-gnu",
    ]);
    let output = cargo.current_dir(crate_root()).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("JSON");
    let number = |text: &str| text.parse::<u32>().expect("a number");
    let needed = regex::Regex::new(r#""rust_version":"1\.(\d+)"#).expect("a pattern");
    let most = needed.captures_iter(&text).map(|found| number(&found[1])).max();
    assert_eq!(most, Some(number(env!("CARGO_PKG_RUST_VERSION").trim_start_matches("1."))));
}

fn crate_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `place`, which may be a file itself.
fn sources(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let entries = fs::read_dir(place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    let mut files: Vec<_> =
        entries.flat_map(|entry| sources(&entry.expect("a directory entry").path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    files
}

/// The lines of code of a file with their numbers: comments may name what code may not, and tests may do
/// more than what they test.
fn code(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).expect("a source file is text");
    let lines = text.lines().map(str::to_owned).enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//")).collect()
}

fn is_test(file: &Path) -> bool {
    file.components()
        .any(|part| part.as_os_str().to_string_lossy().trim_end_matches(".rs").ends_with("tests"))
}

#[test]
fn layers_know_only_what_is_below_them() {
    let mut broken = Vec::new();
    for rule in RULES {
        for file in sources(&crate_root().join(rule.place)).iter().filter(|file| !is_test(file)) {
            for (number, line) in code(file) {
                for word in rule.words.iter().filter(|word| line.contains(**word)) {
                    let place = file.strip_prefix(crate_root()).unwrap_or(file).display().to_string();
                    broken.push(format!("{place}:{number}: `{word}`: {}", rule.why));
                }
            }
        }
    }
    assert!(broken.is_empty(), "house rules are broken:\n{}", broken.join("\n"));
}

#[test]
fn every_rule_speaks_of_something_that_is_there() {
    for rule in RULES {
        let files = sources(&crate_root().join(rule.place));
        assert!(!files.is_empty(), "no source file below {}", rule.place);
    }
}

#[test]
fn files_can_be_read_in_one_sitting() {
    let workspace = crate_root().parent().expect("the crate lies in the workspace");
    let mut long = Vec::new();
    for part in ["proxy/src", "proxy/tests", "backend", "bench"] {
        for file in sources(&workspace.join(part)) {
            if file.components().any(|part| part.as_os_str() == "target") {
                continue;
            }
            let lines = fs::read_to_string(&file).expect("a source file is text").lines().count();
            if lines > LINES_MAX {
                long.push(format!("{}: {lines} lines", file.display()));
            }
        }
    }
    assert!(long.is_empty(), "longer than {LINES_MAX} lines:\n{}", long.join("\n"));
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let silent: Vec<_> = sources(&crate_root().join("src"))
        .into_iter()
        .filter(|file| !fs::read_to_string(file).expect("a source file is text").starts_with("//!"))
        .map(|file| file.display().to_string())
        .collect();
    assert!(silent.is_empty(), "without a first line that says what they are for:\n{}", silent.join("\n"));
}
