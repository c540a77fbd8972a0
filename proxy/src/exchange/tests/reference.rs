//! A strict reader of what the proxy writes, made for tests: it shares no code with the proxy, takes
//! nothing but the canonical spelling, and says what is wrong with anything else.

/// A message as it went over the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The request or status line.
    pub(crate) line: String,
    /// Names in lower case, values.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    /// The body without its framing.
    pub(crate) body: Vec<u8>,
    /// Trailer fields.
    pub(crate) trailers: Vec<(String, Vec<u8>)>,
    /// All of it is there.
    pub(crate) is_whole: bool,
    /// It ends with the connection.
    pub(crate) until_close: bool,
    /// Bytes that it took.
    pub(crate) len: usize,
}

impl Message {
    /// The values of a field (its name in lower case).
    pub(crate) fn values(&self, name: &str) -> Vec<&[u8]> {
        self.fields.iter().filter(|(n, _)| n == name).map(|(_, value)| &**value).collect()
    }

    /// The status of a response.
    pub(crate) fn status(&self) -> u16 {
        self.line.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    /// The method of a request.
    pub(crate) fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }
}

/// The line at the start of `bytes` without its CRLF; `None` where its end has not come.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, String> {
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' if at + 1 == bytes.len() => return Ok(None),
            b'\r' if bytes[at + 1] == b'\n' => return Ok(Some(&bytes[..at])),
            b'\t' | b' '..=b'~' | 0x80.. => {}
            _ => return Err(format!("byte {byte:#04x} in a line")),
        }
    }
    Ok(None)
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

type Section = Vec<(String, Vec<u8>)>;

/// Field lines up to the empty one: the fields and the length of the section.
fn section(bytes: &[u8]) -> Result<Option<(Section, usize)>, String> {
    let (mut fields, mut at) = (Vec::new(), 0);
    loop {
        let Some(text) = line(&bytes[at..])? else { return Ok(None) };
        at += text.len() + 2;
        if text.is_empty() {
            return Ok(Some((fields, at)));
        }
        let colon = text.iter().position(|&b| b == b':').ok_or("a field line without a colon")?;
        let (name, value) = (&text[..colon], &text[colon + 1..]);
        let name = is_token(name).then(|| String::from_utf8_lossy(name).to_lowercase());
        let name = name.ok_or("a field name that is no token")?;
        let value = value.strip_prefix(b" ").ok_or("no single space behind the colon")?;
        if value.trim_ascii() != value {
            return Err(format!("white space around the value of {name}"));
        }
        fields.push((name, value.to_vec()));
    }
}

fn number(digits: &[u8], radix: u32) -> Result<usize, String> {
    let text = std::str::from_utf8(digits).map_err(|e| e.to_string())?;
    if text.is_empty() || text.len() > 19 || !text.chars().all(|c| c.is_digit(radix)) {
        return Err(format!("{text:?} is no number"));
    }
    usize::from_str_radix(text, radix).map_err(|e| e.to_string())
}

/// A chunked body: fills in the message's body and trailers; the length where it is whole.
fn chunked(bytes: &[u8], message: &mut Message) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let Some(size) = line(&bytes[at..])? else { return Ok(None) };
        at += size.len() + 2;
        let size = number(size, 16)?;
        if size == 0 {
            let Some((trailers, len)) = section(&bytes[at..])? else { return Ok(None) };
            message.trailers = trailers;
            return Ok(Some(at + len));
        }
        let data = &bytes[at..bytes.len().min(at.saturating_add(size))];
        message.body.extend_from_slice(data);
        at += data.len();
        match &bytes[at..] {
            [b'\r', b'\n', ..] if data.len() == size => at += 2,
            [] | [b'\r'] => return Ok(None),
            _ => return Err("no CRLF behind a chunk".into()),
        }
    }
}

/// The body behind a head whose fields and length are known. `bodiless` and `until_close` are for
/// responses.
fn body(bytes: &[u8], message: &mut Message, bodiless: bool, until_close: bool) -> Result<(), String> {
    let codings = message.values("transfer-encoding").iter().map(|v| v.to_vec()).collect::<Vec<_>>();
    let lengths = message.values("content-length").iter().map(|v| v.to_vec()).collect::<Vec<_>>();
    let rest = &bytes[message.len..];
    let length = match (&codings[..], &lengths[..]) {
        ([], [length]) => Some(number(length, 10)?),
        ([], []) => None,
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => None,
        _ => return Err(format!("framing: {codings:?} {lengths:?}")),
    };
    if bodiless {
        message.is_whole = true;
    } else if !codings.is_empty() {
        let len = chunked(rest, message)?;
        message.is_whole = len.is_some();
        message.len += len.unwrap_or(rest.len());
    } else if let Some(length) = length {
        message.body = rest[..rest.len().min(length)].to_vec();
        message.is_whole = rest.len() >= length;
        message.len += message.body.len();
    } else if until_close {
        message.body = rest.to_vec();
        (message.is_whole, message.until_close, message.len) = (true, true, bytes.len());
    } else {
        message.is_whole = true;
    }
    Ok(())
}

/// The head at the start of `bytes`: a message without its body; `None` where not all of it is there.
fn head(bytes: &[u8]) -> Result<Option<Message>, String> {
    let Some(first) = line(bytes)? else { return Ok(None) };
    let Some((fields, len)) = section(&bytes[first.len() + 2..])? else { return Ok(None) };
    let text = String::from_utf8(first.to_vec()).map_err(|e| e.to_string())?;
    Ok(Some(Message { line: text, fields, len: first.len() + 2 + len, ..Message::default() }))
}

/// The request at the start of `bytes`; `None` where not all of its head is there.
pub(crate) fn request(bytes: &[u8]) -> Result<Option<Message>, String> {
    let Some(mut message) = head(bytes)? else { return Ok(None) };
    let parts: Vec<_> = message.line.split(' ').collect();
    let [method, target, version @ ("HTTP/1.0" | "HTTP/1.1")] = parts[..] else {
        return Err(format!("{:?}", message.line));
    };
    if !is_token(method.as_bytes()) || !(target.starts_with('/') || target == "*") || target.contains('#') {
        return Err(format!("{:?}", message.line));
    }
    let (is_old, hosts) = (version == "HTTP/1.0", message.values("host").len());
    if hosts > 1 || (hosts == 0 && !is_old) {
        return Err(format!("hosts: {:?}", message.values("host")));
    }
    // What only HTTP/1.1 knows.
    for name in ["transfer-encoding", "upgrade", "te", "expect"] {
        if is_old && !message.values(name).is_empty() {
            return Err(format!("{name} in HTTP/1.0"));
        }
    }
    body(bytes, &mut message, false, false)?;
    Ok(Some(message))
}

/// The response at the start of `bytes` to a request with this method; `None` where not all of its head is
/// there.
pub(crate) fn response(bytes: &[u8], method: &str) -> Result<Option<Message>, String> {
    let Some(mut message) = head(bytes)? else { return Ok(None) };
    let line = message.line.as_bytes();
    let is_sound = line.starts_with(b"HTTP/1.1 ")
        && line.get(9..12).is_some_and(|status| status.iter().all(u8::is_ascii_digit) && status[0] != b'0')
        && line.get(12) == Some(&b' ');
    if !is_sound {
        return Err(format!("{:?}", message.line));
    }
    let bodiless = matches!(message.status(), 100..=199 | 204 | 304) || method == "HEAD";
    body(bytes, &mut message, bodiless, true)?;
    Ok(Some(message))
}
