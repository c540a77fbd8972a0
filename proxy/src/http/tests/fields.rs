//! Roles, lists and the `Connection` field.

use super::super::Version;
use super::super::fields::{Connection, MAX_FIELDS, Nominated, Role, members};
use super::with_fields;

fn role(name: &str) -> Role {
    with_fields(&format!("{name}: x"), |fields| fields.iter().next().expect("one field").0)
}

#[test]
fn every_name_that_matters_has_its_role() {
    let names = [
        ("Connection", Role::Connection),
        ("Content-Length", Role::ContentLength),
        ("Transfer-Encoding", Role::TransferEncoding),
        ("Host", Role::Host),
        ("Expect", Role::Expect),
        ("TE", Role::Te),
        ("Upgrade", Role::Upgrade),
        ("Via", Role::Via),
        ("Date", Role::Date),
        ("Max-Forwards", Role::MaxForwards),
        ("X-Forwarded-For", Role::ForwardedFor),
        ("X-Forwarded-Proto", Role::ForwardedProto),
        ("X-Forwarded-Host", Role::ForwardedHost),
        ("X-Real-IP", Role::RealIp),
        // RFC 9110 section 7.6.1
        ("Keep-Alive", Role::HopByHop),
        ("Proxy-Connection", Role::HopByHop),
        ("HTTP2-Settings", Role::HopByHop),
        // RFC 9110 section 6.5.1
        ("Authorization", Role::NotInTrailers),
        ("Cache-Control", Role::NotInTrailers),
        ("Content-Encoding", Role::NotInTrailers),
        ("Content-Range", Role::NotInTrailers),
        ("Content-Type", Role::NotInTrailers),
        ("Cookie", Role::NotInTrailers),
        ("Set-Cookie", Role::NotInTrailers),
    ];
    for (name, expected) in names {
        // RFC 9110 section 5.1: names are case-insensitive.
        for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
            assert_eq!(role(&name), expected, "{name}");
        }
        // Another name of the same length, alike to its last letter.
        let mut other = name.to_owned();
        other.pop();
        other.push('~');
        assert_eq!(role(&other), Role::Other, "{other}");
    }
}

#[test]
fn an_underscore_makes_a_lookalike() {
    for name in ["Content_Length", "transfer_encoding", "X_Forwarded_For", "X-Forwarded_For", "max_forwards"]
    {
        assert_eq!(role(name), Role::Lookalike, "{name}");
    }
    for name in ["user_agent", "content_lengtj", "_ost", "Content_Lengths", "x_custom"] {
        assert_eq!(role(name), Role::Other, "{name}");
    }
}

#[test]
fn fields_are_found_by_role_and_by_name() {
    with_fields("X-A: 1|Via: 1.0 a|x-a: 2|VIA: 1.1 b", |fields| {
        assert!(fields.has(Role::Via) && !fields.has(Role::Host));
        assert_eq!(fields.values(Role::Via).collect::<Vec<_>>(), [b"1.0 a", b"1.1 b"]);
        assert_eq!(fields.values(Role::Host).count(), 0);
        assert_eq!(fields.find("X-a"), Some(&b"1"[..]));
        assert_eq!(fields.find("x-b"), None);
        let names: Vec<_> = fields.iter().map(|(_, name, _)| name).collect();
        assert_eq!(names, [&b"X-A"[..], b"Via", b"x-a", b"VIA"]);
    });
}

#[test]
fn as_many_fields_as_are_allowed_keep_their_roles() {
    let lines = "A: b|".repeat(MAX_FIELDS - 1) + "Host: h";
    with_fields(&lines, |fields| {
        assert_eq!(fields.iter().count(), MAX_FIELDS);
        assert_eq!(fields.values(Role::Host).collect::<Vec<_>>(), [b"h"]);
    });
}

/// RFC 9110 section 5.6.1.2
#[test]
fn list_members_are_trimmed_and_empty_ones_left_out() {
    let cases: [(&str, &[&str]); 6] = [
        ("a", &["a"]),
        ("a,b", &["a", "b"]),
        (" a ,\tb\t, c", &["a", "b", "c"]),
        (",, a,,", &["a"]),
        ("", &[]),
        (" , ", &[]),
    ];
    for (value, expected) in cases {
        let found: Vec<_> = members(value.as_bytes()).map(super::text).collect();
        assert_eq!(found, expected, "{value:?}");
    }
}

/// RFC 9110 section 7.6.1
#[test]
fn connection_options_are_read_from_all_fields_and_in_any_case() {
    let cases = [
        ("", [false, false, false, false]),
        ("Connection: close", [true, false, false, false]),
        ("Connection: CLOSE", [true, false, false, false]),
        ("Connection: keep-alive", [false, true, false, false]),
        ("Connection: Upgrade", [false, false, true, false]),
        ("Connection: x-mine", [false, false, false, true]),
        ("Connection: close, keep-alive,upgrade , x", [true, true, true, true]),
        ("Connection: keep-alive|X: y|connection: close", [true, true, false, false]),
        ("Connection: ,,", [false, false, false, false]),
        ("Connection: closed", [false, false, false, true]),
        ("Proxy-Connection: close", [false, false, false, false]),
        ("Keep-Alive: close", [false, false, false, false]),
    ];
    for (lines, [close, keep_alive, upgrade, nominates]) in cases {
        let expected = Connection { close, keep_alive, upgrade, nominates };
        assert_eq!(with_fields(lines, Connection::of), expected, "{lines}");
    }
}

/// RFC 9112 section 9.3
#[test]
fn persistence_goes_by_version_and_options() {
    let cases = [
        ("", Version::Http11, true),
        ("Connection: keep-alive", Version::Http11, true),
        ("Connection: close", Version::Http11, false),
        ("Connection: keep-alive, close", Version::Http11, false),
        ("", Version::Http10, false),
        ("Connection: keep-alive", Version::Http10, true),
        ("Connection: close, keep-alive", Version::Http10, false),
        ("Connection: x", Version::Http10, false),
    ];
    for (lines, version, expected) in cases {
        assert_eq!(with_fields(lines, Connection::of).persists(version), expected, "{lines} {version:?}");
    }
}

#[test]
fn nominated_fields_are_known_by_their_whole_name() {
    with_fields("Connection: close, X-Mine|Connection: x-other", |fields| {
        let nominated = Nominated::of(fields);
        for name in ["x-mine", "X-MINE", "X-Other"] {
            assert!(nominated.has(name.as_bytes()), "{name}");
        }
        for name in ["x-min", "mine", "x-mine-too", "connection", ""] {
            assert!(!nominated.has(name.as_bytes()), "{name}");
        }
    });
}

/// Each is found among as many as a head has room for, without a look at all of them.
#[test]
fn thousands_of_nominated_fields_are_known() {
    let names: Vec<_> = (0..20_000).map(|n| format!("X-{}", n * 7919 % 20_000)).collect();
    let lists: Vec<_> = names.chunks(3_000).map(|names| names.join(",")).collect();
    let nominated = Nominated::of_lists(lists.iter().map(String::as_bytes));
    for (n, name) in names.iter().enumerate() {
        assert!(nominated.has(name.to_lowercase().as_bytes()), "{n} {name}");
        assert!(!nominated.has(format!("{name}-").as_bytes()));
        assert!(!nominated.has(name.replace('X', "Y").as_bytes()));
    }
}
