//! One connection, from either end: bytes in, bytes out, and the ends of messages.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use super::{DEADLINE, Message};

/// A connection's end. What goes wrong on it ends the test, or, on an origin's side, only that connection's
/// script: there the other side may go at any time.
#[derive(Debug)]
pub(crate) struct Conn {
    socket: Socket,
    /// Bytes that have come and have not been asked for; those before `start` have.
    buffer: Vec<u8>,
    start: usize,
    is_origin: bool,
}

/// What an origin's script unwinds with when its connection ends.
#[derive(Debug)]
pub(crate) struct Gone;

impl Conn {
    /// To a TCP address.
    #[track_caller]
    pub(crate) fn to(address: SocketAddr) -> Conn {
        Conn::open(&address.into(), None)
    }

    /// To a TCP address, from this one.
    #[track_caller]
    pub(crate) fn from_to(source: IpAddr, address: SocketAddr) -> Conn {
        Conn::open(&address.into(), Some(&SocketAddr::new(source, 0).into()))
    }

    /// To a Unix socket.
    #[track_caller]
    pub(crate) fn to_unix(path: &Path) -> Conn {
        Conn::open(&SockAddr::unix(path).expect("a short path"), None)
    }

    #[track_caller]
    fn open(address: &SockAddr, source: Option<&SockAddr>) -> Conn {
        let domain = Domain::from(i32::from(address.family()));
        let socket = Socket::new(domain, Type::STREAM, None).expect("a socket");
        if let Some(source) = source {
            socket.bind(source).expect("a source address");
        }
        socket.connect(address).expect("a connection");
        Conn::new(socket, false)
    }

    /// An end that is connected already.
    pub(crate) fn new(socket: Socket, is_origin: bool) -> Conn {
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        socket.set_write_timeout(Some(DEADLINE)).expect("a timeout");
        // Fails on a Unix socket, which has no delay.
        let _ = socket.set_tcp_nodelay(true);
        Conn { socket, buffer: Vec::new(), start: 0, is_origin }
    }

