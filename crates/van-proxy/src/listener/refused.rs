//! Clients that were refused, told now and then.

use std::fmt::Display;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::warn;
use van_model::Name;

/// Time between two lines in the log.
const LOG: Duration = Duration::from_secs(10);

/// Clients that were refused since the last line in the log.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<(u64, Option<Instant>)>);

impl Refused {
    /// Counts one, and tells of all so far if the last line was long ago.
    pub(super) fn tell(&self, listener: &Name, why: &impl Display) {
        let mut since = self.0.lock();
        since.0 += 1;
        if since.1.is_none_or(|at| at.elapsed() >= LOG) {
            let count = std::mem::take(&mut since.0);
            since.1 = Some(Instant::now());
            drop(since);
            warn!(%listener, %why, count, "clients were refused");
        }
    }
}
