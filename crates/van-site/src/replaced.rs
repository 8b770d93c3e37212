//! Links that were changed: the old connections carry flows until the new ones do, then drain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use van_mux::GoAwayReason;
use van_net::{Link, Meter};

use crate::reconcile::LinkRun;

/// Time for the flows of a link that a changed one replaces.
const GRACE: Duration = Duration::from_secs(3600);

/// Time for which the new connections are up before the old ones take no flows any more: so long
/// that the other end knows of the new ones when it hears so.
const SETTLE: Duration = Duration::from_secs(1);

/// What was dialled under a link's name before it was changed.
#[derive(Default)]
pub(crate) struct Replaced(BTreeMap<String, Old>);

#[derive(Default)]
struct Old {
    /// What tells its links from others.
    meters: Vec<Arc<Meter>>,
    /// Since when the new link has been seen up.
    settling: Option<Instant>,
}

impl Replaced {
    /// Keeps the connections of a link until its successor of the same name and peer is up.
    pub(crate) fn keep(&mut self, name: &str, old: &LinkRun) {
        let entry = self.0.entry(name.to_owned()).or_default();
        entry.meters.push(old.meter.clone());
        entry.settling = None;
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what was kept under a name that is not wanted any more.
    pub(crate) fn take(&mut self, name: &str) -> Vec<Arc<Meter>> {
        self.0.remove(name).unwrap_or_default().meters
    }

    /// Drains the old connections of each link whose new ones are up, and forgets them.
    pub(crate) fn drain(
        &mut self,
        now: Instant,
        running: &BTreeMap<String, LinkRun>,
        links: &[Arc<Link>],
    ) {
        self.0.retain(|name, old| {
            let Some(run) = running.get(name) else { return false };
            let is_up = |l: &Arc<Link>| l.takes_flows() && Arc::ptr_eq(&l.meter, &run.meter);
            if !links.iter().any(is_up) {
                old.settling = None;
                return links.iter().any(|l| old.meters.iter().any(|m| Arc::ptr_eq(m, &l.meter)));
            }
            let since = *old.settling.get_or_insert(now);
            let is_settled = now.saturating_duration_since(since) >= SETTLE;
            if is_settled {
                close(links, &old.meters, GoAwayReason::Duplicate, GRACE);
            }
            !is_settled
        });
    }
}

/// Closes the links that these meters tell.
pub(crate) fn close(
    links: &[Arc<Link>],
    meters: &[Arc<Meter>],
    reason: GoAwayReason,
    grace: Duration,
) {
    for link in links.iter().filter(|l| meters.iter().any(|m| Arc::ptr_eq(m, &l.meter))) {
        link.go_away(reason, grace);
    }
}
