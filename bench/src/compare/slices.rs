//! The part of a visit in which both cores ran at their speed.
//!
//! What slows a core from outside of this machine comes and goes within tenths of a second (`lab/gauge.rs`). So a visit is cut into
//! slices, and its figures are those of the slices without it.

use std::time::{Duration, Instant};

use crate::lab::Speeds;
use crate::load::Outcome;

/// The length of a slice: some readings of the gauge on both cores, and a moment's work.
pub(super) const SLICE: Duration = Duration::from_millis(50);

/// So many undisturbed slices it takes; of fewer a visit would be made up of edges.
const QUIET_MIN: usize = 4;

/// CPU time of a process at some moments, in ascending order, in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Course(pub(super) Vec<(Instant, u64)>);

impl Course {
    /// At a moment between two of them, as if it had been used evenly; `None` outside.
    fn at(&self, moment: Instant) -> Option<f64> {
        let next = self.0.partition_point(|(at, _)| *at <= moment);
        let (&(before, least), &(after, most)) = (self.0.get(next.checked_sub(1)?)?, self.0.get(next)?);
        let share = (moment - before).div_duration_f64(after - before);
        Some(least as f64 + share * most.saturating_sub(least) as f64)
    }
}

/// The slices of a visit in which both cores ran at their speed.
#[derive(Debug)]
pub(super) struct Slices {
    numbers: Vec<u64>,
    /// CPU time of the process in them, in nanoseconds.
    pub(super) cpu_ns: u64,
    /// The share of all slices that the others are, 0 to 1.
    pub(super) slow: f64,
}

impl Slices {
    /// Of a visit that was measured from `start` for `duration`. The CPU time of a process that is not known is 0.
    pub(super) fn of(start: Instant, duration: Duration, speeds: &Speeds, course: Option<&Course>) -> Slices {
        let count = duration.div_duration_f64(SLICE) as u64;
        let mut slices = Slices { numbers: Vec::new(), cpu_ns: 0, slow: 0.0 };
        // The first one has answers to requests of the warm-up, which do not count.
        for number in 1..count {
            let from = start + SLICE * number as u32;
            let to = from + SLICE;
            let used = match course {
                Some(course) => course.at(to).zip(course.at(from)).map(|(to, from)| to - from),
                None => Some(0.0),
            };
            if let Some(ns) = used.filter(|_| speeds.are_full(from, to)) {
                slices.numbers.push(number);
                slices.cpu_ns += ns as u64;
            }
        }
        slices.slow = 1.0 - slices.numbers.len() as f64 / count.saturating_sub(1).max(1) as f64;
        slices
    }

    /// Whether they are a visit of their own.
    pub(super) fn are_enough(&self) -> bool {
        self.numbers.len() >= QUIET_MIN
    }

    /// What was answered in them, of an outcome with intervals of a slice.
    pub(super) fn part_of(&self, outcome: &Outcome) -> Outcome {
        outcome.only(SLICE, |number| self.numbers.binary_search(&number).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{Gauge, Timings};

    const MS: Duration = Duration::from_millis(1);

    /// A reading in the middle of each slice, on both cores.
    fn speeds(start: Instant, is_slow: &[bool]) -> Speeds {
        let timings = || {
            let took = |is_slow: bool| if is_slow { 40 * MS } else { 20 * MS };
            let at = |number: usize| start + SLICE * number as u32 + SLICE / 2;
            Timings::of(is_slow.iter().enumerate().map(|(number, slow)| (at(number), took(*slow))))
        };
        Gauge::default().read(timings(), timings())
    }

    #[test]
    fn cpu_time_is_that_of_the_quiet_slices() {
        let start = Instant::now();
        // 10 ms of CPU time in each slice, twice as much in the slow one.
        let course = Course(vec![
            (start - SLICE, 0),
            (start + SLICE * 3, 40_000_000),
            (start + SLICE * 4, 60_000_000),
            (start + SLICE * 8, 100_000_000),
        ]);
        let speeds = speeds(start, &[false, false, false, true, false, false]);
        let slices = Slices::of(start, SLICE * 6, &speeds, Some(&course));
        assert_eq!((&slices.numbers[..], slices.cpu_ns), (&[1, 2, 4, 5][..], 40_000_000));
        assert!((slices.slow - 0.2).abs() < 1e-9 && slices.are_enough());
        assert_eq!(Slices::of(start, SLICE * 6, &speeds, None).cpu_ns, 0);
        // What came behind the last look at the process is not known.
        let short = Course(course.0[..2].to_vec());
        assert_eq!(Slices::of(start, SLICE * 6, &speeds, Some(&short)).numbers, [1]);
    }

    #[test]
    fn too_little_is_quiet() {
        let start = Instant::now();
        let speeds = speeds(start, &[false, true, true, false, false, false]);
        assert!(!Slices::of(start, SLICE * 6, &speeds, None).are_enough());
    }
}
