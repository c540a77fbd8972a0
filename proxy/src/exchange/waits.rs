//! What an exchange waits for, and until when: no wait is without an end.
//!
//! At most two waits run at once, one for each connection. They are worked out anew whenever the driver
//! has nothing left to do ([`Exchange::rearm`]); a wait goes on while it is the same wait and nothing
//! moved. Nothing is armed or disarmed on the way, so no deadline can be left behind.

use super::{Ending, Env, Exchange, Failure, Link};
use crate::http::Refusal;
use crate::time::{Duration, Time};

/// What is awaited of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ClientWait {
    #[default]
    Nothing,
    /// The first byte of the first request; what may come before it does not prolong it.
    First,
    /// The first byte of a later request.
    Idle,
    /// The rest of a head; bytes that come do not prolong it.
    Head,
    /// More of a body.
    Body,
    /// That it takes bytes.
    Send,
    /// That it closes; bytes that come do not prolong it.
    Linger,
}

/// What is awaited of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum UpstreamWait {
    #[default]
    Nothing,
    /// That a server can take the request.
    Queue,
    /// Its address.
    Resolve,
    /// The connection.
    Connect,
    /// That it takes bytes.
    Send,
    /// More of a response.
    Read,
    /// A byte in either direction of a tunnel.
    Tunnel,
}

/// How often it is looked whether a server can take a request that waits for one: beside those that become free, of which
/// it is told, some come back with time.
const QUEUE_LOOK: Duration = Duration::from_secs(1);

/// How long a client may take to close after the last byte for it.
const LINGER: Duration = Duration::from_secs(10);

/// The waits and their deadlines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    client: ClientWait,
    client_at: Time,
    client_moved: bool,
    upstream: UpstreamWait,
    upstream_at: Time,
    upstream_moved: bool,
}

impl Default for Waits {
    fn default() -> Waits {
        Waits {
            client: ClientWait::Nothing,
            client_at: Time::NEVER,
            client_moved: false,
            upstream: UpstreamWait::Nothing,
            upstream_at: Time::NEVER,
            upstream_moved: false,
        }
    }
}

impl Waits {
    /// A byte went to the client or came from it.
    pub(super) fn client_moved(&mut self) {
        self.client_moved = true;
    }

    /// Another request begins: its waits are not those of the last one, even where they are alike.
    pub(super) fn forget_client(&mut self) {
        self.client = ClientWait::Nothing;
    }

    /// Whether the client had nothing to say when the driver last had nothing left to do.
    pub(super) fn has_idled(&self) -> bool {
        self.client == ClientWait::Idle
    }

    /// A byte went to the upstream or came from it.
    pub(super) fn upstream_moved(&mut self) {
        self.upstream_moved = true;
    }
}

impl Exchange {
    /// Works out what is awaited now; call it when the driver has nothing left to do.
    /// Returns the deadline.
    pub fn rearm(&mut self, env: &Env) -> Time {
        let client = self.client_wait();
        let prolongs = !matches!(client, ClientWait::First | ClientWait::Head | ClientWait::Linger);
        if client != self.waits.client || (self.waits.client_moved && prolongs) {
            let (rules, timeouts) = (&self.place.client, &self.place.rules.timeouts);
            self.waits.client_at = match client {
                ClientWait::Nothing => Time::NEVER,
                ClientWait::First | ClientWait::Head => env.now + rules.header_timeout,
                ClientWait::Idle => env.now + rules.keepalive_timeout,
                ClientWait::Body => env.now + timeouts.client_body,
                ClientWait::Send => env.now + timeouts.client_send,
                ClientWait::Linger => env.now + LINGER,
            };
            self.waits.client = client;
        }
        let upstream = self.upstream_wait();
        let moved =
            self.waits.upstream_moved || (upstream == UpstreamWait::Tunnel && self.waits.client_moved);
        if upstream != self.waits.upstream || (moved && !planted!(DeadlineKept)) {
            let timeouts = &self.place.rules.timeouts;
            self.waits.upstream_at = match upstream {
                UpstreamWait::Nothing => Time::NEVER,
                UpstreamWait::Queue => (env.now + QUEUE_LOOK).min(self.queue_end()),
                UpstreamWait::Resolve => env.now + self.resolver_timeout(),
                UpstreamWait::Connect => env.now + timeouts.connect,
                UpstreamWait::Send => env.now + timeouts.send,
                UpstreamWait::Read | UpstreamWait::Tunnel => env.now + timeouts.read,
            };
            self.waits.upstream = upstream;
        }
        self.waits.client_moved = false;
        self.waits.upstream_moved = false;
        self.deadline()
    }

