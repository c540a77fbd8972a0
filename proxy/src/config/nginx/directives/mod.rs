//! The directives, as data: what each is called, where it may stand, what it takes, what it does here,
//! and how that differs from nginx.
//!
//! The rows are made to be read. `docs/directives.md` is written from them; [`Context`]s and arguments are
//! those of nginx's own tables (`ngx_command_t`, release 1.22.1, and newer ones where a row says so).

mod document;
mod location;
mod process;
mod proxy;
mod server;
mod unsupported;
mod upstream;

pub use document::document;

/// One row: a directive in the contexts in which it means one thing. `server` and `keepalive_timeout` have
/// two rows each.
#[derive(Debug)]
pub struct Directive {
    /// Its name.
    pub name: &'static str,
    /// Where it may stand.
    pub contexts: Context,
    /// What it takes.
    pub arguments: Arguments,
    /// Whether it opens a block.
    pub is_block: bool,
    /// What holds without it; empty where there is nothing to say.
    pub default: &'static str,
    /// What it does, in a line.
    pub does: &'static str,
    /// How far.
    pub support: Support,
    /// What is not as in nginx, and why; empty where nothing is.
    pub difference: &'static str,
}

/// Places where directives stand: a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context(u16);

impl Context {
    /// Outside of all blocks.
    pub const MAIN: Context = Context(1);
    /// `events { }`
    pub const EVENTS: Context = Context(1 << 1);
    /// `http { }`
    pub const HTTP: Context = Context(1 << 2);
    /// `server { }`
    pub const SERVER: Context = Context(1 << 3);
    /// `location { }`
    pub const LOCATION: Context = Context(1 << 4);
    /// `upstream { }`
    pub const UPSTREAM: Context = Context(1 << 5);
    /// Everywhere.
    pub const ANY: Context = Context(0b11_1111);

    /// In either set.
    pub const fn or(self, other: Context) -> Context {
        Context(self.0 | other.0)
    }

    /// Whether the two have a place in common.
    pub const fn intersects(self, other: Context) -> bool {
        self.0 & other.0 != 0
    }

    /// The names of the places, outermost first.
    pub fn names(self) -> Vec<&'static str> {
        let all = ["main", "events", "http", "server", "location", "upstream"];
        all.into_iter().enumerate().filter(|(bit, _)| self.0 & 1 << bit != 0).map(|(_, name)| name).collect()
    }
}

/// How many arguments a directive takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// `on` or `off`.
    Flag,
    /// From so many to so many.
    Between(usize, usize),
    /// So many or more.
    AtLeast(usize),
}

impl Arguments {
    /// Whether it takes `count` of them.
    pub fn allow(self, count: usize) -> bool {
        match self {
            Arguments::Flag => count == 1,
            Arguments::Between(least, most) => (least..=most).contains(&count),
            Arguments::AtLeast(least) => count >= least,
        }
    }
}

/// How far a directive is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does what its row says.
    Full,
    /// It is accepted and changes nothing, for this reason.
    Ignored(&'static str),
    /// Only `off` is accepted: what it would switch on is not there.
    OnlyOff,
}

/// All rows, in the order in which they are documented.
pub fn all() -> impl Iterator<Item = &'static Directive> {
    SECTIONS.iter().flat_map(|(_, rows)| rows.iter())
}

/// The rows of a name.
pub(super) fn named(name: &str) -> impl Iterator<Item = &'static Directive> {
    all().filter(move |row| row.name == name)
}

/// Whether nginx has a directive of this name, which this proxy has not.
pub(super) fn is_of_nginx(name: &str) -> bool {
    unsupported::NAMES.iter().any(|(_, names)| names.split_ascii_whitespace().any(|known| known == name))
}

/// Whether nginx has a variable of this name, which this proxy has not.
pub(super) fn is_variable_of_nginx(name: &str) -> bool {
    unsupported::VARIABLES.split_ascii_whitespace().any(|known| known == name)
        || unsupported::FAMILIES.split_ascii_whitespace().any(|start| name.starts_with(start))
}

/// The rows under the headings of the documentation.
const SECTIONS: &[(&str, &[Directive])] = &[
    ("The process", process::ROWS),
    ("Servers and their clients", server::ROWS),
    ("Locations and answers", location::ROWS),
    ("Passing requests on", proxy::ROWS),
    ("Groups of servers", upstream::ROWS),
];

