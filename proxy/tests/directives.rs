//! `docs/directives.md` is what the table of directives gives. `UPDATE=1` writes it.

use std::fs;
use std::path::Path;

use proxy::config::nginx::directives;

#[test]
fn the_page_of_directives_is_what_the_table_gives() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace");
    let page = root.join("docs/directives.md");
    let wanted = directives::document();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&page, &wanted).expect("the page can be written");
    }
    let found = fs::read_to_string(&page).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/directives.md is not what the table gives; run: UPDATE=1 cargo test -p proxy --test directives"
    );
}
