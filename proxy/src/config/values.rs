//! The parsers of single flags' values. Their errors are the part after the colon of
//! `proxy: invalid value "X" for --FLAG: …`: what is wrong, and the remedy.

use std::net::IpAddr;

use ipnet::IpNet;
use log::LevelFilter;

use super::address::parse_listen;
use super::health::is_uri;
use super::units::{parse_number, parse_size, parse_time};
use super::{Balance, Listen, Measure, NextUpstream, Until};
use crate::time::Duration;

/// The words of `--next-upstream` that stand for a status.
const STATUS_WORDS: [(&str, u16); 7] = [
    ("http_500", 500),
    ("http_502", 502),
    ("http_503", 503),
    ("http_504", 504),
    ("http_403", 403),
    ("http_404", 404),
    ("http_429", 429),
];

/// The most worker threads.
const WORKERS_MAX: u64 = 1024;

pub(super) fn time(text: &str) -> Result<Duration, String> {
    parse_time(text).map_err(|error| error.to_string())
}

/// A time that bounds a wait: not 0.
pub(super) fn wait(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err("0 leaves no time at all; write 1ms or more".to_owned()),
        span => Ok(span),
    }
}

pub(super) fn size(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| error.to_string())
}

pub(super) fn head_size(text: &str) -> Result<usize, String> {
    usize::try_from(size(text)?)
        .ok()
        .filter(|size| (1 << 10..=1 << 20).contains(size))
        .ok_or_else(|| "out of range; write a size from 1k to 1m".to_owned())
}

/// The path and the arguments of a request.
pub(super) fn uri(text: &str) -> Result<String, String> {
    match is_uri(text) {
        true => Ok(text.to_owned()),
        false => Err("not a path; write /healthz".to_owned()),
    }
}

/// Where lines of a log go.
pub(super) fn log_path(text: &str) -> Result<String, String> {
    match text.is_empty() {
        true => Err("no path; write a file, - or off".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// A whole number within bounds, which must fit `T`.
pub(super) fn number<T: TryFrom<u64>>(
    min: u64,
    max: u64,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync {
    move |text| {
        parse_number(text)
            .filter(|value| (min..=max).contains(value))
            .and_then(|value| T::try_from(value).ok())
            .ok_or_else(|| format!("not a number in range; write {min} to {max}"))
    }
}

pub(super) fn workers(text: &str) -> Result<usize, String> {
    if text == "auto" {
        return Ok(super::workers_auto());
    }
    number(1, WORKERS_MAX)(text)
        .map_err(|_| format!("no number of threads; write 1 to {WORKERS_MAX}, or auto"))
}

pub(super) fn balance(text: &str) -> Result<Balance, String> {
    match text.replace('-', "_").as_str() {
        "round_robin" => Ok(Balance::RoundRobin),
        "least_conn" => Ok(Balance::LeastConn),
        "ip_hash" => Ok(Balance::IpHash),
        "least_time" => Ok(Balance::LeastTime(Measure { until: Until::Header, counts_unanswered: false })),
        _ => Err("unknown method; write round_robin, least_conn, least_time or ip_hash".to_owned()),
    }
}

/// nginx's words, separated by commas or spaces.
pub(super) fn next_upstream(text: &str) -> Result<NextUpstream, String> {
    let words: Vec<&str> = text.split([',', ' ']).filter(|word| !word.is_empty()).collect();
    let mut next = NextUpstream {
        error: false,
        timeout: false,
        invalid_header: false,
        non_idempotent: false,
        statuses: [0; 7],
    };
    if words.is_empty() {
        return Err("no word; write off to try no other server".to_owned());
    }
    for (index, word) in words.iter().enumerate() {
        if words[..index].contains(word) {
            return Err(format!("{word} is there twice; drop one"));
        }
        match *word {
            "error" => next.error = true,
            "timeout" => next.timeout = true,
            "invalid_header" => next.invalid_header = true,
            "non_idempotent" => next.non_idempotent = true,
            "off" if words.len() == 1 => {}
            "off" => return Err("off stands alone; drop it or the other words".to_owned()),
            word => match STATUS_WORDS.iter().position(|(name, _)| *name == word) {
                Some(place) => next.statuses[place] = STATUS_WORDS[place].1,
                None => {
                    let statuses = STATUS_WORDS.map(|(name, _)| name).join(", ");
                    return Err(format!(
                        "unknown word {word:?}; there are error, timeout, invalid_header, non_idempotent, \
                         {statuses} and off"
                    ));
                }
            },
        }
    }
    // Used places first: a search may end at the first 0.
    next.statuses.sort_by_key(|status| *status == 0);
    Ok(next)
}

pub(super) fn listen(text: &str) -> Result<Listen, String> {
    parse_listen(text).map_err(|error| error.to_string())
}

/// A network, or an address alone. Bits behind the prefix are cleared, as nginx does.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.into()),
        Err(_) => text
            .parse::<IpNet>()
            .map(|network| network.trunc())
            .map_err(|_| "not a network; write 10.0.0.0/8, fd00::/8 or a single address".to_owned()),
    }
}

/// One of four levels, or nginx's word for a level in between.
pub(super) fn log_level(text: &str) -> Result<LevelFilter, String> {
    match text {
        "error" | "crit" | "alert" | "emerg" => Ok(LevelFilter::Error),
        "warn" => Ok(LevelFilter::Warn),
        "info" | "notice" => Ok(LevelFilter::Info),
        "debug" => Ok(LevelFilter::Debug),
        _ => Err("unknown level; write error, warn, info or debug".to_owned()),
    }
}
