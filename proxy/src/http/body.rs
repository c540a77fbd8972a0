//! A cursor over body bytes: scans them, and never copies them but to close a gap.
//!
//! The cursor is shown the bytes at hand and says how many of them may pass on as they are, how many
//! behind those are to be dropped, and whether the body ends there. It keeps its place between calls, so
//! any split of the same bytes gives the same result.
//!
//! Chunked bodies are checked octet by octet in their framing and skipped over in their data
//! (RFC 9112 section 7.1). Two ways to read them: [`Coding::Keep`] passes the framing with the data, for
//! a recipient that takes chunks; what is not canonical in it (chunk extensions, padding) is dropped.
//! [`Coding::Strip`] passes the data alone.

use super::framing::Length;
use crate::buffer::Buffer;

/// What of chunked framing passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// Size lines and line ends pass with the data.
    #[default]
    Keep,
    /// Only the data passes.
    Strip,
}

/// What the cursor says of the bytes it was shown: the first `pass` go on, the next `skip` do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Bytes to pass on as they are.
    pub pass: usize,
    /// Bytes behind those to drop.
    pub skip: usize,
    /// How many of all these bytes are data rather than framing.
    pub data: usize,
    /// What comes behind both.
    pub then: Then,
}

/// What comes behind the scanned bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// More of the body: either the bytes at hand are used up or there was something to drop.
    #[default]
    More,
    /// A trailer section with at least one field, up to its blank line: the caller reads it and says
    /// [`Cursor::trailers_done`]. The blank line has not been passed.
    Trailers,
    /// The body has ended.
    End,
}

/// The chunked coding is malformed; the text is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadChunk(pub &'static str);

/// The longest chunk extension, in bytes: nobody uses them but to make recipients work.
const EXTENSION_MAX: u16 = 4096;

/// The most digits of a chunk size: 15 hexadecimal digits are 2^60 bytes and cannot overflow.
const SIZE_DIGITS_MAX: u8 = 15;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The body has ended.
    #[default]
    End,
    /// So many octets are left.
    Exact(u64),
    /// Everything passes.
    UntilClose,
    /// At a chunk size, `digits` of it seen.
    Size { size: u64, digits: u8 },
    /// In white space behind the size, so many bytes in.
    Padding { size: u64, seen: u16 },
    /// In a chunk extension, so many bytes behind the size.
    Extension { size: u64, seen: u16 },
    /// Behind the CR of a size line.
    SizeLf { size: u64 },
    /// In the data of a chunk, so many octets left.
    Data(u64),
    /// Behind the data.
    DataCr,
    /// Behind the CR that follows the data.
    DataLf,
    /// Behind the size line of the last chunk.
    LastCr,
    /// Behind the CR of the blank line.
    LastLf,
    /// In a trailer section, which is the caller's.
    Trailers,
}

/// A place in a body. The default is at the end of an empty one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    state: State,
    coding: Coding,
}

impl Cursor {
    /// At the start of a body of this length.
    pub fn new(length: Length, coding: Coding) -> Cursor {
        let state = match length {
            Length::Empty => State::End,
            Length::Exact(n) => State::Exact(n - u64::from(planted!(BoundaryOffByOne) && n > 1)),
            Length::Chunked => State::Size { size: 0, digits: 0 },
            Length::UntilClose => State::UntilClose,
        };
        Cursor { state, coding }
    }

    /// Whether the body has ended.
    pub fn ended(&self) -> bool {
        self.state == State::End
    }

    /// Whether the sender may end the body by closing.
    pub fn ends_at_close(&self) -> bool {
        self.state == State::UntilClose
    }

    /// How many bytes of data surely follow; for choosing a buffer, not for framing.
    pub fn at_least(&self) -> u64 {
        match self.state {
            State::Exact(n) | State::Data(n) => n,
            State::UntilClose => u64::MAX,
            _ => 0,
        }
    }

    /// The trailer section has been read to its end.
    pub fn trailers_done(&mut self) {
        debug_assert_eq!(self.state, State::Trailers);
        self.state = State::End;
    }

    /// Judges what lies in `buffer` behind the first `judged` bytes, as far as it can: to its end, to the end
    /// of the body, or to a trailer section. What is to be dropped is taken out (`skip` says how much that
    /// was), so that what passes lies in one piece, however small the chunks are that it came in.
    #[inline(always)]
    pub fn compact(&mut self, buffer: &mut Buffer, judged: usize) -> Result<Scan, BadChunk> {
        match self.scan(&buffer.filled()[judged..]) {
            Ok(scan) if scan.skip > 0 => self.close_gaps(buffer, judged, scan),
            scan => scan,
        }
    }

    #[cold]
    fn close_gaps(&mut self, buffer: &mut Buffer, judged: usize, first: Scan) -> Result<Scan, BadChunk> {
        let mut all = first;
        loop {
            let at = judged + all.pass + all.skip;
            if all.then != Then::More || at == buffer.len() {
                break;
            }
            let scan = self.scan(&buffer.filled()[at..])?;
            buffer.shift(at..at + scan.pass, judged + all.pass);
            all.pass += scan.pass;
            all.skip += scan.skip;
            all.data += scan.data;
            all.then = scan.then;
        }
        buffer.remove(judged + all.pass, all.skip);
        Ok(all)
    }

