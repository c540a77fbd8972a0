//! Resident memory: at rest, and what an idle connection adds.

use super::CompareError;
use super::model::Memory;
use crate::lab::{Client, Cores, Launch};
use crate::output;

/// Idle connections.
const IDLE: usize = 2000;

/// Requests before memory is looked at: what is allocated once is there by then.
const WARM_UP: usize = 100;

/// Starts the subject anew and looks at its memory.
pub(super) fn of(launch: &Launch, cores: Cores) -> Result<Memory, CompareError> {
    output::tell(format_args!("memory of {}", launch.kind.name()));
    let subject = launch.start(cores, &[])?;
    let mut first = Client::connect(subject.address)?;
    for _ in 0..WARM_UP {
        first.get()?;
    }
    let rest_kib = subject.process.memory_kib();
    let mut idle = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        let mut client = Client::connect(subject.address)?;
        client.get()?;
        idle.push(client);
    }
    let idle_kib = subject.process.memory_kib();
    Ok(Memory {
        subject: launch.kind.name().into(),
        rest_kib,
        idle_kib,
        idle_connections: IDLE,
        per_idle_connection: 1024.0 * (idle_kib as f64 - rest_kib as f64) / IDLE as f64,
    })
}
