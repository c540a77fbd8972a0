//! An origin for thousands of connections, on one thread: sound where asked for `/`, and for other targets
//! every kind of nuisance.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::SockRef;

use crate::support::free_address;

/// How often an answer that drips lets a byte go.
pub(crate) const DRIP: Duration = Duration::from_millis(20);

/// Bytes of the answer to `/large`.
pub(crate) const LARGE: u64 = 1 << 20;

/// What a connection may send or receive before it is another's turn.
const SHARE: usize = 256 << 10;

/// The origin. Dropping it ends it, and fails where it was sent something that is no request.
pub(crate) struct Mill {
    address: SocketAddr,
    state: Arc<State>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    is_stopped: AtomicBool,
    complaint: Mutex<Option<String>>,
}

impl Mill {
    pub(crate) fn start() -> Mill {
        let address = free_address();
        let mut listener = TcpListener::bind(address).expect("a free address");
        let poll = Poll::new().expect("epoll");
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).expect("a listener");
        let waker = Waker::new(poll.registry(), WAKER).expect("a waker");
        let state = Arc::new(State::default());
        let shared = state.clone();
        let thread = thread::spawn(move || run(poll, &listener, &shared));
        Mill { address, state, waker, thread: Some(thread) }
    }

    /// As `--upstream` takes it.
    pub(crate) fn name(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Mill {
    fn drop(&mut self) {
        self.state.is_stopped.store(true, Ordering::SeqCst);
        self.waker.wake().expect("a waker");
        let result = self.thread.take().expect("once").join();
        if !thread::panicking() {
            result.expect("the origin's thread");
            let complaint = self.state.complaint.lock().expect("no panic while locked").take();
            assert_eq!(complaint, None, "the origin was sent what is no request");
        }
    }
}

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

fn run(mut poll: Poll, listener: &TcpListener, state: &State) {
    let mut events = Events::with_capacity(1024);
    let mut places: Vec<Option<Place>> = Vec::new();
    let mut busy: Vec<usize> = Vec::new();
    let mut next_drip = Instant::now() + DRIP;
    loop {
        let wait = next_drip.saturating_duration_since(Instant::now());
        match poll.poll(&mut events, Some(if busy.is_empty() { wait } else { Duration::ZERO })) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other.expect("epoll"),
        }
        if state.is_stopped.load(Ordering::SeqCst) {
            return;
        }
        let mut due = std::mem::take(&mut busy);
        for event in &events {
            match event.token() {
                LISTENER => accept(&poll, listener, &mut places, &mut due),
                WAKER => {}
                Token(number) => due.push(number),
            }
        }
        if Instant::now() >= next_drip {
            next_drip = Instant::now() + DRIP;
            let drips = |place: &Place| place.answer.as_ref().is_some_and(|answer| answer.drips);
            let dripping = places.iter().enumerate().filter(|(_, place)| place.as_ref().is_some_and(drips));
            due.extend(dripping.map(|(number, _)| number));
        }
        due.sort_unstable();
        due.dedup();
        for number in due {
            let Some(place) = &mut places[number] else { continue };
            match place.go_on(state) {
                Ok(true) => busy.push(number),
                Ok(false) => {}
                Err(End) => places[number] = None,
            }
        }
    }
}

fn accept(poll: &Poll, listener: &TcpListener, places: &mut Vec<Option<Place>>, due: &mut Vec<usize>) {
    while let Ok((mut socket, _)) = listener.accept() {
        // What waits is to wait in the proxy, not in the kernel.
        SockRef::from(&socket).set_send_buffer_size(16 << 10).expect("an option");
        let number = places.iter().position(Option::is_none).unwrap_or(places.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut socket, Token(number), interest).expect("a connection");
        if number == places.len() {
            places.push(None);
        }
        places[number] = Some(Place::new(socket));
        due.push(number);
    }
}

/// The connection is over.
struct End;

impl From<io::Error> for End {
    fn from(_: io::Error) -> End {
        End
    }
}

/// One connection.
struct Place {
    socket: TcpStream,
    input: Vec<u8>,
    /// What the request in hand is answered with, when its body has come.
    answer: Option<Answer>,
    body: Body,
    is_deaf: bool,
}

/// What is still to come of a request's body.
enum Body {
    Left(u64),
    /// To be read up to the last chunk.
    Chunks,
}

/// Bytes, and after them others again and again.
struct Answer {
    start: Vec<u8>,
    cycle: Vec<u8>,
    /// Bytes of all repetitions.
    length: u64,
    sent: u64,
    drips: bool,
    closes: bool,
}

impl Place {
    fn new(socket: TcpStream) -> Place {
        Place { socket, input: Vec::new(), answer: None, body: Body::Left(0), is_deaf: false }
    }

    /// Receives and sends what goes. Says whether there is more to do at once.
    fn go_on(&mut self, state: &State) -> Result<bool, End> {
        let mut share = SHARE;
        loop {
            let received = self.receive(&mut share)?;
            if self.answer.is_none() {
                self.read_head(state)?;
            }
            let is_asked = self.answer.is_some() && self.take_body();
            if is_asked && self.send(&mut share)? {
                self.answer = None;
                continue;
            }
            // An answer that does not end is sent as far as it goes.
            if share == 0 {
                return Ok(true);
            }
            if !received {
                return Ok(false);
            }
        }
    }

