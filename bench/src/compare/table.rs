//! A run as text.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use super::model::{Entry, Figure, Run, Scenario, figure};

/// The whole run: what was measured on what, a table for each load, and why it is void, if it is.
pub(super) fn text(run: &Run) -> String {
    let machine = &run.machine;
    let mut text = format!(
        "{} at {}, {:.0} s; Linux {}, {} cores, {}; subject on core {}, load and origins on core {}\n\
         Good rounds: {}. Medians, with the 95 % confidence interval; ratios are taken round by round.\n",
        run.started,
        if run.revision.is_empty() { "an unknown revision" } else { &run.revision },
        run.took_s,
        machine.kernel,
        machine.cores,
        machine.processor,
        run.subject_core,
        run.load_core,
        run.rounds
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
    if !run.voids.is_empty() {
        text.push_str("\nThis run is VOID:\n");
    }
    for void in &run.voids {
        let place: Vec<&str> = [&void.scenario, &void.subject]
            .into_iter()
            .map(String::as_str)
            .filter(|word| !word.is_empty())
            .collect();
        let _ = writeln!(
            text,
            "- {}{}{}",
            place.join(", "),
            if place.is_empty() { "" } else { ": " },
            void.reason
        );
    }
    text.truncate(text.trim_end().len());
    text
}

fn of_scenario(scenario: &Scenario) -> Table {
    let moves_bodies = scenario
        .entries
        .iter()
        .any(|entry| entry.figure(figure::MB_PER_CPU_S).is_some_and(|figure| figure.sample.median > 20.0));
    let mut header =
        vec!["subject", "requests/s", "CPU µs/request", "to floor", "to nginx", "user", "core busy"];
    header.push(if moves_bodies { "MB/CPU s" } else { "p50 µs" });
    header.extend(["p99 µs", "p99.99 µs", "p50 over direct"]);
    let mut table = table(&header);
    for entry in &scenario.entries {
        let of = |name: &str| entry.figure(name);
        let median =
            |name: &str, digits: usize| of(name).map(|figure| format!("{:.digits$}", figure.sample.median));
        let cpu = of(figure::CPU);
        let ratio = |to: fn(&Figure) -> Option<f64>| cpu.and_then(to).map(|ratio| format!("{ratio:.2}"));
        let latency = &entry.latency_us;
        let cells = [
            Some(entry.subject.clone()),
            Some(at_least(entry) + &median(figure::REQUESTS, 0).unwrap_or_default()),
            cpu.map(|figure| {
                let [low, high] = figure.sample.confidence;
                format!("{:.2} ({low:.2} to {high:.2})", figure.sample.median)
            }),
            ratio(|figure| Some(figure.to_floor.as_ref()?.median)),
            ratio(|figure| Some(figure.to_nginx.as_ref()?.median)),
            median(figure::CPU_USER, 2),
            of(figure::BUSY).map(|figure| format!("{:.0} %", 100.0 * figure.sample.median)),
            if moves_bodies { median(figure::MB_PER_CPU_S, 0) } else { Some(format!("{:.0}", latency.p50)) },
            Some(format!("{:.0}", latency.p99)),
            Some(format!("{:.0}", latency.p99_99)),
            median(figure::ADDED_P50, 0),
        ];
        table.add_row(cells.map(Option::unwrap_or_default));
    }
    table
}

/// A mark where the load's core was the limit, and the subject could have done more.
fn at_least(entry: &Entry) -> String {
    let is_closed = entry.rounds.first().is_some_and(|round| round.load.offered_per_s.is_none());
    let is_idle = entry.figure(figure::BUSY).is_some_and(|figure| figure.sample.median < 0.95);
    let is_limited = entry.rounds.iter().any(|round| round.load_core_busy > super::void::LOAD_CORE_BUSY_MAX);
    if is_closed && is_idle && is_limited { "> ".into() } else { String::new() }
}

fn of_sweeps(run: &Run) -> Table {
    let mut table = table(&["subject", "knee, requests/s", "p50 µs there", "p99 µs there", "what ended it"]);
    for sweep in &run.sweeps {
        let knee = sweep.points.iter().find(|point| point.offered_per_s == sweep.knee_per_s);
        let us = |of: fn(&super::model::Point) -> f64| {
            knee.map_or(String::new(), |point| format!("{:.0}", of(point)))
        };
        table.add_row([
            sweep.subject.clone(),
            format!("{:.0}", sweep.knee_per_s),
            us(|point| point.latency_us.p50),
            us(|point| point.latency_us.p99),
            match (sweep.disturbances.first(), sweep.limited_by_load) {
                (Some(disturbance), _) => disturbance.clone(),
                (None, true) => "the load's core: the knee lies higher".into(),
                (None, false) => "the subject".into(),
            },
        ]);
    }
    table
}

fn of_the_rest(run: &Run) -> Table {
    let header =
        ["subject", "KiB at rest", "bytes per idle connection", "user instructions/request", "to nginx"];
    let mut table = table(&header);
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
            memory.map_or(String::new(), |memory| format!("{:.0}", memory.per_idle_connection)),
            instructions.map_or(String::new(), |count| format!("{count:.0}")),
            ratio.unwrap_or_default(),
        ]);
    }
    table
}

/// A table with its numbers to the right.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
