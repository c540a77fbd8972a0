//! A folder of raw data, small and made up, with everything in it that a page can show.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bench::balance;
use bench::compare::model::{
    Calls, Entry, FORMAT, Figure, Machine, Memory, Point, Round, Run, Scenario, SubjectInfo, Sweep, Void,
    figure,
};
use bench::faults::model as faults;
use bench::lab::IdleCores;
use bench::load::Percentiles;
use bench::stats::Sample;
use clap::ValueEnum;

const SUBJECTS: [&str; 9] =
    ["direct", "relay", "proxy", "nginx", "haproxy", "envoy", "caddy", "sozu", "pingora"];

/// Those of the failure lab.
const FAILING: &[&str] = SUBJECTS.split_at(5).0.split_at(2).1;

/// Writes `run.json`, `balance.json` and `faults.json`.
pub(crate) fn write_all(folder: &Path) {
    let write = |name: &str, text: String| fs::write(folder.join(name), text).unwrap();
    write("run.json", serde_json::to_string(&comparison()).unwrap());
    write("faults.json", serde_json::to_string(&failures()).unwrap());
    let json = folder.join("balance.json");
    balance::run(&balance::Options {
        seconds: 20,
        rate: 240,
        clients: 24,
        seed: 1,
        virtual_only: true,
        subject_core: 0,
        binaries: None,
        json: Some(json),
    })
    .unwrap();
}

fn sample(median: f64) -> Sample {
    Sample::of([0.9 * median, median, 1.2 * median]).unwrap()
}

fn percentiles(p50: f64) -> Percentiles {
    Percentiles {
        mean: p50,
        p50,
        p90: 1.5 * p50,
        p99: 4.0 * p50,
        p99_9: 15.0 * p50,
        p99_99: 40.0 * p50,
        max: 90.0 * p50,
    }
}

fn comparison() -> Run {
    let entry = |number: usize| {
        let of = |median: f64| {
            let (to_floor, to_nginx) = (Some(sample(median / 10.0)), Some(sample(median / 20.0)));
            Figure { sample: Some(sample(median)), to_floor, to_nginx }
        };
        let cost = 8.0 + 3.0 * number as f64;
        let mut figures = BTreeMap::from([(figure::REQUESTS.into(), of(60_000.0 / cost))]);
        if number > 0 {
            figures.insert(figure::CPU.into(), of(cost));
            figures.insert(figure::ADDED_P50.into(), of(3.0 * cost));
        }
        figures.insert(figure::BUSY.into(), of(0.7));
        figures.insert(figure::MB_PER_CPU_S.into(), of(12_000.0 / cost));
        // The median of rounds, one of which was slow, is not the percentile of all of them.
        figures.insert(figure::P50.into(), of(19.0 * cost));
        figures.insert(figure::P99.into(), of(700.0 * cost));
        // Of the last one too few clock ticks were sampled.
        if (1..SUBJECTS.len() - 1).contains(&number) {
            figures.insert(figure::CPU_USER.into(), of(0.2 * cost));
            figures.insert(figure::CPU_SYSTEM.into(), of(0.8 * cost));
        }
        Entry {
            subject: SUBJECTS[number].into(),
            rounds: Vec::new(),
            figures,
            latency_us: percentiles(20.0 * cost),
            hlog: Some("saturated.hlog".into()),
            calls: Some(Calls { all: 4.0 + number as f64, by_name: BTreeMap::new() }),
        }
    };
    let scenario = Scenario {
        key: "rate-8000".into(),
        title: "small page, 8000 requests offered per second".into(),
        request: "GET /".into(),
        connections: 64,
        offered_per_s: Some(8000.0),
        keep_alive: true,
        seconds: 2.0,
        entries: (0..SUBJECTS.len()).map(entry).collect(),
    };
    // What is seen of a queue; the load's core is what limits it.
    let mut saturated = Scenario {
        key: "saturated".into(),
        title: "small page, 64 connections, as fast as they are answered".into(),
        offered_per_s: None,
        ..scenario.clone()
    };
    for entry in &mut saturated.entries {
        entry.rounds = vec![Round { load_core_busy: 0.99, ..Round::default() }];
    }
    let sweep = |number: usize| {
        let knee_per_s = 90_000.0 / (number + 1) as f64;
        let point = |step: u32| {
            let offered_per_s = knee_per_s * f64::from(step) / 8.0;
            let is_over = step > 8;
            Point {
                offered_per_s,
                answered_per_s: offered_per_s,
                latency_us: percentiles(if is_over { 90_000.0 } else { 60.0 * f64::from(step) }),
                busy: f64::from(step) / 9.0,
                load_core_busy: 0.5,
            }
        };
        Sweep {
            subject: SUBJECTS[number].into(),
            // The last one's sweep ends while it keeps up.
            points: (1..=if number == SUBJECTS.len() - 1 { 8 } else { 9 }).map(point).collect(),
            knee_per_s,
            limited_by_load: number == 0,
            disturbances: if number == 3 { vec!["other work on the core".into()] } else { Vec::new() },
        }
    };
    let memory = |name: &&str| Memory {
        subject: (*name).into(),
        rest_kib: 5_000,
        idle_kib: 6_000,
        idle_connections: 1_000,
        per_idle_connection: 1_024.0,
    };
    let info = |name: &&str| SubjectInfo {
        name: (*name).into(),
        version: format!("{name} 1.0"),
        configuration: String::new(),
    };
    Run {
        format: FORMAT,
        command: vec!["compare".into(), "--full".into()],
        revision: "0123456789ab".into(),
        started: "2026-11-27T18:00:00Z".into(),
        took_s: 600.0,
        machine: Machine::here(),
        subject_core: 0,
        load_core: 1,
        idle_cores: IdleCores::Polling,
        again: 3,
        rounds: 3,
        subjects: SUBJECTS.iter().map(info).collect(),
        left_out: vec!["envoy is not installed".into()],
        scenarios: vec![scenario, saturated],
        sweeps: (0..SUBJECTS.len()).map(sweep).collect(),
        memory: SUBJECTS[1..].iter().map(memory).collect(),
        instructions: [("proxy".into(), 6_000.0), ("nginx".into(), 20_000.0)].into(),
        withheld: vec![Void {
            scenario: "rate-8000".into(),
            subject: "haproxy".into(),
            figure: "cpu_us, to nginx".into(),
            reason: "not steady: 1.02, between 0.91 and 1.20".into(),
        }],
        voids: vec![Void {
            scenario: "rate-8000".into(),
            subject: String::new(),
            figure: String::new(),
            reason: "the machine was busy with <other> work & more".into(),
        }],
    }
}

