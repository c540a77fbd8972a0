//! The files that logs are appended to: the error log and the logs of requests.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// Those that are open in this process.
static OPEN: Mutex<Vec<Weak<File>>> = Mutex::new(Vec::new());

/// A log could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the log {}: {source}; give a file that may be written to", path.display())]
pub struct OpenError {
    /// The file, as configured.
    pub path: PathBuf,
    /// What failed.
    pub source: io::Error,
}

/// Opens a file for appending, making it if it is not there. One that the process may not open, having become another
/// user, but has open already, is that one: a pipe on standard error, say, which cannot be given to the user.
///
/// # Errors
///
/// When it cannot be opened.
pub fn open(path: &Path) -> Result<Arc<File>, OpenError> {
    let opened = OpenOptions::new().append(true).create(true).mode(0o644).open(path);
    let mut all = OPEN.lock();
    all.retain(|file| file.strong_count() > 0);
    match opened {
        Ok(file) => {
            let file = Arc::new(file);
            all.push(Arc::downgrade(&file));
            Ok(file)
        }
        Err(source) => {
            let is_refused = source.kind() == io::ErrorKind::PermissionDenied;
            let known =
                is_refused.then(|| all.iter().find_map(|file| is_at(path, file.upgrade()?))).flatten();
            known.ok_or_else(|| OpenError { path: path.to_owned(), source })
        }
    }
}

/// The file, if it is the one at the path: under the same name there may be another one by now.
fn is_at(path: &Path, file: Arc<File>) -> Option<Arc<File>> {
    let (there, here) = (fs::metadata(path).ok()?, file.metadata().ok()?);
    ((there.dev(), there.ino()) == (here.dev(), here.ino())).then_some(file)
}
