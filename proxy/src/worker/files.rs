//! Files for clients: opened, looked at, and read into the response's buffer.

use std::io::ErrorKind;

use rustix::io::Errno;

use super::Worker;
use super::net::{ClientKey, Net};
use crate::exchange::Missing;

impl<N: Net> Worker<N> {
    /// Opens the file that the client's request is for, and reads its beginning, so that a small file goes out with its
    /// head at once.
    #[cold]
    pub(super) fn open_file(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let path = client.exchange.wanted_file();
        let result = match self.net.open(path) {
            Ok((file, found)) => {
                client.file = Some(file);
                Ok(found)
            }
            Err(error) => Err(match error.kind() {
                // A name too long, or with a NUL in it, is nobody's.
                ErrorKind::NotFound
                | ErrorKind::NotADirectory
                | ErrorKind::InvalidFilename
                | ErrorKind::InvalidInput => Missing::Absent,
                ErrorKind::PermissionDenied => Missing::Forbidden,
                _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => Missing::Forbidden,
                _ => {
                    if self.file_failed.is_due(self.env.now) {
                        log::error!("{} cannot be opened: {error}", String::from_utf8_lossy(path));
                    }
                    Missing::Failed
                }
            }),
        };
        client.exchange.opened(result, &mut self.env);
        if client.exchange.wants_file() {
            self.read_file(key);
        } else {
            client.file = None;
        }
    }

    /// Reads the next bytes of the file that the client gets.
    #[cold]
    pub(super) fn read_file(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let offset = client.exchange.file_offset();
        let file = client.file.as_mut().expect("what is sent is open");
        let space = client.exchange.file_space(&mut self.env);
        let n = match self.net.read(file, offset, space) {
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::Interrupted => return,
            Err(error) => {
                if self.file_failed.is_due(self.env.now) {
                    log::error!("a file cannot be read on: {error}");
                }
                0
            }
        };
        client.exchange.file_came(n, &mut self.env);
        if !client.exchange.needs_file() {
            client.file = None;
        }
    }
}
