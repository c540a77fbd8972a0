//! The floor: a TCP relay on the same event loop that does not look at what passes.
//!
//! One upstream connection for each client connection, shared out in turn. The same rules as the proxy's:
//! one thread, edge-triggered, registered once, one receive and one send for what came, and a short receive
//! means that the socket is drained. What a proxy costs above this is what looking costs.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

/// Where the relay listens and where it leads.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Where clients connect
    #[arg(long, value_name = "IP:PORT")]
    pub listen: SocketAddr,
    /// Where connections go, in turn
    #[arg(long, value_name = "IP:PORT", value_delimiter = ',', required = true)]
    pub upstream: Vec<SocketAddr>,
}

const LISTENER: Token = Token(usize::MAX);

/// Bytes moved at once; one scratch buffer serves all connections.
const SCRATCH: usize = 64 * 1024;

const CLIENT: usize = 0;

/// A client and its upstream, in this order.
struct Pair {
    ends: [End; 2],
    /// Closed in this batch of events: its number is free only when the batch is over, since later events
    /// of the batch may still bear it.
    closed: bool,
}

struct End {
    socket: TcpStream,
    readable: bool,
    writable: bool,
    /// The peer has closed: a short receive does not mean that nothing is left.
    closing: bool,
    /// Its last byte has come.
    ended: bool,
    /// What this end has not taken yet.
    unsent: Vec<u8>,
    /// It was told that no more comes.
    shut: bool,
}

impl End {
    fn new(socket: TcpStream, writable: bool) -> End {
        End {
            socket,
            readable: false,
            writable,
            closing: false,
            ended: false,
            unsent: Vec::new(),
            shut: false,
        }
    }

    /// Sends what it can of `bytes` and keeps the rest.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        while self.writable && sent < bytes.len() {
            match self.socket.write(&bytes[sent..]) {
                Ok(n) => {
                    sent += n;
                    self.writable = sent == bytes.len();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    fn send_rest(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.unsent);
        self.send(&rest)
    }
}

/// Relays until it is killed.
///
/// # Errors
///
/// Where the address cannot be bound or the kernel no longer reports events.
pub fn run(options: &Options) -> io::Result<()> {
    let listen = options.listen;
    let mut listener = TcpListener::bind(listen).map_err(|error| {
        let text =
            format!("cannot listen on {listen}: {error}; --listen takes a free address of this machine");
        io::Error::new(error.kind(), text)
    })?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut pairs: Slab<Pair> = Slab::new();
    let mut closed = Vec::new();
    let mut scratch = vec![0; SCRATCH];
    let mut upstreams = options.upstream.iter().cycle();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut pairs, &mut upstreams)?;
                continue;
            }
            let (number, side) = (event.token().0 / 2, event.token().0 % 2);
            let Some(pair) = pairs.get_mut(number).filter(|pair| !pair.closed) else { continue };
            let end = &mut pair.ends[side];
            end.readable |= event.is_readable() || event.is_error();
            end.writable |= event.is_writable();
            end.closing |= event.is_read_closed() || event.is_error();
            if relay(pair, side, &mut scratch).unwrap_or(true) {
                pair.closed = true;
                closed.push(number);
            }
        }
        for number in closed.drain(..) {
            pairs.remove(number);
        }
    }
}

fn accept<'a>(
    listener: &TcpListener,
    poll: &Poll,
    pairs: &mut Slab<Pair>,
    upstreams: &mut impl Iterator<Item = &'a SocketAddr>,
) -> io::Result<()> {
    loop {
        let mut client = match listener.accept() {
            Ok((client, _)) => client,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut upstream = TcpStream::connect(*upstreams.next().expect("at least one upstream"))?;
        client.set_nodelay(true)?;
        upstream.set_nodelay(true)?;
        let entry = pairs.vacant_entry();
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut client, Token(entry.key() * 2), both)?;
        poll.registry().register(&mut upstream, Token(entry.key() * 2 + 1), both)?;
        entry.insert(Pair { ends: [End::new(client, true), End::new(upstream, false)], closed: false });
    }
}

/// After something happened at `side`: sends it what waits for it, then moves bytes from it and to it.
/// Says whether the pair is over.
fn relay(pair: &mut Pair, side: usize, scratch: &mut [u8]) -> io::Result<bool> {
    let [client, upstream] = &mut pair.ends;
    let (this, other) = if side == CLIENT { (client, upstream) } else { (upstream, client) };
    if this.writable && !this.unsent.is_empty() {
        this.send_rest()?;
    }
    pump(this, other, scratch)?;
    pump(other, this, scratch)?;
    Ok(this.shut && other.shut)
}

/// Moves what has come from one end to the other. Nothing is received while something is unsent.
fn pump(from: &mut End, to: &mut End, scratch: &mut [u8]) -> io::Result<()> {
    while from.readable && !from.ended && to.unsent.is_empty() {
        match from.socket.read(scratch) {
            Ok(0) => from.ended = true,
            Ok(n) => {
                from.readable = n == scratch.len() || from.closing;
                to.send(&scratch[..n])?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => from.readable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if from.ended && to.unsent.is_empty() && !to.shut {
        to.shut = true;
        to.socket.shutdown(Shutdown::Write)?;
    }
    Ok(())
}
