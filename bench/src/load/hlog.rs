//! Histograms as an interval log, the format of the HdrHistogram tools.
//!
//! Three kinds of lines, by their tag: `due`, one for each interval; `sent` and `lag`, one for the whole run. Values
//! are nanoseconds. The counts that are no histogram stand in comments of their own. Logs add up: that is how
//! several generators, on several machines, give one result.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{
    IntervalLogIterator, IntervalLogWriterBuilder, IntervalLogWriterError, LogEntry, Tag,
};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use super::outcome::{Failures, Outcome, Tally, add};

/// One or several runs' histograms.
#[derive(Clone, Debug, Default)]
pub struct Log {
    entries: Vec<Entry>,
    counts: Counts,
}

/// A histogram over some time.
#[derive(Clone, Debug)]
struct Entry {
    tag: &'static str,
    /// Since the Unix epoch.
    start: Duration,
    length: Duration,
    histogram: Histogram<u64>,
}

/// Counts that are no histogram; in a file they stand in this order.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Counts(
    Failures,
    /// Never sent.
    u64,
    /// Requests per second that were offered; of several runs the sum.
    f64,
    /// Requests that were due while it was measured: what the rates of runs of any length add up to. A file that was written
    /// before this was kept has none.
    #[serde(default)]
    Option<f64>,
);

const TAGS: [&str; 3] = ["due", "sent", "lag"];

/// Opens the comment that holds the counts.
const COUNTS: &str = "counts: ";

