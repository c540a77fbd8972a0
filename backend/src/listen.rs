//! Binding, and the two kinds of stream sockets behind one face.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::Path;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Type};

use crate::options::Address;

/// Connections that may wait to be accepted; the kernel may lower it (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// One waiting connection, `WouldBlock` when there is none.
    pub(crate) fn accept(&self) -> io::Result<Socket> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
            Listener::Unix(listener) => listener.accept().map(|(stream, _)| Socket::Unix(stream)),
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            Listener::Unix(listener) => listener.register(registry, token, Interest::READABLE),
        }
    }
}

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Socket::Tcp(stream) => stream.register(registry, token, interest),
            Socket::Unix(stream) => stream.register(registry, token, interest),
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.shutdown(how),
            Socket::Unix(stream) => stream.shutdown(how),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(bytes),
            Socket::Unix(stream) => stream.read(bytes),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Binds one listener per worker; also returns the address, with the port that was taken for port 0.
///
/// # Errors
///
/// The address does not resolve, is in use, or may not be used.
pub(crate) fn bind(address: &Address, workers: usize) -> io::Result<(Address, Vec<Listener>)> {
    match address {
        Address::Tcp(text) => {
            let wanted = text.to_socket_addrs()?.next();
            let wanted = wanted.ok_or_else(|| io::Error::other("the name has no address"))?;
            let (bound, listeners) = bind_tcp(wanted, workers)?;
            Ok((Address::Tcp(bound.to_string()), listeners))
        }
        Address::Unix(path) => Ok((address.clone(), bind_unix(path, workers)?)),
    }
}

/// The first socket is bound without `SO_REUSEPORT`, so that a port taken by another process is an
/// error even when that process would share it; then it is set and the others join.
fn bind_tcp(wanted: SocketAddr, workers: usize) -> io::Result<(SocketAddr, Vec<Listener>)> {
    let mut bound = wanted;
    let mut listeners = Vec::with_capacity(workers);
    for worker in 0..workers {
        let socket = socket2::Socket::new(Domain::for_address(bound), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        // Lets a restarted origin bind while old connections are in TIME_WAIT.
        socket.set_reuse_address(true)?;
        if worker > 0 {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&bound.into())?;
        if worker == 0 && workers > 1 {
            socket.set_reuse_port(true)?;
        }
        socket.listen(BACKLOG)?;
        if worker == 0 {
            let address = socket.local_addr()?.as_socket();
            bound =
                address.ok_or_else(|| io::Error::other("bound to something that is not an IP address"))?;
        }
        listeners.push(Listener::Tcp(TcpListener::from_std(socket.into())));
    }
    Ok((bound, listeners))
}

/// One socket shared by all workers. A file that a killed process left behind is replaced; one that
/// somebody listens on is an error.
fn bind_unix(path: &Path, workers: usize) -> io::Result<Vec<Listener>> {
    let listener = match StdUnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_behind(path) => {
            std::fs::remove_file(path)?;
            StdUnixListener::bind(path)?
        }
        other => other?,
    };
    listener.set_nonblocking(true)?;
    let clone = |_| Ok(Listener::Unix(UnixListener::from_std(listener.try_clone()?)));
    (0..workers).map(clone).collect()
}

fn is_left_behind(path: &Path) -> bool {
    matches!(StdUnixStream::connect(path), Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}
