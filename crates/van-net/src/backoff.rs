//! Waiting between attempts: exponential, with jitter, so that many sites don't return at once.

use std::time::Duration;

use rand::Rng;

/// The first wait, before jitter.
const FIRST: Duration = Duration::from_millis(100);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// Doubling waits from 100 ms to 30 s, each between half and all of its length.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Backoff {
    /// The next wait.
    pub(crate) fn next(&mut self) -> Duration {
        let full = self.0;
        self.0 = (full * 2).min(LONGEST);
        full.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Starts anew after a success.
    pub(crate) fn reset(&mut self) {
        self.0 = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_limit_and_starts_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..12).map(|_| backoff.next()).collect();
        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2);
        assert!(waits[11] <= LONGEST && waits[11] >= LONGEST / 2);
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
