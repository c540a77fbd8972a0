//! The same cases with nginx and HAProxy: where they differ from this proxy.
//!
//! One Markdown table for each table of cases, in Cargo's folder for test files (`target/tmp`), and on
//! standard output with `--nocapture`. What it shows is explained in `docs/conformance.md`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::case::Case;
use crate::play::play;
use crate::subject::Kind;

/// A peer that is silent for so long waits for something.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Whether the environment asks for a comparison.
pub(crate) fn are_asked_for() -> bool {
    std::env::var_os("CONFORMANCE_PEERS").is_some_and(|value| value != "0")
}

/// Plays the cases and writes the table.
pub(crate) fn compare(name: &str, cases: &[Case]) {
    let mut text = String::from("| case | | this proxy | nginx | HAProxy |\n|---|---|---|---|---|\n");
    let (mut nginx_differs, mut haproxy_differs) = (0, 0);
    for case in cases {
        let nginx = play(Kind::Nginx, case, PATIENCE);
        let haproxy = play(Kind::HaProxy, case, PATIENCE);
        let same = |client: &str, origin: &str| {
            client == case.client && (case.origin == "*" || origin == case.origin)
        };
        let nginx_same = same(&nginx.client.summary, &nginx.origin.summary);
        let haproxy_same = same(&haproxy.client.summary, &haproxy.origin.summary);
        nginx_differs += u32::from(!nginx_same);
        haproxy_differs += u32::from(!haproxy_same);
        if nginx_same && haproxy_same {
            continue;
        }
        let cell = |is_same: bool, client: &str, origin: &str| {
            let origin = origin.chars().take(120).collect::<String>();
            if is_same { "=".to_owned() } else { format!("`{client}` ← `{origin}`").replace('|', "\\|") }
        };
        let _ = writeln!(
            text,
            "| {} | {} | `{}` ← `{}` | {} | {} |",
            case.name,
            case.section,
            case.client,
            case.origin,
            cell(nginx_same, &nginx.client.summary, &nginx.origin.summary),
            cell(haproxy_same, &haproxy.client.summary, &haproxy.origin.summary),
        );
    }
    let text = format!(
        "## {name}\n\n{} cases; nginx differs in {nginx_differs}, HAProxy in {haproxy_differs}.\n\n{text}",
        cases.len()
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(folder.join(format!("peers-{name}.md")), &text).expect("a file in target/tmp");
    println!("{text}");
}
