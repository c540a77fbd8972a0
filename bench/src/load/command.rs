//! `bench load` on the command line: options to a [`Plan`], and what came of it to wherever it is wanted.

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::hlog::Log;
use super::outcome::Outcome;
use super::plan::{Check, Pace, Plan, Request, Target};
use super::{LoadError, run_shared, show};
use crate::lab::{self, LabError};
use crate::output::{self, ResultFile};

/// What is asked, how often, and what the answers have to be.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    bench load http://127.0.0.1:8080/ --rate 8000\n  \
    bench load \"http://127.0.0.1:8080/ weight=9\" \"http://127.0.0.1:8080/bytes/16384 weight=1\" --rate 2000 --poisson\n  \
    bench load http://127.0.0.1:8080/ --closed --duration 5s        as fast as it answers\n  \
    bench load http://127.0.0.1:8080/ --rate 500 --close            a connection for each request\n  \
    bench load --merge a.hlog b.hlog                                two generators as one")]
pub struct Options {
    /// What to ask for, as `URL` or `"URL weight=N"`; all on one server. The bodies of the backend's /bytes/N and
    /// /chunked/N are checked byte by byte
    #[arg(required_unless_present = "merge", value_name = "URL")]
    pub urls: Vec<String>,
    /// Open loop: requests per second that are due, whatever the server does. Without it: closed loop, each
    /// connection asks again as soon as it is answered
    #[arg(long, value_name = "N", value_parser = rate)]
    pub rate: Option<f64>,
    /// Closed loop, as without --rate: as fast as the server answers
    #[arg(long, conflicts_with = "rate")]
    pub closed: bool,
    /// Requests are due at random, as many independent users ask, and not evenly
    #[arg(long, requires = "rate")]
    pub poisson: bool,
    /// The rate rises evenly from 0 for so long
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s", requires = "rate")]
    pub ramp: Duration,
    /// How long it is measured
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    pub duration: Duration,
    /// How long load is on before it is measured; 1s where --requests does not say how many there are, else 0s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub warm_up: Option<Duration>,
    /// End after so many requests, those of the warm-up included
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: Option<u64>,
    /// Connections
    #[arg(long, short, value_name = "N", default_value_t = 64)]
    pub connections: usize,
    /// Threads; each has its share of the connections
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
    /// The cores of the threads
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub cores: Vec<usize>,
    /// A connection for each request
    #[arg(long)]
    pub close: bool,
    /// Requests in flight on a connection
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "close")]
    pub pipeline: usize,
    /// The method
    #[arg(long, value_name = "NAME")]
    pub method: Option<String>,
    /// A field of the request
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The body of the request; @FILE takes it from a file. The method is then POST
    #[arg(long, value_name = "TEXT")]
    pub body: Option<String>,
    /// A body of so many bytes of the backend's pattern
    #[arg(long, value_name = "BYTES", conflicts_with = "body")]
    pub body_size: Option<usize>,
    /// The status that is expected; else any from 200 to 399
    #[arg(long, value_name = "CODE")]
    pub status: Option<u16>,
    /// The length that bodies have to have
    #[arg(long, value_name = "BYTES")]
    pub length: Option<u64>,
    /// How bodies have to begin
    #[arg(long, value_name = "TEXT")]
    pub body_prefix: Option<String>,
    /// How long a response may take
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    pub timeout: Duration,
    /// The length of an interval in the histogram log
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    pub interval: Duration,
    /// Of the random source
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Write the results as JSON to a file; - is the standard output, which then has nothing else
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the histograms to a file, as the interval log that HdrHistogram tools read
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,
    /// Put no load on: add up histogram files of several generators
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["urls", "rate", "requests"])]
    pub merge: Vec<PathBuf>,
}

/// Puts the load on, or merges, and shows what came of it.
///
/// # Errors
///
/// Where an option makes no sense, the server cannot be reached, or a file cannot be written. Failed requests are
/// no error of the command: they are in what it prints.
pub fn main(options: &Options) -> Result<(), LoadError> {
    let is_alone = options.json.as_deref() == Some(Path::new("-"));
    let json_file = options.json.as_deref().filter(|_| !is_alone).map(ResultFile::open).transpose()?;
    let hlog_file = options.hlog.as_deref().map(ResultFile::open).transpose()?;
    let (outcome, log) = if options.merge.is_empty() {
        lab::raise_open_files()?;
        let plan = plan(options)?;
        let outcome = show::with_progress(&plan, !is_alone, |shared| {
            end_early_on_a_signal(&shared.stop)?;
            run_shared(&plan, shared)
        })?;
        let log = Log::of(&outcome, plan.interval);
        (outcome, log)
    } else {
        let mut sum = Log::default();
        for file in &options.merge {
            sum.add(Log::read(file).map_err(in_file(file))?);
        }
        (sum.outcome(), sum)
    };
    // What took minutes is seen first, whatever happens to the files.
    let json = json(&outcome, !options.merge.is_empty());
    let shown = if is_alone { json.clone() } else { show::text(&outcome) };
    output::print(shown)?;
    if let Some(file) = json_file {
        file.write(&json)?;
    }
    if let Some(file) = hlog_file {
        file.write(&log.text()?)?;
    }
    Ok(())
}

