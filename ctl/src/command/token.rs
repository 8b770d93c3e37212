//! `vanctl token`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use van_model::Name;
use van_model::api::{TokenCreate, TokenCreated, TokenResource, TokenView};

use crate::cli::Session;
use crate::client::understood;
use crate::error::{Outcome, Problem, reason};
use crate::output::{Format, Output, moment};
use crate::table::Table;

/// The commands of `vanctl token`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a one-time right to link to this site
    #[command(after_help = "Examples:\n  vanctl token create public.token\n  \
        vanctl token create --expires 1h --uses 3 > public.token\n  \
        vanctl token create -o yaml | kubectl apply -f -")]
    Create(Create),
    /// List the tokens, without their secrets
    #[command(after_help = "Example:\n  vanctl token list")]
    List,
    /// Take a token back; links made with it stay
    #[command(after_help = "Example:\n  vanctl token revoke token1")]
    Revoke {
        /// The token's name
        name: String,
    },
}

/// The options of `vanctl token create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Where the token goes, mode 0600; `-` or none: standard output
    file: Option<PathBuf>,
    /// How long it can be redeemed
    #[arg(
        long,
        default_value = "15m",
        value_parser = van_model::parse_duration,
        value_name = "DURATION"
    )]
    expires: Duration,
    /// How many sites may redeem it
    #[arg(long, default_value_t = 1, value_name = "N")]
    uses: u32,
    /// Its name; default: one is made
    #[arg(long)]
    name: Option<Name>,
    /// Open the link port (8263) for links from now on, if this site only dials so far
    #[arg(long)]
    accept: bool,
    /// The cost of links made with it, unless they say otherwise
    #[arg(long, value_parser = super::link::cost, value_name = "COST")]
    cost: Option<van_model::Cost>,
}

impl Command {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        match self {
            Self::Create(create) => create.run(session).await,
            Self::List => {
                let document = session.client.get("/v1/tokens").await?;
                let output = session.output;
                output.resources("token", document, |tokens| Ok(table(output, tokens)))
            }
            Self::Revoke { name } => super::remove(session, "token", &name, "revoked").await,
        }
    }
}

impl Create {
    async fn run(self, session: &mut Session) -> Outcome {
        let file = self.file.filter(|file| file.as_os_str() != "-");
        // Made before the token, which nobody could have if there were no place for it.
        let place = file.as_deref().map(Place::open).transpose()?;
        let spec = TokenView {
            expires_seconds: Some(self.expires.as_secs()),
            uses: Some(self.uses),
            cost: self.cost,
            accept: self.accept,
        };
        let create = TokenCreate { name: self.name, spec };
        let (document, created) = match session.cluster().await? {
            Some(_) if self.accept => {
                return Err(Problem::usage(
                    "--accept is for hosts: a site in a cluster accepts links",
                )
                .hint("'vanctl init --access TYPE' says how others reach it"));
            }
            Some(cluster) => {
                let created = super::cluster::token(session, cluster, &create).await?;
                (serde_json::json!(created), created)
            }
            None => {
                let document = session.client.post("/v1/tokens", &create).await?;
                let created: TokenCreated = understood(document.clone())?;
                (document, created)
            }
        };
        let text = written(session.output, &document, &created)?;
        let Some(place) = place else { return session.output.text(&text) };
        let path = place.path.clone();
        place.fill(text.as_bytes())?;
        let uses = if created.uses == 1 { "use" } else { "uses" };
        session.output.note(&format!(
            "token {} written to {}: {} {uses}, expires {}",
            created.name,
            path.display(),
            created.uses,
            moment(created.expires)
        ));
        match session.output.format {
            Format::Name => session.output.text(&format!("token/{}\n", created.name)),
            _ => Ok(()),
        }
    }
}

fn written(output: Output, document: &Value, created: &TokenCreated) -> Outcome<String> {
    let text = match output.format {
        Format::Yaml => created.access_token.clone(),
        Format::Json => output.written(document)?,
        Format::Table | Format::Wide | Format::Name => created.token.clone(),
    };
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}

/// A file for a secret: nobody else can read it at any moment, and it is never half written.
struct Place {
    path: PathBuf,
    file: File,
    /// The name under which a regular file is written until it is whole.
    beside: Option<PathBuf>,
}

impl Place {
    fn open(path: &Path) -> Outcome<Self> {
        let fail = |error: &io::Error| unwritable(path, error);
        let special = fs::metadata(path).is_ok_and(|meta| !meta.is_file());
        if special {
            // A pipe or a terminal is written to, not replaced.
            let file = OpenOptions::new().write(true).open(path).map_err(|e| fail(&e))?;
            return Ok(Self { path: path.into(), file, beside: None });
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let beside = PathBuf::from(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .map_err(|e| fail(&e))?;
        Ok(Self { path: path.into(), file, beside: Some(beside) })
    }

    fn fill(mut self, text: &[u8]) -> Outcome {
        let written = self.file.write_all(text).and_then(|()| match self.beside.take() {
            Some(beside) => self
                .file
                .sync_all()
                .and_then(|()| fs::rename(&beside, &self.path))
                .inspect_err(|_| self.beside = Some(beside)),
            None => Ok(()),
        });
        written.map_err(|error| unwritable(&self.path, &error))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // The failure that led here is told; what can't be removed is empty or unreadable.
            let _left = fs::remove_file(beside);
        }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Problem {
    Problem::failed(format!("can't write {}: {}", path.display(), reason(error)))
}

fn table(output: Output, tokens: &[TokenResource]) -> String {
    let mut table = Table::new(&["NAME", "STATUS", "USED", "EXPIRES"]);
    if output.wide() {
        table.columns(&["COST", "CREATED", "REDEEMED-BY"]);
    }
    for token in tokens {
        let status = &token.status;
        let stands = match status.conditions.get("Ready") {
            Some(ready) if !status.conditions.is_ready() => ready.reason.to_lowercase(),
            _ => "ready".into(),
        };
        let mut row = vec![
            token.name.clone(),
            stands,
            format!("{}/{}", status.used, status.uses),
            moment(status.expires),
        ];
        if output.wide() {
            let sites: Vec<_> = status.redeemed_by.iter().map(|site| site.name.clone()).collect();
            row.push(token.spec.cost.map(|cost| cost.to_string()).unwrap_or_default());
            row.push(moment(status.created));
            row.push(sites.join(", "));
        }
        table.row(row);
    }
    table.render(output.color)
}
