//! An origin whose every answer is decided by the caller: when it comes, and how it goes wrong.
//!
//! A thread for each connection, since it serves a few hundred at most and its answers are slow on purpose. It
//! can also stop listening, and swallow packets: a listener whose queue is full and is never accepted from
//! leaves every further SYN without an answer, as a machine does that is gone.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::free_address;

/// How long a connection attempt on loopback may take until it counts as swallowed.
const SWALLOWED_AFTER: Duration = Duration::from_millis(50);

/// What becomes of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// How long it takes.
    pub after: Duration,
    /// What it is.
    pub then: Then,
}

/// An answer, or what comes instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// A 200 with the greeting.
    #[default]
    Answer,
    /// A 500.
    Fail,
    /// The head and half of the body, then the end of the connection.
    TruncateBody,
    /// Half of the head, then the end of the connection.
    TruncateHead,
    /// A reset.
    Reset,
}

/// Decides about a request as it comes.
pub type Decide = dyn Fn() -> Reply + Send + Sync;

/// The origin. It ends with this value.
pub struct Scripted {
    /// Where it listens, or would.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<(TcpListener, JoinHandle<()>)>,
    /// The full queue of a black hole, and the connections it is full with.
    black_hole: Option<(Socket, Vec<Socket>)>,
}

struct Shared {
    name: String,
    decide: Box<Decide>,
    hits: AtomicU64,
    accepted: AtomicU64,
    /// Every connection, to end them with.
    connections: Mutex<HashMap<u64, TcpStream>>,
}

impl Scripted {
    /// Starts to listen on a free loopback port. `name` is for `X-Backend` and the greeting.
    ///
    /// # Errors
    ///
    /// Where the kernel has no port or no thread.
    pub fn start(name: &str, decide: impl Fn() -> Reply + Send + Sync + 'static) -> io::Result<Scripted> {
        let address = free_address()?;
        let listener = bind(address, 1024)?;
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            decide: Box::new(decide),
            hits: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            connections: Mutex::default(),
        });
        let mut origin = Scripted { address, shared, listening: None, black_hole: None };
        origin.accept_from(listener.into())?;
        Ok(origin)
    }

    /// Requests for `/` that came in whole, however they were answered.
    pub fn hits(&self) -> u64 {
        self.shared.hits.load(Ordering::Relaxed)
    }

    /// Ends every connection and refuses new ones.
    pub fn refuse(&mut self) {
        if let Some((listener, thread)) = self.listening.take() {
            // It wakes the thread, whose `accept` fails now.
            let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
            let _ = thread.join();
        }
        self.black_hole = None;
        for connection in self.shared.connections().values() {
            // It fails where the other side has gone already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Ends every connection and leaves attempts at new ones without an answer.
    ///
    /// # Errors
    ///
    /// Where the address cannot be bound again.
    pub fn swallow(&mut self) -> io::Result<()> {
        self.refuse();
        let listener = bind(self.address, 0)?;
        let mut fill = Vec::new();
        loop {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            let result = socket.connect_timeout(&self.address.into(), SWALLOWED_AFTER);
            match result {
                Ok(()) => fill.push(socket),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
                Err(error) => return Err(error),
            }
        }
        self.black_hole = Some((listener, fill));
        Ok(())
    }

    /// Takes connections again.
    ///
    /// # Errors
    ///
    /// Where the address cannot be bound again.
    pub fn listen(&mut self) -> io::Result<()> {
        self.refuse();
        let listener = bind(self.address, 1024)?;
        self.accept_from(listener.into())
    }

    fn accept_from(&mut self, listener: TcpListener) -> io::Result<()> {
        let shared = self.shared.clone();
        let accepting = listener.try_clone()?;
        let thread = thread::Builder::new().name("scripted".into()).spawn(move || {
            for stream in accepting.incoming() {
                let Ok((stream, twin)) = stream.and_then(|stream| Ok((stream.try_clone()?, stream))) else {
                    return;
                };
                let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
                shared.connections().insert(number, twin);
                let shared = shared.clone();
                thread::spawn(move || shared.serve(number, stream));
            }
        })?;
        self.listening = Some((listener, thread));
        Ok(())
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.refuse();
    }
}

impl Shared {
    fn connections(&self) -> std::sync::MutexGuard<'_, HashMap<u64, TcpStream>> {
        // A thread that panicked leaves the table as good as it was.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, number: u64, stream: TcpStream) {
        // Whatever breaks, the connection is over.
        let _ = self.exchange(&stream);
        self.connections().remove(&number);
    }

    /// Answers the requests of one connection, none of which has a body.
    fn exchange(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
                let n = stream.read(&mut piece)?;
                if n == 0 {
                    return Ok(());
                }
                bytes.extend_from_slice(&piece[..n]);
                continue;
            };
            if bytes.starts_with(b"GET / ") {
                self.hits.fetch_add(1, Ordering::Relaxed);
            }
            let keep_alive = !bytes[..end].ends_with(b"HTTP/1.0") && !bytes[..end].windows(10).any(close);
            bytes.drain(..end + 4);
            let reply = (self.decide)();
            thread::sleep(reply.after);
            if !self.reply(stream, reply.then)? || !keep_alive {
                return stream.shutdown(Shutdown::Write);
            }
        }
    }

    /// Whether the connection goes on.
    fn reply(&self, mut stream: &TcpStream, then: Then) -> io::Result<bool> {
        let name = &self.name;
        let status = if then == Then::Fail { "500 Internal Server Error" } else { "200 OK" };
        let body = format!("Hello from {name}! This answer was decided by a script.\n");
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nX-Backend: {name}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
        );
        let whole = head.clone() + &body;
        let sent = match then {
            Then::Answer | Then::Fail => whole.len(),
            Then::TruncateBody => head.len() + length / 2,
            Then::TruncateHead => head.len() / 2,
            Then::Reset => 0,
        };
        stream.write_all(&whole.as_bytes()[..sent])?;
        if then == Then::Reset {
            // A close that does not linger is a reset; the twin in the table must not keep the socket open.
            SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(sent == whole.len())
    }
}

