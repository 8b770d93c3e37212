//! Events that wait to be taken.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use van_model::SiteId;

use crate::event::RouterEvent;

/// How long an event that others can cause is held back after one of its kind and subject.
const QUIET: Duration = Duration::from_secs(10);
/// Events that wait, and subjects that are held back, each at most.
const MAX: usize = 1024;

/// Events in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    events: Vec<RouterEvent>,
    told: BTreeMap<(u8, Option<SiteId>), Instant>,
}

impl EventQueue {
    pub(crate) fn push(&mut self, now: Instant, event: RouterEvent) {
        if self.events.len() >= MAX && !event.must_be_told() {
            return;
        }
        if event.is_limited() {
            let key = event.key();
            let is_quiet = self.told.get(&key).is_some_and(|at| now < *at + QUIET);
            if is_quiet || (self.told.len() >= MAX && !self.told.contains_key(&key)) {
                return;
            }
            self.told.insert(key, now);
        }
        self.events.push(event);
    }

    pub(crate) fn take(&mut self) -> Vec<RouterEvent> {
        std::mem::take(&mut self.events)
    }

    /// Forgets what is held back no longer.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.told.retain(|_, at| now < *at + QUIET);
    }
}
