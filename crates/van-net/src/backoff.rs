//! Waiting between attempts: exponential, with jitter, so that many sites don't return at once.

use std::time::Duration;

use rand::Rng;

/// The first wait, before jitter.
const FIRST: Duration = Duration::from_millis(100);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// A link that was up for this long starts anew when it ends.
const STEADY: Duration = Duration::from_secs(10);

/// The longest wait after one that was up for less: it can be reached, but does not stay.
const UNSTEADY: Duration = Duration::from_secs(1);

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

    /// Takes note of a success that lasted so long.
    pub(crate) fn was_up(&mut self, lasted: Duration) {
        self.0 = if lasted >= STEADY { FIRST } else { self.0.min(UNSTEADY) };
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
        backoff.was_up(STEADY);
        assert!(backoff.next() <= FIRST);
    }

    #[test]
    fn what_comes_up_and_ends_at_once_waits_longer_each_time() {
        let mut backoff = Backoff::default();
        let blink = Duration::from_millis(20);
        let mut cycle = || {
            backoff.was_up(blink);
            backoff.next()
        };
        let waits: Vec<_> = (0..12).map(|_| cycle()).collect();
        assert!(waits[0] <= FIRST && waits[3] >= FIRST * 4);
        assert!(waits[11] >= UNSTEADY / 2 && waits[11] <= UNSTEADY);
    }
}
