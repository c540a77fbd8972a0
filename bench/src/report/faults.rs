//! The section on failures: a time line for each fault and subject.

use std::collections::BTreeSet;
use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::page::{Block, Section, Table};
use super::plot::{self, Area, BAD, DrawResult, INK, Plot};
use super::{Facts, Result};
use crate::faults::model::{Case, Figures, Rules, Run, Seen};

/// Room for the labels of the vertical axes, the same in both panels.
const LEFT: u32 = 58;

pub(super) fn section(run: &Run, facts: &mut Facts) -> Result<Section> {
    facts.add_machine(&run.machine);
    for (name, version) in &run.versions {
        facts.add(name, version);
    }
    facts.add_command(&run.command);
    let rules = &run.rules;
    let mut blocks = vec![overview(run)];
    let mut cases = run.cases.as_slice();
    while let Some(first) = cases.first() {
        let (group, rest) = cases.split_at(cases.iter().take_while(|case| case.fault == first.fault).count());
        blocks.push(block(group, rules)?);
        cases = rest;
    }
    Ok(Section {
        id: "faults",
        title: "When servers fail",
        how: format!(
            "{:.0} GET requests a second, evenly spaced, on {} keep-alive connections, whatever comes back; two servers, of which \
             app2 goes wrong after {} ms and is well again {} ms later. A request has failed that got no whole 200; the load \
             repeats nothing. Rules of all subjects: max_fails {}, fail_timeout {} ms, connect timeout {} ms, read timeout {} ms, \
             and a 500 moves on; HAProxy has health checks besides, every half of that fail_timeout, as its passive rules \
             do not bring a server back. Out: from the fault until the subject's log says so. Back: from the fault's end until app2 \
             answers, to {} ms. Worst: the longest that a client waited for an answer or a failure, from when its request was due; the curves are of answers. Hits: requests that reached the servers, as they counted them. Load late: how late \
             the load itself was at most; what is slow by no more says nothing of the subject.",
            rules.rate_per_s,
            rules.connections,
            rules.calm_ms,
            rules.fault_ms,
            rules.max_fails,
            rules.fail_timeout_ms,
            rules.connect_timeout_ms,
            rules.read_timeout_ms,
            rules.bucket_ms
        ),
        data: vec!["faults.json".into()],
        blocks,
    })
}

/// Failed requests: a row for each fault, a column for each subject.
fn overview(run: &Run) -> Block {
    let subjects: Vec<&str> = run.versions.keys().map(String::as_str).collect();
    let subjects: Vec<&str> =
        ["proxy", "nginx", "haproxy"].into_iter().filter(|name| subjects.contains(name)).collect();
    let mut table = Table::new(&[&["fault"][..], &subjects, &["can be hidden"]].concat());
    let first = subjects.first().copied().unwrap_or_default();
    for fault in run.cases.iter().filter(|case| case.subject == first) {
        let mut row = vec![fault.what.clone()];
        for subject in &subjects {
            let of = |case: &&Case| case.fault == fault.fault && case.subject == *subject;
            let case = run.cases.iter().find(of);
            let failed = case.and_then(|case| case.seen.as_ref()).map(|seen| seen.figures.failed.to_string());
            row.push(failed.or_else(|| case?.note.clone()).unwrap_or_default());
        }
        row.push(if fault.can_be_hidden { "yes" } else { "no" }.into());
        table.rows.push(row);
    }
    let text = "A fault can be hidden from clients where a healthy server is left and no byte of the answer is \
                with the client yet.";
    Block { title: "Failed requests".into(), text: text.into(), tables: vec![table], ..Block::default() }
}

fn block(cases: &[Case], rules: &Rules) -> Result<Block> {
    let header = [
        "subject",
        "requests",
        "failed",
        "out, ms",
        "back, ms",
        "median, ms",
        "worst, ms",
        "load late, ms",
        "hits",
        "answers",
    ];
    let mut table = Table::new(&header);
    let mut plots = Vec::new();
    let mut text = String::new();
    let scales = Scales::of(cases, rules);
    for case in cases {
        let mut row = vec![case.subject.clone()];
        match &case.seen {
            Some(seen) => {
                plots.push(time_line(case, seen, &scales)?);
                row.extend(figures(&seen.figures));
                text = case.note.as_ref().map_or(text, |note| sentence(note));
            }
            None => {
                row.push(case.note.clone().unwrap_or_default());
                row.resize(header.len(), "–".into());
            }
        }
        table.rows.push(row);
    }
    let title = format!("{}: {}", cases[0].fault, cases[0].what);
    Ok(Block { title, text, plots, tables: vec![table], ..Block::default() })
}

