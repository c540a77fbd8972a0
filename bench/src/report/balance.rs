//! The section on methods: shares and latencies as bars.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::page::{Block, Section, Table};
use super::plot::{self, Area, DrawResult, Plot};
use super::{Facts, Result};
use crate::balance::model::{Case, Run};
use crate::balance::{HEADER, groups, row, title};

/// Pixels for a bar with its air.
const ROW: u32 = 20;

/// Room for the names of method and balancer.
const LEFT: u32 = 150;

pub(super) fn section(run: &Run, facts: &mut Facts) -> Result<Section> {
    facts.add_machine(&run.machine);
    for (name, version) in &run.versions {
        facts.add(name, version);
    }
    facts.add_command(&run.command);
    let plan = &run.plan;
    let mut blocks = Vec::new();
    for group in groups(&run.cases) {
        blocks.push(Block {
            title: title(&group[0].servers),
            plots: vec![shares(group)?, latencies(group)?],
            tables: vec![Table {
                rows: group.iter().map(|case| row(case).into()).collect(),
                ..Table::new(&HEADER)
            }],
            ..Block::default()
        });
    }
    Ok(Section {
        id: "balance",
        title: "What the methods do",
        how: format!(
            "One schedule of arrivals, {:.0} requests a second in the mean for {} s (Poisson, seed {}), from {} clients \
             in networks of their own, is played to each balancer: to the proxy's own balancing code in virtual \
             time (virtual), and over sockets to the programs. A server has {} slots of {} ms (exponential); whoever finds \
             none free queues there. Latency counts from when a request was due. The method weighted gives app3 half the share \
             of the others. By thirds: its share in each third of the run.",
            plan.rate_per_s, plan.seconds, plan.seed, plan.clients, plan.slots, plan.service_ms
        ),
        data: vec!["balance.json".into()],
        blocks,
    })
}

/// Who got which share, as stacked bars.
fn shares(cases: &[Case]) -> Result<Plot> {
    let servers = cases.iter().map(|case| case.per_server.len()).max().unwrap_or_default();
    let names: Vec<String> = (1..=servers).map(|number| format!("app{number}")).collect();
    let entries: Vec<(&str, ShapeStyle)> = names
        .iter()
        .enumerate()
        .map(|(number, name)| (name.as_str(), plot::series(number).mix(0.85).filled()))
        .collect();
    let name = format!("balance-{}-shares", cases[0].servers);
    let alt = format!("Shares of requests by method and server, {} servers", cases[0].servers);
    bars(&name, &alt, cases, &entries, "share of requests, %", 0.0..100.0, |case| {
        case.per_server.iter().map(|server| 100.0 * server.share).collect()
    })
}

/// The 99th percentile, with the median within it.
fn latencies(cases: &[Case]) -> Result<Plot> {
    let name = format!("balance-{}-latency", cases[0].servers);
    let alt = format!("Median and 99th percentile of latency by method, {} servers", cases[0].servers);
    let max = cases.iter().map(|case| case.latency.p99_ms).fold(0.0, f64::max);
    let entries =
        [("median", plot::series(4).mix(0.9).filled()), ("up to p99", plot::series(4).mix(0.4).filled())];
    bars(&name, &alt, cases, &entries, "latency from when it was due, ms", plot::from_zero(max), |case| {
        vec![case.latency.p50_ms, case.latency.p99_ms - case.latency.p50_ms]
    })
}

/// A bar for each case, of parts that are stacked.
fn bars(
    name: &str,
    alt: &str,
    cases: &[Case],
    entries: &[(&str, ShapeStyle)],
    title: &str,
    scale: Range<f64>,
    parts: impl Fn(&Case) -> Vec<f64>,
) -> Result<Plot> {
    let height = ROW * cases.len() as u32 + 72;
    plot::draw(name, alt, (560, height), |area: &Area<'_>| -> DrawResult {
        let area = plot::legend(area, LEFT as i32, entries)?;
        let mut chart = ChartBuilder::on(&area)
            .margin_right(18)
            .x_label_area_size(44)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(scale, 0.0..cases.len() as f64)?;
        plot::bars_mesh(&mut chart, title)?;
        for (number, case) in cases.iter().enumerate() {
            let top = (cases.len() - number) as f64;
            let mut from = 0.0;
            for (part, (_, style)) in parts(case).into_iter().zip(entries) {
                let corners = [(from, top - 0.86), (from + part, top - 0.14)];
                chart.draw_series([Rectangle::new(corners, *style)])?;
                from += part;
            }
            let (_, y) = chart.backend_coord(&(0.0, top - 0.5));
            let y = y - area.get_pixel_range().1.start;
            if number == 0 || cases[number - 1].method != case.method {
                area.draw(&Text::new(case.method.clone(), (2, y), plot::letters_at(HPos::Left)))?;
            }
            area.draw(&Text::new(case.by.clone(), (LEFT as i32 - 8, y), plot::letters_at(HPos::Right)))?;
        }
        Ok(())
    })
}
