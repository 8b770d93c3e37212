//! From the link to the flows.

use std::task::Context;
use std::time::{Duration, Instant};

use tracing::debug;
use van_mux::{Event, Frame, GoAwayReason, Hello, ResetCode, StreamId};

use super::{Core, EndReason, Wire};
use crate::flow::Delivered;
use crate::socket::Read;
use crate::tls::Progress;

/// Bytes read at once: enough for eight bulk records, small enough to stay in a processor's cache.
const READ: usize = 128 * 1024;

/// Reads before the other direction gets its turn.
const READS: usize = 2;

/// Time that a peer which is refused gets to read why.
const REFUSAL_GRACE: Duration = Duration::from_secs(1);

impl Core {
    /// Takes what came. Returns whether there may be more.
    pub(super) fn poll_input(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        wire: &mut Wire,
    ) -> Result<bool, EndReason> {
        let early = std::mem::take(&mut wire.early);
        if !early.is_empty() {
            wire.deframer.feed(&early, |frame| self.take_frame(now, frame))?;
        }
        for _ in 0..READS {
            match wire.input.read_from(&wire.socket, READ)? {
                Read::End => {
                    wire.closed = true;
                    return Ok(false);
                }
                Read::Bytes { drained, .. } => {
                    self.process(now, wire)?;
                    if drained && wire.socket.poll_read_ready(cx).is_pending() {
                        return Ok(false);
                    }
                }
                Read::Blocked => {
                    if wire.socket.poll_read_ready(cx).is_pending() {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    fn process(&mut self, now: Instant, wire: &mut Wire) -> Result<(), EndReason> {
        let Wire { tls, input, output, deframer, closed, .. } = wire;
        let progress = tls.advance(input, output, |record| {
            deframer.feed(record, |frame| self.take_frame(now, frame))
        })?;
        *closed |= progress == Progress::Closed;
        Ok(())
    }

    fn take_frame(&mut self, now: Instant, frame: Frame<'_>) -> Result<(), EndReason> {
        let Some(event) = self.session.receive(now, frame)? else { return Ok(()) };
        match event {
            Event::Data { stream, bytes, fin } => self.deliver(now, stream, bytes, fin),
            Event::Open { stream, open } => self.offered(stream, open),
            Event::Accepted { stream, accept } => {
                if let Some(flow) = self.flows.get_mut(stream) {
                    flow.accepted();
                    if let Some(meter) = &flow.meter {
                        meter.connect.record(Duration::from_micros(accept.connect_us.into()));
                    }
                    self.session.wants_send(now, stream);
                }
            }
            Event::Reset { stream, code } => self.was_reset(stream, code),
            Event::Hello(hello) => self.greet(now, &hello)?,
            Event::Route(message) => {
                if let Some(registered) = &self.registered {
                    registered.route(message);
                }
            }
            Event::RoundTrip(sample) => {
                for ping in self.pings.drain(..) {
                    // The one who asked may have gone.
                    let _ = ping.send(sample);
                }
                if let Some(registered) = &self.registered {
                    registered.round_trip(sample);
                }
            }
            Event::GoAway(reason) => self.peer_goes_away(now, reason),
        }
        Ok(())
    }

    fn greet(&mut self, now: Instant, hello: &Hello) -> Result<(), EndReason> {
        let Some(register) = self.register.take() else { return Ok(()) };
        match register(hello, &self.handle) {
            Ok(registered) => {
                self.registered = Some(registered);
                self.session.ping(now);
                Ok(())
            }
            Err(reason @ (GoAwayReason::Duplicate | GoAwayReason::SelfLink)) => {
                self.session.go_away(reason);
                self.leaving = Some((now + REFUSAL_GRACE, EndReason::WentAway(reason)));
                Ok(())
            }
            Err(reason) => {
                self.session.go_away(reason);
                self.leaving = Some((now + REFUSAL_GRACE, EndReason::Refused(reason.to_string())));
                Ok(())
            }
        }
    }

    fn deliver(&mut self, now: Instant, stream: StreamId, bytes: &[u8], fin: bool) {
        let Some(flow) = self.flows.get_mut(stream) else { return };
        if let Some(registered) = &self.registered {
            registered.meter().received.add(bytes.len() as u64);
        }
        if let Some(meter) = &flow.meter {
            meter.received.add(bytes.len() as u64);
        }
        let delivered = flow.deliver(bytes, fin);
        self.after_delivery(now, stream, delivered);
    }

    /// Writes what waits for a flow's socket.
    pub(super) fn flush(&mut self, now: Instant, stream: StreamId) {
        let Some(flow) = self.flows.get_mut(stream) else { return };
        let delivered = flow.flush();
        self.after_delivery(now, stream, delivered);
    }

    fn after_delivery(
        &mut self,
        now: Instant,
        stream: StreamId,
        delivered: std::io::Result<Delivered>,
    ) {
        match delivered {
            Ok(Delivered { bytes, finished }) => {
                if bytes > 0 {
                    self.session.delivered(now, stream, bytes);
                }
                if finished && self.session.finish_delivered(stream) {
                    self.done(stream);
                }
            }
            Err(error) => {
                debug!(%error, "flow's socket failed");
                self.reset(stream, ResetCode::Gone);
            }
        }
    }
}
