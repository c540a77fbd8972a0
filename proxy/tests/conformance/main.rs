//! Conformance over real sockets: raw bytes in, what the origin saw and what the client saw out.
//!
//! The cases stand in the tables `cases/*.txt`, in the form that `case.rs` gives and the notation that
//! `notation.rs` gives. Each is played with a proxy of its own, so that none sees what another left behind,
//! and each ends with another request over the same connection, which shows what is left in it.
//! `docs/conformance.md` lists the requirements of RFC 9110 and 9112 with the cases that show them.
//!
//! The same is asked of the proxy by its command line and, in `by_nginx_conf`, by a file that lists what goes on.
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

use subject::Kind;

/// What has not happened by then does not happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// One test for each table, with the proxy by its command line, and one by an `nginx.conf`. Tables behind the semicolon
/// are about what only that can say.
macro_rules! tables {
    ($($name:ident)*; $($listed:ident)*) => {
        /// The tables' names and texts.
        const TABLES: &[(&str, &str)] = &[
            $((stringify!($name), include_str!(concat!("cases/", stringify!($name), ".txt"))),)*
            $((stringify!($listed), include_str!(concat!("cases/", stringify!($listed), ".txt"))),)*
        ];

        $(
            #[test]
            fn $name() {
                play::table(Kind::Ours, stringify!($name), text(stringify!($name)));
            }
        )*

        mod by_nginx_conf {
            use crate::subject::Kind;
            use crate::{play, text};

            tables! { @each $($name)* $($listed)* }
        }
    };
    (@each $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                play::table(Kind::Listed, stringify!($name), text(stringify!($name)));
            }
        )*
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
    ;
    listed
    http10
}

/// A table's text.
fn text(name: &str) -> &'static str {
    TABLES.iter().find(|(table, _)| *table == name).expect("a table").1
}
