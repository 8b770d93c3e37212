//! What comes from the peer.

use std::time::Instant;

use super::{Event, Session};
use crate::error::{GoAwayReason, ProtocolError, ResetCode};
use crate::frame::{FLAG_FIN, FLAG_MORE, Frame, FrameType, StreamId};
use crate::hello::Hello;
use crate::open::{Accept, Kind, Open};
use crate::stream::{Phase, Stream};
use crate::window::ReceiveWindow;

/// The most bytes of a link-state message.
const MAX_ROUTE: usize = 260 * 1024;

/// Answers that wait for a peer which does not read; more, and it is cut off.
const MAX_CONTROL: usize = 4 << 20;

/// The most that a peer may be granted in all, so that sums can't overflow.
const MAX_CREDIT: u64 = 1 << 32;

impl Session {
    /// Takes one frame. After an error the session is over and its connection is to be closed.
    pub fn receive<'a>(
        &mut self,
        now: Instant,
        frame: Frame<'a>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        self.life.heard(now);
        self.expect_fragment(frame.header)?;
        let Some(kind) = frame.header.kind else {
            return self.expect_hello_done(None).map(|()| None);
        };
        if kind != FrameType::Hello {
            self.expect_hello_done(Some(kind))?;
        }
        if self.control.len() - self.control_opens > MAX_CONTROL {
            return Err(ProtocolError::Flood(kind));
        }
        let on_session = frame.header.stream == 0;
        match kind {
            FrameType::Hello
            | FrameType::Ping
            | FrameType::Pong
            | FrameType::GoAway
            | FrameType::Route
                if !on_session =>
            {
                Err(ProtocolError::Unexpected(kind, frame.header.stream))
            }
            FrameType::Open
            | FrameType::Accept
            | FrameType::Data
            | FrameType::Credit
            | FrameType::Reset
            | FrameType::Datagram
                if on_session =>
            {
                Err(ProtocolError::Unexpected(kind, 0))
            }
            FrameType::Hello => self.receive_hello(now, frame.payload).map(Some),
            FrameType::Ping => self.receive_ping(now, frame.payload).map(|()| None),
            FrameType::Pong => Ok(self.life.pong(now, frame.payload)?.map(Event::RoundTrip)),
            FrameType::GoAway => self.receive_go_away(frame.payload).map(Some),
            FrameType::Route => self.receive_route(now, frame),
            FrameType::Open => self.receive_open(now, frame.header.stream, frame.payload),
            FrameType::Accept => self.receive_accept(frame.header.stream, frame.payload),
            FrameType::Data => self.receive_data(frame),
            FrameType::Credit => self.receive_credit(frame).map(|()| None),
            FrameType::Reset => self.receive_reset(frame),
            FrameType::Datagram => self.receive_datagram(frame),
            FrameType::Ack => Err(ProtocolError::Unexpected(kind, frame.header.stream)),
        }
    }

    fn expect_hello_done(&self, kind: Option<FrameType>) -> Result<(), ProtocolError> {
        if self.peer.is_some() { Ok(()) } else { Err(ProtocolError::NoHello(kind)) }
    }

    fn receive_hello(
        &mut self,
        now: Instant,
        payload: &[u8],
    ) -> Result<Event<'static>, ProtocolError> {
        if self.peer.is_some() {
            return Err(ProtocolError::Unexpected(FrameType::Hello, 0));
        }
        let hello = Box::new(Hello::decode(payload)?);
        self.local.common_version(&hello)?;
        self.peer = Some(hello.clone());
        // Windows grow by the round trip: a guess keeps those of a long way small for seconds.
        self.ping(now);
        Ok(Event::Hello(hello))
    }

    fn receive_ping(&mut self, now: Instant, payload: &[u8]) -> Result<(), ProtocolError> {
        if payload.len() != 8 {
            return Err(ProtocolError::Malformed(FrameType::Ping, "not 8 bytes"));
        }
        self.life.count_ping(now)?;
        self.queue(FrameType::Pong, 0, 0, payload);
        Ok(())
    }

    fn receive_go_away(&mut self, payload: &[u8]) -> Result<Event<'static>, ProtocolError> {
        let reason = payload
            .get(4..8)
            .and_then(|b| b.try_into().ok())
            .map(u32::from_be_bytes)
            .ok_or(ProtocolError::Malformed(FrameType::GoAway, "shorter than 8 bytes"))?;
        self.life.peer_goes_away();
        Ok(Event::GoAway(GoAwayReason::from_u32(reason)))
    }

    fn receive_route<'a>(
        &mut self,
        now: Instant,
        frame: Frame<'a>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        if self.route_parts.len() + frame.payload.len() > MAX_ROUTE {
            return Err(ProtocolError::Malformed(FrameType::Route, "longer than 260 KiB"));
        }
        self.route_parts.extend_from_slice(frame.payload);
        if frame.header.flags & FLAG_MORE != 0 {
            return Ok(None);
        }
        if !self.route_messages.take(now) {
            return Err(ProtocolError::Flood(FrameType::Route));
        }
        Ok(Some(Event::Route(std::mem::take(&mut self.route_parts))))
    }

    fn receive_open(
        &mut self,
        now: Instant,
        stream: StreamId,
        payload: &[u8],
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        if stream != self.next_remote {
            return Err(ProtocolError::StreamId { expected: self.next_remote, got: stream });
        }
        if !self.opens.take(now) {
            return Err(ProtocolError::Flood(FrameType::Open));
        }
        let open = Open::decode(payload)?;
        self.next_remote = self
            .next_remote
            .checked_add(2)
            .ok_or(ProtocolError::Unexpected(FrameType::Open, stream))?;
        let unknown = open.kind == Kind::Datagrams && !self.local.takes_datagrams();
        let refusal = if self.life.goes_away() || unknown {
            Some(ResetCode::Unreachable)
        } else if self.remote_open >= self.local.max_streams {
            Some(ResetCode::Overload)
        } else {
            None
        };
        if let Some(code) = refusal {
            self.queue(FrameType::Reset, 0, stream, &(code as u32).to_be_bytes());
            return Ok(None);
        }
        let credit = self.peer.as_ref().map_or(0, |peer| peer.initial_credit);
        let window = ReceiveWindow::new(now, &self.limits);
        let entry = Stream::new(now, Phase::Offered, &open, window, credit);
        self.streams.insert(stream, entry);
        self.remote_open += 1;
        Ok(Some(Event::Open { stream, open }))
    }

    fn receive_accept(
        &mut self,
        stream: StreamId,
        payload: &[u8],
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        let accept = Accept::decode(payload)?;
        let Some(entry) = self.known(FrameType::Accept, stream)? else { return Ok(None) };
        if entry.phase != Phase::Opening {
            return Err(ProtocolError::Unexpected(FrameType::Accept, stream));
        }
        entry.phase = Phase::Open;
        Ok(Some(Event::Accepted { stream, accept }))
    }

    fn receive_data<'a>(&mut self, frame: Frame<'a>) -> Result<Option<Event<'a>>, ProtocolError> {
        let stream = frame.header.stream;
        let fin = frame.header.flags & FLAG_FIN != 0;
        let bytes = frame.payload;
        let Some(entry) = self.known(FrameType::Data, stream)? else { return Ok(None) };
        if entry.fin_received || entry.phase == Phase::Opening {
            return Err(ProtocolError::Unexpected(FrameType::Data, stream));
        }
        if bytes.is_empty() && !fin {
            return Err(ProtocolError::Malformed(FrameType::Data, "neither bytes nor FIN"));
        }
        if entry.datagrams && !bytes.is_empty() {
            return Err(ProtocolError::Malformed(
                FrameType::Data,
                "bytes on a stream of datagrams",
            ));
        }
        let credit = entry.window.outstanding();
        if bytes.len() > credit as usize {
            let sent = bytes.len();
            return Err(ProtocolError::CreditExceeded { stream, sent, credit: credit.into() });
        }
        entry.window.received(bytes.len() as u32);
        entry.fin_received = fin;
        Ok(Some(Event::Data { stream, bytes, fin }))
    }

    fn receive_credit(&mut self, frame: Frame<'_>) -> Result<(), ProtocolError> {
        let stream = frame.header.stream;
        let grant = code(FrameType::Credit, frame.payload)?;
        if grant == 0 {
            return Err(ProtocolError::Malformed(FrameType::Credit, "grants nothing"));
        }
        let Some(entry) = self.known(FrameType::Credit, stream)? else { return Ok(()) };
        entry.credit += u64::from(grant);
        if entry.credit > MAX_CREDIT {
            return Err(ProtocolError::CreditOverflow { stream });
        }
        self.enqueue(stream);
        Ok(())
    }

    fn receive_reset(&mut self, frame: Frame<'_>) -> Result<Option<Event<'static>>, ProtocolError> {
        let stream = frame.header.stream;
        let code = ResetCode::from_u32(code(FrameType::Reset, frame.payload)?);
        self.known(FrameType::Reset, stream)?;
        Ok(self.remove(stream).then_some(Event::Reset { stream, code }))
    }

    /// The stream; `None` when it is over already; an error when it never was.
    pub(super) fn known(
        &mut self,
        kind: FrameType,
        stream: StreamId,
    ) -> Result<Option<&mut Stream>, ProtocolError> {
        let next = if self.is_local(stream) { self.next_local } else { self.next_remote };
        if stream >= next {
            return Err(ProtocolError::Unexpected(kind, stream));
        }
        Ok(self.streams.get_mut(&stream))
    }
}

fn code(kind: FrameType, payload: &[u8]) -> Result<u32, ProtocolError> {
    let bytes = payload.try_into().map_err(|_| ProtocolError::Malformed(kind, "not 4 bytes"))?;
    Ok(u32::from_be_bytes(bytes))
}
