//! `vanctl trace`.

use clap::Args;
use van_model::api::{self, TraceHop, TraceRequest};

use crate::cli::Session;
use crate::client::understood;
use crate::error::{Outcome, Problem};
use crate::output::{Format, Output, millis};
use crate::table::{Table, clean};

/// How `vanctl trace` is used.
pub(crate) const EXAMPLE: &str = "SCORE is the sum of cost, penalty and flows per target; the \
    lowest is chosen by balanced.\n\nExamples:\n  vanctl trace postgres\n  \
    vanctl trace backend --listener web";

/// The options of `vanctl trace`.
#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// The service's address
    address: String,
    /// The listener whose strategy decides; default: balanced
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
}

impl Trace {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let request = TraceRequest { address: self.address, listener: self.listener };
        let document = session.client.post("/v1/trace", &request).await?;
        let trace: api::Trace = understood(document.clone())?;
        let output = session.output;
        match output.format {
            Format::Json | Format::Yaml => output.document(&document)?,
            Format::Name => output.text(&names(&trace))?,
            Format::Table | Format::Wide if output.quiet => output.text(&names(&trace))?,
            Format::Table | Format::Wide => output.text(&text(output, &trace))?,
        }
        match trace.chosen {
            Some(_) => Ok(()),
            None => Err(Problem::failed(format!("{}: {}", trace.address, trace.why))
                .hint("'vanctl service status' shows its targets, 'vanctl check' what is wrong")),
        }
    }
}

/// The sites on the way, one a line.
fn names(trace: &api::Trace) -> String {
    trace.path.iter().map(|hop| format!("site/{}\n", clean(&hop.site))).collect()
}

fn text(output: Output, trace: &api::Trace) -> String {
    let by = match &trace.listener {
        Some(listener) => format!("listener {}, {}", clean(listener), trace.strategy),
        None => trace.strategy.to_string(),
    };
    let way: Vec<_> = trace.path.iter().map(|hop| clean(&hop.site)).collect();
    let mut text = match way.is_empty() {
        true => format!("{} ({by}): no way\n", trace.address),
        false => format!("{} ({by}): {}\n", trace.address, way.join(" - ")),
    };
    text.push_str(&format!("why: {}\n\n", clean(&trace.why)));
    text.push_str(&candidates(output, trace));
    if !trace.path.is_empty() {
        text.push('\n');
        text.push_str(&path(output, &trace.path));
    }
    text
}

fn candidates(output: Output, trace: &api::Trace) -> String {
    let mut table =
        Table::new(&["CANDIDATE", "TARGETS", "COST", "FLOWS", "PENALTY", "SCORE", "STATE"]);
    let several = trace.candidates.iter().any(|c| c.address != trace.address);
    if output.wide() || several {
        table.columns(&["ADDRESS", "PRIORITY", "SHARE", "ID"]);
    }
    for candidate in &trace.candidates {
        let state = match (candidate.chosen, candidate.usable) {
            (true, _) => "chosen",
            (false, true) => "possible",
            (false, false) => "unreachable",
        };
        let mut row = vec![
            candidate.site.clone(),
            candidate.targets.to_string(),
            candidate.cost.to_string(),
            candidate.flows_open.to_string(),
            candidate.penalty.map(|penalty| penalty.to_string()).unwrap_or_default(),
            format!("{:.3}", candidate.score),
            state.into(),
        ];
        if output.wide() || several {
            row.push(candidate.address.to_string());
            row.push(candidate.priority.to_string());
            row.push(format!("{:.0} %", candidate.share * 100.0));
            row.push(candidate.id.to_string());
        }
        table.row(row);
    }
    table.render(output.color)
}

fn path(output: Output, hops: &[TraceHop]) -> String {
    let mut table = Table::new(&["HOP", "SITE", "LINK", "COST", "RTT"]);
    for (at, hop) in hops.iter().enumerate() {
        table.row(vec![
            at.to_string(),
            hop.site.clone(),
            hop.link.clone().unwrap_or_default(),
            hop.cost.map(|cost| cost.to_string()).unwrap_or_default(),
            millis(hop.rtt_ms),
        ]);
    }
    table.render(output.color)
}
