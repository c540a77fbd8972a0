//! One server as a queue: so many slots, and whoever finds none free waits in line.
//!
//! Where each request's end is known as it arrives, a queue needs no events: the request begins when the
//! slot that is free first is free, and ends its service time later. The same code is the server in virtual
//! time (`simulated.rs`) and the one behind a socket (`real.rs`); only who tells the time differs.

use std::time::Duration;

use super::model::{PerServer, THIRDS};

/// How fast a server is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speed {
    /// Requests it works on at once.
    pub(super) slots: usize,
    /// The mean of a request's service time, which is exponentially distributed.
    pub(super) service: Duration,
    /// Factors on the service time, one for each third of the run.
    pub(super) slowdown: [f64; THIRDS],
}

/// A server, its queue, and what became of its requests. Times are since the start of the run.
#[derive(Debug)]
pub(super) struct Station {
    speed: Speed,
    /// The length of the run.
    whole: Duration,
    chance: fastrand::Rng,
    /// When each slot is free next.
    free_at: Vec<Duration>,
    /// The ends of the requests that are here, in no order.
    ends: Vec<Duration>,
    arrived: [u64; THIRDS],
    waited: Duration,
    worked: Duration,
    queue_max: usize,
}

impl Station {
    /// An idle one. Equal seeds make equal sequences of service times.
    pub(super) fn new(speed: Speed, whole: Duration, seed: u64) -> Station {
        Station {
            speed,
            whole,
            chance: fastrand::Rng::with_seed(seed),
            free_at: vec![Duration::ZERO; speed.slots],
            ends: Vec::new(),
            arrived: [0; THIRDS],
            waited: Duration::ZERO,
            worked: Duration::ZERO,
            queue_max: 0,
        }
    }

    /// A request arrives, never before an earlier one. Returns when it will have been served.
    pub(super) fn arrive(&mut self, now: Duration) -> Duration {
        let third = third_of(now, self.whole);
        let service = exponential(&mut self.chance, self.speed.service).mul_f64(self.speed.slowdown[third]);
        let free = self.free_at.iter_mut().min().expect("a server has a slot");
        let begin = now.max(*free);
        let end = begin + service;
        *free = end;

        self.ends.retain(|end| *end > now);
        self.ends.push(end);
        self.queue_max = self.queue_max.max(self.ends.len().saturating_sub(self.speed.slots));
        self.arrived[third] += 1;
        self.waited += begin - now;
        self.worked += service;
        end
    }

    /// What became of `all` requests as far as they came here.
    pub(super) fn summary(&self, name: String, all: u64) -> PerServer {
        let requests: u64 = self.arrived.iter().sum();
        PerServer {
            name,
            requests,
            share: requests as f64 / all.max(1) as f64,
            requests_by_third: self.arrived,
            waiting_ms_mean: 1e3 * self.waited.as_secs_f64() / requests.max(1) as f64,
            queue_max: self.queue_max,
            load: self.worked.as_secs_f64() / self.whole.as_secs_f64() / self.speed.slots as f64,
        }
    }
}

/// The third of a run that an instant lies in.
pub(super) fn third_of(now: Duration, whole: Duration) -> usize {
    let third = THIRDS as f64 * now.as_secs_f64() / whole.as_secs_f64();
    (third as usize).min(THIRDS - 1)
}

/// A span of this mean, as the gaps of a Poisson process are distributed.
pub(super) fn exponential(chance: &mut fastrand::Rng, mean: Duration) -> Duration {
    // 1 - f64() lies above 0, whose logarithm there is not.
    mean.mul_f64(-(1.0 - chance.f64()).ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn station(slots: usize, slowdown: [f64; THIRDS]) -> Station {
        Station::new(Speed { slots, service: ms(10), slowdown }, ms(3000), 1)
    }

    #[test]
    fn whoever_finds_no_slot_waits_for_the_first_that_is_free() {
        let mut station = station(2, [1.0; THIRDS]);
        let first = station.arrive(ms(0));
        let second = station.arrive(ms(0));
        let third = station.arrive(ms(0));
        assert!(third > first.min(second));
        let seen = station.summary("app1".into(), 4);
        assert_eq!((seen.requests, seen.queue_max, seen.share), (3, 1, 0.75));
        let waited_ms = 1e3 * first.min(second).as_secs_f64();
        assert!((seen.waiting_ms_mean - waited_ms / 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_free_slot_means_no_wait() {
        let mut station = station(1, [1.0; THIRDS]);
        let end = station.arrive(ms(0));
        station.arrive(end);
        let seen = station.summary("app1".into(), 2);
        assert_eq!((seen.queue_max, seen.waiting_ms_mean), (0, 0.0));
    }

    #[test]
    fn a_third_is_slow_by_its_factor() {
        let (mut even, mut slow) = (station(1, [1.0; THIRDS]), station(1, [1.0, 5.0, 1.0]));
        let at = ms(1500);
        let (even, slow) = (even.arrive(at) - at, slow.arrive(at) - at);
        assert_eq!(even.mul_f64(5.0).as_micros(), slow.as_micros());
        assert_eq!([0, 999, 1000, 2000, 3000].map(|at| third_of(ms(at), ms(3000))), [0, 0, 1, 2, 2]);
    }

    #[test]
    fn spans_have_their_mean() {
        let mut chance = fastrand::Rng::with_seed(7);
        let sum: Duration = (0..20_000).map(|_| exponential(&mut chance, ms(10))).sum();
        let mean_ms = 1e3 * sum.as_secs_f64() / 20_000.0;
        assert!((mean_ms - 10.0).abs() < 0.3, "{mean_ms}");
    }
}
