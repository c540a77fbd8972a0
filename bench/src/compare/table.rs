//! A run as text.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use super::model::{Figure, Point, Run, Scenario, figure};
use crate::stats::Sample;

/// The whole run: what was measured on what, a table for each load, and why it is void, if it is.
pub(super) fn text(run: &Run) -> String {
    let machine = &run.machine;
    let mut text = format!(
        "{} at {}, {:.0} s; Linux {}, {} cores, {}; subject on core {}, load and origins on core {}\n\
         Cores without work {}. Visits made again, since they were disturbed: {}. Good rounds: {}. Medians, with the {}; ratios are taken round by \
         round. –: not there, or not shown for the reason below. > and <: the load's core was the limit, at least so many \
         requests and at most such a latency. Percentiles are those of all rounds together, by round the median of each.\n",
        run.started,
        if run.revision.is_empty() { "an unknown revision" } else { &run.revision },
        run.took_s,
        machine.kernel,
        machine.cores,
        machine.processor,
        run.subject_core,
        run.load_core,
        run.idle_cores.text(),
        run.again,
        run.rounds,
        run.interval_in_words()
    );
    for scenario in &run.scenarios {
        let _ = write!(text, "\n{}: {}\n{}\n", scenario.key, scenario.title, of_scenario(scenario));
        let calls = scenario.entries.iter().filter_map(|entry| Some((entry, entry.calls.as_ref()?)));
        for (entry, calls) in calls {
            let by_name = calls.by_name.iter().map(|(name, count)| format!("{name} {count:.2}"));
            let by_name = by_name.collect::<Vec<_>>().join(", ");
            let _ = writeln!(text, "calls of {}: {:.2} ({by_name})", entry.subject, calls.all);
        }
    }
    if !run.sweeps.is_empty() {
        let _ = write!(text, "\nsweep: offered rates, rising\n{}\n", of_sweeps(run));
    }
    if !run.memory.is_empty() || !run.instructions.is_empty() {
        let _ = write!(text, "\nmemory and instructions\n{}\n", of_the_rest(run));
    }
    text.push('\n');
    for subject in run.subjects.iter().filter(|subject| !subject.version.is_empty()) {
        let _ = writeln!(text, "{}: {}", subject.name, subject.version);
    }
    for note in &run.left_out {
        let _ = writeln!(text, "left out: {note}");
    }
    for (title, voids) in
        [("Not shown, since it cannot be stood behind:", &run.withheld), ("This run is VOID:", &run.voids)]
    {
        if !voids.is_empty() {
            let _ = write!(text, "\n{title}\n");
        }
        for void in voids {
            let _ = writeln!(text, "- {}", void.text());
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn of_scenario(scenario: &Scenario) -> Table {
    let moves_bodies = scenario
        .entries
        .iter()
        .any(|entry| entry.median(figure::MB_PER_CPU_S).is_some_and(|median| median > 20.0));
    let mut header =
        vec!["subject", "requests/s", "CPU µs/request", "to floor", "to nginx", "user µs", "core busy"];
    header.push(if moves_bodies { "MB/CPU s" } else { "p50 µs" });
    header.extend(["p99 µs", "p99.9 µs", "p99.99 µs", "p99 by round"]);
    let has_added = scenario.has_added_latency();
    header.extend(has_added.then_some("p50 over direct"));
    let mut table = table(&header);
    for entry in &scenario.entries {
        let median = |name: &str, digits: usize| number(entry.median(name), digits);
        let with_interval = |sample: Option<&Sample>, digits: usize| {
            sample.map_or_else(none, |sample| {
                let [low, high] = sample.confidence;
                format!("{:.digits$} ({low:.digits$} to {high:.digits$})", sample.median)
            })
        };
        let cpu = entry.figure(figure::CPU);
        let ratio = |to: fn(&Figure) -> Option<&Sample>| with_interval(cpu.and_then(to), 2);
        let latency = |text: String| if text == none() { text } else { entry.at_most().to_owned() + &text };
        let pooled = |us: f64| latency(number(Some(us).filter(|us| *us > 0.0), 0));
        let mut row = vec![
            entry.subject.clone(),
            entry.at_least().to_owned() + &median(figure::REQUESTS, 0),
            with_interval(entry.sample(figure::CPU), 2),
            ratio(|figure| figure.to_floor.as_ref()),
            ratio(|figure| figure.to_nginx.as_ref()),
            median(figure::CPU_USER, 2),
            entry.median(figure::BUSY).map_or_else(none, |busy| format!("{:.0} %", 100.0 * busy)),
            if moves_bodies { median(figure::MB_PER_CPU_S, 0) } else { pooled(entry.latency_us.p50) },
            pooled(entry.latency_us.p99),
            pooled(entry.latency_us.p99_9),
            pooled(entry.latency_us.p99_99),
            latency(with_interval(entry.sample(figure::P99), 0)),
        ];
        row.extend(has_added.then(|| median(figure::ADDED_P50, 0)));
        table.add_row(row);
    }
    table
}

/// A cell without a number: there is none, or it is withheld.
fn none() -> String {
    "–".into()
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(none, |value| format!("{value:.digits$}"))
}

fn of_sweeps(run: &Run) -> Table {
    let mut table = table(&["subject", "knee, requests/s", "p50 µs there", "p99 µs there", "what ended it"]);
    for sweep in &run.sweeps {
        let us = |of: fn(&Point) -> f64| number(sweep.point().map(of), 0);
        table.add_row([
            sweep.subject.clone(),
            number(sweep.knee(), 0),
            us(|point| point.latency_us.p50),
            us(|point| point.latency_us.p99),
            match (sweep.disturbances.first(), sweep.limited_by_load) {
                (Some(disturbance), _) => disturbance.clone(),
                (None, true) => "the load's core: the knee lies higher".into(),
                (None, false) if sweep.ended_before_knee() => {
                    "it ended before a knee was found: the knee lies higher".into()
                }
                (None, false) => "the subject".into(),
            },
        ]);
    }
    table
}

fn of_the_rest(run: &Run) -> Table {
    let mut table = table(&[
        "subject",
        "KiB at rest",
        "KiB, saturated",
        "bytes per idle connection",
        "user instructions/request",
        "to nginx",
    ]);
    let nginx = run.instructions.get("nginx");
    for subject in &run.subjects {
        let memory = run.memory.iter().find(|memory| memory.subject == subject.name);
        let instructions = run.instructions.get(&subject.name);
        if memory.is_none() && instructions.is_none() {
            continue;
        }
        let ratio = instructions.zip(nginx).map(|(count, nginx)| format!("{:.2}", count / nginx));
        table.add_row([
            subject.name.clone(),
            memory.map_or(String::new(), |memory| memory.rest_kib.to_string()),
            number(run.memory_under_load_kib(&subject.name), 0),
            memory.map_or(String::new(), |memory| format!("{:.0}", memory.per_idle_connection)),
            instructions.map_or(String::new(), |count| format!("{count:.0}")),
            ratio.unwrap_or_default(),
        ]);
    }
    table
}

/// A table with its numbers to the right.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
