//! `health_check` and `match`: how the servers of a group are checked.

use std::ops::RangeInclusive;

use super::super::error::{Error, Place};
use super::super::reader::{Line, Statement};
use super::Builder;
use super::finish::{listed, timeouts};
use super::http::{End, Part};
use super::scope::Scope;
use super::variables::Variables;
use crate::config::health::{Test, TestedPart, is_uri};
use crate::config::site::{PassTarget, SiteName};
use crate::config::template::{Part as Piece, Template, Variable};
use crate::config::units::{parse_number, parse_time};
use crate::config::{HealthCheck, LANGUAGE, Pass, Upstream};

/// A `health_check` as it is read: complete but for what its location and its `match` say.
#[derive(Debug)]
pub(super) struct Check {
    check: HealthCheck,
    matches: Option<String>,
    place: Place,
}

/// A `match` block.
#[derive(Debug)]
pub(super) struct MatchBlock {
    name: String,
    tests: Vec<Test>,
}

/// Reads a `health_check`.
pub(super) fn read(statement: &Statement) -> Result<Check, Error> {
    let mut check = HealthCheck::new("/", "");
    let mut matches = None;
    for word in &statement.args {
        let invalid = || statement.error(format!("invalid parameter \"{word}\""));
        let time = |text: &str| parse_time(text).map_err(|_| invalid());
        let count = |text: &str| {
            let count = parse_number(text).and_then(|count| u32::try_from(count).ok());
            count.filter(|count| *count > 0).ok_or_else(invalid)
        };
        match word.split_once('=') {
            Some(("interval", text)) => {
                check.interval = time(text)?;
                if check.interval.is_zero() {
                    return Err(invalid());
                }
            }
            Some(("jitter", text)) => check.jitter = time(text)?,
            Some(("fails", text)) => check.fails = count(text)?,
            Some(("passes", text)) => check.passes = count(text)?,
            Some(("uri", text)) if is_uri(text) => check.uri = text.to_owned(),
            Some(("port", text)) => {
                check.port = Some(u16::try_from(count(text)?).map_err(|_| invalid())?);
            }
            Some(("match", text)) => matches = Some(text.to_owned()),
            Some(("keepalive_time", text)) => {
                check.keepalive = Some(time(text)?).filter(|time| !time.is_zero());
            }
            Some(("type", "http")) => {}
            Some(("type" | "grpc_service" | "grpc_status", _)) => {
                return Err(statement.error(format!(
                    "the \"{word}\" parameter of the \"health_check\" directive is not supported by this proxy"
                )));
            }
            None if word == "mandatory" => check.mandatory = true,
            None if word == "persistent" && check.mandatory => check.persistent = true,
            _ => return Err(invalid()),
        }
    }
    Ok(Check { check, matches, place: statement.place.clone() })
}

impl Builder<'_> {
    /// A `match` block.
    pub(super) fn match_block(&mut self, block: &Statement) -> Result<(), Error> {
        let name = block.arg(0);
        if self.matches.iter().any(|known| known.name == name) {
            return Err(block.error(format!("duplicate match \"{name}\"")));
        }
        let mut tests = Vec::new();
        while let Some(line) = self.reader.line()? {
            tests.push(test(&line, &mut self.variables)?);
        }
        self.matches.push(MatchBlock { name: name.to_owned(), tests });
        Ok(())
    }

    /// Gives the groups the checks in a part whose merged scope this is, and in what is nested in it.
    pub(super) fn add_checks(
        &self,
        part: &Part,
        scope: &Scope,
        names: &[SiteName],
        upstreams: &mut [Upstream],
    ) -> Result<(), Error> {
        if let Some(check) = &part.check {
            let pass = match &part.end {
                End::Pass(to) => Some(to.finish(&self.variables)?),
                End::File | End::StubStatus => None,
            };
            let to = pass.as_ref().and_then(|pass| match pass.target {
                PassTarget::Upstream(group) => Some((pass, group)),
                PassTarget::Variable(_) => None,
            });
            let (pass, group) = to.ok_or_else(|| {
                let message = "\"health_check\" needs a \"proxy_pass\" to a group of servers in its location";
                Error::at(&check.place, message)
            })?;
            upstreams[group].checks.push(self.finished(check, pass, scope, names)?);
        }
        for inner in &part.nested {
            let mut own = inner.scope.clone();
            own.inherit(scope);
            self.add_checks(inner, &own, names, upstreams)?;
        }
        Ok(())
    }

    fn finished(
        &self,
        Check { check, matches, place }: &Check,
        pass: &Pass,
        scope: &Scope,
        names: &[SiteName],
    ) -> Result<HealthCheck, Error> {
        let mut check = check.clone();
        if let Some(name) = matches {
            let known = self.matches.iter().find(|known| known.name == *name);
            let known = known.ok_or_else(|| Error::at(place, format!("match \"{name}\" is not found")))?;
            check.expected.clone_from(&known.tests);
        }
        let listed = listed(scope, &self.variables)?;
        let value = |template| text(template, pass, names, self.options.hostname);
        let fields = listed.fields.iter().map(|(name, template)| (name.clone(), value(template)));
        check.fields = fields.filter(|(name, value)| is_for_checks(name, value)).collect();
        if !check.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            check.fields.insert(0, ("Host".to_owned(), pass.host.clone()));
        }
        check.is_http10 = listed.is_http10;
        check.response_head_max = listed.response_head_max;
        check.timeouts = timeouts(scope);
        Ok(check)
    }
}

