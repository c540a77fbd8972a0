//! The pid file: the sign that every listener is bound, and whom to signal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file with this process's id and a line feed. Dropping it removes the file, unless another process has
/// put its own id there meanwhile.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    text: String,
    /// Open for writing: by its end the process may be a user who could not open it.
    file: File,
    /// A process that is to take this one's place writes to it, too, as it could not be renamed.
    is_shared: bool,
}

/// The pid file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the pid file {}: {source}; give a path in a folder that exists and may be written to", path.display())]
pub struct PidFileError {
    /// The file, as configured.
    pub path: PathBuf,
    /// What failed.
    pub source: io::Error,
}

impl PidFile {
    /// Writes the file, in place of one that is there. To be called once every listener is bound.
    ///
    /// The file appears whole: a supervisor that waits for it never reads half a number. Where only the file itself may
    /// be written to, as in many a container, or it is a device or a symbolic link, it is written in place.
    ///
    /// # Errors
    ///
    /// When the folder is missing or neither it nor the file may be written to, or the path is a folder.
    pub fn write(path: &Path) -> Result<PidFile, PidFileError> {
        let pid = std::process::id();
        let text = format!("{pid}\n");
        let mut scratch = path.as_os_str().to_owned();
        scratch.push(format!(".{pid}"));
        let scratch = PathBuf::from(scratch);
        let is_special = fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir());
        let file = if is_special {
            write_in_place(path, &text)
        } else {
            match write_new(&scratch, &text) {
                Ok(file) => fs::rename(&scratch, path).map(|()| file).inspect_err(|_| {
                    // The error that counts is the first one.
                    let _ = fs::remove_file(&scratch);
                }),
                Err(error) if is_refused(error.kind()) => write_in_place(path, &text).map_err(|_| error),
                Err(error) => Err(error),
            }
        };
        let file = file.map_err(|source| PidFileError { path: path.to_owned(), source })?;
        Ok(PidFile { path: path.to_owned(), text, file, is_shared: false })
    }

    /// Sees whether the file can be written, without a change to one that is there: one that is not is made, empty, and
    /// stays, as `nginx -t` does (`ngx_create_pidfile`).
    ///
    /// # Errors
    ///
    /// When the folder is missing, or the file may not be written to.
    pub fn check(path: &Path) -> Result<fs::File, PidFileError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o644);
        options.open(path).map_err(|source| PidFileError { path: path.to_owned(), source })
    }
}

impl PidFile {
    /// The file, open for writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes room for the file of a process that is to take this one's place: renames this one by adding
    /// `.oldbin`, as nginx does. Where that is refused, as in a folder of root's once the process is another user's, it
    /// stays, and the other process has to write to it in place.
    ///
    /// # Errors
    ///
    /// When the file is gone.
    pub fn set_aside(&mut self) -> io::Result<()> {
        let mut aside = self.path.as_os_str().to_owned();
        aside.push(".oldbin");
        match self.rename(aside.into()) {
            Err(error) if is_refused(error.kind()) => {
                log::warn!(
                    "there is no .oldbin: the pid file {} cannot be renamed: {error}",
                    self.path.display()
                );
                self.is_shared = true;
                Ok(())
            }
            result => result,
        }
    }

    /// Undoes [`PidFile::set_aside`], now that the other process is no more.
    ///
    /// # Errors
    ///
    /// When the file is gone, or the folder may no longer be written to.
    pub fn take_back(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_shared) {
            self.file.write_all_at(self.text.as_bytes(), 0)?;
            return self.file.set_len(self.text.len() as u64);
        }
        match self.path.extension() {
            Some(extension) if extension == "oldbin" => self.rename(self.path.with_extension("")),
            _ => Ok(()),
        }
    }

    fn rename(&mut self, to: PathBuf) -> io::Result<()> {
        fs::rename(&self.path, &to)?;
        self.path = to;
        Ok(())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // To read a pipe would be to wait for oneself.
        if fs::metadata(&self.path).is_ok_and(|meta| !meta.is_file()) {
            return;
        }
        let ours = match fs::read_to_string(&self.path) {
            Ok(text) => text == self.text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            // Its folder may not be entered. If another one has taken its place, emptying it changes nothing.
            Err(error) if is_refused(error.kind()) => !self.is_shared,
            Err(_) => false,
        };
        if !ours && self.is_shared {
            return;
        }
        if !ours {
            log::warn!("the pid file {} is not ours any more; leaving it", self.path.display());
            return;
        }
        // Where it cannot be removed, or is a link, what stays is to name nobody.
        let is_emptied = self.file.set_len(0).is_ok();
        match fs::remove_file(&self.path) {
            Ok(()) => {}
            Err(error) if is_refused(error.kind()) && is_emptied => {}
            Err(error) => log::warn!("cannot remove the pid file {}: {error}", self.path.display()),
        }
    }
}

