//! Shortest paths over the links that both ends claim.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A router of the graph; links are (index of the other end, cost).
#[derive(Debug, Default)]
pub(crate) struct Vertex {
    /// Never passed through.
    pub(crate) edge: bool,
    pub(crate) links: Vec<(usize, u32)>,
}

/// How a router is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) cost: u32,
    /// Hops of the shortest of the least-cost paths.
    pub(crate) hops: u32,
    /// First hops of all least-cost paths, sorted.
    pub(crate) next: Vec<usize>,
    /// The last hop before it on the shortest of them.
    pub(crate) previous: usize,
}

/// Sorts each vertex's links, keeps the cheapest of parallel ones, and drops those that lead to
/// itself or that the other end doesn't claim.
pub(crate) fn keep_mutual(graph: &mut [Vertex]) {
    for (index, vertex) in graph.iter_mut().enumerate() {
        vertex.links.retain(|(other, _)| *other != index);
        vertex.links.sort_unstable();
        vertex.links.dedup_by_key(|(other, _)| *other);
    }
    let claims = |from: usize, to: usize, graph: &[Vertex]| {
        graph[from].links.binary_search_by_key(&to, |(other, _)| *other).is_ok()
    };
    let mutual: Vec<Vec<bool>> = (0..graph.len())
        .map(|from| graph[from].links.iter().map(|(to, _)| claims(*to, from, graph)).collect())
        .collect();
    for (vertex, mutual) in graph.iter_mut().zip(mutual) {
        let mut mutual = mutual.into_iter();
        vertex.links.retain(|_| mutual.next().unwrap_or(false));
    }
}

/// Finds the least-cost paths from `source` to every vertex; of itself there is none.
pub(crate) fn shortest(graph: &[Vertex], source: usize) -> Vec<Option<Reach>> {
    let mut best = vec![u32::MAX; graph.len()];
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); graph.len()];
    let mut found: Vec<Option<Reach>> = vec![None; graph.len()];
    let mut done = vec![false; graph.len()];
    let mut heap = BinaryHeap::from([Reverse((0, source))]);
    best[source] = 0;
    while let Some(Reverse((cost, at))) = heap.pop() {
        if std::mem::replace(&mut done[at], true) {
            continue;
        }
        if at != source {
            found[at] = Some(reach(cost, at, source, &before[at], &found));
        }
        if at != source && graph[at].edge {
            continue;
        }
        for (other, step) in &graph[at].links {
            let cost = cost.saturating_add(*step);
            if cost < best[*other] {
                best[*other] = cost;
                before[*other].clear();
                heap.push(Reverse((cost, *other)));
            }
            if cost == best[*other] && !done[*other] {
                before[*other].push(at);
            }
        }
    }
    found
}

/// Every cost is at least 1, so all that stand before a vertex were finished before it.
fn reach(cost: u32, at: usize, source: usize, before: &[usize], found: &[Option<Reach>]) -> Reach {
    let mut next = Vec::new();
    let mut closest = (u32::MAX, usize::MAX);
    for &via in before {
        let hops = match &found[via] {
            Some(reach) => {
                next.extend_from_slice(&reach.next);
                reach.hops
            }
            None => {
                debug_assert_eq!(via, source, "only the source has no path");
                next.push(at);
                0
            }
        };
        closest = closest.min((hops, via));
    }
    next.sort_unstable();
    next.dedup();
    Reach { cost, hops: closest.0.saturating_add(1), next, previous: closest.1 }
}
