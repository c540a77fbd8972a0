//! One visit: a load on one subject, with what the scheduler accounted meanwhile.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::CompareError;
use super::machine::CoreTime;
use super::model::{Round, Void};
use super::scenario::Scenario;
use super::void;
use crate::lab::{self, Cores, Launch, Process, Subject};
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

/// How often resident memory is looked at while the load is on: a few times in the shortest round. A look is a handful of small
/// files, below a thousandth of the load's core.
const MEMORY_EVERY: Duration = Duration::from_millis(100);

/// Puts `load` on; says what the process held at most meanwhile, in KiB: connections and their buffers are gone behind it.
fn with_memory<T>(process: Option<&Process>, core: usize, load: impl FnOnce() -> T) -> (T, u64) {
    let Some(process) = process else { return (load(), 0) };
    let (over, is_over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let watch = scope.spawn(move || {
            // The load stays there too, and says what is wrong where that cannot be.
            let _ = lab::stay_on_core(core);
            let mut most_kib = process.memory_kib();
            while is_over.recv_timeout(MEMORY_EVERY) == Err(RecvTimeoutError::Timeout) {
                most_kib = most_kib.max(process.memory_kib());
            }
            most_kib
        });
        let result = load();
        // Also where the load panics: the scope waits for the watch.
        drop(over);
        (result, watch.join().expect("reading files does not panic"))
    })
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
    let (outcome, memory_kib) = with_memory(contender.process(), cores.load, || load::run(&plan));
    let outcome = outcome?;
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
        memory_kib,
        load_core_busy: load_core.busy,
        subject_core_others: (subject_core.busy - cpu_ns as f64 / 1e9 / seconds).max(0.0),
        waited: cpu.waited_ns.saturating_sub(cpu_before.waited_ns) as f64 / 1e9 / seconds,
        steal: subject_core.steal.max(load_core.steal),
        voids: Vec::new(),
    };
    round.voids = void::of_round(&round, scenario.keep_alive);
    Ok((round, outcome))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;
    use std::process::Command;

    use super::*;

    /// Its child holds 64 MiB until somebody has read them from the pipe.
    #[test]
    fn memory_is_that_under_load() {
        const HELD_KIB: u64 = 65_536;
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let mut command = Command::new("sh");
        let take = format!("dd if=/dev/zero bs=64M count=1 iflag=fullblock of={}", pipe.display());
        let process = lab::Process::start("sh", command.args(["-c", &format!("{take}; exec sleep 60")]), 0);
        let process = process.unwrap();
        let start = Instant::now();
        let wait_until = |is_there: &dyn Fn() -> bool| {
            while !is_there() && start.elapsed() < Duration::from_secs(30) {
                thread::sleep(Duration::from_millis(5));
            }
        };
        let ((), most_kib) = with_memory(Some(&process), 0, || {
            let mut reader = File::open(&pipe).unwrap();
            wait_until(&|| process.memory_kib() >= HELD_KIB);
            // The watch looks at it at least once more.
            thread::sleep(3 * MEMORY_EVERY);
            io::copy(&mut reader, &mut io::sink()).unwrap();
            wait_until(&|| process.memory_kib() < HELD_KIB);
        });
        assert!(process.memory_kib() < HELD_KIB);
        assert!(most_kib >= HELD_KIB, "{most_kib} KiB");
    }
}
