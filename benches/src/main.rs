//! The program `van-bench`.

use anyhow::Result;
use clap::Parser;
use van_bench::{backend, cli, session, stop};

fn main() -> Result<()> {
    let cli = cli::Cli::parse();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build()?;
    match cli.command {
        cli::Command::Backend { echo, source, bulk } => {
            backend::serve(&runtime, [echo, source, bulk])
        }
        cli::Command::Run(options) => {
            stop::watch(&runtime)?;
            let dir = tempfile::Builder::new().prefix("van-bench-").tempdir()?;
            session::Session::prepare(*options, runtime, dir.path())?.run()
        }
    }
}
