//! One visit: a load on one subject, with what the scheduler accounted meanwhile.

use std::time::Instant;

use super::CompareError;
use super::machine::CoreTime;
use super::model::{Round, Void};
use super::scenario::Scenario;
use super::void;
use crate::lab::{Cores, Launch, Process, Subject};
use crate::load::{self, Outcome};

/// What is compared: a subject that runs, or the origin itself.
#[derive(Debug)]
pub(super) struct Contender<'a> {
    pub(super) name: &'static str,
    pub(super) address: std::net::SocketAddr,
    pub(super) what: What<'a>,
}

/// Which of the two.
#[derive(Debug)]
pub(super) enum What<'a> {
    /// `None`: it is no process of its own, and its CPU time is not known.
    Origin(Option<&'a Process>),
    Subject(Box<(Launch, Subject)>),
}

impl Contender<'_> {
    fn process(&self) -> Option<&Process> {
        match &self.what {
            What::Origin(process) => *process,
            What::Subject(running) => Some(&running.1.process),
        }
    }

    /// What it runs as; `None` of the origin.
    pub(super) fn subject(&self) -> Option<&(Launch, Subject)> {
        match &self.what {
            What::Origin(_) => None,
            What::Subject(running) => Some(running),
        }
    }

    /// Why it is left out, in a line, where the comparison can do without it.
    ///
    /// # Errors
    ///
    /// The same error, where it cannot.
    pub(super) fn excuse(&self, error: CompareError) -> Result<String, CompareError> {
        match self.subject() {
            Some((launch, _)) if launch.kind.is_peer() => {
                Ok(error.to_string().lines().next().unwrap_or_default().to_owned())
            }
            _ => Err(error),
        }
    }

    /// Starts a subject anew, as it ran. Says where it does not keep to its core.
    pub(super) fn restart(&mut self, cores: Cores) -> Result<Option<Void>, CompareError> {
        let What::Subject(running) = &mut self.what else { return Ok(None) };
        let (launch, subject) = &mut **running;
        subject.process.end();
        // Where it was: at a new address each time, what is left of closed connections would fill the kernel's room for that.
        *subject = launch.start_at(self.address, cores, &[])?;
        Ok(void::of_cores(self.name, &subject.process, cores))
    }

    fn cpu(&self) -> Result<Cpu, CompareError> {
        let Some(process) = self.process() else { return Ok(Cpu::default()) };
        let ended = |_| CompareError::Ended { subject: self.name };
        let (ns, waited_ns) = (process.cpu_ns().map_err(ended)?, process.waited_ns().map_err(ended)?);
        let (user, all) = process.ticks();
        Ok(Cpu { ns, waited_ns, user, all })
    }
}

/// CPU time of its process so far.
#[derive(Clone, Copy, Debug, Default)]
struct Cpu {
    ns: u64,
    waited_ns: u64,
    /// Clock ticks.
    user: u64,
    all: u64,
}

/// Puts the load on, and judges the round.
pub(super) fn visit(
    contender: &Contender<'_>,
    scenario: &Scenario,
    cores: Cores,
    number: u32,
) -> Result<(Round, Outcome), CompareError> {
    let plan = scenario.plan(contender.address, cores, number);
    let times = || (CoreTime::now(cores.subject), CoreTime::now(cores.load));
    let (cpu_before, times_before, start) = (contender.cpu()?, times(), Instant::now());
    let outcome = load::run(&plan)?;
    let (cpu, times_after, seconds) = (contender.cpu()?, times(), start.elapsed().as_secs_f64());
    let subject_core = times_after.0.since(times_before.0);
    let load_core = times_after.1.since(times_before.1);
    let cpu_ns = cpu.ns.saturating_sub(cpu_before.ns);
    let mut round = Round {
        number,
        load: outcome.summary(),
        cpu_ns,
        ticks: cpu.all.saturating_sub(cpu_before.all),
        user_ticks: cpu.user.saturating_sub(cpu_before.user),
        seconds,
        memory_kib: contender.process().map_or(0, Process::memory_kib),
        load_core_busy: load_core.busy,
        subject_core_others: (subject_core.busy - cpu_ns as f64 / 1e9 / seconds).max(0.0),
        waited: cpu.waited_ns.saturating_sub(cpu_before.waited_ns) as f64 / 1e9 / seconds,
        steal: subject_core.steal.max(load_core.steal),
        voids: Vec::new(),
    };
    round.voids = void::of_round(&round, scenario.keep_alive);
    Ok((round, outcome))
}
