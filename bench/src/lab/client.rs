//! A keep-alive client that asks for one small page, as curl does, and checks the answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n";

/// One connection; it blocks.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
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
        Ok(Client { stream, buffer: vec![0; 4096] })
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// Where the connection is broken.
    pub fn ask(&mut self) -> io::Result<()> {
        self.stream.write_all(REQUEST)
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
            if whole_length(bytes).is_some_and(|whole| whole == length) && bytes.starts_with(b"HTTP/1.1 200 ")
            {
                return Ok(());
            }
            if n == 0 || length == self.buffer.len() {
                let said = String::from_utf8_lossy(bytes).into_owned();
                return Err(io::Error::other(format!("expected a short 200, not: {said}")));
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
