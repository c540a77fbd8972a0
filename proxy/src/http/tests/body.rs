//! The cursor over bodies: whole, byte by byte, malformed.

use super::super::body::{BadChunk, Coding, Cursor, Then};
use super::super::framing::Length;
use crate::buffer::Buffers;

/// What became of some bytes.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    passed: Vec<u8>,
    data: usize,
    then: Then,
    /// Bytes behind the body.
    rest: usize,
}

/// Shows `bytes` to a cursor in pieces of at most `piece`.
fn run(length: Length, coding: Coding, bytes: &[u8], piece: usize) -> Result<Outcome, BadChunk> {
    let mut cursor = Cursor::new(length, coding);
    let mut outcome = Outcome { passed: Vec::new(), data: 0, then: Then::More, rest: 0 };
    let (mut at, mut shown) = (0, 0);
    loop {
        let scan = cursor.scan(&bytes[at..shown])?;
        outcome.passed.extend_from_slice(&bytes[at..at + scan.pass]);
        outcome.data += scan.data;
        outcome.then = scan.then;
        at += scan.pass + scan.skip;
        outcome.rest = bytes.len() - at;
        match scan.then {
            Then::More if at < shown => assert!(scan.skip > 0, "it stopped for nothing"),
            Then::More if shown < bytes.len() => shown = (shown + piece).min(bytes.len()),
            _ => return Ok(outcome),
        }
    }
}

/// The same, where each piece is compacted behind what has passed.
fn run_compact(length: Length, coding: Coding, bytes: &[u8], piece: usize) -> Result<Outcome, BadChunk> {
    let mut cursor = Cursor::new(length, coding);
    let mut buffer = Buffers::new(8192).small();
    let mut outcome = Outcome { passed: Vec::new(), data: 0, then: Then::More, rest: 0 };
    let mut pieces = bytes.chunks(piece);
    let (mut pass, mut shown) = (0, 0);
    loop {
        let before = buffer.len();
        let scan = cursor.compact(&mut buffer, pass)?;
        assert_eq!(buffer.len() + scan.skip, before);
        pass += scan.pass;
        outcome.data += scan.data;
        outcome.then = scan.then;
        outcome.passed = buffer.filled()[..pass].to_vec();
        outcome.rest = bytes.len() - shown + buffer.len() - pass;
        match (scan.then, pieces.next()) {
            (Then::More, Some(next)) => {
                assert_eq!(buffer.len(), pass, "it stopped for nothing");
                buffer.append(next).expect("room");
                shown += next.len();
            }
            _ => return Ok(outcome),
        }
    }
}

/// The outcome of every way to cut `bytes` into equal pieces, which must all be the same.
fn outcome(length: Length, coding: Coding, bytes: &[u8]) -> Result<Outcome, BadChunk> {
    let whole = run(length, coding, bytes, bytes.len().max(1));
    for piece in 1..bytes.len() {
        assert_eq!(
            run(length, coding, bytes, piece),
            whole,
            "in pieces of {piece}: {:?}",
            super::text(bytes)
        );
        assert_eq!(
            run_compact(length, coding, bytes, piece),
            whole,
            "compacted in pieces of {piece}: {:?}",
            super::text(bytes)
        );
    }
    whole
}

#[test]
fn bodies_without_chunks() {
    for (length, bytes, passed, then) in [
        (Length::Empty, "GET", "", Then::End),
        (Length::Empty, "", "", Then::End),
        (Length::Exact(3), "abc", "abc", Then::End),
        (Length::Exact(3), "abcGET", "abc", Then::End),
        (Length::Exact(3), "ab", "ab", Then::More),
        (Length::Exact(3), "", "", Then::More),
        (Length::UntilClose, "abc", "abc", Then::More),
        (Length::UntilClose, "", "", Then::More),
    ] {
        for coding in [Coding::Keep, Coding::Strip] {
            let expected =
                Outcome { passed: passed.into(), data: passed.len(), then, rest: bytes.len() - passed.len() };
            assert_eq!(outcome(length, coding, bytes.as_bytes()), Ok(expected), "{length:?} {bytes}");
        }
    }
}

