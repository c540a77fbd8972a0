//! The figures on a terminal.

use comfy_table::{CellAlignment, Table, presets};

use super::model::{Case, Figures, Run};

/// A table with a row for each case, and what is to be known about them.
pub(super) fn text(run: &Run) -> String {
    let rules = &run.rules;
    let mut text = format!(
        "{:.0} GET requests/s on {} keep-alive connections for {} ms; the fault comes at {} ms and ends at {} ms.\n\
         Rules of all: max_fails {}, fail_timeout {} ms, connect timeout {} ms, read timeout {} ms, and a 500 \
         moves on.\n\
         out: from the fault until its log says so. back: from the fault's end until it answers, to {} ms.\n\
         hits: requests that reached the servers. answers: whole 200s that came back.\n\
         worst: the longest that a client waited for an answer or a failure, from when its request was due.\n\
         load late: how late the load itself was at most; what is slow by no more says nothing of the subject.\n\n",
        rules.rate_per_s,
        rules.connections,
        rules.calm_ms + rules.fault_ms + rules.after_ms,
        rules.calm_ms,
        rules.calm_ms + rules.fault_ms,
        rules.max_fails,
        rules.fail_timeout_ms,
        rules.connect_timeout_ms,
        rules.read_timeout_ms,
        rules.bucket_ms,
    );
    text.push_str(&table(&run.cases).to_string());
    text.push_str("\n\n");
    let mut last = "";
    for case in &run.cases {
        let note = case.note.as_deref();
        if case.seen.is_none() {
            text.push_str(&format!("{}, {}: {}\n", case.fault, case.subject, note.unwrap_or("not tried")));
        } else if case.fault != last {
            text.push_str(&format!("{}: {}", case.fault, case.what));
            text.push_str(&note.map_or(".\n".into(), |note| format!("; {note}.\n")));
            last = &case.fault;
        }
    }
    text.push('\n');
    for (name, version) in &run.versions {
        text.push_str(&format!("{name}: {version}\n"));
    }
    text
}

fn table(cases: &[Case]) -> Table {
    let header = [
        "fault",
        "subject",
        "requests",
        "failed",
        "out, ms",
        "back, ms",
        "worst, ms",
        "load late, ms",
        "hits",
        "answers",
    ];
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for case in cases {
        let mut row = vec![case.fault.clone(), case.subject.clone()];
        match &case.seen {
            Some(seen) => row.extend(figures(&seen.figures)),
            None => row.extend(std::iter::repeat_n("–".to_owned(), header.len() - 2)),
        }
        table.add_row(row);
    }
    table
}

fn figures(figures: &Figures) -> [String; 8] {
    let span = |ms: Option<f64>| ms.map_or("–".into(), |ms| format!("{ms:.0}"));
    [
        figures.requests.to_string(),
        figures.failed.to_string(),
        span(figures.eject_ms),
        span(figures.return_ms),
        format!("{:.0}", figures.worst_ms),
        format!("{:.0}", figures.load_late_ms),
        figures.hits.to_string(),
        figures.answers.to_string(),
    ]
}