    fn receive(&mut self, share: &mut usize) -> Result<bool, End> {
        if self.is_deaf || *share == 0 {
            return Ok(false);
        }
        let mut space = [0; 16 << 10];
        match self.socket.read(&mut space) {
            Ok(0) => Err(End),
            Ok(n) => {
                self.input.extend_from_slice(&space[..n]);
                *share = share.saturating_sub(n);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn read_head(&mut self, state: &State) -> Result<(), End> {
        let mut fields = [httparse::EMPTY_HEADER; 200];
        let mut request = httparse::Request::new(&mut fields);
        let length = match request.parse(&self.input) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(()),
            Err(error) => {
                let text = format!("{error}: {:?}", String::from_utf8_lossy(&self.input));
                *state.complaint.lock().expect("no panic while locked") = Some(text);
                return Err(End);
            }
        };
        let value = |name: &str| {
            let field = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            field.map(|field| String::from_utf8_lossy(field.value).into_owned())
        };
        self.body = match (value("transfer-encoding"), value("content-length")) {
            (Some(_), _) => Body::Chunks,
            (None, length) => Body::Left(length.map_or(0, |length| length.parse().expect("a length"))),
        };
        let target = request.path.expect("parsed").to_owned();
        self.is_deaf = target == "/deaf";
        self.answer = Some(Answer::to(&target, request.method == Some("HEAD")));
        self.input.drain(..length);
        Ok(())
    }

    /// Drops what there is of the request's body; says whether that was all of it.
    fn take_body(&mut self) -> bool {
        match &mut self.body {
            Body::Left(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
                self.input.drain(..n);
                *left -= n as u64;
            }
            Body::Chunks => {
                while let Some(line) = self.input.windows(2).position(|end| end == b"\r\n") {
                    let size = String::from_utf8_lossy(&self.input[..line]).into_owned();
                    let size = size.split(';').next().unwrap_or_default().trim();
                    let size = usize::from_str_radix(size, 16).expect("a chunk's size");
                    if size == 0 {
                        let Some(end) = self.input[line..].windows(4).position(|end| end == b"\r\n\r\n")
                        else {
                            break;
                        };
                        self.input.drain(..line + end + 4);
                        self.body = Body::Left(0);
                        break;
                    }
                    if self.input.len() < line + 2 + size + 2 {
                        break;
                    }
                    self.input.drain(..line + 2 + size + 2);
                }
            }
        }
        matches!(self.body, Body::Left(0))
    }

    /// Sends what goes; says whether the answer is through.
    fn send(&mut self, share: &mut usize) -> Result<bool, End> {
        let Some(answer) = &mut self.answer else { return Ok(false) };
        while *share > 0 {
            let next = answer.next();
            if next.is_empty() {
                if answer.closes {
                    self.socket.shutdown(Shutdown::Write)?;
                    return Err(End);
                }
                return Ok(!self.is_deaf);
            }
            match self.socket.write(next) {
                Ok(n) => {
                    answer.sent += n as u64;
                    *share = share.saturating_sub(n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
            if answer.drips {
                break;
            }
        }
        Ok(false)
    }
}

impl Answer {
    fn to(target: &str, is_head: bool) -> Answer {
        const HEAD: &str = "HTTP/1.1 200 OK\r\n";
        let repeat = |start: String, cycle: &str| Answer {
            start: start.into(),
            cycle: cycle.repeat(1 + 8000 / cycle.len()).into(),
            length: u64::MAX,
            sent: 0,
            drips: false,
            closes: false,
        };
        let whole = |start: String| Answer { length: 0, ..repeat(start, "-") };
        match target {
            "/large" => {
                Answer { length: LARGE, ..repeat(format!("{HEAD}Content-Length: {LARGE}\r\n\r\n"), "x") }
            }
            "/deaf" => whole(String::new()),
            "/drip" => Answer { drips: true, ..whole(format!("{HEAD}Content-Length: 60\r\n\r\n{:60}", "")) },
            "/drip/chunks" => {
                let chunks = "1\r\nx\r\n".repeat(20);
                Answer {
                    drips: true,
                    ..whole(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"))
                }
            }
            // For ever:
            "/forever" => repeat(format!("{HEAD}\r\n"), "x"),
            "/forever/chunks" => repeat(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n"), "4\r\nxxxx\r\n"),
            "/forever/fields" => repeat(HEAD.into(), "X-More: and more\r\n"),
            "/forever/field" => repeat(format!("{HEAD}X-More: "), "and more "),
            "/forever/status" => repeat("HTTP/1.1 200 ".into(), "OK "),
            "/forever/interim" => repeat(String::new(), "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
            "/forever/extension" => repeat(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n4"), ";more"),
            "/forever/trailers" => {
                repeat(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n"), "X-More: and more\r\n")
            }
            "/forever/behind" => repeat(format!("{HEAD}Content-Length: 2\r\n\r\nok"), "more"),
            "/forever/nothing" => repeat(String::new(), "\r\n"),
            _ if is_head => whole(format!("{HEAD}Content-Length: 2\r\n\r\n")),
            _ => whole(format!("{HEAD}Content-Length: 2\r\n\r\nok")),
        }
    }

    /// The bytes to be sent next; none at the end.
    fn next(&self) -> &[u8] {
        let start = self.start.len() as u64;
        let bytes = if self.sent < start {
            &self.start[self.sent as usize..]
        } else {
            let at = self.sent - start;
            let left = usize::try_from(self.length - at).unwrap_or(usize::MAX);
            let cycle = &self.cycle[(at % self.cycle.len() as u64) as usize..];
            &cycle[..cycle.len().min(left)]
        };
        if self.drips { &bytes[..bytes.len().min(1)] } else { bytes }
    }
}
