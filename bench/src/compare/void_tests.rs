//! Each reason to void a run, provoked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use backend::{Options, Server};

use super::super::rounds::Rounds;
use super::super::scenario;
use super::super::visit::{Again, Contender, Place, Quiet, What, visit};
use super::*;
use crate::compare::figures;
use crate::lab::{self, Awake, Gauge, LabError, Timings};
use crate::load::Outcome;

const CORES: Cores = Cores { subject: 1, load: 0 };

/// Where visits are made here.
#[derive(Default)]
struct Surroundings {
    gauge: Gauge,
    again: Again,
}

impl Surroundings {
    fn place(&self) -> Place<'_> {
        const ASLEEP: &Awake = &Awake::none();
        Place { cores: CORES, awake: ASLEEP, gauge: &self.gauge, again: &self.again }
    }
}

/// The origin alone, with answers that fail so often.
fn origin(fail_rate: f64) -> (Server, Contender<'static>) {
    let mut options = Options::new(vec!["app1=127.0.0.1:0".parse().unwrap()]);
    options.fail_rate = fail_rate;
    let server = Server::start(options).unwrap();
    let address = server.address("app1").unwrap().to_string().parse().unwrap();
    (server, Contender { name: "direct", address, what: What::Origin(None) })
}

#[test]
fn a_starved_generator_voids_round_and_run() {
    let (server, contender) = origin(0.0);
    let scenario = scenario::Scenario::sweep(20_000.0);
    let is_over = AtomicBool::new(false);
    let round = thread::scope(|scope| {
        for _ in 0..8 {
            let spin = || {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                Ok(())
            };
            scope.spawn(move || lab::on_core(CORES.load, spin));
        }
        let visited = visit(&contender, &scenario, Surroundings::default().place(), 1);
        is_over.store(true, Ordering::Relaxed);
        visited.unwrap().round
    });
    let reasons = round.voids.join("; ");
    // On a machine that has other work besides, it may be the core that is named, or that it sent nothing at all.
    let told = ["the generator lagged", "the generator was late", "the load's core was"];
    let is_told = |text: &str| told.iter().any(|words| text.contains(words));
    assert!(is_told(&reasons), "{reasons}");
    let voids = of_run(&[withheld(&scenario, round)], 1);
    assert!(is_told(&voids[0].reason), "{voids:?}");
    server.stop();
}

/// A load of one round, after what is withheld of it.
fn withheld(scenario: &scenario::Scenario, round: Round) -> Scenario {
    let mut result = with_rounds(scenario, vec![round]);
    withhold(&mut result, 1);
    result
}

/// One of four is exactly the share that may be withheld for other reasons.
#[test]
fn one_load_that_the_generator_could_not_put_on_voids_the_run() {
    let scenario = scenario::Scenario::sweep(200.0);
    let quiet = calm(good(1, 1_000_000));
    let lagging =
        Summary { lag_us: Percentiles { p99: 10_000.0, ..quiet.load.lag_us }, ..quiet.load.clone() };
    let behind = Summary { answered: 0, unsent: 130_000, ..quiet.load.clone() };
    let slow = Summary { unsent: quiet.load.answered, ..quiet.load.clone() };
    for (bad, reason) in [
        (Round { load: lagging, ..quiet.clone() }, "the generator lagged: 10000 µs"),
        (Round { load_core_busy: 0.99, ..quiet.clone() }, "the load's core was 99 % busy"),
        (
            Round { load: behind, ..quiet.clone() },
            "the generator was late: it sent none of the 130000 requests",
        ),
        // Whose requests wait for a free connection is slow itself; steal is nobody's here.
        (Round { load: slow, ..quiet.clone() }, ""),
        (Round { steal: 0.5, ..quiet.clone() }, ""),
    ] {
        let bad = Round { voids: of_round(&bad, true), ..bad };
        assert!(!bad.voids.is_empty());
        let load = |round: &Round| {
            let subjects = [("proxy", vec![round.clone(); 3]), ("nginx", vec![quiet.clone(); 3])];
            let mut load = of_subjects(&scenario, subjects);
            withhold(&mut load, 3);
            load
        };
        let voids = of_run(&[load(&quiet), load(&quiet), load(&quiet), load(&bad)], 3);
        match reason {
            "" => assert_eq!(voids, []),
            _ => assert!(voids.len() == 1 && voids[0].text().contains(reason), "{reason}: {voids:?}"),
        }
        // Enough others were good.
        let mut some = of_subjects(&scenario, [("proxy", vec![bad, quiet.clone()])]);
        withhold(&mut some, 1);
        assert_eq!(of_run(&[some], 1), []);
    }
}

