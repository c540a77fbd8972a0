//! Cores that do not sleep while something is measured.
//!
//! A core that has nothing to do is halted, and has to be woken by an interrupt when a packet comes. On a virtual machine both
//! are calls to the hypervisor that take tens of microseconds, and it is chance how many a request meets: that of the
//! load's core counts as CPU time of whoever woke it. Whatever was measured below saturation was for the larger part that.
//!
//! Where the kernel can wait for work in a loop of its own, it is asked to. Where it cannot, as on virtual machines without
//! idle states, a thread on each core is busy whenever nothing else is: of the scheduling class that everything else
//! displaces at once (SCHED_IDLE, sched(7)).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::thread::{gettid, sched_yield};
use serde::{Deserialize, Serialize};

use super::{Cores, stay_on_core, thread_cpu};

/// How long it is looked whether the kernel's loop is entered. What waits there leaves it within milliseconds, to look at its clock,
/// and enters it again.
const LOOK_FOR: Duration = Duration::from_millis(100);

/// What a core does that has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdleCores {
    /// It waits in a loop of the kernel.
    Polling,
    /// A thread is busy there that everything else displaces.
    Spinning,
    /// It is halted.
    Halted,
}

impl IdleCores {
    /// In words: the end of a sentence about cores without work.
    pub fn text(self) -> &'static str {
        match self {
            IdleCores::Polling => "stay awake",
            IdleCores::Spinning => "are kept awake, by a thread on each that everything else displaces",
            IdleCores::Halted => "are halted",
        }
    }
}

/// Keeps cores awake as long as this value lives.
#[derive(Debug)]
pub struct Awake {
    how: IdleCores,
    /// Closing it takes the request back.
    _request: Option<File>,
    spinners: Vec<Spinner>,
}

impl Awake {
    /// Keeps `cores` awake: by the kernel's own loop, or by a thread on each.
    ///
    /// # Errors
    ///
    /// Where neither can be had.
    pub fn keep(cores: Cores) -> io::Result<Awake> {
        let both = [cores.subject, cores.load];
        if let Ok(request) = request()
            && both.into_iter().all(is_polling)
        {
            return Ok(Awake { how: IdleCores::Polling, _request: Some(request), spinners: Vec::new() });
        }
        let spinners = both.into_iter().map(Spinner::start).collect::<io::Result<Vec<_>>>()?;
        Ok(Awake { how: IdleCores::Spinning, _request: None, spinners })
    }

    /// Lets them sleep.
    pub const fn none() -> Awake {
        Awake { how: IdleCores::Halted, _request: None, spinners: Vec::new() }
    }

    /// What cores do that have nothing to do.
    pub fn how(&self) -> IdleCores {
        self.how
    }

    /// How long `core` has been kept awake by a thread so far: it had nothing else to do then.
    pub fn spun(&self, core: usize) -> Duration {
        let spinner = self.spinners.iter().find(|spinner| spinner.core == core);
        spinner.map_or(Duration::ZERO, |spinner| Duration::from_nanos(spinner.shared.spun_ns.load(Relaxed)))
    }
}

/// A request to the kernel that no latency is allowed, so that idle cores wait awake
/// (Documentation/power/pm_qos_interface.rst). Only root may.
fn request() -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).open("/dev/cpu_dma_latency")?;
    file.write_all(&0_i32.to_ne_bytes())?;
    Ok(file)
}

/// Whether `core` enters its awake idle state: it may have none, so that the request means nothing.
fn is_polling(core: usize) -> bool {
    let count = || {
        let folder = format!("/sys/devices/system/cpu/cpu{core}/cpuidle/state0");
        let is_awake = fs::read_to_string(format!("{folder}/name")).ok()?.trim() == "POLL";
        let count = fs::read_to_string(format!("{folder}/usage")).ok()?.trim().parse::<u64>().ok()?;
        is_awake.then_some(count)
    };
    let Some(before) = count() else { return false };
    thread::sleep(LOOK_FOR);
    count().is_some_and(|now| now > before)
}

/// A thread that is busy on its core whenever nothing else is. It ends with this value.
#[derive(Debug)]
struct Spinner {
    core: usize,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    /// Its CPU time.
    spun_ns: AtomicU64,
}

impl Spinner {
    fn start(core: usize) -> io::Result<Spinner> {
        let shared = Arc::new(Shared::default());
        let (ready, is_ready) = mpsc::channel();
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let started = stay_on_core(core).and_then(|()| give_way());
            let goes_on = started.is_ok();
            // Whoever waits for it is there.
            let _ = ready.send(started);
            while goes_on && !of_thread.is_over.load(Relaxed) {
                spin();
                of_thread.spun_ns.store(thread_cpu().as_nanos() as u64, Relaxed);
            }
        });
        let spinner = Spinner { core, shared, thread: Some(thread) };
        is_ready.recv().map_err(io::Error::other)??;
        Ok(spinner)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // It does not panic.
            let _ = thread.join();
        }
    }
}

/// Puts the calling thread into the class that everything else displaces.
fn give_way() -> io::Result<()> {
    let thread = gettid().to_string();
    let status = Command::new("chrt").args(["--idle", "--pid", "0", &thread]).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("chrt: {status}"))) }
}

/// A millisecond or so. What displaces it does so when it wakes; but of two that are ready for longer even the last in rank gets a
/// tick of the clock now and then. So it offers its place every few microseconds.
fn spin() {
    for _ in 0..256 {
        for _ in 0..64 {
            std::hint::spin_loop();
        }
        sched_yield();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::allowed_cores;
    use super::*;

    #[test]
    fn a_spinner_gives_way_and_its_time_is_known() {
        let core = allowed_cores().unwrap()[0];
        let spinners = vec![Spinner::start(core).unwrap()];
        let awake = Awake { how: IdleCores::Spinning, _request: None, spinners };
        let start = Instant::now();
        while awake.spun(core) < Duration::from_millis(20) {
            assert!(start.elapsed() < Duration::from_secs(30), "it does not spin");
            thread::sleep(Duration::from_millis(10));
        }
        let of_class = |class: &str| {
            let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
            let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
            // The 41st word of proc_pid_stat(5), the 39th after the name.
            stats.filter(|stat| stat.rsplit_once(") ").unwrap().1.split(' ').nth(38) == Some(class)).count()
        };
        // SCHED_IDLE.
        assert_eq!(of_class("5"), 1);
        assert_eq!(awake.spun(core + 1), Duration::ZERO, "nothing spins there");
        drop(awake);
        assert_eq!(of_class("5"), 0);
    }
}
