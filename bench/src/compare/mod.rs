//! `bench compare`: subjects side by side, under the same loads, in rounds that alternate.
//!
//! The subject has a core to itself, load and origins share another one. A round visits every subject under one
//! load; the next one begins with another subject, so that none always comes first. What disturbs a round
//! makes it void (`void.rs`) for all of them, and it is made again (`rounds.rs`). What slows a core from outside of this
//! machine is cut out of a visit (`slices.rs`).
//!
//! - CPU time: what the scheduler accounts to the subject's threads, over the requests that were answered
//!   (`visit.rs`)
//! - system calls: the kernel's tracepoints, counted by `perf stat`, in visits of their own (`syscalls.rs`)
//! - instructions in user space: `callgrind`, from a fixed exchange of N and one of 2N requests; their
//!   difference has no start in it (`instructions.rs`)
//! - the knee: offered rates that rise until the subject no longer keeps up (`sweep.rs`)
//! - memory: resident, at rest and for each idle connection (`memory.rs`)
//!
//! `scenario.rs` lists the loads, `model.rs` is a run as data, `figures.rs` makes medians and ratios,
//! `table.rs` shows them, `folder.rs` keeps them, `agree.rs` holds two runs against each other.

mod agree;
mod figures;
mod folder;
pub(crate) mod instructions;
mod machine;
mod memory;
pub mod model;
mod options;
mod rounds;
mod scenario;
mod slices;
mod sweep;
mod syscalls;
mod table;
mod visit;
mod void;

use std::collections::BTreeMap;
use std::time::Instant;

use crate::lab::{self, Awake, Binaries, Cores, Gauge, IdleCores, LabError, Launch, Origins};
use crate::load::{LoadError, Log, Outcome, Percentiles};
use crate::output;
pub use agree::{AgreeOptions, agree};
pub(crate) use figures::TICKS_MIN;
use folder::Folder;
use model::{Entry, Machine, Run, SubjectInfo};
pub use options::Options;
use options::Settings;
use rounds::Rounds;
use scenario::Scenario;
use visit::{Again, Contender, Place, Visited, What, visit};

/// The name of the origin without anything before it.
const DIRECT: &str = "direct";

/// Requests under callgrind, first run; the second has twice as many.
const INSTRUCTION_REQUESTS: u32 = 6400;

/// Why there is no comparison, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A process of the measurement.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The command line.
    #[error("{0}")]
    Option(String),
    /// A subject is gone.
    #[error(
        "{subject} ended in the middle of a measurement; start it by hand under the same load to see why"
    )]
    Ended {
        /// Its name.
        subject: &'static str,
    },
    /// It was measured, and the figures are not to be believed.
    #[error(
        "this run is void, {0} reasons stand above; a quiet machine, more --rounds or lower --rates may help"
    )]
    Void(usize),
}

impl From<std::io::Error> for CompareError {
    fn from(error: std::io::Error) -> CompareError {
        CompareError::Lab(error.into())
    }
}

/// Compares, shows, and keeps the results.
///
/// # Errors
///
/// Where it cannot be measured, and, after the results are kept, where the run is void.
pub fn main(options: &Options) -> Result<(), CompareError> {
    lab::refuse_debug_build()?;
    let settings = Settings::of(options).map_err(CompareError::Option)?;
    let cores = Cores::new(options.subject_core, options.load_core)?;
    lab::raise_open_files()?;
    let binaries = match &options.binaries {
        Some(folder) => Binaries::find(folder)?,
        None => Binaries::build()?,
    };
    let revision = machine::marked(machine::revision(), options.binaries.is_some());
    let folder = Folder::create(options.out.as_deref(), &Machine::here())?;
    let (run, error) = Comparison { settings, cores, binaries, revision, folder: &folder }.run()?;
    let text = table::text(&run);
    folder.write("run.json", &(serde_json::to_string(&run).expect("numbers and words") + "\n"))?;
    folder.write("summary.txt", &format!("{text}\n"))?;
    output::print(text)?;
    let place = folder.path().display();
    output::tell(format_args!("kept in {place}; bench report {place} makes a page of it"));
    match error {
        Some(error) => Err(error),
        None if !run.voids.is_empty() => Err(CompareError::Void(run.voids.len())),
        None => Ok(()),
    }
}

/// The loads and measurements that a run with these settings has.
fn names(settings: &Settings) -> Vec<String> {
    let everything = Settings { only: Vec::new(), ..settings.clone() };
    let mut names: Vec<_> = Scenario::all(&everything).into_iter().map(|scenario| scenario.key).collect();
    names.push("calls".into());
    if settings.is_full {
        names.extend(["sweep", "memory", "instructions"].map(String::from));
    }
    if settings.redis {
        names.push("redis".into());
    }
    names
}

struct Comparison<'a> {
    settings: Settings,
    cores: Cores,
    binaries: Binaries,
    revision: String,
    folder: &'a Folder,
}

