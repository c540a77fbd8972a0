//! The section on cost and speed: CPU time, the knee, latency by percentile, and the tables beside them.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::page::{Block, Section, Table};
use super::plot::{self, Area, DrawResult, Plot};
use super::{Facts, Result};
use crate::compare::TICKS_MIN;
use crate::compare::model::{Entry, Point, Run, Scenario, Sweep, Void, figure};
use crate::load::Percentiles;
use crate::stats::Sample;

/// Room for the names of subjects.
const LEFT: u32 = 70;

pub(super) fn section(run: &Run, facts: &mut Facts) -> Result<Section> {
    facts.add_machine(&run.machine);
    for subject in run.subjects.iter().filter(|subject| subject.name != "direct") {
        facts.add(&subject.name, &subject.version);
    }
    facts.add("commit", &run.revision);
    facts.add("started", &run.started);
    facts.add_command(&run.command);

    let mut blocks = Vec::new();
    for scenario in &run.scenarios {
        blocks.push(block(scenario)?);
    }
    if !run.sweeps.is_empty() {
        blocks.insert(1.min(blocks.len()), knee(&run.sweeps)?);
    }
    blocks.extend(memory(run));
    blocks.extend(instructions(run));
    blocks.extend(withheld(run));
    Ok(Section {
        id: "compare",
        title: "Side by side",
        how: format!(
            "The subject has core {subject_core} to itself, with one worker; load and origins share core {load_core}. A round visits every \
             subject under one load, the next begins with another one; {rounds} good rounds, of which medians are shown with their \
             {interval}. Ratios are taken round by round. What disturbs a round makes it void for all, and a figure whose rounds \
             lie too far apart is not shown (–). Cores without work {idle_cores}. {cut_out}\
             Where > stands before a throughput and < before a latency, the load's core was the limit: the subject could do more, in less time. CPU time is what the scheduler accounts to the subject, over the requests answered; the kernel samples the \
             split into user and system, which is taken from all good rounds together and shown where it has {TICKS_MIN} clock ticks. At an offered rate latency counts from when a request was due. Percentiles are those of all good rounds together, in the plots too, or where a column says so the median of those of each round. System calls are counted in one visit, beside the rounds. Direct is \
             the origin with nothing before it, and its CPU time the origin's own, spent on the load's core; relay a TCP relay that parses nothing: the floor. \
             It is none for new connections and uploads: it opens a connection to a server for each of a client, and who shares \
             its own among clients can be cheaper.",
            subject_core = run.subject_core,
            load_core = run.load_core,
            rounds = run.rounds,
            interval = run.interval_in_words(),
            idle_cores = run.idle_cores.text(),
            cut_out = cut_out(run),
        ),
        data: vec!["run.json".into()],
        blocks,
    })
}

/// What was done against slow cores; nothing in older runs, which did not look at them.
fn cut_out(run: &Run) -> String {
    let entries = run.scenarios.iter().flat_map(|scenario| &scenario.entries);
    if entries.flat_map(|entry| &entry.rounds).all(|round| round.slow == 0.0) {
        return String::new();
    }
    format!(
        "What something beside this machine slowed down is cut out in slices of a twentieth of a second, where enough \
         is left; {} visits were made again, since it was not, or since they were disturbed. ",
        run.again
    )
}

/// Why the run is not to be believed.
pub(super) fn voids(run: &Run) -> Vec<String> {
    run.voids.iter().map(Void::text).collect()
}

fn block(scenario: &Scenario) -> Result<Block> {
    let mut plots = Vec::new();
    if scenario.entries.iter().any(|entry| entry.figure(figure::CPU_USER).is_some()) {
        plots.push(cpu(scenario)?);
    }
    if scenario.entries.iter().any(|entry| entry.latency_us.p50 > 0.0) {
        plots.push(percentiles(scenario)?);
    }
    let title = scenario.title.clone();
    let data = scenario.entries.iter().filter_map(|entry| entry.hlog.clone()).collect();
    Ok(Block { title, plots, tables: tables(scenario), data, ..Block::default() })
}