/// The first signal ends the run, and what was measured until then is shown; the second one ends the program.
fn end_early_on_a_signal(stop: &Arc<AtomicBool>) -> std::io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(stop))?;
        flag::register(signal, Arc::clone(stop))?;
    }
    Ok(())
}

/// What a histogram file does not hold, by its name in a [`Summary`](super::Summary): a merged result does not know it.
const NOT_IN_FILES: [&str; 7] = [
    "answered_in_all",
    "failed_in_all",
    "statuses",
    "body_bytes",
    "reopened",
    "generator_cpu_us_per_request",
    "generator_busy",
];

fn json(outcome: &Outcome, is_merged: bool) -> String {
    let summary = outcome.summary();
    let text = if is_merged {
        let mut value = serde_json::to_value(summary).expect("numbers and words");
        if let Some(object) = value.as_object_mut() {
            object.retain(|name, _| !NOT_IN_FILES.contains(&name.as_str()));
        }
        serde_json::to_string_pretty(&value)
    } else {
        serde_json::to_string_pretty(&summary)
    };
    text.expect("numbers and words")
}

fn in_file(file: &Path) -> impl Fn(std::io::Error) -> LoadError {
    move |source| LabError::File { file: file.to_owned(), source }.into()
}

/// The plan that the options describe.
fn plan(options: &Options) -> Result<Plan, LoadError> {
    let wrong = |text: String| Err(LoadError::Option(text));
    let Options { connections, threads, pipeline, .. } = *options;
    if threads == 0 || pipeline == 0 || connections < threads {
        return wrong(format!(
            "--threads {threads} --connections {connections} --pipeline {pipeline}: each is at least 1, and each thread \
             has at least one connection"
        ));
    }
    let there = lab::allowed_cores()?;
    if let Some(core) = options.cores.iter().find(|core| !there.contains(core)) {
        return wrong(format!("--cores {core}: this process may use {}", lab::list(&there)));
    }
    if options.duration.is_zero() || options.interval.is_zero() || options.timeout.is_zero() {
        return wrong("--duration, --interval and --timeout are to be more than 0".into());
    }
    let body = match (&options.body, options.body_size) {
        (Some(text), _) => match text.strip_prefix('@') {
            Some(file) => fs::read(file).map_err(in_file(Path::new(file)))?,
            None => text.clone().into_bytes(),
        },
        (None, Some(size)) => {
            let mut body = Vec::new();
            backend::pattern::append(&mut body, 0, size);
            body
        }
        (None, None) => Vec::new(),
    };
    let method = options.method.as_deref().unwrap_or(if body.is_empty() { "GET" } else { "POST" });
    for field in &options.headers {
        if field.split_once(':').is_none_or(|(name, _)| name.is_empty()) || field.contains(['\r', '\n']) {
            return wrong(format!("--header {field:?} is not NAME: VALUE"));
        }
    }
    let mut address = None;
    let mut targets = Vec::new();
    for text in &options.urls {
        let url = Url::parse(text).map_err(LoadError::Option)?;
        let this = url.resolve()?;
        if *address.get_or_insert(this) != this {
            return wrong(format!(
                "{text} is on another server than {}; run a generator for each and add up their --hlog with --merge",
                options.urls[0]
            ));
        }
        let check = Check {
            status: options.status,
            length: options.length,
            prefix: options.body_prefix.clone().unwrap_or_default().into_bytes(),
        };
        let fields = &options.headers;
        let keep_alive = !options.close;
        let request = Request { method, host: url.host, path: url.path, fields, body: &body, keep_alive };
        // What else is expected stands on the command line.
        let is_pattern = method == "GET" && options.length.is_none() && options.body_prefix.is_none();
        targets.push(Target {
            bytes: request.bytes(),
            weight: url.weight,
            is_head: method == "HEAD",
            check: if is_pattern { check.and_pattern_of(url.path) } else { check },
        });
    }
    let Some(address) = address else { return wrong("say a URL".into()) };
    let pace = match options.rate {
        None => Pace::Saturate,
        Some(rate) if options.poisson => Pace::Poisson(rate),
        Some(rate) => Pace::Constant(rate),
    };
    Ok(Plan {
        address,
        targets,
        pace,
        ramp: options.ramp,
        warm_up: options.warm_up.unwrap_or(match options.requests {
            Some(_) => Duration::ZERO,
            None => Duration::from_secs(1),
        }),
        duration: options.duration,
        limit: options.requests,
        connections,
        threads,
        cores: options.cores.clone(),
        keep_alive: !options.close,
        pipeline,
        timeout: options.timeout,
        interval: options.interval,
        seed: options.seed,
    })
}

