//! The life of a process: reload, change of the binary, the ways to end, logs reopened.
//!
//! `RELOADS=200 cargo test --test life reloads` reloads so often under load, instead of 20 times.

#[path = "../support/mod.rs"]
mod support;

mod change;
mod daemon;
mod load;
mod reload;
mod user;
mod within;
