//! The body cursor, under arbitrary splits, against a reader of whole bodies that was written apart.
//!
//! Input: one byte for the kind of body, one that says how many sizes of pieces follow, those sizes, the
//! bytes of the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy::http::body::{Coding, Cursor, Then};
use proxy::http::framing::Length;

/// What a body comes to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    passed: Vec<u8>,
    data: usize,
    /// How it ends; `None`: it is malformed.
    then: Option<Then>,
    /// Bytes behind it.
    rest: usize,
}

/// Reads a whole body in one go: from the grammar of RFC 9112 section 7.1, narrowed as the design says.
fn reference(length: Length, keep: bool, bytes: &[u8]) -> Outcome {
    let whole = |n: usize, then| Outcome {
        passed: bytes[..n].to_vec(),
        data: n,
        then: Some(then),
        rest: bytes.len() - n,
    };
    match length {
        Length::Empty => whole(0, Then::End),
        Length::Exact(n) if n <= bytes.len() as u64 => whole(n as usize, Then::End),
        Length::Exact(_) | Length::UntilClose => whole(bytes.len(), Then::More),
        Length::Chunked => {
            let mut outcome = Outcome::default();
            match chunks(keep, bytes, &mut outcome) {
                Ok((then, at)) => {
                    (outcome.then, outcome.rest) = (Some(then), bytes.len() - at);
                    outcome
                }
                Err(()) => Outcome::default(),
            }
        }
    }
}

/// Where the chunks end and how, or that they are malformed.
fn chunks(keep: bool, bytes: &[u8], outcome: &mut Outcome) -> Result<(Then, usize), ()> {
    let mut at = 0;
    let pass = |outcome: &mut Outcome, framing: &[u8]| {
        if keep {
            outcome.passed.extend_from_slice(framing);
        }
    };
    // Takes CRLF, or as much of it as there is; false at the end of the bytes.
    let crlf = |at: &mut usize, outcome: &mut Outcome| {
        for expected in *b"\r\n" {
            match bytes.get(*at) {
                None => return Ok(false),
                Some(&byte) if byte == expected => pass(outcome, &[byte]),
                Some(_) => return Err(()),
            }
            *at += 1;
        }
        Ok(true)
    };
    loop {
        let digits = bytes[at..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let size = &bytes[at..at + digits];
        if digits > 15 || (digits == 0 && at < bytes.len()) {
            return Err(());
        }
        if keep {
            outcome.passed.extend_from_slice(size);
        }
        at += digits;
        let line = &bytes[at..];
        let extension = line.iter().position(|&b| b == b'\r').unwrap_or(line.len());
        let text = &line[..extension];
        let behind = text.trim_ascii_start();
        if text.iter().any(|&b| (b < b' ' && b != b'\t') || b == 0x7f)
            || !(behind.is_empty() || behind[0] == b';')
            || extension > 4096
        {
            return Err(());
        }
        at += extension;
        if !crlf(&mut at, outcome)? {
            return Ok((Then::More, at));
        }
        let size = size.iter().fold(0, |n, &b| n * 16 + (b as char).to_digit(16).unwrap() as usize);
        if size == 0 {
            return match bytes.get(at) {
                Some(b'\r') => {
                    let ended = crlf(&mut at, outcome)?;
                    Ok((if ended { Then::End } else { Then::More }, at))
                }
                Some(b'\n') => Err(()),
                Some(_) => Ok((Then::Trailers, at)),
                None => Ok((Then::More, at)),
            };
        }
        let n = size.min(bytes.len() - at);
        outcome.passed.extend_from_slice(&bytes[at..at + n]);
        outcome.data += n;
        at += n;
        if n < size || !crlf(&mut at, outcome)? {
            return Ok((Then::More, at));
        }
    }
}

/// Shows the bytes to a cursor in pieces of these sizes, taken round and round.
fn in_pieces(length: Length, coding: Coding, bytes: &[u8], sizes: &[u8]) -> Outcome {
    let mut cursor = Cursor::new(length, coding);
    let mut outcome = Outcome::default();
    let (mut at, mut shown) = (0, 0);
    let mut sizes = sizes.iter().cycle();
    loop {
        let window = &bytes[at..shown];
        let Ok(scan) = cursor.scan(window) else { return Outcome::default() };
        outcome.passed.extend_from_slice(&window[..scan.pass]);
        outcome.data += scan.data;
        at += scan.pass + scan.skip;
        (outcome.then, outcome.rest) = (Some(scan.then), bytes.len() - at);
        assert_eq!(cursor.ended(), scan.then == Then::End);
        match scan.then {
            Then::More if at < shown => assert!(scan.skip > 0, "it stopped for nothing"),
            Then::More if shown < bytes.len() => {
                let size = sizes.next().map_or(usize::MAX, |&size| usize::from(size).max(1));
                shown = shown.saturating_add(size).min(bytes.len());
            }
            _ => return outcome,
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let [kind, count, input @ ..] = input else { return };
    let (sizes, bytes) = input.split_at(input.len().min(usize::from(*count % 8)));
    let length = match kind % 8 {
        0 => Length::Empty,
        1 => Length::UntilClose,
        2 => Length::Exact(u64::from(kind / 8) + 1),
        _ => Length::Chunked,
    };
    for coding in [Coding::Keep, Coding::Strip] {
        let expected = reference(length, coding == Coding::Keep, bytes);
        assert_eq!(in_pieces(length, coding, bytes, &[]), expected, "{coding:?} at once");
        assert_eq!(in_pieces(length, coding, bytes, sizes), expected, "{coding:?} in pieces of {sizes:?}");
        assert_eq!(in_pieces(length, coding, bytes, &[1]), expected, "{coding:?} byte by byte");
    }
});
