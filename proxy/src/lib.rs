//! An HTTP/1.1 reverse proxy and load balancer on a hand-rolled epoll loop.

pub mod config;
pub mod time;
pub mod upstream;
