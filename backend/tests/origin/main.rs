//! The origin on real sockets.

mod bodies;
mod client;
mod command;
mod hits;
mod http;
mod redis;
