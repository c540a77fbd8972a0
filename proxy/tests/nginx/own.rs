//! The configurations that this project comes with: nginx's own file, and the tutorial's snippets.

use std::path::Path;

use crate::case::{Case, Step};
use crate::play::compare;

fn repository(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn get(target: &str, fields: &str) -> Step {
    Step::Ask {
        method: "GET".to_owned(),
        target: target.to_owned(),
        fields: format!("⏎Host: localhost:8081{fields}"),
        body: String::new(),
    }
}

/// nginx/nginx.conf as it stands, but for addresses and `daemon off`, and with its servers in place of their file.
#[test]
fn the_file_beside_the_project() {
    let file = repository("nginx/nginx.conf");
    let servers = repository("nginx/servers.conf");
    let servers = servers.replace("127.0.0.1:5001", "{a}").replace("127.0.0.1:5002", "{b}");
    assert!(servers.contains("{a}") && servers.contains("{b}"), "servers.conf has other addresses");
    let mut file = format!("daemon off;\n{file}");
    for (from, to) in [
        ("listen 8081;", "listen {front};"),
        ("include servers.conf;", servers.as_str()),
        // One worker, so that there is one sequence of servers.
        ("worker_processes auto;", "worker_processes 1;"),
    ] {
        assert!(file.contains(from), "nginx.conf has no {from:?}");
        file = file.replace(from, to);
    }
    let steps = vec![
        get("/", ""),
        get("/a//b?c=d", "⏎X-Forwarded-For: 10.0.0.1⏎Cookie: a=b"),
        get("/", "⏎X-Real-IP: 10.0.0.1⏎X-Forwarded-Proto: https"),
        get("/", ""),
    ];
    let case = Case { name: "nginx/nginx.conf".to_owned(), file, steps, ..Case::default() };
    if let Err(difference) = compare(&case) {
        panic!("{difference}");
    }
}

/// Every `upstream app` that the README shows, in front of the tutorial's location; but for what nginx sells.
#[test]
fn the_snippets_of_the_tutorial() {
    let readme = repository("README.md");
    let snippets =
        readme.split("```nginx\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let snippets: Vec<_> = snippets
        .filter(|snippet| snippet.starts_with("upstream app {") && !snippet.contains("health_check"))
        .collect();
    assert!(snippets.len() >= 3, "README.md shows only {} of them", snippets.len());
    let mut report = String::new();
    for snippet in snippets {
        let http = snippet.replace("127.0.0.1:5001", "{a}").replace("127.0.0.1:5002", "{b}");
        let case = Case {
            name: snippet.to_owned(),
            http: http.replace("127.0.0.1:5003", "{c}"),
            server: "location / { proxy_pass http://app; proxy_set_header Host $host; \
                     proxy_set_header Connection \"\"; }"
                .to_owned(),
            steps: vec![get("/", ""); 8],
            ..Case::default()
        };
        if let Err(difference) = compare(&case) {
            report.push_str(&format!("{snippet}\n{difference}"));
        }
    }
    assert!(report.is_empty(), "{report}");
}
