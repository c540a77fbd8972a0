//! What a response has to be like (`match`).

use crate::config::health::{Test, TestedPart};
use crate::http::fields::Fields;

/// What the first test says that a head does not pass.
pub(super) fn problem_of_head(tests: &[Test], status: u16, fields: &Fields<'_, '_>) -> Option<String> {
    let failed = tests.iter().find(|test| !is_passed_by_head(test, status, fields))?;
    Some(match failed.part {
        TestedPart::Status(_) => format!("status {status}"),
        _ => problem(failed),
    })
}

/// What the first test says that a body does not pass, of which this is the beginning at least.
pub(super) fn problem_of_body(tests: &[Test], body: &[u8]) -> Option<String> {
    let is_failed = |test: &&Test| match &test.part {
        TestedPart::Body(pattern) => pattern.regex().is_match(body) == test.is_not,
        _ => false,
    };
    tests.iter().find(is_failed).map(problem)
}

fn problem(test: &Test) -> String {
    format!("no match for {}", test.words)
}

fn is_passed_by_head(test: &Test, status: u16, fields: &Fields<'_, '_>) -> bool {
    match &test.part {
        TestedPart::Status(ranges) => ranges.iter().any(|range| range.contains(&status)) != test.is_not,
        TestedPart::Field(name) => fields.find(name).is_some() != test.is_not,
        TestedPart::FieldIs(name, wanted) => {
            has_value(fields, name, test.is_not, |value| value == wanted.as_bytes())
        }
        TestedPart::FieldMatches(name, pattern) => {
            has_value(fields, name, test.is_not, |value| pattern.regex().is_match(value))
        }
        TestedPart::Body(_) => true,
    }
}

/// Whether one of the fields of this name is as wanted; or, with `is_not`, there are some and none of them is.
fn has_value(fields: &Fields<'_, '_>, name: &str, is_not: bool, is_wanted: impl Fn(&[u8]) -> bool) -> bool {
    let named = fields.iter().filter(|(_, found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
    let mut values = named.map(|(_, _, value)| value).peekable();
    values.peek().is_some() && values.any(is_wanted) != is_not
}
