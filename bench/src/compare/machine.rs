//! The machine: what it is, and how busy its cores are.

use std::fs;
use std::process::Command;

use super::model::Machine;

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

/// What one core has done since the machine started, in clock ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CoreTime {
    busy: u64,
    steal: u64,
    all: u64,
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
    pub(super) fn now(core: usize) -> CoreTime {
        CoreTime::parse(&fs::read_to_string("/proc/stat").unwrap_or_default(), core).unwrap_or_default()
    }

    /// proc_stat(5): user nice system idle iowait irq softirq steal guest guest_nice; guest is part of user.
    fn parse(text: &str, core: usize) -> Option<CoreTime> {
        let name = format!("cpu{core} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name))?;
        let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
        let &[user, nice, system, idle, iowait, irq, softirq, steal] = &ticks[..] else { return None };
        let busy = user + nice + system + irq + softirq;
        Some(CoreTime { busy, steal, all: busy + idle + iowait + steal })
    }

    /// From `before` to this moment.
    pub(super) fn since(self, before: CoreTime) -> CoreShare {
        let all = (self.all - before.all).max(1) as f64;
        let share = |now: u64, before: u64| now.saturating_sub(before) as f64 / all;
        CoreShare { busy: share(self.busy, before.busy), steal: share(self.steal, before.steal) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_core() {
        let text =
            |ticks: &str| format!("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 0 0 0 0 0 0 0 0 0 0\ncpu1 {ticks}\n");
        let before = CoreTime::parse(&text("100 0 50 800 10 1 2 5 0 0"), 1).unwrap();
        let after = CoreTime::parse(&text("130 0 60 850 10 1 2 15 7 0"), 1).unwrap();
        assert_eq!(after.since(before), CoreShare { busy: 0.4, steal: 0.1 });
        assert_eq!(CoreTime::parse(&text("1 2 3"), 1), None);
        assert_eq!(CoreTime::parse("", 1), None);
    }
}
