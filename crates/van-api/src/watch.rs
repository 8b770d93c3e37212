//! Documents that are sent again whenever they changed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio_util::sync::CancellationToken;
use van_model::api::ErrorBody;

use crate::answer::line;
use crate::connection::Connection;
use crate::handler::read;
use crate::route::Route;
use crate::site::SiteApi;

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
            match read(&*watch.site, &route, 0) {
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

/// Every event after a sequence, one a line, and then each new one.
pub(crate) fn events(watch: Watch, after: u64) -> impl Stream<Item = Bytes> + Send {
    let state = (watch, after, VecDeque::<Bytes>::new(), true);
    stream::unfold(state, async |(mut watch, mut after, mut waiting, mut first)| {
        loop {
            if let Some(next) = waiting.pop_front() {
                return Some((next, (watch, after, waiting, first)));
            }
            if !first && !watch.tick().await {
                return None;
            }
            first = false;
            watch.changed.borrow_and_update();
            for event in watch.site.events(after) {
                after = after.max(event.sequence);
                waiting.push_back(line(&event));
            }
        }
    })
}
