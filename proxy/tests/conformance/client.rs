//! The client: does what the case says it sends, and sums up what comes back.
//!
//! Its summary lists responses as `STATUS body`, `; ` between them, the proxy's own pages without their
//! text, `…` behind one that did not come whole, `?` before bytes that are no response; and how the
//! connection ended: `⇄` it goes on to serve (another request was answered), `✂` closed in order,
//! `⚡` reset, `⌛` neither: the other side waits for something.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use socket2::SockRef;

use crate::case::Case;
use crate::message::{self, Response};
use crate::notation::{self, Act};
use crate::origin::{Origin, PAUSE, PROBE};
use crate::subject::Subject;

/// What a client saw.
#[derive(Debug)]
pub(crate) struct Sight {
    pub(crate) summary: String,
    pub(crate) raw: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Closed,
    Reset,
}

struct Client<'c> {
    case: &'c Case,
    origin: &'c Origin,
    stream: TcpStream,
    raw: Vec<u8>,
    end: End,
    patience: Duration,
}

/// Plays the client's part of a case. With `patience` over, what has not come does not come.
pub(crate) fn play(case: &Case, subject: &Subject, origin: &Origin, patience: Duration) -> Sight {
    let stream = TcpStream::connect(subject.address).expect("a listening proxy");
    stream.set_nodelay(true).expect("an option");
    let mut client = Client { case, origin, stream, raw: Vec::new(), end: End::Open, patience };
    let sends_on = client.perform(subject);
    let wanted = if case.stays_open() { case.finals() } else { usize::MAX };
    client.read_until(|client| client.finals() >= wanted);
    if client.end == End::Open && sends_on {
        let _ = client.stream.write_all(&notation::bytes(PROBE));
        client.read_until(|client| client.responses().0.iter().any(|response| response.is_probe));
    }
    Sight { summary: client.summary(), raw: client.raw }
}

impl Client<'_> {
    /// Does what the case says; false when the client has stopped sending.
    fn perform(&mut self, subject: &Subject) -> bool {
        let (mut heads, mut seen, mut sends_on) = (0, 0, true);
        for act in notation::script(&self.case.sends) {
            match act {
                // The other side may close at any time; what it said before that is still to be read.
                Act::Send(bytes) => {
                    let _ = self.stream.write_all(&bytes);
                }
                Act::Finish => {
                    let _ = self.stream.shutdown(Shutdown::Write);
                    sends_on = false;
                }
                Act::Close | Act::Reset => {
                    if act == Act::Reset {
                        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("an option");
                    }
                    let gone = TcpStream::connect(self.origin.address).expect("the origin");
                    drop(std::mem::replace(&mut self.stream, gone));
                    self.end = if act == Act::Reset { End::Reset } else { End::Closed };
                    return false;
                }
                Act::AwaitOther => {
                    heads += 1;
                    self.read_until(|client| client.responses().0.len() >= heads);
                }
                Act::AwaitOrigin => {
                    seen += 1;
                    self.origin.await_heads(seen);
                }
                Act::Pause => std::thread::sleep(PAUSE),
                Act::Freeze => subject.freeze(),
                Act::Thaw => subject.signal(Signal::CONT),
                Act::AwaitDone => self.origin.await_done(),
                Act::Early | Act::AwaitClient => panic!("{act:?} is for origins"),
            }
        }
        sends_on
    }

    fn responses(&self) -> (Vec<Response>, String) {
        let head = self.case.sends.starts_with("HEAD ");
        message::responses(&self.raw, |number| head && number == 0, self.end == End::Closed)
    }

    fn finals(&self) -> usize {
        self.responses().0.iter().filter(|response| response.is_final() && response.is_whole).count()
    }

    fn read_until(&mut self, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        let mut room = [0; 64 * 1024];
        while self.end == End::Open && !done(self) {
            let Some(left) = self.patience.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
                return;
            };
            self.stream.set_read_timeout(Some(left)).expect("an option");
            match self.stream.read(&mut room) {
                Ok(0) => self.end = End::Closed,
                Ok(n) => {
                    self.raw.extend_from_slice(&room[..n]);
                    self.origin.client_got(self.raw.len());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.end = End::Reset,
            }
        }
    }

    fn summary(&self) -> String {
        let (responses, behind) = self.responses();
        let mut parts: Vec<_> = responses.iter().filter(|r| !r.is_probe).map(Response::summary).collect();
        if !behind.is_empty() {
            parts.push(format!("?{behind}"));
        }
        let end = match self.end {
            End::Closed => '✂',
            End::Reset => '⚡',
            End::Open if responses.iter().any(|response| response.is_probe) => '⇄',
            End::Open => '⌛',
        };
        format!("{} {end}", parts.join("; ")).trim_start().to_owned()
    }
}
