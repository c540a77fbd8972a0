//! Conformance over real sockets: raw bytes in, what the origin saw and what the client saw out.
//!
//! The cases stand in the tables `cases/*.txt`, in the form that `case.rs` gives and the notation that
//! `notation.rs` gives. Each is played with a proxy of its own, so that none sees what another left behind,
//! and each ends with another request over the same connection, which shows what is left in it.
//! `docs/conformance.md` lists the requirements of RFC 9110 and 9112 with the cases that show them.
//!
//! `CONFORMANCE_CASE=words` plays only cases with these words in their names. `CONFORMANCE_PEERS=1` plays
//! each case with nginx and HAProxy too and writes where they differ, which fails nothing: see `peers.rs`.

mod case;
mod client;
mod document;
mod message;
mod notation;
mod origin;
mod peers;
mod play;
mod subject;

use std::time::Duration;

/// What has not happened by then does not happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// One test for each table.
macro_rules! tables {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                play::table(stringify!($name), include_str!(concat!("cases/", stringify!($name), ".txt")));
            }
        )*

        /// The tables' names and texts.
        const TABLES: &[(&str, &str)] =
            &[$((stringify!($name), include_str!(concat!("cases/", stringify!($name), ".txt")))),*];
    };
}

tables! {
    smuggling
    request_line
    host
    length
    chunked
    responses
    response_smuggling
    interim
    fields
    limits
    timeouts
    connections
    retries
}
