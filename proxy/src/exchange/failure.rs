//! What can go wrong with an upstream connection; blame, retry and answer follow from the kind.

use std::io;

use super::{Exchange, Link};
use crate::buffer::Buffer;
use crate::config::NextUpstream;
use crate::http::Refusal;
use crate::http::head::ResponseHead;
use crate::time::Time;

/// Why an upstream connection did not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server's name has no address, as far as can be found out.
    Unresolved,
    /// That could not be found out in time.
    ResolveTimeout,
    /// No connection: refused, unreachable.
    Connect(io::ErrorKind),
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// No connection for want of descriptors, ports or memory on this side.
    Local(io::ErrorKind),
    /// Bytes or an end came before any of the request was sent.
    Unasked,
    /// Closed before, or in the middle of, a response.
    Closed,
    /// Broken with an error.
    Reset(io::ErrorKind),
    /// It took no bytes within the send timeout.
    SendTimeout,
    /// It gave no bytes within the read timeout.
    ReadTimeout,
    /// What it sent is not a valid response.
    Invalid(&'static str),
    /// The head of its response is larger than is taken (`proxy_buffer_size`, `--max-header-size`).
    HeadTooLarge,
    /// It answered with a status that counts as a failure.
    Status(u16),
    /// The request itself turned out to be in error, with this status, and another location answers to that.
    Refused(u16),
    /// It answered with a status for which another location answers (`proxy_intercept_errors`).
    Intercepted(u16),
}

impl Failure {
    /// Whether the server is to blame for it.
    ///
    /// Not for a pooled connection that had died (`stale`), a name without an address, this machine's own limits.
    pub fn blames_server(self, stale: bool) -> bool {
        let is_elsewhere = matches!(
            self,
            Failure::Unresolved
                | Failure::ResolveTimeout
                | Failure::Local(_)
                | Failure::Refused(_)
                | Failure::Intercepted(_)
        );
        !stale && !is_elsewhere
    }

    /// What happened, for a log line.
    pub fn cause(self) -> String {
        match self {
            Failure::Connect(kind) | Failure::Reset(kind) => kind.to_string(),
            Failure::Local(kind) => format!("no connection could be made from here: {kind}"),
            Failure::Unresolved | Failure::ResolveTimeout => "no address".into(),
            Failure::ConnectTimeout => "connect timeout".into(),
            Failure::Unasked => "bytes or an end before the request".into(),
            Failure::Closed => "connection closed before the response's end".into(),
            Failure::SendTimeout => "send timeout".into(),
            Failure::ReadTimeout => "read timeout".into(),
            Failure::Invalid(why) => why.into(),
            Failure::HeadTooLarge => "the response's head is too large".into(),
            Failure::Refused(status) => format!("the request is answered with {status}"),
            Failure::Status(status) | Failure::Intercepted(status) => format!("status {status}"),
        }
    }

    /// The status that stands for it in `$upstream_status`, as nginx has it.
    pub(super) fn status(self) -> u16 {
        match self {
            Failure::Status(status) | Failure::Intercepted(status) => status,
            other => other.refusal().status,
        }
    }

    /// Whether the configuration sends a request on to the next server for it.
    pub(super) fn moves_on(self, rules: &NextUpstream) -> bool {
        match self {
            Failure::ConnectTimeout | Failure::SendTimeout | Failure::ReadTimeout => rules.timeout,
            Failure::Invalid(_) | Failure::HeadTooLarge => rules.invalid_header,
            Failure::Status(_) => true,
            Failure::Unresolved | Failure::ResolveTimeout => false,
            Failure::Local(_) | Failure::Refused(_) | Failure::Intercepted(_) => false,
            Failure::Connect(_) | Failure::Unasked | Failure::Closed | Failure::Reset(_) => rules.error,
        }
    }

    /// What the client is told where no other server is tried.
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Failure::Unresolved | Failure::ResolveTimeout => {
                Refusal::new(502, "the server's name could not be resolved")
            }
            Failure::ConnectTimeout => Refusal::new(504, "the server could not be reached in time"),
            Failure::SendTimeout => Refusal::new(504, "the server did not take the request in time"),
            Failure::ReadTimeout => Refusal::new(504, "the server did not answer in time"),
            Failure::Connect(_) => Refusal::new(502, "the server could not be reached"),
            Failure::Local(_) => Refusal::new(503, "the proxy is out of connections"),
            Failure::Refused(status) | Failure::Intercepted(status) => Refusal::new(status, ""),
            Failure::Closed | Failure::Reset(_) => Refusal::new(502, "the server closed the connection"),
            Failure::Unasked | Failure::Invalid(_) | Failure::HeadTooLarge | Failure::Status(_) => {
                Refusal::new(502, "the server sent an invalid response")
            }
        }
    }
}