#[test]
fn a_wrong_status_voids_round_and_run() {
    let (server, contender) = origin(1.0);
    let scenario = scenario::Scenario::sweep(500.0);
    let round = visit(&contender, &scenario, Surroundings::default().place(), 1).unwrap().round;
    let reasons = round.voids.join("; ");
    assert!(reasons.contains("unexpected status") && reasons.contains("statuses 500"), "{reasons}");
    let mut result = with_rounds(&scenario, vec![round]);
    withhold(&mut result, 1);
    assert!(result.entries[0].figures.is_empty());
    let voids = of_run(&[result], 1);
    assert!(voids.iter().any(|void| void.subject == "direct" && void.reason.contains("unexpected status")));
    server.stop();
}

/// A page that begins as it should and has a byte too many, or too few, is no answer.
#[test]
fn a_page_of_another_length_voids_the_round() {
    let mut options = Options::new(vec!["app1=127.0.0.1:0".parse().unwrap()]);
    options.plain = true;
    let server = Server::start(options).unwrap();
    let address = server.address("app1").unwrap().to_string().parse().unwrap();
    let contender = Contender { name: "direct", address, what: What::Origin(None) };
    let length = lab::page_length(address).unwrap();
    assert_eq!(length, "Hello from app1!\n".len() as u64);
    let failures = |length| {
        let scenario = scenario::Scenario::sweep(200.0).with_page_length(length);
        visit(&contender, &scenario, Surroundings::default().place(), 1).unwrap().round.load.failures
    };
    assert_eq!(failures(length).sum(), 0);
    for wrong in [length - 1, length + 1] {
        let failures = failures(wrong);
        assert!(failures.length > 0 && failures.sum() == failures.length, "{failures:?}");
    }
    server.stop();
}

#[cfg(debug_assertions)]
#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    options: crate::compare::Options,
}

/// An optimised one would begin to measure.
#[cfg(debug_assertions)]
#[test]
fn a_debug_build_measures_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let line = <Line as clap::Parser>::parse_from(["compare", "--out", out.to_str().unwrap()]);
    let refused = crate::compare::main(&line.options);
    assert!(matches!(refused, Err(crate::compare::CompareError::Lab(LabError::DebugBuild))));
    assert!(!out.exists());
    let debug = lab::Binaries::find(&folder.path().join("debug"));
    assert!(matches!(debug, Err(LabError::DebugBuild)));
}

#[test]
fn two_sides_on_one_core_are_refused() {
    assert!(matches!(Cores::new(0, 0), Err(LabError::Cores { .. })));
    let mut sleep = std::process::Command::new("sleep");
    let process = Process::start("sleep", sleep.arg("30"), CORES.load).unwrap();
    let void = of_cores("sleep", &process, CORES).unwrap();
    assert!(void.reason.contains("cores 0, not on 1 alone"), "{}", void.reason);
    assert_eq!(of_cores("sleep", &process, Cores { subject: 0, load: 1 }), None);
}

#[test]
fn two_threads_of_one_core_void_the_run() {
    // Of those of a core it is one itself.
    let void = of_siblings(Cores { subject: 0, load: 0 }).unwrap();
    assert!(void.text().starts_with("cores 0 and 0 are threads of one core"), "{void:?}");
}

/// A round without fault.
fn good(number: u32, cpu_ns: u64) -> Round {
    let (server, contender) = origin(0.0);
    let mut round =
        visit(&contender, &scenario::Scenario::sweep(200.0), Surroundings::default().place(), number)
            .unwrap()
            .round;
    server.stop();
    round.cpu_ns = cpu_ns;
    round.voids.clear();
    round
}

/// The same, as if nothing else had run here.
fn calm(round: Round) -> Round {
    let mut load = round.load.clone();
    load.lag_us.p99 = 100.0;
    Round { steal: 0.0, subject_core_others: 0.0, load_core_busy: 0.5, load, ..round }
}

/// What was measured of one subject.
fn with_rounds(scenario: &scenario::Scenario, rounds: Vec<Round>) -> Scenario {
    of_subjects(scenario, [("direct", rounds)])
}

