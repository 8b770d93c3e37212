//! One end of the connection: a session, its flows and what it saw.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use van_mux::{
    Accept, Deframer, Event, GoAwayReason, Hello, Kind, MAX_PAYLOAD, Open, ProtocolError,
    ResetCode, Session, Side, StreamId, Taken,
};

use super::flow::{End as FlowEnd, Flow, Reader, Sink, Source, Spec};

/// What the world has to do next, at some time, for one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    Answer(StreamId),
    Supply(StreamId),
    Read(StreamId),
}

/// What became of a flow here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closed {
    pub(crate) end: FlowEnd,
    pub(crate) received: u64,
    pub(crate) first: Option<Instant>,
    /// Whether ACCEPT came or was sent before.
    pub(crate) accepted: bool,
}

#[derive(Debug)]
pub(crate) struct End {
    pub(crate) session: Session,
    deframer: Deframer,
    pub(crate) flows: BTreeMap<StreamId, Flow>,
    /// By the flow's number.
    pub(crate) closed: BTreeMap<usize, Closed>,
    pub(crate) routes: Vec<Vec<u8>>,
    pub(crate) peer: Option<Hello>,
    pub(crate) peer_goes: Option<GoAwayReason>,
    pub(crate) due: Vec<(Duration, Due)>,
    /// Streams of datagrams, and whether they were accepted.
    pub(crate) exchanges: BTreeMap<StreamId, bool>,
    /// Datagrams that came and were not looked at yet.
    pub(crate) datagrams: Vec<(StreamId, Vec<u8>)>,
}

impl End {
    pub(crate) fn new(session: Session) -> Self {
        Self {
            session,
            deframer: Deframer::default(),
            flows: BTreeMap::new(),
            closed: BTreeMap::new(),
            routes: Vec::new(),
            peer: None,
            peer_goes: None,
            due: Vec::new(),
            exchanges: BTreeMap::new(),
            datagrams: Vec::new(),
        }
    }

    pub(crate) fn open(&mut self, now: Instant, index: usize, spec: &Spec) -> Option<StreamId> {
        let mut open = Open::flow("db".parse().expect("a valid address"), None);
        open.hint = index.to_string();
        let stream = self.session.open(now, &open).ok()?;
        self.add(stream, index, spec, true);
        self.session.wants_send(now, stream);
        Some(stream)
    }

    fn add(&mut self, stream: StreamId, index: usize, spec: &Spec, opener: bool) {
        let (out, back) = if opener { (spec.there, spec.back) } else { (spec.back, spec.there) };
        let key = index as u64 * 2;
        let source = Source::new(key + u64::from(!opener), out);
        let sink = Sink::new(key + u64::from(opener), back);
        if let Some(period) = source.next_supply() {
            self.due.push((period, Due::Supply(stream)));
        }
        if let Reader::Slow { period, .. } = sink.reader {
            self.due.push((period, Due::Read(stream)));
        }
        let before = self.flows.insert(stream, Flow { index, accepted: false, source, sink });
        assert!(before.is_none(), "stream {stream} was opened twice");
    }

