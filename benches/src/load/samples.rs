//! Times that a load has measured.

use std::time::Duration;

/// A set of durations.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Adds one duration.
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// Takes over the durations of `other`.
    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Gives how many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Gives the duration in milliseconds below which the share `quantile` (0 to 1) lies;
    /// 0 without samples.
    pub fn quantile_ms(&mut self, quantile: f64) -> f64 {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        let at = (last as f64 * quantile.clamp(0.0, 1.0)).round() as usize;
        self.0.get(at).map_or(0.0, |sample| sample.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_hundred() {
        let mut samples = Samples::default();
        assert_eq!(samples.quantile_ms(0.5), 0.0);
        (0..=100).rev().for_each(|ms| samples.push(Duration::from_millis(ms)));
        assert_eq!(samples.quantile_ms(0.5), 50.0);
        assert_eq!(samples.quantile_ms(0.99), 99.0);
        assert_eq!(samples.quantile_ms(1.0), 100.0);
        assert_eq!(samples.count(), 101);
    }
}
