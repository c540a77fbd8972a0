//! The binary: arguments to [`Config`], then workers.

use std::process::ExitCode;

use proxy::config::flags;
use proxy::process;

fn main() -> ExitCode {
    let config = match flags::parse(std::env::args_os()) {
        Ok(config) => config,
        Err(exit) => return exit.print(),
    };
    match process::run(config, None) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxy: {error}");
            ExitCode::FAILURE
        }
    }
}