    /// When [`Exchange::expired`] is to be called.
    pub fn deadline(&self) -> Time {
        self.waits.client_at.min(self.waits.upstream_at)
    }

    /// Since when nothing but a request, or the client's closing, has been awaited; `None`: something else is. Where other
    /// timeouts have come to hold meanwhile, it is as if they had held all the while.
    pub fn idle_since(&self) -> Option<Time> {
        let rules = &self.place.client;
        let timeout = match self.waits.client {
            ClientWait::First if self.is_idle() => rules.header_timeout,
            ClientWait::Idle if self.is_idle() => rules.keepalive_timeout,
            ClientWait::Linger => LINGER,
            _ => return None,
        };
        Some(self.waits.client_at.before(timeout))
    }

    fn resolver_timeout(&self) -> Duration {
        self.place.rules.resolver.as_ref().map_or(Duration::ZERO, |resolver| resolver.timeout)
    }

    fn client_wait(&self) -> ClientWait {
        if self.ending == Ending::Linger {
            ClientWait::Linger
        } else if self.response.pending() {
            ClientWait::Send
        } else if self.response.is_tunnel() || self.response.is_whole() {
            ClientWait::Nothing
        } else if self.request.is_idle() {
            if self.request.is_first() { ClientWait::First } else { ClientWait::Idle }
        } else if self.request.in_head() {
            if self.request.awaits_body { ClientWait::Body } else { ClientWait::Head }
        } else if self.request.wants_bytes(self.link) && !self.request.expects {
            ClientWait::Body
        } else {
            ClientWait::Nothing
        }
    }

    fn upstream_wait(&self) -> UpstreamWait {
        match self.link {
            Link::None | Link::Wanted { .. } => UpstreamWait::Nothing,
            Link::Queued { .. } => UpstreamWait::Queue,
            Link::Resolving => UpstreamWait::Resolve,
            Link::Connecting => UpstreamWait::Connect,
            Link::Up { .. } if self.response.is_tunnel() => UpstreamWait::Tunnel,
            Link::Up { .. } if self.request.pending() => UpstreamWait::Send,
            // While the request's body is awaited, the client's wait runs, unless the server is to say first whether it
            // wants that; while the client takes the response, that one does.
            Link::Up { .. }
                if self.response.wants_bytes()
                    && (self.request.is_whole() || self.response.has_begun() || self.request.expects) =>
            {
                UpstreamWait::Read
            }
            Link::Up { .. } => UpstreamWait::Nothing,
        }
    }

    /// The deadline has passed, or may have. What follows, `next` says.
    pub fn expired(&mut self, env: &mut Env) {
        if self.waits.upstream_at <= env.now {
            self.waits.upstream_at = Time::NEVER;
            match self.waits.upstream {
                UpstreamWait::Nothing => {}
                // Whoever chooses says that it has waited for long enough.
                UpstreamWait::Queue => self.called(),
                UpstreamWait::Resolve => self.failure = Some(Failure::ResolveTimeout),
                UpstreamWait::Connect => self.failure = Some(Failure::ConnectTimeout),
                UpstreamWait::Send => self.failure = Some(Failure::SendTimeout),
                UpstreamWait::Read => self.failure = Some(Failure::ReadTimeout),
                // Nobody is to blame for a silence on both sides. What has not reached the client must not
                // pass for the whole.
                UpstreamWait::Tunnel if self.response.pending() => self.ending = Ending::Reset,
                UpstreamWait::Tunnel => self.ending = Ending::Close,
            }
            return;
        }
        if self.waits.client_at > env.now {
            return;
        }
        self.waits.client_at = Time::NEVER;
        match self.waits.client {
            ClientWait::Nothing => {}
            ClientWait::First | ClientWait::Idle | ClientWait::Linger => self.ending = Ending::Close,
            ClientWait::Send => self.ending = Ending::Reset,
            ClientWait::Head => {
                self.refuse(Refusal::new(408, "the request's head did not come in time"), env);
            }
            ClientWait::Body => {
                self.refuse(Refusal::new(408, "the request's body did not come in time"), env);
            }
        }
    }
}
