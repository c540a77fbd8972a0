//! Where a run is kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::CompareError;
use super::model::Machine;

/// Where runs are kept in the project's folder.
const RUNS: &str = "bench/runs";

/// A folder of one run.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder: the one asked for, which may be there but has to be without a run, or a new one.
    pub(super) fn create(asked: Option<&Path>, machine: &Machine) -> Result<Folder, CompareError> {
        let path = asked.map_or_else(|| fresh(Path::new(RUNS), machine), Path::to_owned);
        if path.join("run.json").exists() {
            return Err(CompareError::Option(format!(
                "{} holds a run already; give another --out",
                path.display()
            )));
        }
        fs::create_dir_all(&path)?;
        Ok(Folder { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        fs::write(self.path.join(name), text)
    }
}

/// `DATE-HOST-N-cores`, with a number where that is taken; in `runs`, if there is such a folder.
fn fresh(runs: &Path, machine: &Machine) -> PathBuf {
    let date = jiff::Timestamp::now().strftime("%Y-%m-%d");
    let name = format!("{date}-{}-{}-cores", machine.host, machine.cores);
    let parent = if runs.is_dir() { runs } else { Path::new("") };
    let mut path = parent.join(&name);
    let mut number = 1;
    while path.exists() {
        number += 1;
        path = parent.join(format!("{name}-{number}"));
    }
    path
}
