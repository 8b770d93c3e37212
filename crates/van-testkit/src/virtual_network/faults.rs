//! What happens to sites and links.

use std::time::Duration;

use van_routing::LinkId;

use super::{Happening, VirtualNetwork};

/// After this time without a word from the other end a link is given up.
const DEAD: Duration = Duration::from_secs(3);

/// What a site's next start knows of its last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Its epoch was stored: the next one is higher.
    Kept,
    /// Its state directory is one of long ago: it begins at an epoch that it had already.
    Restored,
}

impl VirtualNetwork {
    /// Takes a link down at both ends.
    pub fn cut(&mut self, wire: usize) {
        self.wires[wire].wanted = false;
        self.notice(wire);
    }

    /// Brings a link up again, in both directions.
    pub fn mend(&mut self, wire: usize) {
        self.wires[wire].wanted = true;
        self.wires[wire].silent = [false; 2];
        self.notice(wire);
    }

    /// Lets nothing arrive any more that the end `side` (0 or 1) sends; the link is given up when
    /// that was noticed.
    pub fn silence(&mut self, wire: usize, side: usize) {
        self.wires[wire].silent[side] = true;
        let at = self.now + DEAD;
        self.push(at, Happening::Notice { wire });
    }

    /// Ends a link's connection and makes another: what was on its way is lost.
    pub fn reconnect(&mut self, wire: usize) {
        let Some(link) = self.wires[wire].up else { return };
        self.queue.retain(|_, h| !matches!(h, Happening::Arrival { wire: w, .. } if *w == wire));
        for end in self.wires[wire].ends {
            self.with(end, |router, now| router.resend(now, link));
        }
    }

    /// Changes a link's costs; nothing else notices.
    pub fn cost(&mut self, wire: usize, costs: [u16; 2]) {
        self.wires[wire].costs = costs;
        let Some(link) = self.wires[wire].up else { return };
        for (end, cost) in self.wires[wire].ends.into_iter().zip(costs) {
            self.with(end, |router, now| router.link_cost(now, link, cost));
        }
    }

    /// Ends a site without a word.
    pub fn crash(&mut self, site: usize) {
        self.sites[site].router = None;
        self.sites[site].wake = None;
        self.notice_all(site);
    }

    /// Starts a site again; one that still runs ends first, without a word.
    pub fn restart(&mut self, site: usize, memory: Memory) {
        self.crash(site);
        let epoch = match memory {
            Memory::Kept => self.sites[site].epoch + 1,
            Memory::Restored => 1,
        };
        self.boot(site, epoch);
        self.notice_all(site);
    }

    /// Lets a site's clock run at this many thousandths of the true speed, from its next start on.
    pub fn skew(&mut self, site: usize, speed: u32) {
        self.crash(site);
        self.sites[site].speed = speed;
        self.restart(site, Memory::Kept);
    }

    /// Whether a site runs.
    pub fn runs(&self, site: usize) -> bool {
        self.sites[site].router.is_some()
    }

    /// Every link of one site, by number.
    pub fn wires_of(&self, site: usize) -> Vec<usize> {
        let wires = self.wires.iter().enumerate();
        wires.filter(|(_, wire)| wire.ends.contains(&site)).map(|(number, _)| number).collect()
    }

    fn notice_all(&mut self, site: usize) {
        for wire in self.wires_of(site) {
            self.notice(wire);
        }
    }

    /// Brings a link up or takes it down, as it should be by now.
    pub(super) fn notice(&mut self, wire: usize) {
        let ends = self.wires[wire].ends;
        let usable = self.is_usable(wire);
        match self.wires[wire].up {
            None if usable => {
                self.links += 1;
                let link = LinkId(self.links);
                self.wires[wire].up = Some(link);
                self.up.insert(link, wire);
                for (side, end) in ends.into_iter().enumerate() {
                    let (peer, cost) = (self.id(ends[1 - side]), self.wires[wire].costs[side]);
                    self.with(end, |router, now| router.link_up(now, link, peer, cost));
                }
            }
            Some(link) if !usable => {
                self.wires[wire].up = None;
                self.up.remove(&link);
                for end in ends {
                    self.with(end, |router, now| router.link_down(now, link));
                }
            }
            _ => {}
        }
    }

    pub(super) fn is_usable(&self, wire: usize) -> bool {
        let wire = &self.wires[wire];
        wire.wanted && wire.silent == [false; 2] && wire.ends.iter().all(|end| self.runs(*end))
    }
}
