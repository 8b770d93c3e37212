//! `vand`, the daemon: one site of a virtual application network.
//!
//! This crate only wires: configuration files, signals, systemd and the log on one side, a
//! [`van_site::Site`] and its API on the other. Under the name `vanctl` it is the client: packages have one
//! program for both, since most of their text is the same.

mod check;
mod cli;
mod files;
mod kubernetes;
mod log;
mod log_rate;
mod log_ring;
mod metrics;
mod names;
mod oneshot;
mod paths;
mod process;
mod run;
mod sockets;
mod systemd;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};
use process::Exit;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let name = words.first().map(Path::new).and_then(Path::file_name);
    if name.is_some_and(|name| name == "vanctl" || name == "kubectl-van") {
        return vanctl::run(&words);
    }
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::ApplyNames(args) => names::apply(&args),
        Command::Export(args) => oneshot::export(&args),
        Command::Import(args) => oneshot::import(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            exit.report();
            ExitCode::from(exit.code())
        }
    }
}

pub(crate) type Outcome = Result<(), Exit>;
