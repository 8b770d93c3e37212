//! The router of this site: what it hears and says, and what follows for the data plane.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use van_model::api::Severity;
use van_model::{Address, SiteId};
use van_mux::GoAwayReason;
use van_net::Link;
use van_proxy::Offer;
use van_routing::{
    About, LinkId, OfferGroup, OfferRecord, Router, RouterConfig, RouterEvent, RouterId, Trust,
};

use crate::site::Site;

/// The router and the links that it was told of.
pub(crate) struct Network {
    router: Mutex<Router>,
    links: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    last: u64,
    links: BTreeMap<LinkId, KnownLink>,
    /// What the router was last told to say, and whom to trust.
    about: Option<About>,
    trust: Option<u64>,
}

/// A link as the router knows it.
struct KnownLink {
    link: Arc<Link>,
    cost: u16,
    generation: u64,
}

impl Network {
    pub(crate) fn new(config: RouterConfig) -> Self {
        let router = Router::new(Instant::now(), config);
        Self { router: Mutex::new(router), links: Mutex::default() }
    }

    /// When the router wants to be called next.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.router.lock().next_timeout()
    }

    /// How many neighbours know what this site says now.
    pub(crate) fn told(&self) -> usize {
        self.router.lock().told()
    }

    pub(crate) fn routes(&self) -> Arc<van_routing::Routes> {
        self.router.lock().routes()
    }

    /// Tells the router of links that came, went or changed. Returns whether any did.
    fn sync_links(&self, now: Instant, up: &[Arc<Link>]) -> bool {
        let mut known = self.links.lock();
        let mut router = self.router.lock();
        let mut changed = false;
        // Those that came go first, so that a link which replaces another leaves no gap.
        for link in up.iter().filter(|link| link.takes_flows()) {
            if known.links.values().any(|old| Arc::ptr_eq(&old.link, link)) {
                continue;
            }
            known.last += 1;
            let id = LinkId(known.last);
            let peer = RouterId { site: link.peer.id, replica: link.peer.replica };
            let (cost, generation) = (link.cost, link.generation());
            router.link_up(now, id, peer, cost);
            known.links.insert(id, KnownLink { link: link.clone(), cost, generation });
            changed = true;
        }
        known.links.retain(|id, old| {
            let stays = old.link.takes_flows() && up.iter().any(|l| Arc::ptr_eq(l, &old.link));
            if !stays {
                router.link_down(now, *id);
                changed = true;
            }
            stays
        });
        for (id, old) in &mut known.links {
            // Read before anything is sent, so that a connection that ends meanwhile is seen.
            let generation = old.link.generation();
            if generation != old.generation {
                old.generation = generation;
                router.resend(now, *id);
            }
            if old.cost != old.link.cost {
                old.cost = old.link.cost;
                router.link_cost(now, *id, old.cost);
            }
        }
        changed
    }

    fn set_about(&self, now: Instant, about: About) {
        let mut known = self.links.lock();
        if known.about.as_ref() != Some(&about) {
            self.router.lock().set_about(now, about.clone());
            known.about = Some(about);
        }
    }

    fn id_of(&self, link: &Arc<Link>) -> Option<LinkId> {
        let known = self.links.lock();
        known.links.iter().find(|(_, k)| Arc::ptr_eq(&k.link, link)).map(|(id, _)| *id)
    }

    /// Sends what the router has to say.
    fn send(&self) {
        let known = self.links.lock();
        for (id, message) in self.router.lock().take_messages() {
            if let Some(known) = known.links.get(&id) {
                // What a full queue or an ending connection loses is sent again without an answer.
                known.link.send_route(&message);
            }
        }
    }
}

