//! `vanctl flows`.

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use van_model::api::{FlowEnd, FlowRecord, FlowSide, List};

use crate::cli::Session;
use crate::client::{query, understood};
use crate::error::Outcome;
use crate::output::{Format, Output, bytes, millis, span};
use crate::table::{Table, clean};

/// How `vanctl flows` is used.
pub(crate) const EXAMPLE: &str = "SITE is the one at the other end.\n\nExamples:\n  vanctl flows\n  \
    vanctl flows --address postgres --site db-host\n  vanctl flows --follow -o json";

/// The options of `vanctl flows`.
#[derive(Debug, Args)]
pub(crate) struct Flows {
    /// Only those of this service
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Only those whose other end is this site: its name or its id
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// At most so many, open ones first; 1 to 100000, default 1000
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "N")]
    limit: Option<u32>,
    /// Go on with each flow that opens and each that ends
    #[arg(long, short)]
    follow: bool,
}

impl Flows {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let output = session.output;
        let limit = self.limit.map(|limit| limit.to_string());
        let path = query(
            "/v1/flows",
            &[
                ("address", self.address.as_deref()),
                ("site", self.site.as_deref()),
                ("limit", limit.as_deref()),
                ("watch", self.follow.then_some("1")),
            ],
        );
        if self.follow {
            return session.client.follow(&path, |flow| line(output, &flow)).await;
        }
        let document = session.client.get(&path).await?;
        match output.format {
            Format::Json | Format::Yaml => output.document(&document),
            Format::Name => {
                let flows: List<FlowRecord> = understood(document)?;
                output.text(&flows.items.iter().map(name).collect::<String>())
            }
            Format::Table | Format::Wide => {
                let flows: List<FlowRecord> = understood(document)?;
                output.text(&table(output, &flows.items, Timestamp::now()))
            }
        }
    }
}

fn name(flow: &FlowRecord) -> String {
    format!("flow/{}\n", flow.id)
}

/// The last request of a connection, as `GET /path 200`.
fn request(flow: &FlowRecord) -> String {
    let last = flow.requests.as_ref();
    last.map(|last| format!("{} {} {}", last.method, last.path, last.status)).unwrap_or_default()
}

fn row(flow: &FlowRecord, now: Timestamp) -> Vec<String> {
    vec![
        flow.address.to_string(),
        flow.client.clone().unwrap_or_default(),
        flow.peer_name.clone().or(flow.peer.map(|id| id.short())).unwrap_or_default(),
        flow.target.clone().unwrap_or_default(),
        flow.end.map_or("open", FlowEnd::as_str).into(),
        span(now.duration_since(flow.started)),
        span(flow.ended.unwrap_or(now).duration_since(flow.started)),
        bytes(flow.bytes_sent),
        bytes(flow.bytes_received),
        request(flow),
    ]
}

fn table(output: Output, flows: &[FlowRecord], now: Timestamp) -> String {
    let mut table = Table::new(&[
        "ADDRESS", "CLIENT", "SITE", "TARGET", "STATE", "AGE", "DURATION", "SENT", "RECEIVED",
        "REQUEST",
    ]);
    if output.wide() {
        table.columns(&["ID", "SIDE", "LISTENER", "CONNECT"]);
    }
    for flow in flows {
        let mut row = row(flow, now);
        if output.wide() {
            row.push(flow.id.to_string());
            row.push(side(flow.side).into());
            row.push(flow.listener.clone().unwrap_or_default());
            row.push(millis(flow.connect_ms));
        }
        table.row(row);
    }
    table.render(output.color)
}

fn side(side: FlowSide) -> &'static str {
    match side {
        FlowSide::Ingress => "ingress",
        FlowSide::Egress => "egress",
    }
}

/// Prints one flow of a stream; columns have fixed widths, as later rows aren't known.
fn line(output: Output, flow: &Value) -> Outcome {
    if matches!(output.format, Format::Json | Format::Yaml) {
        return output.streamed(flow);
    }
    let flow: FlowRecord = understood(flow.clone())?;
    if output.format == Format::Name {
        return output.text(&name(&flow));
    }
    let widths = [16, 21, 12, 12, 9, 7, 8, 10, 10, 0];
    let cells = row(&flow, Timestamp::now()).into_iter().zip(widths).map(|(cell, wide)| {
        let cell = if cell.is_empty() { "-".into() } else { clean(&cell) };
        format!("{cell:wide$}")
    });
    output.text(&(cells.collect::<Vec<_>>().join("  ") + "\n"))
}
