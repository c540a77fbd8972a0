//! How fast cores run, from moment to moment.
//!
//! A core of a virtual machine is a thread of a physical one, whose other thread may be somebody else's. While that one is at
//! work, this one runs at half to three quarters of its speed, for tenths of a second or for minutes, and no clock of this
//! machine tells: it is not stolen time. A small piece of work that always takes the same does, timed now and then beside
//! what is measured.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::thread_cpu;

/// How often the work is done: in the shortest visit some thirty times. It takes some 20 µs, a thousandth of the core.
pub(crate) const EVERY: Duration = Duration::from_millis(20);

/// Steps of the work.
const STEPS: u32 = 16_000;

/// So many times as long it takes on a slow core. Alone it keeps to a few percent; beside another one it takes a third more and up.
const SLOW: f64 = 1.15;

/// So many of the last readings know a core's full speed: a minute. Clocks change, too.
const REMEMBERED: usize = 32;

/// The times of the work on one core while something was measured.
#[derive(Debug, Default)]
pub struct Timings(Vec<Duration>);

impl Timings {
    /// Does the work on this thread's core, and notes the CPU time that it took.
    pub fn add(&mut self) {
        let before = thread_cpu();
        black_box(work(black_box(1)));
        self.0.push(thread_cpu() - before);
    }

    /// Those that were not taken.
    #[cfg(test)]
    pub(crate) fn of(times: impl IntoIterator<Item = Duration>) -> Timings {
        Timings(times.into_iter().collect())
    }
}

/// Knows how fast two cores can run, by what was read so far.
#[derive(Debug, Default)]
pub struct Gauge {
    /// Of each reading the time that the work took when it was quick, by core.
    quick: Mutex<[VecDeque<Duration>; 2]>,
}

impl Gauge {
    /// The share of the time, 0 to 1, in which a core was slow: of the two the one that was so for longer. `subject` and `load`
    /// are what was timed on the cores of that name.
    pub fn slow(&self, subject: Timings, load: Timings) -> f64 {
        let mut quick = self.quick.lock().unwrap_or_else(PoisonError::into_inner);
        let shares = quick.iter_mut().zip([subject, load]).map(|(quick, timings)| slow(quick, timings));
        shares.fold(0.0, f64::max)
    }
}

fn slow(quick: &mut VecDeque<Duration>, Timings(mut times): Timings) -> f64 {
    if times.is_empty() {
        return 0.0;
    }
    times.sort_unstable();
    quick.push_back(times[times.len() / 5]);
    if quick.len() > REMEMBERED {
        quick.pop_front();
    }
    let bound = quick.iter().min().copied().unwrap_or_default().mul_f64(SLOW);
    let is_slow = |time: &&Duration| **time > bound;
    times.iter().filter(is_slow).count() as f64 / times.len() as f64
}

/// Keeps a core's arithmetic units busy: four chains that do not wait for each other, and no memory.
fn work(seed: u64) -> u64 {
    let (mut a, mut b, mut c, mut d) = (seed, seed + 1, seed + 2, seed + 3);
    for _ in 0..STEPS {
        a = a.wrapping_mul(5).wrapping_add(b);
        b ^= a >> 7;
        c = c.wrapping_mul(7).wrapping_add(d);
        d = d.wrapping_add(c >> 3);
    }
    a ^ b ^ c ^ d
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timings(micros: &[u64]) -> Timings {
        Timings::of(micros.iter().copied().map(Duration::from_micros))
    }

    #[test]
    fn the_core_that_was_slow_for_longer_counts() {
        let gauge = Gauge::default();
        assert_eq!(gauge.slow(timings(&[20; 10]), timings(&[30; 10])), 0.0);
        assert_eq!(gauge.slow(timings(&[20, 21, 22, 30]), timings(&[30; 10])), 0.25);
        assert_eq!(gauge.slow(timings(&[20, 21, 22, 30]), timings(&[30, 60])), 0.5);
        assert_eq!(gauge.slow(timings(&[26; 10]), timings(&[30; 10])), 1.0, "it was faster before");
        assert_eq!(gauge.slow(Timings::default(), Timings::default()), 0.0, "nothing was timed");
    }

    #[test]
    fn a_clock_that_has_changed_is_the_measure_after_a_while() {
        let gauge = Gauge::default();
        gauge.slow(timings(&[20]), timings(&[20]));
        let shares: Vec<f64> = (0..REMEMBERED).map(|_| gauge.slow(timings(&[40]), timings(&[20]))).collect();
        assert_eq!((shares[0], *shares.last().unwrap()), (1.0, 0.0));
    }

    #[test]
    fn the_work_takes_time() {
        let mut timings = Timings::default();
        timings.add();
        assert!(timings.0[0] > Duration::from_micros(1), "{timings:?}");
    }
}
