//! A limit of things per second.

use std::time::{Duration, Instant};

/// A bucket that holds `burst` and refills by one each `every`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    burst: u32,
    every: Duration,
    left: u32,
    filled: Instant,
}

impl Rate {
    pub(crate) fn new(now: Instant, burst: u32, every: Duration) -> Self {
        Self { burst, every, left: burst, filled: now }
    }

    /// Takes one; false where none is left.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_nanos();
        let refill = passed / self.every.as_nanos().max(1);
        if refill >= u128::from(self.burst - self.left) {
            self.left = self.burst;
            self.filled = now;
        } else {
            let refill = u32::try_from(refill).expect("less than the burst");
            self.left += refill;
            self.filled += self.every * refill;
        }
        let taken = self.left > 0;
        self.left -= u32::from(taken);
        taken
    }

    /// Whether it is as full as a new one.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.filled) >= self.every * (self.burst - self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_at_a_time() {
        let start = Instant::now();
        let mut rate = Rate::new(start, 3, Duration::from_millis(100));
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!([0, 0, 0, 0].map(|ms| rate.take(at(ms))), [true, true, true, false]);
        assert_eq!([99, 100, 150, 200].map(|ms| rate.take(at(ms))), [false, true, false, true]);
        assert!(!rate.is_full(at(300)) && rate.is_full(at(600)));
        assert_eq!([600, 600, 600, 600].map(|ms| rate.take(at(ms))), [true, true, true, false]);
    }
}