    /// Takes bytes from the network.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        bytes: &[u8],
        specs: &[Spec],
    ) -> Result<(), ProtocolError> {
        let mut deframer = std::mem::take(&mut self.deframer);
        let result = deframer.feed(bytes, |frame| {
            match self.session.receive(now, frame)? {
                Some(Event::Data { stream, bytes, fin }) => self.data(now, stream, bytes, fin),
                Some(event) => self.event(event, specs),
                None => {}
            }
            Ok(())
        });
        self.deframer = deframer;
        result
    }

    fn data(&mut self, now: Instant, stream: StreamId, bytes: &[u8], fin: bool) {
        let flow = self.flows.get_mut(&stream).expect("DATA only on streams that exist");
        flow.sink.take(now, bytes, fin);
        if matches!(flow.sink.reader, Reader::Fast) {
            self.read(now, stream);
        }
    }

    fn event(&mut self, event: Event<'_>, specs: &[Spec]) {
        match event {
            Event::Hello(hello) => self.peer = Some(*hello),
            Event::Open { stream, open } if open.kind == Kind::Datagrams => {
                self.exchanges.insert(stream, true);
                self.session.accept(stream, &Accept { connect_us: 1, target: String::new() });
            }
            Event::Open { stream, open } => {
                let index: usize = open.hint.parse().expect("the flow's number");
                self.add(stream, index, &specs[index], false);
                self.due.push((specs[index].answer.0, Due::Answer(stream)));
            }
            Event::Accepted { stream, .. } if self.exchanges.contains_key(&stream) => {
                assert_eq!(self.exchanges.insert(stream, true), Some(false), "accepted twice");
            }
            Event::Accepted { stream, accept } => {
                let flow = self.flows.get_mut(&stream).expect("ACCEPT only where OPEN was sent");
                assert!(!flow.accepted, "accepted twice");
                assert_eq!(accept.target, flow.index.to_string());
                flow.accepted = true;
            }
            Event::Reset { stream, .. } if self.exchanges.contains_key(&stream) => {
                self.exchanges.remove(&stream);
            }
            Event::Reset { stream, code } => {
                assert!(self.flows.contains_key(&stream), "RESET of no stream");
                self.close(stream, FlowEnd::ResetByPeer(code));
            }
            Event::Route(message) => self.routes.push(message),
            Event::GoAway(reason) => self.peer_goes = Some(reason),
            Event::RoundTrip(_) => {}
            Event::Data { .. } => unreachable!("handled with its bytes"),
            Event::Datagram { stream, bytes } => {
                assert_eq!(self.exchanges.get(&stream), Some(&true), "datagrams of no stream");
                self.datagrams.push((stream, bytes.into_owned()));
            }
        }
    }

    /// Does what was due; says when it is due again.
    pub(crate) fn act(&mut self, now: Instant, due: Due, specs: &[Spec]) -> Option<Duration> {
        match due {
            Due::Answer(stream) => {
                let index = self.flows.get(&stream)?.index;
                self.answer(now, stream, specs[index].answer.1);
                None
            }
            Due::Supply(stream) => {
                let again = self.flows.get_mut(&stream)?.source.supply();
                self.session.wants_send(now, stream);
                again
            }
            Due::Read(stream) => {
                self.read(now, stream);
                match self.flows.get(&stream)?.sink.reader {
                    Reader::Slow { period, .. } => Some(period),
                    _ => None,
                }
            }
        }
    }

    fn answer(&mut self, now: Instant, stream: StreamId, answer: Result<(), ResetCode>) {
        match answer {
            Ok(()) => {
                let flow = self.flows.get_mut(&stream).expect("just seen");
                flow.accepted = true;
                let target = flow.index.to_string();
                self.session.accept(stream, &Accept { connect_us: 1, target });
                self.session.wants_send(now, stream);
            }
            Err(code) => self.reset(stream, code),
        }
    }

    pub(crate) fn reset(&mut self, stream: StreamId, code: ResetCode) {
        self.session.reset(stream, code);
        if self.flows.contains_key(&stream) {
            self.close(stream, FlowEnd::ResetHere(code));
        }
    }

    /// Lets the reader of a stream take what it takes in one go.
    pub(crate) fn read(&mut self, now: Instant, stream: StreamId) {
        let Some(flow) = self.flows.get_mut(&stream) else { return };
        let Some(bytes) = flow.sink.read() else { return };
        if bytes > 0 {
            self.session.delivered(now, stream, bytes as usize);
        }
        if flow.sink.fin && flow.sink.held == 0 && self.session.finish_delivered(stream) {
            self.close(stream, FlowEnd::Finished);
        }
    }

    fn close(&mut self, stream: StreamId, end: FlowEnd) {
        let flow = self.flows.remove(&stream).expect("the caller has seen it");
        if end == FlowEnd::Finished {
            assert!(flow.sink.fin && flow.source.available(1) == (0, true), "over too early");
        }
        let Flow { index, accepted, sink, .. } = flow;
        let (received, first) = (sink.received, sink.first);
        self.closed.insert(index, Closed { end, received, first, accepted });
    }

    /// Takes what the session wants to send now, about `max` bytes.
    pub(crate) fn transmit(&mut self, now: Instant, max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        self.session.take_control(&mut out);
        while out.len() < max
            && let Some(turn) = self.session.next_turn()
        {
            assert!(turn.max > 0, "an empty turn");
            let flow = self.flows.get_mut(&turn.stream).expect("turns only of streams that exist");
            let (bytes, last) = flow.source.available(turn.max);
            let mut left = bytes;
            while left > 0 || (last && bytes == 0) {
                let length = left.min(MAX_PAYLOAD);
                left -= length;
                let fin = last && left == 0;
                out.extend_from_slice(&Session::data_header(turn.stream, length, fin));
                out.extend_from_slice(flow.source.read(length));
                if left == 0 {
                    break;
                }
            }
            let taken = match last {
                true => Taken::Finished,
                false if flow.source.is_blocked() => Taken::Blocked,
                false => Taken::More,
            };
            if self.session.took_turn(now, turn.stream, bytes, taken) {
                self.close(turn.stream, FlowEnd::Finished);
            }
        }
        out
    }
}

/// The other side's place among two.
pub(crate) fn place(side: Side) -> usize {
    usize::from(side == Side::Acceptor)
}
