//! What health checks make of one peer: whether requests may go to it, and when each check is due again.
//!
//! Each check of a group has its own opinion of each peer, and the worst of them counts:
//!
//! ```text
//!            the first one passed           `fails` in a row failed
//! Unchecked ──────────────────────▶ Healthy ───────────────────────▶ Unhealthy
//!     │                                ▲                              ▲   │
//!     │                                └──────────────────────────────┼───┘
//!     └───────────────────────────────────────────────────────────────┘  `passes` in a row passed
//!                       the first one failed
//! ```
//!
//! A peer begins as healthy, or with `mandatory` as unchecked. The check of a peer that has just appeared is due at
//! once; every other one is due `interval`, and up to `jitter` more, after the end of the one before.

use crate::chance::Chance;
use crate::config::HealthCheck;
use crate::time::{Duration, Time};

/// What a check thinks of a peer. The worst comes last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Opinion {
    /// Requests may go to it.
    #[default]
    Healthy,
    /// None do before the first check has passed.
    Unchecked,
    /// None do.
    Unhealthy,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The server answered as it should.
    Passed,
    /// It did not.
    Failed,
    /// It was not asked, for reasons of this machine's.
    NotAsked,
}

/// All checks of a peer, in the order of the group's.
#[derive(Debug, Default)]
pub(super) struct Health {
    checks: Box<[Record]>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    opinion: Opinion,
    /// How many in a row ended as the last one did.
    in_a_row: u32,
    last_passed: bool,
    /// When it is due; never while it is under way.
    due: Time,
}

impl Health {
    /// That of a peer that has just appeared.
    pub(super) fn new(rules: &[HealthCheck]) -> Health {
        let record = |rule: &HealthCheck| Record {
            opinion: if rule.mandatory { Opinion::Unchecked } else { Opinion::Healthy },
            in_a_row: 0,
            last_passed: true,
            due: Time::ZERO,
        };
        Health { checks: rules.iter().map(record).collect() }
    }

    /// What they come to.
    pub(super) fn opinion(&self) -> Opinion {
        self.checks.iter().map(|check| check.opinion).max().unwrap_or_default()
    }

    /// How many in a row ended as the last one did, of the check with this number.
    pub(super) fn in_a_row(&self, number: usize) -> u32 {
        self.checks[number].in_a_row
    }

    /// How many in a row have failed, of the check that failed most.
    pub(super) fn failed_in_a_row(&self) -> u32 {
        self.checks.iter().filter(|check| !check.last_passed).map(|check| check.in_a_row).max().unwrap_or(0)
    }

    /// When the first of them is due.
    pub(super) fn due(&self) -> Time {
        self.checks.iter().map(|check| check.due).min().unwrap_or(Time::NEVER)
    }

    /// Begins one that is due, and gives its number.
    pub(super) fn begin(&mut self, now: Time) -> Option<usize> {
        let number = self.checks.iter().position(|check| check.due <= now)?;
        self.checks[number].due = Time::NEVER;
        Some(number)
    }

    /// The one with this number is over.
    pub(super) fn end(&mut self, number: usize, rule: &HealthCheck, how: Checked, due: Time) {
        let check = &mut self.checks[number];
        check.due = due;
        let passed = match how {
            Checked::Passed => true,
            Checked::Failed => false,
            Checked::NotAsked => return,
        };
        check.in_a_row = if check.last_passed == passed { check.in_a_row.saturating_add(1) } else { 1 };
        check.last_passed = passed;
        let is_enough = check.in_a_row >= if passed { rule.passes } else { rule.fails };
        check.opinion = match (check.opinion, passed) {
            (Opinion::Unchecked, true) => Opinion::Healthy,
            (Opinion::Unchecked, false) => Opinion::Unhealthy,
            (Opinion::Healthy, false) if is_enough => Opinion::Unhealthy,
            (Opinion::Unhealthy, true) if is_enough => Opinion::Healthy,
            (opinion, _) => opinion,
        };
    }

    /// Takes over what was thought of the same server before the configuration changed: one that was unhealthy still
    /// is, and with `persistent` one that was healthy is taken at its word.
    pub(super) fn remember(&mut self, rules: &[HealthCheck], old: &Health) {
        self.inherit(old);
        let was_healthy = old.opinion() == Opinion::Healthy;
        for (check, _) in self.checks.iter_mut().zip(rules).filter(|(_, rule)| was_healthy && rule.persistent)
        {
            check.opinion = Opinion::Healthy;
        }
    }

    /// Takes over what was thought of a server of the same name at another address, which says nothing good of this one.
    pub(super) fn inherit(&mut self, gone: &Health) {
        if gone.opinion() == Opinion::Unhealthy {
            for check in &mut self.checks {
                check.opinion = Opinion::Unhealthy;
                (check.last_passed, check.in_a_row) = (false, gone.failed_in_a_row());
            }
        }
    }
}

/// When a check is due that has ended now.
pub(super) fn next_due(rule: &HealthCheck, chance: &mut Chance, now: Time) -> Time {
    let most = u64::try_from(rule.jitter.as_nanos()).unwrap_or(u64::MAX);
    now + rule.interval + Duration::from_nanos(chance.below(most.saturating_add(1).max(1)))
}
