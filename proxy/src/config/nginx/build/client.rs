//! Settings about clients: how long they are waited for, how much they may send, who they are, who may
//! come in.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::super::error::{Error, Warning};
use super::super::reader::Statement;
use super::scope::{Scope, Trusted};
use super::slots::{flag, number, number_of, once, size, size_of, text, time, time_of, word};
use crate::config::site::Access;

/// Carries out a directive, if it is one of these.
pub(super) fn set(
    scope: &mut Scope,
    statement: &Statement,
    warnings: &mut Vec<Warning>,
) -> Result<bool, Error> {
    match statement.directive.name {
        "client_header_timeout" => time(&mut scope.client_header_timeout, statement)?,
        "client_body_timeout" => time(&mut scope.client_body_timeout, statement)?,
        "send_timeout" => time(&mut scope.send_timeout, statement)?,
        "client_max_body_size" => size(&mut scope.client_max_body_size, statement)?,
        "client_body_buffer_size" => size(&mut scope.client_body_buffer_size, statement)?,
        "large_client_header_buffers" => once(&mut scope.large_client_header_buffers, statement, || {
            let count = number_of(statement, 0).map_err(|_| statement.fault("invalid value"))?;
            match (count, size_of(statement, 1)?) {
                (0, _) | (_, 0) => Err(statement.fault("invalid value")),
                buffers => Ok(buffers),
            }
        })?,
        "ignore_invalid_headers" => flag(&mut scope.ignore_invalid_headers, statement)?,
        "underscores_in_headers" => flag(&mut scope.underscores_in_headers, statement)?,
        "keepalive_timeout" => once(&mut scope.keepalive_timeout, statement, || {
            let told = if statement.args.len() == 2 { Some(time_of(statement, 1)?) } else { None };
            Ok((time_of(statement, 0)?, told))
        })?,
        "keepalive_requests" => number(&mut scope.keepalive_requests, statement)?,
        "keepalive_time" => time(&mut scope.keepalive_time, statement)?,
        "server_tokens" => {
            word(&mut scope.server_tokens, statement, &[("off", false), ("on", true), ("build", true)])?;
        }
        "set_real_ip_from" => {
            let trusted = match statement.arg(0) {
                "unix:" => Trusted::Unix,
                word => Trusted::Net(
                    network(word, statement, warnings)?.ok_or_else(|| untrusted(word, statement))?,
                ),
            };
            scope.set_real_ip_from.get_or_insert_default().push(trusted);
        }
        "real_ip_header" => text(&mut scope.real_ip_header, statement)?,
        "real_ip_recursive" => flag(&mut scope.real_ip_recursive, statement)?,
        "allow" | "deny" => {
            let net = match statement.arg(0) {
                "all" | "unix:" => None,
                word => Some(
                    network(word, statement, warnings)?
                        .ok_or_else(|| statement.error(format!("invalid parameter \"{word}\"")))?,
                ),
            };
            let is_unix = statement.arg(0) == "unix:";
            let is_allowed = statement.directive.name == "allow";
            scope.access.get_or_insert_default().push(Access { is_allowed, net, is_unix });
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// What is wrong with a word of `set_real_ip_from` that is no network. nginx resolves a name once, while it reads the file;
/// here no name is resolved then.
fn untrusted(word: &str, statement: &Statement) -> Error {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    let is_name = word.bytes().all(is_part) && word.bytes().any(|b| b.is_ascii_alphabetic());
    statement.error(match is_name {
        true => format!(
            "the host name \"{word}\" in the \"set_real_ip_from\" directive is not supported by this proxy"
        ),
        false => format!("host not found in set_real_ip_from \"{word}\""),
    })
}

/// An address, or one with the length of a prefix; nothing where it is neither. Bits behind the prefix
/// are dropped, with nginx's warning.
fn network(word: &str, statement: &Statement, warnings: &mut Vec<Warning>) -> Result<Option<IpNet>, Error> {
    if let Ok(address) = word.parse::<IpAddr>() {
        return Ok(Some(address.into()));
    }
    let Some((address, prefix)) = word.split_once('/') else { return Ok(None) };
    let net = match (address.parse::<IpAddr>(), prefix.parse::<u8>()) {
        (Ok(IpAddr::V4(address)), Ok(prefix)) => Ipv4Net::new(address, prefix).ok().map(IpNet::from),
        (Ok(IpAddr::V6(address)), Ok(prefix)) => Ipv6Net::new(address, prefix).ok().map(IpNet::from),
        _ => None,
    };
    let Some(net) = net else { return Ok(None) };
    if net.trunc() != net {
        warnings.push(statement.error(format!("low address bits of {word} are meaningless")));
    }
    Ok(Some(net.trunc()))
}
