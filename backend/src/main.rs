//! `backend`: arguments to [`Options`], then the server until a signal ends it.

mod exit;

use std::process::ExitCode;
use std::time::Duration;

use backend::{Options, Serve, Server, options};
use clap::Parser;
use rustix::process::{Resource, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const HELP: &str = "\
PAGES:
  /              Hello from NAME! Hits: 42
  /bytes/N       N bytes (up to 1 GiB), each a function of its offset
  /chunked/N     the same bytes in chunks of varying sizes
  /delay/MS      an answer after MS milliseconds (up to 60000)
  /status/CODE   an answer with that status (200 to 599)
  /echo          the request as it was received: head, then body (up to 16 MiB)
  /healthz       ok

EXAMPLES:
  Two names and one counter in memory:
    backend --serve app1=127.0.0.1:5001 --serve app2=127.0.0.1:5002
  The counter in Redis, shared with other processes:
    backend --serve app1=0.0.0.0:5000 --redis redis://redis:6379/0
  One slow name, and one whose every tenth answer is a 500:
    backend --serve slow=127.0.0.1:5001,delay=50ms --serve bad=127.0.0.1:5002,fail_rate=0.1

EXIT STATUS:
  0 after SIGTERM or SIGINT, 1 where starting fails, 2 for a mistake on the command line";

/// A minimal HTTP/1.1 origin with a hit counter, to stand behind a proxy.
#[derive(Parser)]
#[command(version, after_help = HELP)]
struct Arguments {
    /// A name and where it listens: NAME=HOST:PORT or NAME=unix:PATH, then ,delay=TIME and ,fail_rate=SHARE
    /// for this name alone; may be repeated
    #[arg(long, value_name = "NAME=ADDRESS")]
    serve: Vec<Serve>,
    /// Count hits in this Redis instead of in memory; while it is away, GET / answers 503
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// The Redis key that holds the counter
    #[arg(long, default_value = "hits", requires = "redis", value_parser = options::key)]
    key: String,
    /// Threads, or auto: one per core
    // Hyphens, so that `--workers -1` is a bad value, not an unknown flag.
    #[arg(allow_hyphen_values = true)]
    #[arg(long, value_name = "N", default_value = "1", value_parser = options::workers)]
    workers: usize,
    /// GET / greets without a counter
    #[arg(long, conflicts_with = "redis")]
    plain: bool,
    /// Wait so long before every answer to GET /: 50ms or 2s, at most 60s
    #[arg(allow_hyphen_values = true)]
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = options::delay)]
    delay: Duration,
    /// The share of answers to GET / that are a 500, 0 to 1
    #[arg(allow_hyphen_values = true)]
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = options::share)]
    fail_rate: f64,
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit::from_clap(&error),
    };
    let mut options = Options::new(arguments.serve);
    options.redis = arguments.redis;
    options.key = arguments.key;
    options.workers = arguments.workers;
    options.plain = arguments.plain;
    options.delay = arguments.delay;
    options.fail_rate = arguments.fail_rate;
    // Before the workers start, so that no signal ends the process unannounced.
    let mut signals = match Signals::new([SIGTERM, SIGINT]) {
        Ok(signals) => signals,
        Err(error) => return exit::from_signals(&error),
    };
    raise_descriptor_limit();
    let server = match Server::start(options) {
        Ok(server) => server,
        Err(error) => return exit::from_start(&error),
    };
    for (name, address) in server.addresses() {
        log::info!("{name} listens on {address}");
    }
    signals.forever().next();
    server.stop();
    ExitCode::SUCCESS
}

/// Each connection needs a descriptor; the soft limit is often far below what may be used.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::warn!("cannot raise the limit of open files: {error}");
    }
}