impl Log {
    /// Of a run whose intervals had this length.
    pub fn of(outcome: &Outcome, interval: Duration) -> Log {
        let start = outcome.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut entries: Vec<_> = outcome
            .tally
            .intervals
            .iter()
            .map(|part| Entry {
                tag: "due",
                start: start + interval * part.number as u32,
                length: interval,
                histogram: part.from_due.clone(),
            })
            .collect();
        for (tag, histogram) in [("sent", &outcome.tally.from_sent), ("lag", &outcome.tally.lag)] {
            entries.push(Entry { tag, start, length: outcome.measured, histogram: histogram.clone() });
        }
        let offered = outcome.offered.unwrap_or_default();
        let due = offered * outcome.measured.as_secs_f64();
        Log { entries, counts: Counts(outcome.tally.failures, outcome.tally.unsent, offered, Some(due)) }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Where it cannot be read or is no log of this generator's.
    pub fn read(file: &Path) -> io::Result<Log> {
        Log::parse(&fs::read(file)?)
    }

    fn parse(bytes: &[u8]) -> io::Result<Log> {
        let bad = |what: &str| io::Error::other(format!("not a log of bench load: {what}"));
        let mut log = Log::default();
        let comment = String::from_utf8_lossy(bytes);
        let counts = comment.lines().find_map(|line| line.strip_prefix('#')?.strip_prefix(COUNTS));
        let counts = counts.ok_or_else(|| bad("it has no counts"))?;
        log.counts = serde_json::from_str(counts).map_err(|error| bad(&error.to_string()))?;
        let mut base = Duration::ZERO;
        let mut deserializer = Deserializer::new();
        for entry in IntervalLogIterator::new(bytes) {
            match entry.map_err(|error| bad(&format!("{error:?}")))? {
                LogEntry::BaseTime(time) => base = time,
                LogEntry::StartTime(_) => {}
                LogEntry::Interval(part) => {
                    let tag = part.tag().map_or("", |tag| tag.as_str());
                    let tag = TAGS.into_iter().find(|known| *known == tag);
                    let tag = tag.ok_or_else(|| bad("a line has an unknown tag"))?;
                    let encoded =
                        BASE64.decode(part.encoded_histogram()).map_err(|error| bad(&error.to_string()))?;
                    let read = deserializer.deserialize(&mut &encoded[..]);
                    let histogram = read.map_err(|error| bad(&error.to_string()))?;
                    let start = base + part.start_timestamp();
                    log.entries.push(Entry { tag, start, length: part.duration(), histogram });
                }
            }
        }
        Ok(log)
    }

    /// Adds another generator's, or another run's of the same one.
    pub fn add(&mut self, other: Log) {
        let due = self.due() + other.due();
        self.entries.extend(other.entries);
        self.entries.sort_by_key(|entry| entry.start);
        let Counts(failures, unsent, offered, _) = other.counts;
        self.counts.0.add(&failures);
        self.counts.1 += unsent;
        self.counts.2 += offered;
        self.counts.3 = Some(due);
    }

    /// When each run was measured: its start and its length, in order.
    fn runs(&self) -> impl Iterator<Item = (Duration, Duration)> {
        let runs = self.entries.iter().filter(|entry| entry.tag == "sent");
        runs.map(|entry| (entry.start, entry.length))
    }

    /// Requests that were due. A file without their number is of one run, or of several that were alike.
    fn due(&self) -> f64 {
        let Counts(_, _, offered, due) = self.counts;
        let seconds: f64 = self.runs().map(|(_, length)| length.as_secs_f64()).sum();
        due.unwrap_or_else(|| offered * seconds / self.runs().count().max(1) as f64)
    }

    /// The time in which at least one run was measured: of generators at the same time it is that of one of them, of
    /// runs one after the other the sum, without the pauses between them.
    fn measured(&self) -> Duration {
        let (mut sum, mut end) = (Duration::ZERO, Duration::ZERO);
        for (start, length) in self.runs() {
            sum += (start + length).saturating_sub(end.max(start));
            end = end.max(start + length);
        }
        sum.max(Duration::from_nanos(1))
    }

    /// The whole as one run's outcome; what a log does not keep is 0.
    pub fn outcome(&self) -> Outcome {
        let Counts(failures, unsent, ..) = self.counts;
        let mut tally = Tally { failures, unsent, ..Tally::default() };
        let start = self.entries.iter().map(|entry| entry.start).min().unwrap_or_default();
        for entry in &self.entries {
            let to = match entry.tag {
                "due" => &mut tally.from_due,
                "sent" => &mut tally.from_sent,
                _ => &mut tally.lag,
            };
            add(to, &entry.histogram);
        }
        tally.answered = tally.from_due.len();
        let measured = self.measured();
        Outcome {
            started: UNIX_EPOCH + start,
            measured,
            offered: Some(self.due() / measured.as_secs_f64()).filter(|offered| *offered > 0.0),
            answered_in_all: tally.answered,
            failed_in_all: tally.failures.sum(),
            tally,
            cpu: Duration::ZERO,
            busy: 0.0,
        }
    }

    /// Writes a file.
    ///
    /// # Errors
    ///
    /// Where that fails.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        fs::write(file, self.text()?)
    }

