//! The scripted origin: reads requests to the letter, answers as the case says, remembers what it saw.
//!
//! Its summary lists requests as `METHOD target body`, in the order of their heads, with `; ` before one
//! that came over the same connection as the one before it and ` ‖ ` before one that came over another; a
//! request of which the end never came ends in `…`. `-` is no request at all.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::PATIENCE;
use crate::case::{Case, OK};
use crate::message::{self, Body};
use crate::notation::{self, Act, show, show_body};

/// What is asked to see whether a connection still serves; not part of what the origin reports.
pub(crate) const PROBE: &str = "GET /probe HTTP/1.1⏎Host: probe⏎⏎";

/// The answer to it.
const PROBED: &str = "HTTP/1.1 200 OK⏎X-Probe: 1⏎Content-Length: 5⏎⏎probe";

/// How long `⌛` lasts.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// A request, as far as it came.
#[derive(Debug, Default)]
struct Request {
    connection: usize,
    raw: Vec<u8>,
    line: String,
    body: Vec<u8>,
    is_whole: bool,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<Request>,
    answered: usize,
    /// Answers that have been given to their end.
    done: usize,
    /// Bytes that the client has received.
    client_got: usize,
    /// The connection that is the last one comes from here.
    last: Option<SocketAddr>,
    serving: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    greets: Vec<Act>,
    answers: Vec<Vec<Act>>,
    state: Mutex<State>,
    came: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while locked")
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.came.notify_all();
    }

    /// Waits until `condition` no longer holds, with patience.
    fn wait_while(&self, condition: impl Fn(&State) -> bool) {
        let waited = self.came.wait_timeout_while(self.state(), PATIENCE, |state| condition(state));
        drop(waited.expect("no panic while locked"));
    }
}

/// A listening origin.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// What an origin saw.
#[derive(Debug)]
pub(crate) struct Sight {
    pub(crate) summary: String,
    /// All bytes of all requests but probes.
    pub(crate) raw: Vec<u8>,
}

impl Origin {
    /// Begins to listen.
    pub(crate) fn start(case: &Case) -> Origin {
        // On all of loopback, since some cases have it under two addresses.
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        let address = ([127, 0, 0, 1], listener.local_addr().expect("its address").port()).into();
        let shared = Arc::new(Shared {
            greets: notation::script(case.greets),
            answers: case.answers.iter().map(|text| notation::script(text)).collect(),
            state: Mutex::default(),
            came: Condvar::new(),
        });
        let for_thread = shared.clone();
        let accepting = std::thread::spawn(move || accept(&listener, &for_thread));
        Origin { address, shared, accepting }
    }

    /// Waits until so many request heads have come.
    pub(crate) fn await_heads(&self, count: usize) {
        self.shared.wait_while(|state| state.requests.len() < count);
    }

    /// Waits until what is done for each request that has come is done.
    pub(crate) fn await_done(&self) {
        self.shared.wait_while(|state| state.done < state.requests.len());
    }

    /// The client has received so many bytes in all.
    pub(crate) fn client_got(&self, bytes: usize) {
        self.shared.change(|state| state.client_got = bytes);
    }

    /// Ends, when whoever was connected has gone.
    pub(crate) fn stop(self) -> Sight {
        // Connections that wait to be accepted come before this one.
        let last = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        last.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a loopback port");
        self.shared.state().last = last.local_addr().expect("its address").as_socket();
        last.connect(&self.address.into()).expect("the listener");
        self.accepting.join().expect("accepting goes on to the end");
        let serving = std::mem::take(&mut self.shared.state().serving);
        for thread in serving {
            thread.join().expect("a script does not panic");
        }
        let state = self.shared.state();
        let raw = state.requests.iter().flat_map(|request| request.raw.iter().copied()).collect();
        Sight { summary: summary(&state.requests), raw }
    }
}

fn summary(requests: &[Request]) -> String {
    let mut text = String::new();
    let mut last = None;
    for request in requests {
        match last {
            None => {}
            Some(connection) if connection == request.connection => text.push_str("; "),
            Some(_) => text.push_str(" ‖ "),
        }
        last = Some(request.connection);
        text.push_str(&request.line);
        if !request.body.is_empty() {
            text.push(' ');
            text.push_str(&show_body(&request.body));
        }
        if !request.is_whole {
            text.push('…');
        }
    }
    if text.is_empty() { "-".into() } else { text }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in listener.incoming().enumerate() {
        let mut state = shared.state();
        let Ok(stream) = stream else { continue };
        if state.last.is_some() && stream.peer_addr().ok() == state.last {
            return;
        }
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream.set_nodelay(true).expect("an option");
        let shared = shared.clone();
        let thread = std::thread::spawn(move || {
            let mut visit = Visit { stream, number, shared, unread: Vec::new(), index: None, is_done: true };
            visit.serve();
            // Once the connection is closed, too.
            let Visit { stream, shared, is_done, .. } = visit;
            let ports = (port(stream.peer_addr()), port(stream.local_addr()));
            drop(stream);
            if !is_done {
                await_end(ports);
                shared.change(|state| state.done += 1);
            }
        });
        state.serving.push(thread);
    }
}

fn port(address: std::io::Result<SocketAddr>) -> u16 {
    address.map_or(0, |address| address.port())
}

/// Waits until the end of a connection has reached the other side: on a busy machine the kernel takes its time.
/// `ports` are the other side's and this one's.
fn await_end(ports: (u16, u16)) {
    let start = Instant::now();
    while start.elapsed() < PATIENCE && is_established(ports) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether the socket between two ports knows of no end yet, by `/proc/net/tcp`: see proc_net_tcp(5).
fn is_established((local, remote): (u16, u16)) -> bool {
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("the list of sockets");
    sockets.lines().skip(1).any(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let port = |word: &str| word.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
        matches!(words[..], [_, from, to, "01", ..] if port(from) == Some(local) && port(to) == Some(remote))
    })
}

