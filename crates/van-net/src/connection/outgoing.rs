//! From the flows to the link.

use std::cell::Cell;
use std::io::IoSliceMut;
use std::task::Context;
use std::time::Instant;

use tracing::debug;
use van_mux::{HEADER, MAX_DATAGRAM, MAX_PAYLOAD, ResetCode, Session, StreamId, Taken, Turn};

use super::{Core, EndReason, Wire};
use crate::socket::Read;
use crate::tls::MAX_RECORD;

/// Sealed bytes after which the socket is written: the least, while the link does not take what is
/// there, so that a small message waits for little; and the most, while it takes all at once, so that
/// fewer and larger writes wake the peer less often.
pub(super) const BATCH: std::ops::RangeInclusive<usize> = 32 * 1024..=128 * 1024;

/// One frame in its place within a batch.
const SLOT: usize = HEADER + MAX_PAYLOAD;

/// Frames that one read of a flow may fill.
const SLOTS: usize = 4;

/// A record with less room than this is sealed rather than shared with one more frame.
const MIN_ROOM: usize = 4096;

thread_local! {
    /// One datagram between a socket and its frames; one for each worker, too.
    static DATAGRAM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };

    /// Plain bytes on their way into records; one for each worker, since nothing stays in it.
    static PLAIN: std::cell::RefCell<Batch> = std::cell::RefCell::new(Batch::new());
}

/// Frames that wait to be sealed, at most one record of them.
struct Batch {
    bytes: Box<[u8]>,
    filled: usize,
    control: Vec<u8>,
}

impl Batch {
    fn new() -> Self {
        Self { bytes: vec![0; SLOT * SLOTS].into(), filled: 0, control: Vec::new() }
    }
}

impl Core {
    /// Sends what is due. Returns whether there may be more that the socket would take.
    pub(super) fn poll_output(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        wire: &mut Wire,
    ) -> Result<bool, EndReason> {
        loop {
            // Nothing is sealed ahead of what the socket takes: what comes meanwhile goes first.
            if wire.output.is_empty() && self.session.has_output() {
                PLAIN.with_borrow_mut(|batch| self.seal_some(now, wire, batch))?;
            }
            if wire.output.is_empty() {
                self.handle.load.queued.set(0);
                return Ok(false);
            }
            let all = wire.output.write_to(&wire.transport)?;
            let batch = if all { wire.batch * 2 } else { wire.batch / 2 };
            wire.batch = batch.clamp(*BATCH.start(), *BATCH.end());
            self.handle.load.queued.set(wire.output.len() as u64);
            if !all {
                return Ok(wire.transport.poll_write_ready(cx).is_ready());
            }
            // The other direction gets its turn between two batches.
            if self.session.has_output() {
                return Ok(true);
            }
        }
    }

    /// Seals control frames and turns of data until a batch is full.
    fn seal_some(
        &mut self,
        now: Instant,
        wire: &mut Wire,
        batch: &mut Batch,
    ) -> Result<(), EndReason> {
        let before = wire.output.len();
        self.session.take_control(&mut batch.control);
        for record in batch.control.chunks(MAX_RECORD) {
            wire.seal(record)?;
        }
        batch.control.clear();
        batch.filled = 0;
        while wire.output.len() - before < wire.batch
            && let Some(turn) = self.session.next_turn()
        {
            self.take_turn(now, wire, batch, turn)?;
        }
        batch.seal(wire)
    }

