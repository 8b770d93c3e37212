//! `vanctl link`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use clap::{Args, Subcommand};
use van_model::api::{LinkPut, LinkResource, List};
use van_model::status::{Direction, LinkState};
use van_model::{Cost, Name};

use crate::cli::Session;
use crate::client::{Mode, path, understood};
use crate::error::{Outcome, Problem, reason};
use crate::output::{Output, bytes, millis, moment};
use crate::table::{Table, clean};
use crate::wait::{self, Verdict};

/// The largest token file; a token is well under 4 KiB.
const TOKEN_MAX: u64 = 64 << 10;
/// Reasons for which a link never connects by itself.
const FINAL: [&str; 5] = ["Refused", "TokenExpired", "SelfLink", "Revoked", "BadToken"];

/// The commands of `vanctl link`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Redeem a token and link to the site that made it
    #[command(after_help = "Examples:\n  vanctl link create public.token\n  \
        ssh public vanctl token create | vanctl link create - --name to-public")]
    Create(Create),
    /// Show links, those that others dialled too
    #[command(after_help = "Examples:\n  vanctl link status\n  vanctl link status link1 --verbose")]
    Status(Status),
    /// Remove a link; the other site stays trusted
    #[command(after_help = "Example:\n  vanctl link delete link1")]
    Delete {
        /// The link's name
        name: String,
    },
}

/// The options of `vanctl link create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The file that holds the token; `-`: standard input
    #[arg(value_name = "TOKENFILE")]
    token: String,
    /// The link's name; default: link1, link2, ..., the first that is free
    #[arg(long)]
    name: Option<Name>,
    /// Cost of the way over this link, 1 to 65535; default: the token's, else 1
    #[arg(long, value_parser = cost, value_name = "COST")]
    cost: Option<Cost>,
    /// An HTTP CONNECT proxy, http://[user[:password]@]host:port
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    #[command(flatten)]
    wait: super::Wait,
}

/// The options of `vanctl link status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    which: super::Which,
    /// Show connections, cipher, certificate expiry, bytes, flows, reconnects and the cost
    /// that the other end tells, too
    #[arg(long, short)]
    verbose: bool,
}

/// Reads a cost.
pub(super) fn cost(text: &str) -> Result<Cost, &'static str> {
    text.parse().map_err(|_| "a cost is a whole number from 1 to 65535")
}

impl Command {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        match self {
            Self::Create(create) => create.run(session).await,
            Self::Status(status) => status.run(session).await,
            Self::Delete { name } => super::remove(session, "link", &name, "deleted").await,
        }
    }
}

impl Create {
    async fn run(self, session: &mut Session) -> Outcome {
        let token = read_token(&self.token)?;
        if let Some(cluster) = session.cluster().await? {
            if self.proxy.is_some() {
                return Err(Problem::usage("--proxy goes with a Link in a cluster")
                    .hint("apply a Link with spec.proxy and spec.tokenSecret"));
            }
            let manifest =
                super::cluster::link(cluster, self.name.as_ref(), token, self.cost).await?;
            return super::cluster::make(session, &manifest, Mode::Fresh, self.wait.wait).await;
        }
        let name = match &self.name {
            Some(name) => name.to_string(),
            None => first_free(session).await?,
        };
        let put = LinkPut { token, cost: self.cost, proxy: self.proxy };
        let at = path("links", &name);
        let mut document = session.client.put(&at, &put, Mode::Fresh).await?;
        if !self.wait.wait.is_zero() {
            let client = &mut session.client;
            let what = format!("link {name}");
            document = wait::until(session.output, &what, self.wait.wait, async || {
                let document = client.get(&at).await?;
                let link: LinkResource = understood(document.clone())?;
                Ok(judge(&link, document))
            })
            .await?;
        }
        session.output.done("link", &name, "created", &document)
    }
}

fn judge<T>(link: &LinkResource, document: T) -> Verdict<T> {
    let status = &link.status;
    let why = status.reason.clone();
    let ended = status.conditions.get("Ready").is_some_and(|c| FINAL.contains(&&*c.reason));
    match status.state {
        LinkState::Connected => Verdict::Done(document),
        LinkState::Failed if ended => {
            let mut problem = Problem::failed(why.unwrap_or_else(|| "it was refused".into()));
            problem.hint = status.hint.clone();
            Verdict::Failed(problem)
        }
        LinkState::Failed => Verdict::Pending(why.unwrap_or_else(|| "failed".into())),
        LinkState::Connecting => Verdict::Pending("connecting".into()),
    }
}

async fn first_free(session: &mut Session) -> Outcome<String> {
    let links: List<LinkResource> = session.client.read("/v1/links").await?;
    let taken = |name: &String| links.items.iter().any(|link| link.name == *name);
    (1..=links.items.len() + 1)
        .map(|number| format!("link{number}"))
        .find(|name| !taken(name))
        .ok_or_else(|| Problem::failed("no name is free").hint("give one with --name"))
}

