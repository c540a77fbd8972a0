//! Values that a configuration gives to variables as a request goes: what regular expressions captured, and `set`.

use crate::config::Pattern;
use crate::config::template::Variable;

/// See the [module's page](self).
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// By the index of [`Variable::Slot`]; `None` until there is a value.
    slots: Vec<Option<Vec<u8>>>,
    /// What the last regular expression captured, `$1` first.
    captures: Vec<Vec<u8>>,
    /// What stands for the request's arguments (`set $args`).
    pub(super) args: Option<Vec<u8>>,
}

impl Scope {
    pub(super) fn new(slots: usize) -> Scope {
        Scope { slots: vec![None; slots], ..Scope::default() }
    }

    /// A regular expression is held against `text`; says whether it matches.
    pub(super) fn matches(&mut self, pattern: &Pattern, text: &[u8]) -> bool {
        let Some(captures) = pattern.regex().captures(text) else { return false };
        let group = |number: usize| captures.get(number).map_or(&[][..], |found| found.as_bytes()).to_vec();
        for &(number, slot) in pattern.slots() {
            self.slots[slot] = Some(group(number));
        }
        self.captures = (1..captures.len().min(10)).map(group).collect();
        true
    }

    /// A variable gets a value.
    pub(super) fn set(&mut self, variable: &Variable, value: Vec<u8>) {
        match variable {
            Variable::Slot(slot) => self.slots[*slot] = Some(value),
            Variable::Args => self.args = Some(value),
            // The configuration lets no other be set.
            _ => {}
        }
    }

    pub(super) fn slot(&self, slot: usize) -> Option<&[u8]> {
        self.slots[slot].as_deref()
    }

    /// What was captured as `$number`, 1 to 9.
    pub(super) fn capture(&self, number: u8) -> &[u8] {
        self.captures.get(usize::from(number) - 1).map_or(&[], Vec::as_slice)
    }
}
