//! `vanctl site`.

use clap::Subcommand;
use serde_json::Value;
use van_model::api::SitePut;

use crate::cli::Session;
use crate::client::Mode;
use crate::error::{Outcome, Problem};
use crate::output::plain;
use crate::table::Table;

/// The commands of `vanctl site`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the site's own resource
    #[command(after_help = "Example:\n  vanctl site show -o yaml")]
    Show,
    /// Change the site while it runs: accept=true|false opens and closes the link port
    #[command(after_help = "All else is in the configuration: see vand.toml(5).\n\n\
        Example:\n  vanctl site set accept=false")]
    Set {
        /// What to change
        #[arg(required = true, value_name = "KEY=VALUE")]
        changes: Vec<String>,
    },
}

impl Command {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let document = match self {
            Self::Show => session.client.get("/v1/site").await?,
            Self::Set { changes } => {
                let put = put(&changes)?;
                session.client.put("/v1/site", &put, Mode::Replace).await?
            }
        };
        let color = session.output.color;
        session.output.resources("site", document, |sites: &[Value]| {
            Ok(sites.iter().map(|site| text(site, color)).collect())
        })
    }
}

/// What is to be changed.
fn put(changes: &[String]) -> Outcome<SitePut> {
    let mut put = SitePut::default();
    for change in changes {
        match change.split_once('=') {
            Some(("accept", "true")) => put.accept = Some(true),
            Some(("accept", "false")) => put.accept = Some(false),
            Some((key, _)) if key != "accept" => {
                let hint = "change it in /etc/vand/vand.toml, then 'vanctl reload'";
                return Err(Problem::usage(format!("{key} can't be set here")).hint(hint));
            }
            _ => {
                let why = format!("{change:?} is no change");
                return Err(Problem::usage(why).hint("accepted: accept=true, accept=false"));
            }
        }
    }
    Ok(put)
}

/// What is wanted, one key a row.
fn text(site: &Value, color: bool) -> String {
    let mut table = Table::new(&["KEY", "VALUE"]);
    for key in ["name", "source", "file"] {
        if let Some(value) = site.get(key) {
            table.row(vec![key.into(), plain(value)]);
        }
    }
    if let Some(spec) = site.get("spec") {
        rows(&mut table, "", spec);
    }
    table.render(color)
}

fn rows(table: &mut Table, prefix: &str, value: &Value) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in
                fields.iter().filter(|(key, _)| !prefix.is_empty() || *key != "name")
            {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                rows(table, &path, value);
            }
        }
        Value::Object(_) => {}
        other => table.row(vec![prefix.into(), plain(other)]),
    }
}
