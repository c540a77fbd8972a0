//! Regular expressions, compared by what they are written as.

use std::borrow::Cow;
use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

/// A regular expression over bytes.
///
/// The crate's syntax is that of Perl without look-around and back references, for which it matches in time
/// that grows with the text alone. As with PCRE in nginx, `.` is any byte but a line's end, and `\w`, `\d` and
/// `\s` are ASCII.
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
    pub fn new(source: &str, ignores_case: bool) -> Result<Pattern, regex::Error> {
        let plain = unquoted(source);
        let build = |is_unicode: bool| {
            RegexBuilder::new(&plain).case_insensitive(ignores_case).unicode(is_unicode).build()
        };
        // Classes of characters by their properties are Unicode's.
        let regex = build(false).or_else(|error| build(plain.contains(r"\p")).map_err(|_| error))?;
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

/// An expression without what the crate does not know: `\Q…\E`, in which all characters stand for themselves.
fn unquoted(source: &str) -> Cow<'_, str> {
    let Some(start) = find_quote(source) else { return Cow::Borrowed(source) };
    let quoted = &source[start + 2..];
    let (text, rest) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
    Cow::Owned(format!("{}{}{}", &source[..start], regex::escape(text), unquoted(rest)))
}

/// Where the first `\Q` is that is no `Q` behind an escaped backslash.
fn find_quote(source: &str) -> Option<usize> {
    let mut escapes = source.match_indices('\\').map(|(at, _)| at);
    while let Some(at) = escapes.next() {
        match source.as_bytes().get(at + 1)? {
            b'Q' => return Some(at),
            b'\\' => drop(escapes.next()),
            _ => {}
        }
    }
    None
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
    fn quotes_are_literal() {
        for (source, plain) in [
            ("^a$", "^a$"),
            (r"^\Q.a\E$", r"^\.a$"),
            (r"\Qa+b", r"a\+b"),
            (r"a\\Qb", r"a\\Qb"),
            (r"\Q.\E.\Q*\E", r"\..\*"),
        ] {
            assert_eq!(unquoted(source), plain, "{source}");
        }
    }

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
