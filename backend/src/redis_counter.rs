//! The hit counter in Redis, on a thread of its own.
//!
//! Workers hand over the hits of one loop turn as one [`Batch`]; the batches that wait are counted
//! by one `INCRBY key n`, whose range of n numbers is handed out in order.
//!
//! **No number twice.** An `INCRBY` whose outcome is not known (the connection died, or no reply came
//! in time) is never sent again: its hits are answered with an error and its numbers may stay unused.
//! A Redis that comes back with less than this process has handed out (killed before it saved) is
//! first raised to that number. With several origin processes on such a Redis each raises to what it
//! knows itself; only a Redis that persists (`appendonly yes`) is exact then.
//!
//! **Away.** After any failure the counter is away: workers answer 503 at once without asking, and
//! this thread connects again after 100 ms, 200 ms, … up to 2 s. Every wait on Redis is bounded by
//! [`TIMEOUT`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mio::Waker;
use redis::{Client, Connection, ConnectionAddr};

/// The longest wait for a connection, for a command to be taken and for its reply.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How often an idle connection is tested, so that a lost Redis is known before the next hit.
const TEST_INTERVAL: Duration = Duration::from_secs(1);

/// The pauses between attempts to connect: the first, and the last.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Batches that may wait for Redis, over all workers.
pub(crate) const QUEUE_MAX: usize = 1024;

slotmap::new_key_type! {
    /// A client's place in its worker, and so whose hit it is; stale once the client is gone.
    pub(crate) struct Key;
}

/// The hits of one loop turn of one worker.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) worker: usize,
    /// The connections that wait, in the order of their requests.
    pub(crate) hits: Vec<Key>,
}

/// A batch with its outcome, on its way back.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) hits: Vec<Key>,
    /// The number of the first hit; the others follow one by one. Or why there is none.
    pub(crate) first: Result<i64, Arc<str>>,
}

/// How a worker is told.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) sender: Sender<Counted>,
    pub(crate) waker: Arc<Waker>,
}

/// The workers' side.
#[derive(Debug)]
pub(crate) struct RedisCounter {
    queue: SyncSender<Batch>,
    state: Arc<Availability>,
}

impl RedisCounter {
    /// Tries to connect once, then starts the thread. It ends when the last sender of `queue` is gone.
    pub(crate) fn start(
        client: Client,
        key: String,
        inboxes: Vec<Inbox>,
        queue: (SyncSender<Batch>, Receiver<Batch>),
    ) -> std::io::Result<Self> {
        let state = Arc::new(Availability::default());
        let place = place(&client);
        let thread = Thread {
            client,
            place,
            key,
            inboxes,
            queue: queue.1,
            state: state.clone(),
            highest: 0,
            pause: PAUSE_MIN,
        };
        let connection = thread.connect();
        if let Err(reason) = &connection {
            thread.lost(reason);
        }
        std::thread::Builder::new().name("redis".into()).spawn(move || thread.run(connection))?;
        Ok(Self { queue: queue.0, state })
    }

    /// Why there is no counting now; `None`: there is.
    pub(crate) fn why_away(&self) -> Option<Arc<str>> {
        self.state.why_away()
    }

    /// Hands a batch over; it comes back through the worker's inbox. Never waits: a full queue
    /// returns the batch.
    pub(crate) fn count(&self, batch: Batch) -> Result<(), Batch> {
        self.queue.try_send(batch).map_err(|error| match error {
            std::sync::mpsc::TrySendError::Full(batch)
            | std::sync::mpsc::TrySendError::Disconnected(batch) => batch,
        })
    }
}

#[cfg(test)]
impl RedisCounter {
    /// One whose queue takes nothing, while Redis is not known to be away.
    pub(crate) fn full() -> Self {
        Self { queue: std::sync::mpsc::sync_channel(0).0, state: Arc::default() }
    }
}

/// Whether Redis answers, for all to see.
#[derive(Debug, Default)]
struct Availability {
    away: AtomicBool,
    reason: Mutex<Option<Arc<str>>>,
}

