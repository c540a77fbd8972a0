//! When requests are due.
//!
//! A schedule counts in *shares of a request*: with a constant pace the k-th request is due when k shares
//! have passed, with a Poisson pace the gaps between requests are exponential with mean 1. Shares become time
//! through the inverse of the offered rate's integral, which takes the ramp into account: during it the rate
//! rises evenly from 0, so that t seconds in, `rate · t² / (2 · ramp)` requests are due.
//!
//! With several threads each takes every n-th request of the constant pace, and an n-th of the rate of the
//! Poisson one; the sum of independent Poisson processes is one again.

use std::time::Duration;

use fastrand::Rng;

use super::plan::{Pace, Plan};

/// The due times of one thread, in nanoseconds from the start.
#[derive(Debug)]
pub(super) struct Schedule {
    pace: Paced,
    next_ns: u64,
    /// No request is due from here on.
    end_ns: u64,
    /// How many may still be due.
    left: u64,
}

#[derive(Debug)]
enum Paced {
    Closed,
    Open { shares: f64, step: f64, poisson: Option<Rng>, rate: f64, ramp: f64 },
}

impl Schedule {
    /// Of thread `number`, 0 to `plan.threads - 1`.
    pub(super) fn new(plan: &Plan, number: usize) -> Schedule {
        let step = plan.threads as f64;
        let open = |poisson: Option<Rng>, rate| Paced::Open {
            shares: number as f64 - step,
            step,
            poisson,
            rate,
            ramp: plan.ramp.as_secs_f64(),
        };
        let pace = match plan.pace {
            Pace::Saturate => Paced::Closed,
            Pace::Constant(rate) => open(None, rate),
            Pace::Poisson(rate) => open(Some(Rng::with_seed(plan.seed.wrapping_add(number as u64))), rate),
        };
        let left = plan.limit.map_or(u64::MAX, |limit| {
            limit / plan.threads as u64 + u64::from((number as u64) < limit % plan.threads as u64)
        });
        let end_ns = nanoseconds(plan.warm_up + plan.duration);
        let mut schedule = Schedule { pace, next_ns: 0, end_ns, left };
        if let Paced::Open { shares, poisson: Some(_), .. } = &mut schedule.pace {
            *shares = 0.0;
        }
        schedule.advance();
        schedule
    }

    /// When the next request is due; `None` after the last. In a closed loop: at once, while `now_ns` is before
    /// the end.
    pub(super) fn peek(&self, now_ns: u64) -> Option<u64> {
        let next_ns = if matches!(self.pace, Paced::Closed) { now_ns } else { self.next_ns };
        Some(next_ns).filter(|next_ns| *next_ns < self.end_ns && self.left > 0)
    }

    /// The request that was peeked at is taken.
    pub(super) fn take(&mut self) {
        self.left -= 1;
        self.advance();
    }

    /// How many requests were due by `now_ns` and have not been taken. Takes them.
    pub(super) fn overdue(&mut self, now_ns: u64) -> u64 {
        let mut count = 0;
        while !matches!(self.pace, Paced::Closed) && self.peek(now_ns).is_some_and(|due| due <= now_ns) {
            self.take();
            count += 1;
        }
        count
    }

    fn advance(&mut self) {
        if let Paced::Open { shares, step, poisson, rate, ramp } = &mut self.pace {
            *shares += match poisson {
                // 1 - f64() lies in (0, 1]: its logarithm is finite.
                Some(random) => *step * -(1.0 - random.f64()).ln(),
                None => *step,
            };
            let in_ramp = *rate * *ramp / 2.0;
            let seconds = if *shares < in_ramp {
                (2.0 * *shares * *ramp / *rate).sqrt()
            } else {
                *shares / *rate + *ramp / 2.0
            };
            self.next_ns = (seconds * 1e9) as u64;
        }
    }
}

/// Whole nanoseconds; 584 years fit.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::super::plan::Target;
    use super::*;

    fn all(plan: &Plan, number: usize) -> Vec<u64> {
        let mut schedule = Schedule::new(plan, number);
        let mut due = Vec::new();
        while let Some(next) = schedule.peek(0) {
            due.push(next);
            schedule.take();
        }
        due
    }

    fn plan(pace: Pace) -> Plan {
        let address = "127.0.0.1:1".parse().unwrap();
        let target = Target::get(address, "/", b"");
        Plan { pace, ..Plan::saturate(target, address, 1, Duration::from_secs(1)) }
    }

    #[test]
    fn a_constant_pace_is_even() {
        assert_eq!(all(&plan(Pace::Constant(4.0)), 0), [0, 250_000_000, 500_000_000, 750_000_000]);
    }

    #[test]
    fn threads_share_one_schedule() {
        let two = Plan { threads: 2, ..plan(Pace::Constant(4.0)) };
        assert_eq!(all(&two, 0), [0, 500_000_000]);
        assert_eq!(all(&two, 1), [250_000_000, 750_000_000]);
    }

    #[test]
    fn a_ramp_rises_evenly() {
        let ramp = Plan { ramp: Duration::from_secs(1), ..plan(Pace::Constant(1000.0)) };
        let due = all(&ramp, 0);
        assert_eq!(due.len(), 500);
        let in_first_half = due.iter().filter(|due| **due < 500_000_000).count();
        assert_eq!(in_first_half, 125);
    }

    #[test]
    fn a_poisson_pace_has_its_mean_and_its_spread() {
        let due = all(&plan(Pace::Poisson(10_000.0)), 0);
        // The standard deviation of the count is 100.
        assert!((9_500..10_500).contains(&due.len()), "{}", due.len());
        let gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let above_mean = gaps.iter().filter(|gap| **gap > 1e5).count() as f64 / gaps.len() as f64;
        // 1/e for exponential gaps.
        assert!((0.34..0.40).contains(&above_mean), "{above_mean}");
    }

    #[test]
    fn a_limit_is_shared_out() {
        let plan = Plan { limit: Some(5), threads: 2, ..plan(Pace::Constant(1000.0)) };
        assert_eq!((all(&plan, 0).len(), all(&plan, 1).len()), (3, 2));
    }

    #[test]
    fn what_is_overdue_is_counted() {
        let mut schedule = Schedule::new(&plan(Pace::Constant(4.0)), 0);
        assert_eq!(schedule.overdue(500_000_000), 3);
        assert_eq!(schedule.peek(0), Some(750_000_000));
        let mut closed = Schedule::new(&plan(Pace::Saturate), 0);
        assert_eq!(closed.overdue(500_000_000), 0);
        assert_eq!(closed.peek(5), Some(5));
        assert_eq!(closed.peek(1_000_000_000), None);
    }
}