/// RFC 9112 section 7.1
#[test]
fn chunked_bodies() {
    // What comes; what passes with its framing; the data alone; what is behind it.
    let cases = [
        ("0\r\n\r\n", "0\r\n\r\n", "", Then::End, 0),
        ("3\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "abc", Then::End, 0),
        ("3\r\nabc\r\n0\r\n\r\nGET", "3\r\nabc\r\n0\r\n\r\n", "abc", Then::End, 3),
        ("a\r\n0123456789\r\n0\r\n\r\n", "a\r\n0123456789\r\n0\r\n\r\n", "0123456789", Then::End, 0),
        ("A\r\n0123456789\r\n0\r\n\r\n", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789", Then::End, 0),
        ("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc", Then::End, 0),
        ("003\r\nabc\r\n000\r\n\r\n", "003\r\nabc\r\n000\r\n\r\n", "abc", Then::End, 0),
        // Data may look like anything.
        ("4\r\n0\r\n\r\r\n0\r\n\r\n", "4\r\n0\r\n\r\r\n0\r\n\r\n", "0\r\n\r", Then::End, 0),
        // The largest size there is is believed until the data ends.
        ("fffffffffffffff\r\nabc", "fffffffffffffff\r\nabc", "abc", Then::More, 0),
        ("000000000000003\r\nabc", "000000000000003\r\nabc", "abc", Then::More, 0),
        // Section 7.1.1: extensions and padding are dropped.
        ("3;a=b\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "abc", Then::End, 0),
        ("3 ; a = \"b;\u{e4}\t\"\r\nabc\r\n0;x\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "abc", Then::End, 0),
        ("3  \t\r\nabc\r\n0 \r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "abc", Then::End, 0),
        ("3;\r\nabc\r\n", "3\r\nabc\r\n", "abc", Then::More, 0),
        // Not at its end yet.
        ("", "", "", Then::More, 0),
        ("3", "3", "", Then::More, 0),
        ("3\r", "3\r", "", Then::More, 0),
        ("3;x", "3", "", Then::More, 0),
        ("3\r\nab", "3\r\nab", "ab", Then::More, 0),
        ("3\r\nabc\r", "3\r\nabc\r", "abc", Then::More, 0),
        ("0\r\n", "0\r\n", "", Then::More, 0),
        ("0\r\n\r", "0\r\n\r", "", Then::More, 0),
        // Section 7.1.2: a trailer section is the caller's.
        ("0\r\nA: b\r\n\r\n", "0\r\n", "", Then::Trailers, 8),
        ("1\r\na\r\n0\r\nA", "1\r\na\r\n0\r\n", "a", Then::Trailers, 1),
        ("0\r\n x", "0\r\n", "", Then::Trailers, 2),
    ];
    for (bytes, kept, stripped, then, rest) in cases {
        for (coding, passed) in [(Coding::Keep, kept), (Coding::Strip, stripped)] {
            let expected = Outcome { passed: passed.into(), data: stripped.len(), then, rest };
            assert_eq!(
                outcome(Length::Chunked, coding, bytes.as_bytes()),
                Ok(expected),
                "{coding:?} {bytes:?}"
            );
        }
    }
}

#[test]
fn malformed_chunks() {
    for bytes in [
        "\r\n",
        "\n",
        ";x\r\n",
        " 3\r\nabc\r\n",
        "\t3\r\n",
        "-3\r\n",
        "+3\r\n",
        "0x3\r\n",
        "3x\r\n",
        "g\r\n",
        "\u{663}\r\n",
        // Sizes that could overflow somebody's integer.
        "1000000000000000\r\n",
        "ffffffffffffffff\r\n",
        "0000000000000003\r\nabc\r\n",
        "00000000000000000\r\n\r\n",
        // Line ends: a bare LF, a bare CR, two CRs.
        "3\nabc\r\n",
        "3\rabc\r\n",
        "3\r\r\nabc\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\r0\r\n\r\n",
        "3\r\nabc\r\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\n\rX",
        "0\r\r\n",
        // Data that is longer than its size, and shorter.
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "3\r\nabc\r\n\r\n",
        // Extensions: line ends hidden in them, control bytes, no semicolon.
        "3;a\nabc\r\n",
        "3;a\rbc\r\n",
        "3;a=\"\r\n\"\r\nabc\r\n",
        "3;\0\r\n",
        "3;\u{7f}\r\n",
        "3 3\r\nabc\r\n",
        "3 x\r\nabc\r\n",
        "3 \nabc",
        "3\u{b}\r\nabc",
    ] {
        // A zero extension ends early: what is wrong comes later in some of these.
        for coding in [Coding::Keep, Coding::Strip] {
            assert!(outcome(Length::Chunked, coding, bytes.as_bytes()).is_err(), "{coding:?} {bytes:?}");
        }
    }
}

#[test]
fn extensions_are_bounded() {
    let with = |n: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(n));
    let passed = |n: usize| run(Length::Chunked, Coding::Keep, with(n).as_bytes(), 7).map(|o| o.passed);
    assert_eq!(passed(4095).as_deref(), Ok(&b"1\r\na\r\n0\r\n\r\n"[..]));
    assert_eq!(passed(4096), Err(BadChunk("chunk extension too long")));
}

#[test]
fn a_cursor_knows_its_place() {
    let mut cursor = Cursor::default();
    assert!(cursor.ended() && !cursor.ends_at_close());
    cursor = Cursor::new(Length::Exact(5), Coding::Keep);
    assert_eq!((cursor.ended(), cursor.at_least()), (false, 5));
    cursor.scan(b"abc").expect("data");
    assert_eq!(cursor.at_least(), 2);
    cursor.scan(b"de").expect("data");
    assert!(cursor.ended());
    cursor = Cursor::new(Length::UntilClose, Coding::Keep);
    assert!(cursor.ends_at_close() && cursor.at_least() == u64::MAX);
    cursor = Cursor::new(Length::Chunked, Coding::Strip);
    assert!(!cursor.ends_at_close());
    assert_eq!(cursor.scan(b"10\r\nab").expect("a size").skip, 4);
    cursor.scan(b"ab").expect("data");
    assert_eq!(cursor.at_least(), 14);
    cursor = Cursor::new(Length::Chunked, Coding::Keep);
    assert_eq!(cursor.scan(b"0\r\nA: b\r\n\r\n").expect("a trailer section").then, Then::Trailers);
    assert!(!cursor.ended());
    cursor.trailers_done();
    assert!(cursor.ended());
}
