//! An HTTP/1.1 reverse proxy and load balancer on a hand-rolled epoll loop.

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
pub mod config;
pub mod exchange;
pub mod http;
pub mod limits;
pub mod logging;
pub mod pid_file;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod run;
pub mod time;
pub mod upstream;
pub mod worker;
