//! The workload through a site between both ends.

use anyhow::Result;

use super::{Bench, Figure};
use crate::metric::Metric;
use crate::peer::Peer;
use crate::running::Running;

/// The peers of this workload: one link, and a third site between the same two.
pub const PEERS: [Peer; 2] = [Peer::VandOneLink, Peer::VandTransit];

impl Bench {
    /// t: bulk with the processor time of each site, new flows, small requests.
    pub(super) fn transit(&self, running: &Running) -> Result<Vec<Figure>> {
        let one = self.transfer(running, 1, false)?;
        let mut figures = vec![(Metric::Stream, one.bits_per_second / 1e9)];
        let times = || {
            [running.ingress_usage().cpu, running.transit_usage().cpu, running.egress_usage().cpu]
        };
        let before = times();
        let eight = self.transfer(running, 8, false)?;
        figures.push((Metric::Streams8, eight.bits_per_second / 1e9));
        let metrics = [Metric::CpuIngress, Metric::CpuTransit, Metric::CpuEgress];
        let used = times().into_iter().zip(before).map(|(after, before)| after - before);
        // A site that isn't there uses nothing, and a figure of 0 would say that one does.
        let used = metrics.into_iter().zip(used).filter(|(_, seconds)| *seconds > 0.0);
        figures.extend(used.map(|(metric, seconds)| (metric, seconds / (eight.bytes / 1e9))));
        figures.extend(self.flows(running)?);
        figures.push((Metric::SmallP50, self.small_alone(running)?.quantile_ms(0.5)));
        Ok(figures)
    }
}
