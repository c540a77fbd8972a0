//! The common kinds of arguments, each read into its place once: nginx's `ngx_conf_set_…_slot`
//! (`src/core/ngx_conf_file.c`).

use super::super::error::Error;
use super::super::reader::Statement;
use crate::config::units::{parse_number, parse_size, parse_time};
use crate::time::Duration;

/// Puts a value into a place that must be empty.
pub(super) fn once<T>(
    slot: &mut Option<T>,
    statement: &Statement,
    read: impl FnOnce() -> Result<T, Error>,
) -> Result<(), Error> {
    match slot {
        Some(_) => Err(statement.fault("is duplicate")),
        None => {
            *slot = Some(read()?);
            Ok(())
        }
    }
}

/// `on` or `off`.
pub(super) fn flag(slot: &mut Option<bool>, statement: &Statement) -> Result<(), Error> {
    once(slot, statement, || statement.flag())
}

/// A time: `10s`, `1m30s`, `500ms`.
pub(super) fn time(slot: &mut Option<Duration>, statement: &Statement) -> Result<(), Error> {
    once(slot, statement, || time_of(statement, 0))
}

/// The argument at `index`, as a time.
pub(super) fn time_of(statement: &Statement, index: usize) -> Result<Duration, Error> {
    parse_time(statement.arg(index)).map_err(|_| statement.fault("invalid value"))
}

/// A size: `8k`, `1m`.
pub(super) fn size(slot: &mut Option<u64>, statement: &Statement) -> Result<(), Error> {
    once(slot, statement, || size_of(statement, 0))
}

/// The argument at `index`, as a size.
pub(super) fn size_of(statement: &Statement, index: usize) -> Result<u64, Error> {
    parse_size(statement.arg(index)).map_err(|_| statement.fault("invalid value"))
}

/// A whole number.
pub(super) fn number(slot: &mut Option<u64>, statement: &Statement) -> Result<(), Error> {
    once(slot, statement, || number_of(statement, 0))
}

/// The argument at `index`, as a whole number.
pub(super) fn number_of(statement: &Statement, index: usize) -> Result<u64, Error> {
    parse_number(statement.arg(index))
        .filter(|number| i64::try_from(*number).is_ok())
        .ok_or_else(|| statement.fault("invalid number"))
}

/// A text.
pub(super) fn text(slot: &mut Option<String>, statement: &Statement) -> Result<(), Error> {
    once(slot, statement, || Ok(statement.arg(0).to_owned()))
}

/// One of some words.
pub(super) fn word<T: Copy>(
    slot: &mut Option<T>,
    statement: &Statement,
    words: &[(&str, T)],
) -> Result<(), Error> {
    once(slot, statement, || {
        let word = statement.arg(0);
        let known = words.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        known.map(|(_, value)| *value).ok_or_else(|| statement.error(format!("invalid value \"{word}\"")))
    })
}
