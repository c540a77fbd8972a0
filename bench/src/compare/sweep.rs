//! Offered rates that rise until a subject no longer keeps up: where the knee of its latency lies.

use super::CompareError;
use super::model::{Point, Round, Run, Sweep, Void};
use super::scenario::Scenario;
use super::visit::{Contender, Place, Visited, visit};
use super::void;
use crate::output;

/// The first rate.
const FIRST_PER_S: f64 = 4000.0;

/// By so much the rate rises from point to point.
const STEP: f64 = 1.25;

/// Points, at most: 4000 to 350,000 per second.
const POINTS: u32 = 21;

/// Visits at a rate, of which the middle one counts: in one of them a moment's stall would be a knee.
const VISITS: u32 = 3;

/// A rate is served if so large a share of it is answered …
const ANSWERED_MIN: f64 = 0.99;

/// … and the 99th percentile is no more than this.
const P99_US_MAX: f64 = 5000.0;

/// Of all contenders, in turn at each rate, so that they share the machine's moods. What there is when an error ends it is in
/// `run` as well.
pub(super) fn of_all(
    contenders: &[Contender<'_>],
    place: Place<'_>,
    page_length: u64,
    run: &mut Run,
) -> Result<(), CompareError> {
    let mut climbs: Vec<Climb<'_>> = contenders.iter().map(Climb::new).collect();
    let result = climb_all(&mut climbs, place, page_length);
    for climb in climbs {
        run.voids.extend(climb.void);
        match climb.left_out {
            Some(why) => run.left_out.push(format!("sweep of {}: {why}", climb.contender.name)),
            None => run.sweeps.push(climb.sweep),
        }
    }
    result
}

fn climb_all(climbs: &mut [Climb<'_>], place: Place<'_>, page_length: u64) -> Result<(), CompareError> {
    let mut rate = FIRST_PER_S;
    for _ in 0..POINTS {
        let scenario = Scenario::sweep(rate).with_page_length(page_length);
        output::tell(format_args!("sweep: {rate:.0} requests per second"));
        // Who has failed tries once more: a disturbance may outlast three visits.
        for attempt in 0..2 {
            for visit in 1..=VISITS {
                for climb in climbs.iter_mut().filter(|climb| climb.is_at_work(rate)) {
                    if let Err(error) = climb.visit(&scenario, place, attempt * VISITS + visit) {
                        climb.left_out = Some(climb.contender.excuse(error)?);
                        climb.is_over = true;
                    }
                }
            }
            for climb in climbs.iter_mut().filter(|climb| climb.is_at_work(rate)) {
                climb.take_in(rate);
            }
        }
        for climb in climbs.iter_mut() {
            climb.is_over |= climb.is_at_work(rate);
        }
        if climbs.iter().all(|climb| climb.is_over) {
            break;
        }
        rate = (rate * STEP).round();
    }
    Ok(())
}

struct Climb<'a> {
    contender: &'a Contender<'a>,
    sweep: Sweep,
    /// The visits at the present rate, since the last look at them.
    visits: Vec<Round>,
    is_over: bool,
    /// An answer was not what it should be.
    void: Option<Void>,
    /// Why a peer has no sweep.
    left_out: Option<String>,
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
        Climb { contender, sweep, visits: Vec::new(), is_over: false, void: None, left_out: None }
    }

    /// Whether it has still to be seen whether it serves this rate.
    fn is_at_work(&self, rate: f64) -> bool {
        !self.is_over && self.sweep.knee_per_s < rate
    }

    fn visit(&mut self, scenario: &Scenario, place: Place<'_>, number: u32) -> Result<(), CompareError> {
        let Visited { round, .. } = visit(self.contender, scenario, place, number)?;
        let void = || void::of_wrong_answers("sweep", self.contender.name, &round.load);
        self.void = self.void.take().or_else(void);
        self.visits.push(round);
        Ok(())
    }

    /// Notes a try at a rate, by the middle one of its visits.
    fn take_in(&mut self, rate: f64) {
        let mut visits = std::mem::take(&mut self.visits);
        visits.sort_by(|one, other| {
            let p99_us = |round: &Round| round.load.from_due_us.p99;
            is_served(other).cmp(&is_served(one)).then(p99_us(one).total_cmp(&p99_us(other)))
        });
        let round = visits.swap_remove(visits.len() / 2);
        let load = &round.load;
        let point = Point {
            offered_per_s: rate,
            answered_per_s: load.answered_per_s,
            latency_us: load.from_due_us,
            busy: round.cpu_ns as f64 / 1e9 / round.seconds,
            load_core_busy: round.load_core_busy,
        };
        match self.sweep.points.last_mut().filter(|last| last.offered_per_s == rate) {
            Some(last) => *last = point,
            None => self.sweep.points.push(point),
        }
        let is_served = is_served(&round);
        if is_served {
            self.sweep.knee_per_s = rate;
        }
        // That requests stay unsent says nothing here: a subject that falls behind holds all connections.
        self.sweep.limited_by_load = !is_served && round.load_core_busy > void::LOAD_CORE_BUSY_MAX;
        self.sweep.disturbances = if is_served { Vec::new() } else { void::of_surroundings(&round) };
    }
}

