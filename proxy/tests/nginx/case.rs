//! The tables' cases.
//!
//! A case is a line with its name, and lines indented by two spaces, each a word and what follows it. Lines that are
//! indented further belong to the word above them.
//!
//! ```text
//! a name
//!   http     …                the inside of `http { }`
//!   server   …                the inside of a `server { }` that listens at {front}
//!   file     d/a text        a file below {dir}/html, for both
//!   origin   a 500 closes 200 what the origin {a} does with its 1st, 2nd, and every further request: answers with a
//!                             status and its name, closes the connection, or is silent
//!   origin   a sends HTTP/1.1 200 OK⏎…    the same with these bytes
//!   get      / /b×3 ⏎X: 1     GETs, each over a connection of its own, with these fields; without a Host: `test`
//!   ask      PUT / ⏎X: 1      the same with another method
//!   post     / body ⏎X: 1     one POST
//!   sends    GET / HTTP/1.1⏎… these bytes over one connection
//!   holds    /hold            a GET that its origin answers at the end of the case, as its target has the word `hold`
//!   from     127.0.0.7        whence connections come from here on; 127.0.0.1 at the start
//!   at       side             which listener they go to from here on; front at the start
//!   differs  THEIRS ⇒ OURS — REASON    this text in nginx's transcript is that one in ours (⏎: a new
//!                             line, ∅: nothing)
//! ```
//!
//! `http` and `server` know these words: `{front}`, `{side}`, `{back}` are addresses to listen at, `{side:port}` the
//! port of one, `{socket}` a Unix socket; `{a}` to `{f}` those of
//! origins, which answer 200 with their letter where nothing is said of them, and `{a:port}` to `{f:port}` their ports;
//! `{names}` is a name server that knows them as `a.test` to `f.test`, and `a.test` as `alias.test` too; `{u}` is an origin at a Unix socket;
//! `{dead}` and `{gone}` are addresses where nobody listens; `{dir}` is the prefix. Transcripts have the same words.

/// One thing done, in the case's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A request over a connection of its own.
    Ask { method: String, target: String, fields: String, body: String },
    /// Bytes over a connection of their own.
    Send(String),
    /// A GET that is under way until the end.
    Hold(String),
    /// Connections come from there.
    From(String),
    /// Connections go there.
    At(String),
}

/// What an origin does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Answers with this status and its name as the body.
    Status(u16),
    /// Closes the connection.
    Close,
    /// Says nothing until the other side closes.
    Silence,
    /// Sends these bytes, in the notation, and closes where they have no length.
    Send(String),
}

/// One case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// The whole file, instead of the two that follow.
    pub(crate) file: String,
    pub(crate) http: String,
    /// Files below `html`: their names and texts.
    pub(crate) files: Vec<(String, String)>,
    pub(crate) server: String,
    /// By the origin's letter.
    pub(crate) deeds: Vec<(char, Deed)>,
    pub(crate) steps: Vec<Step>,
    /// nginx's text and ours.
    pub(crate) differs: Vec<(String, String)>,
}

impl Case {
    /// What this origin does with its requests.
    pub(crate) fn deeds_of(&self, letter: char) -> Vec<Deed> {
        self.deeds.iter().filter(|(of, _)| *of == letter).map(|(_, deed)| deed.clone()).collect()
    }

    /// Takes in a word with what follows it.
    fn take(&mut self, word: &str, text: &str) {
        match word {
            "http" => self.http.push_str(&format!("{text}\n")),
            "server" => self.server.push_str(&format!("{text}\n")),
            "file" => {
                let (name, text) = text.split_once(' ').expect("a name and a text");
                self.files.push((name.to_owned(), text.to_owned()));
            }
            "origin" => self.deeds.extend(deeds(text)),
            "get" => self.ask("GET", text),
            "ask" => {
                let (method, text) = text.split_once(' ').expect("a method and its targets");
                self.ask(method, text);
            }
            "post" => {
                let (target, text) = text.split_once(' ').expect("a target and a body");
                let (body, fields) = fields(text);
                let (method, target) = ("POST".to_owned(), target.to_owned());
                self.steps.push(Step::Ask { method, target, fields, body: body.trim().to_owned() });
            }
            "sends" => self.steps.push(Step::Send(text.replace('\n', ""))),
            "holds" => self.steps.push(Step::Hold(text.to_owned())),
            "at" => self.steps.push(Step::At(format!("{{{text}}}"))),
            "from" => self.steps.push(Step::From(text.to_owned())),
            "differs" => {
                let (texts, reason) = text.rsplit_once(" — ").unwrap_or_else(|| panic!("no reason: {text}"));
                let (theirs, ours) = texts.split_once(" ⇒ ").unwrap_or_else(|| panic!("no ⇒: {text}"));
                assert!(!reason.trim().is_empty(), "no reason: {text}");
                let text = |part: &str| part.trim().replace('⏎', "\n    ").replace('∅', "");
                self.differs.push((text(theirs), text(ours)));
            }
            word => panic!("{}: no such word: {word}", self.name),
        }
    }

