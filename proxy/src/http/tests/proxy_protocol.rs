//! Headers of the PROXY protocol.

use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::head::Parsed;
use super::super::proxy_protocol::{Bad, Ends, HEADER_MAX, header};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2.
fn binary(version_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rest.len()).expect("a length").to_be_bytes();
    [SIGNATURE, &[version_command, family], &len, rest].concat()
}

/// Two addresses and two ports, as version 2 has them.
fn octets(ends: &Ends) -> Vec<u8> {
    let ip = |end: SocketAddr| match end {
        SocketAddr::V4(end) => end.ip().octets().to_vec(),
        SocketAddr::V6(end) => end.ip().octets().to_vec(),
    };
    let port = |end: SocketAddr| end.port().to_be_bytes().to_vec();
    [ip(ends.source), ip(ends.destination), port(ends.source), port(ends.destination)].concat()
}

fn ends(source: &str, destination: &str) -> Ends {
    let end = |text: &str| text.parse().expect("an address");
    Ends { source: end(source), destination: end(destination) }
}

#[test]
fn lines_tell_both_ends_or_nothing() {
    let v4 = ends("192.0.2.1:56324", "192.0.2.2:443");
    let v6 = ends("[2001:db8::1]:0", "[::1]:65535");
    for (line, told) in [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", Some(v4)),
        ("PROXY TCP6 2001:DB8::1 ::1 0 65535\r\n", Some(v6)),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff::1 1.2.3.4 x\r\n", None),
    ] {
        assert_eq!(header(line.as_bytes()), Ok(Parsed::Complete((line.len(), told))), "{line}");
        // What lies behind it is the client's.
        let more = format!("{line}GET / HTTP/1.1\r\n");
        assert_eq!(header(more.as_bytes()), Ok(Parsed::Complete((line.len(), told))), "{more}");
    }
}

#[test]
fn what_is_no_header_is_told_at_once() {
    for bytes in [
        "GET / HTTP/1.1\r\n",
        "x",
        "proxy TCP4",
        "\r\n\r\nGET",
        "PROXY \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 ::1 1 2\r\n",
        "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
    ] {
        assert_eq!(header(bytes.as_bytes()), Err(Bad::Broken), "{bytes:?}");
    }
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    assert_eq!(header(long.as_bytes()), Err(Bad::Broken));
    assert_eq!(header(&long.as_bytes()[..106]), Ok(Parsed::Partial));
}

#[test]
fn binary_headers_tell_both_ends_or_nothing() {
    let v4 = ends("192.0.2.1:56324", "192.0.2.2:443");
    let v6 = ends("[2001:db8::1]:1", "[::1]:2");
    let fields = [&octets(&v4)[..], b"\x03\x00\x01x"].concat();
    for (bytes, told) in [
        (binary(0x21, 0x11, &octets(&v4)), Some(v4)),
        (binary(0x21, 0x11, &fields), Some(v4)),
        (binary(0x21, 0x21, &octets(&v6)), Some(v6)),
        // LOCAL; UDP; a Unix socket; nothing known.
        (binary(0x20, 0x11, &octets(&v4)), None),
        (binary(0x21, 0x12, &octets(&v4)), None),
        (binary(0x21, 0x31, &[b'x'; 216]), None),
        (binary(0x21, 0x00, b""), None),
    ] {
        let more = [&bytes[..], b"GET"].concat();
        assert_eq!(header(&more), Ok(Parsed::Complete((bytes.len(), told))), "{bytes:?}");
    }
    for (bytes, bad) in [
        (binary(0x11, 0x11, &octets(&v4)), Bad::Version(1)),
        (binary(0x21, 0x11, &octets(&v4)[1..]), Bad::Broken),
        (binary(0x21, 0x21, &octets(&v4)), Bad::Broken),
        (binary(0x21, 0x00, &vec![0; HEADER_MAX]), Bad::TooLarge),
    ] {
        assert_eq!(header(&bytes), Err(bad), "{bytes:?}");
    }
}

/// Headers and what is nearly one.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let address =
        prop_oneof![any::<std::net::IpAddr>().prop_map(|address| address.to_string()), "[0-9a-f.:]{0,9}"];
    let line = (
        prop_oneof!["TCP4", "TCP6", "UNKNOWN", "[A-Z0-9]{0,5}"],
        address.clone(),
        address,
        any::<u16>(),
        "[0-9]{0,6}",
    )
        .prop_map(|(kind, one, other, port, last)| {
            format!("PROXY {kind} {one} {other} {port} {last}\r\n").into_bytes()
        });
    let binary = (0x1f_u8..0x23, any::<u8>(), vec(any::<u8>(), 0..60))
        .prop_map(|(version, family, rest)| binary(version, family & 0x33, &rest));
    prop_oneof![line, binary, vec(any::<u8>(), 0..40)]
}

proptest! {
    #[test]
    fn it_does_not_matter_in_what_pieces_it_comes(bytes in nearly(), more in vec(any::<u8>(), 0..4)) {
        let all = [&bytes[..], &more].concat();
        // The first verdict stands, however much comes behind what it was given for.
        let verdict = (0..=all.len()).map(|len| header(&all[..len])).find(|verdict| *verdict != Ok(Parsed::Partial));
        match verdict {
            None => prop_assert_eq!(header(&all), Ok(Parsed::Partial)),
            Some(Ok(found)) => prop_assert_eq!(header(&all), Ok(found)),
            Some(Err(bad)) => prop_assert_eq!(header(&all), Err(bad)),
        }
    }

    #[test]
    fn what_is_written_is_read(source: SocketAddr, destination: SocketAddr) {
        prop_assume!(source.is_ipv4() == destination.is_ipv4());
        let plain = |end: SocketAddr| SocketAddr::new(end.ip(), end.port());
        let ends = Ends { source: plain(source), destination: plain(destination) };
        let kind = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!(
            "PROXY {kind} {} {} {} {}\r\n",
            ends.source.ip(), ends.destination.ip(), ends.source.port(), ends.destination.port()
        );
        prop_assert_eq!(header(line.as_bytes()), Ok(Parsed::Complete((line.len(), Some(ends)))));
        let bytes = binary(0x21, if source.is_ipv4() { 0x11 } else { 0x21 }, &octets(&ends));
        prop_assert_eq!(header(&bytes), Ok(Parsed::Complete((bytes.len(), Some(ends)))));
    }
}
