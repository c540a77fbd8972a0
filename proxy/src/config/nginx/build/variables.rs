//! The variables that a configuration defines, and the texts that use them: names are looked up when all
//! is read, since a definition may stand below its use.

use std::cell::Cell;
use std::collections::HashMap;

use super::super::directives::is_variable_of_nginx;
use super::super::error::{Error, Place};
use super::super::reader::Statement;
use crate::config::Pattern;
use crate::config::template::{Source, Template, Variable};

/// A text with variables, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Text {
    source: Source,
    place: Place,
}

impl Text {
    /// Takes a text apart.
    pub(super) fn parse(text: &str, place: &Place) -> Result<Text, Error> {
        let source = Source::parse(text).map_err(|error| Error::at(place, error.to_string()))?;
        Ok(Text { source, place: place.clone() })
    }

    /// The argument of a directive at `index`.
    pub(super) fn arg(statement: &Statement, index: usize) -> Result<Text, Error> {
        Text::parse(statement.arg(index), &statement.place)
    }

    /// The same for the value of a field, which has one line: a break in the file, with the blanks around it, is a space.
    pub(super) fn field_value(statement: &Statement, index: usize) -> Result<Text, Error> {
        let word = statement.arg(index);
        if !word.contains(['\r', '\n']) {
            return Text::arg(statement, index);
        }
        let lines = word.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty());
        Text::parse(&lines.collect::<Vec<_>>().join(" "), &statement.place)
    }

    /// Puts another text behind it.
    pub(super) fn append(&mut self, other: Text) {
        self.source.append(other.source);
    }

    /// A text without variables.
    pub(super) fn literal(text: &str, place: &Place) -> Text {
        Text { source: Source::literal(text), place: place.clone() }
    }

    /// The first number of a group of a regular expression in it.
    pub(super) fn capture(&self) -> Option<u8> {
        self.source.capture()
    }

    /// Whether there is neither a variable nor a capture in it.
    pub(super) fn is_literal(&self) -> bool {
        self.source.is_literal()
    }
}

/// All definitions.
#[derive(Debug, Default)]
pub(super) struct Variables {
    defined: HashMap<String, Variable>,
    maps: usize,
    slots: usize,
    asks_counters: Cell<bool>,
    /// Something asks for the address that a client has connected to.
    asks_address: Cell<bool>,
}

impl Variables {
    /// The name of a variable to be defined, which is written with its `$`.
    pub(super) fn name(word: &str, place: &Place) -> Result<String, Error> {
        match word.strip_prefix('$') {
            Some(name) if !name.is_empty() => Ok(name.to_ascii_lowercase()),
            _ => Err(Error::at(place, format!("invalid variable name \"{word}\""))),
        }
    }

    /// Defines the variable of the next `map`. One of an earlier `map` is defined anew.
    pub(super) fn define_map(&mut self, name: &str, place: &Place) -> Result<(), Error> {
        match self.find(name) {
            Some(Variable::Slot(_) | Variable::SlotOr(..)) => Err(duplicate(name, place)),
            Some(variable) if !may_be_defined(name, &variable) => Err(duplicate(name, place)),
            _ => {
                self.defined.insert(name.to_owned(), Variable::Map(self.maps));
                self.maps += 1;
                Ok(())
            }
        }
    }

    /// A variable that can be given values: defined here, or before.
    pub(super) fn assignable(&mut self, name: &str, place: &Place) -> Result<Variable, Error> {
        // It would have an effect in nginx.
        if name == "limit_rate" {
            return Err(unsupported_variable(name, place));
        }
        match self.find(name) {
            Some(variable @ (Variable::Slot(_) | Variable::Args)) if name != "query_string" => Ok(variable),
            Some(Variable::SlotOr(slot, _)) => Ok(Variable::Slot(slot)),
            Some(variable) if !may_be_defined(name, &variable) || matches!(variable, Variable::Map(_)) => {
                Err(duplicate(name, place))
            }
            found => {
                let slot = self.slots;
                self.slots += 1;
                let variable = match found {
                    Some(own @ (Variable::Arg(_) | Variable::Http(_) | Variable::Cookie(_))) => {
                        Variable::SlotOr(slot, Box::new(own))
                    }
                    _ => Variable::Slot(slot),
                };
                self.defined.insert(name.to_owned(), variable);
                Ok(Variable::Slot(slot))
            }
        }
    }