/// `close` as the value of a field, at the place where it would have to stand.
fn close(window: &[u8]) -> bool {
    window.eq_ignore_ascii_case(b"ion: close")
}

fn bind(address: SocketAddr, backlog: i32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // Its own earlier connections may linger there.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: SocketAddr) -> io::Result<String> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.connect_timeout(&address.into(), Duration::from_secs(1))?;
        let mut stream = TcpStream::from(socket);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn origin(then: Then) -> Scripted {
        Scripted::start("app1", move || Reply { after: Duration::ZERO, then }).unwrap()
    }

    #[test]
    fn an_answer_goes_wrong_as_it_is_told() {
        let whole = ask(origin(Then::Answer).address).unwrap();
        assert!(whole.starts_with("HTTP/1.1 200 OK\r\nX-Backend: app1\r\n"), "{whole}");
        assert!(whole.ends_with("script.\n"), "{whole}");
        assert!(ask(origin(Then::Fail).address).unwrap().starts_with("HTTP/1.1 500 "));
        let cut = ask(origin(Then::TruncateBody).address).unwrap();
        assert!(cut.contains("\r\n\r\nHello") && cut.len() < whole.len(), "{cut}");
        let cut = ask(origin(Then::TruncateHead).address).unwrap();
        assert!(!cut.is_empty() && !cut.contains("\r\n\r\n"), "{cut}");
        let error = ask(origin(Then::Reset).address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn it_refuses_swallows_and_comes_back() {
        let mut origin = origin(Then::Answer);
        let address = origin.address;
        origin.refuse();
        assert_eq!(ask(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        origin.swallow().unwrap();
        assert_eq!(ask(address).unwrap_err().kind(), io::ErrorKind::TimedOut);
        origin.listen().unwrap();
        ask(address).unwrap();
        assert_eq!(origin.hits(), 1);
    }

    #[test]
    fn a_refusal_ends_what_is_open() {
        let mut origin = origin(Then::Answer);
        let mut stream = TcpStream::connect(origin.address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut bytes = [0; 1024];
        assert!(stream.read(&mut bytes).unwrap() > 0);
        origin.refuse();
        assert_eq!(stream.read(&mut bytes).unwrap(), 0);
    }
}
