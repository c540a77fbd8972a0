//! The rounds of one load: every contender in turn, until enough are good.

use std::collections::BTreeMap;

use super::CompareError;
use super::model::{self, Entry, Run};
use super::scenario::Scenario;
use super::visit::{Contender, Place, Quiet, Visited, visit};
use super::void;
use crate::load::Outcome;
use crate::output;

/// Of fewer rounds it cannot be told whether a neighbour ever rests.
const FEW_ROUNDS: usize = 3;

/// What came of them so far.
pub(super) struct Rounds<'a> {
    scenario: &'a Scenario,
    /// Invariant: one entry for each contender, in their order; and so `outcomes` and `quiet`.
    pub(super) result: model::Scenario,
    /// By contender and round.
    pub(super) outcomes: Vec<Vec<Outcome>>,
    /// The same.
    pub(super) quiet: Vec<Vec<Option<Box<Quiet>>>>,
}

impl<'a> Rounds<'a> {
    pub(super) fn new(scenario: &'a Scenario, contenders: &[Contender<'_>]) -> Rounds<'a> {
        let mut result = scenario.model();
        result.entries = contenders.iter().map(|contender| Entry::new(contender.name)).collect();
        let outcomes = contenders.iter().map(|_| Vec::new()).collect();
        Rounds { scenario, result, outcomes, quiet: contenders.iter().map(|_| Vec::new()).collect() }
    }

    /// Up to twice as many as are wanted: until so many are good, and have a quiet part too, if that is to be hoped for.
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
            let (good, quiet) = (void::good_rounds(&self.result).len(), self.quiet_rounds().len());
            let is_done = good >= wanted as usize && (quiet >= wanted as usize || !self.may_get_quiet());
            // A wrong answer makes the run void; more rounds would not mend that.
            if is_done || has_failed && number >= wanted {
                break;
            }
        }
        Ok(())
    }

    /// Good ones of which every visit has a quiet part.
    fn quiet_rounds(&self) -> Vec<usize> {
        let is_quiet = |at: &usize| self.quiet.iter().all(|of| of[*at].is_some());
        void::good_rounds(&self.result).into_iter().filter(is_quiet).collect()
    }

    /// Whether it pays to wait for quiet: of the rounds so far half have a quiet part in every visit, or they are few.
    fn may_get_quiet(&self) -> bool {
        let made = self.quiet.first().map_or(0, Vec::len);
        made < FEW_ROUNDS || 2 * self.quiet_rounds().len() >= made
    }

    /// Lets the quiet parts of visits count alone, where there are as many rounds of them as are `wanted`; says whether there are. A
    /// neighbour that never rests slows all down alike: then the visits count as they are.
    pub(super) fn keep_quiet_parts(&mut self, wanted: u32) -> bool {
        let kept = self.quiet_rounds();
        if kept.len() < wanted as usize {
            return false;
        }
        let parts = std::mem::take(&mut self.quiet);
        for ((entry, outcomes), parts) in self.result.entries.iter_mut().zip(&mut self.outcomes).zip(parts) {
            for (at, part) in parts.into_iter().enumerate() {
                match part.filter(|_| kept.contains(&at)) {
                    Some(part) => (entry.rounds[at], outcomes[at]) = (part.round, part.outcome),
                    None => entry.rounds[at].voids.push("a core was slow for most of it".into()),
                }
            }
        }
        true
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
            self.quiet.remove(at);
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
        let may_get_quiet = self.may_get_quiet();
        for turn in 0..contenders.len() {
            let at = (turn + number as usize) % contenders.len();
            if failed.contains_key(&at) {
                continue;
            }
            let visited = match may_get_quiet {
                true => place.again.visit(&contenders[at], self.scenario, place, number),
                false => visit(&contenders[at], self.scenario, place, number),
            };
            match visited {
                Ok(Visited { round, outcome, quiet }) => {
                    self.result.entries[at].rounds.push(round);
                    self.outcomes[at].push(outcome);
                    self.quiet[at].push(quiet);
                }
                Err(error) => drop(failed.insert(at, contenders[at].excuse(error)?)),
            }
        }
        Ok(())
    }
}