fn is_served(round: &Round) -> bool {
    let load = &round.load;
    load.failed_in_all == 0
        && load.answered as f64 >= ANSWERED_MIN * (load.answered + load.unsent) as f64
        && load.from_due_us.p99 <= P99_US_MAX
}

#[cfg(test)]
mod tests {
    use super::super::visit::What;
    use super::*;
    use crate::load::Summary;

    fn round(answered: u64, unsent: u64, load_core_busy: f64) -> Round {
        let load = Summary { answered, unsent, ..Summary::default() };
        Round { number: 1, load, seconds: 1.0, load_core_busy, ..Round::default() }
    }

    #[test]
    fn who_ended_a_sweep_is_told() {
        let address = "127.0.0.1:1".parse().unwrap();
        let contender = Contender { name: "x", address, what: What::Origin(None) };
        let climb = |rounds: &[Round]| {
            let mut climb = Climb::new(&contender);
            for (number, round) in rounds.iter().enumerate() {
                climb.visits.push(round.clone());
                climb.take_in(1000.0 * (number + 1) as f64);
            }
            climb.sweep
        };
        let kept_up = || round(1000, 0, 0.5);
        // It fell behind, so that no connection was free for many of the requests.
        let knee = climb(&[kept_up(), round(900, 100, 0.9)]);
        assert!(!knee.limited_by_load && !knee.ended_before_knee());
        assert_eq!(knee.knee(), Some(1000.0));
        let load = climb(&[kept_up(), round(900, 100, 0.96)]);
        assert!(load.limited_by_load && !load.ended_before_knee());
        // All rates were served, the last one with the load's core nearly full.
        let open = climb(&[kept_up(), round(2000, 0, 0.96)]);
        assert!(!open.limited_by_load && open.ended_before_knee());
        let at_once = climb(&[round(900, 100, 0.9)]);
        assert!(!at_once.ended_before_knee());
        assert_eq!(at_once.knee(), Some(0.0));
        // It was not the subject that could not do more.
        assert_eq!(climb(&[round(900, 100, 0.96)]).knee(), None);
    }

    #[test]
    fn the_middle_one_of_three_visits_counts() {
        let address = "127.0.0.1:1".parse().unwrap();
        let contender = Contender { name: "x", address, what: What::Origin(None) };
        let with_p99 = |p99_us: f64| {
            let mut round = round(1000, 0, 0.5);
            round.load.from_due_us.p99 = p99_us;
            round
        };
        let behind = || round(900, 100, 0.5);
        let sweep = |visits: [Round; 3]| {
            let mut climb = Climb::new(&contender);
            assert!(climb.is_at_work(1000.0));
            climb.visits.extend(visits);
            climb.take_in(1000.0);
            assert_eq!(climb.is_at_work(1000.0), climb.sweep.knee_per_s == 0.0);
            climb.sweep
        };
        let spike = sweep([with_p99(200.0), with_p99(90_000.0), with_p99(300.0)]);
        assert_eq!((spike.knee_per_s, spike.points[0].latency_us.p99), (1000.0, 300.0));
        // Who leaves requests unsent has short latencies, and is behind all the same.
        assert_eq!(sweep([behind(), with_p99(300.0), with_p99(200.0)]).points[0].latency_us.p99, 300.0);
        assert_eq!(sweep([behind(), with_p99(300.0), behind()]).knee_per_s, 0.0);
    }
}
