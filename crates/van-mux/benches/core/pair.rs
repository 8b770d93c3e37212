//! Two sessions joined in memory, with as little around them as can be.

use std::time::Instant;

use van_model::SiteId;
use van_mux::{
    Accept, Budget, Config, Deframer, Event, Frame, Hello, MAX_PAYLOAD, Open, ProtocolError,
    Session, Side, StreamId, Taken, VERSION,
};

/// Bytes of a batch, as a connection's writer has them.
const BATCH: usize = 256 * 1024;

static PAYLOAD: [u8; MAX_PAYLOAD] = [7; MAX_PAYLOAD];

pub(crate) fn hello() -> Hello {
    Hello {
        version_min: VERSION,
        version_max: VERSION,
        site: SiteId::from_bytes([1; SiteId::BYTES]),
        replica: 0,
        instance: 1,
        name: "site".into(),
        edge: false,
        ephemeral: false,
        software: "bench".into(),
        link: 1,
        cost: 1,
        connection: 0,
        initial_credit: 65_536,
        max_streams: 100_000,
        capabilities: vec![],
        link_name: None,
    }
}

/// A dialler that opens, an acceptor that takes everything, and a buffer each way.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) ends: [Session; 2],
    deframers: [Deframer; 2],
    wire: Vec<u8>,
    open: Open,
    /// Data frames that came to the acceptor, and their bytes.
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

impl Pair {
    pub(crate) fn new(now: Instant) -> Self {
        let end = |side| {
            let mut config = Config::new(Budget::new(1 << 30));
            // The driver opens as fast as it can at one moment.
            config.opens_burst = u32::MAX;
            Session::new(now, side, hello(), &config)
        };
        let mut pair = Self {
            now,
            ends: [end(Side::Dialler), end(Side::Acceptor)],
            deframers: [Deframer::default(), Deframer::default()],
            wire: Vec::with_capacity(BATCH + 65_536),
            open: Open::flow("db".parse().expect("a valid address"), None),
            frames: 0,
            bytes: 0,
        };
        pair.exchange();
        pair
    }

    /// Opens a stream; the other end accepts it with the next exchange.
    pub(crate) fn open(&mut self) -> StreamId {
        self.ends[0].open(self.now, &self.open).expect("within the limits")
    }

    /// Carries control frames both ways.
    pub(crate) fn exchange(&mut self) {
        for _ in 0..3 {
            self.carry(0);
            self.carry(1);
        }
    }

    fn carry(&mut self, from: usize) {
        self.wire.clear();
        self.ends[from].take_control(&mut self.wire);
        self.receive(1 - from);
    }

    /// Lets every stream that waits for its turn send `size` bytes a frame, one batch in all.
    pub(crate) fn send(&mut self, from: usize, size: usize, taken: Taken) {
        self.wire.clear();
        let end = &mut self.ends[from];
        end.take_control(&mut self.wire);
        while self.wire.len() < BATCH
            && let Some(turn) = end.next_turn()
        {
            let mut left = turn.max;
            let mut sent = 0;
            loop {
                let length = size.min(left);
                left -= length;
                sent += length;
                let fin = taken == Taken::Finished;
                let header = Session::data_header(turn.stream, length, fin);
                self.wire.extend_from_slice(&header);
                self.wire.extend_from_slice(&PAYLOAD[..length]);
                // One frame for a small message, full turns for bulk.
                if left < size || size < MAX_PAYLOAD {
                    break;
                }
            }
            end.took_turn(self.now, turn.stream, sent, taken);
        }
        self.receive(1 - from);
    }

    fn receive(&mut self, to: usize) {
        let Self { ends, deframers, now, frames, bytes: count, .. } = self;
        let session = &mut ends[to];
        let each = |frame: Frame<'_>| {
            match session.receive(*now, frame)? {
                Some(Event::Open { stream, .. }) => {
                    session.accept(stream, &Accept { connect_us: 1, target: String::new() });
                }
                Some(Event::Data { stream, bytes, fin }) => {
                    *frames += 1;
                    *count += bytes.len() as u64;
                    session.delivered(*now, stream, bytes.len());
                    if fin {
                        session.finish_delivered(stream);
                    }
                }
                _ => {}
            }
            Ok::<(), ProtocolError>(())
        };
        deframers[to].feed(&self.wire, each).expect("a correct peer is not refused");
    }

    /// A whole flow: OPEN, 64 bytes each way with FIN, and over at both ends.
    pub(crate) fn flow(&mut self) {
        let stream = self.open();
        for from in [0, 1] {
            self.carry(0);
            self.ends[from].wants_send(self.now, stream);
            self.send(from, 64, Taken::Finished);
        }
        self.exchange();
        assert!(self.ends.iter().all(|end| end.streams() == 0), "the flow is over");
    }
}
