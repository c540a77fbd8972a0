//! Many look-ups on one thread: each is a future, which is polled again when its socket is ready, its time is over, or
//! another thread has something for it.
//!
//! One that waits costs a socket and no thread, so none has to wait for its turn behind others.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::{Events, Interest, Registry, Token};

/// The most events that are taken at once.
const BATCH: usize = 256;

/// What is no task's token.
const WAKE: Token = Token(usize::MAX);

/// What the kernel is asked to wait for, and what interrupts that. Unlike an engine it may go to another thread.
#[derive(Debug)]
pub(super) struct Selector {
    poll: mio::Poll,
    /// All descriptors are there before the process says that it listens.
    registry: Registry,
    waker: Arc<mio::Waker>,
}

impl Selector {
    pub(super) fn new() -> io::Result<Selector> {
        let poll = mio::Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = Arc::new(mio::Waker::new(&registry, WAKE)?);
        Ok(Selector { poll, registry, waker })
    }

    pub(super) fn waker(&self) -> Arc<mio::Waker> {
        self.waker.clone()
    }
}

/// Runs tasks, which end with a `T`. Each has a number; a later one has a higher one.
pub(super) struct Engine<T> {
    poll: mio::Poll,
    registry: Rc<Registry>,
    waker: Arc<mio::Waker>,
    events: Events,
    tasks: BTreeMap<usize, Task<T>>,
    next: usize,
    /// Those to be polled.
    ready: Vec<usize>,
    /// Those that other threads have woken.
    woken: Receiver<usize>,
    wakes: Sender<usize>,
}

struct Task<T> {
    future: Pin<Box<dyn Future<Output = T>>>,
    io: Rc<Io>,
}

impl<T> Engine<T> {
    pub(super) fn new(selector: Selector) -> Engine<T> {
        let Selector { poll, registry, waker } = selector;
        let (wakes, woken) = mpsc::channel();
        Engine {
            poll,
            registry: Rc::new(registry),
            waker,
            events: Events::with_capacity(BATCH),
            tasks: BTreeMap::new(),
            next: 0,
            ready: Vec::new(),
            woken,
            wakes,
        }
    }

    /// Begins a task with the next turn. Returns its number.
    pub(super) fn spawn<F>(&mut self, begin: impl FnOnce(Rc<Io>) -> F) -> usize
    where
        F: Future<Output = T> + 'static,
    {
        let number = self.next;
        self.next += 1;
        let wake = WakeTask { number, wakes: self.wakes.clone(), loop_waker: self.waker.clone() };
        let io = Rc::new(Io {
            registry: self.registry.clone(),
            token: Token(number),
            waker: Arc::new(wake).into(),
            due: Cell::new(None),
        });
        self.tasks.insert(number, Task { future: Box::pin(begin(io.clone())), io });
        self.ready.push(number);
        number
    }

    /// Ends a task before its time.
    pub(super) fn cancel(&mut self, number: usize) {
        self.tasks.remove(&number);
    }

    /// Waits until there is something to do, at most until `until`, and does it. Returns the tasks that have come to
    /// their end, some by a panic.
    pub(super) fn turn(&mut self, until: Option<Instant>) -> io::Result<Vec<(usize, thread::Result<T>)>> {
        let until = self.tasks.values().filter_map(|task| task.io.due.get()).chain(until).min();
        let patience = match self.ready.is_empty() {
            true => until.map(|until| until.saturating_duration_since(Instant::now())),
            false => Some(Duration::ZERO),
        };
        match self.poll.poll(&mut self.events, patience) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let mut ready = std::mem::take(&mut self.ready);
        ready.extend(
            self.events.iter().map(|event| event.token()).filter(|token| *token != WAKE).map(usize::from),
        );
        ready.extend(self.woken.try_iter());
        let now = Instant::now();
        let is_due = |task: &Task<T>| task.io.due.get().is_some_and(|due| due <= now);
        ready.extend(self.tasks.iter().filter(|(_, task)| is_due(task)).map(|(number, _)| number));
        ready.sort_unstable();
        ready.dedup();
        let mut ended = Vec::new();
        for number in ready {
            // It may have ended, and be woken all the same.
            let Some(task) = self.tasks.get_mut(&number) else { continue };
            task.io.due.set(None);
            let waker = task.io.waker.clone();
            let mut context = Context::from_waker(&waker);
            let polled = catch_unwind(AssertUnwindSafe(|| task.future.as_mut().poll(&mut context)));
            let end = match polled {
                Ok(Poll::Pending) => continue,
                Ok(Poll::Ready(end)) => Ok(end),
                Err(panic) => Err(panic),
            };
            self.tasks.remove(&number);
            ended.push((number, end));
        }
        Ok(ended)
    }
}

/// Has a task polled again, from any thread.
struct WakeTask {
    number: usize,
    wakes: Sender<usize>,
    loop_waker: Arc<mio::Waker>,
}

impl Wake for WakeTask {
    fn wake(self: Arc<WakeTask>) {
        // An engine that is gone has no such task.
        let _ = self.wakes.send(self.number);
        let _ = self.loop_waker.wake();
    }
}

/// What a task waits by.
pub(super) struct Io {
    registry: Rc<Registry>,
    token: Token,
    waker: Waker,
    /// When it is polled whatever happens.
    due: Cell<Option<Instant>>,
}

impl Io {
    /// Has the task polled when the socket is ready, until that is dropped.
    pub(super) fn register(&self, socket: &mut impl Source, interest: Interest) -> io::Result<()> {
        self.registry.register(socket, self.token, interest)
    }

    /// Has the task polled, from another thread.
    pub(super) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Does what would block as soon as it does not.
    ///
    /// # Errors
    ///
    /// Its own, and [`ErrorKind::TimedOut`] where it would still block at `until`.
    pub(super) async fn attempt<R>(
        &self,
        until: Instant,
        mut what: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        poll_fn(|_| {
            loop {
                match what() {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    done => return Poll::Ready(done),
                }
            }
            if Instant::now() >= until {
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
            self.due.set(Some(until));
            Poll::Pending
        })
        .await
    }

    /// Lets time pass.
    pub(super) async fn sleep(&self, until: Instant) {
        let never = || Err::<(), _>(ErrorKind::WouldBlock.into());
        let _ = self.attempt(until, never).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_panics_ends_and_others_go_on() {
        let mut engine = Engine::new(Selector::new().expect("a poller"));
        let broken = engine.spawn(|_| async { panic!("as planned") });
        let sound = engine.spawn(|io| async move {
            io.sleep(Instant::now() + Duration::from_millis(10)).await;
            7
        });
        let mut ended = Vec::new();
        while ended.len() < 2 {
            ended.extend(engine.turn(None).expect("a turn"));
        }
        assert!(ended[0].0 == broken && ended[0].1.is_err());
        assert!(ended[1].0 == sound && matches!(ended[1].1, Ok(7)));
    }
}
