//! Forgetting what is too old.

use std::time::{Duration, Instant};

use super::Router;

/// A record is dropped so long after its origin made it.
pub(super) const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// A record is dropped after its router could not be reached for so long.
const MAX_UNREACHABLE: Duration = Duration::from_secs(5 * 60);

impl Router {
    /// Drops what nobody refreshed or reached, and what is remembered of routers that are gone.
    pub(super) fn sweep(&mut self, now: Instant) {
        let me = self.me;
        let old = self.database.iter().filter(|(router, entry)| {
            let gone = entry.unreachable.is_some_and(|since| now >= since + MAX_UNREACHABLE);
            **router != me && (gone || entry.age(now) >= MAX_AGE)
        });
        let old: Vec<_> = old.map(|(router, _)| *router).collect();
        for router in old {
            let waited = self.database.remove(router).is_some_and(|entry| !entry.member);
            self.lost |= waited;
            self.changed.members = true;
            self.changed.records.insert(router);
        }
        self.arrivals.retain(|_, rate| !rate.is_full(now));
        self.proof_rates.retain(|_, rate| !rate.is_full(now));
        self.changed.waiting |= std::mem::take(&mut self.unproven);
        self.events.sweep(now);
        let database = &self.database;
        self.revocations.forget(|site| database.of_site(site).next().is_some());
    }
}
