//! `http`, `server` and `location` blocks as they are read: what each says for itself, nothing taken over
//! yet.

use std::sync::Arc;

use super::super::directives::{Context, Support};
use super::super::error::{Error, Place};
use super::super::reader::Statement;
use super::answers::{self, Around};
use super::pass::{self, PassTo};
use super::scope::Scope;
use super::slots::once;
use super::variables::{Text, Variables};
use super::{Builder, client, forwarding, health, listen};
use crate::config::site::{Match, SiteName};
use crate::config::template::Variable;
use crate::config::units::parse_number;

/// A `location`, or the part of a `server` that is like one.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) matches: Match,
    pub(super) place: Place,
    pub(super) scope: Scope,
    pub(super) is_internal: bool,
    pub(super) sets: Vec<(Variable, Text)>,
    pub(super) answer: Option<(u16, Option<Text>)>,
    pub(super) try_files: Option<Tries>,
    pub(super) end: End,
    pub(super) check: Option<health::Check>,
    pub(super) nested: Vec<Part>,
}

/// A `try_files`.
#[derive(Debug)]
pub(super) struct Tries {
    /// Names, and whether a folder is wanted.
    pub(super) names: Vec<(Text, bool)>,
    pub(super) otherwise: Last,
}

/// What comes last in it.
#[derive(Debug)]
pub(super) enum Last {
    Status(u16),
    Place(Text),
}

/// Where requests end, if not in an answer.
#[derive(Debug, Default)]
pub(super) enum End {
    #[default]
    File,
    Pass(PassTo),
    StubStatus,
}

/// A `server`.
#[derive(Debug)]
pub(super) struct ServerBlock {
    pub(super) names: Vec<SiteName>,
    pub(super) part: Part,
}

impl Part {
    fn new(matches: Match, place: &Place) -> Part {
        Part {
            matches,
            place: place.clone(),
            scope: Scope::default(),
            is_internal: false,
            sets: Vec::new(),
            answer: None,
            try_files: None,
            end: End::File,
            check: None,
            nested: Vec::new(),
        }
    }
}

