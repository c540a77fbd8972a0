//! Binding, and the two kinds of stream sockets behind one face.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
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

/// An [`Address`] whose host is resolved.
#[derive(Debug)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Place {
    /// The first address that the host has.
    pub(crate) fn resolve(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(text) => {
                let first = text.to_socket_addrs()?.next();
                first.map(Place::Tcp).ok_or_else(|| io::Error::other("the name has no address"))
            }
            Address::Unix(path) => Ok(Place::Unix(path.clone())),
        }
    }

    /// Whether the two cannot be listened on at once: they are the same, or one of them is all addresses of the machine.
    pub(crate) fn overlaps(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::Tcp(one), Place::Tcp(other)) => {
                let is_part = (one.ip().is_unspecified() || other.ip().is_unspecified())
                    && one.is_ipv4() == other.is_ipv4();
                // Port 0 is another one each time.
                one.port() == other.port() && one.port() != 0 && (one.ip() == other.ip() || is_part)
            }
            (Place::Unix(one), Place::Unix(other)) => one == other,
            _ => false,
        }
    }

    /// Binds one listener per worker; also returns the address, with the port that was taken for port 0.
    ///
    /// # Errors
    ///
    /// The place is in use, or may not be used; [`Place::remedy`] says what to do.
    pub(crate) fn bind(&self, workers: usize) -> io::Result<(Address, Vec<Listener>)> {
        match self {
            Place::Tcp(wanted) => {
                let (bound, listeners) = bind_tcp(*wanted, workers)?;
                Ok((Address::Tcp(bound.to_string()), listeners))
            }
            Place::Unix(path) => Ok((Address::Unix(path.clone()), bind_unix(path, workers)?)),
        }
    }

    /// What to do about an error of [`Place::bind`].
    pub(crate) fn remedy(&self, error: &io::Error) -> &'static str {
        use io::ErrorKind as Kind;
        if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) {
            return "raise the limit of open files (ulimit -n), or have fewer --workers";
        }
        match (self, error.kind()) {
            (Place::Tcp(_), Kind::AddrInUse) => "stop what listens there, or give another port",
            (Place::Tcp(_), Kind::PermissionDenied) => "ports below 1024 need privileges, give a higher one",
            (Place::Tcp(_), Kind::AddrNotAvailable) => {
                "this machine has no such address, give one of its own, such as 127.0.0.1"
            }
            (Place::Tcp(_), _) => "give another address",
            (Place::Unix(_), Kind::AddrInUse) => "stop what listens there, or give another path",
            (Place::Unix(_), Kind::AlreadyExists) => "remove it, or give another path",
            (Place::Unix(_), Kind::NotFound | Kind::NotADirectory) => "make its folder, or give another path",
            (Place::Unix(_), Kind::PermissionDenied | Kind::ReadOnlyFilesystem) => {
                "give a path in a folder that this user may write to"
            }
            (Place::Unix(_), Kind::InvalidInput) => "give a shorter path",
            (Place::Unix(_), _) => "give another path",
        }
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

/// One socket shared by all workers. A socket that a killed process left behind is replaced; one that
/// somebody listens on is an error, and so is a file that is no socket.
fn bind_unix(path: &Path, workers: usize) -> io::Result<Vec<Listener>> {
    let listener = match StdUnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_left_behind(path, error)?;
            StdUnixListener::bind(path)?
        }
        other => other?,
    };
    listener.set_nonblocking(true)?;
    let clone = |_| Ok(Listener::Unix(UnixListener::from_std(listener.try_clone()?)));
    (0..workers).map(clone).collect()
}

fn remove_left_behind(path: &Path, in_use: io::Error) -> io::Result<()> {
    // To connect to another kind of file is refused as well, and nobody wants that one removed.
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "what is there is not a socket"));
    }
    match StdUnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        _ => Err(in_use),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Place::resolve(&text.parse().unwrap()).unwrap()
    }

    #[test]
    fn places_overlap_where_the_kernel_would_refuse_both() {
        for (one, other, overlap) in [
            ("127.0.0.1:5001", "127.0.0.1:5001", true),
            ("127.0.0.1:5001", "127.0.0.1:05001", true),
            ("0.0.0.0:5001", "127.0.0.1:5001", true),
            ("[::1]:5001", "[::]:5001", true),
            ("unix:/run/a", "unix:/run//a", true),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("127.0.0.1:5001", "127.0.0.1:5002", false),
            ("127.0.0.1:5001", "127.0.0.2:5001", false),
            ("[::1]:5001", "127.0.0.1:5001", false),
            ("unix:/run/a", "unix:/run/b", false),
            ("unix:/run/a", "127.0.0.1:5001", false),
        ] {
            assert_eq!(place(one).overlaps(&place(other)), overlap, "{one} {other}");
            assert_eq!(place(other).overlaps(&place(one)), overlap, "{other} {one}");
        }
    }

    #[test]
    fn every_error_has_a_remedy() {
        let (tcp, unix) = (place("127.0.0.1:80"), place("unix:/run/a"));
        for (errno, of_tcp, of_unix) in [
            (Errno::ADDRINUSE, "another port", "stop what listens there"),
            (Errno::ACCESS, "below 1024", "may write to"),
            (Errno::ADDRNOTAVAIL, "no such address", "another path"),
            (Errno::NOENT, "another address", "make its folder"),
            (Errno::NOTDIR, "another address", "make its folder"),
            (Errno::ROFS, "another address", "may write to"),
            (Errno::MFILE, "ulimit -n", "ulimit -n"),
            (Errno::NOBUFS, "another address", "another path"),
        ] {
            let error = io::Error::from(errno);
            assert!(tcp.remedy(&error).contains(of_tcp), "{errno}: {}", tcp.remedy(&error));
            assert!(unix.remedy(&error).contains(of_unix), "{errno}: {}", unix.remedy(&error));
        }
    }
}
