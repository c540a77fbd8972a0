//! Where a configuration's text comes from: the one thing that reading it asks of the world.

use std::{fs, io};

/// Files by their names, so that a configuration can be read from anywhere, a test's table too.
pub trait Files {
    /// The bytes of a file.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;

    /// The names of the files that match a pattern of `glob(7)`, in their order; none is no error.
    fn matching(&self, pattern: &str) -> io::Result<Vec<String>>;
}

/// The files of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    /// As `glob(3)` matches: `*` and `?` stop at `/` and leave out hidden files, and the order is that of
    /// bytes.
    fn matching(&self, pattern: &str) -> io::Result<Vec<String>> {
        // To the crate `**` is any depth, to glob(3) it is `*`.
        let mut plain = String::with_capacity(pattern.len());
        for char in pattern.chars() {
            if char != '*' || !plain.ends_with('*') {
                plain.push(char);
            }
        }
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let paths = glob::glob_with(&plain, options)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?;
        let mut names = Vec::new();
        // A folder that cannot be read is passed over, as by glob(3).
        for path in paths.flatten() {
            names.push(path.to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}

/// An error as nginx shows it: `2: No such file or directory`.
pub fn shown(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => {
            let text = error.to_string();
            format!("{code}: {}", text.strip_suffix(&format!(" (os error {code})")).unwrap_or(&text))
        }
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_glob_3() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_str().expect("UTF-8");
        fs::create_dir(folder.path().join("d")).expect("a folder");
        for name in
            ["b.conf", "a.conf", "B.conf", ".hidden.conf", "c.txt", "d/e.conf", "é1.conf", "站点2.conf"]
        {
            fs::write(folder.path().join(name), name).expect("a file");
        }
        let matching = |pattern: &str| -> Vec<String> {
            let names = Disk.matching(&format!("{root}/{pattern}")).expect("a pattern");
            names.iter().map(|name| name[root.len() + 1..].to_owned()).collect()
        };
        assert_eq!(matching("?.conf"), ["B.conf", "a.conf", "b.conf"]);
        assert_eq!(matching("[a-z]**.conf"), ["a.conf", "b.conf"]);
        assert_eq!(
            (matching("é*.conf"), matching("站点**.conf")),
            (vec!["é1.conf".into()], vec!["站点2.conf".into()])
        );
        assert_eq!(matching("[ab].conf"), ["a.conf", "b.conf"]);
        assert_eq!(matching("*/?.conf"), ["d/e.conf"]);
        assert_eq!(matching("none*"), [""; 0]);
        assert!(Disk.matching("[").is_err());
    }

    #[test]
    fn errors_are_shown_as_nginx_shows_them() {
        let error = Disk.read("/nonexistent/file").expect_err("no file");
        assert_eq!(shown(&error), "2: No such file or directory");
    }
}
