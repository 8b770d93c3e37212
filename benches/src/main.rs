//! The program `van-bench`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use van_bench::{backend, cli, names, session, stop};

fn main() -> ExitCode {
    match run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell a broken standard error to.
            let _ = writeln!(std::io::stderr(), "van-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: cli::Cli) -> Result<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build()?;
    match cli.command {
        cli::Command::Backend { echo, source, bulk, calls, datagrams } => {
            backend::serve(&runtime, [echo, source, bulk, calls, datagrams])
        }
        cli::Command::Names(options) => names::run(&options),
        cli::Command::Run(options) => {
            stop::watch(&runtime)?;
            let dir = tempfile::Builder::new().prefix("van-bench-").tempdir()?;
            session::Session::prepare(*options, runtime, dir.path())?.run()
        }
    }
}
