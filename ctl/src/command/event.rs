//! `vanctl events`.

use clap::Args;
use serde_json::Value;
use van_model::api::{Event, List};

use crate::cli::Session;
use crate::client::{query, understood};
use crate::error::{Outcome, one_line};
use crate::output::{Format, Output, moment};
use crate::table::Table;

/// How `vanctl events` is used.
pub(crate) const EXAMPLE: &str = "Examples:\n  vanctl events\n  vanctl events --follow -o json\n  \
    vanctl events --subject link/to-public --severity warning";

/// The options of `vanctl events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on with each new event
    #[arg(long, short)]
    follow: bool,
    /// Only about this, as link/to-public, or about all of a kind, as link
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Only those that matter as much or more
    #[arg(long, value_parser = ["info", "warning", "error"], value_name = "SEVERITY")]
    severity: Option<String>,
}

impl Events {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let output = session.output;
        let path = query(
            "/v1/events",
            &[
                ("subject", self.subject.as_deref()),
                ("severity", self.severity.as_deref()),
                ("watch", self.follow.then_some("1")),
            ],
        );
        if self.follow {
            return session.client.follow(&path, |event| line(output, &event)).await;
        }
        let document = session.client.get(&path).await?;
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

fn table(output: Output, events: &[Event]) -> String {
    let mut table = Table::new(&["TIME", "SEVERITY", "REASON", "SUBJECT", "MESSAGE"]);
    for event in events {
        table.row(vec![
            moment(event.time),
            event.severity.as_str().into(),
            event.reason.clone(),
            event.subject.clone(),
            event.message.clone(),
        ]);
    }
    table.render(output.color)
}

/// Prints one event of a stream; columns have fixed widths, as later rows aren't known.
fn line(output: Output, event: &Value) -> Outcome {
    if matches!(output.format, Format::Json | Format::Yaml) {
        return output.streamed(event);
    }
    let event: Event = understood(event.clone())?;
    let subject = one_line(&event.subject);
    if output.format == Format::Name {
        return output.text(&(subject + "\n"));
    }
    output.text(&format!(
        "{}  {:7}  {:20}  {subject:24}  {}\n",
        moment(event.time),
        event.severity.as_str(),
        one_line(&event.reason),
        one_line(&event.message)
    ))
}
