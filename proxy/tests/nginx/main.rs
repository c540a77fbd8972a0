//! Sameness, shown: nginx and this proxy read one `nginx.conf`, get the same requests, and what clients, origins and
//! logs see of them is compared.
//!
//! The cases stand in the tables `cases/*.txt`, in the form that `case.rs` gives. Each is played twice, by processes of
//! its own: nginx first, then the proxy, from the same file, at the same addresses, with new origins at the old
//! addresses. Each play leaves a transcript; `same.rs` lists what may differ anywhere and takes it out of both; a case
//! may list what differs in it alone. Whatever else differs is a failure, and so is a difference that has gone.
//!
//! `NGINX_CASE=words` plays only cases with these words in their names, and `NGINX_SHOW=1` shows their transcripts.

mod case;
mod client;
mod harness;
#[path = "../conformance/notation.rs"]
#[allow(dead_code, reason = "connections are not scripted here")]
mod notation;
mod origins;
mod own;
mod play;
mod same;
mod subject;
#[path = "../support/mod.rs"]
mod support;

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
    names
    passing
    proxy_protocol
    returns
    clients
    destinations
    request_fields
    response_fields
    variables
    logs
    error_pages
    access
    balancing
    failures
    locations
    tries
}

/// The least number of cases: nobody shortens the tables unnoticed.
const CASES_MIN: usize = 150;

#[test]
fn every_case_has_a_name_of_its_own() {
    let mut names: Vec<String> = Vec::new();
    for (table, text) in TABLES {
        names.extend(case::table(text).into_iter().map(|case| format!("{table}: {}", case.name)));
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "two cases of one table have one name");
    assert!(count >= CASES_MIN, "there are only {count} cases");
}
