//! `vanctl status`.

use std::time::Duration;

use serde_json::Value;
use van_model::status::SiteStatus;

use crate::cli::Session;
use crate::error::Outcome;
use crate::output::{Format, Output};
use crate::table::{clean, pairs};

pub(super) async fn run(session: &mut Session) -> Outcome {
    let document = session.client.get("/v1/status").await?;
    show(session.output, document)
}

/// Prints a site's status.
pub(super) fn show(output: Output, document: Value) -> Outcome {
    output.resources("site", document, |sites: &[SiteStatus]| {
        Ok(sites.iter().map(|site| text(output, site)).collect())
    })
}

/// The two sentences, what is wrong, and the table.
fn text(output: Output, site: &SiteStatus) -> String {
    let place = match &site.namespace {
        Some(namespace) => format!("namespace \"{}\"", clean(namespace)),
        None => format!("site \"{}\"", clean(&site.name)),
    };
    let mut text = format!(
        "vand is enabled for {place} in {} mode.\nIt is connected to {} other sites.\n\n",
        site.mode, site.sites_reached
    );
    for warning in &site.warnings {
        text.push_str(&format!(
            "warning: {}: {}\n",
            clean(&warning.subject),
            clean(&warning.message)
        ));
        if let Some(hint) = &warning.hint {
            text.push_str(&format!("hint: {}\n", clean(hint)));
        }
    }
    if !site.warnings.is_empty() {
        text.push('\n');
    }
    let uptime = humantime::format_duration(Duration::from_secs(site.uptime_seconds)).to_string();
    let accepting = match site.accepting.as_slice() {
        [] => "no: this site only dials".to_owned(),
        places => places.join(", "),
    };
    let mut rows = vec![
        ("NAME", site.name.clone()),
        ("ID", site.id.to_string()),
        ("MODE", site.mode.to_string()),
        ("VERSION", site.version.clone()),
        ("UPTIME", uptime),
        ("ACCEPTING", accepting),
        ("LINKS", format!("{} up, {} configured", site.links_up, site.links_configured)),
        ("SITES", format!("{} reached", site.sites_reached)),
        ("SERVICES", format!("{} offered, {} used", site.services_offered, site.services_used)),
        ("FLOWS", format!("{} open", site.flows_open)),
    ];
    if output.format == Format::Wide {
        rows.push(("PLATFORM", site.platform.clone()));
    }
    text.push_str(&pairs(&rows));
    text
}
