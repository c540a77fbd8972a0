//! Parts of a body: nginx's reading of `Range`, and the frame around several parts.

use std::ops::Range;

use proptest::prelude::*;

use super::super::ranges::{Frame, Wanted, content_range, wanted};

fn of(value: &str, length: u64) -> Wanted {
    wanted(value.as_bytes(), length, u32::MAX)
}

#[test]
fn ranges_are_read_as_nginx_reads_them() {
    let parts = |list: &[Range<u64>]| Wanted::Parts(list.to_vec());
    let part = |start, end| Wanted::Parts(vec![Range { start, end }]);
    let first = |end| part(0, end);
    for (value, length, expected) in [
        ("bytes=0-4", 10, first(5)),
        ("BYTES=0-4", 10, first(5)),
        ("bytes=0-99", 10, first(10)),
        ("bytes=7-", 10, part(7, 10)),
        ("bytes=-3", 10, part(7, 10)),
        ("bytes=-30", 10, first(10)),
        ("bytes=9223372036854775807-9223372036854775807", 10, Wanted::Nothing),
        ("bytes= 1 - 2 , 4-4", 10, parts(&[1..3, 4..5])),
        ("bytes=4-4,1-2", 10, parts(&[4..5, 1..3])),
        // What is not there is left out, as long as something is.
        ("bytes=10-12,1-2,20-", 10, part(1, 3)),
        // More than the whole costs more than the whole.
        ("bytes=0-9,0-0", 10, Wanted::Whole),
        ("bytes=10-", 10, Wanted::Nothing),
        ("bytes=5-3", 10, Wanted::Nothing),
        ("bytes=-0", 10, Wanted::Nothing),
        ("bytes=", 10, Wanted::Whole),
        ("lines=0-4", 10, Wanted::Whole),
        ("", 10, Wanted::Whole),
        ("bytes=0-", 0, Wanted::Whole),
        ("bytes=-1", 0, Wanted::Whole),
        ("bytes=1-", 0, Wanted::Nothing),
        ("bytes=a-", 10, Wanted::Nothing),
        ("bytes=1", 10, Wanted::Nothing),
        ("bytes=1-2,", 10, Wanted::Nothing),
        ("bytes=1-2x", 10, Wanted::Nothing),
        ("bytes=--2", 10, Wanted::Nothing),
        ("bytes=+1-2", 10, Wanted::Nothing),
        ("bytes=9223372036854775808-", 10, Wanted::Nothing),
    ] {
        assert_eq!(of(value, length), expected, "{value}");
    }
    assert_eq!(wanted(b"bytes=1-1", 10, 0), Wanted::Whole);
    assert_eq!(wanted(b"bytes=1-1,3-3", 10, 1), Wanted::Whole);
    assert_eq!(wanted(b"bytes=1-1,20-", 10, 1), part(1, 2));
}

#[test]
fn several_parts_stand_in_a_frame() {
    let frame = Frame::new(7, "text/plain", 10);
    assert_eq!(frame.kind(), "multipart/byteranges; boundary=00000000000000000007");
    assert_eq!(
        String::from_utf8_lossy(&frame.before(&(1..3))),
        "\r\n--00000000000000000007\r\nContent-Type: text/plain\r\nContent-Range: bytes 1-2/10\r\n\r\n"
    );
    assert_eq!(frame.end(), b"\r\n--00000000000000000007--\r\n");
    let untyped = Frame::new(7, "", 10).before(&(1..3));
    assert!(!String::from_utf8_lossy(&untyped).contains("Content-Type"));
}

/// A range as it is written, and what it stands for of a body of `length` octets.
fn range(length: u64) -> impl Strategy<Value = (String, Range<u64>)> {
    let number = 0..length + 3;
    let both = (number.clone(), number.clone())
        .prop_map(move |(a, b)| (format!("{}-{}", a.min(b), a.max(b)), a.min(b)..(a.max(b) + 1).min(length)));
    let open = number.clone().prop_map(move |a| (format!("{a}-"), a..length));
    let suffix = number.prop_map(move |n| (format!("-{n}"), length - n.min(length)..length));
    prop_oneof![both, open, suffix]
}

proptest! {
    #[test]
    fn what_is_asked_for_is_what_is_sent(
        (length, list) in (1..50_u64).prop_flat_map(|length| (Just(length), prop::collection::vec(range(length), 1..5))),
    ) {
        let value = format!("bytes={}", list.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(","));
        let there: Vec<_> = list.into_iter().map(|(_, part)| part).filter(|part| !part.is_empty()).collect();
        let sum: u64 = there.iter().map(|part| part.end - part.start).sum();
        let expected = match (there.is_empty(), sum > length) {
            (true, _) => Wanted::Nothing,
            (_, true) => Wanted::Whole,
            _ => Wanted::Parts(there),
        };
        prop_assert_eq!(of(&value, length), expected);
    }

    #[test]
    fn whatever_is_asked_for_lies_within(value in "(bytes=)?[-0-9 ,a]{0,24}", length in 0..40_u64, most in 0..4_u32) {
        if let Wanted::Parts(parts) = wanted(value.as_bytes(), length, most) {
            prop_assert!(!parts.is_empty() && parts.len() <= most as usize);
            prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= length));
            prop_assert!(parts.iter().map(|part| part.end - part.start).sum::<u64>() <= length);
        }
    }

    #[test]
    fn a_frame_is_as_long_as_it_says(
        cuts in prop::collection::vec((0..90_u64, 1..10_u64), 1..5), seed in any::<u64>(), kind in "[a-z/]{0,12}",
    ) {
        let frame = Frame::new(seed, &kind, 100);
        let parts: Vec<_> = cuts.into_iter().map(|(start, length)| start..start + length).collect();
        let mut body = 0;
        for part in &parts {
            let before = frame.before(part);
            prop_assert!(String::from_utf8_lossy(&before).contains(&content_range(part, 100)));
            body += before.len() as u64 + (part.end - part.start);
        }
        prop_assert_eq!(frame.length_of(&parts), body + frame.end().len() as u64);
    }
}
