//! `proxy_pass`: where to, and what is asked for there.

use super::super::error::{Error, Place};
use super::super::reader::Statement;
use super::http::name;
use super::scope::{Change, ChangeFrom};
use super::upstream::Groups;
use super::url::{self, Kind, Url};
use super::variables::{Text, Variables};
use crate::config::site::{Match, PassTarget, PassUri};
use crate::config::{Pass, site};

/// A `proxy_pass`.
#[derive(Debug)]
pub(super) enum PassTo {
    /// To a group.
    Group {
        index: usize,
        /// `http://HOST`, and the URI: what `proxy_redirect default` is about.
        url: String,
        host: String,
        port: u16,
        uri: Option<String>,
        place: Place,
    },
    /// Where its variables say.
    Variable { target: Text, uri: Option<Text> },
    /// To a group, for what its variables say.
    GroupVariable { index: usize, host: String, port: u16, uri: Text },
}

/// Reads a `proxy_pass`. Its URI replaces what the location matched, where that `can_replace`.
pub(super) fn read(statement: &Statement, can_replace: bool, groups: &mut Groups) -> Result<PassTo, Error> {
    let word = statement.arg(0);
    let has_scheme = word.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
    if word.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
        let message = "\"https://\" in the \"proxy_pass\" directive is not supported by this proxy";
        return Err(statement.error(message));
    }
    let text = Text::arg(statement, 0)?;
    if !text.is_literal() {
        let Some(rest) = has_scheme.then(|| &word[7..]) else {
            let message =
                "\"proxy_pass\" without \"http://\" before its variables is not supported by this proxy";
            return Err(statement.error(message));
        };
        let (name, uri) = rest.split_at(end_of_name(rest));
        let target = Text::parse(name, &statement.place)?;
        let uri = match uri {
            "" => None,
            uri => Some(Text::parse(&rooted(uri), &statement.place)?),
        };
        return match uri {
            // Where it goes is known, so that the group can be there before a request asks for it.
            Some(uri) if target.is_literal() && name != "unix:" => {
                let url = parsed(name, statement)?;
                let index = groups.named(&url, &statement.place)?;
                let (host, port) = asked_for(&url);
                Ok(PassTo::GroupVariable { index, host: host.to_owned(), port, uri })
            }
            uri => Ok(PassTo::Variable { target, uri }),
        };
    }
    if !has_scheme {
        return Err(statement.error("invalid URL prefix"));
    }
    let rest = &word[7..];
    let url = parsed(rest, statement)?;
    let index = groups.named(&url, &statement.place)?;
    if !url.uri.is_empty() && !can_replace {
        return Err(statement.error(
            "\"proxy_pass\" cannot have URI part in location given by regular expression, or inside named \
             location, or inside \"if\" statement, or inside \"limit_except\" block",
        ));
    }
    let (host, port) = asked_for(&url);
    Ok(PassTo::Group {
        index,
        url: word.to_owned(),
        host: host.to_owned(),
        port,
        uri: (!url.uri.is_empty()).then(|| rooted(url.uri)),
        place: statement.place.clone(),
    })
}

fn parsed<'a>(text: &'a str, statement: &Statement) -> Result<Url<'a>, Error> {
    url::parse(text, Kind::Pass)
        .map_err(|problem| statement.error(format!("{problem} in upstream \"{text}\"")))
}

/// The `Host` and the port of requests to there, 80 being left out of the first.
fn asked_for<'a>(url: &Url<'a>) -> (&'a str, u16) {
    let port = match url.place {
        url::Place::Name(_, ports) | url::Place::V4(_, ports) | url::Place::V6(_, ports) => ports,
        url::Place::Any(_) | url::Place::Unix(_) => None,
    };
    match (&url.place, port) {
        (url::Place::Unix(_), _) => ("localhost", 80),
        (_, Some((80, _))) => (url.name.rsplit_once(':').map_or(url.name, |(host, _)| host), 80),
        (_, Some((port, _))) => (url.name, port),
        (_, None) => (url.name, 80),
    }
}

/// Where the URI begins in what stands behind `http://`. These variables are paths.
fn end_of_name(rest: &str) -> usize {
    let paths = ["$request_uri", "$uri", "${request_uri}", "${uri}", "$document_uri", "${document_uri}"];
    let starts = paths.iter().filter_map(|path| rest.find(path));
    starts.chain(rest.find(['/', '?'])).min().unwrap_or(rest.len())
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
        None => {
            Err(statement
                .error("\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive"))
        }
        Some(PassTo::Variable { .. } | PassTo::GroupVariable { .. }) => Err(statement
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
        Ok(match self {
            PassTo::Group { index, host, port, uri, .. } => Pass {
                port: *port,
                uri: uri.clone().map_or(PassUri::AsItCame, PassUri::Replaced),
                ..Pass::new(*index, host.clone())
            },
            PassTo::GroupVariable { index, host, port, uri } => Pass {
                port: *port,
                uri: PassUri::Whole(variables.template(uri)?),
                ..Pass::new(*index, host.clone())
            },
            PassTo::Variable { target, uri } => Pass {
                target: PassTarget::Variable(variables.template(target)?),
                host: String::new(),
                port: 80,
                uri: variables.optional(uri.as_ref())?.map_or(site::PassUri::AsItCame, PassUri::Whole),
            },
        })
    }
}
