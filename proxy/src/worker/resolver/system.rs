//! Names that the system looks up (/etc/hosts, /etc/resolv.conf), which blocks for as long as it likes: on threads.

use std::collections::{HashSet, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::engine::Io;

/// The most look-ups at once; the others wait for their turn.
const AT_ONCE: usize = 32;

/// The most at once of those that are known to be slow, so that there is always room for others.
const SLOW_AT_ONCE: usize = AT_ONCE / 2;

/// What takes so long is slow: next time others go first.
const SLOW: Duration = Duration::from_secs(1);

/// Looks names up on threads of its own, which end when there is nothing to do.
///
/// None is left behind when it is dropped.
#[derive(Default)]
pub(super) struct System {
    jobs: Arc<Mutex<Jobs>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    running: usize,
    slow_running: usize,
    /// The names that were slow last time.
    slow: HashSet<Arc<str>>,
}

struct Job {
    host: Arc<str>,
    /// Where whoever waits looks for what has been found. It is gone if nobody waits any more.
    found: Weak<Found>,
    waker: Waker,
}

/// `None` until there is something.
type Found = Mutex<Option<io::Result<Vec<IpAddr>>>>;

impl System {
    /// The addresses of a host.
    ///
    /// # Errors
    ///
    /// The system's, and [`ErrorKind::TimedOut`] where it says nothing until `until`.
    pub(super) async fn look_up(&self, io: &Io, host: &Arc<str>, until: Instant) -> io::Result<Vec<IpAddr>> {
        let found = Arc::new(Found::default());
        let job = Job { host: host.clone(), found: Arc::downgrade(&found), waker: io.waker() };
        self.jobs.lock().waiting.push_back(job);
        self.supply_thread()?;
        io.attempt(until, || found.lock().take().unwrap_or_else(|| Err(ErrorKind::WouldBlock.into()))).await
    }

    /// Sees to it that what waits is done.
    fn supply_thread(&self) -> io::Result<()> {
        {
            let mut jobs = self.jobs.lock();
            if jobs.running == AT_ONCE {
                return Ok(());
            }
            jobs.running += 1;
        }
        let jobs = self.jobs.clone();
        match thread::Builder::new().name("look-up".into()).spawn(move || work(&jobs)) {
            Ok(thread) => {
                let mut threads = self.threads.lock();
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
                Ok(())
            }
            Err(error) => {
                let mut jobs = self.jobs.lock();
                jobs.running -= 1;
                // Those that are running do it.
                if jobs.running > 0 { Ok(()) } else { Err(error) }
            }
        }
    }
}

impl Drop for System {
    fn drop(&mut self) {
        for thread in self.threads.lock().drain(..) {
            // One that has panicked has said so.
            let _ = thread.join();
        }
    }
}

fn work(jobs: &Mutex<Jobs>) {
    loop {
        let (job, was_slow) = {
            let mut jobs = jobs.lock();
            match jobs.take() {
                Some(taken) => taken,
                None => {
                    jobs.running -= 1;
                    return;
                }
            }
        };
        let begin = Instant::now();
        let addresses = (&*job.host, 0).to_socket_addrs();
        let is_slow = begin.elapsed() > SLOW;
        if let Some(found) = job.found.upgrade() {
            *found.lock() = Some(addresses.map(|all| all.map(|address| address.ip()).collect()));
            job.waker.wake();
        }
        jobs.lock().done(job.host, was_slow, is_slow);
    }
}

impl Jobs {
    /// The next one that may begin, and whether it was slow last time.
    fn take(&mut self) -> Option<(Job, bool)> {
        self.waiting.retain(|job| job.found.strong_count() > 0);
        let is_slow = |job: &Job| self.slow.contains(&job.host);
        let has_room = self.slow_running < SLOW_AT_ONCE;
        let index = self.waiting.iter().position(|job| has_room || !is_slow(job))?;
        let job = self.waiting.remove(index)?;
        let is_slow = self.slow.contains(&job.host);
        self.slow_running += usize::from(is_slow);
        Some((job, is_slow))
    }

    fn done(&mut self, host: Arc<str>, was_slow: bool, is_slow: bool) {
        self.slow_running -= usize::from(was_slow);
        match is_slow {
            true => self.slow.insert(host),
            false => self.slow.remove(&host),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(host: &str, found: &Arc<Found>) -> Job {
        Job { host: host.into(), found: Arc::downgrade(found), waker: Waker::noop().clone() }
    }

    #[test]
    fn slow_names_leave_room_for_others_and_what_nobody_waits_for_is_left() {
        let (mut jobs, found) = (Jobs::default(), Arc::default());
        for number in 0..AT_ONCE {
            jobs.done(format!("slow{number}").into(), false, true);
            jobs.waiting.push_back(job(&format!("slow{number}"), &found));
        }
        jobs.waiting.push_back(job("left", &Arc::default()));
        jobs.waiting.push_back(job("other", &found));
        for _ in 0..SLOW_AT_ONCE {
            assert!(jobs.take().is_some_and(|(_, was_slow)| was_slow));
        }
        assert!(jobs.take().is_some_and(|(job, was_slow)| &*job.host == "other" && !was_slow));
        assert!(jobs.take().is_none(), "the slow ones wait for each other");
        jobs.done("slow0".into(), true, false);
        assert!(jobs.take().is_some_and(|(job, _)| *job.host == format!("slow{SLOW_AT_ONCE}")));
    }
}
