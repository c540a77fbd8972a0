//! One visit: a load on one subject, with what the scheduler accounted meanwhile.

use std::cell::Cell;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Instant, SystemTime};

use super::CompareError;
use super::machine::CoreTime;
use super::model::{Round, Void};
use super::scenario::Scenario;
use super::slices::{Course, Slices};
use super::void;
use crate::lab::{self, Awake, Cores, Gauge, Launch, Process, Speeds, Subject, Timings, gauge};
use crate::load::{self, Outcome};

/// A core may be slow in such a share of a visit, before it is made again.
const SLOW_MAX: f64 = 0.5;

/// So often a visit is made at most …
const TRIES: u32 = 4;

/// … and of so many one is made again, so that a run takes no more than a third longer where somebody is at work beside it all
/// the time.
const AGAIN_IN: u32 = 3;

/// Where visits are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) cores: Cores,
    /// What keeps them awake.
    pub(super) awake: &'a Awake,
    /// How fast they are.
    pub(super) gauge: &'a Gauge,
    /// What was made again, since they were slow.
    pub(super) again: &'a Again,
}

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

/// Between two looks at the process's CPU time the work of the gauge is done so often, …
const CPU_EVERY: u32 = 2;

/// … and between two at its resident memory: a few looks in the shortest round. One is a handful of small files.
const MEMORY_EVERY: u32 = 10;

/// What was seen beside the load.
#[derive(Debug)]
struct Seen {
    /// The most that the process held, in KiB: connections and their buffers are gone behind the load.
    memory_kib: u64,
    speeds: Speeds,
    /// The process's CPU time.
    course: Course,
}

/// Puts `load` on, and watches the process and the speed of both cores meanwhile.
fn watched<T>(process: Option<&Process>, place: Place<'_>, load: impl FnOnce() -> T) -> (T, Seen) {
    let memory_kib = || process.map_or(0, Process::memory_kib);
    let (subject_over, subject_is_over) = mpsc::channel::<()>();
    let (load_over, load_is_over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let on_subject = scope.spawn(move || timed(place.cores.subject, subject_is_over, |_| {}));
        let on_load = scope.spawn(move || {
            let (mut most_kib, mut course) = (memory_kib(), Course::default());
            let timings = timed(place.cores.load, load_is_over, |number| {
                if number % MEMORY_EVERY == 0 {
                    most_kib = most_kib.max(memory_kib());
                }
                if number % CPU_EVERY == 0 {
                    // A process that has ended is found behind the load.
                    let ns = process.and_then(|process| process.cpu_ns().ok());
                    course.0.extend(ns.map(|ns| (Instant::now(), ns)));
                }
            });
            (timings, most_kib, course)
        });
        let result = load();
        // Also where the load panics: the scope waits for the watch.
        drop((subject_over, load_over));
        let of_subject = on_subject.join().expect("arithmetic does not panic");
        let (of_load, memory_kib, course) = on_load.join().expect("reading files does not panic");
        (result, Seen { memory_kib, speeds: place.gauge.read(of_subject, of_load), course })
    })
}

/// Times the work of the gauge on a core, with something else each time, until it is over.
fn timed(core: usize, is_over: Receiver<()>, mut also: impl FnMut(u32)) -> Timings {
    let mut timings = Timings::default();
    // The load stays on its core too, and says what is wrong where that cannot be.
    if lab::stay_on_core(core).is_err() {
        return timings;
    }
    let mut number = 0;
    while is_over.recv_timeout(gauge::EVERY) == Err(RecvTimeoutError::Timeout) {
        timings.add();
        also(number);
        number += 1;
    }
    timings
}

/// What came of a visit.
#[derive(Debug)]
pub(super) struct Visited {
    pub(super) round: Round,
    pub(super) outcome: Outcome,
    /// The part of it that no neighbour slowed down, where there is enough of that.
    pub(super) quiet: Option<Box<Quiet>>,
}

/// A part of a visit, or of several, as if there were nothing else.
#[derive(Debug)]
pub(super) struct Quiet {
    pub(super) round: Round,
    pub(super) outcome: Outcome,
}

/// Puts the load on, and judges the round.
pub(super) fn visit(
    contender: &Contender<'_>,
    scenario: &Scenario,
    place: Place<'_>,
    number: u32,
) -> Result<Visited, CompareError> {
    let Place { cores, awake, .. } = place;
    let plan = scenario.plan(contender.address, cores, number);
    let times = || (CoreTime::now(cores.subject, awake), CoreTime::now(cores.load, awake));
    let (cpu_before, times_before) = (contender.cpu()?, times());
    let (start, started) = (Instant::now(), SystemTime::now());
    let (outcome, seen) = watched(contender.process(), place, || load::run(&plan));
    let outcome = outcome?;
    let (cpu, times_after, seconds) = (contender.cpu()?, times(), start.elapsed().as_secs_f64());
    let subject_core = times_after.0.since(times_before.0);
    let load_core = times_after.1.since(times_before.1);
    let cpu_ns = cpu.ns.saturating_sub(cpu_before.ns);
    // From when the generator said that it began.
    let from = start + outcome.started.duration_since(started).unwrap_or_default() + plan.warm_up;
    let course = contender.process().map(|_| &seen.course);
    let slices = Slices::of(from, plan.duration, &seen.speeds, course);
    let mut round = Round {
        number,
        load: outcome.summary(),
        cpu_ns,
        ticks: cpu.all.saturating_sub(cpu_before.all),
        user_ticks: cpu.user.saturating_sub(cpu_before.user),
        seconds,
        memory_kib: seen.memory_kib,
        load_core_busy: load_core.busy,
        subject_core_others: (subject_core.busy - cpu_ns as f64 / 1e9 / seconds).max(0.0),
        waited: cpu.waited_ns.saturating_sub(cpu_before.waited_ns) as f64 / 1e9 / seconds,
        steal: subject_core.steal.max(load_core.steal),
        slow: slices.slow,
        voids: Vec::new(),
    };
    round.voids = void::of_round(&round, scenario.keep_alive);
    let quiet = slices.are_enough().then(|| {
        let outcome = slices.part_of(&outcome);
        let (load, seconds) = (outcome.summary(), outcome.measured.as_secs_f64());
        let round = Round { load, cpu_ns: slices.cpu_ns, seconds, ..round.clone() };
        Box::new(Quiet { round, outcome })
    });
    Ok(Visited { round, outcome: outcome.in_one_interval(), quiet })
}