fn of_subjects<const N: usize>(scenario: &scenario::Scenario, subjects: [(&str, Vec<Round>); N]) -> Scenario {
    let mut result = scenario.model();
    result.entries = subjects.map(|(name, rounds)| Entry { rounds, ..Entry::new(name) }).into();
    let good = good_rounds(&result);
    figures::fill(scenario, &mut result.entries, &good);
    result
}

/// The round with the subject's CPU time at so many nanoseconds, one by one.
fn rounds(round: &Round, cpu_ns: &[u64]) -> Vec<Round> {
    cpu_ns.iter().map(|&cpu_ns| Round { cpu_ns, ..round.clone() }).collect()
}

#[test]
fn too_few_rounds_withhold_a_load() {
    let scenario = scenario::Scenario::sweep(200.0);
    let round = good(1, 1_000_000);
    let mut steady = with_rounds(&scenario, vec![round.clone(); 3]);
    assert_eq!(withhold(&mut steady, 3), []);
    assert!(steady.entries[0].sample(figure::CPU).is_some());

    let few = withhold(&mut steady, 4);
    assert!(few[0].reason.starts_with("3 good rounds of the 4 asked for"), "{few:?}");
    assert!(steady.entries[0].figures.is_empty());

    let mut disturbed = round.clone();
    disturbed.voids.push("a cosmic ray".into());
    let voids = withhold(&mut with_rounds(&scenario, vec![round, disturbed]), 2);
    assert!(voids[0].reason.contains("a cosmic ray"), "{voids:?}");
}

#[test]
fn a_figure_that_is_not_steady_is_withheld_alone() {
    let scenario = scenario::Scenario::sweep(200.0);
    let round = good(1, 1_000_000);
    let wide = rounds(&round, &[1_000_000, 2_000_000, 3_000_000]);
    let mut result = with_rounds(&scenario, wide);
    let voids = withhold(&mut result, 3);
    assert_eq!(voids.len(), 1, "{voids:?}");
    assert!(voids[0].figure == figure::CPU && voids[0].reason.contains("not steady"), "{voids:?}");
    let entry = &result.entries[0];
    assert!(entry.sample(figure::CPU).is_none() && entry.figure(figure::CPU_USER).is_none());
    assert!(entry.sample(figure::REQUESTS).is_some());
}

/// The median stands, and what lies beyond the 99th percentile falls with it.
#[test]
fn a_p99_that_is_not_steady_is_withheld_with_what_lies_beyond() {
    let scenario = scenario::Scenario::sweep(2000.0);
    let quiet = calm(good(1, 1_000_000));
    let rounds_of = |p99: [f64; 3]| -> Vec<Round> {
        let round = |p99| {
            let from_due_us = Percentiles { p50: 100.0, p99, ..Percentiles::default() };
            Round { load: Summary { answered: 1400, from_due_us, ..quiet.load.clone() }, ..quiet.clone() }
        };
        p99.map(round).into()
    };
    let result = |p99| {
        let mut result = with_rounds(&scenario, rounds_of(p99));
        let pooled = Percentiles { p50: 100.0, p99: 300.0, p99_9: 400.0, ..Percentiles::default() };
        result.entries[0].latency_us = pooled;
        let voids = withhold(&mut result, 3);
        (voids, result.entries.remove(0))
    };
    let (voids, entry) = result([200.0, 210.0, 290.0]);
    assert!(voids.is_empty() && entry.sample(figure::P99).is_some(), "{voids:?}");
    assert_eq!(entry.latency_us.p99_9, 400.0);
    let (voids, entry) = result([200.0, 210.0, 780.0]);
    assert_eq!(voids.len(), 1, "{voids:?}");
    assert_eq!((voids[0].figure.as_str(), entry.sample(figure::P99)), (figure::P99, None));
    assert!(entry.sample(figure::P50).is_some());
    let Percentiles { p50, p99, p99_9, .. } = entry.latency_us;
    assert_eq!([p50, p99, p99_9], [100.0, 0.0, 0.0]);
}

