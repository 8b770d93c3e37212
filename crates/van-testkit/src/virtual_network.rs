//! A network of routers in virtual time: no socket, no clock, and chance that replays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use van_model::{Mode, SiteId};
use van_pki::{Authority, Voucher};
use van_routing::{
    About, LinkId, OfferRecord, RouteError, Router, RouterEvent, RouterId, Routes, Signatures,
    Trust,
};

mod authorities;
mod clockwork;
mod faults;
mod oracle;
mod seed;

pub use authorities::RememberedSignatures;
pub use faults::Memory;
pub use seed::Seed;

/// What happens to messages on their way.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// The time of each message on its way.
    pub delay: Duration,
    /// As much longer, at most, by chance: messages overtake each other.
    pub jitter: Duration,
    /// Messages lost of a thousand.
    pub loss: usize,
    /// Messages doubled of a thousand.
    pub duplicates: usize,
}

impl Weather {
    /// 20 ms a hop and nothing lost.
    pub const FAIR: Self =
        Self { delay: Duration::from_millis(20), jitter: Duration::ZERO, loss: 0, duplicates: 0 };
    /// A fifth lost, a tenth doubled, and the order left to chance.
    pub const FOUL: Self = Self {
        delay: Duration::from_millis(5),
        jitter: Duration::from_millis(60),
        loss: 200,
        duplicates: 100,
    };
}

/// A site, whether it runs or not.
struct Site {
    name: String,
    authority: Arc<Authority>,
    about: About,
    trust: Trust,
    epoch: u32,
    router: Option<Router>,
    /// The site's clock: this many thousandths of the true one's speed.
    speed: u32,
    wake: Option<Instant>,
    events: Vec<RouterEvent>,
    errors: Vec<RouteError>,
}

/// A link, whether it is up or not.
struct Wire {
    ends: [usize; 2],
    costs: [u16; 2],
    wanted: bool,
    /// Ends from which nothing arrives.
    silent: [bool; 2],
    /// The number of the link while it is up.
    up: Option<LinkId>,
}

enum Happening {
    Arrival { wire: usize, link: LinkId, to: usize, bytes: Arc<[u8]> },
    Wake { site: usize },
    Notice { wire: usize },
}

/// Sites, links between them, and what is on its way.
pub struct VirtualNetwork {
    /// What happens to messages from now on.
    pub weather: Weather,
    seed: Seed,
    start: Instant,
    now: Instant,
    sites: Vec<Site>,
    wires: Vec<Wire>,
    /// Links that are up, with the wire of each.
    up: BTreeMap<LinkId, usize>,
    queue: BTreeMap<(Instant, u64), Happening>,
    order: u64,
    links: u64,
    spare: Vec<Arc<Authority>>,
    signatures: Arc<dyn Signatures>,
    delivered: u64,
}

impl VirtualNetwork {
    /// A network for at most `sites` sites, whose chance follows from the seed.
    pub fn new(seed: u64, sites: usize) -> Self {
        let now = Instant::now();
        let mut spare = authorities::authorities(sites);
        spare.reverse();
        Self {
            weather: Weather::FAIR,
            seed: Seed::new(seed),
            start: now,
            now,
            sites: Vec::new(),
            wires: Vec::new(),
            up: BTreeMap::new(),
            queue: BTreeMap::new(),
            order: 0,
            links: 0,
            spare,
            signatures: Arc::new(RememberedSignatures::default()),
            delivered: 0,
        }
    }

    /// Starts an interior site that offers nothing; returns its number.
    pub fn site(&mut self, name: &str) -> usize {
        self.add(name, Mode::Interior)
    }

    /// Starts an edge site that offers nothing; returns its number.
    pub fn edge(&mut self, name: &str) -> usize {
        self.add(name, Mode::Edge)
    }

    fn add(&mut self, name: &str, mode: Mode) -> usize {
        let authority = self.spare.pop().expect("the network was made for as many sites");
        let about = About {
            name: name.into(),
            mode,
            software: "0.1.0".into(),
            labels: BTreeMap::new(),
            offers: Vec::new(),
        };
        self.sites.push(Site {
            name: name.into(),
            authority,
            about,
            trust: Trust::default(),
            epoch: 0,
            router: None,
            speed: 1000,
            wake: None,
            events: Vec::new(),
            errors: Vec::new(),
        });
        let site = self.sites.len() - 1;
        self.boot(site, 1);
        site
    }

    /// Pins two sites to each other and links them at the cost; returns the link's number.
    pub fn link(&mut self, a: usize, b: usize, cost: u16) -> usize {
        self.link_at(a, b, [cost, cost])
    }

