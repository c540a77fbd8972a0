//! Which site a request is for: by the name it asks for, in nginx's order (`ngx_http_find_virtual_server`).

use std::collections::HashMap;

use crate::config::site::SiteName;
use crate::config::{Listener, Pattern, Site};

/// The names of the sites that answer at one listener.
#[derive(Debug)]
pub(super) struct Names {
    default: usize,
    exact: HashMap<Box<[u8]>, usize>,
    /// The longest first.
    suffixes: Vec<(SiteName, usize)>,
    /// The longest first.
    prefixes: Vec<(SiteName, usize)>,
    patterns: Vec<(Pattern, usize)>,
}

impl Names {
    pub(super) fn new(listener: &Listener, sites: &[Site]) -> Names {
        let mut names = Names {
            default: listener.default_site,
            exact: HashMap::new(),
            suffixes: Vec::new(),
            prefixes: Vec::new(),
            patterns: Vec::new(),
        };
        for &site in &listener.sites {
            // One without names is for requests without a host (`ngx_http_core_merge_srv_conf`).
            if sites[site].names.is_empty() {
                names.exact.entry(b"".as_slice().into()).or_insert(site);
            }
            for name in &sites[site].names {
                match name {
                    // The first site to have a name keeps it.
                    SiteName::Exact(text) => {
                        names.exact.entry(text.as_bytes().into()).or_insert(site);
                    }
                    SiteName::Suffix(_) => names.suffixes.push((name.clone(), site)),
                    SiteName::Prefix(_) => names.prefixes.push((name.clone(), site)),
                    SiteName::Regex(pattern) => names.patterns.push((pattern.clone(), site)),
                }
            }
        }
        for list in [&mut names.suffixes, &mut names.prefixes] {
            list.sort_by_key(|(name, _)| std::cmp::Reverse(name.written().len()));
        }
        names
    }

    /// Whether all requests are for one site, whatever they ask for.
    pub(super) fn is_one(&self) -> bool {
        let has = |site: usize| site == self.default;
        self.exact.values().all(|&site| has(site))
            && self.suffixes.iter().chain(&self.prefixes).all(|(_, site)| has(*site))
            && self.patterns.is_empty()
    }

    /// The site of last resort.
    pub(super) fn default(&self) -> usize {
        self.default
    }

    /// The site for a request with this `Host`, port included.
    pub(super) fn find(&self, host: &[u8]) -> usize {
        let name = name_of(host).to_ascii_lowercase();
        if let Some(&site) = self.exact.get(&*name) {
            return site;
        }
        let suffix = self.suffixes.iter().find(|(known, _)| known.stands_for(&name).is_some());
        let prefix = || self.prefixes.iter().find(|(known, _)| known.stands_for(&name).is_some());
        let site = suffix.or_else(prefix).map(|(_, site)| *site);
        // No expression is for a request without a host.
        let pattern =
            || self.patterns.iter().find(|(pattern, _)| !name.is_empty() && pattern.regex().is_match(&name));
        site.or_else(|| pattern().map(|(_, site)| *site)).unwrap_or(self.default)
    }
}

/// The name in a `Host`: without the port, and without a dot at its end.
pub fn name_of(host: &[u8]) -> &[u8] {
    let end = match host {
        [b'[', ..] => memchr::memchr(b']', host).map_or(host.len(), |at| at + 1),
        _ => memchr::memchr(b':', host).unwrap_or(host.len()),
    };
    let name = &host[..end];
    name.strip_suffix(b".").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Action, Listen, Location, Pass};

    #[test]
    fn names_are_found_in_nginx_s_order() {
        let pattern = |text| SiteName::Regex(Pattern::new(text, false).expect("a pattern"));
        let exact = |text: &str| SiteName::Exact(text.to_owned());
        let suffix = |text: &str| SiteName::Suffix(text.to_owned());
        let prefix = |text: &str| SiteName::Prefix(text.to_owned());
        let sites: Vec<_> = [
            vec![exact("default")],
            vec![exact("a.example.com"), exact("")],
            vec![suffix(".example.com")],
            vec![suffix(".b.example.com"), prefix("www.")],
            vec![prefix("www.example."), pattern("^www\\d")],
            vec![pattern("^w")],
        ]
        .into_iter()
        .map(|names| Site { names, ..Site::new(Location::new(Action::Proxy(Pass::new(0, String::new())))) })
        .collect();
        let mut listener = Listener::new(Listen::Unix("/l".into()));
        listener.sites = (0..sites.len()).collect();
        let names = Names::new(&listener, &sites);
        assert!(!names.is_one());
        for (host, site) in [
            ("a.example.com", 1),
            ("A.Example.COM.:8080", 1),
            ("c.example.com", 2),
            (".example.com", 2),
            ("c.b.example.com:81", 3),
            ("b.example.com", 2),
            ("www.example.org", 4),
            ("www.other", 3),
            ("www7", 4),
            ("wx", 5),
            ("other", 0),
            ("", 1),
            ("[::1]:80", 0),
        ] {
            assert_eq!(names.find(host.as_bytes()), site, "{host}");
        }
    }
}
