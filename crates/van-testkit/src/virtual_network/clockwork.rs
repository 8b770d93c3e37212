//! Inputs to routers, messages on their way, and timers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use van_routing::{LinkId, Router, RouterConfig, RouterEvent};

use super::{Happening, VirtualNetwork};

/// By which a timer is late, so that rounding never makes it early.
const MOMENT: Duration = Duration::from_micros(1);

impl VirtualNetwork {
    pub(super) fn boot(&mut self, site: usize, epoch: u32) {
        let local = self.local(site);
        let this = &mut self.sites[site];
        this.epoch = epoch;
        let mut config = RouterConfig::new(this.authority.clone(), epoch);
        config.signatures = self.signatures.clone();
        this.router = Some(Router::new(local, config));
        let (about, trust) = (this.about.clone(), this.trust.clone());
        self.with(site, |router, now| {
            router.set_trust(now, trust);
            router.set_about(now, about);
        });
    }

    pub(super) fn tell_trust(&mut self, site: usize) {
        let trust = self.sites[site].trust.clone();
        self.with(site, |router, now| router.set_trust(now, trust));
    }

    /// The time on a site's own clock.
    fn local(&self, site: usize) -> Instant {
        self.start + (self.now - self.start) * self.sites[site].speed / 1000
    }

    /// Gives a running site's router an input, and everybody what follows.
    pub(super) fn with<T>(
        &mut self,
        site: usize,
        input: impl FnOnce(&mut Router, Instant) -> T,
    ) -> Option<T> {
        let local = self.local(site);
        let (start, now) = (self.start, self.now);
        let this = &mut self.sites[site];
        let router = this.router.as_mut()?;
        let result = input(router, local);
        let messages = router.take_messages();
        for event in router.take_events() {
            if let RouterEvent::NewEpoch { epoch, .. } = event {
                this.epoch = epoch;
            }
            this.events.push(event);
        }
        let wake = router.next_timeout();
        let speed = this.speed;
        let wake = wake.map(|at| now.max(start + (at - start) * 1000 / speed) + MOMENT);
        if let Some(at) = wake.filter(|at| this.wake.is_none_or(|known| *at < known)) {
            this.wake = Some(at);
            self.push(at, Happening::Wake { site });
        }
        for (link, bytes) in messages {
            self.post(site, link, &bytes);
        }
        Some(result)
    }

    pub(super) fn post(&mut self, from: usize, link: LinkId, bytes: &Arc<[u8]>) {
        let Some(&wire) = self.up.get(&link) else { return };
        let side = usize::from(self.wires[wire].ends[0] != from);
        let to = self.wires[wire].ends[1 - side];
        let copies = 1 + usize::from(self.seed.chance(self.weather.duplicates));
        for _ in 0..copies {
            if self.wires[wire].silent[side] || self.seed.chance(self.weather.loss) {
                continue;
            }
            let most = usize::try_from(self.weather.jitter.as_micros()).expect("a short time");
            let jitter = u64::try_from(self.seed.below(most + 1)).expect("a short time");
            let at = self.now + self.weather.delay + Duration::from_micros(jitter);
            self.push(at, Happening::Arrival { wire, link, to, bytes: bytes.clone() });
        }
    }

    pub(super) fn push(&mut self, at: Instant, happening: Happening) {
        self.order += 1;
        self.queue.insert((at, self.order), happening);
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival { wire, link, to, bytes } => {
                if self.wires[wire].up != Some(link) {
                    return;
                }
                self.delivered += 1;
                let taken = self.with(to, |router, now| router.receive(now, link, &bytes));
                if let Some(Err(error)) = taken {
                    self.sites[to].errors.push(error);
                }
            }
            Happening::Wake { site } => {
                if self.sites[site].wake.is_some_and(|at| at <= self.now) {
                    self.sites[site].wake = None;
                    self.with(site, Router::handle_timeout);
                }
            }
            Happening::Notice { wire } => self.notice(wire),
        }
    }
}
