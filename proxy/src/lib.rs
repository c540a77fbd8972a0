//! An HTTP/1.1 reverse proxy and load balancer on a hand-rolled epoll loop.
//!
//! Layers, from the bottom up; each knows only what stands above it in this list, and `http` and
//! `upstream` never meet (`tests/tidy.rs` reads the tree and says so when that breaks):
//!
//! | layer | what it is | knows |
//! |---|---|---|
//! | [`time`], [`buffer`], [`key`] | nanoseconds that are passed in; fixed-size buffers and their free list; digests | nothing |
//! | [`config`] | text to one checked value | [`time`] |
//! | [`dns`] | what name servers are asked and what they answer, as bytes | [`time`] |
//! | [`ids`] | how the parts of a configuration are called beyond its end | [`config`]'s values |
//! | [`http`] | bytes to spans and back: heads, framing, bodies, what changes in passing | [`buffer`] |
//! | [`upstream`] | the choice and the memory of servers, the pool of idle connections | [`time`], [`key`], [`config`]'s values |
//! | [`probe`] | a health check: its request, and what the response is worth | [`http`], [`config`]'s values |
//! | [`site`] | what the configuration says about a request: its site, its location, its rules | [`config`]'s values |
//! | [`exchange`] | one client's requests and responses: the automaton, without sockets | [`http`], [`buffer`], [`time`] |
//! | [`worker`] | poll, dispatch, drive, expire: the only code that knows the kernel | all of these |
//! | [`process`] | one process: bind, start the workers, obey signals | all, and [`access_log`], [`logging`], [`log_file`] |
//!
//! Invariants that hold everywhere: no clock is read and no socket touched below [`worker`]; nothing waits
//! without a deadline; nothing that comes from outside is held without a bound; a connection is found
//! by a key with a generation, so a stale event finds nothing. There is no unsafe code.
//!
//! The way of a request through these files, and why they are as they are: `docs/architecture.md`.

/// Whether a planted bug is at work: `false` unless this is a build to show that the simulation finds it.
#[cfg(not(feature = "planted-bugs"))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}
#[cfg(feature = "planted-bugs")]
macro_rules! planted {
    ($bug:ident) => {
        crate::planted::is_on(crate::planted::Bug::$bug)
    };
}

pub mod access_log;
pub mod buffer;
mod chance;
pub mod config;
pub mod dns;
pub mod exchange;
pub mod http;
pub mod ids;
pub mod key;
pub mod log_file;
pub mod logging;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod probe;
pub mod process;
pub mod site;
pub mod time;
pub mod upstream;
pub mod worker;
