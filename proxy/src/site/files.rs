//! Which file a path of a site stands for (`ngx_http_map_uri_to_path`), and of which type it is
//! (`ngx_http_set_exten`, `ngx_http_set_content_type`).

use crate::config::Rules;
use crate::config::site::Files;
use crate::config::template::Part;

/// The name of the file for `uri`, a path in its normal form, with `name` behind it: `root` is what the template of
/// the folder gives for this request.
///
/// `None` where there is no such file: what the client says must not lead out of the folder, as `/img../secret` would
/// with `location /img { alias /data/img/; }`, nor to a place that depends on where the process was started.
pub fn path(files: &Files, mut root: Vec<u8>, uri: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    if files.is_alias && files.replaced == 0 {
        // Behind a regular expression the alias is the whole name.
    } else {
        let replaced = if files.is_alias { files.replaced } else { 0 };
        root.extend_from_slice(uri.get(replaced..).unwrap_or_default());
    }
    root.extend_from_slice(name);
    let configured = files.root.parts.iter().map(|part| match part {
        Part::Text(text) => parents(text),
        Part::Variable(_) => 0,
    });
    (root.first() == Some(&b'/') && parents(&root) <= configured.sum()).then_some(root)
}

/// How often `..` is a segment.
fn parents(path: &[u8]) -> usize {
    path.split(|&byte| byte == b'/').filter(|segment| segment == b"..").count()
}

/// The type of the file that `uri` is for; empty where it has none.
pub fn kind<'r>(rules: &'r Rules, uri: &[u8]) -> &'r str {
    let found = extension(uri).and_then(|extension| {
        rules.types.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(extension))
    });
    found.map_or(&rules.default_type, |(_, kind)| kind)
}

/// What stands behind the last dot of the last segment, unless the segment begins with that.
fn extension(uri: &[u8]) -> Option<&[u8]> {
    let slash = memchr::memrchr(b'/', uri)?;
    let name = &uri[slash + 1..];
    let dot = memchr::memrchr(b'.', name).filter(|&at| at > 0)?;
    Some(&name[dot + 1..])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::config::site::IfModifiedSince;
    use crate::config::template::{Template, Variable};

    fn files(root: &str, replaced: Option<usize>) -> Files {
        Files {
            root: Template::text(root),
            is_alias: replaced.is_some(),
            replaced: replaced.unwrap_or_default(),
            index: Vec::new(),
            has_etag: true,
            if_modified_since: IfModifiedSince::Exact,
            ranges_max: u32::MAX,
        }
    }

    fn of(root: &str, replaced: Option<usize>, uri: &str) -> Option<String> {
        let path = path(&files(root, replaced), root.as_bytes().to_vec(), uri.as_bytes(), b"")?;
        Some(String::from_utf8(path).expect("text"))
    }

    #[test]
    fn a_path_stands_for_a_file() {
        for (root, replaced, uri, expected) in [
            ("/srv", None, "/a/b.txt", Some("/srv/a/b.txt")),
            ("", None, "/a", Some("/a")),
            ("/srv/..", None, "/a", Some("/srv/../a")),
            ("/data/", Some(5), "/img/a.png", Some("/data/a.png")),
            ("/data/one.png", Some(0), "/img/a.png", Some("/data/one.png")),
            ("/data/", Some(4), "/img../secret", None),
            ("/data/", Some(4), "/img..secret", Some("/data/..secret")),
            ("/data/../x/", Some(4), "/img../secret", None),
            ("html", None, "/a", None),
        ] {
            assert_eq!(of(root, replaced, uri).as_deref(), expected, "{root} {uri}");
        }
        assert_eq!(
            path(&files("/srv", None), b"/srv".into(), b"/d/", b"i.html"),
            Some(b"/srv/d/i.html".into())
        );
    }

    #[test]
    fn what_a_client_says_in_a_variable_does_not_lead_out() {
        let host = Template::text("/srv/").with(Part::Variable(Variable::Host));
        let files = Files { root: host, ..files("", None) };
        assert_eq!(path(&files, b"/srv/..".into(), b"/etc/passwd", b""), None);
        assert_eq!(path(&files, b"/srv/h".into(), b"/a", b""), Some(b"/srv/h/a".into()));
    }

    #[test]
    fn a_type_is_found_by_the_extension() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let types =
            vec![pair("html", "text/html"), pair("tar.gz", "never/found"), pair("gz", "application/gzip")];
        let rules = Rules { types: Arc::new(types), default_type: "x/y".into(), ..Rules::default() };
        for (uri, expected) in [
            ("/a.html", "text/html"),
            ("/a.b.HTML", "text/html"),
            ("/a.tar.gz", "application/gzip"),
            ("/.html", "x/y"),
            ("/a.html/b", "x/y"),
            ("/a", "x/y"),
            ("/a.", "x/y"),
        ] {
            assert_eq!(kind(&rules, uri.as_bytes()), expected, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn nothing_leads_out_of_the_folder(uri in "/([a./%]|\\.\\.|%2e|%2F){0,12}", replaced in 0..6_usize) {
            let mut normal = Vec::new();
            if crate::http::uri::normalize(uri.as_bytes(), &mut normal).is_ok() {
                let below = |path: &[u8]| path.starts_with(b"/srv/") && parents(path) == 0;
                let rooted = path(&files("/srv", None), b"/srv".into(), &normal, b"");
                prop_assert!(rooted.is_some_and(|path| below(&path)));
                let alias = path(&files("/srv/", Some(replaced)), b"/srv/".into(), &normal, b"");
                prop_assert!(alias.is_none_or(|path| below(&path)));
            }
        }
    }
}