/// What a column shows of a subject; `None` where there is nothing to show.
type Cell = fn(&Entry) -> Option<String>;

/// A table each for throughput, cost, and latency in all rounds and in each: in one they would not fit on a page.
fn tables(scenario: &Scenario) -> Vec<Table> {
    let throughput: [(&str, Cell); 5] = [
        ("requests/s", |entry| {
            Some(entry.at_least().to_owned() + &with_interval(entry.sample(figure::REQUESTS)?)?)
        }),
        ("to relay", |entry| to_floor(entry, figure::REQUESTS)),
        ("to nginx", |entry| to_nginx(entry, figure::REQUESTS)),
        ("core busy, %", |entry| Some(plot::number(&(100.0 * entry.median(figure::BUSY)?)))),
        ("MB per CPU second", |entry| Some(plot::number(&entry.median(figure::MB_PER_CPU_S)?))),
    ];
    let cost: [(&str, Cell); 4] = [
        ("CPU, µs/request", |entry| tenths(entry.sample(figure::CPU)?)),
        ("to relay", |entry| to_floor(entry, figure::CPU)),
        ("to nginx", |entry| to_nginx(entry, figure::CPU)),
        ("system calls/request", |entry| Some(format!("{:.2}", entry.calls.as_ref()?.all))),
    ];
    let latency: [(&str, Cell); 4] = [
        ("p50, µs", |entry| pooled(entry, entry.latency_us.p50)),
        ("p99, µs", |entry| pooled(entry, entry.latency_us.p99)),
        ("p99.9, µs", |entry| pooled(entry, entry.latency_us.p99_9)),
        ("p99.99, µs", |entry| pooled(entry, entry.latency_us.p99_99)),
    ];
    let p50: [(&str, Cell); 4] = [
        ("p50 by round, µs", |entry| by_round(entry, figure::P50)),
        ("to relay", |entry| to_floor(entry, figure::P50)),
        ("to nginx", |entry| to_nginx(entry, figure::P50)),
        ("over direct, µs", |entry| Some(plot::number(&entry.median(figure::ADDED_P50)?))),
    ];
    // In a run that was made before that was left out it is a queue.
    let p50 = if scenario.has_added_latency() { &p50[..] } else { &p50[..3] };
    let p99: [(&str, Cell); 3] = [
        ("p99 by round, µs", |entry| by_round(entry, figure::P99)),
        ("to relay", |entry| to_floor(entry, figure::P99)),
        ("to nginx", |entry| to_nginx(entry, figure::P99)),
    ];
    let tables = [&throughput[..], &cost, &latency, p50, &p99].map(|columns| table(scenario, columns));
    tables.into_iter().filter(|table| table.header.len() > 1).collect()
}

/// The columns in which there is something.
fn table(scenario: &Scenario, columns: &[(&str, Cell)]) -> Table {
    let has = |cell: Cell| scenario.entries.iter().any(|entry| cell(entry).is_some());
    let columns: Vec<&(&str, Cell)> = columns.iter().filter(|(_, cell)| has(*cell)).collect();
    let mut table = Table::new(&["subject"]);
    table.header.extend(columns.iter().map(|(title, _)| (*title).to_owned()));
    for entry in &scenario.entries {
        let cells = columns.iter().map(|(_, cell)| cell(entry).unwrap_or_else(|| "–".into()));
        table.rows.push(std::iter::once(entry.subject.clone()).chain(cells).collect());
    }
    table
}

/// A percentile of all rounds together; `None` where too few requests lie beyond it.
fn pooled(entry: &Entry, us: f64) -> Option<String> {
    (us > 0.0).then(|| entry.at_most().to_owned() + &plot::number(&us))
}

/// The median of the rounds' percentiles.
fn by_round(entry: &Entry, name: &str) -> Option<String> {
    Some(entry.at_most().to_owned() + &with_interval(entry.sample(name)?)?)
}

/// The median and, where rounds differ, its interval.
fn with_interval(sample: &Sample) -> Option<String> {
    let [low, high] = sample.confidence.map(|value| plot::number(&value));
    let median = plot::number(&sample.median);
    Some(if low == high { median } else { format!("{median} ({low} to {high})") })
}

