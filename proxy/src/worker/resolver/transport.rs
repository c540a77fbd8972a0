//! Asking one name server: over UDP, and over TCP for what does not fit a datagram (RFC 1035 section 4.2).
//!
//! Sockets block, for a bounded time. Each has a port of its own that the kernel draws, is connected, so that nobody
//! else's datagram comes in, and each query has an id that cannot be guessed (RFC 5452).

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::dns::{Data, Kind, Query, Records, Reply};

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
pub(super) fn ask(server: SocketAddr, name: &str, kinds: &[Kind], until: Instant) -> io::Result<Outcome> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    let query = |kind: &Kind| {
        let id = RandomState::new().hash_one(()) as u16;
        Query::new(name, *kind, id).map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))
    };
    let mut open: Vec<Query<'_>> = kinds.iter().map(query).collect::<Result<_, _>>()?;
    for query in &open {
        socket.send(&query.message())?;
    }
    let (mut replies, mut truncated) = (Vec::new(), Vec::new());
    // Without EDNS none is longer than 512 octets; whoever sends more is heard too.
    let mut message = [0; 4096];
    while let (false, Some(left)) = (open.is_empty(), left(until)) {
        socket.set_read_timeout(Some(left))?;
        let length = match socket.recv(&mut message) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => return Err(error),
        };
        let read = |(index, query): (usize, &Query<'_>)| Some((index, query.read(&message[..length])?));
        let Some((index, reply)) = open.iter().enumerate().find_map(read) else { continue };
        let query = open.swap_remove(index);
        match reply {
            Reply::Truncated => truncated.push(query),
            reply => replies.push(reply),
        }
    }
    let mut problem = (!open.is_empty()).then(|| ErrorKind::TimedOut.into());
    for query in &truncated {
        match ask_over_tcp(server, query, until) {
            Ok(reply) => replies.push(reply),
            Err(error) => problem = Some(error),
        }
    }
    sum_up(replies, problem)
}

fn ask_over_tcp(server: SocketAddr, query: &Query<'_>, until: Instant) -> io::Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&server, left(until).ok_or(ErrorKind::TimedOut)?)?;
    let message = query.message();
    let mut bytes = (message.len() as u16).to_be_bytes().to_vec();
    bytes.extend(message);
    stream.set_write_timeout(left(until))?;
    stream.write_all(&bytes)?;
    let mut length = [0; 2];
    read_exact(&mut stream, &mut length, until)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    read_exact(&mut stream, &mut message, until)?;
    match query.read(&message) {
        Some(Reply::Truncated) | None => Err(ErrorKind::InvalidData.into()),
        Some(reply) => Ok(reply),
    }
}

/// Reads all of it until `until`, however slowly it comes.
fn read_exact(stream: &mut TcpStream, mut bytes: &mut [u8], until: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_read_timeout(Some(left(until).ok_or(ErrorKind::TimedOut)?))?;
        match stream.read(bytes) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => bytes = &mut bytes[n..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
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

/// The time left; `None` where there is none.
fn left(until: Instant) -> Option<Duration> {
    Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
}