    /// As a file holds it.
    pub(super) fn text(&self) -> io::Result<String> {
        let mut bytes = Vec::new();
        let start = self.entries.iter().map(|entry| entry.start).min().unwrap_or_default();
        // The format has milliseconds.
        let start = Duration::from_millis(start.as_millis() as u64);
        let counts = serde_json::to_string(&self.counts).expect("numbers");
        let mut serializer = V2DeflateSerializer::new();
        let mut log = IntervalLogWriterBuilder::new()
            .add_comment("latency in ns; due: from when requests were due, by interval; sent: from when they were sent")
            .add_comment("lag: how late the generator was")
            .add_comment(&format!("{COUNTS}{counts}"))
            .with_base_time(UNIX_EPOCH + start)
            .with_max_value_divisor(1e9)
            .begin_log_with(&mut bytes, &mut serializer)?;
        for entry in &self.entries {
            let since = entry.start.saturating_sub(start);
            let written = log.write_histogram(&entry.histogram, since, entry.length, Tag::new(entry.tag));
            written.map_err(|error| match error {
                IntervalLogWriterError::IoError(error) => error,
                IntervalLogWriterError::SerializeError(error) => io::Error::other(format!("{error:?}")),
            })?;
        }
        bytes.flush()?;
        String::from_utf8(bytes).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::plan::{Pace, Plan, Target};
    use super::*;

    fn outcome(started: SystemTime, answers_ms: &[u64]) -> Outcome {
        let address = "127.0.0.1:1".parse().unwrap();
        let target = Target::get(address, "/", b"");
        let plan = Plan {
            pace: Pace::Constant(1000.0),
            ..Plan::saturate(target, address, 1, Duration::from_secs(2))
        };
        let mut tally = Tally { unsent: 3, ..Tally::default() };
        for (number, ms) in answers_ms.iter().enumerate() {
            tally.answered(number as u64, 0, 1_000, ms * 1_000_000);
            tally.lag.record(2_000).unwrap();
        }
        tally.failures.timeout = 1;
        Outcome { tally, ..Outcome::new(&plan, started) }
    }

    fn through_a_file(log: &Log) -> Log {
        Log::parse(log.text().unwrap().as_bytes()).unwrap()
    }

    #[test]
    fn logs_add_up() {
        let second = Duration::from_secs(1);
        let start = UNIX_EPOCH + 1_000_000 * second;
        let mut one = through_a_file(&Log::of(&outcome(start, &[10, 20]), second));
        let other = through_a_file(&Log::of(&outcome(start, &[30]), second));
        one.add(other);
        let sum = through_a_file(&one).outcome();
        assert_eq!(sum.started, start);
        assert_eq!(sum.measured, 2 * second);
        assert_eq!(sum.offered, Some(2000.0));
        assert_eq!((sum.tally.answered, sum.tally.unsent, sum.tally.failures.timeout), (3, 6, 2));
        assert_eq!(sum.tally.from_sent.len(), 3);
        assert_eq!(sum.tally.lag.len(), 3);
        let max_ms = sum.tally.from_due.max() as f64 / 1e6;
        assert!((max_ms / 30.0 - 1.0).abs() < 2e-3, "{max_ms}");
    }

    #[test]
    fn runs_one_after_the_other_average() {
        let second = Duration::from_secs(1);
        let mut sum = Log::default();
        let start = UNIX_EPOCH + 1_000_000 * second;
        // Each of 2 s, with pauses between them; of the third one half lies in the second.
        for after in [0, 60, 61] {
            sum.add(through_a_file(&Log::of(&outcome(start + after * second, &[10, 20]), second)));
        }
        let sum = through_a_file(&sum).outcome();
        assert_eq!(sum.measured, 5 * second);
        assert_eq!(sum.offered, Some(6000.0 / 5.0));
        assert_eq!(sum.rate(), 6.0 / 5.0);
        // A run that lies within another one adds no time.
        let long = Outcome { measured: 9 * second, ..outcome(start, &[10]) };
        let mut sum = Log::of(&long, second);
        sum.add(Log::of(&outcome(start + second, &[10]), second));
        assert_eq!(sum.outcome().measured, 9 * second);
        assert_eq!(sum.outcome().offered, Some(11_000.0 / 9.0));
    }

    /// As they were written before the number of requests due stood in them.
    #[test]
    fn older_files_are_understood() {
        let second = Duration::from_secs(1);
        let start = UNIX_EPOCH + 1_000_000 * second;
        let text = Log::of(&outcome(start, &[10]), second).text().unwrap();
        let older = text.replace(",3,1000.0,2000.0]", ",3,1000.0]");
        assert_ne!(text, older);
        assert_eq!(Log::parse(older.as_bytes()).unwrap().outcome().offered, Some(1000.0));
    }

    #[test]
    fn another_file_is_refused() {
        assert!(Log::parse(b"#[BaseTime: 1.0 (seconds since epoch)]\n").is_err());
        assert!(Log::parse(b"").is_err());
    }
}