fn tenths(sample: &Sample) -> Option<String> {
    let [low, high] = sample.confidence;
    Some(format!("{:.1} ({low:.1} to {high:.1})", sample.median))
}

fn to_floor(entry: &Entry, name: &str) -> Option<String> {
    entry.figure(name)?.to_floor.as_ref().map(ratio)
}

fn to_nginx(entry: &Entry, name: &str) -> Option<String> {
    entry.figure(name)?.to_nginx.as_ref().map(ratio)
}

fn ratio(sample: &Sample) -> String {
    let [low, high] = sample.confidence;
    format!("{:.2} ({low:.2} to {high:.2})", sample.median)
}

/// A bar of the plot of CPU time: its parts, and what they add up to, in µs.
struct Bar<'a> {
    subject: &'a str,
    /// By the number of their style.
    parts: Vec<(usize, f64)>,
    all: f64,
}

impl Bar<'_> {
    /// User and system time; where the split is not known, both as one.
    fn of(entry: &Entry) -> Option<Bar<'_>> {
        let [user, system] = [figure::CPU_USER, figure::CPU_SYSTEM].map(|name| entry.median(name));
        let parts = match user.zip(system) {
            Some((user, system)) => vec![(0, user), (1, system)],
            None => vec![(2, entry.median(figure::CPU)?)],
        };
        let all = parts.iter().map(|(_, us)| us).sum();
        Some(Bar { subject: &entry.subject, parts, all })
    }
}

/// CPU time per request as bars of user and system time.
fn cpu(scenario: &Scenario) -> Result<Plot> {
    let bars: Vec<Bar<'_>> = scenario.entries.iter().filter_map(Bar::of).collect();
    let max = bars.iter().map(|bar| bar.all).fold(0.0, f64::max);
    let alt = format!("CPU time per request by subject, user and system; {}", scenario.title);
    let name = format!("cpu-{}", scenario.key);
    let height = 26 * bars.len() as u32 + 72;
    let styles = [
        ("user", plot::series(0).mix(0.95).filled()),
        ("system", plot::series(0).mix(0.4).filled()),
        ("split not known", plot::series(0).mix(0.65).filled()),
    ];
    let is_split = bars.iter().all(|bar| bar.parts.len() == 2);
    let entries = if is_split { &styles[..2] } else { &styles[..] };
    plot::draw(&name, &alt, (560, height), |area: &Area<'_>| -> DrawResult {
        let area = plot::legend(area, LEFT as i32, entries)?;
        let mut chart = ChartBuilder::on(&area)
            .margin_right(18)
            .x_label_area_size(44)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(plot::from_zero(max * 1.07), 0.0..bars.len() as f64)?;
        plot::bars_mesh(&mut chart, "CPU time, µs per request")?;
        for (number, bar) in bars.iter().enumerate() {
            let top = (bars.len() - number) as f64;
            let mut from = 0.0;
            for (style, us) in &bar.parts {
                let corners = [(from, top - 0.84), (from + us, top - 0.16)];
                chart.draw_series([Rectangle::new(corners, styles[*style].1)])?;
                from += us;
            }
            let (x, y) = chart.backend_coord(&(bar.all, top - 0.5));
            let (left, above) = (area.get_pixel_range().0.start, area.get_pixel_range().1.start);
            let (x, y) = (x - left, y - above);
            area.draw(&Text::new(
                bar.subject.to_owned(),
                (LEFT as i32 - 8, y),
                plot::letters_at(HPos::Right),
            ))?;
            area.draw(&Text::new(format!("{:.1}", bar.all), (x + 6, y), plot::letters_at(HPos::Left)))?;
        }
        Ok(())
    })
}

