//! `proxy_pass`: where to, and what is asked for there.

use super::super::error::{Error, Place};
use super::super::reader::Statement;
use super::forwarding::NO_PASS;
use super::http::name;
use super::scope::{Change, ChangeFrom};
use super::upstream::Groups;
use super::variables::{Text, Variables};
use crate::config::Pass;
use crate::config::site::{Match, PassTarget, PassUri};
use crate::config::url::{self, Kind, Url};

/// A `proxy_pass`.
#[derive(Debug)]
pub(super) enum PassTo {
    /// To a group.
    Group {
        group: Group,
        /// As written, without the URI: what `proxy_redirect default` is about.
        url: String,
        uri: Option<String>,
        place: Place,
    },
    /// To a group, with variables in what is asked for.
    GroupWith { group: Group, uri: Text },
    /// Where its variables say, in whole.
    Variable(Text),
}

/// A group, and how it is called here.
#[derive(Debug)]
pub(super) struct Group {
    index: usize,
    host: String,
    port: Option<u16>,
}

/// Variables that begin with a slash or a question mark, or are what follows one: where they stand directly
/// behind a host, the URI begins.
const BEGIN_A_URI: [&str; 5] = ["uri", "request_uri", "document_uri", "is_args", "args"];

/// Reads a `proxy_pass`. Its URI replaces what the location matched, where that `can_replace`.
pub(super) fn read(statement: &Statement, can_replace: bool, groups: &mut Groups) -> Result<PassTo, Error> {
    let word = statement.arg(0);
    let has_scheme = word.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
    if word.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
        let message = "\"https://\" in the \"proxy_pass\" directive is not supported by this proxy";
        return Err(statement.error(message));
    }
    if !Text::arg(statement, 0)?.is_literal() {
        return match has_scheme {
            true => with_variables(&word[7..], statement, groups),
            // What they are worth is to begin with it.
            false => Ok(PassTo::Variable(Text::arg(statement, 0)?)),
        };
    }
    if !has_scheme {
        return Err(statement.error("invalid URL prefix"));
    }
    let url = parsed(&word[7..], statement)?;
    let group = group(&url, statement, groups)?;
    if !url.uri.is_empty() && !can_replace {
        return Err(statement.error(
            "\"proxy_pass\" cannot have URI part in location given by regular expression, or inside named \
             location, or inside \"if\" statement, or inside \"limit_except\" block",
        ));
    }
    let uri = (!url.uri.is_empty()).then(|| rooted(url.uri));
    Ok(PassTo::Group { group, url: word.to_owned(), uri, place: statement.place.clone() })
}

/// What stands behind `http://`, with variables in it: the place up to where the URI begins, and the URI.
fn with_variables(rest: &str, statement: &Statement, groups: &mut Groups) -> Result<PassTo, Error> {
    let (target, uri) = match rest.strip_prefix("unix:").map(|path| path.find(':')) {
        Some(Some(end)) => (&rest[..5 + end], &rest[5 + end + 1..]),
        Some(None) => (rest, ""),
        None => rest.split_at(uri_start(rest)),
    };
    if !uri.is_empty() && Text::parse(target, &statement.place)?.is_literal() {
        let group = group(&parsed(target, statement)?, statement, groups)?;
        return Ok(PassTo::GroupWith { group, uri: Text::parse(&rooted(uri), &statement.place)? });
    }
    Ok(PassTo::Variable(Text::arg(statement, 0)?))
}

/// Where a URI begins behind a host: at `/`, `?`, or a variable that has one.
fn uri_start(rest: &str) -> usize {
    let slash = rest.find(['/', '?']).unwrap_or(rest.len());
    let variables = rest[..slash].match_indices('$').map(|(at, _)| at);
    let begins = |at: &usize| {
        let name = rest[at + 1..].trim_start_matches('{');
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
        BEGIN_A_URI.contains(&name[..end].to_ascii_lowercase().as_str())
    };
    variables.into_iter().find(begins).unwrap_or(slash)
}

fn parsed<'t>(text: &'t str, statement: &Statement) -> Result<Url<'t>, Error> {
    url::parse(text, Kind::Pass)
        .map_err(|problem| statement.error(format!("{problem} in upstream \"{text}\"")))
}

/// The group of an address, and what `$proxy_host` and `$proxy_port` are there.
fn group(url: &Url<'_>, statement: &Statement, groups: &mut Groups) -> Result<Group, Error> {
    let index = groups.named(url, &statement.place)?;
    let (host, port) = url.called();
    Ok(Group { index, host: host.to_owned(), port })
}

/// `?args` has an empty path, which is `/`.
fn rooted(uri: &str) -> String {
    if uri.starts_with('?') { format!("/{uri}") } else { uri.to_owned() }
}

/// What `proxy_redirect default` stands for.
pub(super) fn default_change(
    pass: Option<&PassTo>,
    matches: &Match,
    statement: &Statement,
) -> Result<Change, Error> {
    match pass {
        None => Err(statement.error(NO_PASS)),
        Some(PassTo::Variable(_) | PassTo::GroupWith { .. }) => Err(statement
            .error("\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables")),
        Some(to) => Ok(to.change(matches).expect("it has no variables")),
    }
}

impl PassTo {
    /// How `Location` changes where nothing is said about it: from the servers' URL back to the
    /// location's path.
    pub(super) fn change(&self, matches: &Match) -> Option<Change> {
        let PassTo::Group { url, uri, place, .. } = self else { return None };
        let (from, to) = match uri {
            Some(_) => (url.clone(), name(matches)),
            None => (format!("{url}/"), "/"),
        };
        let from = ChangeFrom::Prefix(Text::literal(&from, place));
        Some(Change { from, to: Text::literal(to, place) })
    }

    /// The finished value.
    pub(super) fn finish(&self, variables: &Variables) -> Result<Pass, Error> {
        let to =
            |group: &Group, uri| Pass { port: group.port, uri, ..Pass::new(group.index, group.host.clone()) };
        Ok(match self {
            PassTo::Group { group, uri, .. } => {
                to(group, uri.clone().map_or(PassUri::AsItCame, PassUri::Replaced))
            }
            PassTo::GroupWith { group, uri } => to(group, PassUri::Whole(variables.template(uri)?)),
            PassTo::Variable(text) => Pass {
                target: PassTarget::Variable(variables.template(text)?),
                host: String::new(),
                port: None,
                uri: PassUri::AsItCame,
            },
        })
    }
}
