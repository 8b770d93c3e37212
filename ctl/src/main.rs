//! `vanctl`: the client of vand.

use std::process::ExitCode;

fn main() -> ExitCode {
    vanctl::run(&std::env::args_os().collect::<Vec<_>>())
}
