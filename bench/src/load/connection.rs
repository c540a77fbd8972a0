//! A connection of the generator: its socket, and the requests that are in flight on it.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::plan::Target;
use super::response::Response;

/// Requests handed over in one call.
const BATCH: usize = 64;

/// A request that is not answered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// When it was due.
    pub(super) due_ns: u64,
    /// When it was first handed to the kernel.
    pub(super) sent_ns: u64,
    /// Its number in the plan.
    pub(super) target: usize,
}

/// What came of looking at a connection that is being opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It has just opened.
    Opened,
    /// Nothing has changed.
    Same,
}

/// A place for a connection, one after the other.
#[derive(Debug, Default)]
pub(super) struct Connection {
    socket: Option<TcpStream>,
    is_open: bool,
    is_writable: bool,
    /// The last response said that the connection will be closed.
    is_ending: bool,
    flights: VecDeque<Flight>,
    /// How many of them are with the kernel as a whole, and how many bytes of the next one.
    written: usize,
    offset: usize,
    /// The response to the oldest flight.
    pub(super) response: Response,
    /// It waits in the engine's queue.
    pub(super) is_offered: bool,
    /// Since when it waits there.
    pub(super) free_since_ns: u64,
    /// When it was opened or closed.
    pub(super) since_ns: u64,
}

impl Connection {
    /// Begins to connect.
    pub(super) fn open(
        &mut self,
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        now_ns: u64,
    ) -> io::Result<()> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.socket = Some(socket);
        self.since_ns = now_ns;
        Ok(())
    }

    /// After an event that said that it can be written to: that it could not connect, or that it has just opened.
    pub(super) fn writable(&mut self, is_error: bool) -> io::Result<Progress> {
        self.is_writable = true;
        let Some(socket) = self.socket.as_ref().filter(|_| !self.is_open) else { return Ok(Progress::Same) };
        // A connection that is being opened can be written to when it is there, or when it has failed.
        if is_error && let Some(error) = socket.take_error()? {
            return Err(error);
        }
        self.is_open = true;
        Ok(Progress::Opened)
    }

    /// Drops the socket and whatever was half read. Flights are the engine's to account for.
    pub(super) fn close(&mut self, now_ns: u64) {
        *self = Connection {
            flights: std::mem::take(&mut self.flights),
            is_offered: self.is_offered,
            free_since_ns: self.free_since_ns,
            since_ns: now_ns,
            ..Connection::default()
        };
    }

    pub(super) fn is_closed(&self) -> bool {
        self.socket.is_none()
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending
    }

    pub(super) fn in_flight(&self) -> usize {
        self.flights.len()
    }

    pub(super) fn oldest(&self) -> Option<Flight> {
        self.flights.front().copied()
    }

    pub(super) fn push(&mut self, flight: Flight) {
        self.flights.push_back(flight);
    }

    /// The oldest flight is over.
    pub(super) fn answered(&mut self, closes: bool) {
        self.flights.pop_front();
        self.is_ending |= closes;
        match self.written.checked_sub(1) {
            Some(written) => self.written = written,
            // Answered before it was sent as a whole: the rest of it can no longer go out in its place.
            None => self.is_ending |= self.offset > 0,
        }
    }

    /// Hands over as much of the flights as the kernel takes.
    pub(super) fn write(&mut self, targets: &[Target]) -> io::Result<()> {
        while self.is_writable && self.written < self.flights.len() && !self.is_ending {
            let Some(socket) = &mut self.socket else { return Err(io::ErrorKind::NotConnected.into()) };
            let first = &targets[self.flights[self.written].target].bytes[self.offset..];
            let result = if self.written + 1 == self.flights.len() {
                socket.write(first)
            } else {
                let rest = self.flights.range(self.written + 1..).take(BATCH - 1);
                let rest = rest.map(|flight| IoSlice::new(&targets[flight.target].bytes));
                let slices: Vec<IoSlice<'_>> = std::iter::once(IoSlice::new(first)).chain(rest).collect();
                socket.write_vectored(&slices)
            };
            match result {
                Ok(count) => self.sent(count, targets),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sent(&mut self, mut count: usize, targets: &[Target]) {
        while let Some(flight) = self.flights.get(self.written) {
            let left = targets[flight.target].bytes.len() - self.offset;
            if count < left {
                // A short write: the socket's buffer is full.
                self.is_writable = false;
                self.offset += count;
                return;
            }
            count -= left;
            self.offset = 0;
            self.written += 1;
        }
    }

    /// One read.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.socket {
            Some(socket) => match socket.read(into) {
                // It is still being opened.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                other => other,
            },
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}
