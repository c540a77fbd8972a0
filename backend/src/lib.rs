//! The minimal origin.
