//! Working out where everything is, and what that changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use van_model::SiteId;

use super::Router;
use crate::event::RouterEvent;
use crate::router_id::RouterId;
use crate::routes::{Node, Routes};

/// The least time between two snapshots.
const PAUSE: Duration = Duration::from_millis(10);

impl Router {
    /// Publishes a new snapshot; paths are worked out only where links changed.
    pub(super) fn publish(&mut self, now: Instant) {
        self.next_snapshot = now + PAUSE;
        self.changed.snapshot = false;
        let old = self.routes.clone();
        // This router's links count as they are, not as its last record says.
        let own = self.own_links();
        let members = self.database.iter().filter(|(_, entry)| entry.member);
        let found = std::mem::take(&mut self.changed.paths).then(|| {
            self.graph.update(members.map(|(router, entry)| (router, &entry.signed)));
            self.graph.paths(&self.me, &own)
        });
        let mut found = found.map(Vec::into_iter);
        let members = self.database.iter_mut().filter(|(_, entry)| entry.member);
        let routers: BTreeMap<RouterId, Node> = members
            .map(|(router, entry)| {
                let path = match &mut found {
                    Some(found) => found.next().flatten(),
                    None => old.routers.get(router).and_then(|node| node.path.clone()),
                };
                entry.unreachable = match path {
                    Some(_) => None,
                    None => entry.unreachable.or(Some(now)),
                };
                (*router, Node { record: entry.signed.clone(), path })
            })
            .collect();
        let is_alike = is_alike(&old.routers, &routers);
        if is_alike {
            self.index.refresh(&routers);
        } else {
            let reached = routers.iter().filter(|(_, node)| node.path.is_some());
            let records = reached.map(|(router, node)| (*router, node.record.clone())).collect();
            for (address, text) in self.index.update(records) {
                self.events.push(now, RouterEvent::ServiceConflict { address, text });
            }
        }
        let services = self.index.services().clone();
        let version = old.version + 1;
        self.routes = Arc::new(Routes { version, me: self.me, routers, services });
        if !is_alike {
            self.tell_sites(now, &old);
        }
    }

    /// Tells which sites came and went, and which have the name of another.
    fn tell_sites(&mut self, now: Instant, old: &Routes) {
        let sites = |routes: &Routes| -> BTreeMap<SiteId, Arc<crate::SignedRecord>> {
            let reached = routes.routers.iter().filter(|(_, node)| node.path.is_some());
            reached.map(|(router, node)| (router.site, node.record.clone())).collect()
        };
        let (before, after) = (sites(old), sites(&self.routes));
        let name = |signed: &crate::SignedRecord| signed.record.name.clone();
        for (site, signed) in before.iter().filter(|(site, _)| !after.contains_key(site)) {
            let name = name(signed);
            self.events.push(now, RouterEvent::SiteLeft { site: *site, name });
        }
        for (site, signed) in after.iter().filter(|(site, _)| !before.contains_key(site)) {
            if *site != self.me.site {
                let name = name(signed);
                self.events.push(now, RouterEvent::SiteAppeared { site: *site, name });
            }
        }
        let mut named: BTreeMap<&str, SiteId> = BTreeMap::new();
        let mut same = BTreeSet::new();
        for (site, signed) in &after {
            let name = signed.record.name.as_str();
            let Some(first) = named.get(name) else {
                named.insert(name, *site);
                continue;
            };
            same.insert((*first, *site));
            if !self.same_names.contains(&(*first, *site)) {
                let (name, sites) = (name.to_owned(), [*first, *site]);
                self.events.push(now, RouterEvent::SameName { name, sites });
            }
        }
        self.same_names = same;
    }
}

/// Whether the same routers are reached, under the same names and with the same offers: only paths
/// and links are others.
fn is_alike(old: &BTreeMap<RouterId, Node>, new: &BTreeMap<RouterId, Node>) -> bool {
    let alike = |a: &Node, b: &Node| {
        a.path.is_some() == b.path.is_some()
            && (Arc::ptr_eq(&a.record, &b.record)
                || (a.record.record.name == b.record.record.name
                    && a.record.record.offers == b.record.record.offers))
    };
    old.len() == new.len() && old.iter().zip(new).all(|(a, b)| a.0 == b.0 && alike(a.1, b.1))
}
