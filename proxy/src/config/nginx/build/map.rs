//! `map` and `log_format`: what stands in `http` and has a name of its own.

use super::super::error::{Error, Place};
use super::super::reader::{Line, Statement};
use super::Builder;
use super::variables::{Text, Variables};
use crate::config::site::SiteName;
use crate::config::template::{Template, Variable};
use crate::config::{Escape, LogFormat, Map, Pattern};

/// A `map` as it is read.
#[derive(Debug)]
pub(super) struct MapBlock {
    name: String,
    source: Text,
    hostnames: bool,
    exact: Vec<(String, Text)>,
    wildcards: Vec<(SiteName, Text)>,
    patterns: Vec<(Pattern, Text)>,
    default: Option<Text>,
    place: Place,
}

/// A `log_format` as it is read.
#[derive(Debug)]
pub(super) struct Format {
    escape: Escape,
    line: Text,
}

/// The line of a log where no format is named.
const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
                        \"$http_referer\" \"$http_user_agent\"";

impl Builder<'_> {
    /// A `map` block.
    pub(super) fn map(&mut self, block: &Statement) -> Result<(), Error> {
        let source = Text::arg(block, 0)?;
        let name = Variables::name(block.arg(1), &block.place)?;
        self.variables.define_map(&name, &block.place)?;
        let mut map = MapBlock {
            name,
            source,
            hostnames: false,
            exact: Vec::new(),
            wildcards: Vec::new(),
            patterns: Vec::new(),
            default: None,
            place: block.place.clone(),
        };
        while let Some(line) = self.reader.line()? {
            map.add(&line, &mut self.variables)?;
        }
        self.maps.push(map);
        Ok(())
    }

    /// A `log_format`.
    pub(super) fn log_format(&mut self, statement: &Statement) -> Result<(), Error> {
        let name = statement.arg(0);
        if self.format_names.iter().any(|known| known == name) {
            return Err(statement.error(format!("duplicate \"log_format\" name \"{name}\"")));
        }
        let (escape, words) = match statement.arg(1).strip_prefix("escape=") {
            Some("default") => (Escape::Default, &statement.args[2..]),
            Some("json") => (Escape::Json, &statement.args[2..]),
            Some("none") => (Escape::None, &statement.args[2..]),
            Some(other) => {
                return Err(statement.error(format!("unknown log format escaping \"{other}\"")));
            }
            None => (Escape::Default, &statement.args[1..]),
        };
        let mut line = Text::literal("", &statement.place);
        for word in words {
            let text = Text::parse(word, &statement.place).map_err(|mut error| {
                if error.message == "invalid variable name" {
                    error.message = format!("invalid parameter \"{word}\"");
                }
                error
            })?;
            // None is held against a request's line.
            if let Some(number) = text.capture() {
                return Err(Error::at(&statement.place, format!("unknown \"{number}\" variable")));
            }
            line.append(text);
        }
        self.format_names.push(name.to_owned());
        self.formats.push(Format { escape, line });
        Ok(())
    }

    /// The format that is always there.
    pub(super) fn add_combined(&mut self) -> Result<(), Error> {
        self.format_names.push("combined".to_owned());
        let line = Text::parse(COMBINED, &Place::CommandLine)?;
        self.formats.push(Format { escape: Escape::Default, line });
        Ok(())
    }

    /// The finished maps.
    pub(super) fn finish_maps(&self) -> Result<Vec<Map>, Error> {
        let maps: Vec<Map> =
            self.maps.iter().map(|map| map.finish(&self.variables)).collect::<Result<_, _>>()?;
        // nginx finds out when a request asks for it.
        match (0..maps.len()).find(|&index| leads_to(&maps, index, index, &mut vec![false; maps.len()])) {
            Some(index) => {
                let MapBlock { name, place, .. } = &self.maps[index];
                Err(Error::at(place, format!("cycle while evaluating variable \"{name}\"")))
            }
            None => Ok(maps),
        }
    }

    /// The finished formats.
    pub(super) fn finish_formats(&self) -> Result<Vec<LogFormat>, Error> {
        let formats = self.format_names.iter().zip(&self.formats);
        let finish = |(name, format): (&String, &Format)| {
            let line = self.variables.template(&format.line)?;
            Ok(LogFormat { name: name.clone(), line, escape: format.escape })
        };
        formats.map(finish).collect()
    }
}

