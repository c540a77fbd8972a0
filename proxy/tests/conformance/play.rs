//! Plays the cases of a table and compares.

use std::fmt::Write as _;
use std::time::Duration;

use crate::case::{self, Case};
use crate::notation::{bytes, show};
use crate::origin::{self, Origin};
use crate::subject::{Kind, Subject};
use crate::{PATIENCE, client, peers};

/// What came of a case.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) client: client::Sight,
    pub(crate) origin: origin::Sight,
    log: String,
    is_sound: bool,
}

/// Plays one case with one subject.
pub(crate) fn play(kind: Kind, case: &Case, patience: Duration) -> Outcome {
    let origin = Origin::start(case);
    let subject = Subject::start(kind, case, origin.address);
    let client = client::play(case, &subject, &origin, patience);
    let (log, is_sound) = subject.stop();
    Outcome { client, origin: origin.stop(), log, is_sound }
}

/// Plays a table with this proxy; fails with all that differs.
pub(crate) fn table(kind: Kind, name: &str, text: &'static str) {
    let only = std::env::var("CONFORMANCE_CASE").unwrap_or_default();
    let cases = case::table(text).into_iter().filter(|case| case.name.contains(&only));
    let cases: Vec<Case> =
        cases.map(|case| if kind == Kind::Listed { case.by_conf() } else { case }).collect();
    let mut report = String::new();
    let mut failed = 0;
    for case in &cases {
        let outcome = play(kind, case, PATIENCE);
        let differences = differences(case, &outcome);
        if differences.is_empty() {
            continue;
        }
        failed += 1;
        let _ = write!(
            report,
            "\n{name}: {} ({})\n{differences}  sent      {}\n  forwarded {}\n  returned  {}\n{}",
            case.name,
            case.section,
            case.sends,
            show(&outcome.origin.raw),
            show(&outcome.client.raw),
            outcome.log
        );
    }
    if kind == Kind::Ours && peers::are_asked_for() {
        peers::compare(name, &cases);
    }
    assert!(failed == 0, "{failed} of {} cases differ:\n{report}", cases.len());
}

fn differences(case: &Case, outcome: &Outcome) -> String {
    let mut text = String::new();
    let mut differ = |what: &str, expected: &str, got: &str| {
        let _ =
            writeln!(text, "  {what}: expected {expected}\n  {:>width$}  got {got}", "", width = what.len());
    };
    if outcome.client.summary != case.client {
        differ("client", case.client, &outcome.client.summary);
    }
    if case.origin != "*" && outcome.origin.summary != case.origin {
        differ("origin", case.origin, &outcome.origin.summary);
    }
    let has = |raw: &[u8], part: &str| {
        let part = bytes(part);
        raw.windows(part.len()).any(|window| window == part)
    };
    for (word, raw, parts, wanted) in [
        ("forwards", &outcome.origin.raw, &case.forwards, true),
        ("hides", &outcome.origin.raw, &case.hides, false),
        ("returns", &outcome.client.raw, &case.returns, true),
        ("withholds", &outcome.client.raw, &case.withholds, false),
    ] {
        for part in parts.iter().filter(|part| has(raw, part) != wanted) {
            differ(word, part, if wanted { "none of it" } else { "it" });
        }
    }
    for part in case.logs.iter().filter(|part| !outcome.log.contains(**part)) {
        differ("logs", part, "none of it");
    }
    if !outcome.is_sound {
        differ("process", "an end with status 0 and no panic", "another");
    }
    text
}
