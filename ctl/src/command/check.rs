//! `vanctl check`.

use clap::Args;
use serde_json::json;
use van_model::api::{CheckLine, CheckOutcome, List};

use crate::cli::Session;
use crate::client::understood;
use crate::error::{Exit, Outcome, Problem};
use crate::output::{Format, Output};
use crate::table::{clean, hue};

/// How `vanctl check` is used.
pub(crate) const EXAMPLE: &str = "Each line is passed, warning or failed; exit code 1 if any failed. \
    With -q only what is wrong.\n\nExamples:\n  vanctl check\n  vanctl check -q\n  \
    vanctl check --group dns\n  vanctl check -o json";

/// The arguments of `vanctl check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Show only this group: host, configuration, identity, clock, ports, limits, dns, podman, links,
    /// routes, services or versions
    #[arg(long)]
    group: Option<String>,
}

impl Check {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let document = session.client.post("/v1/check", &json!({})).await?;
        let List::<CheckLine> { items } = understood(document)?;
        let wanted = |line: &CheckLine| self.group.as_ref().is_none_or(|g| *g == line.group);
        let items: Vec<CheckLine> = items.into_iter().filter(wanted).collect();
        match self.group {
            Some(group) if items.is_empty() => {
                let why = format!("no check is in a group {group:?}");
                Err(Problem::new(Exit::NotFound, why)
                    .hint("'vanctl check --help' lists the groups"))
            }
            _ => show(session.output, &items),
        }
    }
}

fn show(output: Output, items: &[CheckLine]) -> Outcome {
    match output.format {
        Format::Json | Format::Yaml => output.document(&json!({ "items": items }))?,
        Format::Name => {
            output.text(&items.iter().map(|line| clean(&line.what) + "\n").collect::<String>())?;
        }
        Format::Table | Format::Wide => output.text(&text(output, items))?,
    }
    let failed = items.iter().filter(|line| line.outcome == CheckOutcome::Failed).count();
    match failed {
        0 => Ok(()),
        _ => Err(Problem::failed(format!("{failed} of {} checks failed", items.len()))),
    }
}

fn text(output: Output, lines: &[CheckLine]) -> String {
    let mut text = String::new();
    for line in lines.iter().filter(|l| !output.quiet || l.outcome != CheckOutcome::Passed) {
        let word = line.outcome.as_str();
        let word = match hue(word).filter(|_| output.color) {
            Some(code) => format!("\x1b[{code}m{word:7}\x1b[0m"),
            None => format!("{word:7}"),
        };
        text.push_str(&format!("{word}  {}: {}\n", clean(&line.what), clean(&line.detail)));
        if let Some(hint) = &line.hint {
            text.push_str(&format!("         hint: {}\n", clean(hint)));
        }
    }
    text
}
