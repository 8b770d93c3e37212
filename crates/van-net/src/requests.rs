//! What is counted of requests, without locks.

use std::sync::OnceLock;
use std::time::Duration;

use crate::meter::{Count, Histogram};

/// Counts of requests, of services that are balanced by request.
#[derive(Debug, Default)]
pub struct RequestCounts {
    /// Requests that last now.
    pub open: Count,
    done: OnceLock<Box<Done>>,
}

#[derive(Debug, Default)]
struct Done {
    counts: [[Count; RequestCounts::STATUSES.len()]; RequestCounts::METHODS.len()],
    latency: Histogram,
}

impl RequestCounts {
    /// The methods that are told apart.
    pub const METHODS: [&str; 8] =
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];

    /// The classes of statuses.
    pub const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

    /// Counts a request that was answered with `status`, and how long it took to the answer's head.
    pub fn done(&self, method: &str, status: u16, took: Duration) {
        let done = self.done.get_or_init(Box::default);
        let row = Self::METHODS.iter().position(|known| *known == method);
        let row = row.unwrap_or(Self::METHODS.len() - 1);
        let class = usize::from(status / 100).clamp(1, Self::STATUSES.len()) - 1;
        done.counts[row][class].add(1);
        done.latency.record(took);
    }

    /// Each method and class of status that occurred, and how often.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let all = Self::METHODS.iter().enumerate().flat_map(move |(row, method)| {
            let columns = Self::STATUSES.iter().enumerate();
            columns.map(move |(column, status)| (row, column, *method, *status))
        });
        all.filter_map(|(row, column, method, status)| {
            let count = self.done.get()?.counts[row][column].get();
            (count > 0).then_some((method, status, count))
        })
    }

    /// Times to the head of the answer; `None` while there was none.
    pub fn latency(&self) -> Option<&Histogram> {
        self.done.get().map(|done| &done.latency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_method_and_class() {
        let counts = RequestCounts::default();
        assert!(counts.each().next().is_none() && counts.latency().is_none());
        for (method, status) in [("GET", 200), ("GET", 204), ("BREW", 418), ("POST", 503)] {
            counts.done(method, status, Duration::from_millis(2));
        }
        let each: Vec<_> = counts.each().collect();
        assert_eq!(each, [("GET", "2xx", 2), ("POST", "5xx", 1), ("other", "4xx", 1)]);
        assert!(counts.latency().unwrap().quantiles().is_some());
    }
}
