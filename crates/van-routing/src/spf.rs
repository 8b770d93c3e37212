//! The graph of the links that both ends claim, and the paths that were found in it.
//!
//! It stays from one time to the next: only routers whose record is another are read again, and paths
//! are searched only where a change touches a least-cost way or makes one.

use std::collections::BTreeMap;
use std::sync::Arc;

use van_model::Mode;

use crate::router_id::RouterId;
use crate::routes::Path;
use crate::signed::SignedRecord;

mod search;

use search::{Search, UNREACHED};

/// Routers and what they claim, each at a place of its own.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    places: BTreeMap<RouterId, usize>,
    vertices: Vec<Vertex>,
    /// What was found last; for as many routers as there were.
    last: Search,
}

#[derive(Debug)]
struct Vertex {
    id: RouterId,
    record: Arc<SignedRecord>,
    /// Never passed through.
    edge: bool,
    /// The other ends' places and the costs, sorted by the place; the cheapest of parallel links.
    links: Vec<(usize, u32)>,
    /// Whether it claims links to routers that have no place yet.
    is_open: bool,
}

/// A router whose record is another, or that is gone.
pub(crate) type RecordChange = (RouterId, Option<Arc<SignedRecord>>);
/// A router whose path is another, or that is no longer reached.
pub(crate) type PathChange = (RouterId, Option<Arc<Path>>);

impl Graph {
    /// Takes changed records; returns whether paths may be others now.
    pub(crate) fn update(&mut self, changes: &[RecordChange]) -> bool {
        let is_known = |router| self.places.contains_key(router);
        let others = changes.iter().any(|(router, new)| is_known(router) != new.is_some());
        if changes.iter().any(|(router, new)| new.is_none() && is_known(router)) {
            self.renumber(changes);
            return true;
        }
        let mut matters = others;
        let first_new = self.vertices.len();
        for (router, record) in changes {
            let Some(record) = record else { continue };
            match self.places.get(router) {
                Some(&place) => matters |= self.replace(place, record.clone(), matters),
                None => {
                    self.places.insert(*router, self.vertices.len());
                    self.vertices.push(Vertex::new(*router, record.clone()));
                }
            }
        }
        if others {
            for place in 0..self.vertices.len() {
                if place >= first_new || self.vertices[place].is_open {
                    self.read(place);
                }
            }
        }
        matters
    }

    /// Takes changes some of which remove routers: all places are others.
    fn renumber(&mut self, changes: &[RecordChange]) {
        let old = std::mem::take(&mut self.vertices).into_iter();
        let mut records: BTreeMap<_, _> = old.map(|v| (v.id, v.record)).collect();
        for (router, record) in changes {
            match record {
                Some(record) => drop(records.insert(*router, record.clone())),
                None => drop(records.remove(router)),
            }
        }
        // Whatever was reached at a place says nothing of who is there now.
        self.last = Search::default();
        self.places = records.keys().enumerate().map(|(place, id)| (*id, place)).collect();
        self.vertices = records.into_iter().map(|(id, record)| Vertex::new(id, record)).collect();
        (0..self.vertices.len()).for_each(|place| self.read(place));
    }

    /// Takes a router's newer record. Returns whether paths may be others, unless that is known.
    fn replace(&mut self, place: usize, record: Arc<SignedRecord>, is_known: bool) -> bool {
        let vertex = &mut self.vertices[place];
        let before = std::mem::replace(&mut vertex.record, record);
        let (old, new) = (&before.record, &vertex.record.record);
        if old.neighbours == new.neighbours && old.mode == new.mode {
            return false;
        }
        let was_edge = vertex.edge;
        let old = std::mem::take(&mut vertex.links);
        self.read(place);
        is_known || was_edge != self.vertices[place].edge || self.matters(place, &old)
    }

