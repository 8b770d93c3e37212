//! Working out where everything is, and what that changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use van_model::SiteId;

use super::Router;
use crate::event::RouterEvent;
use crate::router_id::RouterId;
use crate::routes::{Node, Routers, Routes};
use crate::spf::{PathChange, RecordChange};

/// The least time between two snapshots.
const PAUSE: Duration = Duration::from_millis(10);

impl Router {
    /// Publishes a new snapshot, made of the last one and what changed since.
    pub(super) fn publish(&mut self, now: Instant) {
        self.next_snapshot = now + PAUSE;
        let changed = std::mem::take(&mut self.changed.records);
        let current = |router: &RouterId| {
            let entry = self.database.entry(*router).filter(|entry| entry.member);
            (*router, entry.map(|entry| entry.signed.clone()))
        };
        let records: Vec<_> = changed.iter().map(current).collect();
        let matters = self.graph.update(&records);
        let moved = if std::mem::take(&mut self.changed.paths) || matters {
            // This router's links count as they are, not as its last record says.
            let own = self.own_links();
            self.graph.search(&self.me, &own)
        } else {
            Vec::new()
        };
        let old = self.routes.clone();
        let mut routers = old.routers.clone();
        let touched = take_changes(&mut routers, records, moved);
        let mut is_alike = true;
        let mut offered = Vec::with_capacity(touched.len());
        for router in touched {
            let reached = routers.get(&router).filter(|node| node.path.is_some());
            if let Some(entry) = self.database.entry_mut(router) {
                entry.unreachable = match reached {
                    Some(_) => None,
                    None => entry.unreachable.or(Some(now)),
                };
            }
            let before = old.routers.get(&router).filter(|node| node.path.is_some());
            is_alike &= before.map(name) == reached.map(name);
            offered.push((router, reached.map(|node| node.record.clone())));
        }
        for (address, text) in self.index.update(offered) {
            self.events.push(now, RouterEvent::ServiceConflict { address, text });
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
        let routes = self.routes.clone();
        let (before, after) = (reached_sites(old), reached_sites(&routes));
        for (site, name) in before.iter().filter(|(site, _)| !after.contains_key(site)) {
            let (site, name) = (*site, (*name).to_owned());
            self.events.push(now, RouterEvent::SiteLeft { site, name });
        }
        for (site, name) in after.iter().filter(|(site, _)| !before.contains_key(site)) {
            if *site != self.me.site {
                let (site, name) = (*site, (*name).to_owned());
                self.events.push(now, RouterEvent::SiteAppeared { site, name });
            }
        }
        let mut named: BTreeMap<&str, SiteId> = BTreeMap::new();
        let mut same = BTreeSet::new();
        for (site, name) in &after {
            let Some(first) = named.get(name) else {
                named.insert(name, *site);
                continue;
            };
            same.insert((*first, *site));
            if !self.same_names.contains(&(*first, *site)) {
                let (name, sites) = ((*name).to_owned(), [*first, *site]);
                self.events.push(now, RouterEvent::SameName { name, sites });
            }
        }
        self.same_names = same;
    }
}

/// The sites that are reached, by their names.
fn reached_sites(routes: &Routes) -> BTreeMap<SiteId, &str> {
    let reached = routes.routers.iter().filter(|(_, node)| node.path.is_some());
    reached.map(|(router, node)| (router.site, name(node))).collect()
}

fn name(node: &Node) -> &str {
    &node.record.record.name
}

/// Brings the nodes up to date; returns the routers of which anything is another.
fn take_changes(
    routers: &mut Routers,
    records: Vec<RecordChange>,
    moved: Vec<PathChange>,
) -> BTreeSet<RouterId> {
    let mut touched = BTreeSet::new();
    for (router, record) in records {
        touched.insert(router);
        match (routers.get_mut(&router), record) {
            (Some(node), Some(record)) => node.record = record,
            (None, Some(record)) => {
                routers.insert(router, Node { record, path: None });
            }
            (_, None) => {
                routers.remove(&router);
            }
        }
    }
    for (router, path) in moved {
        touched.insert(router);
        if let Some(node) = routers.get_mut(&router) {
            node.path = path;
        }
    }
    touched
}