    /// Like [`VirtualNetwork::link`], with a cost for each direction.
    pub fn link_at(&mut self, a: usize, b: usize, costs: [u16; 2]) -> usize {
        for (one, other) in [(a, b), (b, a)] {
            let authority = self.sites[other].authority.clone();
            let trust = &mut self.sites[one].trust;
            trust.pins.insert(authority.id(), authority.certificate().clone());
            self.tell_trust(one);
        }
        let ends = [a, b];
        self.wires.push(Wire { ends, costs, wanted: true, silent: [false; 2], up: None });
        let wire = self.wires.len() - 1;
        self.notice(wire);
        wire
    }

    /// Gives `newcomer` the voucher that it gets by redeeming a token of `issuer`.
    pub fn admit(&mut self, issuer: usize, newcomer: usize) {
        let subject = self.id(newcomer).site;
        let voucher = Voucher::issue(&self.sites[issuer].authority, subject);
        self.trust(newcomer, |trust| trust.vouchers.push(voucher));
    }

    /// Changes whom a site trusts.
    pub fn trust(&mut self, site: usize, change: impl FnOnce(&mut Trust)) {
        change(&mut self.sites[site].trust);
        self.tell_trust(site);
    }

    /// Changes what a site says of itself.
    pub fn about(&mut self, site: usize, change: impl FnOnce(&mut About)) {
        change(&mut self.sites[site].about);
        let about = self.sites[site].about.clone();
        self.with(site, |router, now| router.set_about(now, about));
    }

    /// Lets a site offer an address with a number of targets.
    pub fn offer(&mut self, site: usize, address: &str, targets: u32) {
        let offer = OfferRecord {
            address: address.parse().expect("an address"),
            protocol: van_model::Protocol::Tcp,
            service_port: None,
            target_port: Some(80),
            targets,
            groups: Vec::new(),
        };
        self.about(site, |about| about.offers.push(offer));
    }

    /// Has signatures checked by another from the next start of a router on.
    pub fn check_signatures_by(&mut self, signatures: Arc<dyn Signatures>) {
        self.signatures = signatures;
    }

    /// Lets the time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((&(at, order), _)) = self.queue.first_key_value() {
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            let happening = self.queue.remove(&(at, order)).expect("it was there");
            self.happen(happening);
        }
        self.now = end;
    }

    /// Lets the time pass until nothing is unacknowledged or on its way, and returns how long that
    /// was; panics where the network is not quiet within the limit.
    pub fn settle(&mut self, limit: Duration) -> Duration {
        let start = self.now;
        let step = Duration::from_millis(20);
        let mut quiet = 0;
        while quiet < 60 {
            self.run(step);
            quiet = if self.is_busy() { 0 } else { quiet + 1 };
            assert!(self.now - start < limit, "not quiet after {limit:?}");
        }
        self.now - start - step * 60
    }

    fn is_busy(&self) -> bool {
        let arrivals = self.queue.values().any(|h| !matches!(h, Happening::Wake { .. }));
        let routers = self.sites.iter().filter_map(|site| site.router.as_ref());
        arrivals || routers.clone().any(|router| router.held().unacknowledged > 0)
    }

    /// The time since the network was made.
    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Messages that arrived so far.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// A number by this network's chance.
    pub fn below(&mut self, limit: usize) -> usize {
        self.seed.below(limit)
    }

    /// A site's router as others know it.
    pub fn id(&self, site: usize) -> RouterId {
        self.sites[site].authority.id().into()
    }

    /// A site's authority.
    pub fn authority(&self, site: usize) -> Arc<Authority> {
        self.sites[site].authority.clone()
    }

    /// The name of a site, by its id.
    pub fn name(&self, id: SiteId) -> &str {
        let site = self.sites.iter().find(|site| site.authority.id() == id);
        site.map_or("?", |site| &site.name)
    }

    /// A site's router, which must run.
    pub fn router(&self, site: usize) -> &Router {
        self.sites[site].router.as_ref().expect("the site runs")
    }

    /// What a running site's router last published.
    pub fn routes(&self, site: usize) -> Arc<Routes> {
        self.router(site).routes()
    }

    /// Takes what a site was told since the last time.
    pub fn take_events(&mut self, site: usize) -> Vec<RouterEvent> {
        std::mem::take(&mut self.sites[site].events)
    }

    /// Takes why a site did not take messages since the last time.
    pub fn take_errors(&mut self, site: usize) -> Vec<RouteError> {
        std::mem::take(&mut self.sites[site].errors)
    }

    /// Hands a site a message as if its neighbour `from` had sent it.
    pub fn inject(&mut self, from: usize, to: usize, bytes: &[u8]) -> Result<(), RouteError> {
        let wires = self.wires.iter();
        let mut between = wires.filter(|w| w.ends.contains(&from) && w.ends.contains(&to));
        let link = between.find_map(|wire| wire.up).expect("a link is up");
        self.with(to, |router, now| router.receive(now, link, bytes)).expect("the site runs")
    }

    fn live(&self) -> BTreeSet<usize> {
        let sites = self.sites.iter().enumerate();
        sites.filter(|(_, site)| site.router.is_some()).map(|(number, _)| number).collect()
    }
}
