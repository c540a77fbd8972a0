//! The access log's file side: whole lines, gathered and written in few system calls.
//!
//! Each worker has a [`Writer`] of its own on the same target. A file is opened for appending, so that the
//! kernel puts every write at its end in one piece (it locks the file for it); a write holds whole lines
//! only; so lines of several workers never mix. Standard output may be a pipe, which takes no more than
//! `PIPE_BUF` bytes in one piece: there the standard library's lock keeps the workers apart.
//!
//! The log is never worth the process: what cannot be written is dropped, and the error log says so once.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::log_file::{self, OpenError};

/// Lines are written when they are this many bytes together, unless [`Writer::flush`] comes first.
pub const BUFFER_SIZE: usize = 64 << 10;

/// The access log of one worker.
///
/// Dropping it writes what is left.
#[derive(Debug)]
pub struct Writer {
    target: Target,
    /// Whole lines that are not written yet.
    buffer: Vec<u8>,
    /// Bytes of lines that were dropped since writing began to fail; 0: it does not fail.
    dropped: u64,
}

/// Where lines go.
#[derive(Debug)]
enum Target {
    Stdout,
    File(Arc<File>, PathBuf),
}

impl Writer {
    /// Opens the file at `path` for appending, making it if it is not there; `-` and `/dev/stdout` are standard
    /// output.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened. At start that is fatal; later see [`Writer::reopen`].
    pub fn open(path: &str) -> Result<Writer, OpenError> {
        let target = match path {
            "-" | "/dev/stdout" => Target::Stdout,
            path => Target::File(log_file::open(Path::new(path))?, PathBuf::from(path)),
        };
        Ok(Writer { target, buffer: Vec::with_capacity(BUFFER_SIZE), dropped: 0 })
    }

    /// Adds a line, which comes without its line feed. Writes the lines before it if this one would not
    /// fit beside them.
    pub fn push(&mut self, line: &[u8]) {
        debug_assert!(!line.contains(&b'\n'), "one line at a time");
        if self.buffer.len() + line.len() >= BUFFER_SIZE {
            self.flush();
        }
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
    }

    /// Writes all lines. The worker calls this a second after the first line that is pending, when it
    /// drains, and before it reopens.
    pub fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let result = match &mut self.target {
            Target::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(&self.buffer).and_then(|()| out.flush())
            }
            Target::File(file, _) => file.as_ref().write_all(&self.buffer),
        };
        let size = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        match result {
            Ok(()) if self.dropped > 0 => {
                log::warn!("the access log {} works again; {} bytes were lost", self.name(), self.dropped);
                self.dropped = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if self.dropped == 0 {
                    log::error!(
                        "cannot write to the access log {}: {error}; its lines are lost until it works again",
                        self.name()
                    );
                }
                self.dropped = self.dropped.saturating_add(size);
            }
        }
        self.buffer.clear();
        // One very long line must not keep its memory.
        self.buffer.shrink_to(BUFFER_SIZE);
    }

    /// Writes what is pending to the old file, then opens the path anew: after the file was renamed, the
    /// next lines go to a new one. Where that fails, the old file stays in use and the error log says so.
    pub fn reopen(&mut self) {
        self.flush();
        if let Target::File(file, path) = &mut self.target {
            match log_file::open(path) {
                Ok(new) => *file = new,
                Err(error) => log::error!("{error}; going on with the old file"),
            }
        }
    }

    /// The file that it writes to; `None`: standard output.
    pub fn file(&self) -> Option<&File> {
        match &self.target {
            Target::Stdout => None,
            Target::File(file, _) => Some(file),
        }
    }

    /// The target as messages name it.
    fn name(&self) -> std::path::Display<'_> {
        match &self.target {
            Target::Stdout => Path::new("on standard output").display(),
            Target::File(_, path) => path.display(),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;

    fn writer(path: &Path) -> Writer {
        Writer::open(path.to_str().expect("text")).expect("a file")
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).expect("text")
    }

    #[test]
    fn lines_wait_for_a_flush_and_append() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        fs::write(&path, "old\n").expect("written");
        let mut log = writer(&path);
        assert!(log.buffer.is_empty());
        log.push(b"one");
        log.push(b"two");
        assert!(!log.buffer.is_empty());
        assert_eq!(read(&path), "old\n");
        log.flush();
        assert!(log.buffer.is_empty());
        assert_eq!(read(&path), "old\none\ntwo\n");
        log.push(b"three");
        drop(log);
        assert_eq!(read(&path), "old\none\ntwo\nthree\n");
    }

    #[test]
    fn a_full_buffer_is_written_in_whole_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let mut log = writer(&path);
        let line = [b'x'; 999];
        for _ in 0..65 {
            log.push(&line);
        }
        assert_eq!(read(&path), "", "65 lines of 1000 bytes fit");
        log.push(&line);
        assert_eq!(read(&path).len(), 65_000);
        log.push(&vec![b'y'; 200_000]);
        assert_eq!(read(&path).len(), 66_000);
        log.flush();
        assert_eq!(read(&path).len(), 266_001);
        assert_eq!(log.buffer.capacity(), BUFFER_SIZE, "the long line's memory is given back");
    }

    #[test]
    fn reopening_after_a_rename_starts_a_new_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, old) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
        let mut log = writer(&path);
        log.push(b"before");
        fs::rename(&path, &old).expect("renamed");
        log.push(b"still before");
        log.reopen();
        log.push(b"after");
        log.flush();
        assert_eq!(read(&old), "before\nstill before\n");
        assert_eq!(read(&path), "after\n");
    }

    #[test]
    fn where_reopening_fails_the_old_file_stays_in_use() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, old) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
        let mut log = writer(&path);
        fs::rename(&path, &old).expect("renamed");
        fs::create_dir(&path).expect("a folder in the way");
        log.reopen();
        log.push(b"after");
        log.flush();
        assert_eq!(read(&old), "after\n");
    }

    #[test]
    fn workers_do_not_mix_their_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        thread::scope(|scope| {
            for worker in b'a'..b'e' {
                let path = &path;
                scope.spawn(move || {
                    let mut log = writer(path);
                    for length in 0..2_000 {
                        log.push(&vec![worker; 1 + length % 200]);
                    }
                });
            }
        });
        let text = read(&path);
        assert_eq!(text.lines().count(), 8_000);
        for line in text.lines() {
            assert!(line.bytes().all(|byte| byte == line.as_bytes()[0]), "mixed: {line}");
        }
    }

    #[test]
    fn a_full_disk_costs_lines_only() {
        let mut log = writer(Path::new("/dev/full"));
        log.push(b"lost");
        log.flush();
        assert_eq!(log.dropped, 5);
        log.push(b"lost too");
        log.flush();
        assert_eq!(log.dropped, 14);
        assert!(log.buffer.is_empty());

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        log.target = Target::File(log_file::open(&path).expect("a file"), path.clone());
        log.push(b"kept");
        log.flush();
        assert_eq!(log.dropped, 0);
        assert_eq!(read(&path), "kept\n");
    }

    #[test]
    fn a_bad_path_is_explained() {
        let error = Writer::open("/nonexistent/access.log").expect_err("no folder");
        assert_eq!(
            error.to_string(),
            "cannot open the log /nonexistent/access.log: No such file or directory (os error 2); \
             give a file that may be written to"
        );
    }
}
