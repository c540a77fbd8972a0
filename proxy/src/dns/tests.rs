//! Messages written by hand, byte for byte.

use proptest::prelude::*;

use super::*;

/// A name as messages have it, uncompressed.
fn wire(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes
}

/// An answer with this id, these flags, and a question for A records of `name`.
fn answer(id: u16, flags: u16, name: &str, records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in [id, flags, 1, records.len() as u16, 0, 0] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(wire(name));
    bytes.extend([0, 1, 0, 1]);
    bytes.extend(records.concat());
    bytes
}

fn record(name: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = wire(name);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(ttl.to_be_bytes());
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

fn query(name: &str) -> Query<'_> {
    Query::new(name, Kind::A, 0x1234).expect("a name")
}

fn found(addresses: &[[u8; 4]], ttl: u64) -> Option<Reply> {
    let all = addresses.iter().map(|octets| Data::Address((*octets).into())).collect();
    Some(Reply::Records(Records { all, alias: None, ttl: Duration::from_secs(ttl) }))
}

const OK: u16 = 0x8180;

#[test]
fn a_query_is_as_rfc_1035_has_it() {
    let mut expected = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03app\x04test\x00".to_vec();
    expected.extend([0, 1, 0, 1]);
    assert_eq!(query("app.test").message(), expected);
    assert_eq!(query("app.test.").message(), expected);
    let kind = expected.len() - 3;
    expected[kind] = 28;
    assert_eq!(Query::new("app.test", Kind::Aaaa, 0x1234).expect("a name").message(), expected);
}

#[test]
fn texts_that_are_no_names() {
    let long = ["x"; 200].join(".");
    for text in ["", ".", "a..b", ".a", "a..", "a\\.b", &"x".repeat(64), &long] {
        assert_eq!(Query::new(text, Kind::A, 1).err(), Some(NotAName), "{text}");
    }
}

#[test]
fn addresses_in_their_order_with_the_least_time() {
    let records = [record("App.test", 1, 300, &[10, 0, 0, 2]), record("app.TEST", 1, 60, &[10, 0, 0, 1])];
    let message = answer(0x1234, OK, "aPP.test", &records);
    assert_eq!(query("app.test").read(&message), found(&[[10, 0, 0, 2], [10, 0, 0, 1]], 60));
}

#[test]
fn ipv6_addresses() {
    let mut message = answer(0x1234, OK, "app.test", &[record("app.test", 28, 5, &[0; 16])]);
    message[12 + 10 + 1] = 28;
    let reply = Query::new("app.test", Kind::Aaaa, 0x1234).expect("a name").read(&message);
    let all = vec![Data::Address(Ipv6Addr::UNSPECIFIED.into())];
    assert_eq!(reply, Some(Reply::Records(Records { all, alias: None, ttl: Duration::from_secs(5) })));
}

#[test]
fn servers_of_a_service() {
    let srv = |priority: u8, weight: u8, port: u8, target: &str| {
        [&[0, priority, 0, weight, 0, port][..], &wire(target)].concat()
    };
    let owner = "_http._tcp.app.test";
    let records = [
        record(owner, 33, 60, &srv(1, 2, 80, "a.test")),
        record(owner, 1, 60, &[10, 0, 0, 1]),
        record(owner, 33, 30, &[&[0, 0, 0, 0, 0, 0][..], &[0]].concat()),
    ];
    let mut message = answer(0x1234, OK, owner, &records);
    message[12 + wire(owner).len() + 1] = 33;
    let reply = Query::new(owner, Kind::Srv, 0x1234).expect("a name").read(&message);
    let server = |name: &str, port, priority, weight| {
        Data::Server(Server { name: name.to_owned(), port, priority, weight })
    };
    let all = vec![server("a.test", 80, 1, 2), server("", 0, 0, 0)];
    assert_eq!(reply, Some(Reply::Records(Records { all, alias: None, ttl: Duration::from_secs(30) })));
}

#[test]
fn aliases_are_followed_in_any_order_and_their_time_counts() {
    let records = [
        record("c.test", 1, 300, &[10, 0, 0, 3]),
        record("b.test", 5, 20, &wire("c.test")),
        record("app.test", 5, 30, &wire("b.test")),
        record("other.test", 1, 1, &[10, 0, 0, 9]),
    ];
    assert_eq!(
        query("app.test").read(&answer(0x1234, OK, "app.test", &records)),
        found(&[[10, 0, 0, 3]], 20)
    );
    let circle = [record("app.test", 5, 1, &wire("b.test")), record("b.test", 5, 1, &wire("app.test"))];
    assert_eq!(query("app.test").read(&answer(0x1234, OK, "app.test", &circle)), found(&[], 1));
    let alias = Some("b.test".to_owned());
    let out = Records { all: Vec::new(), alias, ttl: Duration::from_secs(30) };
    assert_eq!(
        query("app.test").read(&answer(0x1234, OK, "app.test", &records[2..])),
        Some(Reply::Records(out))
    );
}

#[test]
fn no_address_is_an_answer_and_a_failure_is_another() {
    let nothing = |flags| query("app.test").read(&answer(0x1234, flags, "app.test", &[]));
    assert_eq!(nothing(OK), found(&[], 0));
    assert_eq!(nothing(OK | 3), found(&[], 0), "no such name");
    assert_eq!(nothing(OK | 2), Some(Reply::Failed(2)));
    assert_eq!(nothing(OK | 5), Some(Reply::Failed(5)));
}

#[test]
fn what_answers_another_question_answers_nothing() {
    let records = [record("app.test", 1, 300, &[10, 0, 0, 1])];
    let other_id = answer(0x1235, OK, "app.test", &records);
    let no_answer = answer(0x1234, 0x0100, "app.test", &records);
    let other_name = answer(0x1234, OK, "apq.test", &records);
    let mut other_kind = answer(0x1234, OK, "app.test", &records);
    other_kind[12 + 10 + 1] = 28;
    for message in [&other_id, &no_answer, &other_name, &other_kind, &other_id[..11].to_vec(), &vec![]] {
        assert_eq!(query("app.test").read(message), None, "{message:?}");
    }
}

#[test]
fn a_cut_message_is_asked_for_anew() {
    let whole = answer(0x1234, OK | 0x0200, "app.test", &[record("app.test", 1, 300, &[10, 0, 0, 1])]);
    assert_eq!(query("app.test").read(&whole), Some(Reply::Truncated));
    assert_eq!(query("app.test").read(&whole[..whole.len() - 5]), Some(Reply::Truncated));
    let mut uncut = whole;
    uncut[2] &= !0x02;
    assert_eq!(query("app.test").read(&uncut[..uncut.len() - 5]), None);
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut message = answer(0x1234, OK, "app.test", &[]);
        message[7] = 3;
        message.extend(bytes);
        let _ = query("app.test").read(&message);
    }
}
