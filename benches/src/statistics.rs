//! The figures of a run, gathered over its rounds.

use std::collections::BTreeMap;

use crate::metric::Metric;
use crate::peer::Peer;

/// Minimum, median and maximum of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle one, or the mean of both in the middle.
    pub median: f64,
    /// The greatest.
    pub max: f64,
    /// The greatest share of other processes beside it, 0 to 1.
    pub others: f64,
}

/// All figures, by metric and peer.
#[derive(Debug, Default)]
pub struct Statistics {
    values: BTreeMap<(Metric, Peer), Vec<(f64, f64)>>,
}

impl Statistics {
    /// Adds a figure, with the share of other processes beside it.
    pub fn add(&mut self, peer: Peer, metric: Metric, value: f64, others: f64) {
        self.values.entry((metric, peer)).or_default().push((value, others));
    }

    /// Gives what was measured of `metric` for `peer`.
    pub fn spread(&self, metric: Metric, peer: Peer) -> Option<Spread> {
        let pairs = self.values.get(&(metric, peer))?;
        let mut values: Vec<f64> = pairs.iter().map(|pair| pair.0).collect();
        values.sort_by(f64::total_cmp);
        let (first, last) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        let others = pairs.iter().map(|pair| pair.1).fold(0.0, f64::max);
        Some(Spread { min: first, median: f64::midpoint(low, high), max: last, others })
    }

    /// Gives the median of `metric` for `peer`.
    pub fn median(&self, metric: Metric, peer: Peer) -> Option<f64> {
        self.spread(metric, peer).map(|spread| spread.median)
    }

    /// Gives the best median of `metric` among the peers that `which` takes.
    pub fn best(&self, metric: Metric, which: impl Fn(Peer) -> bool) -> Option<(Peer, f64)> {
        let medians = Peer::ALL.into_iter().filter(|&peer| which(peer));
        let medians = medians.filter_map(|peer| Some((peer, self.median(metric, peer)?)));
        if metric.more_is_better() {
            medians.max_by(|left, right| left.1.total_cmp(&right.1))
        } else {
            medians.min_by(|left, right| left.1.total_cmp(&right.1))
        }
    }

    /// Tells whether anything was measured of `metric`.
    pub fn has(&self, metric: Metric) -> bool {
        self.values.keys().any(|key| key.0 == metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_of_odd_and_even_rounds() {
        let mut statistics = Statistics::default();
        for (value, others) in [(3.0, 0.1), (1.0, 0.5), (2.0, 0.0)] {
            statistics.add(Peer::Vand, Metric::Stream, value, others);
        }
        let spread = statistics.spread(Metric::Stream, Peer::Vand).unwrap();
        assert_eq!(spread, Spread { min: 1.0, median: 2.0, max: 3.0, others: 0.5 });
        statistics.add(Peer::Vand, Metric::Stream, 9.0, 0.0);
        assert_eq!(statistics.median(Metric::Stream, Peer::Vand), Some(2.5));
        assert_eq!(statistics.spread(Metric::Reverse, Peer::Vand), None);
    }

    #[test]
    fn the_best_follows_the_metrics_direction() {
        let mut statistics = Statistics::default();
        for (peer, value) in [(Peer::Frp, 3.0), (Peer::Nginx, 4.0), (Peer::Vand, 9.0)] {
            statistics.add(peer, Metric::Stream, value, 0.0);
            statistics.add(peer, Metric::FlowP99, value, 0.0);
        }
        let best = |metric| statistics.best(metric, Peer::is_encrypted_rival);
        assert_eq!(best(Metric::Stream), Some((Peer::Nginx, 4.0)));
        assert_eq!(best(Metric::FlowP99), Some((Peer::Frp, 3.0)));
    }
}
