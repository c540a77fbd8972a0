//! What the driver and the log may ask of an exchange.

use std::net::{IpAddr, SocketAddr};

use super::{Ending, Exchange, Link, Record};
use crate::config::template::Variable;
use crate::key::{Digest, Key, Lesson};
use crate::site::Place;

/// What a client connection is busy with, as `stub_status` tells it apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// With nothing: no request has begun.
    #[default]
    Waiting,
    /// The head of a request is being read.
    Reading,
    /// A request is being answered.
    Writing,
}

impl Exchange {
    /// Whether no request is under way, so that the connection can be closed without harm.
    pub fn is_idle(&self) -> bool {
        self.request.is_idle()
    }

    /// Sending to the client has been shut. Its own end then looks like a broken connection to the
    /// kernel, but what was sent may still be on its way; receiving tells the two apart.
    pub fn has_shut_client(&self) -> bool {
        self.ending == Ending::Linger || self.response.shut
    }

    /// Whether the client has only a part of a response, which must not pass for the whole.
    pub fn is_responding(&self) -> bool {
        self.response.is_delivered() && (!self.response.is_whole() || self.response.pending())
    }

    /// What the connection is busy with.
    pub fn stage(&self) -> Stage {
        if self.request.is_idle() {
            Stage::Waiting
        } else if self.request.in_head() && !self.response.pending() {
            Stage::Reading
        } else {
            Stage::Writing
        }
    }

    /// What holds for the request in hand.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether the next choice of a server begins anew.
    pub fn starts_anew(&self) -> bool {
        self.starts_anew
    }

    /// The choice of servers has begun anew.
    pub fn has_started_anew(&mut self) {
        self.starts_anew = false;
    }

    /// The address that counts for balancing and logs; `None` for a client on a Unix socket.
    pub fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// The address that the connection to its server is to come from, where it is not any.
    pub fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// What the request's server is found by, where its group goes by a key.
    pub fn key(&self) -> Key {
        self.key
    }

    /// Whether the name of the server is being looked up.
    pub fn is_resolving(&self) -> bool {
        self.link == Link::Resolving
    }

    /// What the request calls its server or its session, where it names one.
    pub fn session(&self) -> Option<Digest> {
        self.session
    }

    /// What the response says of a session. It is to be learnt once.
    pub fn take_lesson(&mut self) -> Option<Lesson> {
        self.lesson.take()
    }

    /// Whether the connections have become a tunnel.
    pub fn is_tunnel(&self) -> bool {
        self.response.is_tunnel()
    }

    /// Whether the upstream has answered, whatever became of the answer.
    pub fn was_answered(&self) -> bool {
        self.response.is_forwarded()
    }

    /// Whether the head of the upstream's answer is there, though it may wait for its body yet.
    pub fn has_head(&self) -> bool {
        self.response.waits || self.was_answered()
    }

    /// The status of the final response; 0 where there is none yet.
    pub fn status(&self) -> u16 {
        if self.response.has_begun() { self.response.status } else { 0 }
    }

    /// What is kept of the request, where something is.
    pub fn record(&mut self) -> Option<&mut Record> {
        self.record.as_deref_mut()
    }

    /// Whether something is kept of requests.
    pub fn keeps_record(&self) -> bool {
        self.record.is_some()
    }

    /// Whether the request's lines in logs are due. They are so once.
    pub fn takes_log_lines(&mut self) -> bool {
        self.record.as_mut().is_some_and(|record| std::mem::take(&mut record.due))
    }

    /// Octets of the response's body.
    pub fn body_bytes(&self) -> u64 {
        self.response.body_bytes
    }

    /// The value of a variable of the request's head, where the place has it kept.
    pub(crate) fn kept_of_head(&self, variable: &Variable) -> Option<&[u8]> {
        let number = self.place.kept.iter().position(|kept| kept == variable)?;
        self.record.as_deref()?.of_head.value(number)
    }
}