    /// The socket, for its options.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Sends all of it.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        if let Err(error) = self.socket.write_all(bytes.as_ref()) {
            self.fail("send", &error);
        }
    }

    /// Sends as much as goes; for when the other side may close.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.socket.write_all(bytes.as_ref())
    }

    /// Sends what goes without waiting. Returns how much that was.
    pub(crate) fn send_some(&mut self, bytes: &[u8]) -> usize {
        self.socket.set_nonblocking(true).expect("an option");
        let sent = self.socket.write(bytes);
        self.socket.set_nonblocking(false).expect("an option");
        match sent {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => self.fail("send", &error),
        }
    }

    /// Sends no more.
    pub(crate) fn finish(&mut self) {
        self.socket.shutdown(Shutdown::Write).expect("an open connection");
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        self.socket.set_linger(Some(Duration::ZERO)).expect("an option");
    }

    #[track_caller]
    fn fail(&self, what: &str, error: &io::Error) -> ! {
        if self.is_origin {
            std::panic::resume_unwind(Box::new(Gone));
        }
        let seen = String::from_utf8_lossy(&self.buffer[self.start..]);
        panic!("cannot {what}: {error}; so far there is {:?}", seen.chars().take(2000).collect::<String>());
    }

    /// Receives more into the buffer; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.buffer.drain(..std::mem::take(&mut self.start));
        }
        let old = self.buffer.len();
        self.buffer.resize(old + 64 * 1024, 0);
        let result = loop {
            match self.socket.read(&mut self.buffer[old..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.buffer.truncate(old + *result.as_ref().unwrap_or(&0));
        result.map(|n| n > 0)
    }

    #[track_caller]
    fn more(&mut self) {
        match self.fill() {
            Ok(true) => {}
            Ok(false) => self.fail("receive", &io::ErrorKind::UnexpectedEof.into()),
            Err(error) => self.fail("receive", &error),
        }
    }

    fn take(&mut self, n: usize) -> Vec<u8> {
        let taken = self.buffer[self.start..self.start + n].to_vec();
        self.start += n;
        taken
    }

    /// Exactly `n` bytes.
    #[track_caller]
    pub(crate) fn exact(&mut self, n: usize) -> Vec<u8> {
        while self.buffer.len() - self.start < n {
            self.more();
        }
        self.take(n)
    }

    /// At least one byte, and what else is there.
    #[track_caller]
    pub(crate) fn some(&mut self) -> Vec<u8> {
        if self.buffer.len() == self.start {
            self.more();
        }
        self.take(self.buffer.len() - self.start)
    }

    /// Up to and including `end`.
    #[track_caller]
    pub(crate) fn until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut from = 0;
        loop {
            let unread = &self.buffer[self.start..];
            if let Some(at) = unread[from..].windows(end.len()).position(|window| window == end) {
                return self.take(from + at + end.len());
            }
            from = unread.len().saturating_sub(end.len() - 1);
            self.more();
        }
    }

    /// All that comes until the other side closes; the error tells that it ended otherwise.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Option<io::ErrorKind>) {
        let error = loop {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => break None,
                Err(error) => break Some(error.kind()),
            }
        };
        (self.take(self.buffer.len() - self.start), error)
    }

    /// The other side has closed in order, and sent nothing before it.
    #[track_caller]
    pub(crate) fn assert_closed(&mut self) {
        let (rest, error) = self.rest();
        assert_eq!((String::from_utf8_lossy(&rest).into_owned(), error), (String::new(), None));
    }

    /// Whether nothing is there to be read now: no byte, no end.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.socket.set_nonblocking(true).expect("an option");
        let result = self.fill();
        self.socket.set_nonblocking(false).expect("an option");
        self.buffer.len() == self.start
            && result.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// A head, blank line included.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Message {
        let head = String::from_utf8(self.until(b"\r\n\r\n")).expect("a head of text");
        Message { head, ..Message::default() }
    }

    /// A head, or nothing where the other side closes before its first byte.
    pub(crate) fn head_or_end(&mut self) -> Option<Message> {
        let is_there = self.buffer.len() > self.start || self.fill().unwrap_or(false);
        is_there.then(|| self.head())
    }

    /// A whole request.
    #[track_caller]
    pub(crate) fn request(&mut self) -> Message {
        let mut message = self.head();
        self.body(&mut message);
        message
    }

    /// A whole final response to a request that was not HEAD. It has a length or is chunked.
    #[track_caller]
    pub(crate) fn response(&mut self) -> Message {
        let mut message = self.head();
        let status = message.status();
        assert!(status >= 200, "an interim response: {}", message.head);
        if status != 204 && status != 304 {
            assert!(
                message.is_chunked() || message.content_length().is_some(),
                "a response without framing: {}",
                message.head
            );
            self.body(&mut message);
        }
        message
    }

    /// The body that `message`'s head announces.
    #[track_caller]
    pub(crate) fn body(&mut self, message: &mut Message) {
        if message.is_chunked() {
            assert_eq!(message.content_length(), None, "two framings: {}", message.head);
            loop {
                let line = String::from_utf8(self.until(b"\r\n")).expect("a size line of text");
                let size = usize::from_str_radix(line.trim_end(), 16)
                    .unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
                if size == 0 {
                    break;
                }
                let data = self.exact(size);
                message.body.extend_from_slice(&data);
                assert_eq!(self.exact(2), b"\r\n", "a chunk's end");
            }
            loop {
                let line = String::from_utf8(self.until(b"\r\n")).expect("a trailer of text");
                if line == "\r\n" {
                    return;
                }
                message.trailers.push_str(&line);
            }
        }
        let length = message.content_length().unwrap_or(0);
        message.body = self.exact(length);
    }

    /// Sends a GET for `target` over this connection and receives the response.
    #[track_caller]
    pub(crate) fn get(&mut self, target: &str) -> Message {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.response()
    }

    /// The same with a POST and its body.
    #[track_caller]
    pub(crate) fn post(&mut self, target: &str, body: &str) -> Message {
        let length = body.len();
        self.send(format!("POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{body}"));
        self.response()
    }
}
