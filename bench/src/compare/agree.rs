//! `bench agree`: whether two runs on one machine say the same.
//!
//! A ratio that one run gives and another one does not is worth nothing, however narrow its interval is in either: what is the
//! same throughout a run is in none of its intervals.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::model::{FORMAT, Machine, Run, figure};
use super::table::table;
use crate::output;

/// Which runs are held against each other.
#[derive(clap::Args, Clone, Debug)]
pub struct AgreeOptions {
    /// The folder of one run
    #[arg(value_name = "FOLDER")]
    pub first: PathBuf,
    /// The folder of the other
    #[arg(value_name = "FOLDER")]
    pub second: PathBuf,
    /// So many percent may ratios differ
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    pub within: f64,
}

/// Why two runs do not agree, or cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum AgreeError {
    /// A run cannot be read.
    #[error("{}: {why}", file.display())]
    Data {
        /// Which one.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A run is void.
    #[error("{} is void", .0.display())]
    Void(PathBuf),
    /// They are not of one kind.
    #[error("{what} differs, {first} and {second}: only runs of the same kind can agree")]
    Apart {
        /// What differs.
        what: &'static str,
        /// In the first one.
        first: String,
        /// In the other.
        second: String,
    },
    /// They have too few ratios in common.
    #[error(
        "only {count} of {all} ratios are in both runs, the others are withheld or were not measured: too few to tell; \
         make both on a quiet machine with the same loads and subjects"
    )]
    TooFew {
        /// So many.
        count: usize,
        /// Of those that either has.
        all: usize,
    },
    /// They differ.
    #[error("{count} of {all} ratios differ by more than {within} %")]
    Differ {
        /// So many.
        count: usize,
        /// Of so many.
        all: usize,
        /// The bound.
        within: f64,
    },
    /// What they say could not be printed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// So large a share of the ratios that either run has must be in both.
const COMMON_MIN: f64 = 0.5;

/// The figures whose ratios are to agree, in words: those that are held to the tighter bound.
const FIGURES: [(&str, &str); 3] =
    [(figure::CPU, "CPU time"), (figure::REQUESTS, "throughput"), (figure::P50, "p50")];

/// A ratio that both runs have.
#[derive(Clone, Debug, PartialEq)]
struct Pair {
    figure: &'static str,
    load: String,
    subject: String,
    to: &'static str,
    first: f64,
    second: f64,
}

impl Pair {
    /// By how much the larger one is above the smaller one, in percent.
    fn difference(&self) -> f64 {
        100.0 * (self.first.max(self.second) / self.first.min(self.second) - 1.0)
    }
}

/// Shows the ratios of both runs side by side.
///
/// # Errors
///
/// Where a run cannot be read or is void, where they are not of one kind or have too little in common, and where they do not agree.
pub fn agree(options: &AgreeOptions) -> Result<(), AgreeError> {
    let (first, second) = (read(&options.first)?, read(&options.second)?);
    of_one_kind(&first, &second)?;
    let (mut pairs, all) = pairs(&first, &second);
    pairs.sort_by(|a, b| b.difference().total_cmp(&a.difference()));
    output::print(Pairs(&pairs))?;
    output::print(format!("{} of {all} ratios are in one run alone, and not compared", all - pairs.len()))?;
    judge(&pairs, all, options.within)
}

fn judge(pairs: &[Pair], all: usize, within: f64) -> Result<(), AgreeError> {
    let common = pairs.len();
    if common == 0 || (common as f64) < COMMON_MIN * all as f64 {
        return Err(AgreeError::TooFew { count: common, all });
    }
    let count = pairs.iter().filter(|pair| pair.difference() > within).count();
    if count > 0 { Err(AgreeError::Differ { count, all: common, within }) } else { Ok(()) }
}

fn read(folder: &Path) -> Result<Run, AgreeError> {
    let file = folder.join("run.json");
    let wrong = |why: String| AgreeError::Data { file: file.clone(), why };
    let text = fs::read_to_string(&file).map_err(|error| wrong(error.to_string()))?;
    let run: Run = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if run.format != FORMAT {
        return Err(wrong(format!("it is of format {}, and this is bench of format {FORMAT}", run.format)));
    }
    if run.voids.is_empty() { Ok(run) } else { Err(AgreeError::Void(folder.to_owned())) }
}

/// Ratios are those of a machine, and of whether its cores sleep.
fn of_one_kind(first: &Run, second: &Run) -> Result<(), AgreeError> {
    let machine = |run: &Run| {
        let Machine { host, processor, cores, .. } = &run.machine;
        format!("{host} with {cores} cores of {processor}")
    };
    let idle = |run: &Run| format!("they {}", run.idle_cores.text());
    type Trait = fn(&Run) -> String;
    let traits: [(&str, Trait); 2] = [("the machine", machine), ("what cores without work do", idle)];
    for (what, of) in traits {
        let (first, second) = (of(first), of(second));
        if first != second {
            return Err(AgreeError::Apart { what, first, second });
        }
    }
    Ok(())
}

