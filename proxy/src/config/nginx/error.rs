//! What is wrong with a configuration, and where: in nginx's words, as people search for them.

use std::fmt;
use std::sync::Arc;

/// Where something stands in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file, at a line counted from 1. Of a statement over several lines it is the last, where its
    /// `;` or `{` stands, as in nginx.
    File(Arc<str>, u32),
    /// In the directives that `-g` gave.
    CommandLine,
}

impl fmt::Display for Place {
    /// `nginx.conf:12`, or `command line`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(name, line) => write!(f, "{name}:{line}"),
            Place::CommandLine => f.write_str("command line"),
        }
    }
}

/// The first thing that is wrong: nothing of the configuration can be used.
///
/// Shown, it is one line in nginx's wording, `unknown directive "foo" in nginx.conf:12`; whoever prints it
/// puts `nginx: [emerg] ` before, whoever logs it the level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong, without its place.
    pub message: String,
    /// Where. `None` where it is the configuration as a whole, or where nginx's words for it name the place
    /// in their own way.
    pub place: Option<Place>,
}

impl Error {
    /// An error at a place.
    pub(super) fn at(place: &Place, message: impl Into<String>) -> Error {
        Error { message: message.into(), place: Some(place.clone()) }
    }

    /// An error whose words say it all.
    pub(super) fn whole(message: impl Into<String>) -> Error {
        Error { message: message.into(), place: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{} in {place}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {}

/// What is doubtful, though the configuration can be used; shown like an [`Error`], with `[warn]`.
pub type Warning = Error;
