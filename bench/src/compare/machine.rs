//! The machine: what it is, and how busy its cores are.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;

use super::model::Machine;
use crate::lab::Awake;

impl Machine {
    /// This one.
    pub fn here() -> Machine {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (processors, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
        let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib = total.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Machine {
            host: read("/proc/sys/kernel/hostname").trim().to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: model.unwrap_or("unknown").trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: kib.unwrap_or_default() / 1024,
        }
    }
}

/// The commit that is checked out, with `+` where the tree has changes; empty where git does not know.
pub(super) fn revision() -> String {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return String::new() };
    let is_clean =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| text.is_empty());
    if is_clean { commit } else { commit + "+" }
}

/// The revision of a run. Binaries that were given do not tell what they were built from, and the tree need not be it.
pub(super) fn marked(commit: String, are_given: bool) -> String {
    if are_given && !commit.is_empty() {
        format!("an unknown revision (the binaries were given; the tree is at {commit})")
    } else {
        commit
    }
}

/// What one core has *not* done for this machine's processes since it started.
///
/// proc_stat(5) has busy times as well, but those are sampled by a clock, which a load on a schedule falls into step with.
/// Idle time is measured, where the kernel can do without its clock on an idle core, as all usual ones can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CoreTime {
    at: Instant,
    idle_ticks: u64,
    /// What kept it awake was busy.
    spun: Duration,
    steal_ticks: u64,
}

/// What one core did between two moments, as shares of the time, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct CoreShare {
    /// Used by anything that runs here.
    pub(super) busy: f64,
    /// Taken by the hypervisor.
    pub(super) steal: f64,
}

impl CoreTime {
    /// Until now.
    pub(super) fn now(core: usize, awake: &Awake) -> CoreTime {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let (idle_ticks, steal_ticks) = idle_and_steal(&text, core).unwrap_or_default();
        CoreTime { at: Instant::now(), idle_ticks, spun: awake.spun(core), steal_ticks }
    }

    /// From `before` to this moment.
    pub(super) fn since(self, before: CoreTime) -> CoreShare {
        let seconds = (self.at - before.at).as_secs_f64();
        let ticks = seconds * clock_ticks_per_second() as f64;
        let share = |now: u64, before: u64| (now.saturating_sub(before) as f64 / ticks).min(1.0);
        let steal = share(self.steal_ticks, before.steal_ticks);
        let spun = self.spun.saturating_sub(before.spun).as_secs_f64() / seconds;
        CoreShare { busy: (1.0 - share(self.idle_ticks, before.idle_ticks) - spun - steal).max(0.0), steal }
    }
}

/// Clock ticks, from `user nice system idle iowait irq softirq steal`.
fn idle_and_steal(text: &str, core: usize) -> Option<(u64, u64)> {
    let name = format!("cpu{core} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    Some((ticks.get(3)? + ticks.get(4)?, *ticks.get(7)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_of_given_binaries_is_not_that_of_the_tree() {
        assert_eq!(marked("abc+".into(), false), "abc+");
        assert!(marked("abc+".into(), true).starts_with("an unknown revision"));
        assert_eq!(marked(String::new(), true), "");
    }

    #[test]
    fn shares_of_a_core() {
        let text = "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 0 0 0 0 0 0 0 0 0 0\ncpu1 100 0 50 800 10 1 2 5 0 0\n";
        assert_eq!(idle_and_steal(text, 1), Some((810, 5)));
        assert_eq!(idle_and_steal(text, 0), Some((0, 0)));
        assert_eq!(idle_and_steal("cpu1 1 2 3", 1), None);
        let ticks = clock_ticks_per_second();
        let before =
            CoreTime { at: Instant::now(), idle_ticks: 810, spun: Duration::from_secs(7), steal_ticks: 5 };
        let after = CoreTime {
            at: before.at + Duration::from_secs(10),
            idle_ticks: 810 + 3 * ticks,
            spun: Duration::from_secs(9),
            steal_ticks: 5 + ticks,
        };
        let share = after.since(before);
        assert!((share.busy - 0.4).abs() < 1e-9 && (share.steal - 0.1).abs() < 1e-9, "{share:?}");
    }
}
