//! The choice of a server and the memory of what servers did. Pure: no sockets, no clocks, no chance but what a seed says.
//!
//! # Theory
//!
//! A [`Group`] is what nginx calls an `upstream` block: `server` lines in their order. A line is one
//! name, a [`Peer`] one address of it; a literal is one peer, a DNS name as many as it resolves to (none
//! before the first answer), or where a service is meant, as many as it has servers. Peers stand in two **tiers**, in the order of their lines and, within a line,
//! of their addresses: the primary ones and the `backup` ones.
//!
//! One request has one [`Attempt`] and goes round this loop, which is the whole life of a choice:
//!
//! ```text
//!             begin                pick                     release(outcome)
//! request ───────────▶ Attempt ───────────▶ PeerKey, in use ──────────────────▶ done
//!                         ▲                    │                  │ Failed, Next
//!                         │                    ▼ none left        ▼
//!                         │               NoLivePeer      tries_left? ── no ──▶ done
//!                         └───────────────────────────────────── yes
//! ```
//!
//! *Eligible* is a peer that is neither `down` nor unhealthy, whose line is below `max_conns` and that has not failed
//! `max_fails` times (or was last checked longer than `fail_timeout` ago). That is written once, in
//! `server.rs`; *open* to an attempt is an eligible peer that this attempt has not tried. The methods in
//! `balance.rs` choose among the open ones and check nothing themselves. Where a tier has no open peer the
//! attempt moves on to the backup tier for good.
//!
//! Failures follow nginx to the letter, with nanoseconds for its seconds:
//!
//! - a failure counts up, sets `accessed` and `checked` to now and takes `weight / max_fails` off the effective weight;
//! - a choice sets `checked` to now where it lies more than `fail_timeout` back. So when a failed peer's time
//!   is over, one request tries it and the others keep away for another `fail_timeout`;
//! - a success clears the count only where `accessed` lies before `checked`: where such a renewed check came
//!   after the last failure. Failures no more than `fail_timeout` apart add up, whatever succeeded between them;
//! - the only peer of a group is never counted against, and its request has no further tries.
//!
//! Health checks ([`Group::begin_checks`], [`Group::checked`]) are apart from that: what they think of a peer (`health.rs`)
//! holds until they think otherwise, for the only peer of a group too. A peer that they take back in has its failures
//! forgiven.
//!
//! A server that comes back (`slow_start`) has a share that grows from next to nothing to its weight, in round robin as
//! well as in `least_conn`: one that is cold is not hit by all requests at once for having none in flight.
//!
//! `least_time` needs to hear of one thing more than the others: when the head of a response is there
//! ([`Group::answered`]). It is told with the time, as everything here; the averages are in `timing.rs`.
//!
//! A request may name the peer it is bound to, or a session that is (`sticky`; [`Group::bind`]): where that one is open, it is chosen,
//! whatever the method, even while it drains. Round robin reckons such a request as the peer's turn.
//!
//! Where a group has a [`Queue`], a request that finds no peer may wait. Whoever gives a request back asks who is first
//! and tells that one to pick again; nobody picks for a first try before all who wait.
//!
//! What a failure is, the caller says: only what the server did is an [`Outcome::Failed`]; a reused idle
//! connection that was dead, or a client that left, is [`Outcome::Neutral`]. A status such as 502 is one only where
//! it makes the request move on: one that passes through for want of tries is [`Outcome::Served`].
//!
//! # Deviations from nginx
//!
//! - The servers of a service (`service`) that have not its best priority are `backup` with every method.
//! - `max_conns` bounds a line, over all its addresses, not each address.
//! - A request whose client left is [`Outcome::Neutral`]; nginx counts it as a success.
//! - A peer whose reused connection was dead stays open to the attempt; nginx would not choose it again.
//! - `ip_hash`, `hash` and `random` refuse `backup` in nginx; here backup peers are then taken in round robin.
//! - A name without an address keeps its points in the ring of `hash KEY consistent`, as a `down` server does.
//! - A name may be resolved later and anew; its health goes over to the address that replaces another.
//! - `least_time header` learns a time when the head comes, also without `inflight`, and whatever becomes of the rest.
//! - Answers of the proxy's own carry no cookie of `sticky`: the server that they would name is none that answered.
//!
//! # Sharing
//!
//! A group is one truth over all workers and sits behind a lock there; no call allocates on the way of a
//! request that succeeds at first try, and none logs or formats: what is worth a line is returned as a [`Change`].
//! An [`Idle`] pool belongs to one worker.
//!
//! Sources: nginx `src/http/ngx_http_upstream_round_robin.c`, `modules/ngx_http_upstream_ip_hash_module.c`,
//! `modules/ngx_http_upstream_hash_module.c`, `modules/ngx_http_upstream_random_module.c`,
//! `modules/ngx_http_upstream_least_conn_module.c`, `modules/ngx_http_upstream_least_time_module.c`,
//! `modules/ngx_http_upstream_keepalive_module.c`, and `ngx_http_upstream_next` in `ngx_http_upstream.c`. `tests/nginx_balance/` holds this module against the real one.

mod attempt;
mod balance;
mod change;
mod checks;
mod group;
mod health;
mod idle;
mod queue;
mod ring;
mod server;
mod session;
mod sessions;
mod timing;

#[cfg(test)]
mod tests;

pub use attempt::Attempt;
pub use change::Change;
pub use checks::DueCheck;
pub use group::{Group, Name, NoLivePeer, Outcome, Resolved};
pub use health::Checked;
pub use idle::Idle;
pub use queue::{Queue, Waiter};
pub use server::{Address, Peer};

slotmap::new_key_type! {
    /// A peer of a [`Group`]. Stale once its address is gone; then every use of it is harmless.
    pub struct PeerKey;
}
