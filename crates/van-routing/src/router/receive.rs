//! What neighbours say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use van_model::SiteId;
use van_pki::{Voucher, VoucherKind};

use super::Router;
use crate::error::RouteError;
use crate::event::RouterEvent;
use crate::message::Message;
use crate::router_id::{LinkId, RouterId};
use crate::version::Version;

/// Neighbours' vouchers that are kept; a record shows the best of them.
const MAX_HELD: usize = 64;
/// Sites that are new on either side from which two networks are told to be one.
const MERGED: usize = 2;

impl Router {
    /// Takes a message of a neighbour; what is bad in it changes nothing.
    ///
    /// A record in it that is bad is told as an event, the others count.
    pub fn receive(
        &mut self,
        now: Instant,
        link: LinkId,
        message: &[u8],
    ) -> Result<(), RouteError> {
        let peer = self.links.get(&link).ok_or(RouteError::NoLink(link))?.peer;
        if self.is_revoked(peer.site) {
            return Err(RouteError::Revoked);
        }
        match Message::decode(message)? {
            Message::Digest { number, edge, versions } => {
                self.take_digest(now, link, number, edge, versions);
            }
            Message::Request(routers) => self.take_request(now, link, &routers),
            Message::Records(records) => {
                for (age, bytes) in records {
                    self.take_record(now, link, peer, age, bytes);
                }
            }
            Message::Ack { digest, versions } => self.take_ack(link, digest, versions),
            Message::Voucher(signature) => self.take_voucher(peer, signature),
            Message::Unknown(_) => {}
        }
        self.settle(now);
        Ok(())
    }

    fn take_digest(
        &mut self,
        now: Instant,
        link: LinkId,
        number: u64,
        edge: bool,
        versions: Vec<(RouterId, Version)>,
    ) {
        let is_taken = self.links.get_mut(&link).is_some_and(|a| a.digests.take(now));
        if !is_taken {
            // Not acknowledged, so that it comes again.
            return;
        }
        let theirs: BTreeMap<RouterId, Version> = versions.into_iter().collect();
        self.tell_if_merged(now, link, edge, &theirs);
        let passes_on = !self.is_own_mode_edge();
        let me = self.me;
        let Some(adjacency) = self.links.get_mut(&link) else { return };
        adjacency.digest_acks.push(number);
        for (router, entry) in self.database.iter().filter(|(_, entry)| entry.member) {
            if theirs.get(router).is_some_and(|version| *version >= entry.version) {
                adjacency.pending.remove(router);
            } else if passes_on || *router == me || *router == adjacency.peer {
                adjacency.pend_once(now, *router);
            }
        }
        for (router, version) in theirs {
            let asked = !edge || router == adjacency.peer || router == me;
            let known = self.database.entry(router).map(|entry| entry.version);
            let is_out = router != me && self.revocations.is_out(router.site);
            if asked && !is_out && known < Some(version) {
                adjacency.want(now, router, version);
            }
        }
    }

    /// Tells where a neighbour's first digest shows that two networks become one.
    fn tell_if_merged(
        &mut self,
        now: Instant,
        link: LinkId,
        edge: bool,
        theirs: &BTreeMap<RouterId, Version>,
    ) {
        let Some(adjacency) = self.links.get_mut(&link) else { return };
        let (is_first, neighbour) = (!adjacency.met, adjacency.peer);
        adjacency.met = true;
        if !is_first || edge || self.is_own_mode_edge() {
            return;
        }
        let between = [self.me.site, neighbour.site];
        let known_there: BTreeSet<SiteId> = theirs.keys().map(|router| router.site).collect();
        let held = self.database.iter().filter(|(_, entry)| entry.member);
        let known_here: BTreeSet<SiteId> = held.map(|(router, _)| router.site).collect();
        let only = |a: &BTreeSet<SiteId>, b: &BTreeSet<SiteId>| -> Vec<SiteId> {
            a.difference(b).copied().filter(|site| !between.contains(site)).collect()
        };
        let (here, there) = (only(&known_here, &known_there), only(&known_there, &known_here));
        if here.len() >= MERGED && there.len() >= MERGED {
            self.events.push(now, RouterEvent::NetworksMerged { neighbour, here, there });
        }
    }

    fn take_request(&mut self, now: Instant, link: LinkId, routers: &[RouterId]) {
        let passes_on = !self.is_own_mode_edge();
        let Some(adjacency) = self.links.get_mut(&link) else { return };
        for router in routers.iter().filter(|router| passes_on || **router == self.me) {
            if self.database.entry(*router).is_some_and(|entry| entry.member) {
                adjacency.pend_once(now, *router);
            }
        }
    }

    fn take_ack(&mut self, link: LinkId, digest: Option<u64>, versions: Vec<(RouterId, Version)>) {
        let Some(adjacency) = self.links.get_mut(&link) else { return };
        if digest.is_some_and(|number| number == adjacency.digest_number) {
            adjacency.digest = None;
        }
        for (router, version) in versions {
            let known = self.database.entry(router).map(|entry| entry.version);
            if known <= Some(version) {
                adjacency.pending.remove(&router);
            }
        }
    }

    /// Takes a neighbour's word for this site, to be shown in its record.
    fn take_voucher(&mut self, peer: RouterId, signature: Vec<u8>) {
        let kind = VoucherKind::Peer;
        let voucher = Voucher { subject: self.me.site, signer: peer.site, kind, signature };
        let Some(pin) = self.trust.pins.get(&peer.site) else { return };
        let (context, subject) = (kind.context(), voucher.subject.as_bytes());
        if peer.site == self.me.site
            || self.held.get(&peer.site) == Some(&voucher)
            || !self.signatures.verify(pin, context, subject, &voucher.signature)
        {
            return;
        }
        if self.held.len() >= MAX_HELD {
            let present: BTreeSet<_> = self.links.values().map(|a| a.peer.site).collect();
            let absent = self.held.keys().find(|signer| !present.contains(signer)).copied();
            let Some(absent) = absent else { return };
            self.held.remove(&absent);
        }
        self.held.insert(peer.site, voucher);
        self.origin.dirty = true;
    }
}
