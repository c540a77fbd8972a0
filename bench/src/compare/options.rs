//! The command line of `bench compare`.

use std::path::PathBuf;

use super::scenario::Scenario;
use crate::lab::Kind;

/// What is compared, under what, and for how long.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Loads:  saturated single rate-N body-16k, and with --full body-1m upload-1m connections; redis with --redis\n\
Beside them:  calls (system calls), and with --full sweep, memory, instructions\n\n\
Examples:\n  \
    bench compare --quick\n  \
    bench compare --full --redis --out bench/runs/my-machine\n  \
    bench compare --only saturated,calls --subjects proxy,nginx --rounds 7")]
pub struct Options {
    /// A look that takes a minute; this is the default
    #[arg(long, conflicts_with = "full")]
    pub quick: bool,
    /// A run worth keeping: everything, in under a quarter of an hour on a quiet machine
    #[arg(long)]
    pub full: bool,
    /// The page with its counter in Redis, too
    #[arg(long)]
    pub redis: bool,
    /// Good rounds of each load; 3, which are the fewest, with --full 9
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..=99))]
    pub rounds: Option<u32>,
    /// Seconds of load on each subject in a round; 0.4, with --full 0.6 and at offered rates 1.5
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<f64>,
    /// Offered rates, in requests per second; 8000, with --full 2000,8000,16000
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub rates: Vec<f64>,
    /// Only these loads and measurements; calls are counted under saturated where no load is named that they are counted under
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Only these subjects, and direct; else all that are installed
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub subjects: Vec<String>,
    /// Let idle cores be halted, as they are outside of measurements
    #[arg(long)]
    pub may_sleep: bool,
    /// The subject's core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub subject_core: usize,
    /// The core of load and origins
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub load_core: usize,
    /// Where the results go; else bench/runs/DATE-HOST or, outside of the project's folder, DATE-HOST
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Take proxy, backend and bench from this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    pub binaries: Option<PathBuf>,
}

/// The options, complete and checked.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) is_full: bool,
    pub(super) redis: bool,
    pub(super) may_sleep: bool,
    pub(super) rounds: u32,
    pub(super) seconds: f64,
    /// The same at an offered rate: nine times 1.5 s at 8000 per second are the 100,000 requests that a p99.99 takes.
    pub(super) rate_seconds: f64,
    pub(super) rates: Vec<f64>,
    pub(super) only: Vec<String>,
    pub(super) kinds: Vec<Kind>,
}

impl Settings {
    /// What is wrong, in a line.
    pub(super) fn of(options: &Options) -> Result<Settings, String> {
        let is_full = options.full;
        let mut rates = options.rates.clone();
        if rates.is_empty() {
            rates = if is_full { vec![2000.0, 8000.0, 16000.0] } else { vec![8000.0] };
        }
        if let Some(rate) = rates.iter().find(|rate| !(1.0..=1e7).contains(*rate)) {
            return Err(format!("--rates {rate}: a rate is 1 to 10000000 requests per second"));
        }
        let seconds = options.seconds.unwrap_or(if is_full { 0.6 } else { 0.4 });
        if !(0.1..=3600.0).contains(&seconds) {
            return Err(format!("--seconds {seconds}: a round takes 0.1 to 3600 seconds"));
        }
        let known = |name: &&String| Kind::ALL.iter().any(|kind| kind.name() == name.as_str());
        if let Some(name) = options.subjects.iter().find(|name| !known(name)) {
            let all = Kind::ALL.map(Kind::name).join(", ");
            return Err(format!("--subjects {name}: there are {all}"));
        }
        let mut kinds = Kind::ALL.to_vec();
        kinds.retain(|kind| {
            options.subjects.is_empty() || options.subjects.iter().any(|name| name == kind.name())
        });
        let mut settings = Settings {
            is_full,
            redis: options.redis,
            may_sleep: options.may_sleep,
            rounds: options.rounds.unwrap_or(if is_full { 9 } else { 3 }),
            seconds,
            rate_seconds: options.seconds.unwrap_or(if is_full { 1.5 } else { seconds }),
            rates,
            only: options.only.clone(),
            kinds,
        };
        // Calls are counted beside a load: without one there would be nothing.
        let counts_calls = |scenario: &Scenario| scenario.counts_calls;
        if options.only.iter().any(|name| name == "calls")
            && !Scenario::all(&settings).iter().any(counts_calls)
        {
            settings.only.push("saturated".into());
        }
        let all = super::names(&settings);
        match options.only.iter().find(|name| !all.contains(name)) {
            Some(name) => {
                Err(format!("--only {name}: here are {}; --full and --redis have more", all.join(", ")))
            }
            None => Ok(settings),
        }
    }

    /// Whether a load or measurement is to be made.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn settings(line: &str) -> Result<Settings, String> {
        Settings::of(&Line::parse_from(["compare"].into_iter().chain(line.split_whitespace())).options)
    }

    #[test]
    fn a_run_is_what_the_line_says() {
        let settings = settings("--full --only sweep,rate-500 --rates 500 --subjects nginx,proxy").unwrap();
        assert_eq!(settings.kinds, [Kind::Proxy, Kind::Nginx]);
        assert_eq!((settings.rounds, settings.seconds, settings.rate_seconds), (9, 0.6, 1.5));
        assert!(settings.wants("sweep") && !settings.wants("memory"));
    }

    #[test]
    fn a_full_run_has_the_requests_for_its_last_percentile() {
        let settings = settings("--full").unwrap();
        let rate = settings.rates.iter().find(|rate| **rate == 8000.0).unwrap();
        assert!(f64::from(settings.rounds) * settings.rate_seconds * rate >= 104_000.0);
    }

    #[test]
    fn calls_are_never_counted_under_nothing() {
        for (line, only) in [
            ("--only calls", "calls,saturated"),
            ("--only calls,body-16k", "calls,body-16k,saturated"),
            ("--only calls,saturated", "calls,saturated"),
            ("--full --only calls,single", "calls,single"),
            ("--only body-16k", "body-16k"),
        ] {
            assert_eq!(settings(line).unwrap().only.join(","), only, "{line}");
        }
    }

    /// One or two have no spread: their interval would be a point, or all there is.
    #[test]
    fn a_run_has_three_rounds_or_more() {
        let parse = |rounds| Line::try_parse_from(["compare", "--rounds", rounds]);
        assert!(parse("3").is_ok());
        for few in ["0", "1", "2"] {
            let error = parse(few).err().expect(few).to_string();
            assert!(error.contains("3..=99"), "{error}");
        }
        assert_eq!(settings("--quick").unwrap().rounds, 3);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, culprit) in [
            ("--rates 0", "--rates 0"),
            ("--seconds 0", "--seconds 0"),
            ("--subjects ngnix", "ngnix"),
            ("--only sweep", "sweep"),
            ("--only rate-1", "rate-1"),
            ("--only redis", "redis"),
        ] {
            assert!(settings(line).unwrap_err().contains(culprit), "{line}");
        }
    }
}
