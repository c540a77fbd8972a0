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

    /// Whether it stands for this text, whose letters are small, and is no expression.
    pub fn is_plainly(&self, text: &[u8]) -> bool {
        match self {
            SiteName::Exact(name) => name.as_bytes() == text,
            SiteName::Suffix(end) => text.len() > end.len() && text.ends_with(end.as_bytes()),
            SiteName::Prefix(start) => text.len() > start.len() && text.starts_with(start.as_bytes()),
            SiteName::Regex(_) => false,
        }
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