    /// Whether any of a router's changed links was on a least-cost way, or makes one.
    ///
    /// Where none is, what was found last holds: every link that was needed is there at its cost, and
    /// none leads anywhere at as little.
    fn matters(&self, at: usize, old: &[(usize, u32)]) -> bool {
        if self.last.source == Some(at) {
            return false;
        }
        let new = &self.vertices[at].links;
        let reached = |place: usize| self.last.best.get(place).copied().unwrap_or(UNREACHED);
        let leads = |from: usize, to: usize, cost: u32, edge: bool| {
            reached(from) != UNREACHED && !edge && reached(from).saturating_add(cost) <= reached(to)
        };
        let of = |links: &[(usize, u32)], other: usize| claim(links, other);
        let gone = old.iter().filter(|(other, _)| of(new, *other).is_none());
        let mut changed = new.iter().filter(|link| !old.contains(link)).chain(gone);
        changed.any(|&(other, _)| {
            let there = &self.vertices[other];
            let costs = [of(old, other), of(new, other)];
            let is_new_or_gone = costs.contains(&None);
            // The source's own links count as they are, whether its record has them or not.
            if self.last.source == Some(other) {
                return is_new_or_gone;
            }
            let Some(back) = of(&there.links, at) else { return false };
            let edge = self.vertices[at].edge;
            (is_new_or_gone && leads(other, at, back, there.edge))
                || costs.into_iter().flatten().any(|cost| leads(at, other, cost, edge))
        })
    }

    fn read(&mut self, place: usize) {
        let (vertex, places) = (&mut self.vertices[place], &self.places);
        let said = &vertex.record.record;
        let mut links = Vec::with_capacity(said.neighbours.len());
        vertex.is_open = false;
        for link in &said.neighbours {
            match places.get(&RouterId { site: link.site, replica: link.replica }) {
                Some(other) if *other == place => {}
                Some(other) => links.push((*other, u32::from(link.cost))),
                None => vertex.is_open = true,
            }
        }
        links.sort_unstable();
        links.dedup_by_key(|(other, _)| *other);
        vertex.edge = said.mode == Mode::Edge;
        vertex.links = links;
    }

    /// Searches the least-cost paths from `source` anew, whose links are `own` whatever its record
    /// says; returns those that are others than before.
    pub(crate) fn search(
        &mut self,
        source: &RouterId,
        own: &BTreeMap<RouterId, u16>,
    ) -> Vec<PathChange> {
        let old = std::mem::take(&mut self.last);
        if let Some(me) = self.places.get(source).copied() {
            let own: Vec<(usize, u32)> = own
                .iter()
                .filter_map(|(peer, cost)| Some((*self.places.get(peer)?, u32::from(*cost))))
                .filter(|(other, _)| *other != me && self.claims(*other, me))
                .collect();
            self.last = Search::run(&self.vertices, me, &own);
        }
        let changed = (0..self.vertices.len()).filter(|place| !self.last.is_same(&old, *place));
        changed.map(|place| (self.vertices[place].id, self.path(place))).collect()
    }

    fn path(&self, place: usize) -> Option<Arc<Path>> {
        let found = &self.last;
        let id = |place: usize| self.vertices[place].id;
        let &cost = found.best.get(place).filter(|best| **best != UNREACHED)?;
        Some(Arc::new(Path {
            cost,
            hops: found.hops[place],
            next: found.firsts(place).map(|link| id(found.own[link])).collect(),
            previous: id(found.previous[place]),
        }))
    }

    fn claims(&self, from: usize, to: usize) -> bool {
        claim(&self.vertices[from].links, to).is_some()
    }
}

/// The cost at which these links lead to another router.
fn claim(links: &[(usize, u32)], other: usize) -> Option<u32> {
    // Few links are looked through faster than they are halved.
    if links.len() <= 8 {
        return links.iter().find(|(to, _)| *to == other).map(|(_, cost)| *cost);
    }
    let at = links.binary_search_by_key(&other, |(to, _)| *to).ok()?;
    Some(links[at].1)
}

impl Vertex {
    fn new(id: RouterId, record: Arc<SignedRecord>) -> Self {
        Self { id, record, edge: false, links: Vec::new(), is_open: false }
    }
}
