//! `vanctl peer`.

use clap::Subcommand;
use van_model::api::{PeerPut, PeerResource};

use crate::cli::Session;
use crate::client::Mode;
use crate::error::Outcome;
use crate::output::{Output, moment};
use crate::table::Table;

/// The commands of `vanctl peer`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the sites that this one trusts directly
    #[command(after_help = "Example:\n  vanctl peer list")]
    List,
    /// Close the link to a site at once and refuse it from then on
    #[command(after_help = "Example:\n  vanctl peer revoke laptop")]
    Revoke {
        /// The site's name, its id, or at least 6 characters of the id
        site: String,
    },
    /// End this site's own revocation of another
    #[command(after_help = "Example:\n  vanctl peer trust laptop")]
    Trust {
        /// The site's name, its id, or at least 6 characters of the id
        site: String,
    },
}

impl Command {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        match self {
            Self::List => {
                let document = session.client.get("/v1/peers").await?;
                let output = session.output;
                output.resources("peer", document, |peers| Ok(table(output, peers)))
            }
            Self::Trust { site } => {
                let path = crate::client::path("peers", &site);
                let put = PeerPut { trusted: true };
                let document = session.client.put(&path, &put, Mode::Replace).await?;
                session.output.done("peer", &site, "trusted", &document)
            }
            Self::Revoke { site } => super::remove(session, "peer", &site, "revoked").await,
        }
    }
}

fn table(output: Output, peers: &[PeerResource]) -> String {
    let mut table = Table::new(&["NAME", "ID", "STATUS", "SINCE", "LAST-SEEN"]);
    if output.wide() {
        table.columns(&["FULL-ID", "EPHEMERAL"]);
    }
    for peer in peers {
        let status = &peer.status;
        let stands = match (status.revoked, status.connected) {
            (true, _) => "revoked",
            (false, true) => "connected",
            (false, false) => "not connected",
        };
        let mut row = vec![
            status.name.clone(),
            peer.spec.id.short(),
            stands.into(),
            moment(status.since),
            status.last_seen.map(moment).unwrap_or_default(),
        ];
        if output.wide() {
            row.push(peer.spec.id.to_string());
            row.push(if status.ephemeral { "yes" } else { "no" }.into());
        }
        table.row(row);
    }
    table.render(output.color)
}
