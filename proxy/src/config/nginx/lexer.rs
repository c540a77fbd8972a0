//! Bytes to statements: nginx's quoting, escapes, comments and `${name}`.
//!
//! ```text
//! statement = word+ ( ";" | "{" )  |  "}"
//! word      = bare | "…" | '…'           separated by spaces, tabs and line ends
//! ```
//!
//! A comment runs from a `#` that begins a word to the end of its line. In a word a backslash takes the next
//! byte's meaning away, and `\" \' \\ \t \r \n` stand for what they look like; before any other byte the
//! backslash stays, as regular expressions want it. A quote inside of a bare word is a byte like any
//! other, and a `{` directly after a `$` begins no block. After a closing quote only a separator, `;`,
//! `{` or `)` may follow.
//!
//! The rules, odd as some are, are those of `ngx_conf_read_token` (`src/core/ngx_conf_file.c`), and so
//! are the limits: a word, or a comment, of 4096 bytes or more is refused.

use std::str;

/// Bytes of a word, as written, from which on it is too long: nginx's buffer.
const WORD_MAX: usize = 4096;

/// What a file consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lexeme {
    /// Words that end with `;` or open a block. At least one word.
    Statement {
        /// The words, unquoted.
        words: Vec<String>,
        /// Whether a `{` ended them.
        opens: bool,
    },
    /// `}`.
    Close,
    /// Nothing more.
    End,
}

/// A position in the bytes of one file, or of the `-g` option.
#[derive(Clone, Debug)]
pub struct Lexer {
    bytes: Vec<u8>,
    at: usize,
    line: u32,
    /// These are the directives of `-g`: the end is worded otherwise.
    is_parameter: bool,
}

/// What the bytes read so far amount to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between words.
    Space,
    /// In a comment.
    Comment,
    /// In a word without quotes.
    Bare,
    /// In a word that ends with this quote.
    Quoted(u8),
    /// Behind a closing quote.
    Closed,
}

impl Lexer {
    /// At the first byte of a file.
    pub fn file(bytes: Vec<u8>) -> Lexer {
        Lexer { bytes, at: 0, line: 1, is_parameter: false }
    }

    /// At the first byte of the directives that `-g` gives.
    pub fn parameter(text: &str) -> Lexer {
        Lexer { bytes: text.as_bytes().to_owned(), at: 0, line: 1, is_parameter: true }
    }

    /// The line of the last byte read, counted from 1.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The bytes as a whole.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads on to the end of the next statement. After an error, [`Lexer::line`] is the line to blame.
    pub fn read(&mut self) -> Result<Lexeme, String> {
        let mut words: Vec<String> = Vec::new();
        let mut state = State::Space;
        // Where the word in hand begins, behind its opening quote, and its line.
        let (mut start, mut start_line) = (self.at, self.line);
        let (mut escaped, mut after_dollar) = (false, false);

        loop {
            let Some(&byte) = self.bytes.get(self.at) else {
                return match state {
                    State::Space | State::Comment if words.is_empty() => Ok(Lexeme::End),
                    _ if self.is_parameter => Err("unexpected end of parameter, expecting \";\"".to_owned()),
                    _ => Err("unexpected end of file, expecting \";\" or \"}\"".to_owned()),
                };
            };
            if self.at - start == WORD_MAX && !self.is_parameter {
                self.line = start_line;
                return Err(too_long(state, &self.bytes[start..]));
            }
            self.at += 1;
            self.line += u32::from(byte == b'\n');

            if state == State::Comment {
                if byte == b'\n' {
                    state = State::Space;
                    start = self.at - 1;
                }
                continue;
            }
            if escaped {
                escaped = false;
                continue;
            }
            if state == State::Closed {
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' | b')' => state = State::Space,
                    b';' | b'{' => return Ok(Lexeme::Statement { words, opens: byte == b'{' }),
                    _ => return Err(unexpected(byte)),
                }
                if byte != b')' {
                    continue;
                }
            }
            if state == State::Space {
                (start, start_line) = (self.at - 1, self.line);
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' => {}
                    b';' | b'{' if words.is_empty() => return Err(unexpected(byte)),
                    b';' | b'{' => return Ok(Lexeme::Statement { words, opens: byte == b'{' }),
                    b'}' if words.is_empty() => return Ok(Lexeme::Close),
                    b'}' => return Err(unexpected(byte)),
                    b'#' => state = State::Comment,
                    b'"' | b'\'' => {
                        start += 1;
                        state = State::Quoted(byte);
                    }
                    _ => {
                        escaped = byte == b'\\';
                        after_dollar = byte == b'$';
                        state = State::Bare;
                    }
                }
                continue;
            }
            if byte == b'{' && after_dollar {
                continue;
            }
            escaped = byte == b'\\';
            after_dollar = byte == b'$';
            let ends = match state {
                State::Quoted(quote) => byte == quote,
                _ => matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{'),
            };
            if ends {
                words.push(unescape(&self.bytes[start..self.at - 1])?);
                match (state, byte) {
                    (State::Quoted(_), _) => state = State::Closed,
                    (_, b';' | b'{') => return Ok(Lexeme::Statement { words, opens: byte == b'{' }),
                    _ => state = State::Space,
                }
            }
        }
    }
}

fn unexpected(byte: u8) -> String {
    format!("unexpected \"{}\"", char::from(byte))
}

fn too_long(state: State, rest: &[u8]) -> String {
    match state {
        State::Quoted(quote) => {
            format!("too long parameter, probably missing terminating \"{}\" character", char::from(quote))
        }
        _ => format!("too long parameter \"{}...\" started", String::from_utf8_lossy(&rest[..10])),
    }
}

/// The word that was meant by these bytes.
fn unescape(raw: &[u8]) -> Result<String, String> {
    let text = str::from_utf8(raw).map_err(|_| {
        format!("\"{}\" is not UTF-8; only comments may be anything else", String::from_utf8_lossy(raw))
    })?;
    let mut word = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            word.push(char);
            continue;
        }
        let mut after = chars.clone();
        match after.next() {
            Some(next @ ('"' | '\'' | '\\')) => word.push(next),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            _ => {
                word.push('\\');
                continue;
            }
        }
        chars = after;
    }
    Ok(word)
}

#[cfg(test)]
#[path = "lexer_tests.rs"]
mod tests;
