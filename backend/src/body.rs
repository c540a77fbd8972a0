//! A cursor over a request body: finds its end, checks its framing, hands out its bytes.
//!
//! Chunked bodies (RFC 9112, section 7.1) are read strictly: CRLF ends every line, sizes are
//! hexadecimal digits only, extensions and trailers are bounded and dropped.

/// How the end of a request body is found (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Exactly so many bytes; 0 where the request has no body.
    Length(u64),
    /// Chunks until the last one.
    Chunked,
}

/// The longest chunk extension, and the longest trailer section, in bytes.
const LINE_MAX: u32 = 8 * 1024;

/// The chunked coding is broken; where it ends is not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Where the cursor stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body {
    at: At,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// Within a body of known length; bytes to come.
    Length(u64),
    /// Within the size line; the size so far and its digits.
    Size {
        size: u64,
        digits: u32,
    },
    /// Within a chunk extension, which is skipped; its length so far.
    Extension {
        size: u64,
        length: u32,
    },
    /// After the CR of the size line.
    SizeLf {
        size: u64,
    },
    /// Within chunk data; bytes to come.
    Data(u64),
    /// After chunk data.
    DataCr,
    DataLf,
    /// At the start of a trailer line; trailer bytes so far.
    TrailerStart(u32),
    /// Within a trailer line.
    Trailer(u32),
    /// After the CR of a trailer line.
    TrailerLf(u32),
    /// After the CR of the empty line.
    LastLf,
    Done,
}

impl Body {
    pub(crate) fn new(framing: Framing) -> Self {
        let at = match framing {
            Framing::Length(0) => At::Done,
            Framing::Length(length) => At::Length(length),
            Framing::Chunked => At::Size { size: 0, digits: 0 },
        };
        Self { at }
    }

    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.at, At::Done)
    }

    /// Reads on, hands body bytes to `sink` and returns how much of `input` belongs to this body.
    /// Everything is used unless the body ends before.
    pub(crate) fn take(&mut self, input: &[u8], mut sink: impl FnMut(&[u8])) -> Result<usize, Malformed> {
        let mut used = 0;
        while used < input.len() && !self.is_complete() {
            self.at = match self.at {
                At::Length(left) | At::Data(left) => {
                    let count = left.min((input.len() - used) as u64) as usize;
                    sink(&input[used..used + count]);
                    used += count;
                    self.at.after_data(left - count as u64)
                }
                at => {
                    used += 1;
                    at.after_byte(input[used - 1])?
                }
            };
        }
        Ok(used)
    }
}

impl At {
    fn after_data(self, left: u64) -> At {
        match (self, left) {
            (At::Length(_), 0) => At::Done,
            (At::Length(_), left) => At::Length(left),
            (_, 0) => At::DataCr,
            (_, left) => At::Data(left),
        }
    }

    /// One byte of the chunked framing.
    fn after_byte(self, byte: u8) -> Result<At, Malformed> {
        match (self, byte) {
            (At::Size { digits: 15, .. }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                Err(Malformed("a chunk size of more than 15 digits"))
            }
            (At::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = (byte as char).to_digit(16).expect("matched as a hexadecimal digit");
                Ok(At::Size { size: size * 16 + u64::from(digit), digits: digits + 1 })
            }
            (At::Size { digits: 0, .. }, _) => Err(Malformed("a chunk without a size")),
            (At::Size { size, .. } | At::Extension { size, .. }, b'\r') => Ok(At::SizeLf { size }),
            (At::Size { size, .. }, b';' | b' ' | b'\t') => Ok(At::Extension { size, length: 1 }),
            (At::Size { .. }, _) => Err(Malformed("a chunk size that is not hexadecimal")),
            (At::Extension { .. }, b'\n') => Err(Malformed("a chunk size line that ends without CR")),
            (At::Extension { length: LINE_MAX, .. }, _) => {
                Err(Malformed("a chunk extension that is too long"))
            }
            (At::Extension { size, length }, _) => Ok(At::Extension { size, length: length + 1 }),
            (At::SizeLf { size: 0 }, b'\n') => Ok(At::TrailerStart(0)),
            (At::SizeLf { size }, b'\n') => Ok(At::Data(size)),
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => Ok(At::Size { size: 0, digits: 0 }),
            (At::TrailerStart(_), b'\r') => Ok(At::LastLf),
            (At::TrailerStart(_) | At::Trailer(_), b'\n') => Err(Malformed("a trailer that ends without CR")),
            (At::TrailerStart(LINE_MAX) | At::Trailer(LINE_MAX), _) => {
                Err(Malformed("trailers that are too long"))
            }
            (At::Trailer(length), b'\r') => Ok(At::TrailerLf(length)),
            (At::TrailerStart(length) | At::Trailer(length), _) => Ok(At::Trailer(length + 1)),
            (At::TrailerLf(length), b'\n') => Ok(At::TrailerStart(length)),
            (At::LastLf, b'\n') => Ok(At::Done),
            (At::SizeLf { .. } | At::DataCr | At::DataLf | At::TrailerLf(_) | At::LastLf, _) => {
                Err(Malformed("a chunk that does not end in CRLF"))
            }
            (At::Length(_) | At::Data(_) | At::Done, _) => unreachable!("not a framing byte"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), Malformed> {
        let mut body = Body::new(framing);
        let (mut bytes, mut used) = (Vec::new(), 0);
        for piece in pieces {
            used += body.take(piece, |data| bytes.extend_from_slice(data))?;
        }
        Ok((bytes, used, body.is_complete()))
    }

    #[test]
    fn a_length_ends_the_body_and_leaves_the_rest() {
        assert_eq!(read(Framing::Length(3), &[b"abcGET"]), Ok((b"abc".to_vec(), 3, true)));
        assert_eq!(read(Framing::Length(4), &[b"ab", b"c"]), Ok((b"abc".to_vec(), 3, false)));
        assert_eq!(read(Framing::Length(0), &[b"GET"]), Ok((Vec::new(), 0, true)));
    }

    #[test]
    fn chunks_are_joined_wherever_they_are_cut() {
        let text = b"5;name=\"v\"\r\nhello\r\nA \r\n, world...\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\nGET";
        for cut in 0..text.len() {
            let (bytes, used, complete) = read(Framing::Chunked, &[&text[..cut], &text[cut..]]).unwrap();
            assert_eq!(bytes, b"hello, world...");
            assert_eq!((used, complete), (text.len() - 3, true), "cut at {cut}");
        }
    }

    #[test]
    fn broken_chunks_are_refused() {
        let long = [b"1;".as_slice(), &vec![b'x'; 9000]].concat();
        let trailers = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(3000)].concat();
        for text in [
            b"\r\n".as_slice(),
            b"+5\r\n",
            b"0x5\r\n",
            b"5\nhello",
            b"5;x\nhello",
            b"5\r\rhello",
            b"5\r\nhello0\r\n",
            b"5\r\nhello\r5",
            b"0\r\n\n",
            b"0\r\n\rX",
            b"0\r\na: b\n",
            b"1234567890abcdef\r\n",
            &long,
            &trailers,
        ] {
            assert!(
                read(Framing::Chunked, &[text]).is_err(),
                "{}",
                text[..text.len().min(40)].escape_ascii()
            );
        }
    }
}