impl Site {
    /// Takes link-state messages; bad ones are told and change nothing.
    pub(crate) fn take_messages(&self, messages: Vec<(Arc<Link>, Vec<u8>)>) {
        let now = Instant::now();
        for (link, message) in messages {
            let Some(id) = self.network.id_of(&link) else { continue };
            if let Err(error) = self.network.router.lock().receive(now, id, &message) {
                let subject = format!("site/{}", link.peer.id);
                let text = format!("site {} sent a bad message: {error}", link.peer.name);
                self.event(Severity::Warning, "BadRecord", subject, text);
            }
        }
    }

    /// Brings everything that follows from links, records and connectors up to date.
    pub(crate) fn refresh_network(&self) {
        let now = Instant::now();
        let links = self.links.all();
        let offers = self.connectors.offers();
        self.trust_as_pinned(now);
        let links_changed = self.network.sync_links(now, &links);
        self.network.set_about(now, self.about(&offers));
        self.network.router.lock().handle_timeout(now);
        self.network.send();
        let (events, proofs) = {
            let mut router = self.network.router.lock();
            (router.take_events(), router.take_proofs())
        };
        if proofs.iter().fold(false, |new, (id, proof)| self.peers.prove(id, proof) || new) {
            self.noted.notify_one();
        }
        events.iter().for_each(|event| self.take_router_event(event));
        let routes = self.network.routes();
        let is_new = self.map.routes().version != routes.version;
        self.map.publish(&routes);
        if is_new {
            self.close_strangers();
        }
        self.publish_services(&routes, &links, offers, links_changed);
        self.sync_imports();
    }

    /// Tells the router whom this site trusts, where that changed.
    fn trust_as_pinned(&self, now: Instant) {
        let version = self.peers.version();
        if self.network.links.lock().trust == Some(version) {
            return;
        }
        let pins = self.peers.all();
        let authority = |id: &SiteId| van_pki::Peers::authority(&*self.peers, id);
        let peers = self.peers.clone();
        let trust = Trust {
            pins: pins.keys().filter_map(|id| Some((*id, authority(id)?))).collect(),
            revoked: pins
                .iter()
                .filter(|(_, pin)| pin.revocations > 0)
                .map(|(id, pin)| (*id, pin.revocations))
                .collect(),
            proofs: pins.iter().filter_map(|(id, pin)| Some((*id, pin.proof()?))).collect(),
            vouchers: pins.values().filter_map(|pin| pin.voucher.clone()).collect(),
            accepts: Arc::new(move |authority| peers.bundle_admits(authority)),
        };
        self.network.router.lock().set_trust(now, trust);
        self.network.links.lock().trust = Some(version);
    }

    fn about(&self, offers: &BTreeMap<Address, Offer>) -> About {
        let local = self.links.local();
        let offers = offers.iter().map(|(address, offer)| OfferRecord {
            address: address.clone(),
            protocol: offer.protocol,
            service_port: offer.service_port,
            target_port: offer.target_port,
            targets: offer.targets,
            groups: offer
                .groups
                .iter()
                .map(|group| OfferGroup {
                    priority: group.priority,
                    weight: u16::try_from(group.weight).unwrap_or(u16::MAX),
                    targets: group.targets,
                })
                .collect(),
        });
        About {
            name: local.name,
            mode: local.mode,
            software: local.software,
            labels: self.loaded.lock().config.site.labels.clone(),
            offers: offers.collect(),
        }
    }

    fn bar(&self, id: &SiteId, barred: bool) {
        if let Err(error) = self.peers.bar(&self.store, id, barred) {
            tracing::warn!(%error, site = %id.short(), barred, "a revocation is not kept");
        }
    }

    /// Ends sessions and links with sites that are trusted no longer, whatever made it so.
    fn close_strangers(&self) {
        let members = crate::paths::Members(self.map.clone());
        let trusts = |peers: &dyn van_pki::Peers, id: &SiteId| peers.authority(id).is_some();
        let links = self.links.all().into_iter().filter(|l| !trusts(&*self.peers, &l.peer.id));
        let sessions = self.links.sessions().into_iter().filter(|l| !trusts(&members, &l.peer.id));
        for link in links.chain(sessions) {
            link.go_away(GoAwayReason::Revoked, std::time::Duration::ZERO);
        }
    }

