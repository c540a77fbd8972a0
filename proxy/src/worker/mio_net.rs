//! [`Net`] on the kernel: mio for epoll, socket2 for the options that mio does not set.

use std::cell::Cell;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::SocketAddr as UnixAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::unix::SourceFd;
use mio::{Interest, Poll};
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use parking_lot::Mutex;
use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::io::pread;
use rustix::net::{self, RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags};
use socket2::{Domain, Protocol, SockRef, Type};

use super::listen::address;
use super::local::BindError;
use super::net::{Event, Net, Target, Token};
use crate::exchange::{FileKind, Found};
use crate::time::{Duration, Time};
use crate::upstream::Address;

/// A listening socket: a worker accepts from it, and the process keeps it for a successor. It listens until
/// both have let go of it.
pub type Listener = Arc<socket2::Socket>;

/// A connection's socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix stream socket.
    Unix(UnixStream),
}

impl Socket {
    /// Receiving and sending go straight to the kernel: std's way through libc costs some hundred
    /// instructions a request for thread cancellation.
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }
}

/// Events taken from the kernel at once.
const BATCH: usize = 1024;

/// Where clocks start: balancing takes 0 as "long ago".
const CLOCK_START: Duration = Duration::from_secs(3600);

/// The kernel.
#[derive(Debug)]
pub struct MioNet {
    poll: Poll,
    events: mio::Events,
    /// By number.
    listeners: Vec<Option<Listener>>,
    supplies: Arc<Supplies>,
    waker: Arc<LoopWaker>,
    /// The process's: workers share one clock, since they share what servers did when.
    start: Instant,
    last_now: Cell<Time>,
}

/// The listeners that are ready for a loop to accept from, with their numbers.
type Supplies = Mutex<Vec<(usize, Listener)>>;

/// An event loop as other threads see it.
#[derive(Debug)]
pub struct Remote {
    waker: Arc<LoopWaker>,
    supplies: Arc<Supplies>,
}

/// What interrupts the kernel's waiting.
#[derive(Debug)]
struct LoopWaker(mio::Waker);

impl std::task::Wake for LoopWaker {
    fn wake(self: Arc<LoopWaker>) {
        // Of a loop that has ended nothing is wanted.
        let _ = self.0.wake();
    }
}

impl Remote {
    /// Wakes it.
    pub fn wake(&self) -> io::Result<()> {
        self.waker.0.wake()
    }

    /// Has listeners ready for it: it accepts from them once it is told to listen at their numbers.
    pub fn supply(&self, listeners: impl IntoIterator<Item = (usize, Listener)>) {
        self.supplies.lock().extend(listeners);
    }
}

impl MioNet {
    /// An event loop that accepts from these listeners. `start` is to be the same for all workers.
    pub fn new(listeners: Vec<(usize, Listener)>, start: Instant) -> io::Result<(MioNet, Remote)> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), mio_token(Token::from(Target::Wake)))?;
        let waker = Arc::new(LoopWaker(waker));
        let supplies = Arc::new(Supplies::default());
        let mut net = MioNet {
            poll,
            events: mio::Events::with_capacity(BATCH),
            listeners: Vec::new(),
            supplies: supplies.clone(),
            waker: waker.clone(),
            start,
            last_now: Cell::default(),
        };
        for (number, listener) in listeners {
            net.add(number, listener)?;
        }
        Ok((net, Remote { waker, supplies }))
    }

    fn add(&mut self, number: usize, listener: Listener) -> io::Result<()> {
        let token = mio_token(Token::from(Target::Listener(number)));
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&listener.as_raw_fd()), token, Interest::READABLE)?;
        if self.listeners.len() <= number {
            self.listeners.resize(number + 1, None);
        }
        self.listeners[number] = Some(listener);
        Ok(())
    }
}

fn mio_token(token: Token) -> mio::Token {
    const { assert!(usize::BITS == 64, "tokens need 64 bits") };
    mio::Token(token.bits() as usize)
}

impl Net for MioNet {
    type Socket = Socket;
    type File = OwnedFd;

    fn now(&self) -> Time {
        let now = Time::ZERO + CLOCK_START + self.start.elapsed();
        self.last_now.set(now);
        now
    }

    fn waker(&self) -> std::task::Waker {
        self.waker.clone().into()
    }

