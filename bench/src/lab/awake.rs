//! Cores that do not sleep while something is measured.
//!
//! A core that has nothing to do is halted, and has to be woken by an interrupt when a packet comes. On a virtual machine both
//! are calls to the hypervisor that take tens of microseconds, and it is chance how many a request meets: that of the
//! load's core counts as CPU time of whoever woke it. Whatever was measured below saturation was for the larger part that.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};

/// A request to the kernel that idle cores wait for work awake, as long as this value lives: no latency is allowed
/// (Documentation/power/pm_qos_interface.rst).
#[derive(Debug)]
pub struct Awake {
    /// Closing it takes the request back.
    _request: File,
}

impl Awake {
    /// Asks for it.
    ///
    /// # Errors
    ///
    /// Where only root may, or the kernel has no such interface.
    pub fn request() -> io::Result<Awake> {
        let mut file = OpenOptions::new().write(true).open("/dev/cpu_dma_latency")?;
        file.write_all(&0_i32.to_ne_bytes())?;
        Ok(Awake { _request: file })
    }

    /// How often a core has entered its awake idle state so far; `None` where it has none, so that the request means
    /// nothing.
    pub fn count(core: usize) -> Option<u64> {
        let folder = format!("/sys/devices/system/cpu/cpu{core}/cpuidle/state0");
        let is_awake = fs::read_to_string(format!("{folder}/name")).ok()?.trim() == "POLL";
        let count = fs::read_to_string(format!("{folder}/usage")).ok()?.trim().parse().ok()?;
        is_awake.then_some(count)
    }
}
