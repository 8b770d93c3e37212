//! Batches of spans on their way to a collector.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::endpoint::{Endpoint, NotTaken};
use crate::record::Record;
use crate::tracer::{Counts, Named, Sampling, Tracer};
use crate::wire::{KeyValue, Request, Resource, ResourceSpans, Scope, ScopeSpans, Span};

/// Requests in one batch, of two spans each: 512 spans.
const BATCH: usize = 256;

/// Time after the first of a batch in which others join it.
const GATHER: Duration = Duration::from_secs(5);

/// How often a batch is sent.
const TRIES: u32 = 5;

/// Waits between two tries: the first, doubled with each one up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Time between two words on what is lost.
const TOLD: Duration = Duration::from_secs(60);

/// Time for what is left when the site stops.
const LAST: Duration = Duration::from_millis(500);

/// Sends spans to a collector.
pub struct Exporter {
    tracer: Arc<Tracer>,
    records: mpsc::Receiver<Record>,
    endpoint: Endpoint,
}

/// Whose spans they are.
#[derive(Debug, Clone)]
pub struct Source {
    /// The site's name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// The software's version.
    pub version: String,
}

struct Sender {
    tracer: Arc<Tracer>,
    endpoint: Endpoint,
    /// What the resource of all spans is.
    resource: Resource,
    scope: Scope,
    sites: Named,
    /// Why the last batch failed.
    why: Mutex<String>,
}

impl Exporter {
    /// Makes an exporter and its tracer.
    pub fn new(endpoint: Endpoint, sampling: Sampling) -> Self {
        let (tracer, records) = Tracer::new(sampling);
        Self { tracer, records, endpoint }
    }

    /// What begins spans.
    pub fn tracer(&self) -> &Arc<Tracer> {
        &self.tracer
    }

    /// Exports until `stopped` comes; what is there then is sent once more within 500 ms. `sites` gives
    /// the names of sites.
    pub async fn run(self, source: Source, sites: Named, stopped: impl Future<Output = ()>) {
        let Self { tracer, mut records, endpoint } = self;
        let sender = Sender::new(tracer, endpoint, source, sites);
        let mut batch = Vec::with_capacity(BATCH);
        let export = async {
            let mut stopped = std::pin::pin!(stopped);
            loop {
                tokio::select! {
                    () = &mut stopped => return,
                    () = gather(&mut records, &mut batch) => {}
                }
                tokio::select! {
                    // What was under way may have come or not; it is sent no second time.
                    () = &mut stopped => return batch.clear(),
                    () = sender.deliver(&batch) => batch.clear(),
                }
            }
        };
        tokio::select! {
            () = export => {}
            () = sender.tell() => {}
        }
        if timeout(LAST, sender.rest(batch, records)).await.is_err() {
            warn!("the collector did not take the last spans");
        }
    }
}

/// Waits for a batch that is full, or old enough.
async fn gather(records: &mut mpsc::Receiver<Record>, batch: &mut Vec<Record>) {
    if records.recv_many(batch, BATCH).await == 0 {
        // The tracer lives as long as this.
        return std::future::pending().await;
    }
    let more = async {
        while batch.len() < BATCH {
            records.recv_many(batch, BATCH - batch.len()).await;
        }
    };
    // What came until then is in the batch.
    let _ = timeout(GATHER, more).await;
}

impl Sender {
    fn new(tracer: Arc<Tracer>, endpoint: Endpoint, source: Source, sites: Named) -> Self {
        let Source { name, id, version } = source;
        let resource = Resource {
            attributes: vec![
                KeyValue::text("service.name", "vand"),
                KeyValue::text("service.instance.id", id),
                KeyValue::text("service.version", version.as_str()),
                KeyValue::text("van.ingress", name),
            ],
        };
        let scope = Scope { name: "van-http".into(), version };
        Self { tracer, endpoint, resource, scope, sites, why: Mutex::default() }
    }

    /// Sends a batch, again where that may help.
    async fn deliver(&self, batch: &[Record]) {
        let (count, encoded) = self.encode(batch);
        let encoded = bytes::Bytes::from(encoded);
        let mut wait = FIRST_WAIT;
        for tries in 1.. {
            match self.endpoint.send(encoded.clone()).await {
                Ok(taken) => {
                    let rejected = taken.rejected.min(count);
                    add(&self.tracer.exported, count - rejected);
                    if rejected > 0 {
                        self.lost(rejected, format!("the collector refused: {}", taken.why));
                    }
                    return;
                }
                Err(error) if !error.again || tries >= TRIES => {
                    return self.lost(count, error.to_string());
                }
                Err(NotTaken { after, .. }) => {
                    // Not all sites of a network at the same moment.
                    let jitter = wait.mul_f64(rand::random::<f64>() / 4.0);
                    sleep(after.unwrap_or(wait) + jitter).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }

    /// Sends what is left.
    async fn rest(&self, mut batch: Vec<Record>, mut records: mpsc::Receiver<Record>) {
        records.close();
        loop {
            while batch.len() < BATCH
                && let Ok(record) = records.try_recv()
            {
                batch.push(record);
            }
            if batch.is_empty() {
                return;
            }
            self.once(&batch).await;
            batch.clear();
        }
    }

    async fn once(&self, batch: &[Record]) {
        let (count, encoded) = self.encode(batch);
        match self.endpoint.send(encoded.into()).await {
            Ok(taken) => add(&self.tracer.exported, count.saturating_sub(taken.rejected)),
            Err(error) => self.lost(count, error.to_string()),
        }
    }

    fn encode(&self, batch: &[Record]) -> (u64, Vec<u8>) {
        let spans: Vec<Span> = {
            let mut known = HashMap::new();
            let mut name = |site| -> String {
                known.entry(site).or_insert_with(|| (self.sites)(site)).clone()
            };
            batch.iter().flat_map(|record| record.spans(&mut name)).collect()
        };
        let count = spans.len() as u64;
        let scope_spans = vec![ScopeSpans { scope: Some(self.scope.clone()), spans }];
        let resource = Some(self.resource.clone());
        let request = Request { resource_spans: vec![ResourceSpans { resource, scope_spans }] };
        (count, request.encode_to_vec())
    }

    fn lost(&self, count: u64, why: String) {
        add(&self.tracer.failed, count);
        *self.why.lock() = why;
        self.tracer.lost.notify_one();
    }

    /// Tells what is lost: at once, and then once a minute.
    async fn tell(&self) {
        let mut told = Counts::default();
        loop {
            self.tracer.lost.notified().await;
            let now = self.tracer.counts();
            let (dropped, failed) = (now.dropped - told.dropped, now.failed - told.failed);
            let why = self.why.lock().clone();
            warn!(dropped, failed, why, "spans are lost: tracing.otlp takes no more of them");
            told = now;
            sleep(TOLD).await;
        }
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
