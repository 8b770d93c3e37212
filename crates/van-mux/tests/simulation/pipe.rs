//! One direction of a connection: delay, a limited rate and arbitrary cuts.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::rng::Rng;

/// What a network does to bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network {
    /// One way.
    pub(crate) delay: Duration,
    /// Bytes a second.
    pub(crate) rate: u64,
    /// The most bytes that arrive at once.
    pub(crate) chunk: u64,
    /// Bytes that the sender's kernel holds unsent before it takes no more.
    pub(crate) unsent: u64,
}

impl Network {
    pub(crate) fn new(round_trip_ms: u64, rate: u64) -> Self {
        Self {
            delay: Duration::from_millis(round_trip_ms) / 2,
            rate,
            chunk: 65_536,
            unsent: 16_384,
        }
    }
}

/// Bytes under way.
#[derive(Debug)]
pub(crate) struct Pipe {
    network: Network,
    free_at: Instant,
    under_way: VecDeque<(Instant, Vec<u8>)>,
}

impl Pipe {
    pub(crate) fn new(now: Instant, network: Network) -> Self {
        Self { network, free_at: now, under_way: VecDeque::new() }
    }

    fn time(&self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes * 1_000_000_000 / self.network.rate)
    }

    /// When the sender's socket takes bytes again; in the past: now.
    pub(crate) fn writable_at(&self) -> Instant {
        self.free_at.checked_sub(self.time(self.network.unsent)).unwrap_or(self.free_at)
    }

    pub(crate) fn write(&mut self, now: Instant, mut bytes: &[u8], rng: &mut Rng) {
        self.free_at = self.free_at.max(now);
        while !bytes.is_empty() {
            let cut = rng.within(1, self.network.chunk).min(bytes.len() as u64);
            let (piece, rest) = bytes.split_at(cut as usize);
            self.free_at += self.time(cut);
            self.under_way.push_back((self.free_at + self.network.delay, piece.to_vec()));
            bytes = rest;
        }
    }

    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        self.under_way.front().map(|(at, _)| *at)
    }

    pub(crate) fn read(&mut self, now: Instant) -> Option<Vec<u8>> {
        let (at, _) = self.under_way.front()?;
        (*at <= now).then(|| self.under_way.pop_front().expect("just seen").1)
    }
}
