//! Medians, their spread, and how sure they are.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// What the rounds of one measurement gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The middle value.
    pub median: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// The median's interval, by bootstrap; [`coverage`] tells how often it holds.
    pub confidence: [f64; 2],
    /// All values, in the order of their rounds.
    pub rounds: Vec<f64>,
}

/// Resamples of the bootstrap.
const RESAMPLES: usize = 4000;

impl Sample {
    /// Of these values; `None` where there is none.
    pub fn of(rounds: impl IntoIterator<Item = f64>) -> Option<Sample> {
        let rounds: Vec<f64> = rounds.into_iter().collect();
        let (min, max) = rounds
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), &value| (min.min(value), max.max(value)));
        let median = median(&mut rounds.clone())?;
        Some(Sample { median, min, max, confidence: confidence(&rounds), rounds })
    }

    /// Of the ratios of two measurements round by round: what disturbed a whole round falls out of it.
    pub fn of_ratios(of: &Sample, to: &Sample) -> Option<Sample> {
        Sample::of(of.rounds.iter().zip(&to.rounds).map(|(of, to)| of / to))
    }

    /// The width of the interval, as a share of the median; 0 where the median is.
    pub fn uncertainty(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.confidence[1] - self.confidence[0]) / self.median.abs() }
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// The percentile bootstrap: the median of many samples drawn, with replacement, from the one there is. The same
/// values give the same interval, in whatever order they came. For each sample its mirror image is drawn too (the smallest for
/// the largest, and so on), so that chance does not make one side longer.
fn confidence(values: &[f64]) -> [f64; 2] {
    let mut random = Rng::with_seed(1);
    let mut values = values.to_owned();
    values.sort_by(f64::total_cmp);
    let (mut drawn, mut mirrored) = (values.clone(), values.clone());
    let mut medians = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES / 2 {
        for (one, other) in drawn.iter_mut().zip(&mut mirrored) {
            let at = random.usize(..values.len());
            (*one, *other) = (values[at], values[values.len() - 1 - at]);
        }
        medians.extend([median(&mut drawn), median(&mut mirrored)].into_iter().flatten());
    }
    medians.sort_by(f64::total_cmp);
    [medians[RESAMPLES / 40], medians[RESAMPLES - 1 - RESAMPLES / 40]]
}

/// In what share of all cases, at least, the interval of so many rounds covers the median that they are drawn from. The percentile
/// bootstrap aims at 95 %; of few values it can but take whole ones as its ends, and the share is that of these.
pub fn coverage(rounds: u32) -> f64 {
    // The ends as ranks, which for an even count lie between two: the inner ones are certain.
    let ranks: Vec<f64> = (1..=rounds).map(f64::from).collect();
    let Some(sample) = Sample::of(ranks) else { return 0.0 };
    let (low, high) = (sample.confidence[0].ceil() as u32, sample.confidence[1].floor() as u32);
    // Below the median lie `below` of them with the binomial probability: David and Nagaraja, Order Statistics, 7.1.
    let mut probability = 0.5_f64.powi(rounds as i32);
    let mut sum = 0.0;
    for below in 0..high {
        sum += if below >= low { probability } else { 0.0 };
        probability *= f64::from(rounds - below) / f64::from(below + 1);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let odd = Sample::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((odd.median, odd.min, odd.max), (2.0, 1.0, 3.0));
        assert_eq!(odd.rounds, [3.0, 1.0, 2.0]);
        assert_eq!(Sample::of([4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert!(Sample::of([]).is_none());
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        let slow_then_fast = Sample::of([20.0, 2.0, 4.0]).unwrap();
        let the_same_machine = Sample::of([10.0, 1.0, 2.0]).unwrap();
        let ratio = Sample::of_ratios(&slow_then_fast, &the_same_machine).unwrap();
        assert_eq!((ratio.median, ratio.min, ratio.max), (2.0, 2.0, 2.0));
        assert_eq!(ratio.confidence, [2.0, 2.0]);
        assert_eq!(ratio.uncertainty(), 0.0);
    }

    #[test]
    fn confidence_lies_around_the_median_and_narrows() {
        let mut random = Rng::with_seed(7);
        let few = Sample::of((0..7).map(|_| random.f64())).unwrap();
        let many = Sample::of((0..700).map(|_| random.f64())).unwrap();
        for sample in [&few, &many] {
            assert!(sample.confidence[0] <= sample.median && sample.median <= sample.confidence[1]);
            assert!(sample.min <= sample.confidence[0] && sample.confidence[1] <= sample.max);
        }
        assert!(many.uncertainty() < few.uncertainty());
        // The standard error of the median of n uniform values is about 1 / (2 √n); the interval has four of them.
        let width = many.confidence[1] - many.confidence[0];
        assert!((0.04..0.12).contains(&width), "{width}");
    }

    #[test]
    fn coverage_is_that_of_the_values_at_the_ends() {
        // 1 - 2 · (C(n, 0) + … + C(n, k - 1)) / 2^n, of the k-th value from either end.
        for (rounds, covered) in [(3, 0.75), (5, 0.9375), (7, 0.875), (9, 1.0 - 20.0 / 512.0)] {
            assert!((coverage(rounds) - covered).abs() < 1e-9, "{rounds}: {}", coverage(rounds));
        }
        assert_eq!((coverage(0), coverage(1)), (0.0, 0.0));
    }

    /// Drawn often, the interval covers as often as it says.
    #[test]
    fn coverage_is_what_is_seen() {
        let mut random = Rng::with_seed(3);
        for rounds in [3, 7, 9] {
            let covers = |_: &u32| {
                let [low, high] = Sample::of((0..rounds).map(|_| random.f64())).unwrap().confidence;
                (low..=high).contains(&0.5)
            };
            let share = f64::from((0..150).filter(covers).count() as u32) / 150.0;
            // Three standard errors.
            assert!((share - coverage(rounds)).abs() < 0.1, "{rounds}: {share} {}", coverage(rounds));
        }
    }
}
