//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::peer::Peer;
use crate::workload::Workload;

/// Measures vand and its peers side by side, on the same work.
#[derive(Debug, Parser)]
#[command(name = "van-bench", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the workloads through every peer and prints the tables.
    Run(Box<Run>),
    /// Asks a daemon's name server and prints how long that took; the daemons are those beside this
    /// program, or what VAND_BIN and VANCTL_BIN name.
    Names(Names),
    /// Serves the back-ends: echo, endless source, bulk piece, calls, datagrams.
    #[command(hide = true)]
    Backend {
        /// Where the echo server listens.
        echo: SocketAddr,
        /// Where the endless source listens.
        source: SocketAddr,
        /// Where the sender of one bulk piece listens.
        bulk: SocketAddr,
        /// Where calls over HTTP/2 are answered.
        calls: SocketAddr,
        /// Where datagrams are sent back.
        datagrams: SocketAddr,
    },
}

/// The options of the questions.
#[derive(Clone, Copy, Debug, Args)]
pub struct Names {
    /// Questions a second.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub rate: u32,
    /// For how many seconds; rate × seconds is 65,535 at most.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
}

/// The options of a run.
#[derive(Debug, Args)]
pub struct Run {
    /// How many rounds; peers are interleaved in each [default: 3, with --quick 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
    /// Only these workloads: a,b streams; c HTTP; d new flows; e idle flows; g stalled reader;
    /// h restart; i small requests; k cut-off bulk; m HTTP/2 and calls; p HTTP by request; t a
    /// transit site; u datagrams; w WAN.
    #[arg(long, value_delimiter = ',', value_name = "LETTERS")]
    pub only: Vec<Workload>,
    /// Only these peers.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub peers: Vec<Peer>,
    /// A quick look: one round, short loads, and memory and trouble for vand and haproxy alone.
    #[arg(long)]
    pub quick: bool,
    /// The daemon to measure.
    #[arg(long, value_name = "PATH", default_value = "target/release/vand")]
    pub vand: PathBuf,
    /// Its client.
    #[arg(long, value_name = "PATH", default_value = "target/release/vanctl")]
    pub vanctl: PathBuf,
    /// The folder of peers that were built for the run.
    #[arg(long, value_name = "DIR", default_value = "target/peers/bin")]
    pub peers_dir: PathBuf,
    /// Where results go: results.jsonl is appended to, table.md is written anew.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub out: PathBuf,
    /// Raise the scheduling group of this session for the run (root; for a busy machine).
    #[arg(long)]
    pub raise: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lists_are_read() {
        let cli = Cli::parse_from(["van-bench", "run", "--only", "a,k", "--peers", "vand,frp"]);
        let Command::Run(run) = cli.command else { panic!("another command") };
        assert_eq!(run.only, [Workload::Stream, Workload::Cutoff]);
        assert_eq!(run.peers, [Peer::Vand, Peer::Frp]);
        assert!(Cli::try_parse_from(["van-bench", "run", "--only", "z"]).is_err());
    }
}
