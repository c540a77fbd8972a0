//! Answers of name servers: any bytes are read, and what is accepted is of the kind that was asked for, for a time that
//! RFC 2181 allows.
//!
//! Input: one byte, whose lowest bit is the kind; the message behind its id, which is the query's.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy::dns::{Kind, Query, Reply};

const ID: u16 = 0x1234;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let kind = if first & 1 == 0 { Kind::A } else { Kind::Aaaa };
    let query = Query::new("app.test", kind, ID).expect("a name");
    let message = [&ID.to_be_bytes(), rest].concat();
    if let Some(Reply::Addresses(found)) = query.read(&message) {
        assert!(found.all.iter().all(|ip| ip.is_ipv4() == (kind == Kind::A)));
        assert!(found.ttl.as_secs() <= i32::MAX as u64);
        assert!(found.alias.is_none() || found.all.is_empty());
    }
    let other = [&(ID ^ 1).to_be_bytes(), rest].concat();
    assert_eq!(query.read(&other), None, "another id is another question's");
});