impl Builder<'_> {
    /// The `http` block.
    pub(super) fn http(&mut self) -> Result<(), Error> {
        let mut scope = Scope::default();
        while let Some(statement) = self.reader.next(Context::HTTP)? {
            match statement.directive.name {
                "server" => self.server(&statement)?,
                "upstream" => self.upstream(&statement)?,
                "map" => self.map(&statement)?,
                "match" => self.match_block(&statement)?,
                "log_format" => self.log_format(&statement)?,
                _ => self.setting(&mut scope, &statement)?,
            }
        }
        self.http_scope = scope;
        self.http = Some(self.finish_http()?);
        Ok(())
    }

    fn upstream(&mut self, block: &Statement) -> Result<(), Error> {
        self.groups.open(block)?;
        let name = block.arg(0);
        while let Some(statement) = self.reader.next(Context::UPSTREAM)? {
            self.groups.set(name, &statement, &mut self.warnings)?;
        }
        self.groups.close(name, &self.reader.place())
    }

    fn server(&mut self, block: &Statement) -> Result<(), Error> {
        let index = self.servers.len();
        let everything = Match::Prefix { path: String::new(), is_final: false };
        let mut server = ServerBlock { names: Vec::new(), part: Part::new(everything, &block.place) };
        let mut listens = false;
        while let Some(statement) = self.reader.next(Context::SERVER)? {
            match statement.directive.name {
                "listen" => {
                    self.sockets.add(index, &statement)?;
                    listens = true;
                }
                "server_name" => listen::names(
                    &mut server.names,
                    &statement,
                    &mut self.variables,
                    self.options.hostname,
                    &mut self.warnings,
                )?,
                _ => self.in_part(&mut server.part, &statement, None)?,
            }
        }
        if !listens {
            let port = if self.options.is_root { 80 } else { 8000 };
            self.sockets.add_default(index, port, &block.place)?;
        }
        self.servers.push(server);
        Ok(())
    }

    /// A `location` block, in another one or in a `server`.
    fn location(&mut self, block: &Statement, outer: Option<&Match>) -> Result<Part, Error> {
        let matches = matches(block, &mut self.variables)?;
        if let Some(outer) = outer {
            check_nesting(&matches, outer, block)?;
        }
        let mut part = Part::new(matches.clone(), &block.place);
        while let Some(statement) = self.reader.next(Context::LOCATION)? {
            self.in_part(&mut part, &statement, Some(&matches))?;
        }
        Ok(part)
    }

    /// A directive of a `location`, or of a `server`: then there is no `own`.
    fn in_part(&mut self, part: &mut Part, statement: &Statement, own: Option<&Match>) -> Result<(), Error> {
        match statement.directive.name {
            "location" => part.nested.push(self.location(statement, own)?),
            "internal" if part.is_internal => return Err(statement.fault("is duplicate")),
            "internal" => part.is_internal = true,
            "set" => {
                let name = Variables::name(statement.arg(0), &statement.place)?;
                let variable = self.variables.assignable(&name, &statement.place)?;
                let value = Text::arg(statement, 1)?;
                // What stands below a `return` is not reached.
                if part.answer.is_none() {
                    part.sets.push((variable, value));
                }
            }
            "return" => {
                let answer = answer(statement)?;
                part.answer.get_or_insert(answer);
            }
            "try_files" => once(&mut part.try_files, statement, || tries(statement))?,
            "stub_status" => part.end = End::StubStatus,
            "proxy_pass" => {
                if matches!(part.end, End::Pass(_)) {
                    return Err(statement.fault("is duplicate"));
                }
                let can_replace = matches!(part.matches, Match::Exact(_) | Match::Prefix { .. });
                part.end = End::Pass(pass::read(statement, can_replace, &mut self.groups)?);
            }
            "health_check" if part.check.is_some() => return Err(statement.fault("is duplicate")),
            "health_check" => part.check = Some(health::read(statement)?),
            "proxy_redirect" if statement.args == ["default"] => {
                let to = match &part.end {
                    End::Pass(to) => Some(to),
                    _ => None,
                };
                let change = pass::default_change(to, &part.matches, statement)?;
                match &mut part.scope.proxy_redirect {
                    Some(None) => return Err(statement.fault("is duplicate")),
                    slot => forwarding::add_change(slot, change),
                }
            }
            "alias" if matches!(part.matches, Match::Named(_)) => {
                let message = "the \"alias\" directive cannot be used inside the named location";
                return Err(statement.error(message));
            }
            "alias" => {
                self.setting(&mut part.scope, statement)?;
                if let (Some(root), Match::Exact(path) | Match::Prefix { path, .. }) =
                    (&mut part.scope.root, &part.matches)
                {
                    root.replaced = path.len();
                }
            }
            _ => self.setting(&mut part.scope, statement)?,
        }
        Ok(())
    }

    /// A directive that may stand on several levels.
    fn setting(&mut self, scope: &mut Scope, statement: &Statement) -> Result<(), Error> {
        match statement.directive.name {
            "types" => {
                let types = scope.types.get_or_insert_with(|| Arc::new(Vec::new()));
                while let Some(line) = self.reader.line()? {
                    answers::add_type(types, &line, &mut self.warnings)?;
                }
                return Ok(());
            }
            "error_log" => return self.inner_error_log(statement),
            _ if scope.asking.set(statement)? => return Ok(()),
            _ => {}
        }
        let mut around = Around {
            prefix: &self.options.prefix,
            formats: &self.format_names,
            buffered: &mut self.buffered_logs,
            warnings: &mut self.warnings,
        };
        let is_known = answers::set(scope, statement, &mut around)?
            || client::set(scope, statement, &mut self.warnings)?
            || forwarding::set(scope, statement, &mut self.variables, &mut self.warnings)?;
        debug_assert!(is_known || statement.directive.support != Support::Full, "{statement:?}");
        Ok(())
    }
}

