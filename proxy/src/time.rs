//! Time as the proxy sees it: nanoseconds on a monotonic clock, always passed in.
//!
//! Nothing below the worker reads a clock. That is what lets the simulation run the same code in
//! virtual time, and what keeps a batch of events at one clock reading.

use std::ops::Add;
pub use std::time::Duration;

/// An instant on a monotonic clock, in nanoseconds since an arbitrary start.
///
/// Balancing treats [`Time::ZERO`] as "long ago", so clocks should start well above it
/// (the kernel's does; the simulation's starts at one hour).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// Before everything.
    pub const ZERO: Time = Time(0);
    /// After everything: a deadline that never comes.
    pub const NEVER: Time = Time(u64::MAX);

    /// The instant `nanos` nanoseconds after the clock's start.
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero where it lies in the future.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The instant `span` before this one; [`Time::ZERO`] where that would lie before it.
    pub fn before(self, span: Duration) -> Time {
        Time(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    /// Saturates at [`Time::NEVER`].
    fn add(self, span: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}
