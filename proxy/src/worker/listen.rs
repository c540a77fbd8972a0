//! Listening sockets, bound before any worker starts.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::mio_net::Listener;
use crate::config::Listen;

/// Connections that the kernel keeps waiting for `accept`, as in nginx.
const BACKLOG: i32 = 511;

/// An address that could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}: {source}{hint}")]
pub struct ListenError {
    listen: Listen,
    source: io::Error,
    hint: &'static str,
}

/// Binds every address for `workers` workers: the listeners of each.
///
/// On TCP each worker has a socket of its own and the kernel spreads connections over them
/// (`SO_REUSEPORT`). That option would also let another process share the port unnoticed, so the first
/// socket is bound without it, which fails if anybody listens there; only then is it set, and the others
/// join.
///
/// # Errors
///
/// Names the address and what to do. Nothing is bound then, and no socket's file is left.
pub fn bind(addresses: &[Listen], workers: usize) -> Result<Vec<Vec<Listener>>, ListenError> {
    let mut all: Vec<Vec<Listener>> = (0..workers).map(|_| Vec::new()).collect();
    for (bound, listen) in addresses.iter().enumerate() {
        let sockets = match listen {
            Listen::Tcp(address) => bind_tcp(&SockAddr::from(*address), workers),
            Listen::Unix(path) => bind_unix(path, workers),
        };
        let sockets = sockets.map_err(|source| {
            unlink(&addresses[..bound]);
            ListenError { listen: listen.clone(), hint: hint(&source), source }
        })?;
        for (listeners, socket) in all.iter_mut().zip(sockets) {
            listeners.push(match listen {
                Listen::Tcp(_) => Listener::Tcp(mio::net::TcpListener::from_std(socket.into())),
                Listen::Unix(_) => Listener::Unix(mio::net::UnixListener::from_std(socket.into())),
            });
        }
    }
    Ok(all)
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; stop the process that listens there or choose another address with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need privileges, choose a higher one with --listen"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
        _ => "",
    }
}

fn bind_tcp(address: &SockAddr, workers: usize) -> io::Result<Vec<Socket>> {
    let open = |shared: bool| -> io::Result<Socket> {
        let socket = Socket::new(
            Domain::from(i32::from(address.family())),
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )?;
        // A restart must not wait for the connections of the last run to fade.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Inherited by what is accepted, which saves a call for each connection.
        socket.set_tcp_nodelay(true)?;
        socket.set_reuse_port(shared)?;
        socket.bind(address)?;
        Ok(socket)
    };
    let first = open(false)?;
    if workers > 1 {
        first.set_reuse_port(true)?;
    }
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(open(true)?);
    }
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    Ok(sockets)
}

/// One socket that all workers accept from: there is no `SO_REUSEPORT` for these.
fn bind_unix(path: &Path, workers: usize) -> io::Result<Vec<Socket>> {
    let address = SockAddr::unix(path)?;
    let open = || Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None);
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket {
        // A file that nobody listens on is left by a process that was killed.
        match open()?.connect(&address) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let socket = open()?;
    socket.bind(&address)?;
    socket.listen(BACKLOG)?;
    let mut sockets = Vec::with_capacity(workers);
    for _ in 1..workers {
        sockets.push(socket.try_clone()?);
    }
    sockets.push(socket);
    Ok(sockets)
}

/// The files of the Unix sockets among bound addresses; dropping it removes them, however the process ends.
#[derive(Debug)]
pub struct Files<'a>(pub &'a [Listen]);

impl Drop for Files<'_> {
    fn drop(&mut self) {
        unlink(self.0);
    }
}

fn unlink(addresses: &[Listen]) {
    for listen in addresses {
        if let Listen::Unix(path) = listen {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}
