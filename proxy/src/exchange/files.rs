//! Requests that end in a file (`ngx_http_static_module.c`, `ngx_http_index_module.c`) or in the counters of
//! `stub_status`: what is asked of the driver, and what follows from its answer.
//!
//! A request that needs something of the driver has a [`Fetch`]: a row of goals. Each is tried in its turn, until one
//! ends in an answer, in another location, or in a file, whose bytes then go through `sending.rs`. The fetch keeps the
//! request's head, since that is gone from the buffer, and conditions, ranges and another location need it.
//!
//! ```text
//!   /a.txt  ─▶ File                                     /dir/ ─▶ Index ─▶ Folder ─▶ Index … ─▶ 403
//!               │ folder: 301 to /a.txt/                           │ there: as for /dir/index.html
//!               └ file: 200, 206, 304, 412, 416                    └ not there: the next
//! ```

use std::collections::VecDeque;

use super::onward::{Onward, Way};
use super::request_head::Message;
use super::sending::Sending;
use super::values::Asked;
use super::{Env, Exchange};
use crate::config::site::{Files, Otherwise, TryFiles};
use crate::http::framing::Length;
use crate::http::head::{self, Parsed};
use crate::http::reply::Content;
use crate::http::{Method, Refusal, target, uri};
use crate::site::files;

/// The most times that one request goes on to another location (nginx: `NGX_HTTP_MAX_URI_CHANGES`).
const TURNS_MAX: u8 = 10;

/// What there is under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: FileKind,
    /// Its length in octets.
    pub length: u64,
    /// When it was changed last, in seconds since 1970.
    pub modified: u64,
}

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// One with bytes in it.
    Regular,
    /// A folder.
    Folder,
    /// A device, a pipe, a socket.
    Other,
}

/// Why there is nothing to be had under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There is nothing.
    Absent,
    /// The system does not let this process have it.
    Forbidden,
    /// The system cannot get it.
    Failed,
}

impl Missing {
    fn status(self) -> u16 {
        match self {
            Missing::Absent => 404,
            Missing::Forbidden => 403,
            Missing::Failed => 500,
        }
    }
}

/// Counts of connections and requests (`stub_status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were accepted since the start.
    pub accepted: u64,
    /// Requests since the start.
    pub requests: u64,
    /// Open connections.
    pub active: u64,
    /// Those of which a request's head is being read.
    pub reading: u64,
    /// Those whose request is being answered.
    pub writing: u64,
}

#[derive(Debug)]
enum Goal {
    /// This file is the answer.
    File(Vec<u8>),
    /// If this file is there, the request is for this path of the site.
    Index { file: Vec<u8>, path: Vec<u8> },
    /// If this folder is there, it goes on.
    Folder(Vec<u8>),
    /// If this is there, and is a folder or not as is wanted, the request stays at its place, for this path.
    Try { file: Vec<u8>, path: Vec<u8>, is_folder: bool },
    /// The request is for this path of the site.
    Elsewhere(Vec<u8>),
    /// The request goes to the location of this name, or to another path with these arguments.
    Otherwise(Vec<u8>),
    /// Nothing is there.
    Refused(u16),
    /// The counters are the answer.
    Counters,
}

/// See the [module's page](self).
#[derive(Debug)]
pub(super) struct Fetch {
    /// The head of the request, as it came.
    pub(super) head: Box<[u8]>,
    /// Its target, as it is by now: the proxy may have sent it to another one.
    target: Box<[u8]>,
    /// How long its body is.
    length: Length,
    /// The request wants to send something: then there is no file for it.
    is_post: bool,
    /// The path of the site, in its normal form.
    pub(super) path: Vec<u8>,
    goals: VecDeque<Goal>,
    /// How often the request has gone on to another location.
    pub(super) turns: u8,
    /// The file that is on its way.
    pub(super) sending: Option<Sending>,
    /// One of its parts has been read to its end.
    pub(super) is_between: bool,
}

impl Fetch {
    fn new(message: &Message<'_>, path: &[u8]) -> Fetch {
        Fetch {
            head: message.head.fields.bytes()[..message.head.len].into(),
            target: message.target.path.into(),
            length: message.length,
            is_post: message.head.method_name == b"POST",
            path: path.to_vec(),
            goals: VecDeque::new(),
            turns: 0,
            sending: None,
            is_between: false,
        }
    }

