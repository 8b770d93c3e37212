//! What vand is to reach, and whether it did.

use crate::metric::Metric;
use crate::peer::Peer;
use crate::statistics::Statistics;

/// What a figure is held against.
#[derive(Clone, Copy, Debug)]
enum Against {
    /// A number of the metric's own unit.
    Fixed,
    /// A peer's median.
    Peer(Peer),
    /// Two sites with one link; judged is the way through a third one.
    OneLink,
    /// The best median among the rivals that encrypt.
    BestEncrypted,
    /// The best median among the rivals with a TLS connection for each flow.
    BestPerFlow,
}

/// One goal: the metric, the factor (or the number itself), and what it multiplies.
#[derive(Clone, Copy, Debug)]
struct Goal(Metric, f64, Against);

/// The goals of the project, in the order of the issue that set them.
const GOALS: [Goal; 43] = {
    use Against::{BestEncrypted, BestPerFlow, Fixed, OneLink};
    const MTLS: Against = Against::Peer(Peer::HaproxyMtls);
    const PLAIN: Against = Against::Peer(Peer::HaproxyPlain);
    [
        Goal(Metric::Stream, 1.0, BestEncrypted),
        Goal(Metric::Reverse, 1.0, BestEncrypted),
        Goal(Metric::Streams8, 1.0, BestEncrypted),
        Goal(Metric::Stream, 1.0, PLAIN),
        Goal(Metric::Reverse, 1.0, PLAIN),
        Goal(Metric::Streams8, 0.9, PLAIN),
        Goal(Metric::CpuPerGb, 1.0, PLAIN),
        Goal(Metric::FlowRate, 2.4, Against::Peer(Peer::Frp)),
        Goal(Metric::FlowRate, 5.0, BestPerFlow),
        Goal(Metric::FlowRate, 0.9, PLAIN),
        Goal(Metric::FlowP99, 1.3, PLAIN),
        Goal(Metric::Stalled, 0.0, Fixed),
        Goal(Metric::Broken, 0.0, Fixed),
        Goal(Metric::Leaked, 0.0, Fixed),
        Goal(Metric::WanLossy8, 0.8, Against::Peer(Peer::DirectReno)),
        Goal(Metric::WanLossy8, 0.8, Against::Peer(Peer::Direct)),
        Goal(Metric::WanLong1, 0.9, Against::Peer(Peer::DirectReno)),
        Goal(Metric::WanLong1, 0.9, Against::Peer(Peer::Direct)),
        Goal(Metric::HttpRate, 0.9, PLAIN),
        Goal(Metric::HttpP99, 1.5, PLAIN),
        Goal(Metric::HttpP999, 2.0, PLAIN),
        Goal(Metric::SmallP50, 1.3, PLAIN),
        Goal(Metric::BesideP50, 1.0, Fixed),
        Goal(Metric::BesideP99, 5.0, Fixed),
        Goal(Metric::IdleMemory, 12.0, Fixed),
        Goal(Metric::FlowMemoryA, 3072.0, Fixed),
        Goal(Metric::FlowMemoryB, 3072.0, Fixed),
        Goal(Metric::Released, 1.2, Fixed),
        // The flow's window: `flow_window_max`, at its default.
        Goal(Metric::StallMemory, 16.0, Fixed),
        Goal(Metric::BesideStall, 0.9, Fixed),
        Goal(Metric::Recovery, 0.5, Fixed),
        // "At once": a tenth of a second.
        Goal(Metric::FlowEnd, 0.1, Fixed),
        Goal(Metric::Stream, 0.6, OneLink),
        Goal(Metric::Streams8, 0.6, OneLink),
        Goal(Metric::FlowRate, 0.6, OneLink),
        Goal(Metric::SmallP50, 2.5, OneLink),
        Goal(Metric::RequestRate, 1.0, MTLS),
        Goal(Metric::RequestP99, 1.0, MTLS),
        Goal(Metric::RequestMemory, 24.0 * 1024.0, Fixed),
        Goal(Metric::Http2Rate, 0.8, MTLS),
        Goal(Metric::UnaryOverTcp, 1.5, Fixed),
        Goal(Metric::DatagramLoss, 0.1, Fixed),
        Goal(Metric::DatagramOverTcp, 1.5, Fixed),
    ]
};

/// A goal with what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What was to be reached, with its limit.
    pub goal: String,
    /// The figure; `None`: it, or what it is held against, was not measured.
    pub value: Option<f64>,
    /// Whether it was reached.
    pub reached: Option<bool>,
    /// By how much, in words.
    pub by: String,
}

/// Judges every goal by vand's median; what may never happen by its worst.
pub fn judge(statistics: &Statistics) -> Vec<Verdict> {
    GOALS.iter().map(|goal| goal.judge(statistics)).collect()
}

