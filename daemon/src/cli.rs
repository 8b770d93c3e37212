//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use van_model::{Address, Bind, Name, Target};

/// The daemon of a virtual application network: one site.
#[derive(Debug, Parser)]
#[command(name = "vand", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run this host's site until it is stopped; what systemd starts
    Run(RunArgs),
    /// Check the configuration and exit: 0 good, 1 bad
    Check(CheckArgs),
    /// Tell the host's name services of the daemon's names, as root; what vand-names.service runs
    #[command(hide = true)]
    ApplyNames(ApplyNamesArgs),
    /// Offer local services to a network for as long as this command runs
    #[command(after_help = "Example:\n  vand export echo=127.0.0.1:2000 --token public.token")]
    Export(ExportArgs),
    /// Use services of a network here for as long as this command runs
    #[command(after_help = "Example:\n  vand import backend=127.0.0.1:8080 --token public.token")]
    Import(ImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Configuration file; conf.d/*.toml beside it is read too [default: /etc/vand/vand.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where identity, peers and resources are kept [default: $STATE_DIRECTORY or /var/lib/vand]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Where the API socket is made [default: $RUNTIME_DIRECTORY or /run/vand]
    #[arg(long, value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,
    /// Run the site of the namespace that this pod is in, as its objects want it; also
    /// VAND_PLATFORM=kubernetes
    #[arg(long)]
    pub(crate) kubernetes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Configuration file; conf.d/*.toml beside it is read too [default: /etc/vand/vand.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyNamesArgs {
    /// The daemon's runtime directory [default: $RUNTIME_DIRECTORY or /run/vand]
    #[arg(long, value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Services to offer: their name in the network, and where they are
    #[arg(required = true, value_name = "ADDRESS=TARGET")]
    pub(crate) pairs: Vec<Pair<Target>>,
    /// Services to use here as well
    #[arg(long, value_name = "ADDRESS=BIND")]
    pub(crate) import: Vec<Pair<Bind>>,
    #[command(flatten)]
    pub(crate) common: OneShotArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Services to use: their name in the network, and where clients connect here
    #[arg(required = true, value_name = "ADDRESS=BIND")]
    pub(crate) pairs: Vec<Pair<Bind>>,
    /// Services to offer as well
    #[arg(long, value_name = "ADDRESS=TARGET")]
    pub(crate) export: Vec<Pair<Target>>,
    #[command(flatten)]
    pub(crate) common: OneShotArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OneShotArgs {
    /// The token's file, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) token: PathBuf,
    /// Keep the identity here, so that the token is redeemed once only
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// This site's name in the network [default: export-HOST- and 6 characters of its id]
    #[arg(long, value_name = "NAME")]
    pub(crate) site_name: Option<Name>,
    /// The link's cost, 1 to 65535
    #[arg(long, value_name = "COST")]
    pub(crate) cost: Option<van_model::Cost>,
    /// An HTTP CONNECT proxy, http://[user[:password]@]host:port
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
}

/// `ADDRESS=PLACE`.
#[derive(Debug, Clone)]
pub(crate) struct Pair<T> {
    pub(crate) address: Address,
    pub(crate) place: T,
}

impl<T: FromStr> FromStr for Pair<T>
where
    T::Err: std::fmt::Display,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, place) =
            text.split_once('=').ok_or("write ADDRESS=PLACE, for instance echo=127.0.0.1:2000")?;
        Ok(Self {
            address: address.parse().map_err(|e| format!("{address:?}: {e}"))?,
            place: place.parse().map_err(|e: T::Err| e.to_string())?,
        })
    }
}
