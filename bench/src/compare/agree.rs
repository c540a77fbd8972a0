//! `bench agree`: whether two runs on one machine say the same.
//!
//! A ratio that one run gives and another one does not is worth nothing, however narrow its interval is in either: what is the
//! same throughout a run is in none of its intervals.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::model::{Figure, Run, figure};
use super::table::table;
use crate::output;
use crate::stats::Sample;

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
    /// They have no ratio in common.
    #[error("the runs have no ratio in common")]
    Nothing,
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

/// A ratio of CPU time that both runs have.
#[derive(Clone, Debug, PartialEq)]
struct Pair {
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
/// Where a run cannot be read or is void, and where they do not agree.
pub fn agree(options: &AgreeOptions) -> Result<(), AgreeError> {
    let (first, second) = (read(&options.first)?, read(&options.second)?);
    let mut pairs = pairs(&first, &second);
    pairs.sort_by(|a, b| b.difference().total_cmp(&a.difference()));
    output::print(Pairs(&pairs))?;
    let count = pairs.iter().filter(|pair| pair.difference() > options.within).count();
    match pairs.len() {
        0 => Err(AgreeError::Nothing),
        all if count > 0 => Err(AgreeError::Differ { count, all, within: options.within }),
        _ => Ok(()),
    }
}

fn read(folder: &Path) -> Result<Run, AgreeError> {
    let file = folder.join("run.json");
    let wrong = |why: String| AgreeError::Data { file: file.clone(), why };
    let text = fs::read_to_string(&file).map_err(|error| wrong(error.to_string()))?;
    let run: Run = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if run.voids.is_empty() { Ok(run) } else { Err(AgreeError::Void(folder.to_owned())) }
}

fn pairs(first: &Run, second: &Run) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for scenario in &first.scenarios {
        for entry in &scenario.entries {
            let other = second.scenario(&scenario.key).and_then(|scenario| scenario.entry(&entry.subject));
            let figures = entry.figure(figure::CPU).zip(other.and_then(|entry| entry.figure(figure::CPU)));
            let Some((one, other)) = figures else { continue };
            type Ratio = fn(&Figure) -> Option<&Sample>;
            let ratios: [(&str, Ratio); 2] =
                [("relay", |figure| figure.to_floor.as_ref()), ("nginx", |figure| figure.to_nginx.as_ref())];
            for (to, ratio) in ratios.into_iter().filter(|(to, _)| entry.subject != *to) {
                pairs.extend(ratio(one).zip(ratio(other)).map(|(one, other)| Pair {
                    load: scenario.key.clone(),
                    subject: entry.subject.clone(),
                    to,
                    first: one.median,
                    second: other.median,
                }));
            }
        }
    }
    pairs
}

/// As a table, in the order given.
struct Pairs<'a>(&'a [Pair]);

impl fmt::Display for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = table(&["CPU time of", "under", "to", "first", "second", "apart, %"]);
        for pair in self.0 {
            table.add_row([
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

    #[test]
    fn runs_differ_by_their_larger_ratio() {
        let pair = |first, second| Pair {
            load: "single".into(),
            subject: "proxy".into(),
            to: "nginx",
            first,
            second,
        };
        assert!((pair(0.8, 0.88).difference() - 10.0).abs() < 1e-9);
        assert_eq!(pair(0.8, 0.88).difference(), pair(0.88, 0.8).difference());
        assert_eq!(pair(0.8, 0.8).difference(), 0.0);
    }

    #[test]
    fn a_run_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().to_owned();
        let error = agree(&AgreeOptions { first: folder.clone(), second: folder, within: 10.0 }).unwrap_err();
        assert!(error.to_string().contains("run.json"), "{error}");
    }
}
