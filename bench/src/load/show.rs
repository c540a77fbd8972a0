//! What `bench load` shows: how far it has come, and a page at the end.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::LoadError;
use super::engine::Shared;
use super::outcome::{Outcome, Percentiles};
use super::plan::Plan;

/// Does `body` and shows meanwhile, on a terminal, how far it has come.
pub(super) fn with_progress(
    plan: &Plan,
    is_shown: bool,
    body: impl FnOnce(&Arc<Shared>) -> Result<Outcome, LoadError>,
) -> Result<Outcome, LoadError> {
    let shared = Arc::default();
    if !is_shown {
        return body(&shared);
    }
    let whole = plan.warm_up + plan.duration;
    let bar = ProgressBar::with_draw_target(Some(whole.as_millis() as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {msg}").expect("the template is a valid one");
    bar.set_style(style.progress_chars("=> "));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| watch(plan, &shared, &bar, &is_over));
        let _over = Over(&is_over);
        body(&shared)
    })
}

/// Ends the watch with it, also where the body panics: the scope waits for the watch.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn watch(plan: &Plan, shared: &Shared, bar: &ProgressBar, is_over: &AtomicBool) {
    let start = Instant::now();
    let mut before = (start, 0);
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(200));
        let (now, answered) = (Instant::now(), shared.answered.load(Ordering::Relaxed));
        let rate = (answered - before.1) as f64 / (now - before.0).as_secs_f64();
        before = (now, answered);
        let phase = if now - start < plan.warm_up { "warming up" } else { "measuring" };
        let failed = shared.failed.load(Ordering::Relaxed);
        bar.set_position((now - start).as_millis() as u64);
        bar.set_message(format!("{phase}  {rate:.0} requests/s  {answered} answered  {failed} failed"));
    }
    bar.finish_and_clear();
}

/// The page at the end.
pub(super) fn text(outcome: &Outcome) -> String {
    let tally = &outcome.tally;
    let mut text = format!(
        "{} requests answered in {:.2} s: {:.0} per second",
        tally.answered,
        outcome.measured.as_secs_f64(),
        outcome.rate()
    );
    if let Some(offered) = outcome.offered {
        let _ = write!(text, " of {offered:.0} offered");
    }
    if tally.body_bytes > 0 {
        let megabytes = tally.body_bytes as f64 / 1e6 / outcome.measured.as_secs_f64();
        let _ = write!(text, "; {megabytes:.1} MB/s of bodies");
    }
    text.push('\n');
    for (name, count) in tally.failures.by_name().into_iter().filter(|(_, count)| *count > 0) {
        let _ = writeln!(text, "failed: {count} ({name})");
    }
    if tally.statuses.keys().any(|status| *status != 200) {
        let counts = tally.statuses.iter().map(|(status, count)| format!("{status}: {count}"));
        let _ = writeln!(text, "statuses: {}", counts.collect::<Vec<_>>().join(", "));
    }
    if tally.unsent > 0 {
        let _ = writeln!(
            text,
            "never sent: {} were due before the end, and no connection was free for them",
            tally.unsent
        );
    }
    if tally.reopened > 0 {
        let _ = writeln!(text, "connections opened in place of ended ones: {}", tally.reopened);
    }
    let _ = writeln!(text, "\n{}", table(outcome));
    if !outcome.cpu.is_zero() {
        let _ = writeln!(
            text,
            "\nThe generator used {:.2} µs of CPU time per request; its busiest thread was {:.0} % busy.",
            outcome.summary().generator_cpu_us_per_request,
            100.0 * outcome.busy
        );
    }
    text.truncate(text.trim_end().len());
    text
}

fn table(outcome: &Outcome) -> Table {
    let tally = &outcome.tally;
    let mut rows = vec![("latency from sent", &tally.from_sent)];
    if outcome.offered.is_some() {
        rows.insert(0, ("latency from due", &tally.from_due));
        rows.push(("generator's lag", &tally.lag));
    }
    let mut table = Table::new();
    let names = Percentiles::default().by_name().map(|(name, _)| name);
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["µs", "mean"].into_iter().chain(names));
    for (name, histogram) in rows {
        let percentiles = Percentiles::of(histogram);
        let numbers = percentiles.by_name().map(|(_, us)| us);
        let cells = [percentiles.mean].into_iter().chain(numbers).map(|us| format!("{us:.0}"));
        table.add_row([name.to_owned()].into_iter().chain(cells));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
