//! Workloads in which something dies or is cut off.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, Figure};
use crate::load::{self, SMALL, cutoff, restart};
use crate::metric::Metric;
use crate::running::Running;
use crate::stop;

/// How long the egress stays dead: long enough for a first back-off.
const DEAD: Duration = Duration::from_secs(1);

/// How long clients try before the peer counts as not recovering.
const RECOVERY_LIMIT: Duration = Duration::from_secs(15);

/// How long all cut-off flows may take.
const CUTOFF_LIMIT: Duration = Duration::from_secs(120);

/// How long descriptors may take to be given back.
const LEAK_LIMIT: Duration = Duration::from_secs(10);

/// Flows before the descriptors are counted: a link may grow under load.
const CUTOFF_WARM: usize = 200;

impl Bench {
    /// h: the egress is killed and restarted.
    pub(super) fn restart(&self, running: &mut Running) -> Result<Vec<Figure>> {
        let entry = running.entry("echo")?;
        let mut open = load::drive(&self.runtime, RECOVERY_LIMIT, async {
            let mut flow = load::connect(entry).await?;
            load::exchange(&mut flow, &[4; SMALL]).await?;
            Ok(flow)
        })?;
        running.kill_egress();
        let end = load::drive(&self.runtime, RECOVERY_LIMIT, restart::end_of(&mut open));
        stop::pause(DEAD)?;
        running.restart_egress()?;
        let back = load::drive(&self.runtime, RECOVERY_LIMIT, restart::next_echo(entry))?;
        let mut figures = vec![(Metric::Recovery, back.as_secs_f64())];
        stop::check()?;
        // A flow that hangs has the limit as its figure: it is worse than any other.
        let end = end.map_or(RECOVERY_LIMIT, |end| end);
        figures.push((Metric::FlowEnd, end.as_secs_f64()));
        Ok(figures)
    }

    /// k: server-first bulk flows, cut off by the client.
    pub(super) fn cutoff(&self, running: &Running) -> Result<Vec<Figure>> {
        let entry = running.entry("bulk")?;
        let descriptors =
            || running.ingress_usage().descriptors + running.egress_usage().descriptors;
        let idle = descriptors();
        load::drive(&self.runtime, CUTOFF_LIMIT, cutoff::run(entry, CUTOFF_WARM))?;
        let mut start = idle;
        stop::wait_until(LEAK_LIMIT / 5, || {
            start = descriptors();
            Ok(start <= idle)
        })?;
        let count = self.pace.cutoffs;
        let found = load::drive(&self.runtime, CUTOFF_LIMIT, cutoff::run(entry, count))?;
        let mut held = start;
        stop::wait_until(LEAK_LIMIT, || {
            held = descriptors();
            Ok(held <= start)
        })?;
        Ok(vec![
            (Metric::Stalled, found.stalled as f64),
            (Metric::Broken, found.broken as f64),
            (Metric::Leaked, held.saturating_sub(start) as f64),
        ])
    }
}
