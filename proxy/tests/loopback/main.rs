//! The real binary over real sockets: every sentence about the proxy, shown from outside.
//!
//! Each test starts its own proxy between scripted origins and raw connections (`tests/support`).

#[path = "../support/mod.rs"]
mod support;

mod balance;
mod bodies;
mod checks;
mod command_line;
mod complaints;
mod connections;
mod destinations;
mod fields;
mod files;
mod health;
mod interim;
mod limits;
mod log;
mod memory;
mod names;
mod pool;
mod pressure;
mod queue;
mod resolver;
mod retry;
mod sessions;
mod signals;
mod status;
mod timeouts;
mod tunnel;
mod waiting;
