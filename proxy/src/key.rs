//! What a server is found by: digested where its bytes are at hand, so that nobody has to keep them.

/// A text, as far as the choice of a server goes: its CRC-32 (IEEE, as nginx's `ngx_crc32`) and its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key {
    crc: u32,
    len: u32,
}

impl Key {
    /// The key with this text. The default is that of the empty text.
    pub fn new(text: &[u8]) -> Key {
        Key { crc: crc32fast::hash(text), len: u32::try_from(text.len()).unwrap_or(u32::MAX) }
    }

    /// Whether the text was empty.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The CRC-32 of the text.
    pub fn crc(self) -> u32 {
        self.crc
    }

    /// The CRC-32 of the text with `prefix` before it.
    pub fn crc_behind(self, prefix: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(prefix);
        hasher.combine(&crc32fast::Hasher::new_with_initial_len(self.crc, self.len.into()));
        hasher.finalize()
    }
}

/// A text by its MD5: the name of a session, or what clients call a server (`sticky`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest([u8; 16]);

impl Digest {
    /// That of this text.
    pub fn new(text: &[u8]) -> Digest {
        Digest(*md5::compute(text))
    }
}

/// What the response to a request says of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// The session.
    pub session: Digest,
    /// It begins; else only one that is known is kept.
    pub begins: bool,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_crc_is_that_of_ieee_802_3() {
        assert_eq!(Key::new(b"123456789").crc(), 0xcbf4_3926);
        assert_eq!(Key::default(), Key::new(b""));
        assert!(Key::default().is_empty() && !Key::new(b"0").is_empty());
    }

    proptest! {
        #[test]
        fn a_prefix_can_come_later(prefix: Vec<u8>, text: Vec<u8>) {
            let whole = Key::new(&[prefix.as_slice(), &text].concat());
            prop_assert_eq!(Key::new(&text).crc_behind(&prefix), whole.crc());
        }
    }
}
