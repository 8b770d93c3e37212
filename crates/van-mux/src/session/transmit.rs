//! What goes to the peer.

use std::time::Instant;

use super::{Session, Taken};
use crate::frame::{FLAG_FIN, FrameType, HEADER, Header, StreamId};
use crate::schedule::Turn;

/// ROUTE bytes that may go between two rounds of data.
const ROUTE_SHARE: usize = 64 * 1024;

impl Session {
    /// Moves all control frames and some ROUTE frames to `out`, whole frames only.
    pub fn take_control(&mut self, out: &mut Vec<u8>) {
        self.control_opens = 0;
        if out.is_empty() {
            std::mem::swap(out, &mut self.control);
        } else {
            out.append(&mut self.control);
        }
        let end = out.len() + ROUTE_SHARE;
        while out.len() < end
            && let Some(route) = self.routes.pop_front()
        {
            out.extend_from_slice(&route);
        }
    }

    /// Says that a stream has something to send, or has come to its end.
    pub fn wants_send(&mut self, now: Instant, stream: StreamId) {
        if let Some(entry) = self.streams.get_mut(&stream) {
            entry.wake(now);
            self.enqueue(stream);
        }
    }

    /// Whose turn it is. Answer with [`Session::took_turn`] before the next call.
    pub fn next_turn(&mut self) -> Option<Turn> {
        while let Some(stream) = self.scheduler.pop() {
            let quantum = self.scheduler.quantum();
            let Some(entry) = self.streams.get_mut(&stream) else { continue };
            entry.queued = false;
            if entry.can_send() {
                let credit = usize::try_from(entry.credit).unwrap_or(quantum);
                let max = if entry.datagrams { quantum } else { quantum.min(credit) };
                return Some(Turn { stream, max });
            }
        }
        None
    }

    /// Says what a turn sent (at most its `max`, of datagrams the last one may go beyond it) and how
    /// the source stands.
    ///
    /// Returns whether the stream is over, both directions; it then no longer exists.
    pub fn took_turn(
        &mut self,
        now: Instant,
        stream: StreamId,
        bytes: usize,
        taken: Taken,
    ) -> bool {
        let Some(entry) = self.streams.get_mut(&stream) else { return true };
        let class = entry.class();
        entry.sent(bytes as u32);
        self.scheduler.sent(class, bytes);
        match taken {
            Taken::More => {
                self.enqueue(stream);
                false
            }
            Taken::Blocked => {
                entry.block(now);
                false
            }
            Taken::Finished => {
                entry.wants = false;
                entry.fin_sent = true;
                self.remove_if_done(stream)
            }
        }
    }

    /// Whether a stream has something to send and waits for credit alone.
    pub fn waits_for_credit(&self, stream: StreamId) -> bool {
        self.streams
            .get(&stream)
            .is_some_and(|s| !s.datagrams && s.wants && s.credit == 0 && !s.fin_sent)
    }

    /// The header of a DATA frame.
    pub fn data_header(stream: StreamId, bytes: usize, fin: bool) -> [u8; HEADER] {
        let length = u16::try_from(bytes).expect("payloads are at most 16368 bytes");
        Header::encode(FrameType::Data, if fin { FLAG_FIN } else { 0 }, length, stream)
    }

    /// Whether there is anything to send.
    pub fn has_output(&self) -> bool {
        !self.control.is_empty() || !self.routes.is_empty() || !self.scheduler.is_empty()
    }

    pub(super) fn enqueue(&mut self, stream: StreamId) {
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        if entry.can_send() && !entry.queued {
            entry.queued = true;
            self.scheduler.push(stream, entry.class());
        }
    }
}
