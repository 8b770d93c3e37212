//! Whose turn it is to send: small messages before bulk, bulk in rounds.

use std::collections::VecDeque;

use crate::frame::{MAX_PAYLOAD, StreamId};
use crate::open::Class;

/// A stream's turn to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Whose.
    pub stream: StreamId,
    /// The most bytes that may be sent in this turn, at least 1.
    pub max: usize,
}

/// Bytes of a turn while small messages wait.
pub(crate) const QUANTUM: usize = MAX_PAYLOAD;

/// Bytes of a turn while only bulk waits: two frames, so that eight streams that start with 64 KiB of
/// credit still share evenly, and half as many reads and writes as with one.
pub(crate) const QUANTUM_BULK: usize = 2 * MAX_PAYLOAD;

/// Bytes of a turn while nobody else waits: four frames, one read of the source.
pub(crate) const QUANTUM_ALONE: usize = 4 * MAX_PAYLOAD;

/// Interactive bytes that may pass while bulk waits, before one bulk turn.
const INTERACTIVE_SHARE: usize = 4 * MAX_PAYLOAD;

/// Two queues of streams that have something to send.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    interactive: VecDeque<StreamId>,
    bulk: VecDeque<StreamId>,
    /// Interactive bytes since the last bulk turn.
    passed: usize,
}

impl Scheduler {
    pub(crate) fn push(&mut self, stream: StreamId, class: Class) {
        match class {
            Class::Interactive => self.interactive.push_back(stream),
            Class::Bulk => self.bulk.push_back(stream),
        }
    }

    /// The next in line.
    pub(crate) fn pop(&mut self) -> Option<StreamId> {
        let bulk_is_due = self.passed >= INTERACTIVE_SHARE || self.interactive.is_empty();
        if bulk_is_due && let Some(stream) = self.bulk.pop_front() {
            self.passed = 0;
            return Some(stream);
        }
        self.interactive.pop_front()
    }

    /// Counts what a turn sent.
    pub(crate) fn sent(&mut self, class: Class, bytes: usize) {
        if class == Class::Interactive && !self.bulk.is_empty() {
            self.passed += bytes;
        }
    }

    /// How much the stream just taken may send.
    pub(crate) fn quantum(&self) -> usize {
        match (self.interactive.is_empty(), self.bulk.is_empty()) {
            (true, true) => QUANTUM_ALONE,
            (true, false) => QUANTUM_BULK,
            (false, _) => QUANTUM,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.interactive.is_empty() && self.bulk.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.interactive.len() + self.bulk.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interactive_goes_first_but_never_starves_bulk() {
        let mut scheduler = Scheduler::default();
        scheduler.push(1, Class::Bulk);
        let mut before_bulk = 0;
        for id in (2..).step_by(2).take(1000) {
            scheduler.push(id, Class::Interactive);
            let next = scheduler.pop().unwrap();
            if next == 1 {
                break;
            }
            scheduler.sent(Class::Interactive, 1000);
            before_bulk += 1;
        }
        assert_eq!(before_bulk, INTERACTIVE_SHARE.div_ceil(1000));
    }

    #[test]
    fn bulk_takes_turns() {
        let mut scheduler = Scheduler::default();
        for id in [1, 3, 5] {
            scheduler.push(id, Class::Bulk);
        }
        let mut order = Vec::new();
        for _ in 0..6 {
            let id = scheduler.pop().unwrap();
            order.push(id);
            scheduler.push(id, Class::Bulk);
        }
        assert_eq!(order, [1, 3, 5, 1, 3, 5]);
    }
}
