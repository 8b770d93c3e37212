//! A token bucket over times that are given.

use std::time::{Duration, Instant};

/// Lets `burst` events through at once and `rate` a second in the long run.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: u32,
    burst: u32,
    left: u32,
    refilled: Instant,
}

impl Bucket {
    pub(crate) fn new(now: Instant, rate: u32, burst: u32) -> Self {
        Self { rate, burst, left: burst, refilled: now }
    }

    /// Takes one; `false` when there is none.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.left.checked_sub(1).map(|left| self.left = left).is_some()
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled);
        let fresh = (passed.as_micros() * u128::from(self.rate) / 1_000_000) as u64;
        if u64::from(self.left) + fresh >= u64::from(self.burst) {
            self.left = self.burst;
            self.refilled = now;
        } else if fresh > 0 {
            self.left += fresh as u32;
            // Only the time that was turned into tokens counts as used.
            self.refilled += Duration::from_micros(fresh * 1_000_000 / u64::from(self.rate));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_gives_one_burst_and_no_more() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 100, 10);
        assert!(bucket.take(start));
        let later = start + Duration::from_secs(60);
        assert_eq!((0..30).filter(|_| bucket.take(later)).count(), 10);
    }

    #[test]
    fn burst_then_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 100, 10);
        assert_eq!((0..20).filter(|_| bucket.take(start)).count(), 10);
        let taken = (0..1000).filter(|ms| bucket.take(start + Duration::from_millis(*ms))).count();
        assert!((95..=100).contains(&taken), "{taken}");
    }
}