    /// To the file that a request is for.
    pub(super) fn to_file(rules: &Files, message: &Message<'_>, asked: &Asked<'_>) -> Fetch {
        let mut fetch = Fetch::new(message, asked.path);
        let is_read = matches!(message.head.method, Method::Get | Method::Head);
        if !is_read && !fetch.is_post {
            fetch.goals.push_back(Goal::Refused(405));
            return fetch;
        }
        let mut root = Vec::new();
        asked.expand(&rules.root, &mut root);
        let file = |name: &[u8]| files::path(rules, root.clone(), asked.path, name);
        let goals = &mut fetch.goals;
        let Some(own) = file(b"") else {
            goals.push_back(Goal::Refused(404));
            return fetch;
        };
        if !asked.path.ends_with(b"/") {
            goals.push_back(Goal::File(own));
            return fetch;
        }
        let mut folder = Some(own);
        for name in &rules.index {
            let mut path = Vec::new();
            asked.expand(name, &mut path);
            if path.first() == Some(&b'/') {
                goals.push_back(Goal::Elsewhere(path));
                break;
            }
            let Some(file) = file(&path).filter(|_| !path.is_empty()) else { continue };
            path.splice(0..0, asked.path.iter().copied());
            goals.push_back(Goal::Index { file, path });
            goals.extend(folder.take().map(Goal::Folder));
        }
        goals.extend(folder.map(Goal::Folder));
        goals.push_back(Goal::Refused(403));
        fetch
    }

    /// To the first of several files that is there (`ngx_http_try_files_handler`).
    pub(super) fn to_first_of(
        tries: &TryFiles,
        rules: &Files,
        message: &Message<'_>,
        asked: &Asked<'_>,
    ) -> Fetch {
        let mut fetch = Fetch::new(message, asked.path);
        let mut root = Vec::new();
        asked.expand(&rules.root, &mut root);
        // An alias stands for what the location matched, also where the name of a file begins with that.
        let replaced = asked.path.get(..rules.replaced).unwrap_or_default();
        for (name, is_folder) in &tries.names {
            let mut path = replaced.to_vec();
            asked.expand(name, &mut path);
            if path[replaced.len()..].starts_with(replaced) {
                path.drain(..replaced.len());
            }
            if let Some(file) = files::path(rules, root.clone(), &path, b"") {
                fetch.goals.push_back(Goal::Try { file, path, is_folder: *is_folder });
            }
        }
        fetch.goals.push_back(match &tries.otherwise {
            Otherwise::Status(status) => Goal::Refused(*status),
            Otherwise::Place(template) => {
                let mut place = Vec::new();
                asked.expand(template, &mut place);
                Goal::Otherwise(place)
            }
        });
        fetch
    }

    /// To the counters.
    pub(super) fn to_counters(message: &Message<'_>, path: &[u8]) -> Fetch {
        let mut fetch = Fetch::new(message, path);
        let is_read = matches!(message.head.method, Method::Get | Method::Head);
        fetch.goals.push_back(if is_read { Goal::Counters } else { Goal::Refused(405) });
        fetch
    }

    /// Whether it is the counters that are wanted.
    pub(super) fn wants_counters(&self) -> bool {
        matches!(self.goals.front(), Some(Goal::Counters))
    }

    fn file(&self) -> Option<&[u8]> {
        match self.goals.front() {
            Some(
                Goal::File(file) | Goal::Folder(file) | Goal::Index { file, .. } | Goal::Try { file, .. },
            ) => Some(file),
            Some(Goal::Elsewhere(_) | Goal::Otherwise(_) | Goal::Refused(_) | Goal::Counters) | None => None,
        }
    }
}

impl Exchange {
    /// The name of the file that is to be opened.
    pub fn wanted_file(&self) -> &[u8] {
        self.fetch.as_ref().and_then(|fetch| fetch.file()).expect("asked for without a fetch")
    }

    /// Goes as far with the fetch as it gets without the driver.
    pub(super) fn pursue(&mut self, env: &mut Env) {
        let Some(fetch) = &mut self.fetch else { return };
        match fetch.goals.front_mut() {
            Some(Goal::Elsewhere(path)) => {
                let path = std::mem::take(path);
                self.go_to(Way::Path(path), env);
            }
            Some(Goal::Otherwise(place)) => {
                let place = std::mem::take(place);
                self.go_to(Way::to(place), env);
            }
            Some(&mut Goal::Refused(status)) => self.give_up(status, env),
            Some(
                Goal::File(_) | Goal::Index { .. } | Goal::Folder(_) | Goal::Try { .. } | Goal::Counters,
            )
            | None => {}
        }
    }

