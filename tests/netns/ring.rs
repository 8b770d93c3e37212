//! Five sites in a ring: from the first, one service is two hops away on one side, and another two
//! hops away on the other.

use van_testkit::{Cable, DEADLINE, Lab, LabSite, Witness, wait_until};

/// The listener of the service at the third site: its way leads over the second.
pub(crate) const LEFT: u16 = 7001;
/// The listener of the service at the fourth site: its way leads over the fifth.
pub(crate) const RIGHT: u16 = 7002;
/// The port of both targets.
const TARGET: u16 = 7100;

pub(crate) struct Ring {
    /// Where the clients are is number 0.
    pub(crate) sites: Vec<LabSite>,
    /// From each site to the next; the last leads back to the first.
    pub(crate) cables: Vec<Cable>,
    /// The target of [`LEFT`].
    pub(crate) left: Witness,
    /// The target of [`RIGHT`].
    pub(crate) right: Witness,
    _lab: Lab,
}

impl Ring {
    pub(crate) fn start() -> Self {
        let lab = Lab::new();
        let hosts: Vec<_> = (0..5).map(|n| lab.host(&format!("s{n}"))).collect();
        let cables = (0..5).map(|n| lab.cable(&hosts[n], &hosts[(n + 1) % 5])).collect();
        let sites = lab.sites(&hosts);
        for n in 0..5 {
            sites[n].dial(&sites[(n + 1) % 5], 1);
        }
        let [left, right] = [2, 3].map(|n| hosts[n].within(|| Witness::start(TARGET)));
        sites[2].offer("left", TARGET);
        sites[3].offer("right", TARGET);
        sites[0].listen("left", LEFT);
        sites[0].listen("right", RIGHT);
        wait_until(DEADLINE, "everybody reached everybody", || {
            sites.iter().all(|site| site.reached() == 4)
        });
        let ring = Self { sites, cables, left, right, _lab: lab };
        // The sessions between the sites are made with the first flows.
        for port in [LEFT, RIGHT] {
            wait_until(DEADLINE, "a flow worked", || ring.client().talk(port).is_ok());
        }
        ring
    }

    pub(crate) fn client(&self) -> &LabSite {
        &self.sites[0]
    }
}
