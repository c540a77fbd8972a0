//! One case: load on a subject, the fault and its end at their times, and the figures.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Signal, kill_process};

use super::fault::Fault;
use super::model::{Bucket, Event, Figures, Rules, Seen};
use super::servers::Servers;
use super::watch::Watch;
use crate::lab::{self, Arranged, BODY_MARK, Binaries, Cores, Kind, LabError, Running, Setup};
use crate::load::{self, LoadError, Outcome, Pace, Plan, Target};

/// Past every timeout of the subjects: who has no answer by then will get none.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the processes of an upgrade may take to hand over.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(10);

/// How the case was.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// Something did not start, or did not do what it was told.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The load could not be put on.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Somebody else was quicker to take the port.
    #[error("something that is not ours answers on {0}; once more, please")]
    Impostor(SocketAddr),
    /// The kernel refused something that always works.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Plays one fault to one subject.
///
/// # Errors
///
/// Where something does not start or come back; what happens to requests is a figure and no error.
pub(super) fn play(
    fault: Fault,
    subject: &Arranged,
    rules: &Rules,
    binaries: &Binaries,
    cores: Cores,
) -> Result<Seen, PlayError> {
    let mut servers = Servers::start(fault, binaries, cores.load)?;
    let [_, app2] = servers.addresses();
    let setup = rules.setup(servers.addresses());
    let hits_at_start = servers.hits()?;
    let running = if fault == Fault::Upgrade {
        subject.start_upgradable(&setup, cores.subject)?
    } else {
        subject.start(&setup, cores.subject)?
    };
    if servers.hits()? == hits_at_start {
        return Err(PlayError::Impostor(running.address));
    }
    let watch = Watch::start(&running.log, subject.kind, "app2", app2)?;
    let hits_before = servers.hits()?;

    let plan = rules.plan(running.address, cores.load);
    let (outcome, moments) = thread::scope(|scope| {
        let load = scope.spawn(|| load::run(&plan));
        let moments = act(fault, subject.kind, &running, &mut servers, rules);
        let outcome = load.join().expect("the load does not panic");
        (outcome, moments)
    });
    let (outcome, moments) = (outcome?, moments?);
    let ejections = watch.end();
    let hits = servers.hits()?.saturating_sub(hits_before);
    Ok(seen(&outcome, &moments, &ejections, hits, rules))
}

