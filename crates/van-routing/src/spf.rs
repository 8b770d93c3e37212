//! Shortest paths over the links that both ends claim.
//!
//! The graph stays from one time to the next: only routers whose record is another are read again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use van_model::Mode;

use crate::router_id::RouterId;
use crate::routes::Path;
use crate::signed::SignedRecord;

/// Routers and what they claim, by index: the place of a router's id among all, sorted.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    ids: Vec<RouterId>,
    vertices: Vec<Vertex>,
}

#[derive(Debug, Clone)]
struct Vertex {
    record: Arc<SignedRecord>,
    /// Never passed through.
    edge: bool,
    /// The other ends and the costs, sorted by the other end; the cheapest of parallel links.
    links: Vec<(usize, u32)>,
}

/// How the routers are reached, while that is worked out.
struct Search {
    best: Vec<u32>,
    hops: Vec<u8>,
    previous: Vec<usize>,
    done: Vec<bool>,
    /// For each router, `words` numbers whose bits are the source's links that begin its paths.
    first: Vec<u64>,
    words: usize,
}

impl Graph {
    /// Brings the graph up to date with these records, sorted by router.
    pub(crate) fn update<'a>(
        &mut self,
        records: impl Iterator<Item = (&'a RouterId, &'a Arc<SignedRecord>)> + Clone,
    ) {
        let same = self.ids.iter().eq(records.clone().map(|(router, _)| router));
        if !same {
            // Indexes are others now, so that everything is read again.
            self.ids = records.clone().map(|(router, _)| *router).collect();
            self.vertices.clear();
        }
        let ids = &self.ids;
        for (index, (_, record)) in records.enumerate() {
            match self.vertices.get_mut(index) {
                Some(vertex) if Arc::ptr_eq(&vertex.record, record) => {}
                Some(vertex) => *vertex = Vertex::read(record, ids),
                None => self.vertices.push(Vertex::read(record, ids)),
            }
        }
    }

    fn index(&self, router: &RouterId) -> Option<usize> {
        self.ids.binary_search(router).ok()
    }

    /// The least-cost paths from `source`, whose links are `own` whatever its record says; in the
    /// order of the routers, `None` where there is none.
    pub(crate) fn paths(
        &self,
        source: &RouterId,
        own: &BTreeMap<RouterId, u16>,
    ) -> Vec<Option<Path>> {
        let Some(me) = self.index(source) else { return vec![None; self.ids.len()] };
        let own: Vec<(usize, u32)> = own
            .iter()
            .filter_map(|(peer, cost)| Some((self.index(peer)?, u32::from(*cost))))
            .filter(|(other, _)| *other != me && self.claims(*other, me))
            .collect();
        let search = self.search(me, &own);
        let path = |at: usize| {
            if at == me {
                return Some(Path { cost: 0, hops: 0, next: Vec::new(), previous: *source });
            }
            search.done[at].then(|| Path {
                cost: search.best[at],
                hops: search.hops[at],
                next: search.firsts(at).map(|link| self.ids[own[link].0]).collect(),
                previous: self.ids[search.previous[at]],
            })
        };
        (0..self.ids.len()).map(path).collect()
    }

    fn claims(&self, from: usize, to: usize) -> bool {
        self.vertices[from].links.binary_search_by_key(&to, |(other, _)| *other).is_ok()
    }

    fn search(&self, source: usize, own: &[(usize, u32)]) -> Search {
        let mut search = Search::new(self.ids.len(), own.len());
        let mut heap = BinaryHeap::new();
        search.best[source] = 0;
        search.done[source] = true;
        for (link, (other, cost)) in own.iter().enumerate() {
            search.best[*other] = *cost;
            search.previous[*other] = source;
            search.hops[*other] = 1;
            search.first[*other * search.words + link / 64] |= 1 << (link % 64);
            heap.push(Reverse((*cost, *other)));
        }
        while let Some(Reverse((cost, at))) = heap.pop() {
            if std::mem::replace(&mut search.done[at], true) || self.vertices[at].edge {
                continue;
            }
            for &(other, step) in &self.vertices[at].links {
                if search.done[other] || !self.claims(other, at) {
                    continue;
                }
                let cost = cost.saturating_add(step);
                if cost < search.best[other] {
                    search.best[other] = cost;
                    search.replace(other, at);
                    heap.push(Reverse((cost, other)));
                } else if cost == search.best[other] {
                    search.join(other, at);
                }
            }
        }
        search
    }
}

impl Vertex {
    fn read(record: &Arc<SignedRecord>, ids: &[RouterId]) -> Self {
        let said = &record.record;
        let me = ids.binary_search(&RouterId { site: said.origin, replica: said.replica });
        let links = said.neighbours.iter().filter_map(|link| {
            let other = RouterId { site: link.site, replica: link.replica };
            Some((ids.binary_search(&other).ok()?, u32::from(link.cost)))
        });
        let mut links: Vec<_> = links.filter(|(other, _)| Ok(*other) != me).collect();
        links.sort_unstable();
        links.dedup_by_key(|(other, _)| *other);
        Self { record: record.clone(), edge: said.mode == Mode::Edge, links }
    }
}

/// Every cost is at least 1, so all that stand before a router on its paths are done before it.
impl Search {
    fn new(routers: usize, links: usize) -> Self {
        let words = links.div_ceil(64).max(1);
        Self {
            best: vec![u32::MAX; routers],
            hops: vec![0; routers],
            previous: vec![0; routers],
            done: vec![false; routers],
            first: vec![0; routers * words],
            words,
        }
    }

    /// The only path to `at` goes through `via`.
    fn replace(&mut self, at: usize, via: usize) {
        self.previous[at] = via;
        self.hops[at] = self.hops[via].saturating_add(1);
        self.first.copy_within(via * self.words..(via + 1) * self.words, at * self.words);
    }

    /// One more path of the same cost goes through `via`.
    fn join(&mut self, at: usize, via: usize) {
        let hops = self.hops[via].saturating_add(1);
        if (hops, via) < (self.hops[at], self.previous[at]) {
            (self.hops[at], self.previous[at]) = (hops, via);
        }
        for word in 0..self.words {
            self.first[at * self.words + word] |= self.first[via * self.words + word];
        }
    }

    /// The source's links that begin the paths to `at`.
    fn firsts(&self, at: usize) -> impl Iterator<Item = usize> {
        let words = &self.first[at * self.words..(at + 1) * self.words];
        words.iter().enumerate().flat_map(|(number, word)| {
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| number * 64 + bit)
        })
    }
}