    fn ask(&mut self, method: &str, text: &str) {
        let (targets, fields) = fields(text);
        for target in targets.split_ascii_whitespace() {
            let (target, count) = target.rsplit_once('×').unwrap_or((target, "1"));
            let count: usize = count.parse().expect("a number behind ×");
            let (method, target, fields) = (method.to_owned(), target.to_owned(), fields.clone());
            let step = Step::Ask { method, target, fields, body: String::new() };
            self.steps.extend(std::iter::repeat_n(step, count));
        }
    }
}

/// What stands before the fields, and these, each behind its line end, with a Host among them.
fn fields(text: &str) -> (&str, String) {
    let (before, fields) = text.split_at(text.find('⏎').unwrap_or(text.len()));
    let fields = fields.replace('\n', "");
    let fields = fields.trim_end_matches('⏎').trim_end();
    let has_host = fields.to_ascii_lowercase().contains("⏎host:");
    (before, if has_host { fields.to_owned() } else { format!("⏎Host: test{fields}") })
}

fn deeds(text: &str) -> Vec<(char, Deed)> {
    let (letter, text) = text.split_once(' ').expect("a letter and what that origin does");
    let letter = letter.chars().next().expect("a letter");
    if let Some(bytes) = text.strip_prefix("sends ") {
        return vec![(letter, Deed::Send(bytes.replace('\n', "")))];
    }
    let deed = |word: &str| match word {
        "closes" => Deed::Close,
        "silent" => Deed::Silence,
        status => Deed::Status(status.parse().unwrap_or_else(|_| panic!("no status: {status}"))),
    };
    text.split_ascii_whitespace().map(|word| (letter, deed(word))).collect()
}

/// Reads a table.
pub(crate) fn table(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut open: Option<(String, String)> = None;
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    for line in lines.chain([""]) {
        if let (Some(text), Some((_, all))) = (line.strip_prefix("    "), &mut open) {
            all.push('\n');
            all.push_str(text);
            continue;
        }
        if let Some((word, text)) = open.take() {
            cases.last_mut().expect("a case's name comes first").take(&word, text.trim());
        }
        match line.strip_prefix("  ") {
            Some(line) => {
                let (word, text) = line.split_once(' ').unwrap_or((line, ""));
                open = Some((word.to_owned(), text.to_owned()));
            }
            None if line.is_empty() => {}
            None => cases.push(Case { name: line.to_owned(), ..Case::default() }),
        }
    }
    for case in &cases {
        assert!(!case.steps.is_empty(), "{}: nothing is asked", case.name);
    }
    cases
}

#[test]
fn a_table_is_read() {
    let text = "# none\n\nname\n  http\n    a;\n    b;\n  http c;\n  origin a 500 closes\n  get / /b×2 ⏎X: 1\n  \
                post / x y ⏎Host: h\n  differs 1 ⇒ ∅ — why\n";
    let ask = |method: &str, target: &str, fields: &str, body: &str| Step::Ask {
        method: method.to_owned(),
        target: target.to_owned(),
        fields: fields.to_owned(),
        body: body.to_owned(),
    };
    let get = |target| ask("GET", target, "⏎Host: test⏎X: 1", "");
    let case = Case {
        name: "name".to_owned(),
        http: "a;\nb;\nc;\n".to_owned(),
        deeds: vec![('a', Deed::Status(500)), ('a', Deed::Close)],
        steps: vec![get("/"), get("/b"), get("/b"), ask("POST", "/", "⏎Host: h", "x y")],
        differs: vec![("1".to_owned(), String::new())],
        ..Case::default()
    };
    assert_eq!(table(text), [case]);
}
