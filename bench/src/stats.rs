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
    /// The median's 95 % confidence interval, by bootstrap.
    pub confidence: [f64; 2],
    /// All values, in the order of their rounds.
    pub rounds: Vec<f64>,
}

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2000;

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

    /// The width of the confidence interval, as a share of the median; 0 where the median is.
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
/// values give the same interval.
fn confidence(values: &[f64]) -> [f64; 2] {
    let mut random = Rng::with_seed(1);
    let mut drawn = vec![0.0; values.len()];
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            drawn.fill_with(|| values[random.usize(..values.len())]);
            median(&mut drawn)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    [medians[RESAMPLES / 40], medians[RESAMPLES - 1 - RESAMPLES / 40]]
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
}