#[test]
fn a_ratio_outlives_a_machine_that_drifts_and_a_figure_outlives_its_ratio() {
    let scenario = scenario::Scenario::sweep(200.0);
    let round = good(1, 1_000_000);
    let drifting = rounds(&round, &[1_000_000, 2_000_000, 3_000_000]);
    let mut result = of_subjects(&scenario, [("proxy", drifting.clone()), ("nginx", drifting)]);
    withhold(&mut result, 3);
    let figure = result.entries[0].figure(figure::CPU).unwrap();
    assert!(figure.sample.is_none() && figure.to_nginx.is_some());
    assert_eq!(of_run(&[result], 3), []);

    // Either alone is within 20 %, the ratio not within 14 %.
    let (up, down) = ([1_000_000, 1_050_000, 1_100_000], [1_100_000, 1_050_000, 1_000_000]);
    let subjects = [("proxy", rounds(&round, &up)), ("nginx", rounds(&round, &down))];
    let mut result = of_subjects(&scenario, subjects);
    let voids = withhold(&mut result, 3);
    assert!(voids.iter().any(|void| void.figure == "cpu_us, to nginx"), "{voids:?}");
    let figure = result.entries[0].figure(figure::CPU).unwrap();
    assert!(figure.sample.is_some() && figure.to_nginx.is_none());
    // It was the only comparison.
    let voids = of_run(&[result], 3);
    assert!(voids[0].reason.contains("1 of its 1 comparisons are withheld"), "{voids:?}");
}

#[test]
fn disturbances_void_a_round() {
    let quiet = calm(good(1, 1_000_000));
    assert_eq!(of_round(&quiet, true), [""; 0]);
    for (round, reason) in [
        (Round { steal: 0.05, ..quiet.clone() }, "hypervisor took 5 %"),
        (Round { subject_core_others: 0.3, waited: 0.2, ..quiet.clone() }, "other processes used 30 %"),
        (Round { load_core_busy: 0.99, ..quiet.clone() }, "load's core was 99 % busy"),
    ] {
        let reasons = of_round(&round, true).join("; ");
        assert!(reasons.contains(reason), "{reasons}");
    }
    // Nobody else is there, or nobody is in the way.
    for round in [Round { waited: 0.5, ..quiet.clone() }, Round { subject_core_others: 0.5, ..quiet.clone() }]
    {
        assert_eq!(of_round(&round, true), [""; 0]);
    }
    let mut load = quiet.load.clone();
    load.reopened = 2;
    let reopened = Round { load, ..quiet.clone() };
    let reasons = of_round(&reopened, true).join("; ");
    assert!(reasons.starts_with("2 connections ended and were opened again"), "{reasons}");
    assert_eq!(of_round(&reopened, false), [""; 0]);
    // In a closed loop the load's core is busy, of course.
    let mut load = quiet.load.clone();
    load.offered_per_s = None;
    assert_eq!(of_round(&Round { load, load_core_busy: 1.0, ..quiet }, true), [""; 0]);
}

/// A subject that is gone, before an origin.
fn gone(kind: lab::Kind, origin: std::net::SocketAddr) -> Contender<'static> {
    let folder = tempfile::tempdir().unwrap();
    let binaries = lab::Binaries::build().unwrap();
    let launch = lab::Launch::new(kind, &binaries, &[origin], folder.path()).unwrap();
    let launch = launch.expect("it is installed");
    let mut subject = launch.start(CORES, &[]).unwrap();
    subject.process.kill().unwrap();
    let (name, address) = (kind.name(), subject.address);
    Contender { name, address, what: What::Subject(Box::new((launch, subject))) }
}

#[test]
fn slow_visits_are_made_again_within_a_third() {
    let (server, direct) = origin(0.0);
    let scenario = scenario::Scenario::sweep(200.0);
    let surroundings = Surroundings::default();
    // So fast that nothing is quick beside it.
    let fast = || Timings::of([(Instant::now(), Duration::from_nanos(1))]);
    surroundings.gauge.read(fast(), fast());
    for number in 1..=6 {
        let visited = surroundings.again.visit(&direct, &scenario, surroundings.place(), number).unwrap();
        assert_eq!((visited.round.number, visited.round.slow), (number, 1.0));
        assert!(visited.quiet.is_none() && of_answers(&visited.round.load).is_none());
        assert_eq!(surroundings.again.count(), number / 3);
    }
    server.stop();
}

