//! One connection: two pipes, two ends, and what epoll would say of the proxy's.

use std::collections::VecDeque;

use proxy::time::{Duration, Time};
use proxy::worker::net::Token;

use super::wires::Actor;

pub(crate) type ConnId = usize;

/// Which end of a connection; also the index of the pipe that it reads from.
pub(crate) const PROXY: usize = 0;
pub(crate) const FAR: usize = 1;
#[derive(Debug)]
pub(super) enum Segment {
    Bytes(Vec<u8>),
    Fin,
    Reset,
}

#[derive(Debug, Default)]
pub(super) struct Pipe {
    pub(super) wire: VecDeque<(Time, Segment)>,
    /// When the last of what is under way arrives.
    pub(super) last: Time,
    pub(super) buffer: VecDeque<u8>,
    /// Bytes under way or unread.
    pub(super) outstanding: usize,
    pub(super) capacity: usize,
    pub(super) fin: bool,
    pub(super) reset: bool,
    /// A send came short, so room is to be reported.
    pub(super) stuffed: bool,
    /// It takes nothing for now though there is room.
    pub(super) blocked: bool,
}

impl Pipe {
    pub(super) fn room(&self) -> usize {
        if self.blocked { 0 } else { self.capacity.saturating_sub(self.outstanding) }
    }
}

#[derive(Debug, Default)]
pub(super) struct End {
    pub(super) closed: bool,
    pub(super) shut: bool,
    /// The error of a reset has been handed out.
    pub(super) error_taken: bool,
    /// A reset has answered to bytes that came after closing.
    pub(super) protested: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Refused,
    Open,
}

#[derive(Debug)]
pub(crate) struct Conn {
    /// Of the connections to origins: which one.
    pub(crate) origin: Option<usize>,
    pub(crate) actor: Option<Actor>,
    pub(super) state: State,
    pub(super) pipes: [Pipe; 2],
    pub(super) ends: [End; 2],
    pub(super) latency: Duration,
    pub(super) token: Option<Token>,
    pub(super) queued: bool,
    /// Bytes that the far end has sent, and of those the ones that the proxy has received.
    pub(crate) far_sent: u64,
    pub(crate) proxy_took: u64,
    /// When the proxy last moved a byte, and how long ago that was when it closed with nothing unread.
    pub(super) proxy_moved: Time,
    pub(crate) idled: Duration,
    /// The origin owes nothing since it had sent so many bytes.
    pub(crate) far_idle_from: Option<u64>,
    /// The proxy was told of bytes, or has them, that no request asked for.
    pub(crate) warned: bool,
}

impl Conn {
    /// What epoll would say: readable, writable, the other side has stopped sending, broken.
    pub(super) fn mask(&self) -> (bool, bool, bool, bool) {
        match self.state {
            State::Connecting => (false, false, false, false),
            State::Refused => (true, true, true, true),
            State::Open => {
                let input = &self.pipes[PROXY];
                let ended = input.fin || input.reset;
                let shut = self.ends[PROXY].shut;
                let readable = ended || !input.buffer.is_empty();
                let writable = input.reset || shut || self.pipes[FAR].room() > 0;
                (readable, writable, ended, input.reset || (input.fin && shut))
            }
        }
    }

    /// Bytes lie there that cannot be an answer: nothing was asked, and all that was answered is read.
    pub(super) fn has_unasked_bytes(&self) -> bool {
        let idle = self.far_idle_from.is_some_and(|from| from <= self.proxy_took);
        let quiet = self.pipes[FAR].outstanding == 0 && !self.ends[PROXY].closed;
        idle && quiet && !self.pipes[PROXY].buffer.is_empty()
    }
}

/// What an actor's receive gives.
#[derive(Debug)]
pub(crate) enum Got {
    Bytes(Vec<u8>),
    End,
    Reset,
    Nothing,
}
