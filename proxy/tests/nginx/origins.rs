//! The origins of a case, and the journal of what they saw, in one order over all of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::case::{Case, Deed};
use crate::notation::bytes;
use crate::play::allow_all;
use crate::support::origin::Visit;
use crate::support::{Gate, Message, Origin, wait_until};

/// A request, and the origin that saw it.
pub(crate) type Entry = (char, Message);

/// All origins of a case, listening.
#[derive(Debug)]
pub(crate) struct Origins {
    journal: Arc<Mutex<Vec<Entry>>>,
    gate: Arc<Gate>,
    running: Vec<Origin>,
}

impl Origins {
    /// Those at `addresses`, by letter, and one at the Unix socket `socket` where there is one.
    pub(crate) fn start(
        case: &Case,
        addresses: &BTreeMap<char, SocketAddr>,
        socket: Option<&Path>,
    ) -> Origins {
        let journal: Arc<Mutex<Vec<Entry>>> = Arc::default();
        let gate: Arc<Gate> = Arc::default();
        let script = |letter: char| {
            let deeds = case.deeds_of(letter);
            let (journal, gate, turn) = (journal.clone(), gate.clone(), AtomicUsize::new(0));
            move |visit: &mut Visit| serve(visit, letter, &deeds, &turn, &journal, &gate)
        };
        let mut running: Vec<Origin> =
            addresses.iter().map(|(letter, address)| Origin::start_at(*address, script(*letter))).collect();
        if let Some(path) = socket {
            let _ = std::fs::remove_file(path);
            running.push(Origin::start_unix(path, script('u')));
            allow_all(path);
        }
        Origins { journal, gate, running }
    }

    /// How many requests have come.
    pub(crate) fn count(&self) -> usize {
        self.journal.lock().expect("no panic while locked").len()
    }

    /// Those that came from the one numbered `from` on.
    pub(crate) fn since(&self, from: usize) -> Vec<Entry> {
        self.journal.lock().expect("no panic while locked")[from..].to_vec()
    }

    /// Waits until one more than `count` has come.
    pub(crate) fn wait_beyond(&self, count: usize) {
        wait_until("a request at an origin", || self.count() > count);
    }

    /// Lets go what is held.
    pub(crate) fn release(&self) {
        self.gate.open();
    }
}

impl Drop for Origins {
    fn drop(&mut self) {
        self.gate.open();
        self.running.clear();
    }
}

/// Answers the requests of one connection.
fn serve(
    visit: &mut Visit,
    letter: char,
    deeds: &[Deed],
    turn: &AtomicUsize,
    journal: &Mutex<Vec<Entry>>,
    gate: &Gate,
) {
    loop {
        let request = visit.request();
        let deed = deeds.get(turn.fetch_add(1, Ordering::SeqCst)).or(deeds.last()).cloned();
        journal.lock().expect("no panic while locked").push((letter, request.clone()));
        if request.target().contains("hold") {
            gate.pass();
        }
        let mut answer = match deed.unwrap_or(Deed::Status(200)) {
            Deed::Close => return,
            Deed::Silence => {
                visit.rest();
                return;
            }
            Deed::Status(status @ (204 | 304)) => format!("HTTP/1.1 {status} X\r\n\r\n").into_bytes(),
            Deed::Status(status) => {
                format!("HTTP/1.1 {status} X\r\nContent-Length: 1\r\n\r\n{letter}").into_bytes()
            }
            Deed::Send(text) => bytes(&text),
        };
        let head =
            answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
        let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
        let has_end = text.contains("content-length:") || text.contains("chunked") || text.contains(" 304 ");
        if request.first_line().starts_with("HEAD ") {
            answer.truncate(head);
        }
        visit.send(answer);
        let is_last = request.fields("connection").contains(&"close") || text.contains("connection: close");
        if is_last || !(has_end || text.contains(" 204 ")) {
            return;
        }
    }
}
