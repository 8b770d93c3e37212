//! A session with a peer made of bytes.

use std::time::{Duration, Instant};

use van_model::SiteId;
use van_mux::{
    Accept, Budget, Config, Deframer, Event, FrameType, Header, Hello, Open, ProtocolError,
    ResetCode, Session, Side, StreamId, VERSION,
};

pub(crate) const CREDIT: u32 = 1000;

pub(crate) fn hello() -> Hello {
    Hello {
        version_min: VERSION,
        version_max: VERSION,
        site: SiteId::from_bytes([2; SiteId::BYTES]),
        replica: 0,
        instance: 2,
        name: "peer".into(),
        edge: false,
        ephemeral: false,
        software: "test".into(),
        link: 1,
        cost: 1,
        connection: 0,
        initial_credit: CREDIT,
        max_streams: 100,
        capabilities: vec![],
        link_name: None,
    }
}

/// A frame's bytes, its type given as a number so that unknown ones can be made.
pub(crate) fn raw(kind: u8, flags: u8, stream: StreamId, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Header::encode(FrameType::Data, flags, payload.len() as u16, stream).to_vec();
    bytes[0] = kind;
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn frame(kind: FrameType, flags: u8, stream: StreamId, payload: &[u8]) -> Vec<u8> {
    raw(kind as u8, flags, stream, payload)
}

pub(crate) fn open() -> Vec<u8> {
    let mut payload = Vec::new();
    Open::flow("db".parse().expect("a valid address"), None).encode(&mut payload);
    payload
}

/// An owned copy of what a frame asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Data(StreamId, Vec<u8>, bool),
    Reset(StreamId, ResetCode),
    Other,
}

/// The session under test, this side the dialler: it opens odd streams, the peer even ones.
pub(crate) struct Subject {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    deframer: Deframer,
}

impl Subject {
    /// Before the peer's HELLO.
    pub(crate) fn new() -> Self {
        Self::of(Side::Dialler, 0)
    }

    /// The same of another side, with a connection's number within its link.
    pub(crate) fn of(side: Side, connection: u16) -> Self {
        let now = Instant::now();
        let config = Config::new(Budget::new(1 << 30));
        let session = Session::new(now, side, Hello { connection, ..hello() }, &config);
        Self { session, now, deframer: Deframer::default() }
    }

    /// After it.
    pub(crate) fn greeted() -> Self {
        let mut subject = Self::new();
        subject.feed(&frame(FrameType::Hello, 0, 0, &hello().encode())).expect("a good HELLO");
        subject
    }

    /// With stream 1 open from here, 2 offered by the peer and 3 waiting for ACCEPT.
    pub(crate) fn busy() -> Self {
        let mut subject = Self::greeted();
        let flow = Open::flow("db".parse().expect("a valid address"), None);
        assert_eq!(subject.session.open(subject.now, &flow), Ok(1));
        assert_eq!(subject.session.open(subject.now, &flow), Ok(3));
        let mut accept = Vec::new();
        Accept { connect_us: 1, target: "pg".into() }.encode(&mut accept);
        subject.feed(&frame(FrameType::Accept, 0, 1, &accept)).expect("a good ACCEPT");
        subject.feed(&frame(FrameType::Open, 0, 2, &open())).expect("a good OPEN");
        subject
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Seen>, ProtocolError> {
        let mut seen = Vec::new();
        self.deframer.feed(bytes, |frame| {
            if let Some(event) = self.session.receive(self.now, frame)? {
                seen.push(match event {
                    Event::Data { stream, bytes, fin } => Seen::Data(stream, bytes.into(), fin),
                    Event::Reset { stream, code } => Seen::Reset(stream, code),
                    _ => Seen::Other,
                });
            }
            Ok::<(), ProtocolError>(())
        })?;
        Ok(seen)
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Takes what waits for the peer.
    pub(crate) fn sent(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.session.take_control(&mut out);
        out
    }
}
