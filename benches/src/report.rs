//! The report of a run: an overview, each figure with its spread and ratios, and the goals.

use crate::goals::{self, Verdict};
use crate::metric::Metric;
use crate::peer::Peer;
use crate::statistics::Statistics;
use crate::table::Table;
use crate::workload::transit;

/// Everything that a run found.
#[derive(Debug, Default)]
pub struct Findings {
    /// The figures.
    pub statistics: Statistics,
    /// What failed, with why.
    pub failures: Vec<String>,
    /// What could not be measured here, with why.
    pub missing: Vec<String>,
}

/// The columns of the overview, a table for each group.
const OVERVIEW: [(&str, &[(&str, Metric)]); 5] = [
    (
        "Bulk and new flows (medians)",
        &[
            ("1 stream Gbit/s", Metric::Stream),
            ("reverse", Metric::Reverse),
            ("8 streams", Metric::Streams8),
            ("CPU s/GB", Metric::CpuPerGb),
            ("peak MiB", Metric::PeakMemory),
            ("new flows/s", Metric::FlowRate),
            ("p50 ms", Metric::FlowP50),
            ("p99 ms", Metric::FlowP99),
        ],
    ),
    (
        "Processor time of each site, s/GB (medians)",
        &[
            ("ingress", Metric::CpuIngress),
            ("transit", Metric::CpuTransit),
            ("egress", Metric::CpuEgress),
        ],
    ),
    (
        "Requests (medians)",
        &[
            ("HTTP 64 req/s", Metric::HttpRate),
            ("p99 ms", Metric::HttpP99),
            ("p99.9 ms", Metric::HttpP999),
            ("HTTP 1 req/s", Metric::HttpOneRate),
            ("small p50 ms", Metric::SmallP50),
            ("beside bulk p50 ms", Metric::BesideP50),
            ("p99 ms", Metric::BesideP99),
        ],
    ),
    (
        "Requests, calls and datagrams (medians)",
        &[
            ("by request 64 req/s", Metric::RequestRate),
            ("p99 ms", Metric::RequestP99),
            ("p99.9 ms", Metric::RequestP999),
            ("by request 1 req/s", Metric::RequestOneRate),
            ("CPU ms/1000", Metric::RequestCpu),
            ("idle client bytes", Metric::RequestMemory),
            ("HTTP/2 req/s", Metric::Http2Rate),
            ("CPU ms/1000", Metric::Http2Cpu),
            ("unary p50 ms", Metric::UnaryP50),
            ("lost %", Metric::DatagramLoss),
            ("datagram p50 ms", Metric::DatagramP50),
        ],
    ),
    (
        "Memory and trouble (medians)",
        &[
            ("idle MiB", Metric::IdleMemory),
            ("flow A bytes", Metric::FlowMemoryA),
            ("flow B bytes", Metric::FlowMemoryB),
            ("after x idle", Metric::Released),
            ("stalled MiB", Metric::StallMemory),
            ("beside x alone", Metric::BesideStall),
            ("next echo s", Metric::Recovery),
            ("flow ends s", Metric::FlowEnd),
            ("stalls", Metric::Stalled),
            ("broken", Metric::Broken),
            ("leaks", Metric::Leaked),
        ],
    ),
];

/// The rows' order: the ordinary peers, then what only the WAN and the transit workload know.
fn peers() -> impl Iterator<Item = Peer> {
    Peer::ALL.into_iter().chain([Peer::DirectReno]).chain(transit::PEERS)
}

impl Findings {
    /// Makes all tables of the report, the overview first.
    pub fn tables(&self) -> Vec<Table> {
        let overview = OVERVIEW.iter().map(|(title, columns)| self.overview(title, columns));
        let details = Metric::ALL.into_iter().map(|metric| self.detail(metric));
        let tables = overview.chain(details).chain([self.goals()]);
        tables.filter(|table| !table.rows.is_empty()).collect()
    }

