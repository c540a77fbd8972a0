//! The rounds of one load: every contender in turn, until enough are good.

use std::collections::BTreeMap;

use super::CompareError;
use super::model::{self, Entry, Run};
use super::scenario::Scenario;
use super::visit::{Contender, Place};
use super::void;
use crate::load::Outcome;
use crate::output;

/// What came of them so far.
pub(super) struct Rounds<'a> {
    scenario: &'a Scenario,
    /// Invariant: one entry for each contender, in their order; and so `outcomes`.
    pub(super) result: model::Scenario,
    /// By contender and round.
    pub(super) outcomes: Vec<Vec<Outcome>>,
}

impl<'a> Rounds<'a> {
    pub(super) fn new(scenario: &'a Scenario, contenders: &[Contender<'_>]) -> Rounds<'a> {
        let mut result = scenario.model();
        result.entries = contenders.iter().map(|contender| Entry::new(contender.name)).collect();
        Rounds { scenario, result, outcomes: contenders.iter().map(|_| Vec::new()).collect() }
    }

    /// Up to twice as many as are wanted.
    pub(super) fn until_good(
        &mut self,
        contenders: &mut Vec<Contender<'_>>,
        place: Place<'_>,
        wanted: u32,
        run: &mut Run,
    ) -> Result<(), CompareError> {
        for number in 1..=2 * wanted {
            output::tell(format_args!("{}: round {number}", self.scenario.key));
            self.one(contenders, place, number, run)?;
            let mut rounds = self.result.entries.iter().flat_map(|entry| &entry.rounds);
            let has_failed = rounds.any(|round| void::of_answers(&round.load).is_some());
            // A wrong answer makes the run void; more rounds would not mend that.
            if void::good_rounds(&self.result).len() >= wanted as usize || has_failed && number >= wanted {
                break;
            }
        }
        Ok(())
    }

    /// A round: all are started anew, then visited. A peer that fails is left out from here on, and costs its own figures.
    fn one(
        &mut self,
        contenders: &mut Vec<Contender<'_>>,
        place: Place<'_>,
        number: u32,
        run: &mut Run,
    ) -> Result<(), CompareError> {
        let mut failed = BTreeMap::new();
        for (at, contender) in contenders.iter_mut().enumerate() {
            match contender.restart(place.cores) {
                Ok(void) => run.voids.extend(void),
                Err(error) => drop(failed.insert(at, contender.excuse(error)?)),
            }
        }
        self.visit_all(contenders, place, number, &mut failed)?;
        self.leave_out(failed, contenders, number, &mut run.left_out);
        Ok(())
    }

    /// Takes the `failed` out, and notes why.
    pub(super) fn leave_out(
        &mut self,
        failed: BTreeMap<usize, String>,
        contenders: &mut Vec<Contender<'_>>,
        number: u32,
        notes: &mut Vec<String>,
    ) {
        // From the end, so that the others keep their places.
        for (at, why) in failed.into_iter().rev() {
            let contender = contenders.remove(at);
            self.result.entries.remove(at);
            self.outcomes.remove(at);
            let load = &self.scenario.key;
            notes.push(format!("{} from {load} on, in round {number}: {why}", contender.name));
        }
    }

    /// Visits those that are not among the `failed`, which others join.
    pub(super) fn visit_all(
        &mut self,
        contenders: &[Contender<'_>],
        place: Place<'_>,
        number: u32,
        failed: &mut BTreeMap<usize, String>,
    ) -> Result<(), CompareError> {
        for turn in 0..contenders.len() {
            let at = (turn + number as usize) % contenders.len();
            if failed.contains_key(&at) {
                continue;
            }
            match place.again.visit(&contenders[at], self.scenario, place, number) {
                Ok((round, outcome)) => {
                    self.result.entries[at].rounds.push(round);
                    self.outcomes[at].push(outcome);
                }
                Err(error) => drop(failed.insert(at, contenders[at].excuse(error)?)),
            }
        }
        Ok(())
    }
}
