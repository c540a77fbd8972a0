//! `nginx.conf`: nginx's language, read to a checked [`Config`].
//!
//! ```text
//!   bytes ──lexer──▶ words ──reader──▶ statements ──build──▶ Config
//!                              ▲
//!                         directives: the table
//! ```
//!
//! What is wrong is said in nginx's words, and of several mistakes it is the first that is named, as each
//! directive is carried out when it has been read. The table of directives is data; `docs/directives.md`
//! is written from it.

mod build;
pub mod cli;

pub mod directives;
mod error;
mod files;
pub mod lexer;
mod reader;

pub use error::{Error, Place, Warning};
pub use files::{Disk, Files, shown};

use super::Config;

/// What a configuration is read with besides its text.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// The file, with its folder (`-c`).
    pub path: String,
    /// The folder to which paths in the configuration are relative, with its last slash (`-p`).
    pub prefix: String,
    /// Directives of the main level that come before the file (`-g`); empty: none.
    pub globals: &'a str,
    /// Where messages go unless the configuration says so, as it says it (`-e`).
    pub error_log: &'a str,
    /// Whether this process has the privileges that ports below 1024 and `user` need.
    pub is_root: bool,
    /// This machine's name.
    pub hostname: &'a str,
}

impl Options<'_> {
    /// The folder of the file, with its last slash: included files are relative to it.
    fn folder(&self) -> &str {
        &self.path[..self.path.rfind('/').map_or(0, |at| at + 1)]
    }

    /// A path of the configuration, in full.
    fn full(&self, path: &str) -> String {
        if path.starts_with('/') { path.to_owned() } else { format!("{}{path}", self.prefix) }
    }
}

/// A configuration that was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is doubtful in it.
    pub warnings: Vec<Warning>,
    /// The files that it was read from with their bytes, in the order of reading, each once.
    pub files: Vec<(String, Vec<u8>)>,
}

/// A configuration that cannot be used.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Why.
    pub error: Error,
    /// What was doubtful before that.
    pub warnings: Vec<Warning>,
    /// Each part of it can be read; it is the whole that is wrong. `nginx -t` says so.
    pub is_syntax_ok: bool,
}

/// Reads a configuration; nothing is bound, opened for writing or resolved.
///
/// # Errors
///
/// The first thing that is wrong, in nginx's words.
pub fn load(files: &dyn Files, options: &Options<'_>) -> Result<Loaded, Box<Refused>> {
    build::load(files, options)
}

#[cfg(test)]
mod tests;
