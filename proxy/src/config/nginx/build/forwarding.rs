//! Settings about passing requests on: the `proxy_*` directives but `proxy_pass` itself.

use super::super::error::{Error, Warning};
use super::super::reader::Statement;
use super::scope::{Change, ChangeFrom, Field, Scope};
use super::slots::{flag, number, once, size, time, word};
use super::variables::{Text, Variables};
use crate::config::NextUpstream;
use crate::config::address::local_address;

/// The words of `proxy_next_upstream` that stand for a status.
const STATUSES: [(&str, u16); 7] = [
    ("http_500", 500),
    ("http_502", 502),
    ("http_503", 503),
    ("http_504", 504),
    ("http_403", 403),
    ("http_404", 404),
    ("http_429", 429),
];

/// What is wrong with `proxy_redirect default` without a `proxy_pass`.
pub(super) const NO_PASS: &str =
    "\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive";

/// Carries out a directive, if it is one of these.
pub(super) fn set(
    scope: &mut Scope,
    statement: &Statement,
    variables: &mut Variables,
    warnings: &mut Vec<Warning>,
) -> Result<bool, Error> {
    match statement.directive.name {
        "proxy_http_version" => {
            word(&mut scope.proxy_http_version, statement, &[("1.0", false), ("1.1", true)])?;
        }
        "proxy_set_header" => {
            let value = Text::field_value(statement, 1)?;
            let field = Field { name: statement.arg(0).to_owned(), value, always: false };
            scope.proxy_set_header.get_or_insert_default().push(field);
        }
        "proxy_pass_request_headers" => flag(&mut scope.proxy_pass_request_headers, statement)?,
        "proxy_pass_request_body" => flag(&mut scope.proxy_pass_request_body, statement)?,
        "proxy_bind" => once(&mut scope.proxy_bind, statement, || bind(statement))?,
        "proxy_set_body" => once(&mut scope.proxy_set_body, statement, || Text::arg(statement, 0))?,
        "proxy_method" => once(&mut scope.proxy_method, statement, || Text::arg(statement, 0))?,
        "proxy_connect_timeout" => time(&mut scope.proxy_connect_timeout, statement)?,
        "proxy_send_timeout" => time(&mut scope.proxy_send_timeout, statement)?,
        "proxy_read_timeout" => time(&mut scope.proxy_read_timeout, statement)?,
        "proxy_next_upstream" => next_upstream(&mut scope.proxy_next_upstream, statement, warnings)?,
        "proxy_next_upstream_tries" => number(&mut scope.proxy_next_upstream_tries, statement)?,
        "proxy_next_upstream_timeout" => time(&mut scope.proxy_next_upstream_timeout, statement)?,
        "proxy_hide_header" => {
            scope.proxy_hide_header.get_or_insert_default().push(statement.arg(0).to_ascii_lowercase());
        }
        "proxy_pass_header" => {
            scope.proxy_pass_header.get_or_insert_default().push(statement.arg(0).to_ascii_lowercase());
        }
        "proxy_intercept_errors" => flag(&mut scope.proxy_intercept_errors, statement)?,
        "proxy_buffering" => flag(&mut scope.proxy_buffering, statement)?,
        "proxy_buffer_size" => size(&mut scope.proxy_buffer_size, statement)?,
        "proxy_redirect" => redirect(&mut scope.proxy_redirect, statement, variables)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// `proxy_bind off`, or an address.
fn bind(statement: &Statement) -> Result<Option<Text>, Error> {
    let word = statement.arg(0);
    if word == "off" && statement.args.len() == 1 {
        return Ok(None);
    }
    let text = Text::arg(statement, 0)?;
    if text.is_literal() && local_address(word.as_bytes()).is_none() {
        return Err(statement.error(format!("invalid address \"{word}\"")));
    }
    match statement.args.get(1).map(String::as_str) {
        None => Ok(Some(text)),
        Some("transparent") => {
            let message = "\"transparent\" in the \"proxy_bind\" directive is not supported by this proxy";
            Err(statement.error(message))
        }
        Some(other) => Err(statement.error(format!("invalid parameter \"{other}\""))),
    }
}

/// `proxy_redirect off`, or a change from one beginning or pattern to another.
fn redirect(
    slot: &mut Option<Option<Vec<Change>>>,
    statement: &Statement,
    variables: &mut Variables,
) -> Result<(), Error> {
    let from = statement.arg(0);
    let is_alone = statement.args.len() == 1;
    match (from, &slot) {
        ("off", None) if is_alone => {
            *slot = Some(None);
            return Ok(());
        }
        ("off", Some(_)) if is_alone => return Err(statement.fault("is duplicate")),
        (_, Some(None)) => return Err(statement.fault("is duplicate")),
        // Who knows the `proxy_pass` above it does not ask here.
        ("default", _) if is_alone => return Err(statement.error(NO_PASS)),
        _ if is_alone => return Err(statement.error(format!("invalid parameter \"{from}\""))),
        _ => {}
    }
    let place = &statement.place;
    let from = match from.strip_prefix('~') {
        Some(pattern) => {
            let (pattern, is_caseless) =
                pattern.strip_prefix('*').map_or((pattern, false), |pattern| (pattern, true));
            ChangeFrom::Pattern(variables.pattern(pattern, is_caseless, place)?)
        }
        None => ChangeFrom::Prefix(Text::arg(statement, 0)?),
    };
    add_change(slot, Change { from, to: Text::arg(statement, 1)? });
    Ok(())
}

/// Adds a change to those of a level, where they were not switched off.
pub(super) fn add_change(slot: &mut Option<Option<Vec<Change>>>, change: Change) {
    slot.get_or_insert_default().get_or_insert_default().push(change);
}

fn next_upstream(
    slot: &mut Option<NextUpstream>,
    statement: &Statement,
    warnings: &mut Vec<Warning>,
) -> Result<(), Error> {
    let mut next = slot.take().unwrap_or(NONE);
    for (index, word) in statement.args.iter().enumerate() {
        if statement.args[..index].contains(word) {
            warnings.push(statement.error(format!("duplicate value \"{word}\"")));
        }
        match word.to_ascii_lowercase().as_str() {
            "error" => next.error = true,
            "timeout" => next.timeout = true,
            "invalid_header" => next.invalid_header = true,
            "non_idempotent" => next.non_idempotent = true,
            // `updating` is about a cache, of which there is none.
            "off" | "updating" => {}
            lower => {
                let known = STATUSES.iter().position(|(name, _)| *name == lower);
                let place = known.ok_or_else(|| statement.error(format!("invalid value \"{word}\"")))?;
                next.statuses[place] = STATUSES[place].1;
            }
        }
    }
    if statement.args.iter().any(|word| word.eq_ignore_ascii_case("off")) {
        // As in nginx `off` beats what stands beside it.
        next = NextUpstream { non_idempotent: next.non_idempotent, ..NONE };
    }
    *slot = Some(next);
    Ok(())
}

const NONE: NextUpstream = NextUpstream {
    error: false,
    timeout: false,
    invalid_header: false,
    non_idempotent: false,
    statuses: [0; 7],
};