/// Latency over the percentile, both in decades: what one of so many requests has to expect.
fn percentiles(scenario: &Scenario) -> Result<Plot> {
    let points = |latency: &Percentiles| -> Vec<(f64, f64)> {
        let Percentiles { p50, p90, p99, p99_9, p99_99, .. } = *latency;
        // One of so many requests is slower.
        let points = [(2.0, p50), (10.0, p90), (100.0, p99), (1000.0, p99_9), (10_000.0, p99_99)];
        points.into_iter().filter(|(_, us)| *us > 0.0).map(|(one_of, us)| (one_of, us / 1e3)).collect()
    };
    let curves: Vec<(&str, Vec<(f64, f64)>)> = scenario
        .entries
        .iter()
        .filter(|entry| entry.latency_us.p50 > 0.0)
        .map(|entry| (entry.subject.as_str(), points(&entry.latency_us)))
        .collect();
    let scale = plot::decades(curves.iter().flat_map(|(_, points)| points.iter().map(|(_, ms)| *ms)));
    let since = if scenario.offered_per_s.is_some() { "it was due" } else { "it was sent" };
    let alt = format!("Latency percentiles by subject; {}", scenario.title);
    plot::draw(&format!("latency-{}", scenario.key), &alt, (560, 330), |area: &Area<'_>| -> DrawResult {
        let area = plot::legend(area, LEFT as i32, &lines(curves.iter().map(|(name, _)| *name)))?;
        let mut chart = ChartBuilder::on(&area)
            .margin_left(6)
            .margin_right(30)
            .margin_top(6)
            .x_label_area_size(44)
            .y_label_area_size(LEFT)
            .build_cartesian_2d((1.0..10_000.0).log_scale(), scale.log_scale())?;
        let titles = ("requests that are faster", &*format!("latency from when {since}, ms"));
        let percent = |one_of: &f64| match *one_of {
            1.0 => "0 %".into(),
            one_of => format!("{} %", ((1.0 - 1.0 / one_of) * 1e6).round() / 1e4),
        };
        plot::mesh(&mut chart, titles, (5, 6), &percent, &plot::number)?;
        for (name, points) in &curves {
            let line = plot::curve(name);
            chart.draw_series(LineSeries::new(points.clone(), line).point_size(3))?;
        }
        Ok(())
    })
}

fn lines<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(&'a str, ShapeStyle)> {
    names.map(|name| (name, plot::subject(name).filled())).collect()
}

/// Offered rate against latency, and where each subject no longer keeps up.
fn knee(sweeps: &[Sweep]) -> Result<Block> {
    let points = |sweep: &Sweep| -> Vec<(f64, f64)> {
        sweep.points.iter().map(|point| (point.offered_per_s / 1e3, point.latency_us.p99 / 1e3)).collect()
    };
    let all: Vec<(f64, f64)> = sweeps.iter().flat_map(points).collect();
    let right = plot::from_zero(all.iter().map(|(rate, _)| *rate).fold(0.0, f64::max));
    let scale = plot::decades(all.iter().map(|(_, ms)| *ms));
    let alt = "The 99th percentile of latency over the offered rate by subject, with the knee of each";
    let plot = plot::draw("knee", alt, (760, 380), |area: &Area<'_>| -> DrawResult {
        let names = sweeps.iter().map(|sweep| sweep.subject.as_str());
        let area = plot::legend(area, LEFT as i32, &lines(names))?;
        let mut chart = ChartBuilder::on(&area)
            .margin_left(6)
            .margin_right(20)
            .margin_top(6)
            .x_label_area_size(44)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(right, scale.clone().log_scale())?;
        let titles = ("offered, thousand requests/s", "p99 from when it was due, ms");
        plot::mesh(&mut chart, titles, (10, 6), &plot::number, &plot::number)?;
        for sweep in sweeps {
            let line = plot::curve(&sweep.subject);
            chart.draw_series(LineSeries::new(points(sweep), line).point_size(2))?;
            let at = |point: &Point| (point.offered_per_s / 1e3, point.latency_us.p99 / 1e3);
            let ring = sweep.point().map(|point| Circle::new(at(point), 7, line));
            chart.draw_series(ring)?;
        }
        Ok(())
    })?;
    let mut table =
        Table::new(&["subject", "knee, requests/s", "p50 there, ms", "p99 there, ms", "core busy there, %"]);
    for sweep in sweeps {
        let first = sweep.points.first().map_or(0.0, |point| point.offered_per_s);
        let knee = match (sweep.knee(), sweep.limited_by_load) {
            (None, _) => "–".into(),
            (Some(0.0), _) => format!("below {}", plot::number(&first)),
            (Some(knee), limited) if limited || sweep.ended_before_knee() => {
                format!("at least {}", plot::number(&knee))
            }
            (Some(knee), _) => plot::number(&knee),
        };
        let of = |value: fn(&Point) -> f64| {
            sweep.point().map_or("–".into(), |point| plot::number(&value(point)))
        };
        table.rows.push(vec![
            sweep.subject.clone(),
            knee,
            of(|point| point.latency_us.p50 / 1e3),
            of(|point| point.latency_us.p99 / 1e3),
            of(|point| 100.0 * point.busy),
        ]);
    }
    let disturbed: Vec<String> = sweeps
        .iter()
        .filter(|sweep| !sweep.disturbances.is_empty())
        .map(|sweep| format!("{}: {}", sweep.subject, sweep.disturbances.join(", ")))
        .collect();
    let mut text = "The rate rises until a subject no longer keeps up; of three short visits at each rate the one with the middle p99 is shown. Its knee, ringed, is the highest rate that was \
               served: nearly all requests answered, and the 99th percentile within bounds. At least means that \
               the core of the load was full before the subject's was, or that the sweep ended before a knee was found."
            .to_owned();
    if !disturbed.is_empty() {
        text.push_str(&format!(" Not shown, since its last point was disturbed: {}.", disturbed.join("; ")));
    }
    let title = "Latency against offered load".into();
    Ok(Block { title, text, plots: vec![plot], tables: vec![table], ..Block::default() })
}