fn failures() -> faults::Run {
    let rules = faults::Rules {
        rate_per_s: 200.0,
        connections: 300,
        max_fails: 1,
        fail_timeout_ms: 2000,
        connect_timeout_ms: 500,
        read_timeout_ms: 1000,
        slow_ms: 300,
        calm_ms: 1000,
        fault_ms: 5000,
        after_ms: 4000,
        bucket_ms: 100,
    };
    let bucket = |number: u64| {
        let is_out = (10..70).contains(&number);
        let failed = if number % 20 == 10 { 3 } else { 0 };
        let app2 = if is_out { 0 } else { 10 };
        faults::Bucket {
            at_ms: 100 * number,
            requests: 20,
            failed,
            by_server: [("app1".into(), 20 - app2 - failed), ("app2".into(), app2)].into(),
            median_ms: 0.3,
            max_ms: if failed > 0 { 1002.0 } else { 4.0 },
        }
    };
    let event = |at_ms: f64, what: &str| faults::Event { at_ms, what: what.into() };
    let seen = |what: &str| faults::Seen {
        figures: faults::Figures {
            requests: 2000,
            failed: 15,
            unsent: 0,
            load_late_ms: 1.5,
            failures: [("closed too early".into(), 15)].into(),
            eject_ms: Some(5.0),
            return_ms: None,
            worst_ms: 1002.0,
            median_ms: 0.3,
            hits: 1985,
            answers: 1985,
        },
        events: vec![event(1000.0, what), event(6000.0, "app2 started again")],
        buckets: (0..100).map(bucket).collect(),
    };
    let mut cases = Vec::new();
    for fault in bench::faults::Fault::value_variants() {
        for subject in FAILING {
            cases.push(faults::Case {
                fault: fault.name(),
                what: fault.what(),
                can_be_hidden: fault.can_be_hidden(),
                subject: (*subject).into(),
                seen: (*subject != "proxy" || fault.name() != "reload")
                    .then(|| seen("app2 swallows packets")),
                note: (fault.name() == "reload").then(|| "not supported yet".into()),
            });
        }
    }
    let versions = FAILING.iter().map(|name| ((*name).into(), format!("{name} 1.0"))).collect();
    faults::Run { command: vec!["faults".into()], machine: Machine::here(), versions, rules, cases }
}
