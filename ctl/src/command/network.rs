//! `vanctl network`.

use std::fmt::Write;

use clap::{Args, Subcommand};
use van_model::Mode;
use van_model::api::{List, NetworkLink, NetworkSite};

use crate::cli::Session;
use crate::client::understood;
use crate::error::Outcome;
use crate::output::Output;
use crate::table::{Table, clean};

/// The commands of `vanctl network`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show every site: its links, the cost of the way to it, and what it offers
    #[command(after_help = "LINKS are shown as PEER (COST), and PEER (COST/COST) where the two \
        ends differ.\n\nExamples:\n  vanctl network status\n  vanctl network status -o wide\n  \
        vanctl network status --dot | dot -Tsvg > network.svg")]
    Status(Status),
}

/// The options of `vanctl network status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Print a Graphviz graph instead
    #[arg(long)]
    dot: bool,
}

impl Command {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let Self::Status(status) = self;
        let document = session.client.get("/v1/network").await?;
        let output = session.output;
        if status.dot {
            let sites: List<NetworkSite> = understood(document)?;
            return output.text(&dot(&sites.items));
        }
        output.resources("site", document, |sites| Ok(table(output, sites)))
    }
}

fn table(output: Output, sites: &[NetworkSite]) -> String {
    let mut table = Table::new(&["NAME", "ID", "MODE", "VERSION", "LINKS", "COST", "SERVICES"]);
    if output.wide() {
        table.columns(&["HOPS", "VIA", "REPLICAS", "LABELS"]);
    }
    for site in sites {
        let list = |texts: Vec<String>| texts.join(", ");
        let mut row = vec![
            site.name.clone(),
            site.id.to_string(),
            site.mode.to_string(),
            site.version.clone(),
            list(site.links.iter().map(link).collect()),
            site.cost.map_or("unreachable".into(), |cost| cost.to_string()),
            list(site.services.iter().map(|s| s.address.to_string()).collect()),
        ];
        if output.wide() {
            row.push(site.hops.map(|hops| hops.to_string()).unwrap_or_default());
            row.push(list(site.via.iter().map(|via| via.name.clone()).collect()));
            row.push(site.replicas.to_string());
            row.push(list(site.labels.iter().map(|(k, v)| format!("{k}={v}")).collect()));
        }
        table.row(row);
    }
    table.render(output.color)
}

fn link(link: &NetworkLink) -> String {
    let (name, cost) = (&link.peer.name, link.cost);
    match link.peer_cost {
        Some(other) if other != cost => format!("{name} ({cost}/{other})"),
        Some(_) => format!("{name} ({cost})"),
        None => format!("{name} ({cost}, one way)"),
    }
}

/// The network as a Graphviz graph: edge sites are boxes, what can't be reached is dashed.
fn dot(sites: &[NetworkSite]) -> String {
    let quoted = |text: &str| clean(text).replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = String::from("graph van {\n");
    for site in sites {
        let shape = if site.mode == Mode::Edge { "box" } else { "ellipse" };
        let style = match (site.this_site, site.reachable) {
            (true, _) => "bold",
            (false, true) => "solid",
            (false, false) => "dashed",
        };
        let name = quoted(&site.name);
        // Writing to a string can't fail.
        let _written = writeln!(
            text,
            "  \"{}\" [label=\"{name}\\n{}\", shape={shape}, style={style}];",
            site.id,
            site.id.short()
        );
    }
    for site in sites {
        for link in &site.links {
            // A link stands in both records; one that only its other end tells, stands in one.
            if link.peer_cost.is_some() && link.peer.id < site.id {
                continue;
            }
            let (label, style) = match link.peer_cost {
                Some(other) if other != link.cost => (format!("{} / {other}", link.cost), "solid"),
                Some(_) => (link.cost.to_string(), "solid"),
                None => (link.cost.to_string(), "dashed"),
            };
            let _written = writeln!(
                text,
                "  \"{}\" -- \"{}\" [label=\"{label}\", style={style}];",
                site.id, link.peer.id
            );
        }
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use van_model::SiteId;
    use van_model::status::SiteRef;

    use super::*;

    fn site(n: u8, name: &str, mode: Mode, links: &[(u8, u16, Option<u16>)]) -> NetworkSite {
        let id = |n| SiteId::from_bytes([n; 20]);
        let link = |(peer, cost, peer_cost): &(u8, u16, Option<u16>)| NetworkLink {
            peer: SiteRef { id: id(*peer), name: format!("site-{peer}") },
            cost: *cost,
            peer_cost: *peer_cost,
        };
        NetworkSite {
            name: name.into(),
            id: id(n),
            mode,
            version: "1".into(),
            this_site: n == 1,
            reachable: n != 3,
            cost: None,
            hops: None,
            via: Vec::new(),
            links: links.iter().map(link).collect(),
            services: Vec::new(),
            labels: BTreeMap::new(),
            replicas: 1,
        }
    }

    #[test]
    fn graphs_tell_each_link_once() {
        let sites = [
            site(1, "a\"", Mode::Interior, &[(2, 1, Some(1)), (3, 7, None)]),
            site(2, "b", Mode::Edge, &[(1, 1, Some(1)), (3, 2, Some(5))]),
            site(3, "c", Mode::Interior, &[(2, 5, Some(2))]),
        ];
        let [a, b, c] = [1, 2, 3].map(|n| SiteId::from_bytes([n; 20]));
        let expected = format!(
            "graph van {{\n  \
             \"{a}\" [label=\"a\\\"\\n{}\", shape=ellipse, style=bold];\n  \
             \"{b}\" [label=\"b\\n{}\", shape=box, style=solid];\n  \
             \"{c}\" [label=\"c\\n{}\", shape=ellipse, style=dashed];\n  \
             \"{a}\" -- \"{b}\" [label=\"1\", style=solid];\n  \
             \"{a}\" -- \"{c}\" [label=\"7\", style=dashed];\n  \
             \"{b}\" -- \"{c}\" [label=\"2 / 5\", style=solid];\n}}\n",
            a.short(),
            b.short(),
            c.short()
        );
        assert_eq!(dot(&sites), expected);
    }
}
