//! The page as a tree that both templates, HTML and Markdown, walk through.

use askama::Template;

use super::ReportError;
use super::plot::Plot;

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// The heading.
    pub(super) title: String,
    /// What it is about and what it rests on, in words.
    pub(super) lead: String,
    /// Name and value: the machine, the versions, the command lines.
    pub(super) facts: Vec<(String, String)>,
    /// Why a run, or a part of it, is not to be believed; empty for a good one.
    pub(super) voids: Vec<String>,
    /// In order.
    pub(super) sections: Vec<Section>,
}

/// One subject matter.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// For links.
    pub(super) id: &'static str,
    /// The heading.
    pub(super) title: &'static str,
    /// How the figures were obtained.
    pub(super) how: String,
    /// The raw data: files beside the page.
    pub(super) data: Vec<String>,
    /// In order.
    pub(super) blocks: Vec<Block>,
}

/// Some plots and tables under a heading; each part may be missing.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    /// The heading; empty for none.
    pub(super) title: String,
    /// A sentence or two.
    pub(super) text: String,
    /// Side by side where there is room.
    pub(super) plots: Vec<Plot>,
    /// Below them.
    pub(super) tables: Vec<Table>,
    /// A list below that.
    pub(super) notes: Vec<String>,
    /// Raw data of this block alone.
    pub(super) data: Vec<String>,
}

/// A table. The first column holds words, the others mostly numbers.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// The column heads, with units.
    pub(super) header: Vec<String>,
    /// The rows, as wide as the header.
    pub(super) rows: Vec<Vec<String>>,
}

#[derive(Template)]
#[template(path = "report.html")]
struct Html<'a> {
    page: &'a Page,
    style: &'static str,
}

#[derive(Template)]
#[template(path = "report.md", escape = "none")]
struct Markdown<'a> {
    page: &'a Page,
}

#[derive(Template)]
#[template(path = "plot.svg", escape = "none")]
struct File<'a> {
    /// The start tag without its `<svg`, and the rest.
    rest: &'a str,
    colours: &'static str,
}

/// The colours in light and dark, for the page and for plots in files of their own.
const COLOURS: &str = include_str!("../../templates/colours.css");

impl Page {
    /// One file that needs no other to be looked at.
    ///
    /// # Errors
    ///
    /// Where a value cannot be written, which does not happen with text.
    pub(super) fn html(&self) -> Result<String, ReportError> {
        Ok(Html { page: self, style: COLOURS }.render()?)
    }

    /// A summary with its plots as files in `plots/`.
    ///
    /// # Errors
    ///
    /// As [`Page::html`].
    pub(super) fn markdown(&self) -> Result<String, ReportError> {
        Ok(Markdown { page: self }.render()?)
    }

    /// All plots.
    pub(super) fn plots(&self) -> impl Iterator<Item = &Plot> {
        self.sections.iter().flat_map(|section| &section.blocks).flat_map(|block| &block.plots)
    }
}

impl Plot {
    /// As a file of its own, with its colours in it.
    ///
    /// # Errors
    ///
    /// As [`Page::html`].
    pub(super) fn file_text(&self) -> Result<String, ReportError> {
        let rest = self.svg.trim_start_matches("<svg");
        Ok(File { rest, colours: COLOURS }.render()?)
    }
}

impl Table {
    /// With this header and no rows yet.
    pub(super) fn new(header: &[&str]) -> Table {
        Table { header: header.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }
}
