//! A timer of the kernel's with nanoseconds, as an event source.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// Wakes the poll once, at a given time. It is never read: setting it anew clears it.
#[derive(Debug)]
pub(super) struct Timer {
    fd: OwnedFd,
    set_for_ns: u64,
}

impl Timer {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Timer> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Timer { fd, set_for_ns: 0 })
    }

    /// Sets it for a time after `now_ns`, unless it is set for that already.
    pub(super) fn set(&mut self, at_ns: u64, now_ns: u64) -> io::Result<()> {
        if self.set_for_ns != at_ns {
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let in_ns = (at_ns - now_ns) as i64;
            let value = Timespec { tv_sec: in_ns / 1_000_000_000, tv_nsec: in_ns % 1_000_000_000 };
            let once = Itimerspec { it_interval: zero, it_value: value };
            timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &once)?;
            self.set_for_ns = at_ns;
        }
        Ok(())
    }
}
