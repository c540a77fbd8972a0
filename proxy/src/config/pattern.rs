//! Regular expressions, compared by what they are written as.

use std::borrow::Cow;
use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use super::pcre;

/// A regular expression over bytes, in PCRE's syntax.
///
/// There are no look-around and no back references, so that it matches in time that grows with the text alone. As with
/// PCRE in nginx, `.` is any byte but a line's end, and `\w`, `\d` and `\s` are ASCII.
#[derive(Clone)]
pub struct Pattern {
    source: Box<str>,
    regex: Regex,
    ignores_case: bool,
    slots: Vec<(usize, usize)>,
}

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    ///
    /// Where it is not well formed, or asks for what is not there.
    pub fn new(source: &str, ignores_case: bool) -> Result<Pattern, PatternError> {
        let mut builder = RegexBuilder::new(&pcre::translate(source)?);
        let regex = builder.case_insensitive(ignores_case).unicode(false).build()?;
        Ok(Pattern { source: source.into(), regex, ignores_case, slots: Vec::new() })
    }

    /// The same, each named group of which sets the variable that `slot` gives for its name, an index among
    /// [`Variable::Slot`](super::template::Variable::Slot)s.
    pub fn with_slots(mut self, mut slot: impl FnMut(&str) -> usize) -> Pattern {
        let names = self.regex.capture_names().enumerate();
        self.slots = names.filter_map(|(group, name)| Some((group, slot(name?)))).collect();
        self
    }

    /// Its named groups by number, each with the variable that it sets.
    pub fn slots(&self) -> &[(usize, usize)] {
        &self.slots
    }

    /// What it was written as.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The compiled expression.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }
}

/// What is wrong with a regular expression, in a line, and in PCRE's words where these are common.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(Cow<'static, str>);

impl PatternError {
    pub(super) fn new(problem: impl Into<Cow<'static, str>>) -> PatternError {
        PatternError(problem.into())
    }
}

impl From<regex::Error> for PatternError {
    fn from(error: regex::Error) -> PatternError {
        match error {
            regex::Error::Syntax(text) => {
                // The crate draws a picture over several lines; the last one says it.
                let reason = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
                PatternError::new(reason.unwrap_or("syntax error").to_owned())
            }
            regex::Error::CompiledTooBig(_) => PatternError::new("regular expression is too large"),
            _ => PatternError::new("unknown error"),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        (&self.source, self.ignores_case, &self.slots) == (&other.source, other.ignores_case, &other.slots)
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "~{}{}", if self.ignores_case { "*" } else { "" }, self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_those_of_unicode_and_words_are_ascii() {
        let matches = |source, text: &str| {
            Pattern::new(source, false).expect("a pattern").regex().is_match(text.as_bytes())
        };
        assert!(matches(r"^a\p{N}+$", "a1²") && !matches(r"^a\p{N}+$", "ab"));
        assert!(!matches(r"^\w$", "ä"));
        assert!(Pattern::new(r"(?=a)", false).is_err());
    }
}
