//! What is counted, without locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use van_model::api::FlowEnd;
use van_model::status::Quantiles;

use crate::flow_log::Logged;
use crate::requests::RequestCounts;

/// One number that rises and falls.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes away; never below what was added by the caller.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// Sets.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts of flows: of a service, a listener, a connector or a link.
#[derive(Debug, Default)]
pub struct Meter {
    /// Flows open now.
    pub open: Count,
    /// Flows since the start.
    pub total: Count,
    /// Bytes sent into the network.
    pub sent: Count,
    /// Bytes received from the network.
    pub received: Count,
    /// Flows that found no target or were broken.
    pub errors: Count,
    /// Times to reach a target.
    pub connect: Histogram,
    /// Datagrams, of services that carry these.
    pub datagrams: DatagramCounts,
    /// Requests, of services that are balanced by request.
    pub requests: RequestCounts,
}

/// Counts of datagrams; their bytes are counted with those of other flows.
#[derive(Debug, Default)]
pub struct DatagramCounts {
    /// Sent into the network.
    pub sent: Count,
    /// Received from the network.
    pub received: Count,
    lost: [Count; Lost::ALL.len()],
    refused: parking_lot::Mutex<Option<Instant>>,
}

/// Why a datagram was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Too much waited already.
    Queue,
    /// It had waited too long.
    Late,
    /// The table of sessions is full, or too many new ones came at once.
    Sessions,
    /// No target could be reached.
    NoTarget,
    /// The kernel did not take it.
    Socket,
}

impl Lost {
    /// All reasons.
    pub const ALL: [Self; 5] =
        [Self::Queue, Self::Late, Self::Sessions, Self::NoTarget, Self::Socket];

    /// The word that users see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Late => "late",
            Self::Sessions => "sessions",
            Self::NoTarget => "no_target",
            Self::Socket => "socket",
        }
    }
}

impl DatagramCounts {
    /// Counts datagrams that were dropped.
    pub fn lost(&self, why: Lost, count: u64) {
        self.lost[why as usize].add(count);
    }

    /// How many were dropped for a reason.
    pub fn of(&self, why: Lost) -> u64 {
        self.lost[why as usize].get()
    }

    /// Notes that the workload's host said that nobody listens there.
    pub fn refused(&self) {
        *self.refused.lock() = Some(Instant::now());
    }

    /// Whether that was said within this time.
    pub fn was_refused_within(&self, time: Duration) -> bool {
        self.refused.lock().is_some_and(|at| at.elapsed() < time)
    }
}

/// Keeps a flow counted as open, and in the log, until it is dropped.
#[derive(Debug, Default)]
pub struct Counted {
    meters: Vec<Arc<Meter>>,
    log: Option<Logged>,
}

impl Counted {
    /// A flow that is in the log.
    pub fn logged(log: Logged) -> Self {
        Self { meters: Vec::new(), log: Some(log) }
    }

    /// Counts a flow, as open and in total, in one more meter.
    pub fn add(&mut self, meter: Arc<Meter>) {
        meter.open.add(1);
        meter.total.add(1);
        self.meters.push(meter);
    }

    /// Its place in the log.
    pub fn log(&self) -> Option<&Logged> {
        self.log.as_ref()
    }

    /// Notes how it ends; the first word counts.
    pub fn ends(&self, end: FlowEnd) {
        if let Some(log) = &self.log {
            log.ends(end);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.meters.iter().for_each(|meter| meter.open.sub(1));
    }
}

/// Buckets of a [`Histogram`]: four for each doubling from 1 µs to about 18 minutes.
const BUCKETS: usize = 120;

/// Durations in buckets that grow by a quarter of a doubling, so that a quantile is off by at most
/// 19 %.
#[derive(Debug)]
pub struct Histogram([AtomicU64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        let us = duration.as_micros().max(1) as f64;
        let bucket = ((us.log2() * 4.0) as usize).min(BUCKETS - 1);
        self.0[bucket].fetch_add(1, Ordering::Relaxed);
    }

    /// Adds what another one counted.
    pub fn merge(&self, other: &Self) {
        for (bucket, more) in self.0.iter().zip(&other.0) {
            bucket.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// The median and the 99th percentile; `None` while nothing was counted.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let counts: Vec<u64> = self.0.iter().map(|c| c.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let at = |share: f64| {
            let mut left = (total as f64 * share).ceil() as u64;
            let bucket = counts.iter().position(|count| {
                let here = left <= *count;
                left = left.saturating_sub(*count);
                here
            });
            2f64.powf((bucket.unwrap_or(BUCKETS) as f64 + 0.5) / 4.0) / 1000.0
        };
        (total > 0).then(|| Quantiles { p50: at(0.5), p99: at(0.99) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantiles(), None);
        for ms in 1..=100 {
            histogram.record(Duration::from_millis(ms));
        }
        let q = histogram.quantiles().unwrap();
        assert!((40.0..60.0).contains(&q.p50) && (80.0..120.0).contains(&q.p99), "{q:?}");
    }
}
