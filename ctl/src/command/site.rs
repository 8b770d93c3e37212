//! `vanctl site`.

use clap::Subcommand;
use serde_json::Value;

use crate::cli::Session;
use crate::error::Outcome;
use crate::output::plain;
use crate::table::Table;

/// The commands of `vanctl site`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the site's own resource
    #[command(after_help = "Example:\n  vanctl site show -o yaml")]
    Show,
}

impl Command {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let Self::Show = self;
        let document = session.client.get("/v1/site").await?;
        let color = session.output.color;
        session.output.resources("site", document, |sites: &[Value]| {
            Ok(sites.iter().map(|site| text(site, color)).collect())
        })
    }
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
