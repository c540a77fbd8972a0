//! Origins: servers that do what a script says, and remember what they saw.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::net::{Shutdown, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use socket2::{Domain, SockAddr, Socket, Type};

use super::conn::Gone;
use super::{Conn, Message, free_address, wait_for, wait_until};

/// A listening server. Each connection has a thread that runs the script.
#[derive(Debug)]
pub(crate) struct Origin {
    name: String,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    listener: Socket,
    is_stopped: AtomicBool,
    connections: AtomicUsize,
    requests: Mutex<Vec<Message>>,
    open: Mutex<HashMap<usize, Socket>>,
    /// What a script panicked with.
    panicked: Mutex<Option<String>>,
}

/// A connection to the origin, as its script sees it.
#[derive(Debug)]
pub(crate) struct Visit {
    /// Which connection this is, from 0.
    pub(crate) number: usize,
    conn: Conn,
    state: Arc<State>,
    /// Where the last request is remembered.
    last: usize,
}

impl Origin {
    /// On an address of its own.
    pub(crate) fn start(script: impl Fn(&mut Visit) + Send + Sync + 'static) -> Origin {
        Origin::start_at(free_address(), script)
    }

    /// On this address.
    pub(crate) fn start_at(
        address: SocketAddr,
        script: impl Fn(&mut Visit) + Send + Sync + 'static,
    ) -> Origin {
        Origin::listen(&address.into(), address.to_string(), script)
    }

    /// On a Unix socket.
    pub(crate) fn start_unix(path: &Path, script: impl Fn(&mut Visit) + Send + Sync + 'static) -> Origin {
        let address = SockAddr::unix(path).expect("a short path");
        Origin::listen(&address, format!("unix:{}", path.display()), script)
    }

    /// One that answers every request with the same bytes.
    pub(crate) fn answering(response: impl Into<String>) -> Origin {
        Origin::start(answer(response))
    }

    /// One that answers every request with a 200 whose body is `name`.
    pub(crate) fn named(name: &str) -> Origin {
        Origin::answering(ok(name))
    }

    fn listen(
        address: &SockAddr,
        name: String,
        script: impl Fn(&mut Visit) + Send + Sync + 'static,
    ) -> Origin {
        let domain = Domain::from(i32::from(address.family()));
        let listener = Socket::new(domain, Type::STREAM, None).expect("a socket");
        if domain != Domain::UNIX {
            listener.set_reuse_address(true).expect("an option");
        }
        // Somebody's outgoing connection may have this port for a moment, where it was chosen before.
        wait_until("a free address", || listener.bind(address).is_ok());
        listener.listen(1024).expect("a listener");
        let state = Arc::new(State {
            listener,
            is_stopped: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            requests: Mutex::default(),
            open: Mutex::default(),
            panicked: Mutex::default(),
        });
        let script = Arc::new(script);
        let shared = state.clone();
        thread::spawn(move || {
            while let Ok((socket, _)) = shared.listener.accept() {
                let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                let copy = socket.try_clone().expect("a descriptor");
                lock(&shared.open).insert(number, copy);
                if shared.is_stopped.load(Ordering::SeqCst) {
                    lock(&shared.open).clear();
                    return;
                }
                let (script, state) = (script.clone(), shared.clone());
                thread::spawn(move || {
                    let conn = Conn::new(socket, true);
                    let mut visit = Visit { number, conn, state: state.clone(), last: 0 };
                    let result = catch_unwind(AssertUnwindSafe(|| script(&mut visit)));
                    lock(&state.open).remove(&number);
                    // Closed before anybody can see that it panicked.
                    drop(visit);
                    if let Err(payload) = result
                        && !payload.is::<Gone>()
                    {
                        *lock(&state.panicked) = Some(text(&*payload));
                    }
                });
            }
        });
        Origin { name, state }
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Connections whose script has not ended.
    pub(crate) fn open(&self) -> usize {
        lock(&self.state.open).len()
    }

    /// The requests seen so far, over all connections.
    pub(crate) fn requests(&self) -> Vec<Message> {
        lock(&self.state.requests).clone()
    }

    /// How many requests have been seen so far.
    pub(crate) fn count(&self) -> usize {
        lock(&self.state.requests).len()
    }

    /// Waits until so many requests have been seen, and gives them.
    #[track_caller]
    pub(crate) fn wait_requests(&self, count: usize) -> Vec<Message> {
        wait_for("requests at the origin", || Some(self.requests()).filter(|list| list.len() >= count))
    }

    /// Waits until so many connections are open.
    #[track_caller]
    pub(crate) fn wait_open(&self, count: usize) {
        wait_until("connections at the origin", || self.open() == count);
    }

    /// Closes the listener and all connections, as the end of the process would.
    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.state.is_stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, whose clone of the state is the last.
        let _ = self.state.listener.shutdown(Shutdown::Both);
        for socket in lock(&self.state.open).values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        let panicked = lock(&self.state.panicked).take();
        if let Some(panicked) = panicked
            && !thread::panicking()
        {
            panic!("the script of {self} panicked: {panicked}");
        }
    }
}

impl fmt::Display for Origin {
    /// The address, as `--upstream` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Visit {
    /// A whole request, remembered; the script ends where no other comes.
    pub(crate) fn request(&mut self) -> Message {
        let mut message = self.request_head();
        self.conn.body(&mut message);
        message.connection = self.number;
        lock(&self.state.requests)[self.last] = message.clone();
        message
    }

    /// The head of a request, remembered; the script ends where no other comes.
    pub(crate) fn request_head(&mut self) -> Message {
        let Some(mut message) = self.conn.head_or_end() else {
            std::panic::resume_unwind(Box::new(Gone));
        };
        message.connection = self.number;
        let mut requests = lock(&self.state.requests);
        self.last = requests.len();
        requests.push(message.clone());
        message
    }
}

impl Deref for Visit {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl DerefMut for Visit {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

/// A script that answers every request with the same bytes.
pub(crate) fn answer(response: impl Into<String>) -> impl Fn(&mut Visit) + Send + Sync + 'static {
    let response = response.into();
    move |visit| {
        loop {
            visit.request();
            visit.send(&response);
        }
    }
}

/// A response with this body.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
