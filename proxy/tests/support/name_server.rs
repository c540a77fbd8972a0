//! Name servers: they answer as a script says, over UDP and TCP, and remember what they were asked.
//!
//! Messages are written by hand (RFC 1035 section 4.1), so that nothing reads here what wrote it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::free_address;

/// A name server on loopback. Its threads live as long as the test.
#[derive(Debug)]
pub(crate) struct NameServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

/// A question, and what answers to it look like.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) name: String,
    /// 1 for A, 28 for AAAA, 33 for SRV.
    pub(crate) kind: u16,
    pub(crate) over_tcp: bool,
    query: Vec<u8>,
}

impl NameServer {
    /// `script` gives the messages that a query is answered with; none is silence.
    pub(crate) fn start(script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) -> NameServer {
        let address = free_address();
        let socket = UdpSocket::bind(address).expect("a free port");
        let listener = TcpListener::bind(address).expect("a free port");
        let (script, asked) = (Arc::new(script), Arc::<Mutex<Vec<String>>>::default());
        let (over_udp, seen) = (script.clone(), asked.clone());
        thread::spawn(move || {
            let mut bytes = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut bytes) {
                let question = Asked::read(&bytes[..length], false);
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(question.to_string());
                for message in over_udp(&question) {
                    // The proxy may have gone.
                    let _ = socket.send_to(&message, peer);
                }
            }
        });
        let seen = asked.clone();
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut length = [0; 2];
                let mut bytes = Vec::new();
                if stream.read_exact(&mut length).is_ok() {
                    bytes.resize(u16::from_be_bytes(length).into(), 0);
                }
                if bytes.is_empty() || stream.read_exact(&mut bytes).is_err() {
                    continue;
                }
                let question = Asked::read(&bytes, true);
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(question.to_string());
                for message in script(&question) {
                    let length = (message.len() as u16).to_be_bytes();
                    let _ = stream.write_all(&[&length, message.as_slice()].concat());
                }
            }
        });
        NameServer { address, asked }
    }

    /// One that knows one name, which has these addresses for `ttl` seconds.
    pub(crate) fn knowing(name: &'static str, addresses: Vec<Ipv4Addr>, ttl: u32) -> NameServer {
        NameServer::start(move |asked| match asked.name == name {
            true => vec![asked.addresses(&addresses, ttl)],
            false => vec![asked.failed(3)],
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked so far: `A app.test`, `AAAA app.test over TCP`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            1 => "A",
            28 => "AAAA",
            _ => "SRV",
        };
        write!(f, "{kind} {}{}", self.name, if self.over_tcp { " over TCP" } else { "" })
    }
}

impl Asked {
    fn read(query: &[u8], over_tcp: bool) -> Asked {
        let (mut labels, mut at) = (Vec::new(), 12);
        while query[at] != 0 {
            let end = at + 1 + usize::from(query[at]);
            labels.push(String::from_utf8_lossy(&query[at + 1..end]).into_owned());
            at = end;
        }
        let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
        Asked { name: labels.join("."), kind, over_tcp, query: query[..at + 5].to_vec() }
    }

    /// These addresses, where IPv4 is asked for; else none.
    pub(crate) fn addresses(&self, addresses: &[Ipv4Addr], ttl: u32) -> Vec<u8> {
        let of_kind = if self.kind == 1 { addresses } else { &[] };
        // The name is a pointer to that of the question.
        let records = of_kind.iter().map(|ip| record(&[0xc0, 12], 1, ttl, &ip.octets()));
        self.message(0, &records.collect::<Vec<_>>())
    }

    /// These servers of a service: priority, weight, port and name.
    pub(crate) fn servers(&self, servers: &[(u16, u16, u16, &str)], ttl: u32) -> Vec<u8> {
        let records = servers.iter().map(|(priority, weight, port, name)| {
            let numbers = [priority, weight, port].map(|number| number.to_be_bytes()).concat();
            record(&[0xc0, 12], 33, ttl, &[numbers, wire(name)].concat())
        });
        self.message(0, &records.collect::<Vec<_>>())
    }

    /// The name is an alias of `alias`, which has this address.
    pub(crate) fn alias(&self, alias: &str, address: Ipv4Addr, ttl: u32) -> Vec<u8> {
        let name = wire(alias);
        let mut records = vec![record(&[0xc0, 12], 5, ttl, &name)];
        if self.kind == 1 {
            records.push(record(&name, 1, ttl, &address.octets()));
        }
        self.message(0, &records)
    }

    /// The name is an alias of `alias`, of which nothing is said.
    pub(crate) fn bare_alias(&self, alias: &str, ttl: u32) -> Vec<u8> {
        self.message(0, &[record(&[0xc0, 12], 5, ttl, &wire(alias))])
    }

    /// There is more than fits.
    pub(crate) fn truncated(&self) -> Vec<u8> {
        self.message(0x0200, &[])
    }

    /// This code: 2 for a failure of the server, 3 for a name that is not there.
    pub(crate) fn failed(&self, code: u16) -> Vec<u8> {
        self.message(code, &[])
    }

    fn message(&self, flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.query[..2].to_vec();
        for number in [0x8180 | flags, 1, records.len() as u16, 0, 0] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(&self.query[12..]);
        bytes.extend(records.concat());
        bytes
    }
}

fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

fn record(name: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = name.to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend(1_u16.to_be_bytes());
    bytes.extend(ttl.to_be_bytes());
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}
