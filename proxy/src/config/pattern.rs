//! Regular expressions, compared by what they are written as.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

/// A regular expression over bytes.
///
/// The crate's syntax is that of Perl without look-around and back references, for which it matches in time
/// that grows with the text alone.
#[derive(Clone)]
pub struct Pattern {
    regex: Regex,
    ignores_case: bool,
}

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    ///
    /// Where it is not well formed, or asks for what is not there.
    pub fn new(source: &str, ignores_case: bool) -> Result<Pattern, regex::Error> {
        let regex = RegexBuilder::new(source).case_insensitive(ignores_case).build()?;
        Ok(Pattern { regex, ignores_case })
    }

    /// The compiled expression.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        (self.regex.as_str(), self.ignores_case) == (other.regex.as_str(), other.ignores_case)
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "~{}{}", if self.ignores_case { "*" } else { "" }, self.regex.as_str())
    }
}
