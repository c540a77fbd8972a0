//! `bench report`: a folder of raw data to one page that can be read anywhere, and a summary in Markdown.
//!
//! - `compare.rs`, `balance.rs`, `faults.rs`: a section for each kind of run, with its plots
//! - `readme.rs`: what the READMEs show of a committed run
//! - `page.rs`: the page as a tree, and the templates that walk through it (`bench/templates/`)
//! - `plot.rs`: plots as SVG without colours of their own
//!
//! The page has everything in it but the raw data, which it links. Nothing is measured here, and no figure is
//! made up: what stands on the page stands in a file of the folder.

mod balance;
mod compare;
mod faults;
mod page;
mod plot;
mod readme;

use std::io;
use std::path::{Path, PathBuf};
use std::{fs, result};

use serde::de::DeserializeOwned;

use crate::compare::model::Machine;
use crate::output;
use page::Page;

/// Where the raw data are and what is made of them.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// The folder of a run: it holds run.json (bench compare --out), balance.json (bench balance --json),
    /// faults.json (bench faults --json), or some of them
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Where report.html, report.md and plots/ go; without it to the same folder
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Put the table and two plots of run.json into the READMEs of this folder, between their marks
    #[arg(long, value_name = "FOLDER")]
    pub readmes: Option<PathBuf>,
}

/// Why there is no report, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is nothing to report on.
    #[error(
        "{0} holds none of run.json, balance.json and faults.json; make one: bench faults --json {0}/faults.json"
    )]
    Empty(PathBuf),
    /// The READMEs show runs that stand, and are kept in the project.
    #[error("{0}: the READMEs show a run of bench compare --full in bench/runs that is not void")]
    NotForReadme(PathBuf),
    /// A file is not what this version writes.
    #[error("{file}: {why}; is it of this version of bench?")]
    Data {
        /// Which one.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("{file}: {why}")]
    File {
        /// Which one.
        file: PathBuf,
        /// What the kernel said.
        why: io::Error,
    },
    /// A plot cannot be drawn.
    #[error("the plot {name} cannot be drawn: {why}")]
    Plot {
        /// Which one.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A page cannot be written.
    #[error(transparent)]
    Template(#[from] askama::Error),
}

type Result<T> = result::Result<T, ReportError>;

/// Reads, draws, writes and says where.
///
/// # Errors
///
/// Where there is no raw data, or it cannot be read, or the report not be written.
pub fn run(options: &Options) -> Result<()> {
    let out = options.out.as_ref().unwrap_or(&options.folder);
    let page = page(&options.folder)?;
    let plots = out.join("plots");
    fs::create_dir_all(&plots).map_err(|why| ReportError::File { file: plots.clone(), why })?;
    for plot in page.plots() {
        write(&plots.join(&plot.file), &plot.file_text()?)?;
    }
    let html = out.join("report.html");
    write(&html, &page.html()?)?;
    write(&out.join("report.md"), &page.markdown()?)?;
    if let Some(readmes) = &options.readmes {
        put_into_readmes(&options.folder, readmes)?;
    }
    let shown = output::print(html.display());
    shown.map_err(|why| ReportError::File { file: "the standard output".into(), why })
}

/// Puts the run in `folder` into the READMEs in `readmes`.
fn put_into_readmes(folder: &Path, readmes: &Path) -> Result<()> {
    let run = read(&folder.join("run.json"))?;
    let parts = run.and_then(|run| readme::parts(&run, folder));
    let parts = parts.ok_or_else(|| ReportError::NotForReadme(folder.to_owned()))?;
    for (name, part) in readme::PAGES.into_iter().zip(parts) {
        let file = readmes.join(name);
        let page = fs::read_to_string(&file).map_err(|why| ReportError::File { file: file.clone(), why })?;
        let why = || ReportError::Data { file: file.clone(), why: "it has no marks for the figures".into() };
        write(&file, &readme::put(&page, &part).ok_or_else(why)?)?;
    }
    Ok(())
}

/// The page of a folder.
fn page(folder: &Path) -> Result<Page> {
    let mut facts = Facts::default();
    let mut sections = Vec::new();
    let mut voids = Vec::new();
    if let Some(run) = read(&folder.join("run.json"))? {
        sections.push(compare::section(&run, &mut facts)?);
        voids = compare::voids(&run);
    }
    if let Some(run) = read(&folder.join("balance.json"))? {
        sections.push(balance::section(&run, &mut facts)?);
    }
    if let Some(run) = read(&folder.join("faults.json"))? {
        sections.push(faults::section(&run, &mut facts)?);
    }
    if sections.is_empty() {
        return Err(ReportError::Empty(folder.to_owned()));
    }
    Ok(Page {
        title: "The proxy beside nginx and others".into(),
        lead: "Every figure comes from a file beside this page, side by side with those of others in the same run; \
               a figure alone means nothing."
            .into(),
        facts: facts.0,
        voids,
        sections,
    })
}

/// What the runs say of themselves; what several say alike stands there once.
#[derive(Debug, Default)]
struct Facts(Vec<(String, String)>);

impl Facts {
    fn add(&mut self, name: &str, value: &str) {
        let fact = (name.to_owned(), value.to_owned());
        if !value.is_empty() && !self.0.contains(&fact) {
            self.0.push(fact);
        }
    }

    fn add_machine(&mut self, machine: &Machine) {
        let Machine { kernel, processor, cores, .. } = machine;
        self.add("machine", &format!("{processor}, {cores} cores, Linux {kernel}"));
    }

    fn add_command(&mut self, words: &[String]) {
        self.add("command", &format!("bench {}", words.join(" ")));
    }
}

/// A file as data; `None` where there is none.
fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(ReportError::File { file: file.to_owned(), why }),
    };
    let wrong = |error: serde_json::Error| ReportError::Data { file: file.into(), why: error.to_string() };
    serde_json::from_str(&text).map(Some).map_err(wrong)
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).map_err(|why| ReportError::File { file: file.to_owned(), why })
}
