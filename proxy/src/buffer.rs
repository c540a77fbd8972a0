//! Fixed-size linear buffers and their free list.
//!
//! A buffer belongs to a connection only while bytes are in flight: it is taken from [`Buffers`] when a
//! socket becomes readable and given back when it is empty, so an idle connection costs its slot and
//! its socket. There are two sizes: a head fits the small one; a long body is moved through large ones,
//! because the number of system calls for it is its length over the buffer's size.
//!
//! Each is a mapping of its own, not a block of the allocator's heap. There, a few thousand buffers that have
//! served a rush of clients would stay resident for good, pinned by whatever small thing lies behind them;
//! unmapped, they are the system's again. It takes two system calls, but only where the number of buffers
//! in use swings by more than the free list holds.

use std::ops::Range;

use memmap2::MmapMut;

/// Bytes in a fixed block. It is a pointer, since every request moves a few of them to and fro.
#[derive(Debug)]
pub struct Buffer(Box<Block>);

/// Bytes between a `start` and an `end`.
///
/// Invariant: `start <= end <= bytes.len()`, and both are 0 when the buffer is empty.
#[derive(Debug)]
struct Block {
    bytes: MmapMut,
    start: u32,
    end: u32,
}

impl Buffer {
    /// # Panics
    ///
    /// Where the system has no memory, or no more mappings (`vm.max_map_count`): that costs the connection for
    /// which it was wanted.
    fn new(size: usize) -> Buffer {
        let bytes = MmapMut::map_anon(size)
            .unwrap_or_else(|error| panic!("no memory for a buffer of {size} bytes: {error}"));
        Buffer(Box::new(Block { bytes, start: 0, end: 0 }))
    }

    /// The bytes that are in it.
    pub fn filled(&self) -> &[u8] {
        &self.0.bytes[self.0.start as usize..self.0.end as usize]
    }

    /// How many bytes are in it.
    pub fn len(&self) -> usize {
        (self.0.end - self.0.start) as usize
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.start == self.0.end
    }

    /// How many bytes it can hold in all.
    pub fn capacity(&self) -> usize {
        self.0.bytes.len()
    }

    /// The room behind the bytes. Moves them to the front where there would be little.
    #[inline]
    pub fn space(&mut self) -> &mut [u8] {
        let room = self.0.bytes.len() - self.0.end as usize;
        if self.0.start > 0 && room < self.0.bytes.len() / 4 {
            self.0.bytes.copy_within(self.0.start as usize..self.0.end as usize, 0);
            self.0.end -= self.0.start;
            self.0.start = 0;
        }
        &mut self.0.bytes[self.0.end as usize..]
    }

    /// Whether no byte more would fit, even after moving.
    pub fn is_full(&self) -> bool {
        self.len() == self.0.bytes.len()
    }

    /// Takes the first `n` bytes of [`Buffer::space`] as filled.
    pub fn commit(&mut self, n: usize) {
        assert!(n <= self.0.bytes.len() - self.0.end as usize, "committed more than there was room for");
        self.0.end += n as u32;
    }

    /// Drops the first `n` bytes.
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.len(), "consumed more than there was");
        self.0.start += n as u32;
        if self.0.start == self.0.end {
            self.clear();
        }
    }

    /// Moves the bytes at `place` forward, to where `to` is; what lay there is lost.
    pub fn shift(&mut self, place: Range<usize>, to: usize) {
        assert!(to <= place.start && place.end <= self.len(), "moved what is not there");
        let start = self.0.start as usize;
        self.0.bytes.copy_within(start + place.start..start + place.end, start + to);
    }

    /// Drops `n` bytes that lie behind the first `at`. Of the bytes around them the fewer move.
    pub fn remove(&mut self, at: usize, n: usize) {
        assert!(at + n <= self.len(), "removed more than there was");
        let (start, end) = (self.0.start as usize, self.0.end as usize);
        let gap = start + at;
        if at < end - gap - n {
            self.0.bytes.copy_within(start..gap, start + n);
            self.consume(n);
        } else {
            self.0.bytes.copy_within(gap + n..end, gap);
            self.0.end -= n as u32;
            self.consume(0);
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.0.start = 0;
        self.0.end = 0;
    }

    /// Appends `bytes` whole, or nothing where they do not fit.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.0.end as usize;
        let room = self.0.bytes.get_mut(end..end + bytes.len()).ok_or(Full)?;
        room.copy_from_slice(bytes);
        self.0.end += bytes.len() as u32;
        Ok(())
    }

    /// Appends `parts` whole, one behind the other, or nothing where they do not fit together.
    pub fn append_all<const N: usize>(&mut self, parts: [&[u8]; N]) -> Result<(), Full> {
        let end = self.0.end as usize;
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let mut room = self.0.bytes.get_mut(end..end + length).ok_or(Full)?;
        for part in parts {
            let (place, rest) = room.split_at_mut(part.len());
            place.copy_from_slice(part);
            room = rest;
        }
        self.0.end += length as u32;
        Ok(())
    }
}

/// The bytes do not fit the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("does not fit the buffer")]
pub struct Full;

