//! The figures as a table and as JSON.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::Options;
use super::cpu::Visit;
use super::syscalls::Calls;
use crate::stats::Sample;

/// What was measured of one subject.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: &'static str,
    version: String,
    /// By the number of connections.
    load: BTreeMap<u32, Loaded>,
    /// User space instructions per request.
    pub(super) instructions: Option<f64>,
}

/// What was measured at one number of connections, round by round.
#[derive(Debug, Default, Serialize)]
struct Loaded {
    cpu_us: Vec<f64>,
    requests_per_second: Vec<f64>,
    busy: Vec<f64>,
    calls: Option<Calls>,
}

impl Row {
    pub(super) fn new(name: &'static str, version: &str) -> Row {
        Row { name, version: version.into(), load: BTreeMap::new(), instructions: None }
    }

    pub(super) fn add_cpu(&mut self, connections: u32, visit: &Visit) {
        let loaded = self.load.entry(connections).or_default();
        loaded.cpu_us.push(visit.cpu_us);
        loaded.requests_per_second.push(visit.requests_per_second);
        loaded.busy.push(visit.busy);
    }

    pub(super) fn add_calls(&mut self, connections: u32, calls: Calls) {
        self.load.entry(connections).or_default().calls = Some(calls);
    }
}

/// All that was measured, and on what.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    command: Vec<String>,
    kernel: String,
    processor: String,
    cores: usize,
    rounds: u32,
    seconds: u32,
    connections: Vec<u32>,
    subjects: Vec<Row>,
}

impl Report {
    pub(super) fn new(options: &Options, subjects: Vec<Row>) -> Report {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo");
        let processor =
            processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        Report {
            command: std::env::args().skip(1).collect(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: processor.trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            rounds: options.rounds,
            seconds: options.seconds,
            connections: options.connections.clone(),
            subjects,
        }
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and words") + "\n"
    }

    pub(super) fn table(&self) -> String {
        let mut text = format!(
            "Kernel {}, {} cores, {}; {} alternating rounds of {} s, medians with (smallest to largest).\n\
             CPU is user and system time per request; ratios are taken round by round.\n",
            self.kernel, self.cores, self.processor, self.rounds, self.seconds
        );
        for &connections in &self.connections {
            text.push_str(&format!(
                "\n{connections} connections, each asking again as soon as it is answered:\n"
            ));
            text.push_str(&self.load_table(connections).to_string());
            text.push('\n');
        }
        if self.subjects.iter().any(|row| row.instructions.is_some()) {
            text.push_str("\nUser space, counted by callgrind over a fixed exchange at 64 connections:\n");
            text.push_str(&self.instruction_table().to_string());
            text.push('\n');
        }
        for row in &self.subjects {
            text.push_str(&format!("{}: {}\n", row.name, row.version));
        }
        text
    }

    fn load_table(&self, connections: u32) -> Table {
        let mut table = table(&[
            "subject",
            "CPU µs/request",
            "to relay",
            "to nginx",
            "core busy",
            "requests/s",
            "system calls",
            "of them",
        ]);
        let of = |name: &str| {
            let row = self.subjects.iter().find(|row| row.name == name)?;
            Sample::of(row.load.get(&connections)?.cpu_us.iter().copied())
        };
        let (relay, nginx) = (of("relay"), of("nginx"));
        for row in &self.subjects {
            let Some(loaded) = row.load.get(&connections) else { continue };
            let Some(cpu) = Sample::of(loaded.cpu_us.iter().copied()) else { continue };
            let ratio = |to: &Option<Sample>| {
                let ratio = Sample::of_ratios(&cpu, to.as_ref()?)?;
                Some(format!("{:.2}", ratio.median))
            };
            let median =
                |values: &[f64]| Sample::of(values.iter().copied()).map_or(0.0, |sample| sample.median);
            let calls = loaded.calls.as_ref();
            let by_name = calls.map(|calls| {
                let word = |(name, n): (&&str, &f64)| format!("{name} {n:.2}");
                calls.by_name.iter().map(word).collect::<Vec<_>>().join(", ")
            });
            table.add_row(vec![
                row.name.to_owned(),
                format!("{:.2} ({:.2} to {:.2})", cpu.median, cpu.min, cpu.max),
                ratio(&relay).unwrap_or_default(),
                ratio(&nginx).unwrap_or_default(),
                format!("{:.0} %", 100.0 * median(&loaded.busy)),
                format!("{:.0}", median(&loaded.requests_per_second)),
                calls.map(|calls| format!("{:.2}", calls.all)).unwrap_or_default(),
                by_name.unwrap_or_default(),
            ]);
        }
        table
    }

    fn instruction_table(&self) -> Table {
        let mut table = table(&["subject", "instructions/request", "to nginx"]);
        let nginx = self.subjects.iter().find(|row| row.name == "nginx").and_then(|row| row.instructions);
        for row in &self.subjects {
            let Some(instructions) = row.instructions else { continue };
            let ratio = nginx.map(|nginx| format!("{:.2}", instructions / nginx));
            table.add_row(vec![row.name.to_owned(), format!("{instructions:.0}"), ratio.unwrap_or_default()]);
        }
        table
    }
}

/// A table with its numbers to the right.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(header);
    for (column, name) in header.iter().enumerate().skip(1) {
        if let Some(column) = table.column_mut(column).filter(|_| *name != "of them") {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
