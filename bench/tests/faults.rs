//! The promise behind the failure lab: while a healthy server is left, the proxy fails no idempotent request.

use std::thread::available_parallelism;

use bench::faults::model::{Case, Rules, Seen};
use bench::faults::{Fault, measure};
use bench::lab::{Binaries, Cores, Kind};
use clap::ValueEnum;

/// Short cases. The timeouts are long enough for a machine that is busy with other tests: a healthy server that
/// missed one would be out as well.
fn rules() -> Rules {
    Rules {
        rate_per_s: 100.0,
        connections: 200,
        max_fails: 1,
        fail_timeout_ms: 1000,
        connect_timeout_ms: 500,
        read_timeout_ms: 1500,
        slow_ms: 100,
        calm_ms: 200,
        fault_ms: 2000,
        after_ms: 800,
        bucket_ms: 100,
    }
}

fn play(kind: Kind, faults: &[Fault]) -> Vec<(Case, Seen)> {
    let last = available_parallelism().unwrap().get() - 1;
    let (binaries, cores) = (Binaries::build().unwrap(), Cores { subject: 0, load: last });
    let run = measure(faults, &[kind], &rules(), &binaries, cores).unwrap();
    let pair = |mut case: Case| {
        let seen = case.seen.take()?;
        Some((case, seen))
    };
    run.cases.into_iter().filter_map(pair).collect()
}

#[test]
fn no_request_fails_while_a_healthy_server_is_left() {
    // A subject that is itself replaced has a test of its own.
    let of_servers =
        |fault: &Fault| fault.can_be_hidden() && !matches!(fault, Fault::Reload | Fault::Upgrade);
    let faults: Vec<Fault> = Fault::value_variants().iter().copied().filter(of_servers).collect();
    let cases = play(Kind::Proxy, &faults);
    assert!(cases.len() >= 8, "{cases:?}");
    for (case, seen) in &cases {
        let figures = &seen.figures;
        assert_eq!(figures.failed, 0, "{}: {figures:?}", case.fault);
        assert_eq!(figures.requests + figures.unsent, 300, "{}: {figures:?}", case.fault);
        // Each answer was counted by a server, and a request that met the fault may have been by two.
        assert!(figures.hits >= figures.answers, "{}: {figures:?}", case.fault);
        assert_eq!(figures.eject_ms.is_none(), case.fault == "slow", "{}: {figures:?}", case.fault);
        let served =
            |name: &str| -> u64 { seen.buckets.iter().filter_map(|bucket| bucket.by_server.get(name)).sum() };
        assert_eq!(served("app1") + served("app2"), figures.answers, "{}: {figures:?}", case.fault);
        assert!(served("app2") > 0, "{}: it never answered", case.fault);
    }
}

/// nginx passes a cut body on: the lab sees that the answer is not whole.
#[test]
fn a_cut_answer_never_passes_for_a_whole_one() {
    for (case, seen) in play(Kind::Nginx, &[Fault::CutBody]) {
        let figures = &seen.figures;
        assert_eq!(figures.failures.keys().collect::<Vec<_>>(), ["closed too early"], "{figures:?}");
        assert!(figures.hits >= figures.answers + figures.failed, "{}: {figures:?}", case.fault);
    }
}

/// Redis away is no server's fault and nobody's to hide; but no answer may go uncounted, and none be counted twice.
#[test]
fn redis_counts_every_answer_once() {
    let cases = play(Kind::Proxy, &[Fault::Redis]);
    let figures = &cases[0].1.figures;
    assert!(figures.failed > 0 && figures.answers > 0, "{figures:?}");
    assert_eq!(figures.failures.keys().collect::<Vec<_>>(), ["unexpected status"], "{figures:?}");
    // A hit that Redis had counted when it was killed may have lost its answer, with the others of its turn.
    assert!((figures.answers..figures.answers + 50).contains(&figures.hits), "{figures:?}");
}

/// Each connection is used every two seconds, and has time for a last request when its process is replaced.
#[test]
fn the_proxy_is_reloaded_and_upgraded_without_a_failure() {
    for (case, seen) in play(Kind::Proxy, &[Fault::Reload, Fault::Upgrade]) {
        let figures = &seen.figures;
        assert_eq!(figures.requests + figures.unsent, 300, "{}: {figures:?}", case.fault);
        assert_eq!(figures.failed, 0, "{}: {figures:?}", case.fault);
        assert_eq!(figures.eject_ms, None, "{}: {figures:?}", case.fault);
    }
}

/// The same script for nginx, which is replaced by a new process and gives the ports to it.
#[test]
fn nginx_is_reloaded_upgraded_and_taken_out() {
    let cases = play(Kind::Nginx, &[Fault::Refuse, Fault::Reload, Fault::Upgrade]);
    assert_eq!(cases.len(), 3, "nginx is not installed; on Debian: apt-get install nginx-light");
    for (case, seen) in cases {
        let figures = &seen.figures;
        assert_eq!(figures.requests + figures.unsent, 300, "{}: {figures:?}", case.fault);
        // A request on an idle connection that is closed at that moment is lost, now and then.
        assert!(figures.failed < 30, "{}: {figures:?}", case.fault);
        assert_eq!(figures.eject_ms.is_some(), case.fault == "refuse", "{}: {figures:?}", case.fault);
    }
}
