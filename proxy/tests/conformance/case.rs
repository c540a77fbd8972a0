//! The tables' cases.
//!
//! A case is a line with its name and the section that it is about, and indented lines, each a word and
//! what follows it:
//!
//! ```text
//! a name — 9112 6.3
//!   with     max-body 10          a setting; may be repeated; before the first case: one for all of them
//!   sends    GET / HTTP/1.1⏎…     what the client does; further lines go on where the last one ended
//!   greets   …                    what the origin does on a new connection, before any request
//!   answers  HTTP/1.1 200 OK⏎…    what it does with a request; a further line is for the next request
//!   client   200 ok ⇄             what the client saw: see `client.rs`
//!   origin   GET /                what the origin saw: see `origin.rs`; - nothing, * anything
//!   forwards / hides              bytes that the origin got / did not get
//!   returns / withholds           bytes that the client got / did not get
//!   logs     1 sent again         what the proxy logged, its counters at the end among it
//!   listed   client 400 ✂ — why   what is expected instead of a line where an `nginx.conf` says what goes on
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
    /// Lines that hold instead where the proxy goes by an `nginx.conf`.
    listed: Vec<(&'static str, &'static str)>,
}

impl Case {
    /// How many final responses the client is to see.
    pub(crate) fn finals(&self) -> usize {
        let responses = self.client.split(';').map(str::trim);
        responses
            .filter(|r| r.starts_with("101") || r.starts_with(['2', '3', '4', '5', '6', '7', '9']))
            .count()
    }

    /// The case as it holds for the proxy that goes by an `nginx.conf`.
    pub(crate) fn by_conf(mut self) -> Case {
        for (word, text) in std::mem::take(&mut self.listed) {
            match word {
                "client" => self.client = text,
                "origin" => self.origin = text,
                "forwards" => self.forwards = vec![text],
                word => panic!("{word} is the same by whatever the proxy goes"),
            }
        }
        self
    }

    /// Whether the client's connection is to live on.
    pub(crate) fn stays_open(&self) -> bool {
        self.client.ends_with('⇄')
    }
}

/// Reads a table.
pub(crate) fn table(text: &'static str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut for_all: Vec<Setting> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if !line.starts_with(' ') {
            let (name, section) = line.split_once(" — ").unwrap_or_else(|| panic!("no section: {line}"));
            cases.push(Case { name, section, with: for_all.clone(), ..Case::default() });
            continue;
        }
        let (word, rest) = line.trim().split_once(' ').unwrap_or_else(|| panic!("nothing behind: {line}"));
        let rest = rest.trim();
        let Some(case) = cases.last_mut() else {
            assert!(word == "with", "a case's name comes first");
            for_all.push(Setting::read(rest));
            continue;
        };
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
            "listed" => {
                let (line, _) = rest.split_once(" — ").unwrap_or_else(|| panic!("no reason: {line}"));
                case.listed.push(line.split_once(' ').expect("a word and what is expected"));
            }
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
