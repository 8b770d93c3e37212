//! From the link to the flows.

use std::cell::Cell;
use std::task::Context;
use std::time::{Duration, Instant};

use tracing::debug;
use van_mux::{Event, Frame, GoAwayReason, Hello, MAX_PAYLOAD, ResetCode, StreamId};

use super::{Core, EndReason, Wire};
use crate::flow::{Delivered, Flow};
use crate::socket::Read;
use crate::tls::Progress;

/// Bytes read at once: eight bulk records, small enough to stay in a processor's cache.
const READ: usize = 128 * 1024;

/// Time that a peer which is refused gets to read why.
const REFUSAL_GRACE: Duration = Duration::from_secs(1);

/// Payload of consecutive DATA frames of one stream, to be written at once: the kernel's cost of a
/// write is per call and per wake-up of the reader far more than per byte.
#[derive(Default)]
struct Inbox {
    stream: Option<(StreamId, bool)>,
    bytes: Vec<u8>,
}

/// Bytes gathered before they are written.
const GATHER: usize = 8 * MAX_PAYLOAD;

thread_local! {
    /// One for each worker: nothing stays in it between two calls.
    static INBOX: Cell<Inbox> = const { Cell::new(Inbox { stream: None, bytes: Vec::new() }) };
}

impl Inbox {
    /// Whether `more` bytes of this stream may join what is gathered.
    fn takes(&self, stream: StreamId, more: usize) -> bool {
        match self.stream {
            None => true,
            Some((gathered, fin)) => {
                gathered == stream && !fin && self.bytes.len() + more <= GATHER
            }
        }
    }

    fn add(&mut self, stream: StreamId, bytes: &[u8], fin: bool) {
        self.stream = Some((stream, fin));
        if self.bytes.capacity() < GATHER && bytes.len() == MAX_PAYLOAD {
            // A full frame is seldom the last: growing step by step would copy it again and again.
            self.bytes.reserve_exact(GATHER - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
    }
}

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
            let mut inbox = Inbox::default();
            wire.deframer.feed(&early, |frame| self.take_frame(now, &mut inbox, frame))?;
            self.deliver(now, &mut inbox);
        }
        let drained = match wire.input.read_from(&wire.transport, READ)? {
            Read::End => {
                wire.closed = true;
                return Ok(false);
            }
            Read::Bytes { drained, .. } => {
                self.process(now, wire)?;
                drained
            }
            Read::Blocked => true,
        };
        Ok(!drained || wire.transport.poll_read_ready(cx).is_ready())
    }

    fn process(&mut self, now: Instant, wire: &mut Wire) -> Result<(), EndReason> {
        let Wire { tls, input, output, deframer, closed, .. } = wire;
        let mut inbox = INBOX.take();
        let result = tls.advance(input, output, |record| {
            deframer.feed(record, |frame| self.take_frame(now, &mut inbox, frame))
        });
        self.deliver(now, &mut inbox);
        INBOX.set(inbox);
        *closed |= result? == Progress::Closed;
        Ok(())
    }

    /// Takes one frame. DATA of one stream is gathered; all else happens in order after it.
    fn take_frame(
        &mut self,
        now: Instant,
        inbox: &mut Inbox,
        frame: Frame<'_>,
    ) -> Result<(), EndReason> {
        let Some(event) = self.session.receive(now, frame)? else { return Ok(()) };
        if let Event::Data { stream, bytes, fin } = event {
            if !inbox.takes(stream, bytes.len()) {
                self.deliver(now, inbox);
            }
            inbox.add(stream, bytes, fin);
            return Ok(());
        }
        self.deliver(now, inbox);
        self.take_event(now, event)
    }

    fn take_event(&mut self, now: Instant, event: Event<'_>) -> Result<(), EndReason> {
        match event {
            Event::Data { .. } => {}
            Event::Datagram { stream, bytes } => self.deliver_datagram(stream, &bytes),
            Event::Open { stream, open } => self.offered(stream, open),
            Event::Accepted { stream, accept } => {
                if let Some(flow) = self.flows.get_mut(stream) {
                    flow.accepted(&accept.target);
                    let took = Duration::from_micros(accept.connect_us.into());
                    if let Some(meter) = &flow.meter {
                        meter.connect.record(took);
                    }
                    if let Some(log) = flow.log() {
                        log.reached(&accept.target, took);
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

    /// Writes what was gathered for one stream to its flow's socket.
    fn deliver(&mut self, now: Instant, inbox: &mut Inbox) {
        let Some((stream, fin)) = inbox.stream.take() else { return };
        let count = inbox.bytes.len();
        if let Some(flow) = self.flows.get_mut(stream) {
            if let Some(registered) = &self.registered {
                registered.meter().received.add(count as u64);
            }
            flow.count_for_socket(count);
            let delivered = flow.deliver(&mut inbox.bytes, fin);
            self.after_delivery(now, stream, delivered, count);
        }
        inbox.bytes.clear();
    }

    fn deliver_datagram(&mut self, stream: StreamId, datagram: &[u8]) {
        let Some(flow) = self.flows.get_mut(stream) else { return };
        if let Some(registered) = &self.registered {
            registered.meter().received.add(datagram.len() as u64);
        }
        if let Err(error) = flow.deliver_datagram(datagram) {
            debug!(%error, "nobody takes the flow's datagrams");
            self.refused(stream);
        }
    }

    /// Writes what waits for a flow's socket.
    pub(super) fn flush(&mut self, now: Instant, stream: StreamId) {
        let Some(flow) = self.flows.get_mut(stream) else { return };
        let delivered = flow.flush();
        self.after_delivery(now, stream, delivered, 0);
    }

    fn after_delivery(
        &mut self,
        now: Instant,
        stream: StreamId,
        delivered: std::io::Result<Delivered>,
        offered: usize,
    ) {
        match delivered {
            Ok(Delivered { bytes, finished }) => {
                if bytes > 0 {
                    self.session.delivered(now, stream, bytes);
                }
                if finished && self.session.finish_delivered(stream) {
                    self.done(stream);
                } else if finished {
                    // A flow of datagrams ends in both directions at once.
                    self.session.wants_send(now, stream);
                }
            }
            Err(error) => {
                debug!(%error, "flow's socket takes no more");
                match self.flows.get_mut(stream).map(Flow::give_up_writing) {
                    Some(Some(dropped)) => {
                        self.session.delivered(now, stream, dropped + offered);
                        self.session.wants_send(now, stream);
                    }
                    _ => self.reset(stream, ResetCode::Gone),
                }
            }
        }
    }
}
