//! How fast cores run, from moment to moment.
//!
//! A core of a virtual machine is a thread of a physical one, whose other thread may be somebody else's. While that one is at
//! work, this one runs at half to three quarters of its speed, for tenths of a second or for minutes, and no clock of this
//! machine tells: it is not stolen time. A small piece of work that always takes the same does, timed now and then beside
//! what is measured.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};

use super::thread_cpu;

/// How often the work is done. It takes some 20 µs, two thousandths of the core.
pub(crate) const EVERY: Duration = Duration::from_millis(10);

/// Steps of the work.
const STEPS: u32 = 16_000;

/// So many times as long it takes on a slow core. Alone it keeps to a few percent; beside another one it takes a third more and up.
const SLOW: f64 = 1.15;

/// So many of the last readings know a core's full speed: half a minute or more. Clocks change, too.
const REMEMBERED: usize = 32;

/// When the work was done on one core, and the CPU time that it took.
#[derive(Debug, Default)]
pub struct Timings(Vec<(Instant, Duration)>);

impl Timings {
    /// Does the work on this thread's core, and notes the CPU time that it took.
    pub fn add(&mut self) {
        let before = thread_cpu();
        black_box(work(black_box(1)));
        self.0.push((Instant::now(), thread_cpu() - before));
    }

    /// Those that were not taken.
    #[cfg(test)]
    pub(crate) fn of(times: impl IntoIterator<Item = (Instant, Duration)>) -> Timings {
        Timings(times.into_iter().collect())
    }
}

/// Knows how fast two cores can run, by what was read so far.
#[derive(Debug, Default)]
pub struct Gauge {
    /// Of each reading the time that the work took when it was quick, by core.
    quick: RefCell<[VecDeque<Duration>; 2]>,
}

/// The moments of a reading, and whether a core was slow.
#[derive(Debug)]
pub struct Speeds(Vec<(Instant, bool)>);

impl Gauge {
    /// Judges what was timed on the cores of these names.
    pub fn read(&self, subject: Timings, load: Timings) -> Speeds {
        let mut quick = self.quick.borrow_mut();
        Speeds(
            quick
                .iter_mut()
                .zip([subject, load])
                .flat_map(|(quick, timings)| judged(quick, timings))
                .collect(),
        )
    }
}

impl Speeds {
    /// Whether both cores ran at their speed between two moments, but for one slow reading, which may be an interrupt's.
    pub fn are_full(&self, from: Instant, to: Instant) -> bool {
        let within = self.0.iter().filter(|(at, _)| (from..to).contains(at));
        within.filter(|(_, is_slow)| *is_slow).count() <= 1
    }
}

fn judged(quick: &mut VecDeque<Duration>, Timings(times): Timings) -> Vec<(Instant, bool)> {
    let mut sorted: Vec<Duration> = times.iter().map(|(_, took)| *took).collect();
    sorted.sort_unstable();
    quick.extend(sorted.get(sorted.len() / 5));
    if quick.len() > REMEMBERED {
        quick.pop_front();
    }
    let bound = quick.iter().min().copied().unwrap_or_default().mul_f64(SLOW);
    times.into_iter().map(|(at, took)| (at, took > bound)).collect()
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

    /// A reading each millisecond.
    fn timings(start: Instant, micros: &[u64]) -> Timings {
        let at = |number: usize| start + Duration::from_millis(number as u64);
        Timings::of(micros.iter().enumerate().map(|(number, us)| (at(number), Duration::from_micros(*us))))
    }

    #[test]
    fn one_slow_reading_of_both_cores_is_allowed() {
        let (gauge, start) = (Gauge::default(), Instant::now());
        let speeds =
            gauge.read(timings(start, &[20, 30, 20, 20, 30, 21]), timings(start, &[40, 40, 45, 60, 41, 60]));
        let are_full = |from, to| {
            speeds.are_full(start + Duration::from_millis(from), start + Duration::from_millis(to))
        };
        assert!(are_full(0, 3));
        assert!(!are_full(0, 4), "one on each");
        assert!(are_full(2, 4));
        assert!(!are_full(3, 6));
        // What was faster before is known.
        let speeds = gauge.read(timings(start, &[26; 9]), timings(start, &[40; 9]));
        assert!(!speeds.are_full(start, start + Duration::from_millis(9)));
        let nothing = gauge.read(Timings::default(), Timings::default());
        assert!(nothing.are_full(start, start + Duration::from_millis(9)), "nothing was timed");
    }

    #[test]
    fn a_clock_that_has_changed_is_the_measure_after_a_while() {
        let (gauge, start) = (Gauge::default(), Instant::now());
        gauge.read(timings(start, &[20]), timings(start, &[20]));
        let mut are_full = (0..REMEMBERED).map(|_| {
            let speeds = gauge.read(timings(start, &[40; 3]), timings(start, &[20; 3]));
            speeds.are_full(start, start + Duration::from_millis(3))
        });
        assert_eq!((are_full.next(), are_full.last()), (Some(false), Some(true)));
    }

    #[test]
    fn the_work_takes_time() {
        let mut timings = Timings::default();
        timings.add();
        assert!(timings.0[0].1 > Duration::from_micros(1), "{timings:?}");
    }
}
