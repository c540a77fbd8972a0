//! The laboratory: what a proxied request costs, measured beside nginx and beside the floor.
//!
//! - [`relay`]: the floor, a TCP relay that does not look at what passes
//! - [`lab`]: the processes of a measurement: origins and subjects, each on its core, gone at the end
//! - [`compare`]: subjects side by side (`bench compare`)
//! - [`balance`]: what the methods do to servers, in virtual time and over sockets (`bench balance`)
//! - [`faults`]: what clients see when servers fail (`bench faults`)
//! - [`gate`]: what a fixed exchange costs, against what it did (`bench gate`)
//! - [`load`]: the load generator (`bench load`)
//! - [`report`]: raw data to a page with plots (`bench report`)
//! - [`output`]: what a command prints, and a file of results
//! - [`stats`]: medians, their spread, and how sure they are
//!
//! Every figure is taken from several subjects in one run, in rounds that alternate, because a machine is
//! not the same from one minute to the next. A figure without company means nothing.

pub mod balance;
pub mod compare;
pub mod faults;
pub mod gate;
pub mod lab;
pub mod load;
pub mod output;
pub mod relay;
pub mod report;
pub mod stats;
