//! Listening sockets, bound or taken over before any worker accepts from them.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

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

/// An address that is listened on.
#[derive(Debug)]
pub struct Bound {
    /// Where.
    pub address: Listen,
    /// A listener for each worker.
    pub sockets: Vec<Listener>,
    /// A Unix socket's file is to stay.
    leaves_file: bool,
}

impl Bound {
    /// A Unix socket's file is another process's from now on, too: it stays when this is dropped.
    pub fn leave_file(&mut self) {
        self.leaves_file = true;
    }
}

impl Drop for Bound {
    /// Removes the file of a Unix socket, however the process ends.
    fn drop(&mut self) {
        if let (Listen::Unix(path), false) = (&self.address, self.leaves_file) {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Listens on an address for `workers` workers, on `inherited` sockets as far as they go.
///
/// On TCP each worker has a socket of its own and the kernel spreads connections over them
/// (`SO_REUSEPORT`). That option would also let another process share the port unnoticed, so the first
/// socket is bound without it, which fails if anybody listens there; only then is it set, and the others
/// join.
///
/// # Errors
///
/// Names the address and what to do. Nothing is bound then, and no socket's file is left.
pub fn bind(address: &Listen, workers: usize, inherited: Vec<Socket>) -> Result<Bound, ListenError> {
    let sockets = match address {
        Listen::Tcp(address) => bind_tcp(&SockAddr::from(*address), workers, inherited),
        Listen::Unix(path) => bind_unix(path, workers, inherited),
    };
    match sockets {
        Ok(sockets) => Ok(Bound { address: address.clone(), sockets, leaves_file: false }),
        Err(source) => Err(ListenError { listen: address.clone(), hint: hint(&source), source }),
    }
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

fn bind_tcp(address: &SockAddr, workers: usize, inherited: Vec<Socket>) -> io::Result<Vec<Listener>> {
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
    let mut sockets = inherited;
    sockets.truncate(workers);
    if sockets.is_empty() {
        sockets.push(open(false)?);
    }
    if workers > 1 {
        for socket in &sockets {
            socket.set_reuse_port(true)?;
        }
    }
    while sockets.len() < workers {
        sockets.push(open(true)?);
    }
    for socket in &sockets {
        // No harm to one that listens already.
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
    }
    Ok(sockets.into_iter().map(Arc::new).collect())
}

/// One socket that all workers accept from: there is no `SO_REUSEPORT` for these.
fn bind_unix(path: &Path, workers: usize, inherited: Vec<Socket>) -> io::Result<Vec<Listener>> {
    let socket = match inherited.into_iter().next() {
        Some(socket) => socket,
        None => open_unix(path)?,
    };
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let socket = Arc::new(socket);
    Ok((0..workers).map(|_| socket.clone()).collect())
}

fn open_unix(path: &Path) -> io::Result<Socket> {
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
    Ok(socket)
}