    fn wall(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn poll(&mut self, events: &mut Vec<Event>, deadline: Time) -> io::Result<()> {
        // mio rounds up to the kernel's milliseconds, so a deadline has passed when it is reported. Counted
        // from the last reading of the clock, which was at most one turn ago.
        let timeout = match deadline {
            Time::NEVER => None,
            Time::ZERO => Some(Duration::ZERO),
            deadline => Some(deadline.since(self.last_now.get())),
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        events.extend(self.events.iter().map(|event| Event {
            token: Token::from_bits(event.token().0 as u64),
            readable: event.is_readable() || event.is_read_closed() || event.is_error(),
            writable: event.is_writable() || event.is_error(),
            read_closed: event.is_read_closed() || event.is_error(),
            broken: event.is_write_closed() || event.is_error(),
        }));
        Ok(())
    }

    fn accept(&mut self, listener: usize) -> io::Result<(Socket, Option<SocketAddr>)> {
        let Some(Some(listener)) = self.listeners.get(listener) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (socket, address) = net::acceptfrom_with(listener, flags)?;
        Ok(match address.and_then(|address| SocketAddr::try_from(address).ok()) {
            Some(address) => (Socket::Tcp(TcpStream::from_std(socket.into())), Some(address)),
            None => (Socket::Unix(UnixStream::from_std(socket.into())), None),
        })
    }

    fn local_address(&mut self, socket: &Socket) -> io::Result<SocketAddr> {
        match socket {
            Socket::Tcp(socket) => socket.local_addr(),
            Socket::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn listen(&mut self, listeners: &[usize]) {
        for (number, listener) in self.listeners.iter_mut().enumerate() {
            if let Some(listener) = listener.take_if(|_| !listeners.contains(&number)) {
                // Whoever else has it keeps it open, but this loop is to hear nothing more of it.
                let _ = self.poll.registry().deregister(&mut SourceFd(&listener.as_raw_fd()));
            }
        }
        let supplies = std::mem::take(&mut *self.supplies.lock());
        for (number, listener) in supplies.into_iter().filter(|(number, _)| listeners.contains(number)) {
            let address = address(&listener);
            if let Err(error) = self.add(number, listener) {
                let address = address.map_or_else(String::new, |address| address.to_string());
                log::error!("a worker cannot accept from the new listener {address}: {error}");
            }
        }
    }

    fn connect(&mut self, address: &Address, from: Option<SocketAddr>) -> io::Result<Socket> {
        match address {
            Address::Inet(address) => {
                let socket = match from {
                    None => TcpStream::connect(*address)?,
                    Some(from) => connect_from(from, *address)?,
                };
                socket.set_nodelay(true)?;
                Ok(Socket::Tcp(socket))
            }
            Address::Unix(path) => {
                Ok(Socket::Unix(UnixStream::connect_addr(&UnixAddr::from_pathname(path)?)?))
            }
        }
    }

    fn register(&mut self, socket: &mut Socket, token: Token) -> io::Result<()> {
        let source: &mut dyn Source = match socket {
            Socket::Tcp(socket) => socket,
            Socket::Unix(socket) => socket,
        };
        source.register(self.poll.registry(), mio_token(token), Interest::READABLE | Interest::WRITABLE)
    }

    fn connected(&mut self, socket: &mut Socket) -> io::Result<()> {
        let error = match socket {
            Socket::Tcp(socket) => socket.take_error()?,
            Socket::Unix(socket) => socket.take_error()?,
        };
        error.map_or(Ok(()), Err)
    }

    fn receive(&mut self, socket: &mut Socket, space: &mut [u8]) -> io::Result<usize> {
        let (n, _) = net::recv(socket.fd(), space, RecvFlags::empty())?;
        Ok(n)
    }

    fn has_input(&mut self, socket: &mut Socket) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let peeked = match socket {
            Socket::Tcp(socket) => SockRef::from(&*socket).peek(&mut byte),
            Socket::Unix(socket) => SockRef::from(&*socket).peek(&mut byte),
        };
        !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    fn send(&mut self, socket: &mut Socket, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let sent = match (first, second) {
            (only, []) | ([], only) => net::send(socket.fd(), only, SendFlags::NOSIGNAL),
            _ => {
                let parts = [io::IoSlice::new(first), io::IoSlice::new(second)];
                net::sendmsg(socket.fd(), &parts, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
            }
        };
        Ok(sent?)
    }

    fn shutdown(&mut self, socket: &mut Socket) {
        // It fails only where the connection is gone already, which the next event says too.
        let _ = match socket {
            Socket::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Socket::Unix(socket) => socket.shutdown(Shutdown::Write),
        };
    }

    fn close(&mut self, socket: Socket, reset: bool) {
        if let (Socket::Tcp(socket), true) = (&socket, reset) {
            // Closing works without it as well, only less plainly.
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }

    fn open(&mut self, path: &[u8]) -> io::Result<(OwnedFd, Found)> {
        // A pipe that nobody writes to must not hold the worker up.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = fs::open(path, flags, Mode::empty())?;
        let stat = fs::fstat(&file)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => FileKind::Regular,
            FileType::Directory => FileKind::Folder,
            _ => FileKind::Other,
        };
        // Nothing was changed before 1970.
        let modified = u64::try_from(stat.st_mtime).unwrap_or_default();
        Ok((file, Found { kind, length: u64::try_from(stat.st_size).unwrap_or_default(), modified }))
    }

    fn read(&mut self, file: &mut OwnedFd, offset: u64, space: &mut [u8]) -> io::Result<usize> {
        pread(&*file, space, offset).map_err(|errno| of_file(file, errno))
    }
}

/// An error that names the file.
#[cold]
fn of_file(file: &OwnedFd, errno: Errno) -> io::Error {
    let error = io::Error::from(errno);
    match std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
        Ok(path) => io::Error::new(error.kind(), format!("{}: {error}", path.display())),
        Err(_) => error,
    }
}

/// Begins to connect from an address of this machine.
fn connect_from(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = socket2::Socket::new(Domain::for_address(to), kind, Some(Protocol::TCP))?;
    if from.port() == 0 {
        // The port is drawn when it is known where to, so that there are as many for each server.
        // It goes without, too.
        let _ = setsockopt(&socket, IpBindAddressNoPort, &true);
    }
    // Whatever is wrong with the address, it is no fault of the server.
    socket.bind(&from.into()).map_err(BindError::wrap)?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut net, _) = MioNet::new(Vec::new(), Instant::now()).expect("a loop");
        let path = folder.path().as_os_str().as_encoded_bytes();
        let (mut file, found) = net.open(path).expect("a folder can be opened");
        assert_eq!(found.kind, FileKind::Folder);
        let error = net.read(&mut file, 0, &mut [0]).expect_err("but not be read");
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        assert_eq!(error.to_string(), format!("{}: Is a directory (os error 21)", folder.path().display()));
    }
}
