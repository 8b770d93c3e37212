//! Flows that are open, and those that ended lately: who, to what, how much, and how it ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use van_model::api::{FlowEnd, FlowRecord, FlowRequests, FlowSide, TapLine};
use van_model::{Address, SiteId};

use crate::meter::Count;
use crate::tap::Tap;

/// Ended flows that are kept.
const RECENT: usize = 1024;

/// Bytes of a request's path that are kept.
const PATH: usize = 256;

/// Parts of the table of open flows, so that workers seldom wait for one another.
const SHARDS: usize = 16;

/// What is known of a site's flows.
#[derive(Debug, Default)]
pub struct FlowLog {
    open: [Mutex<BTreeMap<u64, Arc<Entry>>>; SHARDS],
    recent: Mutex<VecDeque<FlowRecord>>,
    tap: Tap,
    next: AtomicU64,
}

/// One flow at this site.
#[derive(Debug)]
struct Entry {
    id: u64,
    side: FlowSide,
    address: Address,
    listener: Option<Box<str>>,
    client: Option<std::net::SocketAddr>,
    started: Timestamp,
    sent: Count,
    received: Count,
    /// Microseconds to reach the target, plus 1; 0: not reached yet.
    reached: AtomicU64,
    way: Mutex<Way>,
}

/// What becomes known of a flow on its way.
#[derive(Debug, Default)]
struct Way {
    /// Where it is not the one that the listener has.
    address: Option<Address>,
    site: Option<SiteId>,
    target: Option<Box<str>>,
    end: Option<FlowEnd>,
    requests: Option<FlowRequests>,
}

/// Keeps a flow in the log as open until it is dropped.
#[derive(Debug)]
pub struct Logged {
    entry: Arc<Entry>,
    log: Arc<FlowLog>,
}

impl FlowLog {
    /// Notes a client's flow at a listener.
    pub fn ingress(
        self: &Arc<Self>,
        listener: &str,
        address: &Address,
        client: Option<std::net::SocketAddr>,
    ) -> Logged {
        self.begin(FlowSide::Ingress, address, Some(listener.into()), client)
    }

    /// Notes a flow that came from another site.
    pub fn egress(
        self: &Arc<Self>,
        address: &Address,
        client: Option<std::net::SocketAddr>,
        from: SiteId,
    ) -> Logged {
        let logged = self.begin(FlowSide::Egress, address, None, client);
        logged.to_site(from);
        logged
    }

    /// Who watches.
    pub fn tap(&self) -> &Tap {
        &self.tap
    }

    fn begin(
        self: &Arc<Self>,
        side: FlowSide,
        address: &Address,
        listener: Option<Box<str>>,
        client: Option<std::net::SocketAddr>,
    ) -> Logged {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::new(Entry {
            id,
            side,
            address: address.clone(),
            listener,
            client,
            started: Timestamp::now(),
            sent: Count::default(),
            received: Count::default(),
            reached: AtomicU64::new(0),
            way: Mutex::default(),
        });
        self.shard(id).lock().insert(id, entry.clone());
        Logged { entry, log: self.clone() }
    }

    fn shard(&self, id: u64) -> &Mutex<BTreeMap<u64, Arc<Entry>>> {
        &self.open[usize::try_from(id % SHARDS as u64).unwrap_or(0)]
    }

    /// Open flows, then those that ended, the latest last; at most `most` of each.
    pub fn records(&self, most: usize) -> Vec<FlowRecord> {
        let mut records: Vec<FlowRecord> = Vec::new();
        for shard in &self.open {
            let left = most.saturating_sub(records.len());
            records.extend(shard.lock().values().take(left).map(|entry| entry.record(None)));
        }
        let recent = self.recent.lock();
        records.extend(recent.iter().skip(recent.len().saturating_sub(most)).cloned());
        records.sort_by_key(|record| record.id);
        records
    }
}

impl Logged {
    /// Notes the address that was taken.
    pub fn to_address(&self, address: &Address) {
        let mut way = self.entry.way.lock();
        if *address != *way.address.as_ref().unwrap_or(&self.entry.address) {
            way.address = Some(address.clone());
        }
    }

    /// Notes the site at the other end.
    pub fn to_site(&self, site: SiteId) {
        self.entry.way.lock().site = Some(site);
    }