    fn take_turn(
        &mut self,
        now: Instant,
        wire: &mut Wire,
        batch: &mut Batch,
        turn: Turn,
    ) -> Result<(), EndReason> {
        let Turn { stream, mut max } = turn;
        let Some(flow) = self.flows.get_mut(stream) else { return Ok(()) };
        if flow.carries_datagrams() {
            return self.take_datagrams(now, wire, batch, turn);
        }
        max = max.min(flow.turn_limit());
        if max == 0 {
            // Kept bytes are at their bound: on with it after ACCEPT.
            self.session.took_turn(now, stream, 0, Taken::Blocked);
            return Ok(());
        }
        if batch.room() < MIN_ROOM {
            batch.seal(wire)?;
        }
        match flow.read(&mut batch.slots(max)) {
            Ok(Read::Bytes { count, drained }) => {
                flow.count_from_socket(count);
                let blocked = drained && !flow.watch_read();
                batch.push(wire, stream, count)?;
                if let Some(registered) = &self.registered {
                    registered.meter().sent.add(count as u64);
                }
                let taken = if blocked { Taken::Blocked } else { Taken::More };
                self.session.took_turn(now, stream, count, taken);
                if self.session.waits_for_credit(stream) {
                    self.parked.insert(stream);
                }
            }
            Ok(Read::Blocked) => {
                let taken = if flow.watch_read() { Taken::More } else { Taken::Blocked };
                self.session.took_turn(now, stream, 0, taken);
            }
            Ok(Read::End) if flow.is_lost_client() => self.reset(stream, ResetCode::Gone),
            Ok(Read::End) => {
                batch.push_fin(wire, stream)?;
                if self.session.took_turn(now, stream, 0, Taken::Finished) {
                    self.done(stream);
                } else {
                    // Nothing is read from it any more, and only a write would find that it failed.
                    self.parked.insert(stream);
                }
            }
            Err(error) => {
                debug!(%error, "flow's socket failed");
                self.reset(stream, ResetCode::Gone);
            }
        }
        Ok(())
    }

    /// Sends a flow's datagrams, each whole, until the turn is used up.
    fn take_datagrams(
        &mut self,
        now: Instant,
        wire: &mut Wire,
        batch: &mut Batch,
        turn: Turn,
    ) -> Result<(), EndReason> {
        let Turn { stream, max } = turn;
        let Some(flow) = self.flows.get_mut(stream) else { return Ok(()) };
        let mut room = DATAGRAM.take();
        room.resize(MAX_DATAGRAM, 0);
        let (mut sent, mut bytes) = (0, 0);
        let end = loop {
            if sent >= max {
                break Ok(Some(Taken::More));
            }
            match flow.read_datagram(now, &mut room) {
                Ok(Read::Bytes { count, .. }) => {
                    batch.push_datagram(wire, stream, &room[..count])?;
                    (sent, bytes) = (sent + count + HEADER, bytes + count);
                }
                Ok(Read::Blocked) => {
                    let ready = flow.watch_read();
                    break Ok(Some(if ready { Taken::More } else { Taken::Blocked }));
                }
                Ok(Read::End) => break Ok(None),
                Err(error) => break Err(error),
            }
        };
        DATAGRAM.set(room);
        if let Some(registered) = &self.registered {
            registered.meter().sent.add(bytes as u64);
        }
        match end {
            Ok(Some(taken)) => {
                if taken == Taken::More {
                    flow.is_ready(now);
                }
                self.session.took_turn(now, stream, sent, taken);
            }
            Ok(None) => {
                batch.push_fin(wire, stream)?;
                if self.session.took_turn(now, stream, sent, Taken::Finished) {
                    self.done(stream);
                }
            }
            Err(error) => {
                debug!(%error, "nobody takes the flow's datagrams");
                self.refused(stream);
            }
        }
        Ok(())
    }

    /// Looks at flows whose sockets became ready.
    pub(super) fn poll_flows(&mut self, now: Instant) {
        let mut ready: Vec<StreamId> = Vec::new();
        self.ready.take(&mut ready);
        for stream in ready {
            let Some(flow) = self.flows.get_mut(stream) else { continue };
            flow.is_ready(now);
            if flow.has_waiting() {
                self.flush(now, stream);
            }
            self.session.wants_send(now, stream);
        }
    }

