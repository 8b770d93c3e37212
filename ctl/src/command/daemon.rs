//! `vanctl reload` and `vanctl log`: what is asked of the daemon itself.

use clap::Subcommand;
use serde::Deserialize;
use van_model::api::LogRequest;

use crate::cli::Session;
use crate::client::understood;
use crate::error::{Outcome, one_line};

/// The commands of `vanctl log`.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Change what the daemon logs, until it starts again
    #[command(after_help = "Examples:\n  vanctl log level debug\n  \
        vanctl log level info,van_net=trace")]
    Level {
        /// error, warn, info, debug, trace, or a filter as in RUST_LOG
        level: String,
    },
}

impl Log {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let Self::Level { level } = self;
        session.client.post("/v1/log", &LogRequest { level }).await.map(drop)
    }
}

#[derive(Deserialize)]
struct Reloaded {
    changed: Vec<String>,
}

pub(super) async fn reload(session: &mut Session) -> Outcome {
    let output = session.output;
    let document = session.client.post("/v1/reload", &serde_json::json!({})).await?;
    if !output.for_people() {
        return output.document(&document);
    }
    if output.quiet {
        return Ok(());
    }
    let reloaded: Reloaded = understood(document)?;
    if reloaded.changed.is_empty() {
        return output.text("nothing changed\n");
    }
    let lines = reloaded.changed.iter().map(|what| format!("{} changed\n", one_line(what)));
    output.text(&lines.collect::<String>())
}
