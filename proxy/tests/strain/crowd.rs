//! Thousands of slow clients on one thread.
//!
//! They are too slow for it to matter when a socket gets ready: each has its turn once a second, sends a little
//! and receives a little.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// What one client does.
#[derive(Clone, Debug)]
pub(crate) struct Slow {
    /// What it sends at once.
    pub(crate) first: Vec<u8>,
    /// What it sends after that, a byte each turn, again and again.
    pub(crate) then: Vec<u8>,
    /// The most that it receives each turn, in bytes.
    pub(crate) receives: usize,
}

/// A running crowd. Dropping it closes all its connections.
pub(crate) struct Crowd {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

/// Each client has one turn in so many.
const TURNS: usize = 20;

/// All have had their turn after a second.
const TURN: Duration = Duration::from_millis(50);

struct Member {
    slow: Slow,
    socket: Option<Socket>,
    sent: usize,
}

impl Crowd {
    /// Connects them all.
    pub(crate) fn start(address: SocketAddr, members: impl IntoIterator<Item = Slow>) -> Crowd {
        let mut members: Vec<Member> = members.into_iter().map(|slow| Member::new(address, slow)).collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let thread = thread::spawn(move || {
            for turn in (0..TURNS).cycle() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                for member in members.iter_mut().skip(turn).step_by(TURNS) {
                    member.take_turn();
                }
                thread::sleep(TURN);
            }
            members.iter().filter(|member| member.socket.is_none()).count()
        });
        Crowd { is_over, thread: Some(thread) }
    }

    /// Closes all. Returns how many the proxy had closed before.
    pub(crate) fn end(mut self) -> usize {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.take().expect("once").join().expect("the crowd's thread")
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // Where it panicked, `end` or the test says so.
            let _ = thread.join();
        }
    }
}

impl Member {
    fn new(address: SocketAddr, slow: Slow) -> Member {
        let mut socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        // What waits is to wait in the proxy, not in the kernel.
        socket.set_recv_buffer_size(4096).expect("an option");
        socket.set_tcp_mss(536).expect("an option");
        socket.connect(&address.into()).expect("a connection");
        socket.set_nonblocking(true).expect("an option");
        socket.write_all(&slow.first).expect("room for a head");
        Member { slow, socket: Some(socket), sent: 0 }
    }

    fn take_turn(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        if let Some(byte) = self.slow.then.get(self.sent % self.slow.then.len().max(1)) {
            match socket.write(&[*byte]) {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return self.socket = None,
            }
        }
        let mut space = vec![0; self.slow.receives];
        match socket.read(&mut space) {
            Ok(0) if self.slow.receives > 0 => self.socket = None,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.socket = None,
        }
    }
}
