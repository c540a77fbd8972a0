//! What an exchange works with, lent for one call.

use std::sync::Arc;

use super::Counters;
use crate::buffer::{Buffer, Buffers};
use crate::http::fields::Scratch;
use crate::site::Routes;
use crate::time::{Duration, Time};

/// What all exchanges of one worker share; lent to one for each call.
#[derive(Debug)]
pub struct Env {
    /// The free list of buffers.
    pub buffers: Buffers,
    /// Room for the lines of a head.
    pub scratch: Scratch,
    /// The configuration's part for exchanges: a new request goes by it.
    pub routes: Arc<Routes>,
    /// The time of this wake-up.
    pub now: Time,
    /// The time of day as an HTTP date.
    pub date: String,
    /// The time of day.
    pub wall: Wall,
    /// What the process tells of itself.
    pub world: World,
    /// Room for a path in its normal form.
    pub path: Vec<u8>,
    /// Room for texts with variables.
    pub text: Vec<u8>,
    /// Requests that have begun.
    pub requests: u64,
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
            now,
            date: String::new(),
            wall: Wall { time: Duration::ZERO, read: now },
            world: World::default(),
            path: Vec::new(),
            text: Vec::new(),
            requests: 0,
            draining: false,
        }
    }

    /// The time now.
    pub(super) fn moment(&self) -> Moment<'_> {
        Moment { now: self.now, wall: self.wall, world: &self.world }
    }

    /// The room for a head's lines, and what a message is worked with while its head borrows that.
    #[inline(always)]
    pub(super) fn split(&mut self) -> (&mut Scratch, Tools<'_>) {
        let Env { scratch, buffers, path, text, date, now, wall, world, .. } = self;
        let moment = Moment { now: *now, wall: *wall, world };
        (scratch, Tools { buffers, path, text, date, moment })
    }
}

/// What the process tells of itself, for variables.
#[derive(Clone, Copy, Debug, Default)]
pub struct World {
    /// What no two processes have in common.
    pub seed: u64,
    /// The counters of all workers, as they were when the last turn of the loop ended; zero where nothing asks for them.
    pub counters: Counters,
}

/// The time by both clocks, and how things stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'e> {
    /// That which only goes on.
    pub(super) now: Time,
    wall: Wall,
    pub(super) world: &'e World,
}

impl Moment<'_> {
    /// The time of day, since 1970.
    pub(super) fn wall(self) -> Duration {
        self.wall.at(self.now)
    }
}

/// What a message is worked with while its head borrows the room that it was read into.
pub(super) struct Tools<'e> {
    pub(super) buffers: &'e mut Buffers,
    /// The path in its normal form.
    pub(super) path: &'e mut Vec<u8>,
    pub(super) text: &'e mut Vec<u8>,
    /// The time of day as an HTTP date.
    pub(super) date: &'e str,
    pub(super) moment: Moment<'e>,
}

/// The time of day, as it was read last.
#[derive(Clone, Copy, Debug)]
pub struct Wall {
    /// Since 1970.
    pub time: Duration,
    /// When it was read.
    pub read: Time,
}

impl Wall {
    /// The time of day now, since 1970.
    pub fn at(self, now: Time) -> Duration {
        self.time + now.since(self.read)
    }
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