const MAIN: Context = Context::MAIN;
const EVENTS: Context = Context::EVENTS;
const HTTP: Context = Context::HTTP;
const UPSTREAM: Context = Context::UPSTREAM;
const LOCATION: Context = Context::LOCATION;
const HTTP_SERVER: Context = HTTP.or(Context::SERVER);
const SERVER_LOCATION: Context = Context::SERVER.or(LOCATION);
const HTTP_LOCATION: Context = HTTP_SERVER.or(LOCATION);

const FLAG: Arguments = Arguments::Flag;
const NONE: Arguments = Arguments::Between(0, 0);
const ONE: Arguments = Arguments::Between(1, 1);
const TWO: Arguments = Arguments::Between(2, 2);
const UP_TO_TWO: Arguments = Arguments::Between(0, 2);
const ONE_OR_TWO: Arguments = Arguments::Between(1, 2);
const ONE_TO_FOUR: Arguments = Arguments::Between(1, 4);
const SOME: Arguments = Arguments::AtLeast(1);

/// A row for a directive that is carried out in full, as nginx does.
const fn row(
    name: &'static str,
    contexts: Context,
    arguments: Arguments,
    default: &'static str,
    does: &'static str,
) -> Directive {
    Directive {
        name,
        contexts,
        arguments,
        is_block: false,
        default,
        does,
        support: Support::Full,
        difference: "",
    }
}

/// A row for a directive that opens a block.
const fn block(name: &'static str, contexts: Context, arguments: Arguments, does: &'static str) -> Directive {
    let mut row = row(name, contexts, arguments, "", does);
    row.is_block = true;
    row
}

/// A row for a directive that changes nothing here, with the reason.
const fn ignored(
    name: &'static str,
    contexts: Context,
    arguments: Arguments,
    reason: &'static str,
) -> Directive {
    let mut row = row(name, contexts, arguments, "", "");
    row.support = Support::Ignored(reason);
    row
}

/// A row for a directive that may only be switched off.
const fn only_off(name: &'static str, contexts: Context) -> Directive {
    let mut row = row(name, contexts, ONE, "off", "");
    row.support = Support::OnlyOff;
    row
}

impl Directive {
    /// The row, with what is not as in nginx.
    const fn differs(mut self, difference: &'static str) -> Directive {
        self.difference = difference;
        self
    }
}

#[cfg(test)]
mod tests {
    use crate::config::template::Variable;

    use super::*;

    #[test]
    fn rows_of_a_name_share_no_context() {
        let rows: Vec<_> = all().collect();
        for (index, row) in rows.iter().enumerate() {
            for other in rows[index + 1..].iter().filter(|other| other.name == row.name) {
                assert!(!row.contexts.intersects(other.contexts), "{}", row.name);
            }
        }
    }

    #[test]
    fn what_is_unsupported_has_no_row() {
        for name in unsupported::NAMES.iter().flat_map(|(_, names)| names.split_ascii_whitespace()) {
            assert!(named(name).next().is_none(), "{name}");
            assert!(is_of_nginx(name));
        }
        for name in [
            "keepalive_min_timeout",
            "status_zone",
            "keyval_zone",
            "otel_trace",
            "tunnel_pass",
            "ssl_key_log",
        ] {
            assert!(is_of_nginx(name), "{name}");
        }
        // Of other modules' blocks, which are refused as a whole.
        assert!(!is_of_nginx("usage_report"));
    }

    #[test]
    fn rows_say_what_they_are_for() {
        for row in all() {
            match row.support {
                Support::Full => assert!(row.does.ends_with('.'), "{}: {:?}", row.name, row.does),
                Support::Ignored(reason) => assert!(reason.ends_with('.'), "{}: {reason:?}", row.name),
                Support::OnlyOff => assert!(row.arguments.allow(1), "{}", row.name),
            }
        }
    }

    #[test]
    fn no_variable_is_unsupported_and_there() {
        for name in Variable::NAMES {
            assert!(!is_variable_of_nginx(name), "{name}");
        }
        for name in unsupported::VARIABLES.split_ascii_whitespace() {
            assert_eq!(Variable::named(name), None, "{name}");
        }
    }
}
