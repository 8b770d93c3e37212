//! Which requests are sampled, and the queue of those that are over.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use http::Request;
use tokio::sync::{Notify, mpsc};
use van_model::{SampleRate, SiteId};

use crate::context::{Parent, SAMPLED};
use crate::record::Record;
use crate::span::Span;

/// Requests that wait for the collector; each has two spans at most, so that 4096 of these wait.
const QUEUE: usize = 2048;

/// Gives a site's name.
pub type Named = Box<dyn Fn(SiteId) -> String + Send + Sync>;

/// Which requests without a parent are sampled; with one, those that its flags say.
#[derive(Debug, Clone, Copy)]
pub struct Sampling {
    /// The first of the 2^56 random values that is not.
    bound: u64,
}

/// Spans since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Those that the collector took.
    pub exported: u64,
    /// Those for which there was no room in the queue.
    pub dropped: u64,
    /// Those that the collector did not take.
    pub failed: u64,
}

/// Begins spans.
pub struct Tracer {
    sampling: Sampling,
    queue: mpsc::Sender<Record>,
    pub(crate) exported: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Rung when something was lost.
    pub(crate) lost: Notify,
}

impl Sampling {
    /// Samples this share of traces.
    pub fn new(rate: SampleRate) -> Self {
        Self { bound: ((u128::from(rate.millionths()) << 56) / 1_000_000) as u64 }
    }

    fn takes(self, trace: [u8; 16]) -> bool {
        let [.., a, b, c, d, e, f, g] = trace;
        u64::from_be_bytes([0, a, b, c, d, e, f, g]) < self.bound
    }
}

impl Tracer {
    /// Makes a tracer, and the queue of what it tells.
    pub(crate) fn new(sampling: Sampling) -> (Arc<Self>, mpsc::Receiver<Record>) {
        let (queue, records) = mpsc::channel(QUEUE);
        let tracer = Self {
            sampling,
            queue,
            exported: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            lost: Notify::new(),
        };
        (Arc::new(tracer), records)
    }

    /// Begins the span of a request as its client sent it; `None`: it is not sampled, and whatever it
    /// says of a trace stays as it is.
    pub fn begin<B>(
        self: &Arc<Self>,
        request: &Request<B>,
        from: Option<SocketAddr>,
        start: Instant,
    ) -> Option<Span> {
        let parent = Parent::of(request.headers());
        let (trace, flags) = match parent {
            Some(parent) => (parent.trace, parent.flags),
            None => {
                let trace: [u8; 16] = rand::random();
                (trace, if self.sampling.takes(trace) { SAMPLED } else { 0 })
            }
        };
        let is_sampled = flags & SAMPLED != 0;
        is_sampled.then(|| Span::new(self.clone(), request, (trace, parent, flags), (from, start)))
    }

    /// What became of spans.
    pub fn counts(&self) -> Counts {
        Counts {
            exported: self.exported.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// Lets a request be exported, if there is room for it.
    pub(crate) fn tell(&self, record: Record) {
        if let Err(error) = self.queue.try_send(record) {
            let spans = 1 + u64::from(error.into_inner().sent.is_some());
            self.dropped.fetch_add(spans, Ordering::Relaxed);
            self.lost.notify_one();
        }
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts();
        f.debug_struct("Tracer").field("sampling", &self.sampling).field("counts", &counts).finish()
    }
}
