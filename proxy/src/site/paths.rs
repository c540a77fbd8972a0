//! Which location of a site a path is for, in nginx's order (`ngx_http_core_find_location`): an exact match; then the
//! longest prefix, and what is nested in it; then, unless that prefix is final, the first regular expression.

use std::sync::Arc;

use super::Place;
use super::texts::Around;
use crate::config::site::{Answer, Match};
use crate::config::template::{Part, Template, Variable};
use crate::config::{Action, Location, Pattern};
use crate::http::uri;

/// The locations of a site or within one of its locations.
#[derive(Debug, Default)]
pub(super) struct Paths {
    exact: Vec<(Box<[u8]>, Arc<Place>)>,
    /// The longest first.
    prefixes: Vec<Prefix>,
    patterns: Vec<(Pattern, Arc<Place>, Paths)>,
    /// Those with a name, for `error_page`.
    named: Vec<(Box<[u8]>, Arc<Place>)>,
}

#[derive(Debug)]
struct Prefix {
    path: Box<[u8]>,
    is_final: bool,
    place: Arc<Place>,
    nested: Paths,
}

#[derive(Clone, Copy)]
struct Found<'a> {
    place: &'a Arc<Place>,
    /// No regular expression comes before it.
    is_settled: bool,
}

impl Paths {
    /// `outer` are the expressions of the locations that these are in, from the outermost on.
    pub(super) fn new(around: &Around<'_>, locations: &[Location], outer: &[Pattern]) -> Paths {
        let mut paths = Paths::default();
        for location in locations {
            let mut place = Place::new(around, location);
            place.patterns.splice(0..0, outer.iter().cloned());
            let nested = Paths::new(around, &location.nested, &place.patterns);
            let place = Arc::new(place);
            match &location.matches {
                Match::Exact(path) => paths.exact.push((path.as_bytes().into(), place)),
                Match::Prefix { path, is_final } => {
                    paths.prefixes.push(Prefix {
                        path: path.as_bytes().into(),
                        is_final: *is_final,
                        place,
                        nested,
                    });
                }
                Match::Regex(pattern) => paths.patterns.push((pattern.clone(), place, nested)),
                Match::Named(name) => paths.named.push((name.as_bytes().into(), place)),
            }
        }
        paths.add_slashes(around, locations);
        paths.prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.path.len()));
        paths
    }

    /// What is asked for without the slash at the end of a location that may pass requests on is sent there, unless there
    /// is a location for that (`ngx_http_add_location`).
    fn add_slashes(&mut self, around: &Around<'_>, locations: &[Location]) {
        for location in locations.iter().filter(|location| location.adds_slash) {
            let (Match::Exact(path) | Match::Prefix { path, .. }) = &location.matches else { continue };
            let Some(short) = path.strip_suffix('/').filter(|short| !short.is_empty()) else { continue };
            let is_there = self.exact.iter().any(|(exact, _)| **exact == *short.as_bytes())
                || self.prefixes.iter().any(|prefix| *prefix.path == *short.as_bytes());
            if is_there {
                continue;
            }
            // In a location a path is as it is compared, in a URI as it is sent (`ngx_http_core_find_config_phase`).
            let mut escaped = Vec::new();
            uri::escape(path.as_bytes(), &mut escaped);
            let parts = [
                Part::Text(escaped.into()),
                Part::Variable(Variable::IsArgs),
                Part::Variable(Variable::Args),
            ];
            let text = Template { parts: Box::new(parts) };
            let redirect = Location {
                matches: Match::Exact(short.to_owned()),
                action: Action::Answer(Answer { status: 301, text: Some(text) }),
                nested: Vec::new(),
                ..location.clone()
            };
            self.exact.push((short.as_bytes().into(), Arc::new(Place::new(around, &redirect))));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty() && self.patterns.is_empty()
    }

    /// The location for a path in its normal form; `None` where it is for none of them.
    pub(super) fn find(&self, path: &[u8]) -> Option<&Arc<Place>> {
        self.look(path).map(|found| found.place)
    }

    fn look(&self, path: &[u8]) -> Option<Found<'_>> {
        if let Some((_, place)) = self.exact.iter().find(|(exact, _)| **exact == *path) {
            return Some(Found { place, is_settled: true });
        }
        let prefix = self.prefixes.iter().find(|prefix| path.starts_with(&prefix.path));
        let own = prefix.map(|prefix| Found { place: &prefix.place, is_settled: false });
        let found = prefix.and_then(|prefix| prefix.nested.look(path)).or(own);
        // A prefix within a prefix still gives way to a regular expression out here.
        if found.is_some_and(|found| found.is_settled) || prefix.is_some_and(|prefix| prefix.is_final) {
            return found;
        }
        let matching = self.patterns.iter().find(|(pattern, ..)| pattern.regex().is_match(path));
        match matching {
            Some((_, place, nested)) => {
                Some(Found { place: nested.find(path).unwrap_or(place), is_settled: true })
            }
            None => found,
        }
    }

    /// The location with this name.
    pub(super) fn named(&self, name: &[u8]) -> Option<&Arc<Place>> {
        self.named.iter().find(|(named, _)| **named == *name).map(|(_, place)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Site};
    use crate::ids::Ids;

    /// A location that answers with `status`.
    fn location(matches: Match, status: u16, nested: Vec<Location>) -> Location {
        let action = Action::Answer(Answer { status, text: None });
        Location { matches, nested, ..Location::new(action) }
    }

    #[test]
    fn locations_are_found_in_nginx_s_order() {
        let prefix = |path: &str, is_final| Match::Prefix { path: path.to_owned(), is_final };
        let regex = |text: &str, any| Match::Regex(Pattern::new(text, any).expect("a pattern"));
        let locations = vec![
            location(prefix("/", false), 1, vec![]),
            location(Match::Exact("/a".into()), 2, vec![]),
            location(prefix("/a", false), 3, vec![]),
            location(prefix("/a/final/", true), 4, vec![]),
            location(regex("\\.php$", false), 5, vec![location(regex("^/x", false), 6, vec![])]),
            location(regex("\\.PHP", true), 7, vec![]),
            location(
                prefix("/n/", false),
                8,
                vec![
                    location(prefix("/n/m/", false), 9, vec![]),
                    location(regex("\\.gif$", false), 10, vec![]),
                    location(Match::Exact("/n/e".into()), 11, vec![]),
                ],
            ),
            location(Match::Named("@n".into()), 12, vec![]),
        ];
        let mut config = Config::new(Vec::new());
        config.sites = vec![Site::new(location(prefix("", false), 0, vec![]))];
        let ids = Ids::first(&config);
        let around = Around::new(&config, &ids, 0);
        let paths = Paths::new(&around, &locations, &[]);
        let status = |place: &Arc<Place>| match &place.action {
            Action::Answer(answer) => answer.status,
            other => panic!("{other:?}"),
        };
        for (path, expected) in [
            ("/", 1),
            ("/b", 1),
            ("/a", 2),
            ("/ab", 3),
            ("/a/final/x.php", 4),
            ("/a/x.php", 5),
            ("/x.php", 6),
            ("/a/x.PHP", 7),
            ("/n/x", 8),
            ("/n/x.php", 5),
            ("/n/m/x", 9),
            ("/n/m/x.php", 5),
            ("/n/m/x.gif", 10),
            ("/n/x.gif", 10),
            ("/n/e", 11),
        ] {
            assert_eq!(paths.find(path.as_bytes()).map(status), Some(expected), "{path}");
        }
        assert_eq!(paths.named(b"@n").map(status), Some(12));
        assert!(Paths::new(&around, &locations[1..3], &[]).find(b"/b").is_none());
    }
}
