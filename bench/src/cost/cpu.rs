//! CPU time per request: what the scheduler accounts to the subject under load.

use super::wrk::Load;
use crate::lab::{LabError, Subject};

/// One visit of the load.
pub(super) struct Visit {
    /// CPU time of the subject, user and system, in microseconds per request.
    pub(super) cpu_us: f64,
    /// Requests that were answered in a second.
    pub(super) requests_per_second: f64,
    /// The share of its core that the subject used, 0 to 1.
    pub(super) busy: f64,
}

pub(super) fn visit(subject: &Subject, load: &Load) -> Result<Visit, LabError> {
    let before = subject.process.cpu_ns()?;
    let seen = load.put_on(subject.address)?;
    let cpu_ns = subject.process.cpu_ns()?.saturating_sub(before) as f64;
    let requests = seen.requests as f64;
    Ok(Visit {
        cpu_us: cpu_ns / 1e3 / requests,
        requests_per_second: requests / seen.seconds,
        busy: cpu_ns / 1e9 / seen.seconds,
    })
}