fn memory(run: &Run) -> Option<Block> {
    let first = run.memory.first()?;
    let header =
        ["subject", "at rest, KiB", "saturated, KiB", "with idle clients, KiB", "each of them, bytes"];
    let mut table = Table::new(&header);
    for memory in &run.memory {
        table.rows.push(vec![
            memory.subject.clone(),
            plot::thousands(memory.rest_kib),
            run.memory_under_load_kib(&memory.subject).map_or("–".into(), |kib| plot::number(&kib)),
            plot::thousands(memory.idle_kib),
            plot::number(&memory.per_idle_connection),
        ]);
    }
    let text = format!(
        "Resident memory of all processes of a subject together; pages that they share count in each. Saturated is the most that was seen in a round of that load, the median; \
         idle are {} client \
         connections, each answered once.",
        first.idle_connections
    );
    Some(Block { title: "Memory".into(), text, tables: vec![table], ..Block::default() })
}

fn instructions(run: &Run) -> Option<Block> {
    let nginx = run.instructions.get("nginx").copied();
    let mut table = Table::new(&["subject", "instructions/request", "to nginx"]);
    let names = run.subjects.iter().map(|subject| &subject.name);
    for (name, count) in names.filter_map(|name| Some((name, *run.instructions.get(name)?))) {
        let ratio = nginx.map_or("–".into(), |nginx| format!("{:.2}", count / nginx));
        table.rows.push(vec![name.clone(), plot::number(&count), ratio]);
    }
    let text = "User space, counted by callgrind over a fixed exchange of N and one of 2N requests: their difference, once.";
    (!table.rows.is_empty()).then(|| Block {
        title: "Instructions".into(),
        text: text.into(),
        tables: vec![table],
        ..Block::default()
    })
}

/// What is not shown, and what was not measured.
fn withheld(run: &Run) -> Option<Block> {
    let mut notes: Vec<String> = run.withheld.iter().map(Void::text).collect();
    notes.extend(run.left_out.iter().map(|note| format!("not measured: {note}")));
    let text = "A figure whose rounds lie too far apart is not shown; the rounds are in the raw data.";
    (!notes.is_empty()).then(|| Block {
        title: "Not shown".into(),
        text: text.into(),
        notes,
        ..Block::default()
    })
}
