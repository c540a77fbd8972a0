//! Chromium without a window: looks at a page with a script in it, and takes pictures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bench::lab::installed;
use serde::Deserialize;

/// The scheme that the reader prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

/// What the script saw.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    /// Each in words.
    pub(crate) problems: Vec<String>,
    /// How many plots there are.
    pub(crate) plots: usize,
    /// Whether the paper is dark.
    pub(crate) is_dark: bool,
}

/// The browser.
pub(crate) struct Browser {
    program: PathBuf,
}

impl Browser {
    /// Finds it; a test that needs it cannot do without.
    pub(crate) fn find() -> Browser {
        let program = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(installed);
        let program = program
            .expect("chromium is not installed; on Debian: apt-get install chromium fonts-dejavu-core");
        Browser { program }
    }

    /// Lets `look.js` look at the page.
    pub(crate) fn look_at(&self, page: &Path, scheme: Scheme, width: u32) -> Seen {
        let html = fs::read_to_string(page).unwrap();
        let script = concat!("<script>", include_str!("look.js"), "</script></body>");
        let copy = page.with_file_name("looked-at.html");
        fs::write(&copy, html.replace("</body>", script)).unwrap();
        let output = self.run(&copy, scheme, (width, 900), &["--dump-dom"]);
        let dom = String::from_utf8_lossy(&output.stdout);
        // The first one stands in the script.
        let seen = dom.rsplit_once("<pre id=\"seen\">").and_then(|(_, rest)| rest.split_once("</pre>"));
        let Some((seen, _)) = seen else {
            panic!("the script did not run; chromium said: {}", String::from_utf8_lossy(&output.stderr));
        };
        let seen = seen.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        serde_json::from_str(&seen).unwrap_or_else(|error| panic!("{error}: {seen}"))
    }

    /// A picture of the page's upper part, for people.
    pub(crate) fn picture(&self, page: &Path, scheme: Scheme, to: &Path) {
        // One of an earlier run proves nothing.
        let _ = fs::remove_file(to);
        let output = self.run(page, scheme, (1280, 5000), &[&format!("--screenshot={}", to.display())]);
        let picture = fs::read(to).unwrap_or_default();
        assert!(
            picture.starts_with(b"\x89PNG") && picture.len() > 50_000,
            "no picture; chromium said: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn run(&self, page: &Path, scheme: Scheme, (width, height): (u32, u32), arguments: &[&str]) -> Output {
        let profile = tempfile::tempdir().unwrap();
        let scheme = match scheme {
            Scheme::Dark => "--blink-settings=preferredColorScheme=0",
            Scheme::Light => "--blink-settings=preferredColorScheme=1",
        };
        let output = Command::new(&self.program)
            // The page is the test's own; as root the browser has no sandbox.
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
            ])
            .args(["--no-first-run", "--disable-extensions", "--disable-background-networking", scheme])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--window-size={width},{height}"))
            .args(arguments)
            .arg(format!("file://{}", page.display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }
}