    /// Notes that a target was reached, and how long that took.
    pub fn reached(&self, target: &str, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).saturating_add(1);
        self.entry.reached.store(us, Ordering::Relaxed);
        if !target.is_empty() {
            self.entry.way.lock().target = Some(target.into());
        }
        self.tell(None);
    }

    /// Notes a request that was answered, and the target that did, if any.
    pub fn request(&self, method: &str, path: &str, status: u16, target: Option<&str>) {
        let mut way = self.entry.way.lock();
        if let Some(target) = target.filter(|target| !target.is_empty())
            && way.target.as_deref() != Some(target)
        {
            way.target = Some(target.into());
        }
        let (method, path) =
            (&method[..method.floor_char_boundary(PATH)], &path[..path.floor_char_boundary(PATH)]);
        let all = way.requests.get_or_insert_with(|| FlowRequests {
            count: 0,
            method: String::new(),
            path: String::new(),
            status,
        });
        all.count += 1;
        all.status = status;
        for (kept, fresh) in [(&mut all.method, method), (&mut all.path, path)] {
            kept.clear();
            kept.push_str(fresh);
        }
    }

    /// The listener's address, or the one that was taken last.
    pub fn address(&self) -> Address {
        self.entry.way.lock().address.as_ref().unwrap_or(&self.entry.address).clone()
    }

    /// The log in which it is.
    pub fn flow_log(&self) -> &Arc<FlowLog> {
        &self.log
    }

    /// Tells those who watch the service of a flow without requests.
    fn tell(&self, ended: Option<Timestamp>) {
        if self.log.tap.is_open() {
            let record = self.entry.record(ended);
            if record.requests.is_none() && record.connect_ms.is_some() {
                let address = record.address.clone();
                self.log.tap.tell(&address, &TapLine::Flow(record.into()));
            }
        }
    }

    /// Bytes from the client's side, and bytes from the workload's.
    pub fn counts(&self) -> (&Count, &Count) {
        (&self.entry.sent, &self.entry.received)
    }

    /// Notes how the flow ends; the first word counts.
    pub fn ends(&self, end: FlowEnd) {
        self.entry.way.lock().end.get_or_insert(end);
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.log.shard(self.entry.id).lock().remove(&self.entry.id);
        let now = Some(Timestamp::now());
        self.tell(now);
        let record = self.entry.record(now);
        let mut recent = self.log.recent.lock();
        if recent.len() >= RECENT {
            recent.pop_front();
        }
        recent.push_back(record);
    }
}

impl Entry {
    fn record(&self, ended: Option<Timestamp>) -> FlowRecord {
        let way = self.way.lock();
        let reached = self.reached.load(Ordering::Relaxed).checked_sub(1);
        FlowRecord {
            id: self.id,
            side: self.side,
            address: way.address.as_ref().unwrap_or(&self.address).clone(),
            listener: self.listener.as_deref().map(Into::into),
            client: self.client.map(|c| c.to_string()),
            peer: way.site,
            peer_name: None,
            target: way.target.as_deref().map(Into::into),
            started: self.started,
            ended,
            connect_ms: reached.map(|us| us as f64 / 1e3),
            bytes_sent: self.sent.get(),
            bytes_received: self.received.get(),
            end: ended.map(|_| way.end.unwrap_or(FlowEnd::Closed)),
            requests: way.requests.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_open_until_it_is_dropped_and_recent_then() {
        let log = Arc::<FlowLog>::default();
        let address: Address = "db".parse().unwrap();
        let flow = log.ingress("db", &address, Some("127.0.0.1:9".parse().unwrap()));
        flow.to_site(SiteId::from_bytes([1; 20]));
        flow.reached("pg", Duration::from_micros(1500));
        flow.counts().0.add(7);
        let [open] = &log.records(10)[..] else { panic!("one flow") };
        assert_eq!((open.end, open.bytes_sent, open.connect_ms), (None, 7, Some(1.5)));
        flow.ends(FlowEnd::LinkLost);
        flow.ends(FlowEnd::Closed);
        drop(flow);
        let [ended] = &log.records(10)[..] else { panic!("one flow") };
        assert_eq!(ended.end, Some(FlowEnd::LinkLost));
        assert_eq!(ended.target.as_deref(), Some("pg"));
        for _ in 0..2 * RECENT {
            drop(log.egress(&address, None, SiteId::from_bytes([2; 20])));
        }
        assert_eq!(log.records(usize::MAX).len(), RECENT);
        assert_eq!(log.records(5).len(), 5);
        assert!(log.open.iter().all(|shard| shard.lock().is_empty()));
    }
}
