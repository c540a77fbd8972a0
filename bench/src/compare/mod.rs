//! `bench compare`: subjects side by side, under the same loads, in rounds that alternate.
//!
//! - `model.rs`: a run as data

pub mod model;
