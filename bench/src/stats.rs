//! Medians and their spread.

use serde::Serialize;

/// What the rounds of one measurement gave.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// The middle value.
    pub median: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// All values, in the order of their rounds.
    pub rounds: Vec<f64>,
}

impl Sample {
    /// Of these values; `None` where there is none.
    pub fn of(rounds: impl IntoIterator<Item = f64>) -> Option<Sample> {
        let rounds: Vec<f64> = rounds.into_iter().collect();
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Some(Sample { median, min, max, rounds })
    }

    /// Of the ratios of two measurements round by round: what disturbed a whole round falls out of it.
    pub fn of_ratios(of: &Sample, to: &Sample) -> Option<Sample> {
        Sample::of(of.rounds.iter().zip(&to.rounds).map(|(of, to)| of / to))
    }
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
    }
}
