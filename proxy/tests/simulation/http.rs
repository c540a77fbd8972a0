//! HTTP read to the letter, by another hand than the proxy's: what the proxy sends must be canonical.

/// The octet at `at` of the body (or tunnel stream) called `id`. Every second body is made of what framing
/// is made of, so that a lost border does not go unnoticed.
pub(crate) fn octet(id: u64, at: u64) -> u8 {
    let mut x = (id + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (at + 1).wrapping_mul(0xD1B5_4A32_D192_ED03);
    x = (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^= x >> 32;
    const FRAMING: &[u8] = b"\r\n\r\n\r\n0123456789abcdef;: HTTP/1.1 200 OK";
    if id.is_multiple_of(2) { FRAMING[(x % FRAMING.len() as u64) as usize] } else { x as u8 }
}

/// So many octets of it.
pub(crate) fn octets(id: u64, len: u64) -> Vec<u8> {
    (0..len).map(|at| octet(id, at)).collect()
}

/// Checks `bytes` against what stands at `at` of the body called `id`.
pub(crate) fn check_octets(id: u64, at: u64, bytes: &[u8]) -> Result<(), String> {
    match (at..).zip(bytes).find(|(at, byte)| octet(id, *at) != **byte) {
        None => Ok(()),
        Some((at, byte)) => {
            Err(format!("octet {at} of {id} is {byte:#04x} instead of {:#04x}", octet(id, at)))
        }
    }
}

/// A first line and its fields.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) line: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    /// From bytes that end with the blank line.
    pub(crate) fn read(bytes: &[u8]) -> Result<Head, String> {
        let bad = |what: &str| format!("{what} in \"{}\"", bytes.escape_ascii());
        let text = std::str::from_utf8(bytes).map_err(|_| bad("not ASCII"))?;
        let text = text.strip_suffix("\r\n\r\n").ok_or_else(|| bad("no blank line"))?;
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let fields = lines.map(|line| field(line).ok_or_else(|| bad("a malformed field")));
        let head = Head { line, fields: fields.collect::<Result<_, _>>()? };
        if text.replace("\r\n", "").bytes().any(|b| b < b' ' && b != b'\t') {
            return Err(bad("a control byte"));
        }
        Ok(head)
    }

    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The value of a field that stands once at most.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, String> {
        let mut values = self.values(name);
        let value = values.next();
        if values.next().is_some() { Err(format!("{name} is repeated")) } else { Ok(value) }
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let Some(value) = self.one(name)? else { return Ok(None) };
        let sound = value.bytes().all(|b| b.is_ascii_digit());
        value.parse().ok().filter(|_| sound).map(Some).ok_or_else(|| format!("{name} is {value:?}"))
    }

    pub(crate) fn has_option(&self, option: &str) -> bool {
        self.values("connection").flat_map(|v| v.split(',')).any(|o| o.trim().eq_ignore_ascii_case(option))
    }

    /// The framing that the fields give, where there is a body at all and none ends at close.
    pub(crate) fn framing(&self) -> Result<Option<Framing>, String> {
        match (self.one("transfer-encoding")?, self.number("content-length")?) {
            (Some(_), Some(_)) => Err("both framings".into()),
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(Framing::Chunked)),
            (Some(other), None) => Err(format!("Transfer-Encoding is {other:?}")),
            (None, length) => Ok(length.map(Framing::Exact)),
        }
    }
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(": ")?;
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let trimmed = value.trim_matches([' ', '\t']) == value;
    (!name.is_empty() && name.bytes().all(token) && trimmed).then(|| (name.to_owned(), value.to_owned()))
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Exact(u64),
    Chunked,
    UntilClose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Exact(u64),
    UntilClose,
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Done,
}

/// Reads a body in whatever pieces it comes.
#[derive(Debug)]
pub(crate) struct BodyReader {
    state: State,
    line: Vec<u8>,
    pub(crate) octets: u64,
    pub(crate) trailers: Vec<(String, String)>,
}

impl BodyReader {
    pub(crate) fn new(framing: Framing) -> BodyReader {
        let state = match framing {
            Framing::Exact(0) => State::Done,
            Framing::Exact(n) => State::Exact(n),
            Framing::Chunked => State::Size,
            Framing::UntilClose => State::UntilClose,
        };
        BodyReader { state, line: Vec::new(), octets: 0, trailers: Vec::new() }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub(crate) fn ends_at_close(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Reads from `bytes` as far as the body goes and checks its octets against `id`'s, where there is one.
    /// Returns how many bytes that was.
    pub(crate) fn read(&mut self, bytes: &[u8], id: Option<u64>) -> Result<usize, String> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            let rest = &bytes[at..];
            at += match self.state {
                State::Exact(left) | State::Data(left) => {
                    let n = left.min(rest.len() as u64);
                    self.data(&rest[..n as usize], id)?;
                    self.state = match (self.state, left - n) {
                        (State::Exact(_), 0) => State::Done,
                        (State::Exact(_), left) => State::Exact(left),
                        (_, 0) => State::DataEnd,
                        (_, left) => State::Data(left),
                    };
                    n as usize
                }
                State::UntilClose => {
                    self.data(rest, id)?;
                    rest.len()
                }
                State::Size | State::DataEnd | State::Trailers | State::Done => {
                    let end = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |i| i + 1);
                    self.line.extend_from_slice(&rest[..end]);
                    if self.line.ends_with(b"\n") {
                        let line = std::mem::take(&mut self.line);
                        self.line_read(&line)?;
                    } else if self.line.len() > 20_000 {
                        return Err("a line in chunked framing does not end".into());
                    }
                    end
                }
            };
        }
        Ok(at)
    }

    fn data(&mut self, bytes: &[u8], id: Option<u64>) -> Result<(), String> {
        if let Some(id) = id {
            check_octets(id, self.octets, bytes)?;
        }
        self.octets += bytes.len() as u64;
        Ok(())
    }

    fn line_read(&mut self, line: &[u8]) -> Result<(), String> {
        let bad = || format!("\"{}\" in chunked framing", line.escape_ascii());
        let text =
            line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok()).ok_or_else(bad)?;
        self.state = match self.state {
            State::Size => {
                let sound = text.bytes().all(|b| b.is_ascii_hexdigit());
                let size = u64::from_str_radix(text, 16).ok().filter(|_| sound).ok_or_else(bad)?;
                if size == 0 { State::Trailers } else { State::Data(size) }
            }
            State::DataEnd if text.is_empty() => State::Size,
            State::Trailers if text.is_empty() => State::Done,
            State::Trailers => {
                self.trailers.push(field(text).ok_or_else(bad)?);
                State::Trailers
            }
            _ => return Err(bad()),
        };
        Ok(())
    }
}