impl Comparison<'_> {
    /// What was measured, and the error that ended it early, which makes it void.
    ///
    /// # Errors
    ///
    /// Where there is nothing to keep.
    fn run(&self) -> Result<(Run, Option<CompareError>), CompareError> {
        let start = Instant::now();
        // Before anything is measured, not behind it.
        if self.settings.redis && self.settings.wants("redis") && lab::installed("redis-server").is_none() {
            return Err(LabError::Missing("redis-server").into());
        }
        let mut run = self.nothing_yet();
        let awake = match self.settings.may_sleep {
            true => Awake::none(),
            false => Awake::keep(self.cores).unwrap_or_else(|why| {
                run.left_out.push(format!("awake cores: {why}"));
                Awake::none()
            }),
        };
        run.idle_cores = awake.how();
        let gauge = Gauge::default();
        let again = Again::default();
        let place = Place { cores: self.cores, awake: &awake, gauge: &gauge, again: &again };
        let error = self.measure(place, &mut run).err();
        run.again = again.count();
        let is_empty = run.scenarios.is_empty() && run.sweeps.is_empty();
        let error = match error {
            Some(error) if is_empty => return Err(error),
            other => other,
        };
        run.left_out.dedup();
        run.voids.extend(error.as_ref().map(void::of_early_end));
        run.voids.extend(void::of_siblings(self.cores));
        run.voids.extend(void::of_run(&run.scenarios, run.rounds));
        run.took_s = start.elapsed().as_secs_f64();
        Ok((run, error))
    }

    fn nothing_yet(&self) -> Run {
        Run {
            format: model::FORMAT,
            command: std::env::args().skip(1).collect(),
            revision: self.revision.clone(),
            started: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            took_s: 0.0,
            machine: Machine::here(),
            subject_core: self.cores.subject,
            load_core: self.cores.load,
            rounds: self.settings.rounds,
            subjects: Vec::new(),
            left_out: Vec::new(),
            scenarios: Vec::new(),
            sweeps: Vec::new(),
            memory: Vec::new(),
            instructions: BTreeMap::new(),
            idle_cores: IdleCores::Halted,
            again: 0,
            withheld: Vec::new(),
            voids: Vec::new(),
        }
    }

    /// Puts into `run` what it measures, as it goes: what was there before an error is not lost.
    fn measure(&self, place: Place<'_>, run: &mut Run) -> Result<(), CompareError> {
        let scratch = lab::folder()?;
        let origins = Origins::start(&self.binaries, self.cores)?;
        let mut contenders = self.start(&origins, &scratch.path().join("plain"), run)?;
        run.subjects = contenders.iter().map(info).collect();
        let page_length = lab::page_length(origins.addresses[0])?;
        for scenario in Scenario::all(&self.settings) {
            self.compare(&scenario.with_page_length(page_length), &mut contenders, place, run)?;
        }
        if self.settings.is_full && self.settings.wants("sweep") {
            sweep::of_all(&contenders, place, page_length, run)?;
        }
        // These start each subject anew, alone.
        let launches: Vec<Launch> = contenders
            .into_iter()
            .filter_map(|contender| match contender.what {
                What::Subject(running) => Some(running.0),
                What::Origin(_) => None,
            })
            .collect();
        if self.settings.is_full && self.settings.wants("memory") {
            for launch in &launches {
                // One that resets many connections opened at once is left out here, and nowhere else.
                match memory::of(launch, self.cores) {
                    Ok(memory) => run.memory.push(memory),
                    Err(error) => run.left_out.push(format!("memory of {}: {error}", launch.kind.name())),
                }
            }
        }
        if self.settings.is_full && self.settings.wants("instructions") {
            self.count_instructions(&launches, scratch.path(), run);
        }
        drop(origins);
        if self.settings.redis && self.settings.wants("redis") {
            let folder = scratch.path().join("redis");
            std::fs::create_dir_all(&folder)?;
            let origins = Origins::start_with_redis(&self.binaries, self.cores, &folder)?;
            let mut contenders = self.start(&origins, &folder, run)?;
            self.compare(&Scenario::with_redis(&self.settings), &mut contenders, place, run)?;
        }
        Ok(())
    }

    /// Starts every subject that is here, each before the same origins.
    fn start<'o>(
        &self,
        origins: &'o Origins,
        folder: &std::path::Path,
        run: &mut Run,
    ) -> Result<Vec<Contender<'o>>, CompareError> {
        let address = origins.addresses[0];
        let mut contenders =
            vec![Contender { name: DIRECT, address, what: What::Origin(Some(&origins.process)) }];
        for &kind in &self.settings.kinds {
            let name = kind.name();
            let Some(launch) = Launch::new(kind, &self.binaries, &origins.addresses, folder)? else {
                let note = format!("{name}: not installed");
                if !run.left_out.contains(&note) {
                    run.left_out.push(note);
                }
                continue;
            };
            let subject = match launch.start(self.cores, &[]) {
                Ok(subject) => subject,
                // A peer that is broken here costs its own figures, not the run.
                Err(error) if kind.is_peer() => {
                    run.left_out.push(error.to_string().lines().next().unwrap_or_default().to_owned());
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            run.voids.extend(void::of_cores(name, &subject.process, self.cores));
            let address = subject.address;
            contenders.push(Contender { name, address, what: What::Subject(Box::new((launch, subject))) });
        }
        Ok(contenders)
    }

    /// Rounds under one load until enough are good, then its figures. Those before an error are in `run` as well.
    fn compare(
        &self,
        scenario: &Scenario,
        contenders: &mut Vec<Contender<'_>>,
        place: Place<'_>,
        run: &mut Run,
    ) -> Result<(), CompareError> {
        let wanted = self.settings.rounds;
        let mut rounds = Rounds::new(scenario, contenders);
        let mut result = rounds.until_good(contenders, place, wanted, run);
        if !rounds.keep_quiet_parts(wanted) {
            let key = &scenario.key;
            run.left_out.push(format!("{key}: cutting out what was slow: a core was so for too much of it"));
        }
        let Rounds { result: mut load, outcomes, .. } = rounds;
        let used = void::good_rounds(&load);
        figures::fill(scenario, &mut load.entries, &used);
        for (entry, outcomes) in load.entries.iter_mut().zip(&outcomes) {
            let good = used.iter().map(|at| &outcomes[*at]);
            result = result.and_then(|()| self.write_histograms(scenario, entry, good));
        }
        if result.is_ok() && scenario.counts_calls && self.settings.wants("calls") {
            result = self.count_calls(scenario, contenders, place, &mut load.entries, run);
        }
        run.withheld.extend(void::withhold(&mut load, wanted));
        run.withheld.extend(void::of_ticks(&load));
        run.scenarios.push(load);
        result
    }

    /// The histograms of an entry's good rounds, and the percentiles of all of them together.
    fn write_histograms<'o>(
        &self,
        scenario: &Scenario,
        entry: &mut Entry,
        outcomes: impl Iterator<Item = &'o Outcome>,
    ) -> Result<(), CompareError> {
        let mut log = Log::default();
        for outcome in outcomes {
            log.add(Log::of(outcome, outcome.measured));
        }
        let sum = log.outcome().tally;
        let is_open = scenario.pace.rate().is_some();
        let histogram = if is_open { &sum.from_due } else { &sum.from_sent };
        entry.latency_us = figures::supported(Percentiles::of(histogram), histogram.len());
        let name = format!("{}-{}.hlog", scenario.key, entry.subject);
        log.write(&self.folder.path().join(&name))?;
        entry.hlog = Some(name);
        Ok(())
    }

    fn count_calls(
        &self,
        scenario: &Scenario,
        contenders: &[Contender<'_>],
        place: Place<'_>,
        entries: &mut [Entry],
        run: &mut Run,
    ) -> Result<(), CompareError> {
        let counter = match syscalls::Counter::find() {
            Ok(counter) => counter,
            Err(why) => {
                run.left_out.push(format!("system calls: {why}"));
                return Ok(());
            }
        };
        for (contender, entry) in contenders.iter().zip(entries) {
            let Some((_, subject)) = contender.subject() else { continue };
            let mut void = None;
            let load = || {
                let Visited { round, .. } = visit(contender, scenario, place, 0)?;
                void = void::of_visit(&scenario.key, contender.name, &round.load);
                Ok(round.load.answered_in_all)
            };
            match counter.visit(&subject.process, load) {
                Ok(calls) => entry.calls = Some(calls),
                Err(error) => run.left_out.push(format!("system calls of {}: {error}", contender.name)),
            }
            run.voids.extend(void);
        }
        Ok(())
    }

    fn count_instructions(&self, launches: &[Launch], folder: &std::path::Path, run: &mut Run) {
        let Some(callgrind) = instructions::Callgrind::find(folder) else {
            run.left_out.push("instructions: valgrind is not installed".into());
            return;
        };
        for launch in launches {
            let name = launch.kind.name();
            if !launch.kind.runs_under_callgrind() {
                run.left_out.push(format!("instructions of {name}: it does not run under callgrind"));
                continue;
            }
            output::tell(format_args!("instructions of {name}"));
            match callgrind.visit(launch, self.cores, INSTRUCTION_REQUESTS) {
                Ok(count) => {
                    run.instructions.insert(name.into(), count);
                }
                // Not every program runs under valgrind, and what it says then is long.
                Err(error) => {
                    let text = error.to_string();
                    let line = text.lines().next().unwrap_or_default();
                    run.left_out.push(format!("instructions of {name}: {line}"));
                }
            }
        }
    }
}

impl Entry {
    fn new(subject: &str) -> Entry {
        Entry {
            subject: subject.into(),
            rounds: Vec::new(),
            figures: BTreeMap::new(),
            latency_us: Percentiles::default(),
            hlog: None,
            calls: None,
        }
    }
}

fn info(contender: &Contender<'_>) -> SubjectInfo {
    match contender.subject() {
        Some((launch, _)) => SubjectInfo {
            name: contender.name.into(),
            version: launch.version.clone(),
            configuration: launch.configuration(),
        },
        None => SubjectInfo {
            name: contender.name.into(),
            version: String::new(),
            configuration: "the origin itself, on the load's core\n".into(),
        },
    }
}
