//! What happened, for the one who has to find out why. Costs nothing while nobody asks for it.

use proxy::time::Time;

pub(crate) struct Trace {
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(wanted: bool) -> Trace {
        Trace { lines: wanted.then(Vec::new) }
    }

    pub(crate) fn note(&mut self, now: Time, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            let nanos = now.as_nanos() - 3_600_000_000_000;
            lines.push(format!("{:>4}.{:06} {}", nanos / 1_000_000_000, nanos / 1000 % 1_000_000, line()));
        }
    }

    pub(crate) fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

/// Bytes for a trace line: their number and how they begin.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let start = bytes[..bytes.len().min(60)].escape_ascii();
    let dots = if bytes.len() > 60 { "…" } else { "" };
    format!("{} \"{start}\"{dots}", bytes.len())
}