/// What a text is worth without a client's request: most variables are empty then, as in nginx.
fn text(template: &Template, pass: &Pass, names: &[SiteName], hostname: &str) -> String {
    let name = names.iter().find_map(|name| match name {
        SiteName::Exact(name) => Some(name.as_str()),
        SiteName::Prefix(_) | SiteName::Suffix(_) | SiteName::Regex(_) => None,
    });
    let mut text = String::new();
    for part in &template.parts {
        match part {
            Piece::Text(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
            Piece::Variable(Variable::ProxyHost) => text.push_str(&pass.host),
            Piece::Variable(Variable::ProxyPort) => text.extend(pass.port.map(|port| port.to_string())),
            Piece::Variable(Variable::Host | Variable::ServerName) => text.push_str(name.unwrap_or_default()),
            Piece::Variable(Variable::Hostname) => text.push_str(hostname),
            Piece::Variable(Variable::NginxVersion) => text.push_str(LANGUAGE),
            Piece::Variable(Variable::Scheme) => text.push_str("http"),
            Piece::Variable(_) => {}
        }
    }
    text
}

/// Whether a field of `proxy_set_header` goes with a check: not what is the connection's or the body's affair.
fn is_for_checks(name: &str, value: &str) -> bool {
    const OWN: [&str; 7] =
        ["connection", "upgrade", "content-length", "transfer-encoding", "te", "keep-alive", "expect"];
    let is_line = value.bytes().all(|byte| !matches!(byte, b'\r' | b'\n' | 0));
    is_line && !value.is_empty() && !OWN.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// A line of a `match`.
fn test(line: &Line, variables: &mut Variables) -> Result<Test, Error> {
    let error = |message: String| Err(Error::at(&line.place, message));
    let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
    let mut pattern = |source: &str| variables.pattern(source, false, &line.place);
    let (part, is_not) = match words.as_slice() {
        ["status", "!", codes @ ..] if !codes.is_empty() => (statuses(codes, &line.place)?, true),
        ["status", codes @ ..] if !codes.is_empty() => (statuses(codes, &line.place)?, false),
        ["header", "!", name] => (TestedPart::Field((*name).to_owned()), true),
        ["header", name] => (TestedPart::Field((*name).to_owned()), false),
        ["header", name, sign @ ("=" | "!="), value] => {
            (TestedPart::FieldIs((*name).to_owned(), (*value).to_owned()), *sign == "!=")
        }
        ["header", name, sign @ ("~" | "!~"), source] => {
            (TestedPart::FieldMatches((*name).to_owned(), pattern(source)?), *sign == "!~")
        }
        ["body", sign @ ("~" | "!~"), source] => (TestedPart::Body(pattern(source)?), *sign == "!~"),
        ["header", _, sign, _] | ["body", sign, _] => return error(format!("invalid parameter \"{sign}\"")),
        [name @ ("status" | "header" | "body"), ..] => {
            return error(format!("invalid number of arguments in \"{name}\" directive"));
        }
        ["require", ..] => {
            return error("the \"require\" directive is not supported by this proxy".to_owned());
        }
        [name, ..] => return error(format!("unknown directive \"{name}\"")),
        [] => unreachable!("a line has a word"),
    };
    Ok(Test { part, is_not, words: words.join(" ") })
}

fn statuses(codes: &[&str], place: &Place) -> Result<TestedPart, Error> {
    let code = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|code| digits && *code >= 100)
    };
    let range = |text: &&str| -> Option<RangeInclusive<u16>> {
        match text.split_once('-') {
            Some((first, last)) => Some(code(first)?..=code(last)?).filter(|range| !range.is_empty()),
            None => code(text).map(|code| code..=code),
        }
    };
    let ranges = codes
        .iter()
        .map(|text| range(text).ok_or_else(|| Error::at(place, format!("invalid status \"{text}\""))));
    Ok(TestedPart::Status(ranges.collect::<Result<_, _>>()?))
}
