//! What an exchange works with: the configuration's part for it, and what is lent for one call.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::buffer::{Buffer, Buffers};
use crate::config::{AccessLog, Config, Host, NextUpstream, Server, Timeouts};
use crate::http::fields::Scratch;
use crate::time::Time;

/// The part of the configuration that one exchange obeys.
#[derive(Clone, Debug)]
pub struct Rules {
    pub(super) max_body_size: u64,
    pub(super) max_header_size: usize,
    pub(super) timeouts: Timeouts,
    pub(super) next_upstream: NextUpstream,
    pub(super) default_host: String,
    trusted: Vec<IpNet>,
    /// What access log lines need is kept of each request.
    pub(super) keeps_records: bool,
}

impl Rules {
    /// Takes what matters here out of the whole.
    pub fn new(config: &Config) -> Rules {
        Rules {
            max_body_size: if config.max_body_size == 0 { u64::MAX } else { config.max_body_size },
            max_header_size: config.max_header_size,
            timeouts: config.timeouts,
            next_upstream: config.next_upstream,
            default_host: config.servers.first().map_or_else(String::new, default_host),
            trusted: config.trust_forwarded.clone(),
            keeps_records: config.access_log != AccessLog::Off,
        }
    }

    /// The size of a buffer that any head fits that is let in, with what the proxy adds to it.
    pub fn buffer_size(&self) -> usize {
        self.max_header_size + 2048
    }

    /// The part of `bytes` in which a head or a trailer section has to end.
    pub(super) fn bounded<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[..bytes.len().min(self.max_header_size)]
    }

    /// Whether what this peer says of the client is believed.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        !self.trusted.is_empty() && self.trusted.iter().any(|net| net.contains(&address.to_canonical()))
    }
}

/// The `Host` of a request without one (nginx's `$proxy_host`, and its word for a Unix socket).
fn default_host(server: &Server) -> String {
    match server.host {
        Host::Unix(_) => "localhost".into(),
        _ => server.name.clone(),
    }
}

/// What all exchanges of one worker share; lent to one for each call.
#[derive(Debug)]
pub struct Env {
    /// The free list of buffers.
    pub buffers: Buffers,
    /// Room for the lines of a head.
    pub scratch: Scratch,
    /// The configuration.
    pub rules: Rules,
    /// The time of this wake-up.
    pub now: Time,
    /// The time of day as an HTTP date.
    pub date: String,
    /// The process is shutting down: connections do not persist.
    pub draining: bool,
}

impl Env {
    /// With nothing lent, before the date is known.
    pub fn new(rules: Rules, now: Time) -> Env {
        let buffers = Buffers::new(rules.buffer_size());
        Env { buffers, scratch: Scratch::new(), rules, now, date: String::new(), draining: false }
    }
}

/// What an access log line needs of a request and its response.
#[derive(Debug, Default)]
pub struct Record {
    /// Method, target and version as sent.
    pub request_line: Vec<u8>,
    /// The `Referer` field.
    pub referer: Vec<u8>,
    /// The `User-Agent` field.
    pub user_agent: Vec<u8>,
    /// When the first byte of the request came.
    pub since: Time,
    /// A line is due: a request has begun.
    pub due: bool,
}

/// Gives the buffer back, if there is one. Inlined, since most calls find nothing to give back.
#[inline(always)]
pub(super) fn put(slot: &mut Option<Buffer>, env: &mut Env) {
    if let Some(buffer) = slot.take() {
        env.buffers.put(buffer);
    }
}

/// Gives back the buffer that nothing is in.
#[inline]
pub(super) fn park(input: &mut Option<Buffer>, env: &mut Env) {
    if input.as_ref().is_some_and(Buffer::is_empty) {
        put(input, env);
    }
}

/// The room for bytes that come, in a large buffer if they are `long`: an empty one that is too small is
/// exchanged, one with bytes in it stays.
#[inline(always)]
pub(super) fn attach<'i>(input: &'i mut Option<Buffer>, long: bool, env: &mut Env) -> &'i mut [u8] {
    let small = env.rules.buffer_size();
    if input.as_ref().is_some_and(|buffer| buffer.is_empty() && long && buffer.capacity() <= small) {
        put(input, env);
    }
    let buffer = input.get_or_insert_with(|| if long { env.buffers.large() } else { env.buffers.small() });
    buffer.space()
}
