//! What a command prints, and the file that it was told to write.
//!
//! Whoever reads may go before the end (`| head`): that is no failure of a measurement that took minutes.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::lab::LabError;

/// A line, or several, on the standard output; nothing where nobody reads it any more.
///
/// # Errors
///
/// Where it cannot be written for another reason, such as a full disk.
pub fn print(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// How far it has come, or what was wrong, on the standard error. Where that cannot be written there is nobody to tell.
pub fn tell(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A file of results, which is opened before they are measured: where it cannot be written, that is known then.
#[derive(Debug)]
pub(crate) struct ResultFile {
    path: PathBuf,
    file: File,
    /// It was not there, and has nothing in it yet: without results it goes again.
    is_empty_and_new: bool,
}

impl ResultFile {
    /// Opens or makes the file; what is in it stays until there are results.
    pub(crate) fn open(path: &Path) -> Result<ResultFile, LabError> {
        let is_new = !path.exists();
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|source| LabError::File { file: path.into(), source })?;
        Ok(ResultFile { path: path.to_owned(), file, is_empty_and_new: is_new })
    }

    /// Replaces what is in it by a text and the end of its line.
    pub(crate) fn write(mut self, text: &str) -> Result<(), LabError> {
        // A pipe or a device has no length.
        let is_file = self.file.metadata().is_ok_and(|about| about.is_file());
        let emptied = if is_file { self.file.set_len(0) } else { Ok(()) };
        let written = emptied.and_then(|()| writeln!(self.file, "{}", text.trim_end_matches('\n')));
        self.is_empty_and_new = false;
        written.map_err(|source| LabError::File { file: self.path.clone(), source })
    }
}

impl Drop for ResultFile {
    fn drop(&mut self) {
        if self.is_empty_and_new {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_replace_what_was_there_and_none_leave_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        drop(ResultFile::open(&path).unwrap());
        assert!(!path.exists());
        fs::write(&path, "something long that was there before").unwrap();
        drop(ResultFile::open(&path).unwrap());
        assert!(fs::read_to_string(&path).unwrap().starts_with("something"));
        ResultFile::open(&path).unwrap().write("[1,2]").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[1,2]\n");
        let error = ResultFile::open(&folder.path().join("no/x.json")).unwrap_err().to_string();
        assert!(error.contains("no/x.json: No such file"), "{error}");
    }
}