    fn overview(&self, title: &str, columns: &[(&str, Metric)]) -> Table {
        let measured = columns.iter().filter(|(_, metric)| self.statistics.has(*metric));
        let columns: Vec<_> = measured.copied().collect();
        let mut table = Table::new(title, &["PEER"]);
        table.headings.extend(columns.iter().map(|(heading, _)| (*heading).to_owned()));
        for peer in peers() {
            let medians: Vec<_> = columns
                .iter()
                .map(|&(_, metric)| (metric, self.statistics.median(metric, peer)))
                .collect();
            if medians.iter().any(|(_, median)| median.is_some()) {
                let cells = medians.iter().map(|&(metric, median)| cell(metric, median));
                table.rows.push(std::iter::once(peer.name().to_owned()).chain(cells).collect());
            }
        }
        table
    }

    fn detail(&self, metric: Metric) -> Table {
        let (label, unit, _) = metric.label();
        let title = if unit.is_empty() { label.to_owned() } else { format!("{label}, {unit}") };
        let headings =
            ["PEER", "MIN", "MEDIAN", "MAX", "/DIRECT", "/HAPROXY-PLAIN", "/BEST TLS", "OTHERS"];
        let mut table = Table::new(title, &headings);
        let direct = self.statistics.median(metric, Peer::Direct);
        let plain = self.statistics.median(metric, Peer::HaproxyPlain);
        let best = self.statistics.best(metric, Peer::is_encrypted_rival).map(|best| best.1);
        for peer in peers() {
            let Some(spread) = self.statistics.spread(metric, peer) else { continue };
            table.rows.push(vec![
                peer.name().to_owned(),
                cell(metric, Some(spread.min)),
                cell(metric, Some(spread.median)),
                cell(metric, Some(spread.max)),
                ratio(spread.median, direct),
                ratio(spread.median, plain),
                ratio(spread.median, best),
                format!("{:.0} %", spread.others * 100.0),
            ]);
        }
        table
    }

    fn goals(&self) -> Table {
        let mut table = Table::new("Goals of vand", &["GOAL", "VERDICT", "BY"]);
        for Verdict { goal, reached, by, .. } in goals::judge(&self.statistics) {
            let verdict = match reached {
                Some(true) => "reached",
                Some(false) => "MISSED",
                None => "-",
            };
            table.rows.push(vec![goal, verdict.to_owned(), by]);
        }
        table
    }

    /// Renders the whole report for a terminal.
    pub fn text(&self) -> String {
        let mut parts: Vec<String> = self.tables().iter().map(Table::text).collect();
        parts.extend(self.notes("", "  "));
        parts.join("\n")
    }

    /// Renders the whole report as Markdown.
    pub fn markdown(&self, head: &str) -> String {
        let mut parts = vec![format!("# Benchmark\n\n{head}\n")];
        parts.extend(self.tables().iter().map(Table::markdown));
        parts.extend(self.notes("### ", "- "));
        parts.join("\n")
    }

    fn notes(&self, mark: &str, bullet: &str) -> Vec<String> {
        let list = |title: &str, items: &[String]| {
            let lines: String = items.iter().map(|item| format!("{bullet}{item}\n")).collect();
            let gap = if mark.is_empty() { "" } else { "\n" };
            (!items.is_empty()).then(|| format!("{mark}{title}\n{gap}{lines}"))
        };
        [list("Not here", &self.missing), list("Failed", &self.failures)]
            .into_iter()
            .flatten()
            .collect()
    }
}

fn cell(metric: Metric, value: Option<f64>) -> String {
    let digits = metric.label().2;
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn ratio(value: f64, reference: Option<f64>) -> String {
    match reference {
        Some(reference) if reference > 0.0 => format!("{:.2}", value / reference),
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_has_spread_ratios_goals_and_notes() {
        let mut findings = Findings::default();
        for value in [4.0, 5.0, 6.0] {
            findings.statistics.add(Peer::Vand, Metric::Stream, value, 0.1);
            findings.statistics.add(Peer::Direct, Metric::Stream, value * 2.0, 0.0);
        }
        findings.missing.push("frp: frps is not installed".into());
        let text = findings.text();
        assert!(text.contains("one stream, Gbit/s"), "{text}");
        let row = text.lines().find(|l| l.starts_with("vand") && l.contains('%')).unwrap();
        assert_eq!(
            row.split_whitespace().collect::<Vec<_>>(),
            ["vand", "4.00", "5.00", "6.00", "0.50", "-", "-", "10", "%"]
        );
        assert!(text.contains("Not here\n  frp: frps is not installed"));
        assert!(findings.markdown("x").contains("| vand | 4.00 | 5.00 | 6.00 | 0.50 |"));
    }
}
