//! `docs/directives.md`, from the rows.

use std::fmt::Write;

use super::{Arguments, Directive, SECTIONS, Support, unsupported};
use crate::config::template::Variable;

const INTRODUCTION: &str = "\
# Directives

What `proxy -c nginx.conf` reads, and where that differs from nginx. This page is written from the table that the
program goes by (`proxy/src/config/nginx/directives/`):
`UPDATE=1 cargo test -p proxy --test directives` writes it anew.

A directive that is not here is an error, in nginx's words: one that nginx has and this proxy has not is named as such
(`the \"gzip\" directive is not supported by this proxy in nginx.conf:12`), any other is an `unknown directive`.
";

/// The page.
pub fn document() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str(GENERAL);
    for (heading, rows) in SECTIONS {
        section(&mut page, heading, rows);
    }
    // Writing to a String does not fail.
    let listed = |names: &[&str]| names.iter().map(|name| format!("`${name}`")).collect::<Vec<_>>().join(" ");
    let is_empty = |name: &&str| matches!(Variable::named(name), Some(Variable::Absent | Variable::Https));
    let (empty, variables): (Vec<_>, Vec<_>) = Variable::NAMES.iter().copied().partition(is_empty);
    let families: Vec<_> = Variable::FAMILIES.iter().map(|start| format!("`${start}`*name*")).collect();
    let _ = writeln!(
        page,
        "\n## Variables\n\n{}\n\nFamilies: {}. Others come from `set`, `map` and named groups of regular expressions.\n\n\
         Always empty, as in nginx without what they tell of: {}",
        listed(&variables),
        families.join(", "),
        listed(&empty),
    );
    page.push_str("\n## Not supported\n\n| for | directives |\n|---|---|\n");
    for (what, names) in unsupported::NAMES {
        let names: Vec<_> = names.split_ascii_whitespace().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(page, "| {what} | {} |", names.join(" "));
    }
    let variables = unsupported::VARIABLES.split_ascii_whitespace().map(|name| format!("`${name}`"));
    let families = unsupported::FAMILIES.split_ascii_whitespace().map(|start| format!("`${start}`*name*"));
    let names: Vec<_> = variables.chain(families).collect();
    let _ = writeln!(page, "\nNor are the variables {}.", names.join(" "));
    page
}

const GENERAL: &str = "
## Differences in general

- A configuration is UTF-8; only comments may be anything else.
- `unknown \"x\" variable` and errors about a group of servers name the line, which nginx leaves out in places.
- Times are read more strictly: `10s5` and `s` are errors. A time in seconds may have milliseconds too.
- Regular expressions are PCRE's but for what would take more time than the length of the text: no look-around, no
  back-references, no possessive quantifiers or atomic groups, no recursion, no verbs; each is refused by name. `{,3}`,
  which releases of PCRE read in two ways, is refused too. `\\p` is asked of UTF-8, where nginx asks it of bytes.
  Where a text ends with a line feed, a group with a `$` in it captures that too.
- Host names are not resolved while the configuration is read; one that does not resolve does not keep the proxy from
  starting.
- A variable of `map` cannot be `set`, nor the other way round, and none may depend on itself.
- There must be a `server`.
- Of directives without effect no more is checked than where they stand and how many arguments they have.
- A head that is too large is 431, where nginx has 400, and so is one of more than 1,000 fields, as `max_headers` has it
  by default; of a server's head that is a 502. Only of `Host` and of what frames a body a repetition is refused.
- A head is read as RFC 9112 has it: a port in `Host` that is no number, user information in it, a `#` in the target and a
  control byte in a field are 400, where nginx goes on; a method in small letters and `OPTIONS *` are passed on, where nginx
  has 400. Where the target is a whole URI, `$http_host` is its host.
- A client that has shut its own direction of the connection gets its answer; nginx takes it for gone (499).
- A final answer does not wait for the body: to `Expect: 100-continue` it comes without a 100 before it.
- `X-Accel-Redirect` leads nowhere: the response that has it goes to the client, without that field.
";

fn section(page: &mut String, heading: &str, rows: &[Directive]) {
    let _ = writeln!(page, "\n## {heading}\n");
    page.push_str("| directive | where | default | what it does |\n|---|---|---|---|\n");
    for row in rows.iter().filter(|row| row.support == Support::Full) {
        let difference = match row.difference {
            "" => String::new(),
            text => format!(" *Differs:* {text}"),
        };
        let default = if row.default.is_empty() { String::new() } else { format!("`{}`", row.default) };
        let _ = writeln!(
            page,
            "| `{}`{} | {} | {} | {}{difference} |",
            row.name,
            arguments(row),
            places(row),
            escaped(&default),
            escaped(row.does)
        );
    }
    let ignored = rows.iter().filter_map(|row| match row.support {
        Support::Ignored(reason) => Some(format!("- `{}`: {}\n", row.name, reason)),
        _ => None,
    });
    let ignored: String = ignored.collect();
    if !ignored.is_empty() {
        let _ = write!(page, "\nAccepted, and without effect:\n\n{ignored}");
    }
    let off: Vec<_> = rows
        .iter()
        .filter(|row| row.support == Support::OnlyOff)
        .map(|row| format!("`{}`", row.name))
        .collect();
    if !off.is_empty() {
        let _ = writeln!(page, "\nAccepted only with `off`: {}.", off.join(", "));
    }
}

/// ` on|off`, ` { }`, or how many arguments, in short.
fn arguments(row: &Directive) -> String {
    let block = if row.is_block { " `{ }`" } else { "" };
    let count = match row.arguments {
        Arguments::Flag => " on or off".to_owned(),
        Arguments::Between(0, 0) => String::new(),
        Arguments::Between(least, most) if least == most => format!(" ({least})"),
        Arguments::Between(least, most) => format!(" ({least} to {most})"),
        Arguments::AtLeast(least) => format!(" ({least} or more)"),
    };
    format!("{count}{block}")
}

fn places(row: &Directive) -> String {
    match row.contexts {
        super::Context::ANY => "everywhere".to_owned(),
        contexts => contexts.names().join(", "),
    }
}

/// A bar would end the cell.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}
