//! What fails for want of something on this machine: told apart from what fails at a server, with what to do about it.

use std::io::Error;

use rustix::io::Errno;

use crate::config::Process;

/// The address that was to be connected from is not to be had, whatever the kernel's reason.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct BindError(Error);

impl BindError {
    /// As an error of a network.
    pub(super) fn wrap(source: Error) -> Error {
        Error::new(source.kind(), BindError(source))
    }
}

/// Whether this machine is to blame for an error, not the server.
pub(super) fn is_local(error: &Error) -> bool {
    // No address, or no port, to connect from.
    is_short(error) || is_bind(error) || is(error, &[Errno::ADDRNOTAVAIL])
}

/// Whether closing a connection may help against it.
pub(super) fn is_short(error: &Error) -> bool {
    is(error, &[Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM])
}

/// What to do about it, to be put behind the error; empty where that is not known.
pub(super) fn remedy(error: &Error, process: &Process) -> String {
    if is_bind(error) {
        return "; name an address of this machine in \"proxy_bind\", of the server's family".to_owned();
    }
    if is(error, &[Errno::MFILE]) {
        return format!("; raise the limit of open files ({})", process.terms.open_files);
    }
    let known = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NFILE) => "; raise fs.file-max, the limit of open files of all processes",
        Some(Errno::NOBUFS | Errno::NOMEM) => "; the kernel is short of memory",
        Some(Errno::ADDRNOTAVAIL) => {
            "; no port is left to connect from: keep more connections idle (keepalive), or widen \
             net.ipv4.ip_local_port_range"
        }
        _ => "",
    };
    known.to_owned()
}

fn is(error: &Error, all: &[Errno]) -> bool {
    error.raw_os_error().is_some_and(|code| all.iter().any(|errno| errno.raw_os_error() == code))
}

fn is_bind(error: &Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<BindError>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Terms;

    #[test]
    fn what_is_local_comes_with_its_remedy() {
        let mut process = Process { terms: Terms::NGINX, ..Process::default() };
        let port = Error::from(Errno::ADDRNOTAVAIL);
        let address = BindError::wrap(Error::from(Errno::ADDRNOTAVAIL));
        let files = Error::from(Errno::MFILE);
        assert_eq!(address.to_string(), "Cannot assign requested address (os error 99)");
        assert!([&port, &address, &files].into_iter().all(is_local));
        assert_eq!([&port, &address, &files].map(is_short), [false, false, true]);
        assert!(remedy(&port, &process).contains("ip_local_port_range"));
        assert!(remedy(&address, &process).contains("proxy_bind"));
        assert_eq!(remedy(&files, &process), "; raise the limit of open files (worker_rlimit_nofile)");
        process.terms = Terms::FLAGS;
        assert_eq!(remedy(&files, &process), "; raise the limit of open files (ulimit -Hn, LimitNOFILE=)");
        let refused = Error::from(Errno::CONNREFUSED);
        assert!(!is_local(&refused) && remedy(&refused, &process).is_empty());
    }
}
