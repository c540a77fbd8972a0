//! Listening sockets, bound or taken over before any worker accepts from them.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use super::mio_net::Listener;
use crate::config::{self, Listen};

/// Connections that the kernel keeps waiting for `accept` unless `backlog=` says so, as in nginx.
const BACKLOG: u32 = 511;

/// An address that could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}: {source}{hint}")]
pub struct ListenError {
    /// The address.
    pub listen: Listen,
    /// What failed.
    pub source: io::Error,
    hint: &'static str,
}

/// An address that is listened on.
#[derive(Debug)]
pub struct Bound {
    /// Where.
    address: Listen,
    /// A listener for each worker.
    pub sockets: Vec<Listener>,
    /// A Unix socket's file is to stay.
    leaves_file: bool,
}

impl Bound {
    /// Whether a Unix socket's file stays when this is dropped, being another process's too. So it does at first where the
    /// socket was inherited.
    pub fn leave_file(&mut self, leaves: bool) {
        self.leaves_file = leaves;
    }

    /// Whether one of the two addresses, which are not the same, is part of the other: any address of this machine, and
    /// one of them.
    pub fn overlaps(&self, other: &Listen) -> bool {
        let (Listen::Tcp(one), Listen::Tcp(other)) = (&self.address, other) else { return false };
        let is_part = one.ip().is_unspecified() != other.ip().is_unspecified();
        one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && is_part
    }

    /// Lets sockets at an address that overlaps stand beside these.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn share(&self) -> io::Result<()> {
        self.sockets.iter().try_for_each(|socket| socket.set_reuse_port(true))
    }
}

impl Bound {
    /// Has the sockets treat connections as `config` says, whose address is theirs. No connection that waits is
    /// lost by it.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn configure(&self, config: &config::Listener) -> io::Result<()> {
        let backlog = i32::try_from(config.backlog.unwrap_or(BACKLOG)).unwrap_or(i32::MAX);
        for socket in &self.sockets {
            // Accepted ones have it from the one that listens.
            if let (Listen::Tcp(_), Some(keepalive)) = (&self.address, &config.tcp_keepalive) {
                set_keepalive(socket, keepalive)?;
            }
            socket.listen(backlog)?;
        }
        Ok(())
    }
}

fn set_keepalive(socket: &Socket, wanted: &config::TcpKeepalive) -> io::Result<()> {
    socket.set_keepalive(wanted.is_on)?;
    let mut times = TcpKeepalive::new();
    if let Some(idle) = wanted.idle {
        times = times.with_time(idle);
    }
    if let Some(interval) = wanted.interval {
        times = times.with_interval(interval);
    }
    if let Some(probes) = wanted.probes {
        times = times.with_retries(probes);
    }
    if wanted.is_on { socket.set_tcp_keepalive(&times) } else { Ok(()) }
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

/// Listens on an address for `workers` workers, on `inherited` sockets as far as they go. With `is_beside` this process has
/// sockets at an address that overlaps: the kernel gives connections to the one that says more.
///
/// On TCP each worker has a socket of its own and the kernel spreads connections over them
/// (`SO_REUSEPORT`). That option would also let another process share the port unnoticed, so the first
/// socket is bound without it, which fails if anybody listens there; only then is it set, and the others
/// join.
///
/// # Errors
///
/// Names the address and what to do. Nothing is bound then, and no socket's file is left.
pub fn bind(
    config: &config::Listener,
    workers: usize,
    inherited: Vec<Socket>,
    is_beside: bool,
) -> Result<Bound, ListenError> {
    let address = &config.address;
    let leaves_file = !inherited.is_empty();
    let sockets = match address {
        Listen::Tcp(address) => bind_tcp(&SockAddr::from(*address), workers, inherited, is_beside),
        Listen::Unix(path) => bind_unix(path, workers, inherited),
    };
    let bound = sockets.and_then(|sockets| {
        let bound = Bound { address: address.clone(), sockets, leaves_file };
        bound.configure(config)?;
        Ok(bound)
    });
    bound.map_err(|source| ListenError { listen: address.clone(), hint: hint(address, &source), source })
}

/// Where a socket listens; `None`: nowhere that has a name.
pub fn address(socket: &Socket) -> Option<Listen> {
    let address = socket.local_addr().ok()?;
    match address.as_socket() {
        Some(address) => Some(Listen::Tcp(address)),
        None => address.as_pathname().map(|path| Listen::Unix(path.to_owned())),
    }
}

/// Sees whether an address can be listened on, as `nginx -t` does: nothing listens there for a moment, and whoever has it
/// already may keep it.
///
/// # Errors
///
/// Names the address and what to do.
pub fn check(address: &Listen) -> Result<(), ListenError> {
    let checked = match address {
        Listen::Tcp(tcp) => open_tcp(&SockAddr::from(*tcp), false).map(drop),
        Listen::Unix(path) => check_unix(path),
    };
    match checked {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(()),
        checked => checked.map_err(|source| ListenError {
            listen: address.clone(),
            hint: hint(address, &source),
            source,
        }),
    }
}

fn check_unix(path: &Path) -> io::Result<()> {
    Socket::new(Domain::UNIX, Type::STREAM, None)?.bind(&SockAddr::unix(path)?)?;
    std::fs::remove_file(path)
}

fn hint(listen: &Listen, error: &io::Error) -> &'static str {
    let is_socket = |path: &Path| std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    match (listen, error.kind()) {
        (Listen::Unix(path), io::ErrorKind::AddrInUse) if !is_socket(path) => {
            "; a file that is no socket is there, remove it or choose another path with --listen"
        }
        (_, io::ErrorKind::AddrInUse) => {
            "; stop the process that listens there or choose another address with --listen"
        }
        (Listen::Unix(_), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) => {
            "; choose a path with --listen in a folder that is there and may be written to"
        }
        (Listen::Tcp(_), io::ErrorKind::PermissionDenied) => {
            "; ports below 1024 need privileges, choose a higher one with --listen"
        }
        (Listen::Tcp(_), io::ErrorKind::AddrNotAvailable) => "; this machine has no such address",
        _ => "",
    }
}

