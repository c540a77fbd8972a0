//! Asking one name server: over UDP, and over TCP for what does not fit a datagram (RFC 1035 section 4.2).
//!
//! Each socket has a port of its own that the kernel draws, is connected, so that nobody else's datagram comes in, and
//! each query has an id that cannot be guessed (RFC 5452).

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::Interest;
use mio::net::{TcpStream, UdpSocket};

use super::engine::Io;
use crate::dns::{Data, Kind, Query, Records, Reply};

/// The most messages that are no answers before it is not heard any more: others are not to wait for a flood.
const STRANGE_MAX: u32 = 64;

/// What a name server knows.
#[derive(Debug)]
pub(super) enum Outcome {
    /// These records, for so long.
    Found(Vec<Data>, Duration),
    /// The name is an alias of another one, of which nothing is said.
    Alias(String, Duration),
    /// There is no such name, or it has no record of these kinds.
    NotFound,
    /// It cannot tell, for this reason.
    Failed(u8),
}

/// Asks for the records of these kinds, at once, until `until`.
///
/// # Errors
///
/// Where it does not answer in time, or cannot be reached. One kind that stays without an answer does not matter where
/// the other has records.
pub(super) async fn ask(
    io: &Io,
    server: SocketAddr,
    name: &str,
    kinds: &[Kind],
    until: Instant,
) -> io::Result<Outcome> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let mut socket = UdpSocket::bind((any, 0).into())?;
    socket.connect(server)?;
    io.register(&mut socket, Interest::READABLE)?;
    let query = |kind: &Kind| {
        let id = RandomState::new().hash_one(()) as u16;
        Query::new(name, *kind, id).map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))
    };
    let mut open: Vec<Query<'_>> = kinds.iter().map(query).collect::<Result<_, _>>()?;
    for query in &open {
        socket.send(&query.message())?;
    }
    let (mut replies, mut truncated, mut strange) = (Vec::new(), Vec::new(), 0);
    while !open.is_empty() {
        match io.attempt(until, || receive(&socket, &open)).await {
            Ok(Some((index, reply))) => {
                let query = open.swap_remove(index);
                match reply {
                    Reply::Truncated => truncated.push(query),
                    reply => replies.push(reply),
                }
            }
            Ok(None) if strange < STRANGE_MAX => strange += 1,
            Ok(None) => return Err(ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == ErrorKind::TimedOut => break,
            Err(error) => return Err(error),
        }
    }
    let mut problem = (!open.is_empty()).then(|| ErrorKind::TimedOut.into());
    for query in &truncated {
        match ask_over_tcp(io, server, query, until).await {
            Ok(reply) => replies.push(reply),
            Err(error) => problem = Some(error),
        }
    }
    sum_up(replies, problem)
}

/// The next message: to which of the queries it is the answer, and what it says; `None` where it is none.
fn receive(socket: &UdpSocket, open: &[Query<'_>]) -> io::Result<Option<(usize, Reply)>> {
    // Without EDNS none is longer than 512 octets; whoever sends more is heard too.
    let mut message = [0; 4096];
    let length = socket.recv(&mut message)?;
    let read = |(index, query): (usize, &Query<'_>)| Some((index, query.read(&message[..length])?));
    Ok(open.iter().enumerate().find_map(read))
}

async fn ask_over_tcp(io: &Io, server: SocketAddr, query: &Query<'_>, until: Instant) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(server)?;
    io.register(&mut stream, Interest::READABLE | Interest::WRITABLE)?;
    let message = query.message();
    let bytes = [&(message.len() as u16).to_be_bytes(), message.as_slice()].concat();
    let mut sent = 0;
    while sent < bytes.len() {
        // Linux has it wait until there is a connection (EAGAIN), and has it fail where there is to be none.
        sent += io.attempt(until, || stream.write(&bytes[sent..])).await?;
    }
    let mut length = [0; 2];
    read_exact(io, &mut stream, &mut length, until).await?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    read_exact(io, &mut stream, &mut message, until).await?;
    match query.read(&message) {
        Some(Reply::Truncated) | None => Err(ErrorKind::InvalidData.into()),
        Some(reply) => Ok(reply),
    }
}

/// Reads all of it until `until`, however slowly it comes.
async fn read_exact(io: &Io, stream: &mut TcpStream, mut bytes: &mut [u8], until: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        match io.attempt(until, || stream.read(bytes)).await? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            length => bytes = &mut bytes[length..],
        }
    }
    Ok(())
}

/// What the answers come to; `problem` is why they are not all.
fn sum_up(replies: Vec<Reply>, problem: Option<io::Error>) -> io::Result<Outcome> {
    let (mut all, mut least, mut failed, mut leads) = (Vec::new(), Duration::MAX, None, None);
    for reply in replies {
        match reply {
            Reply::Records(Records { all: some, ttl, .. }) if !some.is_empty() => {
                all.extend(some);
                least = least.min(ttl);
            }
            Reply::Records(Records { alias: Some(name), ttl, .. }) => leads = Some((name, ttl)),
            Reply::Failed(code) => failed = Some(code),
            Reply::Records(_) | Reply::Truncated => {}
        }
    }
    match (problem, leads, failed) {
        _ if !all.is_empty() => Ok(Outcome::Found(all, least)),
        (Some(problem), ..) => Err(problem),
        (None, Some((name, ttl)), _) => Ok(Outcome::Alias(name, ttl)),
        (None, None, Some(code)) => Ok(Outcome::Failed(code)),
        (None, None, None) => Ok(Outcome::NotFound),
    }
}