    /// Looks at the `bytes` that follow those of earlier calls, as far as it can: to their end, to the
    /// end of the body, to a trailer section, or past the first run that does not pass.
    #[inline(always)]
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Scan, BadChunk> {
        // Most bodies are of a known length and here already, or are none.
        match self.state {
            State::End => Ok(Scan { then: Then::End, ..Scan::default() }),
            State::Exact(left) if left <= bytes.len() as u64 => {
                self.state = State::End;
                Ok(Scan { pass: left as usize, skip: 0, data: left as usize, then: Then::End })
            }
            _ => self.scan_runs(bytes),
        }
    }

    #[inline(never)]
    fn scan_runs(&mut self, bytes: &[u8]) -> Result<Scan, BadChunk> {
        let mut at = 0;
        let mut pass = 0;
        let mut data = 0;
        while at < bytes.len() && !matches!(self.state, State::End | State::Trailers) {
            let before = self.state;
            let (taken, passes) = self.step(&bytes[at..])?;
            if passes && at > pass {
                // Something was dropped in front of this: it is for the next call.
                self.state = before;
                break;
            }
            at += taken;
            if matches!(before, State::Exact(_) | State::UntilClose | State::Data(_)) {
                data += taken;
            }
            if passes {
                pass = at;
            }
        }
        let then = match self.state {
            State::End => Then::End,
            State::Trailers => Then::Trailers,
            _ => Then::More,
        };
        Ok(Scan { pass, skip: at - pass, data, then })
    }

    /// Takes one run of equal fate from `bytes` (not empty): its length, and whether it passes.
    fn step(&mut self, bytes: &[u8]) -> Result<(usize, bool), BadChunk> {
        let framing = self.coding == Coding::Keep;
        let byte = bytes[0];
        let run = |left: u64| left.min(bytes.len() as u64);
        let (next, taken, passes) = match self.state {
            State::Exact(left) => {
                let n = run(left);
                (if n == left { State::End } else { State::Exact(left - n) }, n as usize, true)
            }
            State::UntilClose => (State::UntilClose, bytes.len(), true),
            State::Data(left) => {
                let n = run(left);
                (if n == left { State::DataCr } else { State::Data(left - n) }, n as usize, true)
            }
            State::Size { size, digits } => match (hex(byte), byte) {
                (Some(_), _) if digits == SIZE_DIGITS_MAX => return Err(BadChunk("chunk size too large")),
                (Some(d), _) => (State::Size { size: size << 4 | d, digits: digits + 1 }, 1, framing),
                (None, _) if digits == 0 => return Err(BadChunk("malformed chunk size")),
                (None, b'\r') => (State::SizeLf { size }, 1, framing),
                (None, b' ' | b'\t') => (State::Padding { size, seen: 1 }, 1, false),
                (None, b';') => (State::Extension { size, seen: 1 }, 1, false),
                (None, _) => return Err(BadChunk("malformed chunk size")),
            },
            State::Padding { size, .. } | State::Extension { size, .. } if byte == b'\r' => {
                (State::SizeLf { size }, 1, framing)
            }
            State::Padding { seen, .. } | State::Extension { seen, .. } if seen == EXTENSION_MAX => {
                return Err(BadChunk("chunk extension too long"));
            }
            State::Padding { size, seen } => match byte {
                b' ' | b'\t' => (State::Padding { size, seen: seen + 1 }, 1, false),
                b';' => (State::Extension { size, seen: seen + 1 }, 1, false),
                _ => return Err(BadChunk("malformed chunk size")),
            },
            State::Extension { size, seen } => match byte {
                b'\t' | b' '..=b'~' | 0x80.. => (State::Extension { size, seen: seen + 1 }, 1, false),
                _ => return Err(BadChunk("control byte in a chunk extension")),
            },
            State::SizeLf { size: 0 } if byte == b'\n' => (State::LastCr, 1, framing),
            State::SizeLf { size } if byte == b'\n' => (State::Data(size), 1, framing),
            State::DataCr if byte == b'\r' => (State::DataLf, 1, framing),
            State::DataLf if byte == b'\n' => (State::Size { size: 0, digits: 0 }, 1, framing),
            State::LastCr if byte == b'\r' => (State::LastLf, 1, framing),
            State::LastCr if byte == b'\n' => return Err(BadChunk("a bare LF in chunked framing")),
            State::LastCr => (State::Trailers, 0, false),
            State::LastLf if byte == b'\n' => (State::End, 1, framing),
            State::SizeLf { .. } | State::LastLf => {
                return Err(BadChunk("a CR without LF in chunked framing"));
            }
            State::DataCr | State::DataLf => return Err(BadChunk("chunk data longer than its size")),
            State::End | State::Trailers => (self.state, 0, true),
        };
        self.state = next;
        Ok((taken, passes))
    }
}

fn hex(byte: u8) -> Option<u64> {
    match byte {
        b'0'..=b'9' => Some(u64::from(byte - b'0')),
        b'a'..=b'f' => Some(u64::from(byte - b'a' + 10)),
        b'A'..=b'F' => Some(u64::from(byte - b'A' + 10)),
        _ => None,
    }
}
