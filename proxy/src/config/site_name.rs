//! Names of sites (`server_name`).

use super::Pattern;

/// A name that a site answers to. Letters are small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteName {
    /// `example.com`
    Exact(String),
    /// `*.example.com` as `.example.com`: whatever ends so.
    Suffix(String),
    /// `www.example.*` as `www.example.`: whatever begins so.
    Prefix(String),
    /// `~^www\d+\.example\.com$`
    Regex(Pattern),
}

impl SiteName {
    /// The expression, where it is one.
    pub fn pattern(&self) -> Option<&Pattern> {
        match self {
            SiteName::Regex(pattern) => Some(pattern),
            SiteName::Exact(_) | SiteName::Suffix(_) | SiteName::Prefix(_) => None,
        }
    }

    /// How much of this text, whose letters are small, stands in the name itself (`ngx_hash_find_combined`); `None` where
    /// the name is another one, or an expression.
    pub fn stands_for(&self, text: &[u8]) -> Option<usize> {
        let (part, fits) = match self {
            SiteName::Exact(name) => (name, name.as_bytes() == text),
            SiteName::Suffix(end) => (end, text.ends_with(end.as_bytes())),
            SiteName::Prefix(start) => (start, text.starts_with(start.as_bytes())),
            SiteName::Regex(_) => return None,
        };
        fits.then_some(part.len())
    }

    /// The name as a configuration has it.
    pub fn written(&self) -> String {
        match self {
            SiteName::Exact(name) => name.clone(),
            SiteName::Suffix(end) => format!("*{end}"),
            SiteName::Prefix(beginning) => format!("{beginning}*"),
            SiteName::Regex(pattern) => format!("~{}", pattern.source()),
        }
    }
}