    fn take_router_event(&self, event: &RouterEvent) {
        let site = |id: &SiteId| format!("site/{id}");
        let (severity, reason, subject, text) = match event {
            RouterEvent::SiteAppeared { site: id, name } => {
                let text = format!("site {name} ({}) can be reached", id.short());
                (Severity::Info, "SiteAppeared", site(id), text)
            }
            RouterEvent::SiteLeft { site: id, name } => {
                let text = format!("site {name} ({}) can no longer be reached", id.short());
                (Severity::Warning, "SiteLeft", site(id), text)
            }
            RouterEvent::SameName { name, sites } => {
                let [one, other] = sites.map(|id| id.short());
                let text = format!("two sites are named {name}: {one} and {other}; rename one");
                (Severity::Warning, "SameName", site(&sites[1]), text)
            }
            RouterEvent::NetworksMerged { neighbour, here, there } => {
                let text = format!(
                    "two networks became one through {neighbour}: {} sites here, {} there; \
                     delete the link if that is not meant",
                    here.len(),
                    there.len()
                );
                (Severity::Warning, "NetworksMerged", site(&neighbour.site), text)
            }
            RouterEvent::NewEpoch { epoch, met } => {
                self.keep_new_epoch(*epoch);
                let text = format!(
                    "the network knew a record of this site from epoch {met}: its state was \
                     restored from a copy, or runs twice; it goes on at epoch {epoch}"
                );
                (Severity::Warning, "StateIsOlder", "site".into(), text)
            }
            RouterEvent::BadRecord { from, origin, error } => {
                let whose = origin.map(|o| format!(" of {o}")).unwrap_or_default();
                let text = format!("a record{whose} from {from} was refused: {error}");
                (Severity::Warning, "BadRecord", site(&from.site), text)
            }
            RouterEvent::ForeignSite { site: id, name } => {
                let text = format!(
                    "site {name} ({}) is no member: no voucher leads to it from here",
                    id.short()
                );
                (Severity::Warning, "ForeignSite", site(id), text)
            }
            RouterEvent::Flood { origin, from } => {
                let text = format!("records of site {} come too fast, over {from}", origin.short());
                (Severity::Warning, "Flood", site(origin), text)
            }
            RouterEvent::DatabaseFull { refused } => {
                let text = format!("router {refused} is not taken: as many as may be are known");
                (Severity::Error, "DatabaseFull", site(&refused.site), text)
            }
            RouterEvent::Revoked { site: id, by } => {
                self.bar(id, true);
                self.links.close_peer(id, GoAwayReason::Revoked, std::time::Duration::ZERO);
                let text = format!("site {} was revoked by {}", id.short(), by.short());
                (Severity::Warning, "SiteRevoked", site(id), text)
            }
            RouterEvent::Pardoned { site: id, by } => {
                self.bar(id, false);
                let text = format!("site {} is trusted again by {}", id.short(), by.short());
                (Severity::Warning, "SiteTrustedAgain", site(id), text)
            }
            RouterEvent::RevocationIgnored { site: id, by } => {
                let text = format!(
                    "site {} revokes {}, which it did not admit: that counts for nothing",
                    by.short(),
                    id.short()
                );
                (Severity::Warning, "RevocationIgnored", site(by), text)
            }
            RouterEvent::ServiceConflict { address, text } => {
                (Severity::Warning, "ServiceConflict", format!("service/{address}"), text.clone())
            }
            RouterEvent::TooManyOffers { left_out } => {
                let text = format!("{left_out} addresses are more than a site may offer");
                (Severity::Error, "TooManyOffers", "site".into(), text)
            }
        };
        self.event(severity, reason, subject, text);
    }
}