    /// Looks at flows that are not read, for want of credit or since their sockets are at their end:
    /// one whose socket has failed is over.
    pub(super) fn look_at_parked(&mut self) {
        let parked = std::mem::take(&mut self.parked);
        for stream in parked {
            let Some(flow) = self.flows.get_mut(stream) else { continue };
            if !flow.is_at_end() && !self.session.waits_for_credit(stream) {
                continue;
            }
            match flow.failure() {
                Some(error) => {
                    debug!(%error, "flow's socket failed while it was not read");
                    self.reset(stream, ResetCode::Gone);
                }
                None => {
                    self.parked.insert(stream);
                }
            }
        }
    }

    /// Whether flows signalled since the last look.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }
}

impl Batch {
    /// Payload bytes that still fit the present record.
    fn room(&self) -> usize {
        SLOT.saturating_sub(self.filled + HEADER)
    }

    /// Where a read of at most `max` bytes goes: behind what is there, or into a slot each.
    fn slots(&mut self, max: usize) -> Vec<IoSliceMut<'_>> {
        if self.filled > 0 || max <= MAX_PAYLOAD {
            let start = self.filled + HEADER;
            let end = start + max.min(SLOT - start);
            return vec![IoSliceMut::new(&mut self.bytes[start..end])];
        }
        let mut left = max;
        let mut slots = Vec::with_capacity(SLOTS);
        for slot in self.bytes.chunks_mut(SLOT) {
            let n = left.min(MAX_PAYLOAD);
            if n == 0 {
                break;
            }
            slots.push(IoSliceMut::new(&mut slot[HEADER..HEADER + n]));
            left -= n;
        }
        slots
    }

    /// Frames `count` bytes that were read into [`Batch::slots`]; full frames are sealed at once.
    fn push(&mut self, wire: &mut Wire, stream: StreamId, count: usize) -> Result<(), EndReason> {
        let mut left = count;
        let mut start = self.filled;
        while left > 0 {
            let n = left.min(SLOT - HEADER - start % SLOT);
            self.bytes[start..start + HEADER]
                .copy_from_slice(&Session::data_header(stream, n, false));
            let end = start + HEADER + n;
            left -= n;
            if left > 0 || start >= SLOT || end == SLOT {
                // What stood before this frame is part of the same record.
                let record = if start < SLOT { 0 } else { start };
                wire.seal(&self.bytes[record..end])?;
                self.filled = 0;
                start = (start / SLOT + 1) * SLOT;
            } else {
                self.filled = end;
            }
        }
        Ok(())
    }

    /// Frames one datagram; its fragments follow one another.
    fn push_datagram(
        &mut self,
        wire: &mut Wire,
        stream: StreamId,
        datagram: &[u8],
    ) -> Result<(), EndReason> {
        for (header, part) in Session::datagram_frames(stream, datagram) {
            let length = HEADER + part.len();
            if SLOT - self.filled < length {
                self.seal(wire)?;
            }
            let place = &mut self.bytes[self.filled..self.filled + length];
            place[..HEADER].copy_from_slice(&header);
            place[HEADER..].copy_from_slice(part);
            self.filled += length;
        }
        Ok(())
    }

    fn push_fin(&mut self, wire: &mut Wire, stream: StreamId) -> Result<(), EndReason> {
        if SLOT - self.filled < HEADER {
            self.seal(wire)?;
        }
        let end = self.filled + HEADER;
        self.bytes[self.filled..end].copy_from_slice(&Session::data_header(stream, 0, true));
        self.filled = end;
        Ok(())
    }

    /// Seals what waits.
    fn seal(&mut self, wire: &mut Wire) -> Result<(), EndReason> {
        if self.filled > 0 {
            wire.seal(&self.bytes[..self.filled])?;
            self.filled = 0;
        }
        Ok(())
    }
}

impl Wire {
    fn seal(&mut self, plain: &[u8]) -> Result<(), EndReason> {
        Ok(self.tls.seal(plain, &mut self.input, &mut self.output)?)
    }
}