impl Goal {
    fn judge(&self, statistics: &Statistics) -> Verdict {
        let Self(metric, factor, against) = *self;
        let (label, unit, digits) = metric.label();
        let sign = if metric.more_is_better() { "≥" } else { "≤" };
        let (judged, place) = match against {
            Against::OneLink => (Peer::VandTransit, " through a transit site"),
            _ => (Peer::Vand, ""),
        };
        let reference = match against {
            Against::Fixed => None,
            Against::Peer(peer) => Some((peer, statistics.median(metric, peer))),
            Against::OneLink => {
                Some((Peer::VandOneLink, statistics.median(metric, Peer::VandOneLink)))
            }
            Against::BestEncrypted => best(statistics, metric, Peer::is_encrypted_rival),
            Against::BestPerFlow => best(statistics, metric, Peer::has_tls_per_flow),
        };
        let (limit, words) = match (against, reference) {
            (Against::Fixed, _) => (Some(factor), format!("{factor} {unit}")),
            (_, Some((peer, median))) => {
                (median.map(|median| median * factor), format!("{factor:.1} x {}", peer.name()))
            }
            (_, None) => (None, format!("{factor:.1} x the best TLS peer")),
        };
        let spread = statistics.spread(metric, judged);
        let value =
            spread.map(|spread| if limit == Some(0.0) { spread.max } else { spread.median });
        let goal = format!("{label}{place} {sign} {}", words.trim_end());
        let (Some(limit), Some(got)) = (limit, value) else {
            return Verdict { goal, value, reached: None, by: "not measured".to_owned() };
        };
        let reached = if metric.more_is_better() { got >= limit } else { got <= limit };
        let by = if limit == 0.0 {
            format!("{got:.0} instead of none")
        } else {
            let share = (got / limit - 1.0) * 100.0;
            let text = format!("{got:.digits$} against {limit:.digits$} {unit}");
            format!("{} ({share:+.0} %)", text.trim_end())
        };
        Verdict { goal, value, reached: Some(reached), by }
    }
}

fn best(
    statistics: &Statistics,
    metric: Metric,
    which: impl Fn(Peer) -> bool,
) -> Option<(Peer, Option<f64>)> {
    statistics.best(metric, which).map(|(peer, median)| (peer, Some(median)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(statistics: &Statistics, start: &str) -> Verdict {
        let verdicts = judge(statistics);
        verdicts.into_iter().find(|verdict| verdict.goal.starts_with(start)).unwrap()
    }

    #[test]
    fn reached_missed_and_not_measured() {
        let mut statistics = Statistics::default();
        assert_eq!(verdict(&statistics, "one stream ≥").reached, None);
        statistics.add(Peer::Vand, Metric::Stream, 5.0, 0.0);
        statistics.add(Peer::Nginx, Metric::Stream, 4.0, 0.0);
        statistics.add(Peer::Frp, Metric::Stream, 3.0, 0.0);
        let good = verdict(&statistics, "one stream ≥ 1.0 x nginx-mtls");
        assert_eq!(good.reached, Some(true));
        assert!(good.by.contains("+25 %"), "{}", good.by);
        statistics.add(Peer::HaproxyPlain, Metric::Stream, 10.0, 0.0);
        assert_eq!(verdict(&statistics, "one stream ≥ 1.0 x haproxy-plain").reached, Some(false));
    }

    #[test]
    fn a_transit_site_is_held_against_one_link() {
        let mut statistics = Statistics::default();
        statistics.add(Peer::VandOneLink, Metric::Stream, 4.0, 0.0);
        statistics.add(Peer::Vand, Metric::Stream, 9.0, 0.0);
        assert_eq!(verdict(&statistics, "one stream through").reached, None);
        statistics.add(Peer::VandTransit, Metric::Stream, 2.0, 0.0);
        let verdict = verdict(&statistics, "one stream through a transit site ≥ 0.6 x vand-one");
        assert_eq!((verdict.value, verdict.reached), (Some(2.0), Some(false)));
    }

    #[test]
    fn what_may_never_happen_counts_by_its_worst() {
        let mut statistics = Statistics::default();
        for stalled in [0.0, 0.0, 1.0] {
            statistics.add(Peer::Vand, Metric::Stalled, stalled, 0.0);
        }
        assert_eq!(verdict(&statistics, "cut-off bulk flows, stalled").reached, Some(false));
    }

    #[test]
    fn less_is_better_for_times() {
        let mut statistics = Statistics::default();
        statistics.add(Peer::Vand, Metric::BesideP99, 4.0, 0.0);
        let verdict = verdict(&statistics, "small request beside bulk, p99");
        assert_eq!(verdict.reached, Some(true));
        assert!(verdict.by.contains("4.00 against 5.00 ms"), "{}", verdict.by);
    }
}
