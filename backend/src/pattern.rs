//! The bytes of `/bytes/N` and `/chunked/N`: a function of their offset.
//!
//! Lines of 64 bytes, each opening with its own offset in hexadecimal. A piece that a proxy lost,
//! repeated or moved is therefore seen even when it is a multiple of the line, as buffers are.

/// Bytes in a line.
pub const LINE: usize = 64;

const TEMPLATE: [u8; LINE] = *b"0000000000000000 abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST\n";

/// The byte at `offset`.
pub fn byte_at(offset: u64) -> u8 {
    line(offset)[(offset % LINE as u64) as usize]
}

/// Appends the `length` bytes that begin at `offset`.
pub fn append(out: &mut Vec<u8>, mut offset: u64, mut length: usize) {
    while length > 0 {
        let from = (offset % LINE as u64) as usize;
        let count = length.min(LINE - from);
        out.extend_from_slice(&line(offset)[from..from + count]);
        offset += count as u64;
        length -= count;
    }
}

/// The line that holds `offset`.
fn line(offset: u64) -> [u8; LINE] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut line = TEMPLATE;
    let mut rest = offset - offset % LINE as u64;
    for place in line[..16].iter_mut().rev() {
        *place = DIGITS[(rest % 16) as usize];
        rest /= 16;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_offset() {
        let mut out = Vec::new();
        append(&mut out, 0, 128);
        assert!(out.starts_with(b"0000000000000000 abc"));
        assert!(out[64..].starts_with(b"0000000000000040 abc"));
        assert!(out.ends_with(b"RST\n"));
    }

    #[test]
    fn pieces_join_to_the_whole() {
        let mut whole = Vec::new();
        append(&mut whole, 0, 1000);
        for cut in 0..=1000 {
            let mut pieces = Vec::new();
            append(&mut pieces, 0, cut);
            append(&mut pieces, cut as u64, 1000 - cut);
            assert_eq!(pieces, whole, "cut at {cut}");
        }
        for (offset, byte) in whole.iter().enumerate() {
            assert_eq!(byte_at(offset as u64), *byte);
        }
    }
}