/// Reads a token from a file or from standard input, never from the arguments: those are seen by
/// every user of the host.
fn read_token(place: &str) -> Outcome<String> {
    if place.starts_with("van1.") {
        return Err(Problem::usage("a token is not taken from the command line")
            .hint("write it to a file, or pipe it: vanctl link create -"));
    }
    let mut text = String::new();
    let read = if place == "-" {
        io::stdin().lock().take(TOKEN_MAX + 1).read_to_string(&mut text)
    } else {
        File::open(Path::new(place)).and_then(|f| f.take(TOKEN_MAX + 1).read_to_string(&mut text))
    };
    let shown = if place == "-" { "standard input" } else { place };
    match read {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(Problem::failed(format!("{shown} holds no token: it is not text")))
        }
        Err(error) => Err(Problem::failed(format!("can't read {shown}: {}", reason(&error)))),
        Ok(read) if read as u64 > TOKEN_MAX => {
            Err(Problem::failed(format!("{shown} holds no token: it is longer than 64 KiB")))
        }
        Ok(_) if text.trim().is_empty() => {
            Err(Problem::failed(format!("{shown} holds no token: it is empty")))
        }
        Ok(_) => Ok(text.trim().to_owned()),
    }
}

impl Status {
    async fn run(self, session: &mut Session) -> Outcome {
        let document = session.client.get(&self.which.path("links")).await?;
        let output = session.output;
        output.resources("link", document, |links| {
            let mut text = String::new();
            for link in links {
                text.push_str(&format!("{}\n", sentence(link)));
            }
            if !links.is_empty() {
                text.push('\n');
            }
            text.push_str(&table(output, links, self.verbose));
            Ok(text)
        })
    }
}

fn sentence(link: &LinkResource) -> String {
    let name = clean(&link.name);
    let why = link.status.reason.as_deref().map(clean);
    match (link.status.state, why) {
        (LinkState::Connected, _) => format!("Link {name} is connected"),
        (LinkState::Connecting, _) => format!("Link {name} is connecting"),
        (LinkState::Failed, Some(why)) => format!("Link {name} has failed: {why}"),
        (LinkState::Failed, None) => format!("Link {name} has failed"),
    }
}

fn stands(link: &LinkResource) -> String {
    match (link.status.state, &link.status.reason) {
        (LinkState::Connected, _) => "connected".into(),
        (LinkState::Connecting, _) => "connecting".into(),
        (LinkState::Failed, Some(why)) => format!("failed: {why}"),
        (LinkState::Failed, None) => "failed".into(),
    }
}

fn table(output: Output, links: &[LinkResource], verbose: bool) -> String {
    let mut table = Table::new(&["NAME", "STATUS", "PEER", "DIRECTION", "COST", "RTT", "SINCE"]);
    if output.wide() || verbose {
        table.columns(&["REMOTE", "SOURCE"]);
    }
    if verbose {
        table.columns(&[
            "CONNECTIONS",
            "CIPHER",
            "KEY-EXCHANGE",
            "CERTIFICATE-EXPIRES",
            "SENT",
            "RECEIVED",
            "FLOWS",
            "FLOWS-TOTAL",
            "RECONNECTS",
            "PEER-COST",
        ]);
    }
    for link in links {
        let status = &link.status;
        let mut row = vec![
            link.name.clone(),
            stands(link),
            status.peer.as_ref().map(|peer| peer.name.clone()).unwrap_or_default(),
            match status.direction {
                Direction::Outgoing => "outgoing".into(),
                Direction::Incoming => "incoming".into(),
            },
            status.cost.to_string(),
            millis(status.rtt_ms),
            moment(status.since),
        ];
        if output.wide() || verbose {
            row.push(status.remote.clone().unwrap_or_default());
            row.push(super::listener::source(link.source, link.file.as_deref()));
        }
        if verbose {
            let first = status.connections.first();
            row.push(status.connections.len().to_string());
            row.push(first.map(|c| c.cipher.clone()).unwrap_or_default());
            row.push(first.map(|c| c.key_exchange.clone()).unwrap_or_default());
            row.push(status.certificate_expires.map(moment).unwrap_or_default());
            row.push(bytes(status.bytes_sent));
            row.push(bytes(status.bytes_received));
            row.push(status.flows_open.to_string());
            row.push(status.flows_total.to_string());
            row.push(status.reconnects.to_string());
            row.push(status.peer_cost.map(|cost| cost.to_string()).unwrap_or_default());
        }
        table.row(row);
    }
    table.render(output.color)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    #[test]
    fn tokens_come_from_files_only() {
        let given = read_token("van1.abc").unwrap_err();
        assert_eq!(given.exit, Exit::Usage);
        assert!(!given.why.contains("abc") && !given.hint.unwrap().contains("abc"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t");
        let at = file.to_str().unwrap();
        assert!(read_token(at).unwrap_err().why.ends_with("no such file or directory"));
        for (bytes, why) in [
            (&b" \n"[..], "it is empty"),
            (&[0xff, 0xfe], "it is not text"),
            (&[b'x'; 65 << 10], "longer than 64 KiB"),
        ] {
            std::fs::write(&file, bytes).unwrap();
            let problem = read_token(at).unwrap_err();
            assert!(problem.why.contains(why), "{problem:?}");
        }
        std::fs::write(&file, "van1.abc\n").unwrap();
        assert_eq!(read_token(at).as_deref(), Ok("van1.abc"));
    }

    #[test]
    fn costs() {
        assert_eq!(cost("65535").unwrap().get(), 65535);
        for bad in ["0", "65536", "-1", "x", ""] {
            assert!(cost(bad).is_err(), "{bad}");
        }
    }
}
