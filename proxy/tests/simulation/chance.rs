//! The one source of chance of a run. The same seed gives the same run to the last byte.

use proxy::time::Duration;

pub(crate) struct Chance(fastrand::Rng);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(fastrand::Rng::with_seed(seed))
    }

    pub(crate) fn yes(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.0.f64() < probability
    }

    /// From 0 to `n - 1`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0.usize(..n)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        self.0.usize(low..=high)
    }

    pub(crate) fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// From 0 to `max`, every order of magnitude as likely as another.
    pub(crate) fn size(&mut self, max: usize) -> usize {
        let bits = usize::BITS - max.leading_zeros();
        let bound = 1_usize << self.below(bits as usize + 1);
        self.below(bound.min(max + 1))
    }

    /// From 0 to `max`, short ones as likely as long ones.
    pub(crate) fn span(&mut self, max: Duration) -> Duration {
        Duration::from_nanos(self.size(max.as_nanos() as usize) as u64)
    }

    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        self.0.shuffle(list);
    }

    /// A probability for a whole run: none at all in most runs, small ones more often than large ones.
    pub(crate) fn probability(&mut self, none: f64, most: f64) -> f64 {
        let share = self.0.f64();
        if self.yes(none) { 0.0 } else { share * share * most }
    }
}
