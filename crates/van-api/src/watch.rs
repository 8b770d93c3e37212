//! Documents that are sent again whenever they changed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use van_model::api::{ErrorBody, FlowQuery, FlowRecord};

use crate::answer::line;
use crate::connection::Connection;
use crate::handler::read;
use crate::request::Query;
use crate::route::Route;
use crate::site::{SiteApi, TapLines};

/// How long ticks are gathered before a document is made again: a busy site ticks often.
const GATHER: Duration = Duration::from_millis(20);
/// How often a quiet watch looks whether its reader is still there.
const LOOK: Duration = Duration::from_secs(2);

/// The state of one watch; it asks the site only when its reader can take more.
pub(crate) struct Watch {
    site: Arc<dyn SiteApi>,
    changed: tokio::sync::watch::Receiver<u64>,
    connection: Connection,
    stop: CancellationToken,
}

impl Watch {
    pub(crate) fn new(
        site: Arc<dyn SiteApi>,
        connection: Connection,
        stop: CancellationToken,
    ) -> Self {
        let changed = site.changed();
        Self { site, changed, connection, stop }
    }

    /// Waits for the next tick; false when the watch is over.
    async fn tick(&mut self) -> bool {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return false,
                tick = self.changed.changed() => {
                    if tick.is_err() {
                        return false;
                    }
                    tokio::time::sleep(GATHER).await;
                    return true;
                }
                () = tokio::time::sleep(LOOK) => {
                    if self.connection.is_gone() {
                        return false;
                    }
                }
            }
        }
    }
}

/// The route's document, at once and whenever it changed; ends when the resource is gone.
pub(crate) fn documents(watch: Watch, route: Route) -> impl Stream<Item = Bytes> + Send {
    let state = (watch, route, None::<Bytes>, false);
    stream::unfold(state, async |(mut watch, route, last, ended)| {
        if ended {
            return None;
        }
        loop {
            if last.is_some() && !watch.tick().await {
                return None;
            }
            watch.changed.borrow_and_update();
            match read(&*watch.site, &route, &Query::default()) {
                Ok(document) => {
                    let fresh = line(&document);
                    if last.as_ref() != Some(&fresh) {
                        return Some((fresh.clone(), (watch, route, Some(fresh), false)));
                    }
                }
                Err(error) => {
                    let fresh = line(&ErrorBody { error });
                    return Some((fresh, (watch, route, None, true)));
                }
            }
        }
    })
}

/// Every event that is asked for, one a line, and then each new one.
pub(crate) fn events(watch: Watch, query: Query) -> impl Stream<Item = Bytes> + Send {
    let after = query.after;
    lines(watch, (query, after), |site, (query, after)| {
        let mut fresh = Vec::new();
        for event in site.events(*after) {
            *after = event.sequence.max(*after);
            if query.wants(&event) {
                fresh.push(line(&event));
            }
        }
        fresh
    })
}

/// The flows that are asked for, one a line, and then each that opens and each that ends.
pub(crate) fn flows(watch: Watch, query: FlowQuery) -> impl Stream<Item = Bytes> + Send {
    lines(watch, (query, Told::default()), |site, (query, told)| {
        // A site that left meanwhile is known no more, and has no flows.
        let records = site.flows(query).unwrap_or_default();
        told.fresh(records).iter().map(line).collect()
    })
}

/// The lines of a tap, until its reader or the daemon leaves.
pub(crate) fn tapped(
    lines: TapLines,
    connection: Connection,
    stop: CancellationToken,
) -> impl Stream<Item = Bytes> + Send {
    stream::unfold((lines, connection, stop), async |(mut lines, connection, stop)| {
        loop {
            tokio::select! {
                () = stop.cancelled() => return None,
                next = lines.next() => {
                    let next = line(&next?);
                    return Some((next, (lines, connection, stop)));
                }
                () = tokio::time::sleep(LOOK) => {
                    if connection.is_gone() {
                        return None;
                    }
                }
            }
        }
    })
}

/// Flows that a watch has told.
#[derive(Debug, Default)]
struct Told {
    /// By number, and whether they had ended.
    flows: BTreeMap<u64, bool>,
}

impl Told {
    /// The records that tell something new; those that are no longer listed are forgotten.
    fn fresh(&mut self, mut records: Vec<FlowRecord>) -> Vec<FlowRecord> {
        let now = records.iter().map(|flow| (flow.id, flow.end.is_some())).collect();
        let before = std::mem::replace(&mut self.flows, now);
        records.retain(|flow| before.get(&flow.id) != Some(&flow.end.is_some()));
        records
    }
}

/// The lines that `fresh` finds, at once and at each tick, one after the other.
fn lines<S: Send>(
    watch: Watch,
    state: S,
    fresh: impl Fn(&dyn SiteApi, &mut S) -> Vec<Bytes> + Send,
) -> impl Stream<Item = Bytes> + Send {
    let start = (watch, state, fresh, VecDeque::<Bytes>::new(), true);
    stream::unfold(start, async |(mut watch, mut state, fresh, mut waiting, mut first)| {
        loop {
            if let Some(next) = waiting.pop_front() {
                return Some((next, (watch, state, fresh, waiting, first)));
            }
            if !first && !watch.tick().await {
                return None;
            }
            first = false;
            watch.changed.borrow_and_update();
            waiting.extend(fresh(&*watch.site, &mut state));
        }
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use van_model::api::{FlowEnd, FlowSide};

    use super::*;

    #[test]
    fn a_flow_is_told_when_it_opens_and_when_it_ends() {
        let flow = |id, end| FlowRecord {
            id,
            side: FlowSide::Ingress,
            address: "db".parse().unwrap(),
            listener: None,
            client: None,
            peer: None,
            peer_name: None,
            target: None,
            started: Timestamp::UNIX_EPOCH,
            ended: None,
            connect_ms: None,
            bytes_sent: 0,
            bytes_received: 0,
            end,
            requests: None,
        };
        let mut told = Told::default();
        let mut ids = |records: Vec<FlowRecord>| -> Vec<u64> {
            told.fresh(records).iter().map(|flow| flow.id).collect()
        };
        let closed = Some(FlowEnd::Closed);
        assert_eq!(ids(vec![flow(1, closed), flow(2, None)]), [1, 2]);
        assert_eq!(ids(vec![flow(1, closed), flow(2, None)]), [0; 0]);
        assert_eq!(ids(vec![flow(2, closed), flow(3, closed)]), [2, 3]);
        assert_eq!(told.flows.len(), 2, "what is listed no more is forgotten");
    }
}