/// What becomes of a request whose upstream connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Sequel {
    /// It goes to the same server over a new connection: the pooled one was dead.
    Renewed,
    /// It goes to another server.
    Moved,
    /// It is given up: the server may have acted upon it, and it must not be sent twice
    /// (RFC 9110 section 9.2.2) or is not all here any more.
    Unsafe,
    /// It is given up: a response to it has begun.
    Begun,
    /// It is given up: the tries are used up, or the configuration does not move on for such a failure.
    NoOther,
}

impl Sequel {
    /// All, in their order.
    pub const ALL: [Sequel; 5] =
        [Sequel::Renewed, Sequel::Moved, Sequel::Unsafe, Sequel::Begun, Sequel::NoOther];

    /// What happened, for a log line.
    pub fn text(self) -> &'static str {
        match self {
            Sequel::Renewed => "sent again over a new connection",
            Sequel::Moved => "sent on to another server",
            Sequel::Unsafe => "given up as not to be sent twice",
            Sequel::Begun => "given up behind a begun response",
            Sequel::NoOther => "given up for want of another try",
        }
    }

    /// Whether it is sent again.
    pub(super) fn goes_on(self) -> bool {
        matches!(self, Sequel::Renewed | Sequel::Moved)
    }
}

impl Exchange {
    /// Why the upstream connection is to be abandoned.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.or(self.send_failure)
    }

    /// Whether this failure is that of a pooled connection which had died before it could be used: no
    /// byte of a response came. Asked before `abandoned`.
    pub fn is_stale(&self, failure: Failure) -> bool {
        self.link == Link::Up { reused: true }
            && !self.response.has_started()
            && matches!(failure, Failure::Unasked | Failure::Closed | Failure::Reset(_))
    }

    /// Whether the next connection is to go to the same server, so that the choice of it stands.
    pub fn keeps_server(&self) -> bool {
        self.link == Link::Wanted { same_server: true }
    }

    /// Another connection is tried for a request of which nothing was sent, or that may be sent twice, as long as all of
    /// it is still held and the client has nothing of a response: one whose head breaks off is none that it could have
    /// read (RFC 9110 section 9.2.2). `in_time`: another server may be tried, as far as the time since the first one goes.
    pub(super) fn sequel(&self, failure: Failure, stale: bool, in_time: bool) -> Sequel {
        let next_upstream = &self.place.rules.next_upstream;
        // An interim response may have reached the client, and what it announces belongs to this try.
        if self.response.has_begun() || (self.response.has_started() && self.response.has_interims()) {
            return Sequel::Begun;
        }
        let safe = self.request.nothing_sent()
            || self.request.may_be_sent_twice()
            || (self.request.is_held() && (next_upstream.non_idempotent || planted!(ReplayedPost)));
        if !safe {
            Sequel::Unsafe
        } else if stale {
            Sequel::Renewed
        } else if self.tries_left && in_time && failure.moves_on(next_upstream) {
            Sequel::Moved
        } else {
            Sequel::NoOther
        }
    }

    /// Whether a final response with this status, from 300 on, goes to the client, or another server or another location
    /// answers.
    #[inline(never)]
    pub(super) fn judge_status(
        &mut self,
        status: u16,
        head: &ResponseHead<'_, '_>,
        now: Time,
    ) -> Result<(), Failure> {
        let failure = Failure::Status(status);
        let counts = status >= 400 && self.place.rules.next_upstream.statuses.contains(&status);
        if counts && self.sequel(failure, false, now < self.tries_end).goes_on() {
            return Err(failure);
        }
        if self.intercepts(status) {
            self.intercepted(status, &head.fields);
            return Err(Failure::Intercepted(status));
        }
        Ok(())
    }

    /// Whether a response waits for the `rest` of its body, because that fits behind what has come and another server
    /// can answer until then: one that breaks off there is no different for the client from one that never came. No
    /// client waits longer for the whole. nginx also holds back what is short (`postpone_output`).
    #[cold]
    #[inline(never)]
    pub(super) fn waits_for_rest(&mut self, rest: u64, input: &Buffer, now: Time) -> bool {
        let fits = rest <= (input.capacity() - input.len()) as u64;
        let is_held = fits && self.place.rules.buffers_answers;
        if !is_held || !self.sequel(Failure::Closed, false, now < self.tries_end).goes_on() {
            return false;
        }
        self.response.waits = true;
        if let Some(one) = self.record.as_mut().and_then(|record| record.current()) {
            one.answered.get_or_insert(now);
        }
        true
    }
}
