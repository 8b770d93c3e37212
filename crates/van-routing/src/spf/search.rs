//! Shortest paths by Dijkstra's algorithm, all of equal cost.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Vertex, claim};

/// The cost of what is not reached.
pub(super) const UNREACHED: u32 = u32::MAX;

/// How the routers are reached, by their places.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) source: Option<usize>,
    /// The source's neighbours, in the order of their ids.
    pub(super) own: Vec<usize>,
    pub(super) best: Vec<u32>,
    pub(super) hops: Vec<u8>,
    pub(super) previous: Vec<usize>,
    done: Vec<bool>,
    /// For each router, `words` numbers whose bits are the source's links that begin its paths.
    first: Vec<u64>,
    words: usize,
}

/// Every cost is at least 1, so all that stand before a router on its paths are done before it.
impl Search {
    /// Searches from a router whose links are `own`, sorted by the other ends' ids.
    pub(super) fn run(vertices: &[Vertex], source: usize, own: &[(usize, u32)]) -> Self {
        let words = own.len().div_ceil(64).max(1);
        let routers = vertices.len();
        let mut search = Self {
            source: Some(source),
            own: own.iter().map(|(other, _)| *other).collect(),
            best: vec![UNREACHED; routers],
            hops: vec![0; routers],
            previous: vec![source; routers],
            done: vec![false; routers],
            first: vec![0; routers * words],
            words,
        };
        let mut heap = BinaryHeap::with_capacity(routers);
        search.best[source] = 0;
        search.done[source] = true;
        for (link, (other, cost)) in own.iter().enumerate() {
            search.best[*other] = *cost;
            search.hops[*other] = 1;
            search.first[*other * words + link / 64] |= 1 << (link % 64);
            heap.push(Reverse((*cost, *other)));
        }
        while let Some(Reverse((cost, at))) = heap.pop() {
            if std::mem::replace(&mut search.done[at], true) || vertices[at].edge {
                continue;
            }
            for &(other, step) in &vertices[at].links {
                // The costs first: most links lead to what is reached at less.
                let cost = cost.saturating_add(step);
                if cost > search.best[other]
                    || search.done[other]
                    || claim(&vertices[other].links, at).is_none()
                {
                    continue;
                }
                if cost < search.best[other] {
                    search.best[other] = cost;
                    search.replace(other, at);
                    heap.push(Reverse((cost, other)));
                } else {
                    search.join(vertices, other, at);
                }
            }
        }
        search
    }

    /// The only path to `at` goes through `via`.
    fn replace(&mut self, at: usize, via: usize) {
        self.previous[at] = via;
        self.hops[at] = self.hops[via].saturating_add(1);
        self.first.copy_within(via * self.words..(via + 1) * self.words, at * self.words);
    }

    /// One more path of the same cost goes through `via`.
    fn join(&mut self, vertices: &[Vertex], at: usize, via: usize) {
        let hops = self.hops[via].saturating_add(1);
        let before = self.previous[at];
        if (hops, vertices[via].id) < (self.hops[at], vertices[before].id) {
            (self.hops[at], self.previous[at]) = (hops, via);
        }
        for word in 0..self.words {
            self.first[at * self.words + word] |= self.first[via * self.words + word];
        }
    }

    /// Whether a router is reached as in another search.
    pub(super) fn is_same(&self, other: &Self, at: usize) -> bool {
        let is_reached = |search: &Self| search.best.get(at).is_some_and(|b| *b != UNREACHED);
        match (is_reached(self), is_reached(other)) {
            // Of what had no place yet, it was never said that it isn't reached.
            (false, false) => at < other.best.len(),
            (true, true) => {
                (self.best[at], self.hops[at], self.previous[at])
                    == (other.best[at], other.hops[at], other.previous[at])
                    && self.source == other.source
                    && self.own == other.own
                    && self.bits(at) == other.bits(at)
            }
            _ => false,
        }
    }

    fn bits(&self, at: usize) -> &[u64] {
        &self.first[at * self.words..(at + 1) * self.words]
    }

    /// The source's links that begin the paths to `at`.
    pub(super) fn firsts(&self, at: usize) -> impl Iterator<Item = usize> {
        self.bits(at).iter().enumerate().flat_map(|(number, word)| {
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| number * 64 + bit)
        })
    }
}
