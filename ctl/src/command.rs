//! The commands, one a file.

mod check;
mod cluster;
mod completion;
mod config;
mod connector;
mod convert;
mod daemon;
mod debug;
mod delete;
mod event;
mod explain;
mod expose;
mod flow;
mod init;
mod link;
mod listener;
mod network;
mod peer;
mod ping;
mod proxy;
mod route;
mod service;
mod site;
mod status;
mod tap;
mod token;
mod trace;
mod version;

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::Session;
use crate::error::Outcome;

/// What `vanctl` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show this site at a glance
    #[command(after_help = "Example:\n  vanctl status")]
    Status,
    /// Make a site of this host: write its configuration and start its service
    #[command(after_help = init::EXAMPLE)]
    Init(init::Init),
    /// Stop this host's site for good and remove its state
    #[command(after_help = delete::EXAMPLE)]
    Delete(delete::Delete),
    /// Show the site's own resource
    #[command(subcommand)]
    Site(site::Command),
    /// Let other sites link to this one
    #[command(subcommand)]
    Token(token::Command),
    /// Link this site to others
    #[command(subcommand)]
    Link(link::Command),
    /// Sites that this one trusts directly
    #[command(subcommand)]
    Peer(peer::Command),
    /// Services of the network, offered here at a fixed place
    #[command(subcommand)]
    Listener(listener::Command),
    /// Local workloads, offered to the network
    #[command(subcommand)]
    Connector(connector::Command),
    /// Offer a workload to the network
    #[command(after_help = expose::EXAMPLE)]
    Expose(expose::Expose),
    /// Stop offering a workload
    #[command(after_help = expose::UNEXPOSE_EXAMPLE)]
    Unexpose(expose::Unexpose),
    /// Services of the network
    #[command(subcommand)]
    Service(service::Command),
    /// The sites of the network
    #[command(subcommand)]
    Network(network::Command),
    /// Show open and recent flows
    #[command(after_help = flow::EXAMPLE)]
    Flows(flow::Flows),
    /// Show a service's requests and flows as they are answered
    #[command(after_help = tap::EXAMPLE)]
    Tap(tap::Tap),
    /// Show what happened
    #[command(after_help = event::EXAMPLE)]
    Events(event::Events),
    /// Measure round-trip times to a site through the network
    #[command(after_help = ping::EXAMPLE)]
    Ping(ping::Ping),
    /// Tell which way a new flow would go now, and why
    #[command(after_help = trace::EXAMPLE)]
    Trace(trace::Trace),
    /// Look for what is wrong
    #[command(after_help = check::EXAMPLE)]
    Check(check::Check),
    /// Tell what a code means and what to do about it
    #[command(after_help = explain::EXAMPLE)]
    Explain(explain::Explain),
    /// Print manifests of Skupper as vand's
    #[command(after_help = convert::EXAMPLE)]
    Convert(convert::Convert),
    /// The daemon's configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Read the configuration again and apply what changed
    #[command(after_help = "Example:\n  vanctl reload")]
    Reload,
    /// What the daemon logs
    #[command(subcommand)]
    Log(daemon::Log),
    /// What a report of a problem needs
    #[command(subcommand)]
    Debug(debug::Command),
    /// Print a shell's completions
    #[command(after_help = completion::EXAMPLE)]
    Completion(completion::Completion),
    /// Print the versions of vanctl and of the daemon
    #[command(after_help = "Example:\n  vanctl version")]
    Version,
    /// Join standard input and output to the daemon's socket
    #[command(
        after_help = "What ssh:// runs at the far end. Example:\n  ssh db-host vanctl api-proxy"
    )]
    ApiProxy,
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session) -> Outcome {
        match self {
            Self::Status => status::run(session).await,
            Self::Init(command) => command.run(session).await,
            Self::Delete(command) => command.run(session).await,
            Self::Site(command) => command.run(session).await,
            Self::Token(command) => command.run(session).await,
            Self::Link(command) => command.run(session).await,
            Self::Peer(command) => command.run(session).await,
            Self::Listener(command) => command.run(session).await,
            Self::Connector(command) => command.run(session).await,
            Self::Expose(command) => command.run(session).await,
            Self::Unexpose(command) => command.run(session).await,
            Self::Service(command) => command.run(session).await,
            Self::Events(command) => command.run(session).await,
            Self::Ping(command) => command.run(session).await,
            Self::Network(command) => command.run(session).await,
            Self::Flows(command) => command.run(session).await,
            Self::Tap(command) => command.run(session).await,
            Self::Trace(command) => command.run(session).await,
            Self::Check(command) => command.run(session).await,
            Self::Explain(command) => command.run(session.output),
            Self::Convert(command) => command.run(session),
            Self::Config(command) => command.run(session).await,
            Self::Reload => daemon::reload(session).await,
            Self::Log(command) => command.run(session).await,
            Self::Debug(command) => command.run(session).await,
            Self::Completion(command) => command.run(session),
            Self::Version => version::run(session).await,
            Self::ApiProxy => proxy::run(session.client.url()).await,
        }
    }
}

/// The option of everything that creates.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// How long to wait until it works; 0 returns at once
    #[arg(
        long,
        default_value = "30s",
        value_parser = van_model::parse_duration,
        value_name = "DURATION"
    )]
    wait: Duration,
}

/// Which resource to show.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Only this one
    name: Option<String>,
}

impl Which {
    /// The path of the one resource, or of all of its kind.
    fn path(&self, kind: &str) -> String {
        match &self.name {
            Some(name) => crate::client::path(kind, name),
            None => format!("/v1/{kind}"),
        }
    }
}

/// Removes a resource and says so.
async fn remove(session: &mut Session, kind: &str, name: &str, what: &str) -> Outcome {
    if let Some(in_cluster) = session.cluster().await? {
        return cluster::remove(session, in_cluster, cluster::kinds(kind), name, (kind, what))
            .await;
    }
    session.client.delete(&crate::client::path(&format!("{kind}s"), name)).await?;
    session.output.gone(kind, name, what)
}

/// A file as the daemon has to find it: from here if its path is relative.
fn file(text: &str) -> String {
    if text.starts_with("credential:") {
        return text.to_owned();
    }
    std::path::absolute(text).map_or_else(|_| text.to_owned(), |path| path.display().to_string())
}
