//! What name servers are asked and what they answer: the messages of RFC 1035, without sockets.
//!
//! One [`Query`] asks for the addresses of one kind. Whatever comes back is held against it by [`Query::read`]: a
//! message of another id or another question is nobody's answer. An answer may go by way of aliases (CNAME); they are
//! followed as far as they lie in the same message, which is all of the way where a recursive server answers. Where that
//! is not at an address, it is told where it has come to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE, header_buffer};

use crate::time::Duration;

/// The most aliases that are followed; more are a circle.
const ALIASES_MAX: usize = 16;

/// The kind of addresses that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4.
    A,
    /// IPv6 (RFC 3596).
    Aaaa,
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
    /// The addresses; none where the name has none of this kind, or does not exist.
    Addresses(Addresses),
    /// There is more than fits a datagram: to be asked over TCP.
    Truncated,
    /// It cannot answer, for this reason (RFC 1035 section 4.1.1: RCODE).
    Failed(u8),
}

/// Addresses of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// In the order of the answer.
    pub all: Vec<IpAddr>,
    /// Where there are none: what the name is an alias of.
    pub alias: Option<String>,
    /// How long they hold: the least that any record on the way to them says.
    pub ttl: Duration,
}

/// A text is no name that could be asked for: too long, or with a label that is or is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a name")]
pub struct NotAName;

impl<'n> Query<'n> {
    /// For the addresses of `name`, taken as it is: no domain is searched. The `id` is to be hard to guess.
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
            RCODE::NoError | RCODE::NameError => Reply::Addresses(self.addresses(&packet)),
            code => Reply::Failed(code as u8),
        })
    }

    fn record(&self) -> TYPE {
        match self.kind {
            Kind::A => TYPE::A,
            Kind::Aaaa => TYPE::AAAA,
        }
    }

    /// The addresses of the name, or of what it is an alias of.
    fn addresses(&self, packet: &Packet<'_>) -> Addresses {
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
            let address = match (&record.rdata, self.kind) {
                (RData::A(a), Kind::A) => IpAddr::V4(Ipv4Addr::from_bits(a.address)),
                (RData::AAAA(aaaa), Kind::Aaaa) => IpAddr::V6(Ipv6Addr::from_bits(aaaa.address)),
                _ => continue,
            };
            ttl = ttl.min(record.ttl);
            all.push(address);
        }
        // RFC 2181 section 8: a time with its topmost bit set is none.
        let seconds = if ttl > i32::MAX as u32 { 0 } else { ttl };
        let alias = (all.is_empty() && *name != self.name).then(|| name.to_string());
        Addresses { all, alias, ttl: Duration::from_secs(seconds.into()) }
    }
}

#[cfg(test)]
mod tests;
