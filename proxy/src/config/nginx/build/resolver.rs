//! `resolver` and `resolver_timeout`: nginx's `ngx_resolver_create` (`src/core/ngx_resolver.c`).

use std::sync::Arc;

use super::super::error::Error;
use super::super::reader::Statement;
use super::slots::{once, time};
use crate::config::units::parse_time;
use crate::config::url::{self, Kind};
use crate::config::{Host, Resolver};
use crate::time::Duration;

/// The port of a name server that is written without one.
const PORT: u16 = 53;

/// What one level says of both.
#[derive(Clone, Debug, Default)]
pub(super) struct Asking {
    resolver: Option<Resolver>,
    timeout: Option<Duration>,
}

impl Asking {
    /// Carries out one of the two directives; says whether it was one.
    pub(super) fn set(&mut self, statement: &Statement) -> Result<bool, Error> {
        match statement.directive.name {
            "resolver" => once(&mut self.resolver, statement, || read(statement))?,
            "resolver_timeout" => time(&mut self.timeout, statement)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes over what is not set here. The time is a setting of its own.
    pub(super) fn inherit(&mut self, outer: &Asking) {
        if self.resolver.is_none() {
            self.resolver.clone_from(&outer.resolver);
        }
        self.timeout = self.timeout.or(outer.timeout);
    }

    /// The finished value; `None` where no name server is given.
    pub(super) fn finish(&self) -> Option<Arc<Resolver>> {
        let timeout = self.timeout.unwrap_or(Duration::from_secs(30));
        self.resolver.clone().map(|resolver| Arc::new(Resolver { timeout, ..resolver }))
    }
}

fn read(statement: &Statement) -> Result<Resolver, Error> {
    let mut resolver =
        Resolver { servers: Vec::new(), valid: None, ipv4: true, ipv6: true, timeout: Duration::ZERO };
    for word in &statement.args {
        let invalid = || statement.error(format!("invalid parameter: {word}"));
        match word.split_once('=') {
            Some(("valid", text)) => {
                let time = parse_time(text).map_err(|_| invalid())?;
                // No time at all stands for what answers say, as in nginx.
                resolver.valid = Some(time).filter(|time| !time.is_zero());
            }
            Some(("ipv4", text)) => resolver.ipv4 = switch(text).ok_or_else(invalid)?,
            Some(("ipv6", text)) => resolver.ipv6 = switch(text).ok_or_else(invalid)?,
            Some(("status_zone", _)) => {}
            _ => {
                let server = server(word)
                    .map_err(|problem| statement.error(format!("{problem} in resolver \"{word}\"")))?;
                resolver.servers.push(server);
            }
        }
    }
    if resolver.servers.is_empty() {
        return Err(statement.error("no name servers defined"));
    }
    if !resolver.ipv4 && !resolver.ipv6 {
        return Err(statement.error("\"ipv4\" and \"ipv6\" cannot both be \"off\""));
    }
    Ok(resolver)
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

fn server(text: &str) -> Result<Host, &'static str> {
    match url::parse(text, Kind::Server)?.place.host(PORT) {
        Some(Host::Unix(_)) | None => Err("invalid host"),
        // A parameter that is mistyped is no name that anybody has.
        Some(Host::Name(name, _)) if name.contains('=') => Err("host not found"),
        Some(host) => Ok(host),
    }
}