impl MapBlock {
    fn add(&mut self, line: &Line, variables: &mut Variables) -> Result<(), Error> {
        let place = &line.place;
        let (key, value) = match &line.words[..] {
            [word] if word == "hostnames" => {
                self.hostnames = true;
                return Ok(());
            }
            // A value is worked out at each use anyway.
            [word] if word == "volatile" => return Ok(()),
            [key, value] => (key.as_str(), Text::parse(value, place)?),
            _ => return Err(Error::at(place, "invalid number of the map parameters")),
        };
        if key == "default" {
            return match self.default.replace(value) {
                None => Ok(()),
                Some(_) => Err(Error::at(place, "duplicate default map parameter")),
            };
        }
        if let Some(source) = key.strip_prefix('~') {
            let (source, is_caseless) =
                source.strip_prefix('*').map_or((source, false), |source| (source, true));
            let pattern = variables.pattern(source, is_caseless, place)?;
            self.patterns.push((pattern, value));
            return Ok(());
        }
        // `\default` is the text `default`.
        let key = key.strip_prefix('\\').unwrap_or(key);
        let text = key.to_ascii_lowercase();
        let conflict = || Err(Error::at(place, format!("conflicting parameter \"{text}\"")));
        let is_plain = text == "." || !(text.starts_with('.') || text.contains('*') || text.contains(".."));
        if self.hostnames && !is_plain {
            let Some(names) = wildcard(&text) else {
                return Err(Error::at(place, format!("invalid hostname or wildcard \"{key}\"")));
            };
            for name in names {
                match name {
                    SiteName::Exact(name) if self.has(&name) => return conflict(),
                    SiteName::Exact(name) => self.exact.push((name, value.clone())),
                    name if self.wildcards.iter().any(|(known, _)| *known == name) => return conflict(),
                    name => self.wildcards.push((name, value.clone())),
                }
            }
            return Ok(());
        }
        if self.has(&text) {
            return conflict();
        }
        self.exact.push((text, value));
        Ok(())
    }

    fn has(&self, text: &str) -> bool {
        self.exact.iter().any(|(known, _)| known == text)
    }

    fn finish(&self, variables: &Variables) -> Result<Map, Error> {
        fn finish<K: Clone>(
            values: &[(K, Text)],
            variables: &Variables,
        ) -> Result<Vec<(K, Template)>, Error> {
            values.iter().map(|(key, value)| Ok((key.clone(), variables.template(value)?))).collect()
        }
        let empty = Text::literal("", &self.place);
        Ok(Map {
            source: variables.template(&self.source)?,
            exact: finish(&self.exact, variables)?,
            wildcards: finish(&self.wildcards, variables)?,
            patterns: finish(&self.patterns, variables)?,
            has_hostnames: self.hostnames,
            default: variables.template(self.default.as_ref().unwrap_or(&empty))?,
        })
    }
}

/// Whether the map numbered `from` asks for the one numbered `to`, itself or by those it asks for.
fn leads_to(maps: &[Map], from: usize, to: usize, seen: &mut [bool]) -> bool {
    !std::mem::replace(&mut seen[from], true)
        && maps[from].variables().any(|variable| match variable {
            Variable::Map(index) => *index == to || leads_to(maps, *index, to, seen),
            _ => false,
        })
}

/// `.example.com` is a name and what ends so; `*.example.com` and `www.example.*` are one each.
fn wildcard(text: &str) -> Option<Vec<SiteName>> {
    let is_plain = |rest: &str| !rest.is_empty() && !rest.contains('*') && !rest.contains("..");
    if let Some(rest) = text.strip_prefix('.') {
        return is_plain(rest)
            .then(|| vec![SiteName::Exact(rest.to_owned()), SiteName::Suffix(text.to_owned())]);
    }
    match (text.strip_prefix("*."), text.strip_suffix(".*")) {
        (Some(rest), None) if is_plain(rest) => Some(vec![SiteName::Suffix(text[1..].to_owned())]),
        (None, Some(rest)) if is_plain(rest) => {
            Some(vec![SiteName::Prefix(text[..text.len() - 1].to_owned())])
        }
        _ => None,
    }
}
