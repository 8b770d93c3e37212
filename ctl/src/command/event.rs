//! `vanctl events`.

use clap::Args;
use serde_json::Value;
use van_model::api::{Event, List, Severity};

use crate::cli::Session;
use crate::client::understood;
use crate::error::{Outcome, Problem, one_line};
use crate::output::{Format, Output, moment};
use crate::table::Table;

/// The options of `vanctl events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on with each new event
    #[arg(long, short)]
    follow: bool,
}

impl Events {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let output = session.output;
        if self.follow {
            return session.client.follow("/v1/events?watch=1", |event| line(output, &event)).await;
        }
        let document = session.client.get("/v1/events").await?;
        match output.format {
            Format::Json | Format::Yaml => output.document(&document),
            Format::Name => {
                let events: List<Event> = understood(document)?;
                let lines = events.items.iter().map(|event| one_line(&event.subject) + "\n");
                output.text(&lines.collect::<String>())
            }
            Format::Table | Format::Wide => {
                let events: List<Event> = understood(document)?;
                output.text(&table(output, &events.items))
            }
        }
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

fn table(output: Output, events: &[Event]) -> String {
    let mut table = Table::new(&["TIME", "SEVERITY", "REASON", "SUBJECT", "MESSAGE"]);
    for event in events {
        table.row(vec![
            moment(event.time),
            word(event.severity).into(),
            event.reason.clone(),
            event.subject.clone(),
            event.message.clone(),
        ]);
    }
    table.render(output.color)
}

/// Prints one event of a stream; columns have fixed widths, as later rows aren't known.
fn line(output: Output, event: &Value) -> Outcome {
    match output.format {
        Format::Json => {
            let text = serde_json::to_string(event)
                .map_err(|error| Problem::failed(format!("can't write JSON: {error}")))?;
            return output.text(&(text + "\n"));
        }
        Format::Yaml => return output.text(&format!("---\n{}", output.written(event)?)),
        Format::Table | Format::Wide | Format::Name => {}
    }
    let event: Event = understood(event.clone())?;
    let subject = one_line(&event.subject);
    if output.format == Format::Name {
        return output.text(&(subject + "\n"));
    }
    output.text(&format!(
        "{}  {:7}  {:20}  {subject:24}  {}\n",
        moment(event.time),
        word(event.severity),
        one_line(&event.reason),
        one_line(&event.message)
    ))
}
