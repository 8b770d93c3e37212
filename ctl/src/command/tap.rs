//! `vanctl tap`.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use van_model::api::{FlowEnd, FlowRecord, RequestRecord, TapLine};
use van_model::{Address, parse_duration};

use crate::cli::Session;
use crate::client::{query, understood};
use crate::error::Outcome;
use crate::output::{Format, Output, bytes, millis};
use crate::table::clean;

/// How `vanctl tap` is used.
pub(crate) const EXAMPLE: &str = "Shown are this site's clients, from now on: requests once their \
    answers are over, other flows as they open and end. Header fields are in the JSON; secrets among \
    them are masked.\n\nExamples:\n  vanctl tap shop --count 10\n  vanctl tap shop --duration 1m -o json";

/// The options of `vanctl tap`.
#[derive(Debug, Args)]
pub(crate) struct Tap {
    /// The service
    service: Address,
    /// End after so many lines
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    count: Option<u64>,
    /// End after this time
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    duration: Option<Duration>,
    /// Show the values of queries too, but for secrets
    #[arg(long)]
    query: bool,
}

impl Tap {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let output = session.output;
        let values = self.query.then_some("1");
        let path =
            query("/v1/tap", &[("address", Some(self.service.as_str())), ("values", values)]);
        let mut left = self.count.unwrap_or(u64::MAX);
        let followed = session.client.follow_while(&path, |document| {
            let line: TapLine = understood(document.clone())?;
            show(output, &line, &document)?;
            left -= u64::from(!matches!(line, TapLine::Lost { .. }));
            Ok(left > 0)
        });
        match self.duration {
            Some(time) => tokio::time::timeout(time, followed).await.unwrap_or(Ok(())),
            None => followed.await,
        }
    }
}

fn show(output: Output, line: &TapLine, document: &Value) -> Outcome {
    if let TapLine::Lost { count } = line {
        output.note(&format!("note: {count} lines were lost, since they came too fast"));
    }
    match (output.format, line) {
        (Format::Json | Format::Yaml, _) => output.streamed(document),
        (_, TapLine::Request(request)) => output.text(&requested(request)),
        (_, TapLine::Flow(flow)) => output.text(&flowed(flow)),
        (_, TapLine::Lost { .. }) => Ok(()),
    }
}

fn requested(request: &RequestRecord) -> String {
    let question = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    row(&[
        (0, time(request.started)),
        (21, request.client.clone().unwrap_or_default()),
        (6, request.method.clone()),
        (24, format!("{}{question}", request.path)),
        (3, request.status.to_string()),
        (8, millis(Some(request.latency_ms))),
        (8, bytes(request.bytes_sent)),
        (8, bytes(request.bytes_received)),
        (0, whom(request.peer_name.as_deref(), request.target.as_deref())),
    ])
}

fn flowed(flow: &FlowRecord) -> String {
    row(&[
        (0, time(flow.ended.unwrap_or(flow.started))),
        (21, flow.client.clone().unwrap_or_default()),
        (9, flow.end.map_or("open", FlowEnd::as_str).into()),
        (8, millis(flow.connect_ms)),
        (8, bytes(flow.bytes_sent)),
        (8, bytes(flow.bytes_received)),
        (0, whom(flow.peer_name.as_deref(), flow.target.as_deref())),
    ])
}

/// The site and its target, as `db-host/pg`.
fn whom(site: Option<&str>, target: Option<&str>) -> String {
    match (site, target) {
        (Some(site), Some(target)) => format!("{site}/{target}"),
        (one, other) => one.or(other).unwrap_or("-").to_owned(),
    }
}

/// The time of a line, in UTC.
fn time(at: Timestamp) -> String {
    at.strftime("%H:%M:%S%.3f").to_string()
}

fn row(cells: &[(usize, String)]) -> String {
    let cells = cells.iter().map(|(wide, cell)| {
        let cell = if cell.is_empty() { "-".into() } else { clean(cell) };
        format!("{cell:wide$}", wide = *wide)
    });
    cells.collect::<Vec<_>>().join("  ") + "\n"
}
