//! Answers of name servers: any bytes are read, and what is accepted is of the kind that was asked for, for a time that
//! RFC 2181 allows.
//!
//! Input: one byte, whose remainder of three is the kind; the message behind its id, which is the query's.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy::dns::{Data, Kind, Query, Reply};

const ID: u16 = 0x1234;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let kind = [Kind::A, Kind::Aaaa, Kind::Srv][usize::from(first % 3)];
    let query = Query::new("app.test", kind, ID).expect("a name");
    let message = [&ID.to_be_bytes(), rest].concat();
    if let Some(Reply::Records(found)) = query.read(&message) {
        assert!(found.all.iter().all(|data| match data {
            Data::Address(ip) => kind == if ip.is_ipv4() { Kind::A } else { Kind::Aaaa },
            Data::Server(_) => kind == Kind::Srv,
        }));
        assert!(found.ttl.as_secs() <= i32::MAX as u64);
        assert!(found.alias.is_none() || found.all.is_empty());
    }
    let other = [&(ID ^ 1).to_be_bytes(), rest].concat();
    assert_eq!(query.read(&other), None, "another id is another question's");
});
