//! Flows to targets that wait for the next request, and which of them takes it.
//!
//! An egress chooses a target when a flow is opened and names it. Requests to a site go round over the
//! targets that were named: to the one with the fewest in flight, of these to the one that waited for
//! longest. While fewer are known than the site has, one more flow is opened, which leads to another.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use van_model::{Address, SiteId};

use crate::sender::{STREAMS, Sender};
use crate::ways::Way;

/// Time after which a flow that nobody uses is closed.
const IDLE: Duration = Duration::from_secs(60);

/// The longest use of a flow, so that a target that was taken out is left before long.
const AGE: Duration = Duration::from_secs(300);

/// Flows to one site that wait.
const MOST_IDLE: usize = 128;

/// Time between two attempts to find a target more, where the last one found a known one.
const SEARCH: Duration = Duration::from_secs(1);

/// Time between two looks for flows that waited for too long.
const LOOK: Duration = Duration::from_secs(10);

/// The flows of one listener.
#[derive(Default)]
pub(crate) struct Pool {
    inner: Mutex<Inner>,
    /// Rung when something begins to wait.
    bell: Notify,
}

#[derive(Default)]
struct Inner {
    places: HashMap<Key, Place>,
    closed: bool,
    turn: u64,
}

type Key = (SiteId, Address, String);

/// What is known of one site's targets.
#[derive(Default)]
struct Place {
    /// How many it said it has when these were learned.
    count: u32,
    targets: BTreeMap<Arc<str>, Target>,
    /// Flows on their way to targets not known yet.
    searching: u32,
    search_after: Option<Instant>,
}

#[derive(Default)]
struct Target {
    busy: u32,
    /// When it was chosen last.
    turn: u64,
    idle: Vec<Waiting>,
}

/// A flow that takes a request now.
struct Waiting {
    sender: Sender,
    /// Requests on it, of HTTP/2.
    streams: Arc<()>,
    /// Where its connection is moved on.
    worker: usize,
    born: Instant,
    since: Instant,
}

/// What a request gets.
pub(crate) enum Turn {
    /// A flow that was used before.
    Flow(Lease),
    /// The right to open one: to this target, or to one not known yet.
    Open(Opening),
}

/// A flow as long as one request has it; dropping it ends what it was used for.
pub(crate) struct Lease {
    pub(crate) sender: Option<Sender>,
    /// Whether it carried a request before.
    pub(crate) reused: bool,
    target: Arc<str>,
    key: Key,
    pool: Arc<Pool>,
    /// Counted as one of the requests on the flow.
    _streams: Arc<()>,
    worker: usize,
    born: Instant,
}

/// The right to open a flow; dropped when it failed.
pub(crate) struct Opening {
    pub(crate) target: Option<Arc<str>>,
    key: Key,
    pool: Arc<Pool>,
    worker: usize,
    done: bool,
}

impl Pool {
    /// Chooses how a request gets to a target of this site.
    pub(crate) fn turn(self: &Arc<Self>, way: &Way, fresh: bool, worker: usize) -> Turn {
        let key = (way.site, way.address.clone(), way.hint.clone());
        let now = Instant::now();
        let mut inner = self.inner.lock();
        inner.turn += 1;
        let turn = inner.turn;
        let place = inner.places.entry(key.clone()).or_default();
        let stale = place.tidy(now, way.targets);
        let opening = |target| {
            let (key, pool) = (key.clone(), self.clone());
            Opening { target, key, pool, worker, done: false }
        };
        let known = u32::try_from(place.targets.len()).unwrap_or(u32::MAX);
        let may_search = place.search_after.is_none_or(|after| now >= after);
        if known == 0 || (known + place.searching < way.targets && may_search) {
            place.searching += 1;
            drop(inner);
            drop(stale);
            return Turn::Open(opening(None));
        }
        let least = place.targets.iter_mut().min_by_key(|(_, target)| (target.busy, target.turn));
        let Some((name, target)) = least else { unreachable!("one is known") };
        target.busy += 1;
        target.turn = turn;
        let name = name.clone();
        let waiting = if fresh { None } else { target.take(worker) };
        drop(inner);
        drop(stale);
        match waiting {
            Some(Waiting { sender, streams, worker, born, .. }) => Turn::Flow(Lease {
                sender: Some(sender),
                reused: true,
                target: name,
                key,
                pool: self.clone(),
                _streams: streams,
                worker,
                born,
            }),
            None => Turn::Open(opening(Some(name))),
        }
    }