fn bind_tcp(
    address: &SockAddr,
    workers: usize,
    inherited: Vec<Socket>,
    is_beside: bool,
) -> io::Result<Vec<Listener>> {
    let mut sockets = inherited;
    sockets.truncate(workers);
    if sockets.is_empty() {
        sockets.push(open_tcp(address, is_beside)?);
    }
    if workers > 1 {
        for socket in &sockets {
            socket.set_reuse_port(true)?;
        }
    }
    while sockets.len() < workers {
        sockets.push(open_tcp(address, true)?);
    }
    for socket in &sockets {
        socket.set_nonblocking(true)?;
    }
    Ok(sockets.into_iter().map(Arc::new).collect())
}

fn open_tcp(address: &SockAddr, shared: bool) -> io::Result<Socket> {
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
}

/// One socket that all workers accept from: there is no `SO_REUSEPORT` for these.
fn bind_unix(path: &Path, workers: usize, inherited: Vec<Socket>) -> io::Result<Vec<Listener>> {
    let socket = match inherited.into_iter().next() {
        Some(socket) => socket,
        None => open_unix(path)?,
    };
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
            _ => return Err(Errno::ADDRINUSE.into()),
        }
    }
    let socket = open()?;
    socket.bind(&address)?;
    // Whoever may reach the file may connect, as in nginx: its folder says who that is.
    std::fs::set_permissions(path, Permissions::from_mode(0o666)).inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn connections_are_looked_after_as_their_listener_says() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let address = free.expect("a free port");
        let mut config = config::Listener::new(Listen::Tcp(address));
        config.tcp_keepalive = Some(config::TcpKeepalive {
            is_on: true,
            idle: Some(Duration::from_secs(77)),
            ..Default::default()
        });
        let bound = bind(&config, 1, Vec::new(), false).expect("it is free");
        let accept = || {
            let client = TcpStream::connect(address).expect("a connection");
            bound.sockets[0].set_nonblocking(false).expect("an option");
            let (socket, _) = bound.sockets[0].accept().expect("a connection");
            drop(client);
            (
                socket.keepalive().expect("an option"),
                socket.tcp_keepalive_time().expect("an option").as_secs(),
            )
        };
        assert_eq!(accept(), (true, 77));
        config.tcp_keepalive = Some(config::TcpKeepalive::default());
        bound.configure(&config).expect("it listens already");
        assert!(!accept().0);
    }

    #[test]
    fn inherited_sockets_are_used_as_far_as_they_go() {
        let inherited = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = inherited.local_addr().expect("an address");
        let other = inherited.try_clone().expect("another handle");
        let config = config::Listener::new(Listen::Tcp(address));
        let bound = bind(&config, 3, vec![inherited.into()], false).expect("others join it");
        assert_eq!(bound.sockets.len(), 3);
        drop(bound);
        // While somebody holds it, nobody else can bind there.
        assert!(bind(&config, 1, Vec::new(), false).is_err());
        drop(other);
        assert!(bind(&config, 1, Vec::new(), false).is_ok());
    }
}
