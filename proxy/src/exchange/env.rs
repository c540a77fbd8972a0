//! What an exchange works with, lent for one call.

use std::sync::Arc;

use crate::buffer::{Buffer, Buffers};
use crate::http::fields::Scratch;
use crate::site::Routes;
use crate::time::Time;

/// What all exchanges of one worker share; lent to one for each call.
#[derive(Debug)]
pub struct Env {
    /// The free list of buffers.
    pub buffers: Buffers,
    /// Room for the lines of a head.
    pub scratch: Scratch,
    /// The configuration's part for exchanges: a new request goes by it.
    pub routes: Arc<Routes>,
    /// What access log lines need is kept of each request.
    pub keeps_records: bool,
    /// The time of this wake-up.
    pub now: Time,
    /// The time of day as an HTTP date.
    pub date: String,
    /// The process is shutting down: connections do not persist.
    pub draining: bool,
}

impl Env {
    /// With nothing lent, before the date is known.
    pub fn new(routes: Routes, now: Time) -> Env {
        Env {
            buffers: Buffers::new(routes.buffer_size()),
            scratch: Scratch::new(),
            routes: Arc::new(routes),
            keeps_records: false,
            now,
            date: String::new(),
            draining: false,
        }
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
    let small = env.buffers.small_size();
    if input.as_ref().is_some_and(|buffer| buffer.is_empty() && long && buffer.capacity() <= small) {
        put(input, env);
    }
    let buffer = input.get_or_insert_with(|| if long { env.buffers.large() } else { env.buffers.small() });
    buffer.space()
}
