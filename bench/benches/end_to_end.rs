//! Latency of `GET /` on one keep-alive connection, side by side: the origin itself, the plain relay (the
//! floor), the proxy, nginx, HAProxy.
//!
//! One request is under way at a time, so most of this is the kernel waking processes; what matters is by
//! how much one line lies above another.

use std::net::SocketAddr;
use std::process::ExitCode;

use bench::lab::{self, Binaries, Client, Cores, Kind, LabError, Launch, Origins};
use criterion::Criterion;

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
    let binaries = Binaries::build()?;
    let folder = lab::folder()?;
    let origins = Origins::start(&binaries, cores)?;
    let mut group = criterion.benchmark_group("end_to_end");
    let mut measure = |name: &str, address: SocketAddr| -> Result<(), LabError> {
        let mut client = Client::connect(address)?;
        group.bench_function(name, |b| b.iter(|| client.get().expect("a 200")));
        Ok(())
    };
    measure("origin", origins.addresses[0])?;
    for kind in Kind::ALL {
        match Launch::new(kind, &binaries, &origins.addresses, folder.path())? {
            Some(launch) => measure(kind.name(), launch.start(cores, &[])?.address)?,
            None => println!("end_to_end/{}: not installed, left out", kind.name()),
        }
    }
    Ok(())
}
