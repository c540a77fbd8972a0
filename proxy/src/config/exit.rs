//! Why a command line gives no `Config`: what is printed where, and the exit status.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Characters of a bad value that are shown.
const VALUE_SHOWN_MAX: usize = 200;

/// Options of nginx's command line, which flags do not have.
const NGINX_OPTIONS: [&str; 9] = ["-c", "-p", "-e", "-g", "-s", "-t", "-T", "-q", "-v"];

/// The end of the process before it has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// What to print, with its last line feed.
    pub text: String,
    /// Where.
    pub stream: Stream,
    /// The exit status: 0 for help and version, 2 for a bad command line.
    pub status: u8,
}

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Exit {
    /// A bad command line: `text` becomes one line that begins with the program's name.
    pub(super) fn bad(text: &str) -> Exit {
        Exit { text: format!("proxy: {text}\n"), stream: Stream::Stderr, status: 2 }
    }

    /// Prints the text and gives what `main` returns.
    pub fn print(&self) -> ExitCode {
        // A reader that is gone (`proxy --help | head -1`) is no reason for another message.
        let _ = match self.stream {
            Stream::Stdout => io::stdout().write_all(self.text.as_bytes()),
            Stream::Stderr => io::stderr().write_all(self.text.as_bytes()),
        };
        ExitCode::from(self.status)
    }
}

/// `proxy: invalid value "app1:0" for --upstream: port 0 is no port; give one from 1 to 65535`.
///
/// The value is escaped, so that the line stays one, and cut where it is very long.
pub(super) fn invalid(flag: &str, value: &str, problem: &dyn Display) -> Exit {
    let cut = value.char_indices().nth(VALUE_SHOWN_MAX).map(|(at, _)| format!("{}...", &value[..at]));
    let value = cut.as_deref().unwrap_or(value);
    Exit::bad(&format!("invalid value {value:?} for {flag}: {problem}"))
}

/// What clap found, in one line. Its own text has several, with the usage among them.
pub(super) fn from_clap(error: &clap::Error) -> Exit {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    // clap has the value's name behind the flag's: `--listen <ADDRESS>`.
    let argument = context(ContextKind::InvalidArg);
    let flag = argument.split([' ', '[']).next().unwrap_or_default();
    let value = context(ContextKind::InvalidValue);

    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Exit { text: error.render().to_string(), stream: Stream::Stdout, status: 0 }
        }
        ErrorKind::UnknownArgument => Exit::bad(&match error.get(ContextKind::SuggestedArg) {
            Some(ContextValue::String(near)) => format!("unknown flag {flag:?}; did you mean {near}?"),
            _ if argument
                .strip_prefix('-')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) =>
            {
                format!("{argument:?} is no flag, and no value here may be below zero")
            }
            _ if NGINX_OPTIONS.contains(&flag) => format!(
                "{flag} is for an nginx.conf and does not go with flags; put it first and leave those out"
            ),
            _ if argument.starts_with('-') => format!("unknown flag {flag:?}; --help lists all"),
            _ => format!("unexpected argument {argument:?}; servers are given as --upstream SERVERS"),
        }),
        ErrorKind::ArgumentConflict => Exit::bad(&format!("{flag} is given twice; drop one")),
        // The only flag that needs another one.
        ErrorKind::MissingRequiredArgument => {
            Exit::bad("--health-interval needs --health-check; add the path that each server is asked for")
        }
        ErrorKind::TooManyValues => Exit::bad(&format!("{flag} takes no value; drop {value:?}")),
        ErrorKind::InvalidValue if value.is_empty() => Exit::bad(&format!(
            "{flag} needs a value; write {}",
            argument.replace("...", "").replace(['<', '>'], "")
        )),
        ErrorKind::InvalidUtf8 => Exit::bad("an argument is not UTF-8; only paths may be anything else"),
        ErrorKind::ValueValidation => {
            let problem = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            invalid(flag, value, &problem)
        }
        // Nothing declared here leads to another kind; should clap find one, its first line says it.
        _ => {
            let text = error.render().to_string();
            let line = text.lines().next().unwrap_or_default();
            Exit::bad(line.strip_prefix("error: ").unwrap_or(line))
        }
    }
}
