//! Workloads whose figure is memory.

use std::time::Duration;

use anyhow::Result;

use super::traffic::MIB;
use super::{Bench, Figure};
use crate::load::{self, idle, stall};
use crate::metric::Metric;
use crate::running::Running;
use crate::stop;

/// How long opening all idle flows may take.
const OPEN_LIMIT: Duration = Duration::from_secs(60);

/// How long a fresh process may settle before its memory counts as idle.
const SETTLE: Duration = Duration::from_secs(1);

impl Bench {
    /// e: memory of idle flows, and after they closed.
    pub(super) fn idle(&self, running: &Running) -> Result<Vec<Figure>> {
        stop::pause(SETTLE)?;
        let count = self.pace.idle_flows;
        let (a, b) = (running.ingress_usage().resident, running.egress_usage().resident);
        let flows = idle::open(running.entry("echo")?, count);
        let flows = load::drive(&self.runtime, OPEN_LIMIT, flows)?;
        stop::pause(SETTLE)?;
        let (held_a, held_b) = (running.ingress_usage().resident, running.egress_usage().resident);
        self.runtime.block_on(async { drop(flows) });
        stop::pause(self.pace.release)?;
        let (after_a, after_b) =
            (running.ingress_usage().resident, running.egress_usage().resident);
        let each = |held: u64, idle: u64| held.saturating_sub(idle) as f64 / count as f64;
        let released = (after_a as f64 / a as f64).max(after_b as f64 / b as f64);
        Ok(vec![
            (Metric::IdleMemory, a.max(b) as f64 / MIB),
            (Metric::FlowMemoryA, each(held_a, a)),
            (Metric::FlowMemoryB, each(held_b, b)),
            (Metric::Released, released),
        ])
    }

    /// g: what a stalled reader costs, in memory and beside it.
    pub(super) fn stall(&self, running: &Running) -> Result<Vec<Figure>> {
        let resident = || running.ingress_usage().resident + running.egress_usage().resident;
        stop::pause(SETTLE)?;
        let before = resident();
        let stalled = stall::open(running.entry("source")?);
        let stalled = load::drive(&self.runtime, self.pace.stall, stalled)?;
        stop::pause(self.pace.stall)?;
        let after = resident();
        let beside = self.transfer(running, 1, false)?;
        self.runtime.block_on(async { drop(stalled) });
        // Last, since a transfer leaves memory behind that would hide the stalled reader's.
        let alone = self.transfer(running, 1, false)?;
        let mut figures =
            vec![(Metric::BesideStall, beside.bits_per_second / alone.bits_per_second)];
        if before > 0 {
            figures.push((Metric::StallMemory, after.saturating_sub(before) as f64 / MIB));
        }
        Ok(figures)
    }
}
