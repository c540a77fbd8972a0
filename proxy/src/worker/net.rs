//! What a worker asks of the network: a dozen things, so that a fake can answer them too.

use std::io;
use std::net::SocketAddr;
use std::task::Waker;

use slotmap::{Key, KeyData, new_key_type};

use crate::exchange::Found;
use crate::time::{Duration, Time};
use crate::upstream::Address;

new_key_type! {
    /// A client connection.
    pub struct ClientKey;
    /// An upstream connection.
    pub struct UpstreamKey;
}

/// Whom an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The listener with this number.
    Listener(usize),
    /// A client connection; its key may be stale.
    Client(ClientKey),
    /// An upstream connection; its key may be stale.
    Upstream(UpstreamKey),
    /// The worker itself: another thread has something to say.
    Wake,
}

/// A [`Target`] in 64 bits, as the kernel carries it.
///
/// A slot map's key is a generation in the upper half and an index in the lower one; the kind takes the
/// two topmost bits of the index, which leaves room for a thousand million connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u64);

const KIND: u64 = 0b11 << 30;
const CLIENT: u64 = 0;
const UPSTREAM: u64 = 1 << 30;
const LISTENER: u64 = 2 << 30;
const WAKE: u64 = 3 << 30;

impl Token {
    /// From the kernel's form.
    pub fn from_bits(bits: u64) -> Token {
        Token(bits)
    }

    /// To the kernel's form.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Whom it names.
    pub fn target(self) -> Target {
        let data = self.0 & !KIND;
        match self.0 & KIND {
            CLIENT => Target::Client(KeyData::from_ffi(data).into()),
            UPSTREAM => Target::Upstream(KeyData::from_ffi(data).into()),
            LISTENER => Target::Listener(data as usize),
            _ => Target::Wake,
        }
    }
}

impl From<Target> for Token {
    fn from(target: Target) -> Token {
        let (data, kind) = match target {
            Target::Client(key) => (key.data().as_ffi(), CLIENT),
            Target::Upstream(key) => (key.data().as_ffi(), UPSTREAM),
            Target::Listener(number) => (number as u64, LISTENER),
            Target::Wake => (0, WAKE),
        };
        debug_assert_eq!(data & KIND, 0, "a connection's number does not fit");
        Token(data | kind)
    }
}

/// A change in what a socket can do. Only changes are reported: what was reported once holds until a call
/// would block or comes short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whom it is for.
    pub token: Token,
    /// Bytes, an end or an error may be there to be received.
    pub readable: bool,
    /// Bytes may be sent.
    pub writable: bool,
    /// The other side has stopped sending: a short read does not mean that nothing is left.
    pub read_closed: bool,
    /// Nothing can be sent any more: reset, or closed in both directions.
    pub broken: bool,
}

/// The network, the clocks and the files.
///
/// All calls but [`poll`](Net::poll) return at once, those for files as soon as the disk allows; `WouldBlock` means to wait for an event.
pub trait Net {
    /// A connection's socket.
    type Socket;

    /// A file that is open.
    type File;

    /// The monotonic clock.
    fn now(&self) -> Time;

    /// The time of day, since 1970.
    fn wall(&self) -> Duration;

    /// Waits for events until `deadline` and appends them. Returns early, with none, on a signal.
    fn poll(&mut self, events: &mut Vec<Event>, deadline: Time) -> io::Result<()>;

    /// What ends a [`poll`](Net::poll) from another thread, with an event for [`Target::Wake`].
    fn waker(&self) -> Waker;

    /// Takes the next connection from a listener. The address is `None` on a Unix socket.
    fn accept(&mut self, listener: usize) -> io::Result<(Self::Socket, Option<SocketAddr>)>;

    /// The address of this machine's that an accepted connection has come to.
    fn local_address(&mut self, socket: &Self::Socket) -> io::Result<SocketAddr>;

    /// Listens at exactly these from now on, by their numbers. What listens elsewhere is closed; `accept` gives
    /// nothing of it any more.
    fn listen(&mut self, listeners: &[usize]);

    /// Begins to connect, from this address of the machine's where one is given. It counts for IP alone.
    fn connect(&mut self, address: &Address, from: Option<SocketAddr>) -> io::Result<Self::Socket>;

    /// Has events for `socket` reported under `token` from now on. Called once for each socket.
    fn register(&mut self, socket: &mut Self::Socket, token: Token) -> io::Result<()>;

    /// How connecting went; called when a connecting socket has become writable.
    fn connected(&mut self, socket: &mut Self::Socket) -> io::Result<()>;

    /// Receives into `space`, which is not empty; 0 means that the other side has stopped sending.
    fn receive(&mut self, socket: &mut Self::Socket, space: &mut [u8]) -> io::Result<usize>;

    /// Whether a byte, an end or an error is there to be received; takes nothing.
    fn has_input(&mut self, socket: &mut Self::Socket) -> bool;

    /// Sends `first` and `second` as one run of bytes; either may be empty. Returns how many were taken.
    fn send(&mut self, socket: &mut Self::Socket, first: &[u8], second: &[u8]) -> io::Result<usize>;

    /// Sends an end behind the bytes sent so far.
    fn shutdown(&mut self, socket: &mut Self::Socket);

    /// Closes; with `reset`, so that the other side sees an error.
    fn close(&mut self, socket: Self::Socket, reset: bool);

    /// Opens a file to be read, or a folder to be looked at.
    fn open(&mut self, path: &[u8]) -> io::Result<(Self::File, Found)>;

    /// Reads from `offset` of a file into `space`, which is not empty; 0 means that the file ends before.
    fn read(&mut self, file: &mut Self::File, offset: u64, space: &mut [u8]) -> io::Result<usize>;
}
