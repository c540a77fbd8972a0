//! How other threads ask the resolver's thread, and are answered.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::Waker;

use super::super::shared::Call;
use super::engine::Selector;
use super::lookup::LookedUp;

/// Calls the resolver's thread from others.
#[derive(Clone, Debug)]
pub struct Caller {
    calls: Sender<Call>,
    waker: Arc<mio::Waker>,
}

/// Where calls arrive.
#[derive(Debug)]
pub struct Called {
    pub(super) calls: Receiver<Call>,
    pub(super) selector: Selector,
}

/// The two ends of a line to the resolver's thread.
///
/// # Errors
///
/// The kernel gives no poller.
pub fn line() -> io::Result<(Caller, Called)> {
    let (sender, receiver) = mpsc::channel();
    let selector = Selector::new()?;
    let caller = Caller { calls: sender, waker: selector.waker() };
    Ok((caller, Called { calls: receiver, selector }))
}

impl Caller {
    /// Calls it.
    pub fn call(&self, call: Call) {
        // The resolver ends only with the process.
        let _ = self.calls.send(call);
        let _ = self.waker.wake();
    }
}

/// Where a worker is told what its requests wait for.
#[derive(Clone, Debug)]
pub struct Mailbox {
    sender: Sender<LookedUp>,
    waker: Waker,
}

impl Mailbox {
    /// Whoever holds the other end of `sender` is woken by `waker`.
    pub fn new(sender: Sender<LookedUp>, waker: Waker) -> Mailbox {
        Mailbox { sender, waker }
    }

    pub(super) fn tell(&self, what: LookedUp) {
        // A worker that has ended waits for nothing.
        let _ = self.sender.send(what);
        self.waker.wake_by_ref();
    }
}
