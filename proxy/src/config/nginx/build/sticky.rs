//! `sticky`: how clients keep their server (nginx 1.31: `modules/ngx_http_upstream_sticky_module.c`).

use super::super::error::Error;
use super::super::reader::Statement;
use super::upstream::ZONE_MIN;
use super::variables::{Text, Variables};
use crate::config::template::{Part, Template, Variable};
use crate::config::units::{parse_size, parse_time};
use crate::config::{Cookie, Expires, Learn, Sticky};
use crate::time::Duration;

/// Octets of a zone for one session: nginx has 8000 in a megabyte.
const SESSION: u64 = 128;

/// As far as it is known before all variables are.
#[derive(Debug)]
pub(super) enum Draft {
    Cookie { cookie: Cookie, domain: Option<Text>, same_site: Option<Text> },
    Route(Vec<Text>),
    Learn { lookup: Vec<Text>, create: Vec<Text>, learn: Learn },
}

impl Draft {
    /// Reads the directive.
    pub(super) fn read(statement: &Statement) -> Result<Draft, Error> {
        match statement.arg(0) {
            "cookie" => cookie(statement),
            "route" => statement.args[1..]
                .iter()
                .map(|word| variable(statement, word))
                .collect::<Result<_, _>>()
                .map(Draft::Route),
            "learn" => learn(statement),
            word => Err(unknown(statement, word)),
        }
    }

    /// The finished rules.
    pub(super) fn finish(&self, variables: &Variables) -> Result<Sticky, Error> {
        match self {
            Draft::Cookie { cookie, domain, same_site } => {
                let name = Variable::Cookie(cookie.name.as_str().into());
                let cookie = Cookie {
                    domain: variables.optional(domain.as_ref())?.unwrap_or_default(),
                    same_site: variables.optional(same_site.as_ref())?.unwrap_or_default(),
                    ..cookie.clone()
                };
                Ok(Sticky {
                    lookup: vec![Template::default().with(Part::Variable(name))],
                    cookie: Some(cookie),
                    learn: None,
                })
            }
            Draft::Route(texts) => {
                Ok(Sticky { lookup: templates(texts, variables)?, cookie: None, learn: None })
            }
            Draft::Learn { lookup, create, learn } => {
                let learn = Learn { create: templates(create, variables)?, ..learn.clone() };
                Ok(Sticky { lookup: templates(lookup, variables)?, cookie: None, learn: Some(learn) })
            }
        }
    }
}

fn cookie(statement: &Statement) -> Result<Draft, Error> {
    let name = statement.arg(1);
    if name.is_empty() {
        return Err(statement.fault("empty cookie name"));
    }
    let mut cookie = Cookie {
        name: name.to_owned(),
        expires: None,
        domain: Template::default(),
        is_http_only: false,
        is_secure: false,
        same_site: Template::default(),
        path: String::new(),
    };
    let (mut domain, mut same_site) = (None, None);
    for word in &statement.args[2..] {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word.as_str(), None),
        };
        let is_repeated = match (key, value) {
            ("domain", Some(value)) => {
                let value = given(statement, key, value)?;
                domain.replace(Text::parse(value, &statement.place)?).is_some()
            }
            ("path", Some(value)) => {
                let value = given(statement, key, value)?;
                !std::mem::replace(&mut cookie.path, value.to_owned()).is_empty()
            }
            ("expires", Some(value)) => cookie.expires.replace(expires(statement, value)?).is_some(),
            ("samesite", Some(value)) => {
                let text = Text::parse(value, &statement.place)?;
                if text.is_literal() && !Cookie::knows_same_site(value.as_bytes()) {
                    return Err(statement.fault("invalid \"samesite\" parameter value"));
                }
                same_site.replace(text).is_some()
            }
            ("httponly", None) => std::mem::replace(&mut cookie.is_http_only, true),
            ("secure", None) => std::mem::replace(&mut cookie.is_secure, true),
            _ => return Err(unknown(statement, word)),
        };
        if is_repeated {
            return Err(statement.fault(&format!("parameter \"{key}\" is duplicate")));
        }
    }
    Ok(Draft::Cookie { cookie, domain, same_site })
}

fn learn(statement: &Statement) -> Result<Draft, Error> {
    let (mut lookup, mut create) = (Vec::new(), Vec::new());
    let (mut zone, mut timeout, mut at_header) = (None, None, false);
    for word in &statement.args[1..] {
        match word.split_once('=') {
            Some((key @ ("lookup" | "create"), value)) => {
                if !value.starts_with('$') {
                    return Err(statement.fault(&format!("missing variable in the \"{key}\" parameter")));
                }
                let list = if key == "lookup" { &mut lookup } else { &mut create };
                list.push(variable(statement, value)?);
            }
            Some(("zone", _)) if zone.is_some() => return Err(statement.fault("duplicate zone")),
            Some(("zone", value)) => zone = Some(size_of_zone(statement, value)?),
            Some(("timeout", _)) if timeout.is_some() => return Err(statement.fault("duplicate timeout")),
            Some(("timeout", value)) => {
                let time = parse_time(value).ok().filter(|time| !time.is_zero());
                timeout = Some(time.ok_or_else(|| statement.fault("invalid timeout"))?);
            }
            None if word == "header" => at_header = true,
            _ => return Err(unknown(statement, word)),
        }
    }
    for (list, key) in [(&lookup, "lookup"), (&create, "create")] {
        if list.is_empty() {
            return Err(statement.fault(&format!("\"{key}\" parameter is not specified")));
        }
    }
    let zone = zone.ok_or_else(|| statement.fault("\"zone\" parameter is not specified"))?;
    let learn = Learn {
        create: Vec::new(),
        sessions_max: usize::try_from(zone / SESSION).unwrap_or(usize::MAX),
        timeout: timeout.unwrap_or(Duration::from_secs(600)),
        at_header,
    };
    Ok(Draft::Learn { lookup, create, learn })
}

fn size_of_zone(statement: &Statement, value: &str) -> Result<u64, Error> {
    match value.split_once(':') {
        None => Err(statement.fault("zone size is not specified")),
        Some(("", _)) => Err(statement.fault("zone name is not specified")),
        Some((_, size)) => match parse_size(size) {
            Err(_) => Err(statement.fault("invalid zone size")),
            Ok(size) if size < ZONE_MIN => Err(statement.fault("zone is too small")),
            Ok(size) => Ok(size),
        },
    }
}

fn templates(texts: &[Text], variables: &Variables) -> Result<Vec<Template>, Error> {
    texts.iter().map(|text| variables.template(text)).collect()
}

fn given<'t>(statement: &Statement, key: &str, value: &'t str) -> Result<&'t str, Error> {
    if value.is_empty() { Err(statement.fault(&format!("no value for \"{key}\""))) } else { Ok(value) }
}

fn expires(statement: &Statement, value: &str) -> Result<Expires, Error> {
    if value == "max" {
        return Ok(Expires::Never);
    }
    let time = parse_time(value).ok().filter(|time| time.subsec_nanos() == 0);
    time.map(Expires::After).ok_or_else(|| statement.fault("invalid \"expires\" parameter value"))
}

/// The text of one variable.
fn variable(statement: &Statement, word: &str) -> Result<Text, Error> {
    let name = Variables::name(word, &statement.place)?;
    Text::parse(&format!("${{{name}}}"), &statement.place)
}

fn unknown(statement: &Statement, word: &str) -> Error {
    statement.error(format!("unknown parameter \"{word}\""))
}