#[test]
fn quiet_parts_count_where_there_are_enough() {
    let address = "127.0.0.1:1".parse().unwrap();
    let scenario = scenario::Scenario::sweep(200.0);
    let contenders = ["proxy", "nginx"].map(|name| Contender { name, address, what: What::Origin(None) });
    let mut rounds = Rounds::new(&scenario, &contenders);
    let outcome = || Outcome::of_nothing(&scenario.plan(address, CORES, 1));
    // Of four rounds one has no quiet part of the second subject, and one is void.
    for (number, has_part, is_good) in [(1, true, true), (2, false, true), (3, true, true), (4, true, false)]
    {
        for at in 0..2 {
            let voids = if is_good { Vec::new() } else { vec!["steal".into()] };
            let round = Round { voids, ..good(number, 1_000_000) };
            let part = Round { cpu_ns: 500_000, ..round.clone() };
            let quiet = (at == 0 || has_part).then(|| Box::new(Quiet { round: part, outcome: outcome() }));
            rounds.result.entries[at].rounds.push(round);
            rounds.outcomes[at].push(outcome());
            rounds.quiet[at].push(quiet);
        }
    }
    assert!(!rounds.keep_quiet_parts(3));
    assert_eq!(good_rounds(&rounds.result), [0, 1, 2], "all count as they are");
    assert!(rounds.keep_quiet_parts(2));
    assert_eq!(good_rounds(&rounds.result), [0, 2]);
    for entry in &rounds.result.entries {
        let cpu_ns: Vec<u64> = entry.rounds.iter().map(|round| round.cpu_ns).collect();
        assert_eq!(cpu_ns, [500_000, 1_000_000, 500_000, 1_000_000]);
    }
}

#[test]
fn a_peer_that_is_gone_costs_its_own_figures() {
    let (server, direct) = origin(0.0);
    let scenario = scenario::Scenario::sweep(200.0);
    let mut contenders = vec![gone(lab::Kind::Haproxy, direct.address), direct];
    let mut rounds = Rounds::new(&scenario, &contenders);
    let (mut failed, mut notes) = (BTreeMap::new(), Vec::new());
    rounds.visit_all(&contenders, Surroundings::default().place(), 7, &mut failed).unwrap();
    rounds.leave_out(failed, &mut contenders, 7, &mut notes);
    assert!(notes[0].starts_with("haproxy from sweep on, in round 7: haproxy ended"), "{notes:?}");
    assert_eq!((contenders.len(), contenders[0].name), (1, "direct"));
    assert_eq!((rounds.result.entries.len(), rounds.outcomes.len()), (1, 1));
    assert_eq!((&*rounds.result.entries[0].subject, rounds.result.entries[0].rounds.len()), ("direct", 1));
    server.stop();
}

#[test]
fn what_a_run_is_about_is_missed() {
    let (server, direct) = origin(0.0);
    let scenario = scenario::Scenario::sweep(200.0);
    let contenders = [gone(lab::Kind::Relay, direct.address)];
    let mut rounds = Rounds::new(&scenario, &contenders);
    let error =
        rounds.visit_all(&contenders, Surroundings::default().place(), 1, &mut BTreeMap::new()).unwrap_err();
    let void = of_early_end(&error).text();
    assert!(void.starts_with("it ended early: relay ended in the middle"), "{void}");
    server.stop();
}

#[test]
fn every_failure_counts_beside_the_rounds_and_wrong_answers_in_a_sweep() {
    let with =
        |failures: Failures| Summary { answered: 10, failed_in_all: 1, failures, ..Summary::default() };
    let late = with(Failures { timeout: 1, ..Failures::default() });
    let reason = of_visit("saturated", "proxy", &late).unwrap().text();
    assert!(reason.starts_with("saturated, proxy: 1 requests failed (timeout: 1"), "{reason}");
    assert!(of_visit("saturated", "proxy", &with(Failures::default())).unwrap().reason.contains("warm-up"));
    assert_eq!(of_wrong_answers("sweep", "proxy", &late), None);
    assert!(of_wrong_answers("sweep", "proxy", &with(Failures { body: 1, ..Failures::default() })).is_some());
    assert_eq!(of_visit("saturated", "proxy", &Summary { answered: 10, ..Summary::default() }), None);
}

#[test]
fn a_split_of_few_ticks_is_withheld_and_said_so() {
    let scenario = scenario::Scenario::sweep(200.0);
    let round = |ticks| Round { ticks, ..good(1, 1_000_000) };
    let result = of_subjects(&scenario, [("proxy", vec![round(33); 3]), ("nginx", vec![round(34); 3])]);
    let [few, enough] = &result.entries[..] else { unreachable!("there are two") };
    assert!(few.figure(figure::CPU).is_some() && few.figure(figure::CPU_USER).is_none());
    assert_eq!(enough.median(figure::CPU_USER), Some(0.0));
    let void = of_ticks(&result).unwrap().text();
    assert!(void.ends_with("fewer than 100 clock ticks in all good rounds of proxy"), "{void}");
    assert_eq!(of_ticks(&of_subjects(&scenario, [("nginx", vec![round(34); 3])])), None);
}
