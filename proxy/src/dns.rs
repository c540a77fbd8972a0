//! What name servers are asked and what they answer: the messages of RFC 1035, without sockets.
//!
//! One [`Query`] asks for the records of one kind. Whatever comes back is held against it by [`Query::read`]: a
//! message of another id or another question is nobody's answer. An answer may go by way of aliases (CNAME); they are
//! followed as far as they lie in the same message, which is all of the way where a recursive server answers. Where that
//! is not at a record, it is told where it has come to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE, header_buffer};

use crate::time::Duration;

/// The most aliases that are followed; more are a circle.
const ALIASES_MAX: usize = 16;

/// The kind of records that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4.
    A,
    /// IPv6 (RFC 3596).
    Aaaa,
    /// Where a service is offered (RFC 2782).
    Srv,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Query<'n> {
    id: u16,
    name: Name<'n>,
    kind: Kind,
}

/// What a name server says to a [`Query`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The records; none where the name has none of this kind, or does not exist.
    Records(Records),
    /// There is more than fits a datagram: to be asked over TCP.
    Truncated,
    /// It cannot answer, for this reason (RFC 1035 section 4.1.1: RCODE).
    Failed(u8),
}

/// Records of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// In the order of the answer.
    pub all: Vec<Data>,
    /// Where there are none: what the name is an alias of.
    pub alias: Option<String>,
    /// How long they hold: the least that any record on the way to them says.
    pub ttl: Duration,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// An address of the name.
    Address(IpAddr),
    /// A server of the service.
    Server(Server),
}

/// A server of a service (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name; empty where there is decidedly no such service.
    pub name: String,
    /// Its port.
    pub port: u16,
    /// The servers of the lowest number come first.
    pub priority: u16,
    /// Its share among those of one priority.
    pub weight: u16,
}

/// A text is no name that could be asked for: too long, or with a label that is or is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a name")]
pub struct NotAName;

impl<'n> Query<'n> {
    /// For the records of `name`, taken as it is: no domain is searched. The `id` is to be hard to guess.
    pub fn new(name: &'n str, kind: Kind, id: u16) -> Result<Query<'n>, NotAName> {
        let labels = name.strip_suffix('.').unwrap_or(name);
        // The crate would read over empty labels and knows escapes.
        if labels.split('.').any(str::is_empty) || labels.contains('\\') {
            return Err(NotAName);
        }
        let name = Name::new(labels).map_err(|_| NotAName)?;
        Ok(Query { id, name, kind })
    }

    /// The message, for a datagram.
    pub fn message(&self) -> Vec<u8> {
        let mut packet = Packet::new_query(self.id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let class = QCLASS::CLASS(CLASS::IN);
        packet.questions.push(Question::new(self.name.clone(), QTYPE::TYPE(self.record()), class, false));
        packet.build_bytes_vec().expect("a name that was checked can be written")
    }

    /// Reads a message; `None` where it is no answer to this query.
    pub fn read(&self, message: &[u8]) -> Option<Reply> {
        let is_mine = header_buffer::id(message) == Ok(self.id)
            && header_buffer::has_flags(message, PacketFlag::RESPONSE) == Ok(true);
        if !is_mine {
            return None;
        }
        let is_cut = header_buffer::has_flags(message, PacketFlag::TRUNCATION) == Ok(true);
        let packet = match Packet::parse(message) {
            Ok(packet) => packet,
            // It may be cut anywhere. Over TCP it is held against the question.
            Err(_) => return is_cut.then_some(Reply::Truncated),
        };
        let [question] = packet.questions.as_slice() else { return None };
        if question.qname != self.name || question.qtype != QTYPE::TYPE(self.record()) {
            return None;
        }
        if is_cut {
            return Some(Reply::Truncated);
        }
        Some(match packet.rcode() {
            RCODE::NoError | RCODE::NameError => Reply::Records(self.records(&packet)),
            code => Reply::Failed(code as u8),
        })
    }

    fn record(&self) -> TYPE {
        match self.kind {
            Kind::A => TYPE::A,
            Kind::Aaaa => TYPE::AAAA,
            Kind::Srv => TYPE::SRV,
        }
    }

    /// The records of the name, or of what it is an alias of.
    fn records(&self, packet: &Packet<'_>) -> Records {
        let (mut name, mut ttl) = (&self.name, u32::MAX);
        for _ in 0..ALIASES_MAX {
            let mut of_name = packet.answers.iter().filter(|record| record.name == *name);
            let alias = of_name.find_map(|record| match &record.rdata {
                RData::CNAME(alias) => Some((&alias.0, record.ttl)),
                _ => None,
            });
            let Some((alias, holds)) = alias else { break };
            (name, ttl) = (alias, ttl.min(holds));
        }
        let mut all = Vec::new();
        for record in packet.answers.iter().filter(|record| record.name == *name) {
            let data = match (&record.rdata, self.kind) {
                (RData::A(a), Kind::A) => Data::Address(Ipv4Addr::from_bits(a.address).into()),
                (RData::AAAA(aaaa), Kind::Aaaa) => Data::Address(Ipv6Addr::from_bits(aaaa.address).into()),
                (RData::SRV(srv), Kind::Srv) => Data::Server(Server {
                    name: srv.target.to_string(),
                    port: srv.port,
                    priority: srv.priority,
                    weight: srv.weight,
                }),
                _ => continue,
            };
            ttl = ttl.min(record.ttl);
            all.push(data);
        }
        // RFC 2181 section 8: a time with its topmost bit set is none.
        let seconds = if ttl > i32::MAX as u32 { 0 } else { ttl };
        let alias = (all.is_empty() && *name != self.name).then(|| name.to_string());
        Records { all, alias, ttl: Duration::from_secs(seconds.into()) }
    }
}

#[cfg(test)]
mod tests;