/// What a `location` is for.
fn matches(block: &Statement, variables: &mut Variables) -> Result<Match, Error> {
    let prefix = |path: &str, is_final| Match::Prefix { path: path.to_owned(), is_final };
    let mut pattern =
        |source: &str, is_caseless| variables.pattern(source, is_caseless, &block.place).map(Match::Regex);
    let (first, second) = (block.arg(0), block.arg(1));
    if block.args.len() == 2 {
        return match first {
            "=" => Ok(Match::Exact(second.to_owned())),
            "^~" => Ok(prefix(second, true)),
            "~" => pattern(second, false),
            "~*" => pattern(second, true),
            _ => Err(block.error(format!("invalid location modifier \"{first}\""))),
        };
    }
    if let Some(path) = first.strip_prefix('=') {
        Ok(Match::Exact(path.to_owned()))
    } else if let Some(path) = first.strip_prefix("^~") {
        Ok(prefix(path, true))
    } else if let Some(source) = first.strip_prefix("~*") {
        pattern(source, true)
    } else if let Some(source) = first.strip_prefix('~') {
        pattern(source, false)
    } else if first.starts_with('@') {
        Ok(Match::Named(first.to_owned()))
    } else {
        Ok(prefix(first, false))
    }
}

/// `try_files NAME... URI|@name|=CODE`.
fn tries(statement: &Statement) -> Result<Tries, Error> {
    let (last, names) = statement.args.split_last().expect("two arguments");
    let name = |word: &String| {
        let name = word.strip_suffix('/');
        Ok((Text::parse(name.unwrap_or(word), &statement.place)?, name.is_some()))
    };
    let otherwise = match last.strip_prefix('=') {
        Some(code) => {
            let status = parse_number(code).filter(|code| *code <= 999).map(|code| code as u16);
            Last::Status(status.ok_or_else(|| statement.error(format!("invalid code \"{last}\"")))?)
        }
        None => Last::Place(Text::parse(last, &statement.place)?),
    };
    Ok(Tries { names: names.iter().map(name).collect::<Result<_, Error>>()?, otherwise })
}

/// Whether a `location` may stand in another one (`ngx_http_core_location`).
fn check_nesting(inner: &Match, outer: &Match, block: &Statement) -> Result<(), Error> {
    let (name, around) = (name(inner), name(outer));
    let problem = match (inner, outer) {
        (_, Match::Exact(_)) => {
            format!("location \"{name}\" cannot be inside the exact location \"{around}\"")
        }
        (_, Match::Named(_)) => {
            format!("location \"{name}\" cannot be inside the named location \"{around}\"")
        }
        (Match::Named(_), _) => format!("named location \"{name}\" can be on the server level only"),
        (Match::Regex(_), _) => return Ok(()),
        _ if name.starts_with(around) => return Ok(()),
        _ => format!("location \"{name}\" is outside location \"{around}\""),
    };
    Err(block.error(problem))
}

/// A location's path, pattern or name.
pub(super) fn name(matches: &Match) -> &str {
    match matches {
        Match::Exact(name) | Match::Prefix { path: name, .. } | Match::Named(name) => name,
        Match::Regex(pattern) => pattern.source(),
    }
}

/// `return STATUS`, `return STATUS TEXT` or `return URL`.
fn answer(statement: &Statement) -> Result<(u16, Option<Text>), Error> {
    let word = statement.arg(0);
    let is_url = ["http://", "https://", "$scheme"].iter().any(|start| word.starts_with(start));
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    match word.parse::<u16>().ok().filter(|status| digits && *status <= 999) {
        Some(status) => {
            let text = if statement.args.len() == 2 { Some(Text::arg(statement, 1)?) } else { None };
            Ok((status, text))
        }
        None if is_url && statement.args.len() == 1 => Ok((302, Some(Text::arg(statement, 0)?))),
        None => Err(statement.error(format!("invalid return code \"{word}\""))),
    }
}
