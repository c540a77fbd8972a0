//! Settings about answers: static files, error pages, fields that are added, and logs of requests.

use std::sync::Arc;

use super::super::error::{Error, Warning};
use super::super::reader::{Line, Statement};
use super::scope::{Field, Log, Logs, Page, Root, Scope};
use super::slots::{flag, number, text, word};
use super::variables::Text;
use crate::config::site::{IfModifiedSince, PageStatus};
use crate::config::units::{parse_number, parse_size, parse_time};
use crate::time::Duration;

/// What of the rest of a configuration these directives need.
pub(super) struct Around<'a> {
    /// Paths are relative to this folder, which ends with a slash.
    pub(super) prefix: &'a str,
    /// The names of the formats so far.
    pub(super) formats: &'a [String],
    /// The logs with a buffer so far: the file, the buffer's size, and how long a line is held back.
    pub(super) buffered: &'a mut Vec<(String, u64, Option<Duration>)>,
    /// Where warnings go.
    pub(super) warnings: &'a mut Vec<Warning>,
}

/// Carries out a directive, if it is one of these.
pub(super) fn set(scope: &mut Scope, statement: &Statement, around: &mut Around<'_>) -> Result<bool, Error> {
    match statement.directive.name {
        "root" | "alias" => root(&mut scope.root, statement, around.prefix)?,
        "index" => index(scope, statement, around.warnings)?,
        "default_type" => text(&mut scope.default_type, statement)?,
        "etag" => flag(&mut scope.etag, statement)?,
        "if_modified_since" => word(
            &mut scope.if_modified_since,
            statement,
            &[
                ("off", IfModifiedSince::Off),
                ("exact", IfModifiedSince::Exact),
                ("before", IfModifiedSince::Before),
            ],
        )?,
        "max_ranges" => number(&mut scope.max_ranges, statement)?,
        "absolute_redirect" => flag(&mut scope.absolute_redirect, statement)?,
        "server_name_in_redirect" => flag(&mut scope.server_name_in_redirect, statement)?,
        "port_in_redirect" => flag(&mut scope.port_in_redirect, statement)?,
        "error_page" => {
            let page = error_page(statement)?;
            scope.error_page.get_or_insert_default().push(page);
        }
        "recursive_error_pages" => flag(&mut scope.recursive_error_pages, statement)?,
        "add_header" => {
            let always = match statement.args.get(2).map(String::as_str) {
                None => false,
                Some("always") => true,
                Some(other) => return Err(statement.error(format!("invalid parameter \"{other}\""))),
            };
            let value = Text::field_value(statement, 1)?;
            let field = Field { name: statement.arg(0).to_owned(), value, always };
            scope.add_header.get_or_insert_default().push(field);
        }
        "access_log" => access_log(scope.access_log.get_or_insert_default(), statement, around)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Media types by the ends of files' names, in small letters.
type Types = Arc<Vec<(String, String)>>;

/// The media types of nginx where there is no `types`.
pub(super) fn default_types() -> Types {
    let types = [("html", "text/html"), ("gif", "image/gif"), ("jpg", "image/jpeg")];
    Arc::new(types.into_iter().map(|(end, kind)| (end.to_owned(), kind.to_owned())).collect())
}

/// One line of `types`: a type and its extensions.
pub(super) fn add_type(types: &mut Types, line: &Line, warnings: &mut Vec<Warning>) -> Result<(), Error> {
    let (kind, extensions) = line.words.split_first().expect("a line has a word");
    if kind == "include" {
        return Err(Error::at(&line.place, "invalid number of arguments in \"include\" directive"));
    }
    let types = Arc::make_mut(types);
    for extension in extensions {
        let extension = extension.to_ascii_lowercase();
        match types.iter_mut().find(|(known, _)| *known == extension) {
            Some((_, old)) => {
                warnings.push(Error::at(
                    &line.place,
                    format!(
                        "duplicate extension \"{extension}\", content type: \"{kind}\", \
                         previous content type: \"{old}\""
                    ),
                ));
                old.clone_from(kind);
            }
            None => types.push((extension, kind.clone())),
        }
    }
    Ok(())
}

fn root(slot: &mut Option<Root>, statement: &Statement, prefix: &str) -> Result<(), Error> {
    let is_alias = statement.directive.name == "alias";
    if let Some(earlier) = slot {
        if earlier.is_alias == is_alias {
            return Err(statement.fault("is duplicate"));
        }
        let name = if earlier.is_alias { "alias" } else { "root" };
        return Err(statement.fault(&format!("is duplicate, \"{name}\" directive was specified earlier")));
    }
    let path = statement.arg(0);
    for variable in ["document_root", "realpath_root"] {
        if path.contains(&format!("${variable}")) || path.contains(&format!("${{{variable}}}")) {
            let name = statement.directive.name;
            return Err(statement
                .error(format!("the ${variable} variable cannot be used in the \"{name}\" directive")));
        }
    }
    let path = if is_alias { path } else { path.strip_suffix('/').unwrap_or(path) };
    let path = match path.starts_with(['/', '$']) || statement.arg(0) == "/" {
        true => path.to_owned(),
        false => format!("{prefix}{path}"),
    };
    *slot = Some(Root { path: Text::parse(&path, &statement.place)?, is_alias, replaced: 0 });
    Ok(())
}

fn index(scope: &mut Scope, statement: &Statement, warnings: &mut Vec<Warning>) -> Result<(), Error> {
    let index = scope.index.get_or_insert_default();
    for (at, name) in statement.args.iter().enumerate() {
        if name.starts_with('/') && at + 1 != statement.args.len() {
            let message = "only the last index in \"index\" directive should be absolute";
            warnings.push(statement.error(message));
        }
        if name.is_empty() {
            // nginx names the first one, whichever it is.
            let first = statement.arg(0);
            return Err(statement.error(format!("index \"{first}\" in \"index\" directive is invalid")));
        }
        index.push(Text::parse(name, &statement.place)?);
    }
    Ok(())
}

/// `error_page CODE... [=[CODE]] URI`.
fn error_page(statement: &Statement) -> Result<Page, Error> {
    let invalid = |word: &str| statement.error(format!("invalid value \"{word}\""));
    let (uri, words) = statement.args.split_last().expect("two arguments");
    let (codes, answers) = match words.split_last() {
        Some((word, codes)) if word.starts_with('=') => {
            if codes.is_empty() {
                return Err(invalid(word));
            }
            let answers = match &word[1..] {
                "" => PageStatus::Own,
                code => {
                    let code = status(code).filter(|code| (200..1000).contains(code));
                    PageStatus::Set(code.ok_or_else(|| invalid(word))?)
                }
            };
            (codes, answers)
        }
        _ => (words, PageStatus::Kept),
    };
    let to = Text::parse(uri, &statement.place)?;
    let mut statuses = Vec::new();
    for code in codes {
        match parse_number(code).ok_or_else(|| invalid(code))? {
            499 => return Err(invalid(code)),
            status @ 300..=599 => statuses.push(status as u16),
            _ => {
                return Err(statement.error(format!("value \"{code}\" must be between 300 and 599")));
            }
        }
    }
    Ok(Page { statuses, to, answers })
}

fn status(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `access_log off`, or `access_log PATH [FORMAT [buffer=SIZE] [flush=TIME] [if=TEXT]]`.
fn access_log(logs: &mut Logs, statement: &Statement, around: &mut Around<'_>) -> Result<(), Error> {
    let path = statement.arg(0);
    if path == "off" {
        logs.is_off = true;
        return match statement.args.get(1) {
            None => Ok(()),
            Some(word) => Err(statement.error(format!("invalid parameter \"{word}\""))),
        };
    }
    if path.starts_with("syslog:") {
        let message = "\"syslog:\" in the \"access_log\" directive is not supported by this proxy";
        return Err(statement.error(message));
    }
    let full = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("{}{path}", around.prefix),
    };
    let path_text = Text::parse(&full, &statement.place)?;
    let name = statement.args.get(1).map_or("combined", String::as_str);
    let known = around.formats.iter().position(|format| format == name);
    let format = known.ok_or_else(|| statement.error(format!("unknown log format \"{name}\"")))?;
    let mut log = Log { path: path_text, format, buffer: None, flush: None, condition: None };
    for word in statement.args.iter().skip(2) {
        match word.split_once('=') {
            Some(("buffer", value)) => {
                log.buffer = Some(
                    parse_size(value)
                        .ok()
                        .filter(|size| *size > 0)
                        .ok_or_else(|| statement.error(format!("invalid buffer size \"{value}\"")))?,
                );
            }
            Some(("flush", value)) => {
                log.flush = Some(
                    parse_time(value)
                        .ok()
                        .filter(|time| !time.is_zero())
                        .ok_or_else(|| statement.error(format!("invalid flush time \"{value}\"")))?,
                );
            }
            Some(("if", value)) => log.condition = Some(Text::parse(value, &statement.place)?),
            _ if word == "gzip" || word.starts_with("gzip=") => {
                let message =
                    "the \"gzip\" parameter of the \"access_log\" directive is not supported by this proxy";
                return Err(statement.error(message));
            }
            _ => return Err(statement.error(format!("invalid parameter \"{word}\""))),
        }
    }
    if log.flush.is_some() && log.buffer.is_none() {
        return Err(statement.error(format!("no buffer is defined for access_log \"{path}\"")));
    }
    if log.buffer.is_some() && !log.path.is_literal() {
        return Err(statement.error("buffered logs cannot have variables in name"));
    }
    if let Some(size) = log.buffer {
        // A file has one buffer, whoever writes to it.
        match around.buffered.iter().find(|(file, ..)| *file == full) {
            Some((_, known, flush)) if (*known, *flush) != (size, log.flush) => {
                let message = format!("access_log \"{path}\" already defined with conflicting parameters");
                return Err(statement.error(message));
            }
            Some(_) => {}
            None => around.buffered.push((full, size, log.flush)),
        }
    }
    logs.logs.push(log);
    Ok(())
}