/// One connection.
struct Visit {
    stream: TcpStream,
    number: usize,
    shared: Arc<Shared>,
    unread: Vec<u8>,
    /// The place of the request in hand among all.
    index: Option<usize>,
    /// What is done for that request is done.
    is_done: bool,
}

/// The connection is over.
struct Over;

impl Visit {
    fn serve(&mut self) {
        let greeting = self.shared.greets.clone();
        if self.perform(&greeting, None).is_ok() {
            while self.request().is_ok() {}
        }
    }

    /// Reads a request's head, and answers.
    fn request(&mut self) -> Result<(), Over> {
        self.index = None;
        let head_len = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if let Err(over) = self.receive() {
                if !self.unread.is_empty() {
                    let line = format!("?{}", show(&self.unread));
                    let raw = std::mem::take(&mut self.unread);
                    self.record(Request { raw, line, ..Request::default() });
                }
                return Err(over);
            }
        };
        let head = self.unread[..head_len].to_vec();
        self.unread.drain(..head_len);
        let first = head.split(|&b| b == b'\r').next().unwrap_or_default();
        let words: Vec<&[u8]> = first.splitn(3, |&b| b == b' ').collect();
        let line = words.iter().take(2).map(|word| show(word)).collect::<Vec<_>>().join(" ");
        let body = message::request_body(&head);
        // A configuration may have another method, path or version go on.
        let is_probe =
            head.split(|&byte| byte == b' ').nth(1).is_some_and(|target| target.ends_with(b"/probe"));
        if is_probe && body == Body::Length(0) {
            return self.write(&notation::bytes(PROBED));
        }
        self.record(Request { raw: head.clone(), line, ..Request::default() });
        let answer = {
            let mut state = self.shared.state();
            state.answered += 1;
            let scripted = self.shared.answers.get(state.answered - 1).cloned();
            scripted.unwrap_or_else(|| notation::script(OK))
        };
        let switches = matches!(answer.first(), Some(Act::Send(bytes)) if bytes.starts_with(b"HTTP/1.1 101"));
        if answer.first() != Some(&Act::Early) {
            self.body(body)?;
        }
        self.is_done = false;
        self.perform(&answer, Some(body))?;
        self.is_done = true;
        self.shared.change(|state| state.done += 1);
        if switches { self.echo() } else { self.body(body) }
    }

    fn record(&mut self, mut request: Request) {
        request.connection = self.number;
        let shared = self.shared.clone();
        shared.change(|state| {
            self.index = Some(state.requests.len());
            state.requests.push(request);
        });
    }

    fn note(&self, change: impl FnOnce(&mut Request)) {
        let mut state = self.shared.state();
        if let Some(request) = self.index.and_then(|index| state.requests.get_mut(index)) {
            change(request);
        }
    }

    /// Reads the request's body, unless that is done.
    fn body(&mut self, body: Body) -> Result<(), Over> {
        let mut whole = false;
        self.note(|request| whole = request.is_whole);
        if whole {
            return Ok(());
        }
        loop {
            let scan = body.scan(&self.unread, false);
            if scan.is_whole {
                let raw: Vec<u8> = self.unread.drain(..scan.len).collect();
                self.note(|request| {
                    request.raw.extend_from_slice(&raw);
                    request.body = scan.data;
                    request.is_whole = true;
                    if let Some(why) = scan.bad {
                        request.line.push_str(why);
                    }
                });
                return Ok(());
            }
            if let Err(over) = self.receive() {
                let raw = std::mem::take(&mut self.unread);
                self.note(|request| {
                    request.raw.extend_from_slice(&raw);
                    request.body = scan.data;
                });
                return Err(over);
            }
        }
    }

    /// What a switched connection brings is the body, and goes back as it came.
    fn echo(&mut self) -> Result<(), Over> {
        loop {
            let came = std::mem::take(&mut self.unread);
            self.note(|request| {
                request.raw.extend_from_slice(&came);
                request.body.extend_from_slice(&came);
            });
            self.write(&came)?;
            self.receive()?;
        }
    }

    fn perform(&mut self, acts: &[Act], body: Option<Body>) -> Result<(), Over> {
        let mut client_had = self.shared.state().client_got;
        for act in acts {
            match act {
                Act::Send(bytes) => self.write(bytes)?,
                Act::Finish => {
                    let _ = self.stream.shutdown(Shutdown::Write);
                    await_end((port(self.stream.peer_addr()), port(self.stream.local_addr())));
                }
                Act::Close => return Err(Over),
                Act::Reset => {
                    SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("an option");
                    return Err(Over);
                }
                Act::AwaitOther => {
                    if let Some(body) = body {
                        self.body(body)?;
                    }
                }
                Act::AwaitClient => {
                    self.shared.wait_while(|state| state.client_got == client_had);
                    client_had = self.shared.state().client_got;
                }
                Act::Pause => std::thread::sleep(PAUSE),
                Act::Early => {}
                Act::AwaitOrigin | Act::AwaitDone | Act::Freeze | Act::Thaw => {
                    panic!("{act:?} is for clients")
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Over> {
        self.stream.write_all(bytes).map_err(|_| Over)
    }

    fn receive(&mut self) -> Result<(), Over> {
        let mut room = [0; 16 * 1024];
        match self.stream.read(&mut room) {
            Ok(0) | Err(_) => Err(Over),
            Ok(n) => {
                self.unread.extend_from_slice(&room[..n]);
                Ok(())
            }
        }
    }
}