    /// A regular expression, whose named groups are variables.
    pub(super) fn pattern(
        &mut self,
        source: &str,
        is_caseless: bool,
        place: &Place,
    ) -> Result<Pattern, Error> {
        let pattern = Pattern::new(source, is_caseless)
            .map_err(|error| Error::at(place, format!("pcre2_compile() failed: {error} in \"{source}\"")))?;
        let mut trouble = None;
        let pattern = pattern.with_slots(|name| {
            let name = name.to_ascii_lowercase();
            match self.assignable(&name, place) {
                Ok(Variable::Slot(index)) => {
                    // It has no other value then (`ngx_http_regex_compile`).
                    self.defined.insert(name, Variable::Slot(index));
                    return index;
                }
                Ok(_) => trouble = Some(duplicate(&name, place)),
                Err(error) => trouble = Some(error),
            }
            0
        });
        trouble.map_or(Ok(pattern), Err)
    }

    /// The template of a text. nginx leaves out the place of an unknown variable.
    pub(super) fn template(&self, text: &Text) -> Result<Template, Error> {
        let template = text.source.resolve(|name| self.find(name));
        let template = template.map_err(|unknown| match is_variable_of_nginx(&unknown.0) {
            true => unsupported_variable(&unknown.0, &text.place),
            false => Error::at(&text.place, unknown.to_string()),
        })?;
        self.asks_counters.set(self.asks_counters.get() | template.variables().any(Variable::is_counter));
        let asks_address = template.variables().any(Variable::is_server_address);
        self.asks_address.set(self.asks_address.get() | asks_address);
        Ok(template)
    }

    /// The template of a text, where there is one.
    pub(super) fn optional(&self, text: Option<&Text>) -> Result<Option<Template>, Error> {
        text.map(|text| self.template(text)).transpose()
    }

    /// Whether any template so far has the counters of connections.
    pub(super) fn asks_counters(&self) -> bool {
        self.asks_counters.get()
    }

    /// Whether something asks for the address that a client has connected to.
    pub(super) fn asks_address(&self) -> bool {
        self.asks_address.get()
    }

    /// How many variables are given values.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    fn find(&self, name: &str) -> Option<Variable> {
        self.defined.get(name).cloned().or_else(|| Variable::named(name))
    }
}

fn unsupported_variable(name: &str, place: &Place) -> Error {
    Error::at(place, format!("the \"{name}\" variable is not supported by this proxy"))
}

fn duplicate(name: &str, place: &Place) -> Error {
    Error::at(place, format!("the duplicate \"{name}\" variable"))
}

/// Those of families that nginx has by themselves (`ngx_http_core_variables`).
const FIXED: [&str; 15] = [
    "http_cookie",
    "http_host",
    "http_referer",
    "http_user_agent",
    "http_via",
    "http_x_forwarded_for",
    "sent_http_cache_control",
    "sent_http_connection",
    "sent_http_content_length",
    "sent_http_content_type",
    "sent_http_keep_alive",
    "sent_http_last_modified",
    "sent_http_link",
    "sent_http_location",
    "sent_http_transfer_encoding",
];

/// Whether nginx lets a configuration define a variable that it has itself: `$args`, and most members of families.
fn may_be_defined(name: &str, variable: &Variable) -> bool {
    match variable {
        _ if FIXED.contains(&name) => false,
        Variable::Args => name == "args",
        Variable::Arg(_)
        | Variable::Http(_)
        | Variable::SentHttp(_)
        | Variable::Cookie(_)
        | Variable::UpstreamHttp(_)
        | Variable::UpstreamCookie(_)
        | Variable::Map(_)
        | Variable::Slot(_)
        | Variable::SlotOr(..) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place = Place::CommandLine;

    #[test]
    fn patterns_are_refused_in_pcre_s_words() {
        let error =
            |source: &str| Variables::default().pattern(source, false, &HERE).expect_err("bad").message;
        for (source, problem) in [
            ("(a", "missing closing parenthesis"),
            ("a)", "unmatched closing parenthesis"),
            ("[a", "missing terminating ] for character class"),
            ("*", "quantifier does not follow a repeatable item"),
            ("(?!a)", "look-around, including look-ahead and look-behind, is not supported"),
            ("(a)\\1", "backreferences are not supported"),
            ("(?:a{1000}){1000000}", "regular expression is too large"),
        ] {
            assert_eq!(error(source), format!("pcre2_compile() failed: {problem} in \"{source}\""));
        }
    }

    #[test]
    fn named_groups_set_variables() {
        let mut variables = Variables::default();
        let pattern = variables.pattern("^(?<User>a)(b)(?P<tail>.*)$", true, &HERE).expect("a pattern");
        assert_eq!(pattern.slots(), [(1, 0), (3, 1)]);
        assert!(pattern.regex().is_match(b"AB\xff"));
        assert_eq!(variables.find("user"), Some(Variable::Slot(0)));
        assert_eq!(variables.slots(), 2);
        let error = variables.pattern("(?<host>a)", true, &HERE).expect_err("a variable of nginx's own");
        assert_eq!(error.message, "the duplicate \"host\" variable");
    }
}
