//! The tables' cases.
//!
//! A case is a line with its name and the section that it is about, and indented lines, each a word and
//! what follows it:
//!
//! ```text
//! a name — 9112 6.3
//!   with     max-body 10          a setting; may be repeated
//!   sends    GET / HTTP/1.1⏎…     what the client does; further lines go on where the last one ended
//!   greets   …                    what the origin does on a new connection, before any request
//!   answers  HTTP/1.1 200 OK⏎…    what it does with a request; a further line is for the next request
//!   client   200 ok ⇄             what the client saw: see `client.rs`
//!   origin   GET /                what the origin saw: see `origin.rs`; - nothing, * anything
//!   forwards / hides              bytes that the origin got / did not get
//!   returns / withholds           bytes that the client got / did not get
//!   logs     1 sent again         what the proxy logged, its counters at the end among it
//! ```

use crate::subject::Setting;

/// What the origin answers where the table is silent.
pub(crate) const OK: &str = "HTTP/1.1 200 OK⏎Content-Length: 2⏎⏎ok";

/// One case, as it stands in the table.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// RFC and section.
    pub(crate) section: &'static str,
    pub(crate) with: Vec<Setting>,
    pub(crate) sends: String,
    pub(crate) greets: &'static str,
    pub(crate) answers: Vec<&'static str>,
    pub(crate) client: &'static str,
    pub(crate) origin: &'static str,
    pub(crate) forwards: Vec<&'static str>,
    pub(crate) hides: Vec<&'static str>,
    pub(crate) returns: Vec<&'static str>,
    pub(crate) withholds: Vec<&'static str>,
    pub(crate) logs: Vec<&'static str>,
}

impl Case {
    /// How many final responses the client is to see.
    pub(crate) fn finals(&self) -> usize {
        let responses = self.client.split(';').map(str::trim);
        responses
            .filter(|r| r.starts_with("101") || r.starts_with(['2', '3', '4', '5', '6', '7', '9']))
            .count()
    }

    /// Whether the client's connection is to live on.
    pub(crate) fn stays_open(&self) -> bool {
        self.client.ends_with('⇄')
    }
}

/// Reads a table.
pub(crate) fn table(text: &'static str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if !line.starts_with(' ') {
            let (name, section) = line.split_once(" — ").unwrap_or_else(|| panic!("no section: {line}"));
            cases.push(Case { name, section, ..Case::default() });
            continue;
        }
        let (word, rest) = line.trim().split_once(' ').unwrap_or_else(|| panic!("nothing behind: {line}"));
        let case = cases.last_mut().expect("a case's name comes first");
        let rest = rest.trim();
        match word {
            "with" => case.with.push(Setting::read(rest)),
            "sends" => case.sends.push_str(rest),
            "greets" => case.greets = rest,
            "answers" => case.answers.push(rest),
            "client" => case.client = rest,
            "origin" => case.origin = rest,
            "forwards" => case.forwards.push(rest),
            "hides" => case.hides.push(rest),
            "returns" => case.returns.push(rest),
            "withholds" => case.withholds.push(rest),
            "logs" => case.logs.push(rest),
            word => panic!("no such word: {word}"),
        }
    }
    for case in &cases {
        let whole = !case.sends.is_empty() && !case.client.is_empty() && !case.origin.is_empty();
        assert!(whole, "{}: sends, client and origin must be there", case.name);
        let ends = case.client.ends_with(['⇄', '✂', '⚡']);
        assert!(ends, "{}: the client's line says how the connection ends", case.name);
    }
    cases
}
