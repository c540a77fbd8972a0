//! Requests that wait for a server, as their workers see it.
//!
//! Who waits stands in the group, over all workers, in order. Whoever frees a server calls the first; where that one is
//! another worker's client, the call goes through that worker's mailbox. A call is only a hint: the one who is called
//! chooses as it did before, and it chooses by itself each second, so no call can be missed for good.

use std::task::Waker;

use parking_lot::Mutex;
use slotmap::{Key as _, KeyData};

use super::Worker;
use super::net::{ClientKey, Net};
use crate::ids::GroupId;
use crate::time::Time;
use crate::upstream::Waiter;

/// A request's place in a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) group: GroupId,
    /// Until when it waits.
    pub(super) until: Time,
}

/// The ways to the workers, by their numbers.
#[derive(Default)]
pub(super) struct Mailboxes(Mutex<Vec<Mailbox>>);

struct Mailbox {
    /// Clients that are called.
    calls: Vec<ClientKey>,
    waker: Waker,
}

impl Mailboxes {
    /// Adds a worker, and gives its number.
    pub(super) fn enroll(&self, waker: Waker) -> usize {
        let mut boxes = self.0.lock();
        boxes.push(Mailbox { calls: Vec::new(), waker });
        boxes.len() - 1
    }

    fn call(&self, waiter: Waiter) {
        let mut boxes = self.0.lock();
        let mailbox = &mut boxes[waiter.worker];
        mailbox.calls.push(client(waiter));
        let waker = mailbox.waker.clone();
        drop(boxes);
        waker.wake();
    }

    /// Wakes all workers but this one.
    pub(super) fn wake_all_but(&self, worker: usize) {
        for (number, mailbox) in self.0.lock().iter().enumerate() {
            if number != worker {
                mailbox.waker.wake_by_ref();
            }
        }
    }

    fn take(&self, worker: usize) -> Vec<ClientKey> {
        std::mem::take(&mut self.0.lock()[worker].calls)
    }
}

impl std::fmt::Debug for Mailboxes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mailboxes({})", self.0.lock().len())
    }
}

/// This worker's client in a queue.
pub(super) fn waiter(worker: usize, client: ClientKey) -> Waiter {
    Waiter { worker, client: client.data().as_ffi() }
}

fn client(waiter: Waiter) -> ClientKey {
    KeyData::from_ffi(waiter.client).into()
}

impl<N: Net> Worker<N> {
    /// Tells a request that a server may take it now.
    #[inline(always)]
    pub(super) fn call(&mut self, waiter: Option<Waiter>) {
        match waiter {
            Some(waiter) if waiter.worker == self.number => self.called(client(waiter)),
            Some(waiter) => self.shared.mailboxes.call(waiter),
            None => {}
        }
    }

    /// Takes the calls of other workers.
    pub(super) fn take_calls(&mut self) {
        for key in self.shared.mailboxes.take(self.number) {
            self.called(key);
        }
    }

    fn called(&mut self, key: ClientKey) {
        // One that has gone has called the next itself.
        let Some(client) = self.clients.get_mut(key) else { return };
        client.exchange.called();
        self.drive_later(key);
    }

    /// A client waits no more, if it did.
    pub(super) fn leave_queue(&mut self, key: ClientKey) {
        let Some(waiting) = self.clients.get_mut(key).and_then(|client| client.waiting.take()) else {
            return;
        };
        let next = self.pools[waiting.group].group.lock().queue().leave(waiter(self.number, key));
        self.call(next);
    }
}