/// The free list: buffers in two sizes, recycled.
#[derive(Debug)]
pub struct Buffers {
    small: Vec<Buffer>,
    large: Vec<Buffer>,
    /// Invariant: it never shrinks, so that whoever counted on a buffer's size still finds it.
    small_size: usize,
    /// How many are with connections now.
    lent: usize,
}

#[cold]
fn map(size: usize) -> Buffer {
    Buffer::new(size)
}

/// Apart, so that what is seldom needed does not stand in the way of what every request does.
#[cold]
fn unmap(buffer: Buffer) {
    drop(buffer);
}

/// The size of a large buffer, in bytes, unless small ones are larger still.
pub const LARGE: usize = 64 * 1024;

/// Free buffers of each size kept for the next connection; beyond it they go back to the system.
const KEPT_SMALL: usize = 512;
const KEPT_LARGE: usize = 64;

impl Buffers {
    /// A free list whose small buffers hold `small_size` bytes.
    pub fn new(small_size: usize) -> Buffers {
        Buffers { small: Vec::new(), large: Vec::new(), small_size, lent: 0 }
    }

    /// From now on a small buffer holds `small_size` bytes, or what it held if that is more.
    pub fn grow(&mut self, small_size: usize) {
        if small_size > self.small_size {
            self.small_size = small_size;
            self.small.clear();
            let large = self.large_size();
            self.large.retain(|buffer| buffer.capacity() == large);
        }
    }

    fn large_size(&self) -> usize {
        LARGE.max(2 * self.small_size)
    }

    /// How many bytes a small buffer holds.
    pub fn small_size(&self) -> usize {
        self.small_size
    }

    /// A buffer that a head fits.
    #[inline]
    pub fn small(&mut self) -> Buffer {
        self.lent += 1;
        self.small.pop().unwrap_or_else(|| map(self.small_size))
    }

    /// A buffer for moving a long body.
    pub fn large(&mut self) -> Buffer {
        self.lent += 1;
        self.large.pop().unwrap_or_else(|| map(LARGE.max(2 * self.small_size)))
    }

    /// A buffer that holds `length` bytes at least.
    pub fn holding(&mut self, length: usize) -> Buffer {
        if length <= self.small_size {
            self.small()
        } else if length <= self.large_size() {
            self.large()
        } else {
            self.lent += 1;
            map(length)
        }
    }

    /// Takes a buffer back; what is in it is dropped.
    #[inline]
    pub fn put(&mut self, mut buffer: Buffer) {
        self.lent -= 1;
        buffer.clear();
        if buffer.capacity() == self.small_size && self.small.len() < KEPT_SMALL {
            self.small.push(buffer);
        } else {
            self.put_other(buffer);
        }
    }

    /// One that is large, or too many, or lent before the sizes grew.
    #[cold]
    fn put_other(&mut self, buffer: Buffer) {
        if buffer.capacity() == self.large_size() && self.large.len() < KEPT_LARGE {
            self.large.push(buffer);
        } else {
            unmap(buffer);
        }
    }

    /// How many buffers are with connections.
    pub fn lent(&self) -> usize {
        self.lent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_removed_leaves_no_gap() {
        for (at, n, left) in [
            (0, 3, "defgh"),
            (1, 2, "adefgh"),
            (5, 2, "abcdeh"),
            (5, 3, "abcde"),
            (0, 8, ""),
            (4, 0, "abcdefgh"),
        ] {
            let mut buffer = Buffer::new(16);
            buffer.append(b"xxabcdefgh").expect("room");
            buffer.consume(2);
            buffer.remove(at, n);
            assert_eq!((buffer.filled(), buffer.len()), (left.as_bytes(), left.len()), "{at} {n}");
            assert_eq!(buffer.is_empty(), left.is_empty());
        }
        let mut buffer = Buffer::new(16);
        buffer.append(b"xabcdef").expect("room");
        buffer.consume(1);
        buffer.shift(3..6, 1);
        assert_eq!(buffer.filled(), b"adefef");
    }

    #[test]
    fn buffers_lent_before_the_sizes_grew_are_not_lent_again() {
        let mut buffers = Buffers::new(40_000);
        let (small, large) = (buffers.small(), buffers.large());
        let (spare, other) = (buffers.small(), buffers.large());
        buffers.put(spare);
        buffers.put(other);
        buffers.grow(50_000);
        buffers.put(small);
        buffers.put(large);
        assert_eq!((buffers.small().capacity(), buffers.large().capacity()), (50_000, 100_000));
        buffers.grow(1_000);
        assert_eq!((buffers.small_size(), buffers.lent()), (50_000, 2), "they never shrink");
    }

    #[test]
    fn a_buffer_holds_what_is_asked_for_and_one_of_no_usual_size_is_not_kept() {
        let mut buffers = Buffers::new(1_000);
        for (length, capacity) in [(1_000, 1_000), (1_001, LARGE), (LARGE + 1, LARGE + 1), (2_000, LARGE)] {
            let buffer = buffers.holding(length);
            assert_eq!(buffer.capacity(), capacity);
            buffers.put(buffer);
        }
        assert_eq!(buffers.lent(), 0);
    }
}