fn figures(figures: &Figures) -> [String; 9] {
    let span = |ms: Option<f64>| ms.map_or("–".into(), |ms| format!("{ms:.0}"));
    let how: Vec<String> = figures.failures.iter().map(|(how, count)| format!("{count} {how}")).collect();
    let failed = match how.as_slice() {
        [] => "0".into(),
        _ => how.join(", "),
    };
    [
        figures.requests.to_string(),
        failed,
        span(figures.eject_ms),
        span(figures.return_ms),
        plot::number(&figures.median_ms),
        plot::number(&figures.worst_ms),
        plot::number(&figures.load_late_ms),
        figures.hits.to_string(),
        figures.answers.to_string(),
    ]
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// What the time lines of a fault share, so that they can be compared at a glance.
struct Scales {
    whole_s: f64,
    bucket_s: f64,
    requests: f64,
    latency_ms: Range<f64>,
}

impl Scales {
    fn of(cases: &[Case], rules: &Rules) -> Scales {
        let buckets = || cases.iter().filter_map(|case| case.seen.as_ref()).flat_map(|seen| &seen.buckets);
        let max = buckets().map(|bucket| bucket.requests).max().unwrap_or_default() as f64;
        // Requests that had to wait all come at once; the usual ones shall be seen beside that.
        let usual = rules.rate_per_s * rules.bucket_ms as f64 / 1e3;
        let answered = buckets().filter(|bucket| bucket.requests > bucket.failed);
        Scales {
            whole_s: (rules.calm_ms + rules.fault_ms + rules.after_ms) as f64 / 1e3,
            bucket_s: rules.bucket_ms as f64 / 1e3,
            requests: max.min(2.5 * usual).max(1.2 * usual),
            latency_ms: plot::decades(answered.flat_map(|bucket| [bucket.median_ms, bucket.max_ms])),
        }
    }
}

/// Above: who answered how many requests in each bucket. Below: how long it took.
fn time_line(case: &Case, seen: &Seen, scales: &Scales) -> Result<Plot> {
    let name = format!("faults-{}-{}", case.fault, case.subject);
    let alt = format!("{}: requests and latency over time; {}", case.subject, case.what);
    let servers: BTreeSet<&String> = seen.buckets.iter().flat_map(|bucket| bucket.by_server.keys()).collect();
    let servers: Vec<&str> = servers.into_iter().map(String::as_str).collect();
    let mut entries: Vec<(&str, ShapeStyle)> =
        servers.iter().enumerate().map(|(number, name)| (*name, server(number))).collect();
    entries.push(("failed", BAD.filled()));
    plot::draw(&name, &alt, (440, 365), |area: &Area<'_>| -> DrawResult {
        area.draw(&Text::new(case.subject.clone(), (4, 13), plot::letters_at(HPos::Left)))?;
        let area = plot::legend(area, LEFT as i32 + 48, &entries)?;
        let (above, below) = area.split_vertically(180);
        requests(&above, seen, scales, &servers)?;
        latency(&below, seen, scales)
    })
}

fn server(number: usize) -> ShapeStyle {
    plot::series(number).mix(0.85).filled()
}

fn requests(area: &Area<'_>, seen: &Seen, scales: &Scales, servers: &[&str]) -> DrawResult {
    let top = scales.requests;
    let mut chart = ChartBuilder::on(area)
        .margin_left(6)
        .margin_right(12)
        .margin_top(34)
        .x_label_area_size(4)
        .y_label_area_size(LEFT - 6)
        .build_cartesian_2d(0.0..scales.whole_s, 0.0..top)?;
    let y_title = format!("requests / {:.0} ms", 1e3 * scales.bucket_s);
    plot::mesh(&mut chart, ("", &y_title), (0, 4), &|_| String::new(), &plot::number)?;
    for bucket in &seen.buckets {
        let from = bucket.at_ms as f64 / 1e3;
        let mut height = 0.0;
        let by_server = servers.iter().enumerate();
        let by_server = by_server
            .map(|(number, name)| (bucket.by_server.get(*name).copied().unwrap_or(0), server(number)));
        for (count, style) in by_server.chain([(bucket.failed, BAD.filled())]) {
            let end = height + count as f64;
            let corners = [(from, height.min(top)), (from + 0.9 * scales.bucket_s, end.min(top))];
            if count > 0 {
                chart.draw_series([Rectangle::new(corners, style)])?;
            }
            height = end;
        }
    }
    for (number, event) in seen.events.iter().enumerate() {
        let at = event.at_ms / 1e3;
        chart.draw_series([PathElement::new([(at, 0.0), (at, top)], INK.stroke_width(1))])?;
        let (x, y) = chart.backend_coord(&(at, top));
        let (left, above) = (area.get_pixel_range().0.start, area.get_pixel_range().1.start);
        // The first one is close to the left edge; a line for each keeps them apart.
        let side = if number == 0 { HPos::Left } else { HPos::Center };
        let style = plot::letters().pos(Pos::new(side, VPos::Bottom));
        let line = y - above - if number == 0 { 17 } else { 2 };
        area.draw(&Text::new(event.what.clone(), (x - left, line), style))?;
    }
    Ok(())
}

fn latency(area: &Area<'_>, seen: &Seen, scales: &Scales) -> DrawResult {
    let mut chart = ChartBuilder::on(area)
        .margin_left(6)
        .margin_right(12)
        .margin_top(14)
        .x_label_area_size(42)
        .y_label_area_size(LEFT - 6)
        .build_cartesian_2d(0.0..scales.whole_s, scales.latency_ms.clone().log_scale())?;
    let titles = ("seconds since the load began", "latency, ms");
    plot::mesh(&mut chart, titles, (8, 4), &plot::number, &plot::number)?;
    let answered = || seen.buckets.iter().filter(|bucket| bucket.requests > bucket.failed);
    let middle = |at_ms: u64| at_ms as f64 / 1e3 + scales.bucket_s / 2.0;
    let max = answered().map(|bucket| (middle(bucket.at_ms), bucket.max_ms));
    let median = answered().map(|bucket| (middle(bucket.at_ms), bucket.median_ms));
    chart.draw_series(LineSeries::new(max, plot::series(4).stroke_width(2)))?;
    chart.draw_series(LineSeries::new(median, INK.mix(0.7).stroke_width(1)))?;
    let style = plot::letters().pos(Pos::new(HPos::Right, VPos::Bottom));
    let corner = (scales.whole_s, scales.latency_ms.end);
    chart.draw_series([Text::new("slowest (bold), median", corner, style)])?;
    Ok(())
}
