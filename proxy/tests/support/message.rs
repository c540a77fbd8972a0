//! A request or a response as it came.

/// A head, a body without its framing, and trailers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// First line and fields, up to and including the blank line.
    pub(crate) head: String,
    /// The body, chunk framing taken off.
    pub(crate) body: Vec<u8>,
    /// The trailer section's lines, without the blank line.
    pub(crate) trailers: String,
    /// Which of the origin's connections it came over, from 0.
    pub(crate) connection: usize,
}

impl Message {
    /// `GET / HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub(crate) fn first_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// The request target.
    pub(crate) fn target(&self) -> &str {
        self.first_line().split(' ').nth(1).unwrap_or_default()
    }

    /// The status of a response.
    #[track_caller]
    pub(crate) fn status(&self) -> u16 {
        let word = self.first_line().split(' ').nth(1);
        word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no status in {:?}", self.head))
    }

    /// The values of all fields of this name, in their order.
    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        fields(&self.head, name)
    }

    /// The value of the one field of this name.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let values = self.fields(name);
        assert!(values.len() < 2, "several fields {name} in {}", self.head);
        values.first().copied()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    /// Whether the body is chunked.
    pub(crate) fn is_chunked(&self) -> bool {
        self.fields("transfer-encoding") == ["chunked"]
    }

    /// Content-Length.
    pub(crate) fn content_length(&self) -> Option<usize> {
        self.field("content-length").map(|value| value.parse().expect("a length"))
    }
}

fn fields<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
}
