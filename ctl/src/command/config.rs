//! `vanctl config`.

use clap::Subcommand;
use van_model::api::{ConfigValue, List};

use crate::cli::Session;
use crate::client::understood;
use crate::error::{Outcome, one_line};
use crate::output::{Format, plain};
use crate::table::Table;

/// The commands of `vanctl config`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the effective configuration and where each value came from
    #[command(after_help = "Example:\n  vanctl config show")]
    Show,
}

impl Command {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let Self::Show = self;
        let output = session.output;
        let document = session.client.get("/v1/config").await?;
        if matches!(output.format, Format::Json | Format::Yaml) {
            return output.document(&document);
        }
        let values: List<ConfigValue> = understood(document)?;
        if output.format == Format::Name {
            let keys = values.items.iter().map(|value| one_line(&value.key) + "\n");
            return output.text(&keys.collect::<String>());
        }
        let mut table = Table::new(&["KEY", "VALUE", "ORIGIN"]);
        for value in values.items {
            table.row(vec![value.key, plain(&value.value), value.origin]);
        }
        output.text(&table.render(output.color))
    }
}
