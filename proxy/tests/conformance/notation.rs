//! The notation of the tables: text to what is sent, and bytes to text.
//!
//! | mark | meaning |
//! |---|---|
//! | `⏎` | CR LF |
//! | `\r` `\n` `\t` `\0` `\s` `\xHH` | that one byte (`\s`: a space, where one would not be seen) |
//! | `{text×n}` | `text`, `n` times |
//! | `✂` | sends no more (FIN) |
//! | `✖` | closes the socket |
//! | `⚡` | closes the socket with a reset |
//! | `…` | client: waits for one more response head; origin: waits for the whole request |
//! | `⇢` | client: waits until the origin has one more request head |
//! | `⇥` | client: waits until the origin is through with what it does for each request that it has |
//! | `⇠` | origin: waits until the client has got something more |
//! | `⇡` | origin, at the start: does not wait for the whole request but for its head |
//! | `⏸` `▶` | client: stops the proxy's process and lets it go on, so that what happens between comes in one batch |
//! | `⌛` | a pause, for bytes to travel on their own; nothing depends on its length |
//! | `∅` | nothing |

/// One thing done on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Send(Vec<u8>),
    /// `✂`
    Finish,
    /// `✖`
    Close,
    /// `⚡`
    Reset,
    /// `…`
    AwaitOther,
    /// `⇢`
    AwaitOrigin,
    /// `⇥`
    AwaitDone,
    /// `⇠`
    AwaitClient,
    /// `⇡`
    Early,
    /// `⌛`
    Pause,
    /// `⏸`
    Freeze,
    /// `▶`
    Thaw,
}

/// Reads a script.
pub(crate) fn script(text: &str) -> Vec<Act> {
    let mut acts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let act = match first {
            '✂' => Some(Act::Finish),
            '✖' => Some(Act::Close),
            '⚡' => Some(Act::Reset),
            '…' => Some(Act::AwaitOther),
            '⇢' => Some(Act::AwaitOrigin),
            '⇥' => Some(Act::AwaitDone),
            '⇠' => Some(Act::AwaitClient),
            '⇡' => Some(Act::Early),
            '⌛' => Some(Act::Pause),
            '⏸' => Some(Act::Freeze),
            '▶' => Some(Act::Thaw),
            _ => None,
        };
        if let Some(act) = act {
            acts.push(act);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        if !matches!(acts.last(), Some(Act::Send(_))) {
            acts.push(Act::Send(Vec::new()));
        }
        if let Some(Act::Send(out)) = acts.last_mut() {
            rest = element(rest, out);
        }
    }
    acts.retain(|act| *act != Act::Send(Vec::new()));
    acts
}

/// Reads bytes.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        rest = element(rest, &mut out);
    }
    out
}

/// Reads one element from the start of `text`; returns what is behind it.
fn element<'t>(text: &'t str, out: &mut Vec<u8>) -> &'t str {
    let first = text.chars().next().expect("text that is not empty");
    let rest = &text[first.len_utf8()..];
    match first {
        '⏎' => out.extend_from_slice(b"\r\n"),
        '∅' => {}
        '\\' => return escape(rest, out),
        '{' => {
            let (inner, behind) = rest.split_once('}').expect("a } behind {");
            let (inner, count) = inner.rsplit_once('×').expect("{text×n}");
            let count = count.parse().expect("a number behind ×");
            out.extend_from_slice(&bytes(inner).repeat(count));
            return behind;
        }
        ascii if ascii.is_ascii() => out.push(ascii as u8),
        other => panic!("{other:?} is not part of the notation; other bytes are written \\xHH"),
    }
    rest
}

fn escape<'t>(text: &'t str, out: &mut Vec<u8>) -> &'t str {
    let kind = text.chars().next().expect("something behind \\");
    let byte = match kind {
        'r' => b'\r',
        'n' => b'\n',
        't' => b'\t',
        '0' => 0,
        's' => b' ',
        'x' => {
            out.push(u8::from_str_radix(&text[1..3], 16).expect("two hexadecimal digits behind \\x"));
            return &text[3..];
        }
        '\\' | '{' => kind as u8,
        other => panic!("\\{other} is not part of the notation"),
    };
    out.push(byte);
    &text[1..]
}

/// Bytes as the notation writes them.
pub(crate) fn show(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = bytes;
    while let [first, behind @ ..] = rest {
        rest = behind;
        match first {
            b'\r' if behind.first() == Some(&b'\n') => {
                text.push('⏎');
                rest = &behind[1..];
            }
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            0 => text.push_str("\\0"),
            b'\\' | b'{' => {
                text.push('\\');
                text.push(char::from(*first));
            }
            b' '..=b'~' => text.push(char::from(*first)),
            other => text.push_str(&format!("\\x{other:02x}")),
        }
    }
    text
}

/// A body as a summary shows it: as it is, or its length where it is long.
pub(crate) fn show_body(body: &[u8]) -> String {
    if body.len() > 60 { format!("<{} bytes>", body.len()) } else { show(body) }
}

#[test]
fn what_is_shown_reads_back() {
    let all: Vec<u8> = (0..=255).chain(*b"\r\n\r\r\n\n\\{x}").collect();
    assert_eq!(bytes(&show(&all)), all);
    assert_eq!(script("a⏎{bc×2}…✂"), [Act::Send(b"a\r\nbcbc".into()), Act::AwaitOther, Act::Finish]);
}
