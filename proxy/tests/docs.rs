//! What the documentation says is held against the program and the tree: flags, defaults, files, links,
//! and that the two READMEs show the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGES: &[&str] = &[
    "README.md",
    "README.zh-CN.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/containers.md",
    "docs/directives.md",
    "docs/benchmarking.md",
];

/// Flags of tools that are not the project's, and one that is shown as a slip.
const FOREIGN_FLAGS: &[&str] =
    &["--baseline", "--bench", "--build", "--profile", "--release", "--save-baseline", "--test", "--upsteam"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The flags in `-h` with their defaults; empty where there is none.
fn flags_of_the_program() -> BTreeMap<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_proxy")).arg("-h").output().expect("the proxy runs");
    let help = String::from_utf8(output.stdout).expect("text");
    let flags = help.lines().filter_map(|line| {
        let (_, flag) = line.split_at_checked(2).filter(|(indent, _)| *indent == "  ")?;
        let flag = flag.strip_prefix("-h, ").or(flag.strip_prefix("-V, ")).unwrap_or(flag);
        let name = flag.split(' ').next().filter(|name| name.starts_with("--"))?;
        let default = line.rsplit_once('[').and_then(|(_, rest)| rest.strip_suffix(']'));
        Some((name.to_owned(), default.unwrap_or_default().to_owned()))
    });
    let flags: BTreeMap<_, _> = flags.collect();
    assert!(flags.len() > 20, "the help is not read right: {flags:?}");
    flags
}

/// Every word in `text` that looks like a long flag.
fn flag_words(text: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut rest = text;
    while let Some(at) = rest.find("--") {
        let before = rest[..at].chars().next_back();
        let word: String =
            rest[at + 2..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let begins = before.is_none_or(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '!' | '|'));
        if begins && word.starts_with(|c: char| c.is_ascii_lowercase()) {
            words.insert(format!("--{}", word.trim_end_matches('-')));
        }
        rest = &rest[at + 2 + word.len()..];
    }
    words
}

/// The parts of a page in `back quotes`, outside of fenced blocks.
fn code_spans(text: &str) -> Vec<String> {
    let (prose, _) = split_fences(text);
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A page's prose, and its fenced blocks.
fn split_fences(text: &str) -> (String, Vec<String>) {
    let (mut prose, mut blocks) = (String::new(), Vec::new());
    let mut block: Option<String> = None;
    for line in text.lines() {
        match (&mut block, line.starts_with("```")) {
            (None, true) => block = Some(format!("{line}\n")),
            (Some(open), true) => {
                blocks.push(std::mem::take(open));
                block = None;
            }
            (Some(open), false) => open.push_str(&format!("{line}\n")),
            (None, false) => prose.push_str(&format!("{line}\n")),
        }
    }
    assert!(block.is_none(), "a fenced block is not closed");
    (prose, blocks)
}

/// The cells of table rows that begin with a flag: flag and default.
fn flag_table(page: &str) -> BTreeMap<String, String> {
    let rows = page.lines().filter(|line| line.starts_with("| `--"));
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    rows.map(|row| {
        let mut cells = row.split('|').skip(1);
        (cell(cells.next().unwrap_or_default()), cell(cells.next().unwrap_or_default()))
    })
    .collect()
}

#[test]
fn the_tables_of_flags_are_the_program_s() {
    let mut wanted = flags_of_the_program();
    wanted.retain(|flag, _| flag != "--help" && flag != "--version");
    for page in ["README.md", "README.zh-CN.md"] {
        assert_eq!(flag_table(&read(page)), wanted, "{page}");
    }
}

#[test]
fn every_flag_that_is_named_exists() {
    let mut known: BTreeSet<String> = flags_of_the_program().into_keys().collect();
    known.extend(FOREIGN_FLAGS.iter().map(|flag| (*flag).to_owned()));
    // Those of the other programs are fields with an `arg` attribute.
    for file in [
        "backend/src/main.rs",
        "bench/src/compare/options.rs",
        "bench/src/gate.rs",
        "bench/src/load/command.rs",
        "bench/src/report/mod.rs",
    ] {
        let mut is_flag = false;
        for line in read(file).lines().map(str::trim) {
            if let Some((field, _)) = line.split_once(':').filter(|_| is_flag) {
                known.insert(format!("--{}", field.trim_start_matches("pub ").replace('_', "-")));
            }
            is_flag = line.starts_with("#[arg(long");
        }
    }
    for entry in fs::read_dir(root().join("scripts")).expect("a folder") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("text");
        let help: String = text.lines().skip(1).take_while(|line| line.starts_with('#')).collect();
        known.extend(flag_words(&help));
    }
    for page in PAGES {
        let unknown: Vec<_> =
            flag_words(&read(page)).into_iter().filter(|flag| !known.contains(flag)).collect();
        assert!(unknown.is_empty(), "{page} names flags that nothing has: {unknown:?}");
    }
}