/// How often visits were made again.
#[derive(Debug, Default)]
pub(super) struct Again {
    visits: Cell<u32>,
    again: Cell<u32>,
}

impl Again {
    /// In all.
    pub(super) fn count(&self) -> u32 {
        self.again.get()
    }

    /// As [`visit`], and again where that would make a round void, or a core was slow for the larger part of it: what shares a core
    /// mostly does so for a moment. What is quiet of several good visits adds up.
    pub(super) fn visit(
        &self,
        contender: &Contender<'_>,
        scenario: &Scenario,
        place: Place<'_>,
        number: u32,
    ) -> Result<Visited, CompareError> {
        self.visits.set(self.visits.get() + 1);
        let mut visited = visit(contender, scenario, place, number)?;
        for _ in 1..TRIES {
            let is_quiet = visited.quiet.as_ref().is_some_and(|quiet| quiet.round.slow <= SLOW_MAX);
            // More would not mend a wrong answer, and would hide it.
            let is_wrong = void::of_answers(&visited.round.load).is_some();
            let is_over = is_wrong || is_quiet && visited.round.voids.is_empty();
            if is_over || self.again.get() >= self.visits.get() / AGAIN_IN {
                break;
            }
            self.again.set(self.again.get() + 1);
            let more = visit(contender, scenario, place, number)?;
            let is_wrong = void::of_answers(&more.round.load).is_some();
            match (visited.round.voids.is_empty(), more.round.voids.is_empty()) {
                (false, _) => visited = more,
                (true, false) if is_wrong => visited = more,
                (true, false) => {}
                (true, true) => {
                    visited.quiet = match (visited.quiet, more.quiet) {
                        (Some(one), Some(other)) => Some(Box::new(one.and(&other))),
                        (one, other) => one.or(other),
                    };
                }
            }
        }
        Ok(visited)
    }
}

impl Quiet {
    /// Both, one behind the other.
    fn and(mut self, other: &Quiet) -> Quiet {
        self.outcome.join(&other.outcome);
        let (load, more) = (self.outcome.summary(), &other.round);
        let round = self.round;
        let round = Round {
            load,
            cpu_ns: round.cpu_ns + more.cpu_ns,
            seconds: round.seconds + more.seconds,
            ticks: round.ticks + more.ticks,
            user_ticks: round.user_ticks + more.user_ticks,
            // Of the time of one.
            slow: round.slow + more.slow - 1.0,
            ..round
        };
        Quiet { round, outcome: self.outcome }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::load::{Plan, Target};

    #[test]
    fn quiet_parts_of_visits_add_up() {
        let address = "127.0.0.1:1".parse().unwrap();
        let plan = Plan::saturate(Target::get(address, "/", b""), address, 1, Duration::from_millis(200));
        let quiet = |slow, cpu_ns| {
            let outcome = Outcome::of_nothing(&plan);
            let load = outcome.summary();
            Quiet { round: Round { slow, cpu_ns, seconds: 0.2, load, ..Round::default() }, outcome }
        };
        let Quiet { round, outcome } = quiet(0.6, 10).and(&quiet(0.7, 5));
        assert_eq!((round.cpu_ns, round.seconds, round.load.measured_s), (15, 0.4, 0.4));
        assert!((round.slow - 0.3).abs() < 1e-9 && outcome.measured == 2 * plan.duration);
    }

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
        let place = Place {
            cores: Cores { subject: 1, load: 0 },
            awake: &Awake::none(),
            gauge: &Gauge::default(),
            again: &Again::default(),
        };
        let ((), seen) = watched(Some(&process), place, || {
            let mut reader = File::open(&pipe).unwrap();
            wait_until(&|| process.memory_kib() >= HELD_KIB);
            // The watch looks at it at least once more.
            thread::sleep(3 * MEMORY_EVERY * gauge::EVERY);
            io::copy(&mut reader, &mut io::sink()).unwrap();
            wait_until(&|| process.memory_kib() < HELD_KIB);
        });
        assert!(process.memory_kib() < HELD_KIB);
        assert!(seen.memory_kib >= HELD_KIB, "{seen:?}");
    }
}
