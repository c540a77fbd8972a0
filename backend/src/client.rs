//! One client socket and its readiness, edge-triggered: receive, advance, send.
//!
//! A receive that comes back short has drained the socket; the next edge tells when there is more.
//! Input and output live in the worker's [`Scratch`]; a client keeps only what could not be used or
//! sent, so that an idle connection costs its slot and its socket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::event::Event;

use crate::connection::{Connection, Context, OUT_FULL, Step};
use crate::listen::Socket;
use crate::request::HEAD_MAX;

/// Receives or sends of one client before the others have their turn.
const SHARE: u32 = 16;

/// How long a connection is read on after its last answer, so that the answer is not lost to a reset
/// (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// Buffers that one worker's clients use in turn.
#[derive(Debug)]
pub(crate) struct Scratch {
    input: Box<[u8]>,
    /// Bytes of `input` that are used, and that are filled.
    used: usize,
    filled: usize,
    out: Vec<u8>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        // Beside what a client may hold there is always room for a large receive.
        let input = vec![0; HEAD_MAX + 2 * OUT_FULL].into_boxed_slice();
        Self { input, used: 0, filled: 0, out: Vec::with_capacity(2 * OUT_FULL) }
    }

    fn load(&mut self, held: &mut Vec<u8>) {
        self.input[..held.len()].copy_from_slice(held);
        self.used = 0;
        self.filled = held.len();
        held.clear();
    }

    fn store(&mut self, held: &mut Vec<u8>) {
        let rest = &self.input[self.used..self.filled];
        if rest.is_empty() && held.capacity() > 0 {
            *held = Vec::new();
        }
        held.extend_from_slice(rest);
    }

    /// Room for at most `OUT_FULL` bytes, after what is filled.
    fn room(&mut self) -> &mut [u8] {
        if self.used == self.filled {
            self.used = 0;
            self.filled = 0;
        } else if self.filled + OUT_FULL > self.input.len() {
            self.input.copy_within(self.used..self.filled, 0);
            self.filled -= self.used;
            self.used = 0;
        }
        let end = (self.filled + OUT_FULL).min(self.input.len());
        &mut self.input[self.filled..end]
    }
}

/// What the worker is to do for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait for the next event.
    Keep,
    /// Come back in the next turn: its share is used up.
    Again,
    /// Count a hit.
    Count,
    /// Come back at that instant.
    Wait(Instant),
    /// Drop it.
    Gone,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    socket: Socket,
    pub(crate) connection: Connection,
    /// Input that was not used yet.
    held: Vec<u8>,
    /// Output that was not sent yet, from `sent` on.
    unsent: Vec<u8>,
    sent: usize,
    readable: bool,
    writable: bool,
    /// The end of input has been announced: a short receive is followed by another one.
    read_closed: bool,
    eof: bool,
    lingering: bool,
}

impl Client {
    pub(crate) fn new(socket: Socket, connection: Connection) -> Self {
        Self {
            socket,
            connection,
            held: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
            readable: false,
            writable: true,
            read_closed: false,
            eof: false,
            lingering: false,
        }
    }

    /// Takes note of an event; false: the connection is broken.
    pub(crate) fn notice(&mut self, event: &Event) -> bool {
        self.read_closed |= event.is_read_closed();
        self.readable |= event.is_readable() || event.is_read_closed();
        self.writable |= event.is_writable();
        !event.is_error()
    }

    /// Goes on as far as the socket and the automaton allow.
    pub(crate) fn drive(&mut self, scratch: &mut Scratch, cx: &Context) -> Next {
        if self.lingering {
            return self.linger(scratch);
        }
        match self.flush(cx) {
            Ok(true) => {}
            Ok(false) => return Next::Keep,
            Err(_) => return Next::Gone,
        }
        scratch.load(&mut self.held);
        // A connection that failed has nobody left to tell: it is dropped.
        let next = self.exchange(scratch, cx).unwrap_or(Next::Gone);
        scratch.store(&mut self.held);
        next
    }

    fn exchange(&mut self, scratch: &mut Scratch, cx: &Context) -> io::Result<Next> {
        for _ in 0..SHARE {
            scratch.out.clear();
            let input = &scratch.input[scratch.used..scratch.filled];
            let (used, step) = self.connection.advance(input, &mut scratch.out, cx);
            scratch.used += used;
            let all_sent = self.send(&scratch.out)?;
            match step {
                Step::Count => return Ok(Next::Count),
                Step::Wait(until) => return Ok(Next::Wait(until)),
                Step::Pause => return Ok(Next::Keep),
                _ if !all_sent => {
                    self.connection.progressed(cx.now);
                    return Ok(Next::Keep);
                }
                Step::Send => self.connection.progressed(cx.now),
                Step::Receive if self.eof => return Ok(Next::Gone),
                Step::Receive if !self.receive(scratch)? => return Ok(Next::Keep),
                Step::Receive => {}
                Step::Close => return self.close(scratch, cx),
            }
        }
        Ok(Next::Again)
    }

    /// Receives once; false: there is nothing to receive.
    fn receive(&mut self, scratch: &mut Scratch) -> io::Result<bool> {
        while self.readable {
            let room = scratch.room();
            match self.socket.read(room) {
                Ok(0) => {
                    self.eof = true;
                    return Ok(true);
                }
                Ok(count) => {
                    self.readable = count == room.len() || self.read_closed;
                    scratch.filled += count;
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Sends `out`, or keeps what the socket does not take; false: something was kept.
    fn send(&mut self, out: &[u8]) -> io::Result<bool> {
        let sent = self.write(out)?;
        if sent < out.len() {
            self.unsent.extend_from_slice(&out[sent..]);
            self.sent = 0;
        }
        Ok(sent == out.len())
    }

    /// Sends what was kept; true: all is sent.
    fn flush(&mut self, cx: &Context) -> io::Result<bool> {
        if self.unsent.is_empty() {
            return Ok(true);
        }
        let unsent = std::mem::take(&mut self.unsent);
        let sent = self.write(&unsent[self.sent..]);
        self.unsent = unsent;
        let sent = sent?;
        self.sent += sent;
        if sent > 0 {
            self.connection.progressed(cx.now);
        }
        if self.sent < self.unsent.len() {
            return Ok(false);
        }
        self.unsent = Vec::new();
        Ok(true)
    }

    /// Writes until all is taken or the socket is full; how much it took.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() && self.writable {
            match self.socket.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// The last answer is sent. Closing a socket that has input left resets it and may take the answer
    /// with it, so that such a client is read on for a while.
    fn close(&mut self, scratch: &mut Scratch, cx: &Context) -> io::Result<Next> {
        let input_left = scratch.used < scratch.filled || self.readable || self.connection.is_refused();
        if self.eof || !input_left {
            return Ok(Next::Gone);
        }
        self.socket.shutdown(Shutdown::Write)?;
        self.lingering = true;
        self.connection.deadline = cx.now + LINGER;
        scratch.used = scratch.filled;
        Ok(self.linger(scratch))
    }

    fn linger(&mut self, scratch: &mut Scratch) -> Next {
        for _ in 0..SHARE {
            scratch.used = scratch.filled;
            match self.receive(scratch) {
                Ok(true) if !self.eof => {}
                Ok(false) => return Next::Keep,
                Ok(true) | Err(_) => return Next::Gone,
            }
        }
        Next::Again
    }
}
