//! Latency on one keep-alive connection, side by side: the origin itself, the plain relay (the floor), the proxy, nginx,
//! and what else is installed. For the small page, the one whose hits Redis counts, 16 KiB and 1 MiB.
//!
//! One request is under way at a time, so most of this is the kernel waking processes; what matters is by
//! how much one line lies above another. Cores without work are kept awake. `bench compare`
//! measures the rest.
//!
//! `BINARIES=FOLDER` takes proxy, backend and bench from there instead of building them, so that two states of the code can
//! be compared by the same client (docs/benchmarking.md). The path is absolute: cargo runs this in the crate's folder.

use std::path::PathBuf;
use std::process::ExitCode;

use bench::lab::{self, Awake, Binaries, Client, Cores, Kind, LabError, Launch, Origins};
use criterion::{Criterion, Throughput};

/// Pages of the origins without a counter, with the length of their bodies.
const PAGES: [(&str, &str, u64); 3] =
    [("small", "/", 17), ("16k", "/bytes/16384", 16 << 10), ("1m", "/bytes/1048576", 1 << 20)];

fn main() -> ExitCode {
    let mut criterion = Criterion::default().configure_from_args();
    let result = latency(&mut criterion);
    criterion.final_summary();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("end_to_end: {error}");
            ExitCode::FAILURE
        }
    }
}

fn latency(criterion: &mut Criterion) -> Result<(), LabError> {
    let cores = Cores::new(0, 1)?;
    let binaries = match std::env::var_os("BINARIES").map(PathBuf::from) {
        Some(folder) => Binaries::find(&folder)?,
        None => Binaries::build()?,
    };
    let awake = Awake::keep(cores).unwrap_or_else(|why| {
        println!("awake cores: {why}");
        Awake::none()
    });
    println!("Cores without work {}.", awake.how().text());
    let folder = lab::folder()?;
    let origins = Origins::start(&binaries, cores)?;
    for (name, path, length) in PAGES {
        let place = folder.path().join(name);
        measure(criterion, name, path, length, &origins, &binaries, cores, &place)?;
    }
    drop(origins);
    if lab::installed("redis-server").is_none() {
        println!("redis: redis-server is not installed, left out");
        return Ok(());
    }
    let place = folder.path().join("redis");
    std::fs::create_dir_all(&place)?;
    let origins = Origins::start_with_redis(&binaries, cores, &place)?;
    measure(criterion, "redis", "/", 17, &origins, &binaries, cores, &place)
}

/// One page through every subject, each started for its turn and alone on the subject's core. The client shares the other core with
/// the origins.
#[expect(clippy::too_many_arguments, reason = "each is one word of what is measured where")]
fn measure(
    criterion: &mut Criterion,
    page: &str,
    path: &str,
    length: u64,
    origins: &Origins,
    binaries: &Binaries,
    cores: Cores,
    folder: &std::path::Path,
) -> Result<(), LabError> {
    let mut group = criterion.benchmark_group(page);
    if length > 1024 {
        group.throughput(Throughput::Bytes(length));
    }
    let mut one = |name: &str, address| -> Result<(), LabError> {
        let mut client = Client::connect(address)?.of_page(path);
        let ask = || {
            group.bench_function(name, |b| b.iter(|| client.get().expect("a 200")));
            Ok(())
        };
        Ok(lab::on_core(cores.load, ask)?)
    };
    one("origin", origins.addresses[0])?;
    for kind in Kind::ALL {
        match Launch::new(kind, binaries, &origins.addresses, folder)? {
            Some(launch) => one(kind.name(), launch.start(cores, &[])?.address)?,
            None => println!("{page}/{}: not installed, left out", kind.name()),
        }
    }
    Ok(())
}
