//! Looking for bytes, sixteen at a time.
//!
//! Heads are short and each byte of them has to be looked at, so this is where a request spends its user time.
//! Sixteen bytes fit a register, and a question about them is answered for all at once.

use wide::u8x16;

/// Bytes looked at in one go.
const LANES: usize = 16;

/// A question about sixteen bytes: all bits of a lane are set where its byte is meant.
pub trait Wanted: Fn(u8x16) -> u8x16 {}

impl<F: Fn(u8x16) -> u8x16> Wanted for F {}

/// The first byte at or behind `at` that is `wanted`, or the end.
#[inline(always)]
pub fn find(bytes: &[u8], at: usize, wanted: impl Wanted) -> usize {
    find_at_end(bytes, bytes, at, wanted)
}

/// The same in `bytes` that `whole` ends with: however few they are, those of `whole` before them fill a register.
#[inline(always)]
pub fn find_at_end(whole: &[u8], bytes: &[u8], mut at: usize, wanted: impl Wanted) -> usize {
    debug_assert!(whole.ends_with(bytes));
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let found = wanted(u8x16::from(*chunk)).to_bitmask();
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += LANES;
    }
    // The bytes that are left do not fill a register: with those before them they do.
    let left = bytes.len().saturating_sub(at);
    let Some(chunk) = whole.last_chunk() else { return find_in_few(bytes, left, wanted) };
    let found = u64::from(wanted(u8x16::from(*chunk)).to_bitmask()) >> (LANES - left);
    bytes.len() - left + left.min(found.trailing_zeros() as usize)
}

/// The same in the last `left` of bytes that are too few for a register. Apart, since it is not often so.
#[inline(never)]
fn find_in_few(bytes: &[u8], left: usize, wanted: impl Wanted) -> usize {
    let rest = &bytes[bytes.len() - left..];
    // Two halves in one number: where they overlap they are alike.
    let number = if let (Some(first), Some(last)) = (rest.first_chunk(), rest.last_chunk()) {
        u128::from(u64::from_le_bytes(*first)) | u128::from(u64::from_le_bytes(*last)) << (8 * left - 64)
    } else if let (Some(first), Some(last)) = (rest.first_chunk(), rest.last_chunk()) {
        let first = u64::from(u32::from_le_bytes(*first));
        u128::from(first | u64::from(u32::from_le_bytes(*last)) << (8 * left - 32))
    } else {
        rest.iter().rev().fold(0, |number, &byte| number << 8 | u128::from(byte))
    };
    let found = wanted(u8x16::from(number.to_le_bytes())).to_bitmask();
    bytes.len() - left + left.min(found.trailing_zeros() as usize)
}

/// This byte.
#[inline(always)]
pub fn equal(byte: u8) -> impl Wanted {
    move |lanes| lanes.simd_eq(u8x16::splat(byte))
}

/// Bytes below `limit`, which is not 0, and DEL.
#[inline(always)]
pub fn below_or_del(limit: u8) -> impl Wanted {
    move |lanes| lanes.min(u8x16::splat(limit - 1)).simd_eq(lanes) | equal(0x7f)(lanes)
}

/// ASCII that leaves ink.
#[inline(always)]
pub fn visible() -> impl Wanted {
    move |lanes| {
        let above = lanes - u8x16::splat(b'!');
        above.min(u8x16::splat(b'~' - b'!')).simd_eq(above)
    }
}

/// Letters and `-`: what nearly all names are made of.
#[inline(always)]
pub fn letters_and_dash() -> impl Wanted {
    move |lanes| {
        // Lowering also takes what lies 0x20 below a small letter for one, and those are the capitals.
        let letter = (lanes | u8x16::splat(0x20)) - u8x16::splat(b'a');
        letter.min(u8x16::splat(25)).simd_eq(letter) | equal(b'-')(lanes)
    }
}

/// Those, digits and `.`: what nearly all hosts are called.
#[inline(always)]
pub fn letters_digits_dash_and_dot() -> impl Wanted {
    move |lanes| {
        // From `-` to `9` there is `/` besides.
        let digit = lanes - u8x16::splat(b'-');
        let digit = digit.min(u8x16::splat(b'9' - b'-')).simd_eq(digit);
        letters_and_dash()(lanes) | (digit & !equal(b'/')(lanes))
    }
}

/// All others.
#[inline(always)]
pub fn not(wanted: impl Wanted) -> impl Wanted {
    move |lanes| !wanted(lanes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_question_is_answered_as_byte_by_byte(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            at in 0_usize..90,
            byte in any::<u8>(),
            limit in 1_u8..=0x80,
        ) {
            let naive = |wanted: &dyn Fn(u8) -> bool| {
                let rest = bytes.get(at..).unwrap_or_default();
                rest.iter().position(|&b| wanted(b)).map_or(bytes.len(), |n| at + n)
            };
            prop_assert_eq!(find(&bytes, at, equal(byte)), naive(&|b| b == byte));
            prop_assert_eq!(find(&bytes, at, below_or_del(limit)), naive(&|b| b < limit || b == 0x7f));
            prop_assert_eq!(find(&bytes, at, visible()), naive(&|b| b.is_ascii_graphic()));
            let is_name = |b: u8| b.is_ascii_alphabetic() || b == b'-';
            prop_assert_eq!(find(&bytes, at, letters_and_dash()), naive(&is_name));
            let is_host = |b: u8| is_name(b) || b.is_ascii_digit() || b == b'.';
            prop_assert_eq!(find(&bytes, at, letters_digits_dash_and_dot()), naive(&is_host));
            prop_assert_eq!(find(&bytes, at, not(letters_and_dash())), naive(&|b| !is_name(b)));

            let rest = &bytes[at.min(bytes.len())..];
            let found = find_at_end(&bytes, rest, 0, equal(byte));
            prop_assert_eq!(found, rest.iter().position(|&b| b == byte).unwrap_or(rest.len()));
        }
    }
}
