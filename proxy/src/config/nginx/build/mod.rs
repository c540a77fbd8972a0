//! From statements to a `Config`, in the order in which nginx goes about it: each directive is carried
//! out when it has been read; when `http` is read as a whole, groups are finished, inner levels take over
//! from outer ones, and names of variables are looked up.
//!
//! | file | what it carries out |
//! |---|---|
//! | `process.rs` | the main level and `events` |
//! | `http.rs` | `http`, `server`, `location`: the blocks themselves |
//! | `listen.rs`, `upstream.rs`, `map.rs`, `pass.rs` | `listen` and `server_name`; `upstream`; `map` and `log_format`; `proxy_pass` |
//! | `client.rs`, `forwarding.rs`, `answers.rs` | settings of several levels, by what they are about |
//! | `health.rs` | `health_check` and `match` |
//! | `scope.rs`, `finish.rs` | what is taken over, and what comes of it |
//! | `slots.rs`, `url.rs`, `variables.rs` | common kinds of arguments |

mod answers;
mod client;
mod finish;
mod forwarding;
mod health;
mod http;
mod listen;
mod map;
mod pass;
mod process;
mod resolver;
mod scope;
mod slots;
mod sticky;
mod upstream;
mod variables;

use super::directives::Context;
use super::error::{Error, Warning};
use super::files::Files;
use super::reader::Reader;
use super::{Loaded, Options, Refused};
use crate::time::Duration;

/// What was read so far.
struct Builder<'o> {
    options: &'o Options<'o>,
    files: &'o dyn Files,
    reader: Reader<'o>,
    warnings: Vec<Warning>,
    variables: variables::Variables,
    process: process::Settings,
    groups: upstream::Groups,
    sockets: listen::Sockets,
    servers: Vec<http::ServerBlock>,
    maps: Vec<map::MapBlock>,
    matches: Vec<health::MatchBlock>,
    format_names: Vec<String>,
    formats: Vec<map::Format>,
    /// See [`answers::Around`].
    buffered_logs: Vec<(String, u64, Option<Duration>)>,
    http_scope: scope::Scope,
    http: Option<finish::Http>,
}

/// Reads a configuration.
pub(super) fn load(files: &dyn Files, options: &Options<'_>) -> Result<Loaded, Box<Refused>> {
    let mut builder = Builder {
        options,
        files,
        reader: Reader::new(files, options.folder()),
        warnings: Vec::new(),
        variables: variables::Variables::default(),
        process: process::Settings::default(),
        groups: upstream::Groups::default(),
        sockets: listen::Sockets::default(),
        servers: Vec::new(),
        maps: Vec::new(),
        matches: Vec::new(),
        format_names: Vec::new(),
        formats: Vec::new(),
        buffered_logs: Vec::new(),
        http_scope: scope::Scope::default(),
        http: None,
    };
    let read = builder.read();
    let is_syntax_ok = read.is_ok();
    let result = read.and_then(|()| builder.finish());
    let warnings = std::mem::take(&mut builder.warnings);
    match result {
        Ok(config) => Ok(Loaded { config, warnings, files: builder.reader.into_read() }),
        Err(error) => Err(Box::new(Refused { error, warnings, is_syntax_ok })),
    }
}

impl Builder<'_> {
    /// Reads the directives of `-g` and then the file.
    fn read(&mut self) -> Result<(), Error> {
        self.add_combined()?;
        self.reader.open_parameter(self.options.globals);
        self.read_main()?;
        self.reader.open_file(&self.options.path)?;
        self.read_main()
    }

    fn read_main(&mut self) -> Result<(), Error> {
        while let Some(statement) = self.reader.next(Context::MAIN)? {
            self.main(&statement)?;
        }
        Ok(())
    }
}