/// A ratio's figure, load, subject, and what it is to.
type Name = (&'static str, String, String, &'static str);

/// All ratios of a run, but those of a subject to itself.
fn ratios(run: &Run) -> BTreeMap<Name, f64> {
    let mut ratios = BTreeMap::new();
    for scenario in &run.scenarios {
        for entry in &scenario.entries {
            for (name, words) in FIGURES {
                let Some(figure) = entry.figure(name) else { continue };
                for (to, ratio) in [("relay", &figure.to_floor), ("nginx", &figure.to_nginx)] {
                    let ratio = ratio.as_ref().filter(|_| entry.subject != to);
                    let name = (words, scenario.key.clone(), entry.subject.clone(), to);
                    ratios.extend(ratio.map(|ratio| (name, ratio.median)));
                }
            }
        }
    }
    ratios
}

/// The ratios of both, and how many either has.
fn pairs(first: &Run, second: &Run) -> (Vec<Pair>, usize) {
    let (first, second) = (ratios(first), ratios(second));
    let all = first.len() + second.keys().filter(|name| !first.contains_key(*name)).count();
    let pair = |(name, first): (&Name, &f64)| {
        let second = *second.get(name)?;
        let (figure, load, subject, to) = name.clone();
        Some(Pair { figure, load, subject, to, first: *first, second })
    };
    (first.iter().filter_map(pair).collect(), all)
}

/// As a table, in the order given.
struct Pairs<'a>(&'a [Pair]);

impl fmt::Display for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = table(&["", "of", "under", "to", "first", "second", "apart, %"]);
        for pair in self.0 {
            table.add_row([
                pair.figure.to_owned(),
                pair.subject.clone(),
                pair.load.clone(),
                pair.to.to_owned(),
                format!("{:.2}", pair.first),
                format!("{:.2}", pair.second),
                format!("{:.1}", pair.difference()),
            ]);
        }
        write!(f, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::IdleCores;

    fn pair(first: f64, second: f64) -> Pair {
        let (load, subject) = ("single".into(), "proxy".into());
        Pair { figure: "CPU time", load, subject, to: "nginx", first, second }
    }

    #[test]
    fn runs_differ_by_their_larger_ratio() {
        assert!((pair(0.8, 0.88).difference() - 10.0).abs() < 1e-9);
        assert_eq!(pair(0.8, 0.88).difference(), pair(0.88, 0.8).difference());
        assert_eq!(pair(0.8, 0.8).difference(), 0.0);
    }

    #[test]
    fn runs_with_little_in_common_do_not_agree() {
        let judged = |count: usize, all| judge(&vec![pair(0.8, 0.8); count], all, 10.0);
        assert!(judged(5, 10).is_ok());
        for (count, all) in [(4, 10), (0, 0), (0, 10)] {
            assert!(matches!(judged(count, all), Err(AgreeError::TooFew { .. })), "{count} of {all}");
        }
        let apart = judge(&[pair(0.8, 0.8), pair(0.8, 1.0)], 2, 10.0).unwrap_err().to_string();
        assert_eq!(apart, "1 of 2 ratios differ by more than 10 %");
    }

    /// The committed run, changed.
    #[test]
    fn only_runs_of_one_kind_are_compared() {
        let runs = Path::new(env!("CARGO_MANIFEST_DIR")).join("runs");
        let folder = fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
        let run = read(&folder).unwrap();
        let (pairs, all) = pairs(&run, &run);
        assert!(pairs.len() == all && all > 20 && judge(&pairs, all, 0.1).is_ok());
        let other = tempfile::tempdir().unwrap();
        let error = |run: &Run| {
            fs::write(other.path().join("run.json"), serde_json::to_string(run).unwrap()).unwrap();
            let second = other.path().to_owned();
            agree(&AgreeOptions { first: folder.clone(), second, within: 10.0 }).unwrap_err().to_string()
        };
        let asleep = error(&Run { idle_cores: IdleCores::Halted, ..run.clone() });
        assert!(asleep.starts_with("what cores without work do differs"), "{asleep}");
        let machine = Machine { host: "another".into(), ..run.machine.clone() };
        assert!(error(&Run { machine, ..run.clone() }).contains("another with"));
        assert!(error(&Run { format: FORMAT + 1, ..run.clone() }).contains("it is of format"));
        assert!(
            error(&Run { scenarios: run.scenarios[..1].to_vec(), ..run.clone() }).contains("too few to tell")
        );
    }

    #[test]
    fn a_run_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().to_owned();
        let error = agree(&AgreeOptions { first: folder.clone(), second: folder, within: 10.0 }).unwrap_err();
        assert!(error.to_string().contains("run.json"), "{error}");
    }
}