    /// The wanted file has been opened, or could not be.
    pub fn opened(&mut self, result: Result<Found, Missing>, env: &mut Env) {
        let Some(fetch) = &mut self.fetch else { return };
        match (fetch.goals.pop_front(), result) {
            (Some(Goal::File(_)), Ok(found)) => self.found(&found, env),
            (Some(Goal::Index { file, path }), Ok(found)) => self.go_on(Way::Path(path), &file, found, env),
            (Some(Goal::Try { file, path, is_folder }), Ok(found))
                if is_folder == (found.kind == FileKind::Folder) =>
            {
                self.go_on(Way::Stay(path), &file, found, env);
            }
            (Some(Goal::Try { .. }), _) => self.pursue(env),
            (Some(Goal::Folder(_)), Ok(Found { kind: FileKind::Folder, .. }))
            | (Some(Goal::Index { .. }), Err(Missing::Absent)) => self.pursue(env),
            (Some(Goal::Folder(_)), Ok(_)) => self.give_up(404, env),
            (_, Err(missing)) => self.give_up(missing.status(), env),
            (goal, Ok(_)) => unreachable!("{goal:?} is not opened"),
        }
    }

    /// The file is there: the request goes its way.
    fn go_on(&mut self, way: Way, file: &[u8], found: Found, env: &mut Env) {
        self.go_to(way, env);
        // Nearly always that is the same file, which need not be opened twice.
        if self.fetch.as_ref().is_some_and(|fetch| fetch.file() == Some(file)) {
            self.opened(Ok(found), env);
        }
    }

    /// The counters that were wanted.
    pub fn counted(&mut self, counters: &Counters, env: &mut Env) {
        let Counters { accepted, requests, active, reading, writing } = *counters;
        let waiting = active.saturating_sub(reading + writing);
        let text = format!(
            "Active connections: {active} \nserver accepts handled requests\n {accepted} {accepted} {requests} \n\
             Reading: {reading} Writing: {writing} Waiting: {waiting} \n"
        );
        self.fetch = None;
        let keep_alive = self.keeps_alive(env);
        self.request.cut(env);
        let content = Content::Text { kind: "text/plain", body: text.as_bytes() };
        self.write_answer(self.status_shown.unwrap_or(200), keep_alive, content, env);
    }

    /// After a whole request the next one can be found, so the connection can go on.
    pub(super) fn keeps_alive(&self, env: &Env) -> bool {
        self.request.is_whole() && self.request.keep_alive && !self.is_last(env)
    }

    pub(super) fn give_up(&mut self, status: u16, env: &mut Env) {
        self.fetch = None;
        // Where it was to stand for another error, it is an error itself.
        self.status_shown = None;
        self.answer(status, false, env);
    }

    fn found(&mut self, found: &Found, env: &mut Env) {
        let is_post = self.fetch.as_ref().is_some_and(|fetch| fetch.is_post);
        match found.kind {
            FileKind::Folder => self.name_the_folder(env),
            FileKind::Other => self.give_up(404, env),
            FileKind::Regular if is_post => self.give_up(405, env),
            FileKind::Regular => self.send_file(found, env),
        }
    }

    /// A folder was asked for like a file: its name ends with a slash.
    fn name_the_folder(&mut self, env: &mut Env) {
        let Some(fetch) = self.fetch.take() else { return };
        let place = self.place.clone();
        let mut location = Vec::new();
        if let Ok(Parsed::Complete(head)) = head::request(&fetch.head, &mut env.scratch)
            && let Ok(target) = target::of(head.method, head.target, head.version, &head.fields)
        {
            location = self.own_address(&place, target.host);
            uri::escape(&fetch.path, &mut location);
            location.push(b'/');
            let set = self.scope.as_ref().and_then(|scope| scope.args.as_deref());
            if let Some(args) = set.or(uri::split(&fetch.target).1).filter(|args| !args.is_empty()) {
                location.push(b'?');
                location.extend_from_slice(args);
            }
        }
        let keep_alive = self.keeps_alive(env);
        self.request.cut(env);
        self.write(301, keep_alive, Content::Page(""), Some(&location), b"", env);
    }

    /// The request goes on as one for something else of its site.
    fn go_to(&mut self, way: Way, env: &mut Env) {
        let Some(fetch) = self.fetch.take() else { return };
        let turns = fetch.turns + u8::from(!matches!(way, Way::Stay(_)));
        if turns > TURNS_MAX {
            self.closes_after(500);
            let why = "the configuration leads from one place to another without an end";
            return self.refuse(Refusal::new(500, why), env);
        }
        let request = Onward { head: &fetch.head, target: &fetch.target, length: fetch.length, turns };
        self.go_on_to(&way, &request, env);
    }
}
