//! The minimal HTTP/1.1 origin that the proxy is studied with: it counts hits, answers at once and
//! is fast enough never to be the bottleneck of a comparison.
//!
//! # The map
//!
//! Read from the outside in; each layer knows only those below it.
//!
//! ```text
//! options      what can be chosen, checked: names, addresses, counter, delays
//! server       starts and stops: binds, spawns one thread per worker
//! worker       a thread: mio poll, accept, deadlines, the hits of one turn
//!  ├ listen    binding, SO_REUSEPORT, Unix sockets
//!  └ client    one socket and its readiness: recv, advance, send
//! connection   the automaton of one connection: bytes in, bytes out, no sockets, no clock
//!  ├ request   bytes to a checked request head (httparse), body framing included
//!  ├ page      request target to what is asked for
//!  ├ body      a cursor over a request body: Content-Length and chunked
//!  ├ answer    response heads
//!  ├ pattern   the bytes of /bytes/N and /chunked/N
//!  └ counter   the names and the hit counter: embedded, or Redis on its own thread (redis_counter)
//! ```
//!
//! # What holds
//!
//! - **One receive and one send per request** on the hot path. A receive that comes back short has
//!   drained the socket, so none is spent on finding out; sockets are registered once; nothing is
//!   allocated per request of `/` with the embedded counter.
//! - **Bounded.** A connection that may not send stops reading. Request heads, held bodies (`/echo`)
//!   and queued answers have fixed limits, and every state has a deadline.
//! - **Answers in order.** A connection handles one request at a time; pipelined requests wait in
//!   the input and their answers leave together.
//! - **A hit is counted once.** See `redis_counter.rs`: an `INCRBY` whose outcome is unknown is never sent
//!   again; numbers may be skipped, never doubled.
//!
//! # In a program
//!
//! ```
//! use backend::{Options, Server};
//!
//! let serve = "app1=127.0.0.1:0".parse()?;
//! let server = Server::start(Options::new(vec![serve]))?;
//! println!("app1 listens on {}", server.address("app1").unwrap());
//! server.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod body;
mod client;
mod connection;
mod counter;
mod listen;
pub mod options;
mod page;
pub mod pattern;
mod redis_counter;
mod request;
mod server;
mod worker;

pub use options::{Address, Options, Serve};
pub use server::{Server, StartError};
