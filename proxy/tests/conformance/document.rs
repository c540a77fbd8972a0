//! `docs/conformance.md` names the cases that show each requirement: they must be there, and all of them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{TABLES, case};

/// Every case, as the page names it.
fn cases() -> BTreeSet<String> {
    let of = |(table, text): &(&str, &'static str)| {
        case::table(text).into_iter().map(|case| format!("{table}: {}", case.name)).collect::<Vec<_>>()
    };
    TABLES.iter().flat_map(of).collect()
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md");
    std::fs::read_to_string(path).expect("docs/conformance.md")
}

/// What stands in backquotes and begins with a table's name.
fn named(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_case = |span: &&str| TABLES.iter().any(|(table, _)| span.starts_with(&format!("{table}: ")));
    quoted.filter(is_case).map(str::to_owned).collect()
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let count: usize = TABLES.iter().map(|(_, text)| case::table(text).len()).sum();
    assert_eq!(cases().len(), count, "two cases of one table have one name");
}

#[test]
fn the_page_names_cases_that_are_there_and_all_of_them() {
    let (cases, named) = (cases(), named(&page()));
    let missing: Vec<_> = named.difference(&cases).collect();
    assert!(missing.is_empty(), "docs/conformance.md names cases that are not there: {missing:#?}");
    let silent: Vec<_> = cases.difference(&named).collect();
    assert!(silent.is_empty(), "docs/conformance.md does not name these cases: {silent:#?}");
}

#[test]
fn every_requirement_is_shown_or_says_why_not() {
    let page = page().replace("\\|", "");
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() == 6);
    let mut count = 0;
    for row in rows.filter(|row| !row.starts_with("| § ")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let (how, shown_by) = (cells[4], cells[5]);
        assert!(!how.is_empty(), "how is it met? {row}");
        assert!(how.starts_with("n/a: ") || !named(shown_by).is_empty(), "what shows it? {row}");
        count += 1;
    }
    assert!(count > 100, "the page lists only {count} requirements");
}