    /// Closes flows that waited for too long, as long as it is polled.
    pub(crate) async fn tend(&self) {
        loop {
            self.bell.notified().await;
            while self.expire(Instant::now()) {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Closes what waits, and whatever is given back later.
    pub(crate) fn close(&self) {
        let places = {
            let mut inner = self.inner.lock();
            inner.closed = true;
            std::mem::take(&mut inner.places)
        };
        drop(places);
    }

    /// Returns whether any flows wait still.
    fn expire(&self, now: Instant) -> bool {
        let mut inner = self.inner.lock();
        let mut stale = Vec::new();
        inner.places.retain(|_, place| {
            stale.extend(place.tidy(now, place.count));
            !place.targets.is_empty() || place.searching > 0
        });
        let left = inner.places.values().any(|p| p.targets.values().any(|t| !t.idle.is_empty()));
        drop(inner);
        drop(stale);
        left
    }
}

impl Place {
    /// Takes out what is of no more use: what waited for too long, and all that waits where the number
    /// of targets is another.
    fn tidy(&mut self, now: Instant, count: u32) -> Vec<Waiting> {
        let renewed = self.count != count;
        if renewed {
            (self.count, self.search_after) = (count, None);
        }
        let mut stale = Vec::new();
        for target in self.targets.values_mut() {
            stale.extend(target.idle.extract_if(.., |waiting| renewed || !waiting.is_good(now)));
        }
        self.targets.retain(|_, target| target.busy > 0 || !target.idle.is_empty());
        stale
    }

    fn idle(&self) -> usize {
        self.targets.values().map(|target| target.idle.len()).sum()
    }
}

impl Waiting {
    fn is_good(&self, now: Instant) -> bool {
        let waited = now.saturating_duration_since(self.since);
        let lived = now.saturating_duration_since(self.born);
        let in_use = Arc::strong_count(&self.streams) > 1;
        !self.sender.is_closed() && (in_use || waited < IDLE) && lived < AGE
    }
}

impl Target {
    /// Takes a flow out, or a share of one that takes several requests: if it can be one of this
    /// worker, since another one would have to be woken for each piece.
    fn take(&mut self, worker: usize) -> Option<Waiting> {
        // One of the references is the flow's own.
        let has_room = |waiting: &Waiting| Arc::strong_count(&waiting.streams) <= STREAMS;
        let shared = self.idle.iter_mut().find_map(|waiting| {
            let fits = waiting.worker == worker && has_room(waiting);
            let sender = if fits { waiting.sender.share()? } else { return None };
            waiting.since = Instant::now();
            let (born, since) = (waiting.born, waiting.since);
            Some(Waiting { sender, streams: waiting.streams.clone(), worker, born, since })
        });
        shared.or_else(|| {
            let whole = |waiting: &Waiting| !waiting.sender.is_shared();
            let near = |waiting: &Waiting| waiting.worker == worker && whole(waiting);
            let last = self.idle.iter().rposition(near);
            Some(self.idle.remove(last.or_else(|| self.idle.iter().rposition(whole))?))
        })
    }
}

impl Opening {
    /// The flow is there, and leads to this target.
    pub(crate) fn opened(mut self, sender: Sender, name: Arc<str>) -> Lease {
        let now = Instant::now();
        self.done = true;
        let streams = Arc::<()>::default();
        {
            let mut inner = self.pool.inner.lock();
            inner.turn += 1;
            let turn = inner.turn;
            let place = inner.places.entry(self.key.clone()).or_default();
            place.release(self.target.as_ref());
            let known = place.targets.contains_key(&name);
            if self.target.is_none() && known {
                place.search_after = Some(now + SEARCH);
            }
            let target = place.targets.entry(name.clone()).or_default();
            target.busy += 1;
            target.turn = turn;
            // Others may use it at once.
            if let Some(sender) = sender.share() {
                let streams = streams.clone();
                let worker = self.worker;
                target.idle.push(Waiting { sender, streams, worker, born: now, since: now });
                self.pool.bell.notify_one();
            }
        }
        Lease {
            sender: Some(sender),
            reused: false,
            target: name,
            key: self.key.clone(),
            pool: self.pool.clone(),
            _streams: streams,
            worker: self.worker,
            born: now,
        }
    }
}

impl Place {
    /// An opening is over.
    fn release(&mut self, target: Option<&Arc<str>>) {
        match target {
            None => self.searching = self.searching.saturating_sub(1),
            Some(name) => {
                if let Some(target) = self.targets.get_mut(name) {
                    target.busy = target.busy.saturating_sub(1);
                }
            }
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if !self.done
            && let Some(place) = self.pool.inner.lock().places.get_mut(&self.key)
        {
            place.release(self.target.as_ref());
        }
    }
}

impl Lease {
    /// The connector's name.
    pub(crate) fn target(&self) -> &Arc<str> {
        &self.target
    }

    /// The flow is free for another request.
    pub(crate) fn give_back(mut self) {
        let Some(sender) = self.sender.take() else { return };
        let now = Instant::now();
        let mut inner = self.pool.inner.lock();
        if inner.closed || sender.is_closed() || sender.is_shared() {
            return;
        }
        let place = inner.places.entry(self.key.clone()).or_default();
        if place.idle() < MOST_IDLE {
            let (streams, worker, born) = (Arc::default(), self.worker, self.born);
            let target = place.targets.entry(self.target.clone()).or_default();
            target.idle.push(Waiting { sender, streams, worker, born, since: now });
            self.pool.bell.notify_one();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut inner = self.pool.inner.lock();
        if let Some(place) = inner.places.get_mut(&self.key)
            && let Some(target) = place.targets.get_mut(&self.target)
        {
            target.busy = target.busy.saturating_sub(1);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}
