//! `vanctl`: the client of vand.
//!
//! `cli` reads the command line, `command` holds one file for each command, `client` asks the
//! daemon (`transport` reaches it as the `url` says), `output` and `table` print, `wait` waits.
//!
//! Invariant: it holds no state and reads none of the daemon's files.

mod cli;
mod client;
mod command;
mod error;
mod output;
mod table;
mod transport;
mod url;
mod wait;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(&std::env::args_os().collect::<Vec<_>>())
}
