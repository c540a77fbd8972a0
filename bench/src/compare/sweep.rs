//! Offered rates that rise until a subject no longer keeps up: where the knee of its latency lies.

use super::CompareError;
use super::model::{Point, Sweep, Void};
use super::scenario::Scenario;
use super::visit::{Contender, visit};
use super::void;
use crate::lab::Cores;

/// The first rate.
const FIRST_PER_S: f64 = 4000.0;

/// By so much the rate rises from point to point.
const STEP: f64 = 1.25;

/// Points, at most: 4000 to 350,000 per second.
const POINTS: u32 = 21;

/// A rate is served if so large a share of it is answered …
const ANSWERED_MIN: f64 = 0.99;

/// … and the 99th percentile is no more than this.
const P99_US_MAX: f64 = 5000.0;

/// Of all contenders, in turn at each rate, so that they share the machine's moods.
pub(super) fn of_all(
    contenders: &[Contender<'_>],
    cores: Cores,
) -> Result<(Vec<Sweep>, Vec<Void>), CompareError> {
    let mut climbs: Vec<Climb<'_>> = contenders.iter().map(Climb::new).collect();
    let mut rate = FIRST_PER_S;
    for _ in 0..POINTS {
        eprintln!("sweep: {rate:.0} requests per second");
        for climb in climbs.iter_mut().filter(|climb| !climb.is_over) {
            climb.at(rate, cores)?;
        }
        if climbs.iter().all(|climb| climb.is_over) {
            break;
        }
        rate = (rate * STEP).round();
    }
    let voids = climbs.iter_mut().filter_map(|climb| climb.void.take()).collect();
    Ok((climbs.into_iter().map(|climb| climb.sweep).collect(), voids))
}

struct Climb<'a> {
    contender: &'a Contender<'a>,
    sweep: Sweep,
    is_over: bool,
    /// An answer was not what it should be.
    void: Option<Void>,
}

impl<'a> Climb<'a> {
    fn new(contender: &'a Contender<'a>) -> Climb<'a> {
        let sweep = Sweep {
            subject: contender.name.into(),
            points: Vec::new(),
            knee_per_s: 0.0,
            limited_by_load: false,
            disturbances: Vec::new(),
        };
        Climb { contender, sweep, is_over: false, void: None }
    }

    /// One point; where it fails, a second try, since a moment's disturbance is no knee.
    fn at(&mut self, rate: f64, cores: Cores) -> Result<(), CompareError> {
        let mut is_served = false;
        let mut is_limited = false;
        for attempt in 1..=2 {
            let (round, _) = visit(self.contender, &Scenario::sweep(rate), cores, attempt)?;
            let load = &round.load;
            self.void =
                self.void.take().or_else(|| void::of_wrong_answers("sweep", self.contender.name, load));
            let point = Point {
                offered_per_s: rate,
                answered_per_s: load.answered_per_s,
                latency_us: load.from_due_us,
                busy: round.cpu_ns as f64 / 1e9 / round.seconds,
                load_core_busy: round.load_core_busy,
            };
            is_limited = void::of_generator(load, round.load_core_busy).is_some();
            self.sweep.disturbances = void::of_surroundings(&round);
            is_served = load.failed_in_all == 0
                && load.answered as f64 >= ANSWERED_MIN * (load.answered + load.unsent) as f64
                && load.from_due_us.p99 <= P99_US_MAX;
            match self.sweep.points.last_mut().filter(|last| last.offered_per_s == rate) {
                Some(last) => *last = point,
                None => self.sweep.points.push(point),
            }
            if is_served {
                break;
            }
        }
        if is_served {
            self.sweep.knee_per_s = rate;
        } else {
            self.is_over = true;
            self.sweep.limited_by_load = is_limited;
        }
        Ok(())
    }
}