impl Availability {
    fn away(&self, reason: &Arc<str>) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.clone());
        self.away.store(true, Ordering::Release);
    }

    fn back(&self) {
        self.away.store(false, Ordering::Release);
    }

    fn why_away(&self) -> Option<Arc<str>> {
        if !self.away.load(Ordering::Acquire) {
            return None;
        }
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How a stretch of serving ended.
enum End {
    /// No worker is left.
    Stopped,
    /// Redis failed; why.
    Failed(Arc<str>),
}

struct Thread {
    client: Client,
    /// Redis' address in messages; never its password.
    place: String,
    key: String,
    inboxes: Vec<Inbox>,
    queue: Receiver<Batch>,
    state: Arc<Availability>,
    /// The highest number handed out.
    highest: i64,
    /// Before the next attempt to connect.
    pause: Duration,
}

impl Thread {
    fn run(mut self, first: Result<Connection, Arc<str>>) {
        let mut attempt = first;
        loop {
            let end = match attempt {
                Ok(mut connection) => self.serve(&mut connection),
                Err(reason) => End::Failed(reason),
            };
            let End::Failed(reason) = end else { return };
            self.state.away(&reason);
            if !self.refuse_for(self.pause, &reason) {
                return;
            }
            self.pause = (self.pause * 2).min(PAUSE_MAX);
            attempt = self.connect();
            if attempt.is_ok() {
                log::info!("redis {} counts again", self.place);
                self.state.back();
            }
        }
    }

    /// Counts until Redis fails or nobody is left to count for.
    fn serve(&mut self, connection: &mut Connection) -> End {
        let mut batches = Vec::new();
        loop {
            match self.queue.recv_timeout(TEST_INTERVAL) {
                Ok(batch) => batches.push(batch),
                Err(RecvTimeoutError::Disconnected) => return End::Stopped,
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = redis::cmd("PING").exec(connection) {
                        let reason = self.reason(&error);
                        self.lost(&reason);
                        return End::Failed(reason);
                    }
                    self.pause = PAUSE_MIN;
                    continue;
                }
            }
            batches.extend(self.queue.try_iter().take(QUEUE_MAX));
            let count: i64 = batches.iter().map(|batch| batch.hits.len() as i64).sum();
            match self.increment(connection, count) {
                Ok(last) => {
                    self.pause = PAUSE_MIN;
                    self.highest = self.highest.max(last);
                    let mut next = last - count + 1;
                    for batch in batches.drain(..) {
                        let first = next;
                        next += batch.hits.len() as i64;
                        self.answer(batch, Ok(first));
                    }
                }
                Err(reason) => {
                    // Away first, so that no worker asks between its 503 and the next hit.
                    self.lost(&reason);
                    for batch in batches {
                        self.answer(batch, Err(reason.clone()));
                    }
                    return End::Failed(reason);
                }
            }
        }
    }

    /// `INCRBY key count`: the counter after it. Sent once, whatever comes of it.
    fn increment(&self, connection: &mut Connection, count: i64) -> Result<i64, Arc<str>> {
        redis::cmd("INCRBY").arg(&self.key).arg(count).query(connection).map_err(|error| self.reason(&error))
    }

    /// Connects and makes sure that the counter can be written and is not behind what was handed out.
    fn connect(&self) -> Result<Connection, Arc<str>> {
        let connect = || {
            let connection = self.client.get_connection_with_timeout(TIMEOUT)?;
            connection.set_read_timeout(Some(TIMEOUT))?;
            connection.set_write_timeout(Some(TIMEOUT))?;
            Ok(connection)
        };
        let mut connection = connect().map_err(|error| self.reason(&error))?;
        let value = self.increment(&mut connection, 0)?;
        if value < self.highest {
            log::warn!("redis {} came back at {value}; raised to {} again", self.place, self.highest);
            self.increment(&mut connection, self.highest - value)?;
        }
        Ok(connection)
    }

    /// Answers what comes in the meantime with `reason`; false: no worker is left.
    fn refuse_for(&self, pause: Duration, reason: &Arc<str>) -> bool {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.queue.recv_timeout(left) {
                Ok(batch) => self.answer(batch, Err(reason.clone())),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// What counted before, or was to count from the start, does not.
    fn lost(&self, reason: &Arc<str>) {
        self.state.away(reason);
        log::warn!("{reason}; hits are answered with 503 until it is back");
    }

    fn answer(&self, batch: Batch, first: Result<i64, Arc<str>>) {
        let inbox = &self.inboxes[batch.worker];
        // A worker that has ended needs no answer.
        if inbox.sender.send(Counted { hits: batch.hits, first }).is_ok()
            && let Err(error) = inbox.waker.wake()
        {
            log::error!("cannot wake worker {}: {error}", batch.worker);
        }
    }

    fn reason(&self, error: &redis::RedisError) -> Arc<str> {
        format!("redis {} cannot count: {error}", self.place).into()
    }
}

/// A client's address in one word.
fn place(client: &Client) -> String {
    match client.get_connection_info().addr() {
        ConnectionAddr::Tcp(host, port) => format!("{host}:{port}"),
        address => address.to_string(),
    }
}
