//! A keep-alive client that asks for one page, as curl does, and checks the answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest head.
const HEAD_MAX: usize = 4096;

/// One connection; it blocks.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    ///
    /// Where nobody listens.
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        Client::over(TcpStream::connect(address)?)
    }

    /// Takes a connection over.
    ///
    /// # Errors
    ///
    /// Where it is broken.
    pub fn over(stream: TcpStream) -> io::Result<Client> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Client { stream, request: request("/"), buffer: vec![0; HEAD_MAX] })
    }

    /// The same, for another page than `/`.
    #[must_use]
    pub fn of_page(self, path: &str) -> Client {
        Client { request: request(path), ..self }
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// Where the connection is broken.
    pub fn ask(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.request)
    }

    /// Receives the response to it.
    ///
    /// # Errors
    ///
    /// Where it does not come within 10 s, is not a 200 or has no Content-Length.
    pub fn receive(&mut self) -> io::Result<()> {
        let mut length = 0;
        loop {
            let n = self.stream.read(&mut self.buffer[length..])?;
            length += n;
            let bytes = &self.buffer[..length];
            let whole = whole_length(bytes);
            let is_200 = bytes.starts_with(b"HTTP/1.1 200 ");
            match whole {
                Some(whole) if whole == length && is_200 => return Ok(()),
                Some(whole) if whole > length && is_200 && n > 0 => {
                    // It stays that long for the next one.
                    self.buffer.resize(whole.max(self.buffer.len()), 0);
                }
                None if n > 0 && length < HEAD_MAX => {}
                _ => {
                    let said = String::from_utf8_lossy(&bytes[..length.min(HEAD_MAX)]).into_owned();
                    return Err(io::Error::other(format!("expected a 200 with its length, not: {said}")));
                }
            }
        }
    }

    /// Sends a request and receives the response.
    ///
    /// # Errors
    ///
    /// As [`Client::ask`] and [`Client::receive`].
    pub fn get(&mut self) -> io::Result<()> {
        self.ask()?;
        self.receive()
    }
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n")
        .into_bytes()
}

/// The length of the response whose head is in `bytes`; `None` while it is not.
fn whole_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    Some(head + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_measured() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(whole_length(head.as_bytes()), Some(head.len() + 5));
        assert_eq!(whole_length(&head.as_bytes()[..head.len() - 1]), None);
        assert_eq!(whole_length(b"HTTP/1.1 200 OK\r\n\r\nbody"), None);
    }
}
