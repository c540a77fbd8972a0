//! The figures on a terminal.

use comfy_table::{CellAlignment, Table, presets};

use super::model::{Case, PerServer, Run};

/// All tables: one for each kind of servers.
pub(super) fn text(run: &Run) -> String {
    let plan = &run.plan;
    let mut text = format!(
        "{:.0} requests/s in the mean for {} s (Poisson), from {} clients, each in a network of its own.\n\
         Three servers, each with {} slots of {} ms (exponential); whoever finds none free queues there.\n\
         virtual is the proxy's balancer in virtual time; the others are programs behind sockets.\n\
         app3 by thirds: its share in each third of the run, in percent.\n",
        plan.rate_per_s, plan.seconds, plan.clients, plan.slots, plan.service_ms
    );
    for group in groups(&run.cases) {
        text.push_str(&format!("\n{}\n{}\n", title(&group[0].servers), table(group)));
    }
    for (name, version) in &run.versions {
        text.push_str(&format!("{name}: {version}\n"));
    }
    text
}

/// What the servers are like.
pub(crate) fn title(servers: &str) -> String {
    match servers {
        "equal" => "equal: all three servers alike".into(),
        "unequal" => "unequal: app3 takes twice as long".into(),
        "degrading" => "degrading: app3 takes five times as long in the middle third".into(),
        other => other.into(),
    }
}

/// Cases with the same kind of servers, in order; none is empty.
pub(crate) fn groups(cases: &[Case]) -> impl Iterator<Item = &[Case]> {
    cases.chunk_by(|one, next| one.servers == next.servers)
}

/// What is told of a case.
pub(crate) const HEADER: [&str; 10] = [
    "method",
    "by",
    "shares of app1 / 2 / 3, %",
    "app3 by thirds, %",
    "longest queues",
    "mean wait, ms",
    "median, ms",
    "p99, ms",
    "max, ms",
    "failed",
];

/// A case under [`HEADER`].
pub(crate) fn row(case: &Case) -> [String; 10] {
    let each =
        |word: fn(&PerServer) -> String| case.per_server.iter().map(word).collect::<Vec<_>>().join(" / ");
    let ms = |value: f64| format!("{value:.0}");
    [
        case.method.clone(),
        case.by.clone(),
        each(|server| format!("{:.0}", 100.0 * server.share)),
        case.shares_of_last().map(|share| format!("{:.0}", 100.0 * share)).join(" / "),
        each(|server| server.queue_max.to_string()),
        each(|server| format!("{:.0}", server.waiting_ms_mean)),
        ms(case.latency.p50_ms),
        ms(case.latency.p99_ms),
        ms(case.latency.max_ms),
        case.failed.to_string(),
    ]
}

fn table(cases: &[Case]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(HEADER);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for case in cases {
        table.add_row(row(case));
    }
    table
}
