//! A change of the binary while it serves (USR2): the new one is started with the listeners of the old one.
//!
//! ```text
//!   old   USR2: pid file ─▶ .oldbin, start the new one ──────────▶ QUIT: finish, end
//!   new                     take the listeners over, pid file ───▶ serve
//! ```
//!
//! Both serve until the old one is told to quit (or to rest, with WINCH), or the new one is, which undoes it.
//! The numbers of the descriptors stand in the environment variable `NGINX`, as nginx does it; beside it stands
//! systemd's `LISTEN_FDS`, by which they are taken over: so a socket unit of systemd can hand listeners over too.
//! `PROXY_PREDECESSOR` is the old process's id, and `PROXY_PRIVILEGED` is there where that was started by root, as the
//! configuration is read otherwise then, whoever the process has become.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::process::{Child, Command};

use command_fds::{CommandFdExt, FdMapping};
use listenfd::ListenFd;
use rustix::process::{Pid, geteuid, getppid};
use socket2::Socket;

use crate::config::Listen;
use crate::worker::listen::address;
use crate::worker::mio_net::Listener;

/// The first descriptor behind the standard streams.
const FIRST: usize = 3;

/// What tells the new process of the old one.
const LISTENERS: &str = "NGINX";
const PREDECESSOR: &str = "PROXY_PREDECESSOR";
const PRIVILEGED: &str = "PROXY_PRIVILEGED";

/// The listeners that the process was started with, and by whom.
#[derive(Debug, Default)]
pub struct Inheritance {
    sockets: Vec<(Listen, Socket)>,
    /// The process whose binary is being changed; `None` where the listeners are not from such a one.
    predecessor: Option<Pid>,
}

/// Whether this process has root's privileges, or had them until it became the `user`, perhaps in a predecessor.
pub fn is_privileged() -> bool {
    geteuid().is_root() || (is_change() && std::env::var_os(PRIVILEGED).is_some())
}

/// Whether this process is started to take another one's place.
fn is_change() -> bool {
    std::env::var_os(LISTENERS).is_some_and(|list| !list.is_empty())
}

impl Inheritance {
    /// Takes over what there is. Works once in a process.
    pub fn take() -> Inheritance {
        let mut handed = ListenFd::from_env();
        let sockets = (0..handed.len()).filter_map(|index| {
            let tcp = handed.take_tcp_listener(index).ok().flatten().map(Socket::from);
            let socket = tcp.or_else(|| handed.take_unix_listener(index).ok().flatten().map(Socket::from))?;
            Some((address(&socket)?, socket))
        });
        let sockets: Vec<_> = sockets.collect();
        let number = std::env::var(PREDECESSOR).ok().and_then(|number| number.parse().ok());
        let predecessor = number.and_then(Pid::from_raw).filter(|_| is_change() && !sockets.is_empty());
        Inheritance { sockets, predecessor }
    }

    /// The listeners at an address.
    pub fn at(&mut self, address: &Listen) -> Vec<Socket> {
        self.sockets.extract_if(.., |(at, _)| at == address).map(|(_, socket)| socket).collect()
    }

    /// How many listeners there are at one address, at the one that has most.
    pub fn most_at_one_address(&self) -> usize {
        let count = |address: &Listen| self.sockets.iter().filter(|(at, _)| at == address).count();
        self.sockets.iter().map(|(at, _)| count(at)).max().unwrap_or_default()
    }

    /// Lets go of the others, which no configuration names.
    pub fn drop_rest(&mut self) {
        let mut gone: Vec<_> = self.sockets.drain(..).map(|(address, _)| address.to_string()).collect();
        gone.sort_unstable();
        gone.dedup();
        for address in gone {
            log::warn!("{address} was handed over and is not listened on: no \"listen\" names it");
        }
    }

    /// Whether this process was started by another one to take its place.
    pub fn is_successor(&self) -> bool {
        self.predecessor.is_some()
    }

    /// Whether that one is still there. Once it has gone, this process has another parent.
    pub fn predecessor_lives(&self) -> bool {
        self.predecessor.is_some() && self.predecessor == getppid()
    }
}

/// Starts this process's binary, as it lies on the disk now, with the arguments of this process and its
/// listeners, and tells it whether this one `is_privileged`.
///
/// # Errors
///
/// When it cannot be started.
pub fn start<'a>(listeners: impl Iterator<Item = &'a Listener>, is_privileged: bool) -> io::Result<Child> {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_else(|| OsString::from("proxy"));
    // Workers may share one.
    let distinct: HashMap<_, _> =
        listeners.map(|listener| (std::sync::Arc::as_ptr(listener), listener)).collect();
    let mut mappings = Vec::new();
    for (number, listener) in distinct.values().enumerate() {
        let parent_fd = listener.as_fd().try_clone_to_owned()?;
        mappings.push(FdMapping { parent_fd, child_fd: i32::try_from(FIRST + number).unwrap_or(i32::MAX) });
    }
    let list: String = (FIRST..FIRST + mappings.len()).map(|number| format!("{number};")).collect();
    let mut command = Command::new(program);
    command.args(args).env(LISTENERS, list).env("LISTEN_FDS", mappings.len().to_string());
    command.env(PREDECESSOR, std::process::id().to_string());
    if is_privileged {
        command.env(PRIVILEGED, "1");
    }
    command.env_remove("LISTEN_PID").env_remove("LISTEN_FDS_FIRST_FD");
    command.fd_mappings(mappings).map_err(io::Error::other)?;
    command.spawn()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};

    use super::*;

    #[test]
    fn listeners_are_found_by_their_address() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let other = tcp.try_clone().expect("another handle");
        let at = Listen::Tcp(tcp.local_addr().expect("an address"));
        let unix = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        let all = [Socket::from(tcp), Socket::from(unix), Socket::from(other)];
        let sockets = all.into_iter().map(|socket| (address(&socket).expect("it has one"), socket));
        let mut inheritance = Inheritance { sockets: sockets.collect(), predecessor: None };
        let nowhere = Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        assert_eq!(inheritance.at(&nowhere).len(), 0);
        assert_eq!(inheritance.at(&at).len(), 2);
        assert_eq!(inheritance.at(&at).len(), 0, "each is taken once");
        assert_eq!(inheritance.at(&Listen::Unix(path)).len(), 1);
        assert!(!inheritance.is_successor() && !inheritance.predecessor_lives());
    }

    #[test]
    fn a_predecessor_that_has_gone_does_not_live() {
        let predecessor = |pid| Inheritance { predecessor: Some(pid), ..Inheritance::default() };
        assert!(predecessor(getppid().expect("a parent")).predecessor_lives());
        // As if another process had become the parent.
        let gone = predecessor(rustix::process::getpid());
        assert!(gone.is_successor() && !gone.predecessor_lives());
    }
}
