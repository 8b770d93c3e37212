//! One stream: its phase, its credit each way and its place with the scheduler.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use crate::frame::StreamId;
use crate::open::{Class, Kind, Open};
use crate::window::ReceiveWindow;

/// How far a stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// This side sent OPEN and waits for ACCEPT.
    Opening,
    /// The peer sent OPEN; this side has not answered.
    Offered,
    /// Both sides agreed.
    Open,
}

/// One end of a stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) phase: Phase,
    pub(crate) window: ReceiveWindow,
    /// Bytes that may still be sent.
    pub(crate) credit: u64,
    /// The caller said that there is something to send.
    pub(crate) wants: bool,
    /// It stands in one of the scheduler's queues.
    pub(crate) queued: bool,
    pub(crate) fin_sent: bool,
    pub(crate) fin_received: bool,
    /// All that came, FIN included, has left.
    pub(crate) fin_delivered: bool,
    /// It carries datagrams, which need no credit.
    pub(crate) datagrams: bool,
    /// As OPEN asked for.
    bulk: bool,
    /// Bytes sent since the last rest.
    burst: u32,
    /// When the source last had nothing to send.
    blocked_at: Instant,
}

/// A stream that sent less than this since its last rest goes before bulk.
const INTERACTIVE_BYTES: u32 = 64 * 1024;

/// A stream whose source had nothing to send for so long starts anew as interactive; one that only
/// waited for its turn or for credit does not.
const REST: Duration = Duration::from_millis(10);

impl Stream {
    pub(crate) fn new(
        now: Instant,
        phase: Phase,
        open: &Open,
        window: ReceiveWindow,
        credit: u32,
    ) -> Self {
        let datagrams = open.kind == Kind::Datagrams;
        Self {
            phase,
            window,
            credit: credit.into(),
            wants: false,
            queued: false,
            fin_sent: false,
            fin_received: false,
            fin_delivered: false,
            datagrams,
            bulk: open.class == Class::Bulk && !datagrams,
            burst: 0,
            blocked_at: now,
        }
    }

    /// The source has something to send.
    pub(crate) fn wake(&mut self, now: Instant) {
        if !self.wants && now.saturating_duration_since(self.blocked_at) >= REST {
            self.burst = 0;
        }
        self.wants = true;
    }

    /// The source has nothing to send.
    pub(crate) fn block(&mut self, now: Instant) {
        self.wants = false;
        self.blocked_at = now;
    }

    /// How the stream is scheduled now.
    pub(crate) fn class(&self) -> Class {
        if self.bulk || self.burst >= INTERACTIVE_BYTES { Class::Bulk } else { Class::Interactive }
    }

    /// Counts bytes that were sent.
    pub(crate) fn sent(&mut self, bytes: u32) {
        if self.datagrams {
            // Neither under credit nor ever bulk: its queue is short and drops.
            return;
        }
        self.credit -= u64::from(bytes);
        self.burst = self.burst.saturating_add(bytes);
    }

    /// Whether it can take its turn.
    pub(crate) fn can_send(&self) -> bool {
        let may = self.credit > 0 || self.datagrams;
        self.wants && may && !self.fin_sent && self.phase != Phase::Offered
    }

    /// Whether both directions are over and all has left.
    pub(crate) fn is_done(&self) -> bool {
        self.fin_sent && self.fin_delivered
    }
}

/// Spreads ids, which rise in steps of two; a peer can't choose them, so no secret is needed.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32((*byte).into());
        }
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Streams by id; never iterated, so that its order can't matter.
pub(crate) type StreamMap = HashMap<StreamId, Stream, BuildHasherDefault<IdHasher>>;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::window::{Budget, WindowLimits};

    #[test]
    fn only_a_source_that_had_nothing_has_rested() {
        let start = Instant::now();
        let process: Arc<Budget> = Budget::new(0);
        let limits = WindowLimits::new(1, 1, 0, process);
        let window = ReceiveWindow::new(start, &limits);
        let open = Open::flow("db".parse().unwrap(), None);
        let mut stream = Stream::new(start, Phase::Open, &open, window, 4 * INTERACTIVE_BYTES);
        stream.wake(start);
        assert_eq!(stream.class(), Class::Interactive);
        stream.sent(INTERACTIVE_BYTES);
        assert_eq!(stream.class(), Class::Bulk);
        // It waited long for its turn, and was told again that it has something.
        stream.wake(start + REST * 100);
        assert_eq!(stream.class(), Class::Bulk);
        stream.block(start + REST * 100);
        stream.wake(start + REST * 101 - Duration::from_micros(1));
        assert_eq!(stream.class(), Class::Bulk, "too short a rest");
        stream.block(start + REST * 102);
        stream.wake(start + REST * 103);
        assert_eq!(stream.class(), Class::Interactive);
    }
}