/// `http://HOST[:PORT][/PATH][ weight=N]`.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    host: &'a str,
    path: &'a str,
    weight: u32,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Result<Url<'a>, String> {
        let mut words = text.split_whitespace();
        let url = words.next().unwrap_or_default();
        let weight = match words.next() {
            None => 1,
            Some(word) => word
                .strip_prefix("weight=")
                .and_then(|digits| digits.parse::<u32>().ok())
                .filter(|weight| *weight > 0)
                .ok_or_else(|| format!("{text:?}: after the URL only weight=N may stand, N at least 1"))?,
        };
        let rest =
            url.strip_prefix("http://").ok_or_else(|| format!("{url:?} does not begin with http://"))?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if host.is_empty() || words.next().is_some() {
            return Err(format!(
                "{text:?} is not http://HOST:PORT/PATH or \"http://HOST:PORT/PATH weight=N\""
            ));
        }
        Ok(Url { host, path: if path.is_empty() { "/" } else { path }, weight })
    }

    fn resolve(&self) -> Result<SocketAddr, LoadError> {
        let has_port = self.host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let with_port = if has_port { self.host.to_owned() } else { format!("{}:80", self.host) };
        let unknown = |why: String| LoadError::Option(format!("{} has no address: {why}", self.host));
        let mut addresses = with_port.to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
        addresses.next().ok_or_else(|| unknown("none was found".into()))
    }
}

/// A time on the command line: `500ms`, `10s`, `2m`, `1m30s`; at most a day.
///
/// # Errors
///
/// With a line that shows the form.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a time; say 500ms, 10s or 1m30s");
    let mut sum_ms = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = rest.split_at(digits);
        let letters = unit.find(|letter: char| letter.is_ascii_digit()).unwrap_or(unit.len());
        let factor = match &unit[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let number = number.parse::<u64>().map_err(|_| wrong())?;
        sum_ms = number.checked_mul(factor).and_then(|ms| sum_ms.checked_add(ms)).ok_or_else(wrong)?;
        rest = &unit[letters..];
    }
    let is_time = !text.is_empty() && sum_ms <= 86_400_000;
    if is_time { Ok(Duration::from_millis(sum_ms)) } else { Err(wrong()) }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.01..=1e8).contains(rate));
    rate.ok_or_else(|| format!("'{text}' is not a rate; say requests per second, such as 8000 or 0.5"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn a_core_that_is_not_there_is_named() {
        for (cores, culprit) in [("0,99999", "99999"), ("2000", "2000")] {
            let line = ["load", "http://127.0.0.1:1/", "--threads", "2", "--cores", cores];
            let error = plan(&<Line as clap::Parser>::parse_from(line).options).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--cores {culprit}: this process may use ")), "{error}");
        }
    }

    #[test]
    fn a_merged_result_is_silent_on_what_files_do_not_hold() {
        let outcome = Log::default().outcome();
        let names = |is_merged| -> Vec<String> {
            let value: serde_json::Value = serde_json::from_str(&json(&outcome, is_merged)).unwrap();
            value.as_object().unwrap().keys().cloned().collect()
        };
        let (all, merged) = (names(false), names(true));
        assert_eq!(all.len(), merged.len() + NOT_IN_FILES.len());
        assert!(
            merged.iter().any(|name| name == "answered") && !merged.iter().any(|name| name == "statuses")
        );
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["", "10", "s", "-1s", "1d", "25h", "99999999999999999999s"] {
            assert!(duration(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn urls_have_weights() {
        let url = Url::parse("http://127.0.0.1:8080 weight=3").unwrap();
        assert_eq!(url, Url { host: "127.0.0.1:8080", path: "/", weight: 3 });
        assert_eq!(url.resolve().unwrap(), "127.0.0.1:8080".parse().unwrap());
        let url = Url::parse("http://127.0.0.1/a?b").unwrap();
        assert_eq!(url, Url { host: "127.0.0.1", path: "/a?b", weight: 1 });
        assert_eq!(url.resolve().unwrap(), "127.0.0.1:80".parse().unwrap());
        for wrong in ["", "https://a/", "http://", "http:///a", "http://a weight=0", "http://a weight=1 x"] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }
}