/// The names of all files below a folder.
fn names_below(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => names_below(&path),
            false => path.file_name().map(|name| name.to_string_lossy().into_owned()).into_iter().collect(),
        })
        .collect()
}

#[test]
fn every_file_that_is_named_exists() {
    let sources = names_below(&root().join("proxy/src"));
    for page in PAGES {
        let text = read(page);
        for span in code_spans(&text) {
            let first = span.split(['/', '.']).next().unwrap_or_default();
            let is_path = span.ends_with('/')
                || [".rs", ".sh", ".md", ".yml", ".toml", ".conf", ".svg"]
                    .iter()
                    .any(|end| span.ends_with(end));
            let is_plain = span.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if !is_path || !is_plain || first.is_empty() || span == "nginx.conf" {
                continue;
            }
            // Paths are from the root, or from where the architecture's are; a source file's name may stand alone.
            let places = ["", "proxy/src", "proxy"].map(|place| root().join(place).join(&span));
            let is_there = places.iter().any(|place| place.exists()) || sources.contains(&span);
            assert!(is_there, "{page} names {span}, which is not there");
        }
    }
}

/// GitHub's anchor of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn headings(page: &str) -> Vec<(usize, String)> {
    let (prose, _) = split_fences(page);
    let lines = prose.lines().filter(|line| line.starts_with('#'));
    lines
        .map(|line| {
            let text = line.trim_start_matches('#');
            (line.len() - text.len(), text.trim().to_owned())
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    for page in PAGES {
        let text = read(page);
        let (prose, _) = split_fences(&text);
        let folder = root().join(page).parent().map(PathBuf::from).expect("a folder");
        let anchors: Vec<String> = headings(&text).iter().map(|(_, text)| anchor(text)).collect();
        let targets =
            prose.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
        for target in targets.filter(|target| !target.starts_with("https://")) {
            let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
            assert!(folder.join(path).exists(), "{page} links to {target}, which is not there");
            let is_here = path.is_empty() && !fragment.is_empty();
            assert!(
                !is_here || anchors.iter().any(|anchor| anchor == fragment),
                "{page} links to #{fragment}; its headings are {anchors:?}"
            );
        }
    }
}

#[test]
fn the_translation_has_the_same_parts() {
    let (english, chinese) = (read("README.md"), read("README.zh-CN.md"));
    let levels = |page: &str| headings(page).into_iter().map(|(level, _)| level).collect::<Vec<_>>();
    assert_eq!(levels(&chinese), levels(&english), "headings");
    let (english_blocks, chinese_blocks) = (split_fences(&english).1, split_fences(&chinese).1);
    assert_eq!(chinese_blocks, english_blocks, "commands and outputs");
    let rows = |page: &str| page.lines().filter(|line| line.starts_with('|')).count();
    assert_eq!(rows(&chinese), rows(&english), "rows of tables");
}

#[test]
fn the_diagrams_are_drawn_from_their_sources() {
    let script = root().join("scripts/diagrams.sh");
    let output = Command::new("bash").arg(script).arg("--check").output().expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
