//! Arguments to `Config`, then workers.
fn main() {}
