//! `docs/conformance.md` names the case that shows each requirement: these cases must be there.

use crate::{TABLES, case};

#[test]
fn every_case_has_a_name_of_its_own() {
    for (table, text) in TABLES {
        let mut names: Vec<_> = case::table(text).iter().map(|case| case.name).collect();
        names.sort_unstable();
        let repeated = names.windows(2).find(|pair| pair[0] == pair[1]);
        assert_eq!(repeated, None, "in {table}");
    }
}
