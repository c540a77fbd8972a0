//! Regular expressions, compared by what they are written as.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

/// A regular expression over bytes.
///
/// The crate's syntax is that of Perl without look-around and back references, for which it matches in time
/// that grows with the text alone. As with PCRE in nginx, `.` is any byte but a line's end, and `\w`, `\d` and
/// `\s` are ASCII.
#[derive(Clone)]
pub struct Pattern {
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
    pub fn new(source: &str, ignores_case: bool) -> Result<Pattern, regex::Error> {
        let regex = RegexBuilder::new(source).case_insensitive(ignores_case).unicode(false).build()?;
        Ok(Pattern { regex, ignores_case, slots: Vec::new() })
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

    /// The compiled expression.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        (self.regex.as_str(), self.ignores_case, &self.slots)
            == (other.regex.as_str(), other.ignores_case, &other.slots)
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "~{}{}", if self.ignores_case { "*" } else { "" }, self.regex.as_str())
    }
}
