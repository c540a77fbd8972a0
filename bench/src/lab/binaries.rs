//! This project's own binaries, built by release rules.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::LabError;

/// Where the binaries are that a measurement starts.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The proxy.
    pub proxy: PathBuf,
    /// The origin.
    pub backend: PathBuf,
    /// This crate's, for the relay.
    pub bench: PathBuf,
}

impl Binaries {
    /// Builds them from the tree as it stands, so that no stale one is measured.
    ///
    /// # Errors
    ///
    /// [`LabError::Build`] where that fails.
    pub fn build() -> Result<Binaries, LabError> {
        let folder = target_folder()?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--release", "--quiet", "--bins", "--manifest-path"]);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
        command.arg("--target-dir").arg(&folder).stdin(Stdio::null());
        match command.status() {
            Ok(status) if status.success() => Binaries::find(&folder.join("release")),
            _ => Err(LabError::Build),
        }
    }

    /// Takes those in `folder`.
    ///
    /// # Errors
    ///
    /// [`LabError::Build`] where one is not there, [`LabError::DebugBuild`] where cargo put debug builds there.
    pub fn find(folder: &Path) -> Result<Binaries, LabError> {
        if folder.ends_with("debug") {
            return Err(LabError::DebugBuild);
        }
        let file = |name| Some(folder.join(name)).filter(|file| file.is_file()).ok_or(LabError::Build);
        Ok(Binaries { proxy: file("proxy")?, backend: file("backend")?, bench: file("bench")? })
    }
}

/// The target folder that the running binary lies in: `release/NAME` or `release/deps/NAME`.
fn target_folder() -> Result<PathBuf, LabError> {
    let binary = std::env::current_exe()?;
    let folder = binary.ancestors().find(|folder| folder.ends_with("release")).and_then(Path::parent);
    folder.map(Path::to_owned).ok_or(LabError::DebugBuild)
}

/// Figures of an unoptimised generator or relay would mean nothing.
///
/// # Errors
///
/// [`LabError::DebugBuild`] where this is one.
pub fn refuse_debug_build() -> Result<(), LabError> {
    if cfg!(debug_assertions) { Err(LabError::DebugBuild) } else { Ok(()) }
}