/// The fault, its end, and the words for both.
type Moments = [(SystemTime, &'static str); 2];

fn act(
    fault: Fault,
    kind: Kind,
    running: &Running,
    servers: &mut Servers,
    rules: &Rules,
) -> Result<Moments, PlayError> {
    let signal = fault.own_signal(kind).unwrap_or_default();
    thread::sleep(ms(rules.calm_ms));
    let broken = SystemTime::now();
    let what = match signal {
        Some(signal) => renew(running, signal)?,
        None => servers.break_it(fault, ms(rules.slow_ms))?,
    };
    thread::sleep(ms(rules.fault_ms).saturating_sub(broken.elapsed().unwrap_or_default()));
    let mended = SystemTime::now();
    let then = match signal {
        Some(signal) => renew(running, signal)?,
        None => servers.mend(fault)?,
    };
    // What takes long to come back is back when it says so.
    let mended = if signal.is_some() { mended } else { SystemTime::now() };
    Ok([(broken, what), (mended, then)])
}

/// A reload, or an upgrade to its end: the old process finishes and goes.
fn renew(running: &Running, signal: Signal) -> Result<&'static str, PlayError> {
    let old = running.pid()?;
    kill_process(old, signal).map_err(io::Error::from)?;
    if !running.is_upgradable() {
        return Ok("reload");
    }
    // nginx leaves it to the operator to end the old process once the new one has written its pid.
    wait_until("a new process", || running.pid().is_ok_and(|pid| pid != old))?;
    kill_process(old, Signal::QUIT).map_err(io::Error::from)?;
    wait_until("the end of the old process", || lab::is_gone(old))?;
    Ok("upgrade")
}

fn wait_until(what: &str, there: impl Fn() -> bool) -> Result<(), PlayError> {
    let start = Instant::now();
    while !there() {
        if start.elapsed() > HAND_OVER_WITHIN {
            return Err(io::Error::other(format!("{what} did not come within 10 s")).into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

impl Rules {
    /// The rules as a subject's setup.
    fn setup(&self, servers: [SocketAddr; 2]) -> Setup {
        let mut setup = Setup::new(servers);
        setup.max_fails = self.max_fails;
        setup.fail_timeout = ms(self.fail_timeout_ms);
        setup.connect_timeout = ms(self.connect_timeout_ms);
        setup.read_timeout = ms(self.read_timeout_ms);
        setup.moves_on_500 = true;
        setup
    }

    fn plan(&self, address: SocketAddr, core: usize) -> Plan {
        let target = Target::get(address, "/", BODY_MARK);
        let whole = ms(self.calm_ms + self.fault_ms + self.after_ms);
        let mut plan = Plan::saturate(target, address, self.connections, whole);
        plan.pace = Pace::Constant(self.rate_per_s);
        plan.cores = vec![core];
        plan.timeout = CLIENT_TIMEOUT;
        plan.interval = ms(self.bucket_ms);
        plan
    }
}

fn seen(outcome: &Outcome, moments: &Moments, ejections: &[SystemTime], hits: u64, rules: &Rules) -> Seen {
    let at_ms =
        |moment: SystemTime| 1e3 * moment.duration_since(outcome.started).unwrap_or_default().as_secs_f64();
    let tally = &outcome.tally;
    let buckets: Vec<Bucket> = tally
        .intervals
        .iter()
        .map(|interval| Bucket {
            at_ms: interval.number * rules.bucket_ms,
            requests: interval.failed + interval.from_due.len(),
            failed: interval.failed,
            by_server: interval.by_server.iter().map(|(name, n)| (name.to_string(), *n)).collect(),
            median_ms: interval.from_due.value_at_quantile(0.5) as f64 / 1e6,
            max_ms: interval.from_due.max() as f64 / 1e6,
        })
        .collect();
    let [broken_ms, mended_ms] = moments.map(|(moment, _)| at_ms(moment));
    let ejected_ms =
        ejections.iter().map(|moment| at_ms(*moment)).find(|at| (broken_ms..mended_ms).contains(at));
    let eject_ms = ejected_ms.map(|at| at - broken_ms);
    let failures = tally.failures.by_name().into_iter();
    let failures = failures.filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_owned(), n)).collect();
    let failed = tally.failures.sum();
    let figures = Figures {
        requests: tally.answered + failed,
        failed,
        unsent: tally.unsent,
        load_late_ms: tally.lag.max() as f64 / 1e6,
        failures,
        eject_ms,
        return_ms: eject_ms.and_then(|_| return_ms(&buckets, mended_ms, rules.bucket_ms)),
        worst_ms: 1e3 * tally.slowest_failure.max(Duration::from_nanos(tally.from_due.max())).as_secs_f64(),
        median_ms: tally.from_due.value_at_quantile(0.5) as f64 / 1e6,
        hits,
        answers: tally.answered,
    };
    let events = moments.map(|(moment, what)| Event { at_ms: at_ms(moment), what: what.into() });
    Seen { figures, events: events.into(), buckets }
}

/// When app2 answered again, after the fault's end.
fn return_ms(buckets: &[Bucket], mended_ms: f64, bucket_ms: u64) -> Option<f64> {
    let end = |bucket: &Bucket| (bucket.at_ms + bucket_ms) as f64;
    let back = buckets
        .iter()
        .find(|bucket| end(bucket) > mended_ms && bucket.by_server.get("app2").is_some_and(|n| *n > 0))?;
    Some(end(back) - mended_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Tally;

    /// Whoever waits five seconds for an error has waited for five seconds.
    #[test]
    fn the_worst_is_what_a_client_waited_for() {
        let rules = Rules {
            rate_per_s: 100.0,
            connections: 1,
            max_fails: 1,
            fail_timeout_ms: 1000,
            connect_timeout_ms: 500,
            read_timeout_ms: 500,
            slow_ms: 100,
            calm_ms: 200,
            fault_ms: 2000,
            after_ms: 800,
            bucket_ms: 100,
        };
        let worst_ms = |answer_ms: u64, failure_ms: u64| {
            let mut tally = Tally { slowest_failure: ms(failure_ms), ..Tally::default() };
            tally.from_due.record(1_000_000 * answer_ms).unwrap();
            let outcome = Outcome {
                started: SystemTime::UNIX_EPOCH,
                measured: ms(3000),
                offered: None,
                tally,
                answered_in_all: 1,
                failed_in_all: 1,
                cpu: Duration::ZERO,
                busy: 0.0,
            };
            let moments = [(outcome.started, "broken"), (outcome.started, "mended")];
            seen(&outcome, &moments, &[], 1, &rules).figures.worst_ms.round()
        };
        assert_eq!(worst_ms(20, 5000), 5000.0);
        assert_eq!(worst_ms(20, 10), 20.0);
    }

    #[test]
    fn a_server_is_back_when_it_answers_after_the_end_of_the_fault() {
        let bucket = |at_ms, app2| Bucket {
            at_ms,
            by_server: [("app1".to_owned(), 1), ("app2".to_owned(), app2)].into(),
            ..Bucket::default()
        };
        let buckets = [bucket(0, 5), bucket(100, 0), bucket(200, 0), bucket(300, 1)];
        assert_eq!(return_ms(&buckets, 150.0, 100), Some(250.0));
        assert_eq!(return_ms(&buckets[..3], 150.0, 100), None);
    }
}
