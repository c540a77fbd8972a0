//! This project's own binaries, built by the rules that the running one was built by.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{LabError, ending};

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
    /// Builds them from the tree as it stands, so that no stale one is measured: in a test of behaviour debug builds.
    ///
    /// # Errors
    ///
    /// [`LabError::Build`] where that fails.
    pub fn build() -> Result<Binaries, LabError> {
        let (folder, profile) = target_folder()?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--bins", "--manifest-path"]);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
        // Cargo calls a profile "dev" whose folder is "debug".
        command.args(["--profile", if profile == "debug" { "dev" } else { &profile }]);
        command.arg("--target-dir").arg(&folder).stdin(Stdio::null());
        match ending::spawn(&mut command).and_then(|mut cargo| ending::wait(&mut cargo)) {
            Ok(status) if status.success() => Binaries::all_in(&folder.join(profile)),
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
        Binaries::all_in(folder)
    }

    fn all_in(folder: &Path) -> Result<Binaries, LabError> {
        let file = |name| Some(folder.join(name)).filter(|file| file.is_file()).ok_or(LabError::Build);
        Ok(Binaries { proxy: file("proxy")?, backend: file("backend")?, bench: file("bench")? })
    }
}

/// The target folder that the running binary lies in, and its profile's folder there: `TARGET/release/NAME`, or
/// `TARGET/debug/deps/NAME` for a test.
fn target_folder() -> Result<(PathBuf, String), LabError> {
    let binary = std::env::current_exe()?;
    let mut folder = binary.parent().ok_or(LabError::Build)?;
    if folder.ends_with("deps") {
        folder = folder.parent().ok_or(LabError::Build)?;
    }
    let profile = folder.file_name().and_then(|name| name.to_str()).ok_or(LabError::Build)?;
    Ok((folder.parent().ok_or(LabError::Build)?.to_owned(), profile.to_owned()))
}

/// Figures of an unoptimised generator or relay would mean nothing.
///
/// # Errors
///
/// [`LabError::DebugBuild`] where this is one.
pub fn refuse_debug_build() -> Result<(), LabError> {
    if cfg!(debug_assertions) { Err(LabError::DebugBuild) } else { Ok(()) }
}