fn is_refused(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Writes a file that must not be there, so that no link laid in its way is followed. One left by a crash
/// (in a container every process has the same id) is removed first.
fn write_new(path: &Path, text: &str) -> io::Result<File> {
    let open = || OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
    let mut file = match open() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            open()?
        }
        result => result?,
    };
    file.write_all(text.as_bytes()).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })?;
    Ok(file)
}

fn write_in_place(path: &Path, text: &str) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
    }

    #[test]
    fn it_holds_the_pid_while_it_lives() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("proxy.pid");
        fs::write(&path, "of an earlier process that ended hard\n").expect("written");
        let file = PidFile::write(&path).expect("a pid file");
        assert_eq!(fs::read_to_string(&path).expect("text"), format!("{}\n", std::process::id()));
        assert_eq!(names(folder.path()), ["proxy.pid"], "nothing beside it");
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn it_can_be_set_aside_and_taken_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("proxy.pid");
        let mut file = PidFile::write(&path).expect("a pid file");
        file.set_aside().expect("room");
        assert_eq!(names(folder.path()), ["proxy.pid.oldbin"]);
        fs::write(&path, "1\n").expect("the other's");
        fs::remove_file(&path).expect("and it is gone");
        file.take_back().expect("room");
        assert_eq!(names(folder.path()), ["proxy.pid"]);
        file.set_aside().expect("room");
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn another_process_s_file_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("proxy.pid");
        let file = PidFile::write(&path).expect("a pid file");
        fs::write(&path, "1\n").expect("written");
        drop(file);
        assert_eq!(fs::read_to_string(&path).expect("text"), "1\n");
    }

    #[test]
    fn a_check_changes_no_file_that_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("proxy.pid");
        PidFile::check(&path).expect("it can be made");
        assert_eq!(fs::read_to_string(&path).expect("nginx makes it too"), "");
        fs::write(&path, "1\n").expect("written");
        PidFile::check(&path).expect("it can be written");
        assert_eq!(fs::read_to_string(&path).expect("text"), "1\n");
        let missing = folder.path().join("no/proxy.pid");
        assert_eq!(PidFile::check(&missing).expect_err("no folder").path, missing);
    }

    #[test]
    fn a_device_is_written_to_and_stays_one() {
        let file = PidFile::write(Path::new("/dev/null")).expect("it takes anything");
        drop(file);
        assert!(!fs::metadata("/dev/null").expect("it is there").is_file());
    }

    #[test]
    fn a_link_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, target) = (folder.path().join("link"), folder.path().join("target"));
        // Its target need not be there.
        for _ in 0..2 {
            std::os::unix::fs::symlink("target", &path).expect("a link");
            let file = PidFile::write(&path).expect("a pid file");
            assert!(path.is_symlink());
            assert_eq!(fs::read_to_string(&target).expect("text"), format!("{}\n", std::process::id()));
            drop(file);
            // As with nginx it is the link that goes.
            assert!(!path.is_symlink());
            assert_eq!(fs::read_to_string(&target).expect("text"), "", "what is left names nobody");
        }
    }

    #[test]
    fn a_leftover_of_a_crash_is_no_obstacle() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("proxy.pid");
        fs::write(folder.path().join(format!("proxy.pid.{}", std::process::id())), "").expect("written");
        let _file = PidFile::write(&path).expect("a pid file");
        assert_eq!(names(folder.path()), ["proxy.pid"]);
    }

    #[test]
    fn what_cannot_be_written_is_explained_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("no/proxy.pid");
        assert_eq!(
            PidFile::write(&missing).expect_err("no folder").to_string(),
            format!(
                "cannot write the pid file {}: No such file or directory (os error 2); give a path in a \
                 folder that exists and may be written to",
                missing.display()
            )
        );
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).expect("a folder");
        assert!(PidFile::write(&taken).is_err());
        assert_eq!(names(folder.path()), ["taken"]);
    }
}
