//! An HTTP/1.1 reverse proxy and load balancer on a hand-rolled epoll loop.

pub mod access_log;
pub mod buffer;
pub mod config;
pub mod exchange;
pub mod http;
pub mod limits;
pub mod logging;
pub mod pid_file;
pub mod run;
pub mod time;
pub mod upstream;
pub mod worker;
