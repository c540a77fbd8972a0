//! Why the program ends before it serves: one line, and the exit status.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use backend::StartError;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Characters of a bad value that are shown.
const VALUE_SHOWN_MAX: usize = 200;

/// A bad command line.
const MISTAKE: u8 = 2;
/// The command line was understood, but could not be done.
const FAILURE: u8 = 1;

/// What clap found: help and version on standard output, anything else in one line.
pub(crate) fn from_clap(error: &clap::Error) -> ExitCode {
    match error.use_stderr() {
        true => say(&in_words(error), MISTAKE),
        false => {
            // A reader that is gone (`backend --help | head -1`) is no reason for another message.
            let _ = error.print();
            ExitCode::SUCCESS
        }
    }
}

/// Why the origin did not start. What only the options as a whole show is a mistake on the command line.
pub(crate) fn from_start(error: &StartError) -> ExitCode {
    let status = match error {
        StartError::Nothing
        | StartError::Repeated(_)
        | StartError::SameAddress { .. }
        | StartError::RedisUrl { .. } => MISTAKE,
        StartError::Host { .. } | StartError::Bind { .. } | StartError::Worker(_) => FAILURE,
    };
    say(error, status)
}

/// The signals could not be caught.
pub(crate) fn from_signals(error: &io::Error) -> ExitCode {
    say(&format_args!("cannot handle signals: {error}; raise the limit of open files (ulimit -n)"), FAILURE)
}

fn say(message: &dyn Display, status: u8) -> ExitCode {
    // Whoever reads it may have gone; the status says it too.
    let _ = writeln!(io::stderr(), "backend: {message}");
    ExitCode::from(status)
}

/// What clap found. Its own text has several lines, with the usage among them.
fn in_words(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    // clap has the value's name behind the flag's: `--serve <NAME=ADDRESS>`.
    let flag = |argument: &str| argument.split(' ').next().unwrap_or_default().to_owned();
    let argument = context(ContextKind::InvalidArg);
    let value = context(ContextKind::InvalidValue);

    match error.kind() {
        ErrorKind::UnknownArgument => match error.get(ContextKind::SuggestedArg) {
            Some(ContextValue::String(near)) => {
                format!("unknown flag {argument:?}; did you mean {near}? --help lists all")
            }
            _ if argument.starts_with('-') => format!("unknown flag {argument:?}; --help lists all"),
            _ => format!(
                "unexpected argument {argument:?}; names are given as --serve NAME=ADDRESS, --help lists all"
            ),
        },
        ErrorKind::ArgumentConflict => match context(ContextKind::PriorArg) {
            prior if prior == argument => format!("{} is given twice; drop one", flag(argument)),
            prior => format!("{} and {} exclude each other; drop one", flag(argument), flag(prior)),
        },
        // Only one flag has a need.
        ErrorKind::MissingRequiredArgument => {
            "--key needs --redis; add --redis redis://HOST:PORT/DB, or drop --key".into()
        }
        ErrorKind::TooManyValues => format!("{} takes no value; drop {value:?}", flag(argument)),
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("{} needs a value; write {}", flag(argument), argument.replace(['<', '>'], ""))
        }
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8; write it in UTF-8".into(),
        ErrorKind::ValueValidation => {
            let problem = error.source().map(ToString::to_string).unwrap_or_default();
            format!("invalid value {} for {}: {problem}", shown(value), flag(argument))
        }
        // Nothing declared here leads to another kind; should clap find one, its first line says it.
        _ => {
            let text = error.render().to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}

/// A value, escaped so that the line stays one, and cut where it is very long.
fn shown(value: &str) -> String {
    match value.char_indices().nth(VALUE_SHOWN_MAX) {
        Some((at, _)) => format!("{:?}", format!("{}...", &value[..at])),
        None => format!("{value:?}"),
    }
}
