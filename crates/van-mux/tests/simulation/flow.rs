//! One end of a flow: a source with known bytes and a sink that checks what comes.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use van_mux::{MAX_PAYLOAD, ResetCode};

/// How a source gets its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Supply {
    /// All there from the start.
    AtOnce,
    /// `bytes` more every `period`; it blocks between.
    Steps { period: Duration, bytes: u64 },
}

/// How a sink lets go of what came.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reader {
    Fast,
    /// At most `bytes` every `period`.
    Slow {
        period: Duration,
        bytes: u64,
    },
    Stalled,
}

/// One direction of a flow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Half {
    /// Bytes before FIN.
    pub(crate) bytes: u64,
    pub(crate) supply: Supply,
    pub(crate) reader: Reader,
}

impl Half {
    /// All at once to a reader that keeps up.
    pub(crate) const fn plain(bytes: u64) -> Self {
        Self { bytes, supply: Supply::AtOnce, reader: Reader::Fast }
    }

    pub(crate) const fn read_by(self, reader: Reader) -> Self {
        Self { reader, ..self }
    }
}

/// More than any test moves.
pub(crate) const ENDLESS: u64 = 1 << 60;

/// A flow as its test wants it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    /// From the opener.
    pub(crate) there: Half,
    /// To the opener.
    pub(crate) back: Half,
    /// When the other end accepts, after OPEN, or refuses.
    pub(crate) answer: (Duration, Result<(), ResetCode>),
}

impl Spec {
    pub(crate) const fn new(there: Half, back: Half) -> Self {
        Self { there, back, answer: (Duration::ZERO, Ok(())) }
    }
}

/// How a flow ended at one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    ResetHere(ResetCode),
    ResetByPeer(ResetCode),
}

const PERIOD: usize = 251;

static PATTERN: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..PERIOD + MAX_PAYLOAD).map(|i| (i % PERIOD) as u8).collect());

/// The bytes that `key`'s direction has at `offset`.
fn pattern(key: u64, offset: u64, len: usize) -> &'static [u8] {
    let start = ((key.wrapping_mul(37) + offset) % PERIOD as u64) as usize;
    &PATTERN[start..start + len]
}

/// One end of a flow.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Its number among the test's flows.
    pub(crate) index: usize,
    /// Both ends agreed.
    pub(crate) accepted: bool,
    pub(crate) source: Source,
    pub(crate) sink: Sink,
}

/// What goes out.
#[derive(Debug)]
pub(crate) struct Source {
    key: u64,
    total: u64,
    pub(crate) sent: u64,
    ready: u64,
    supply: Supply,
}

impl Source {
    pub(crate) fn new(key: u64, half: Half) -> Self {
        let ready = match half.supply {
            Supply::AtOnce => half.bytes,
            Supply::Steps { bytes, .. } => half.bytes.min(bytes),
        };
        Self { key, total: half.bytes, sent: 0, ready, supply: half.supply }
    }

    /// Bytes that can be read now, and whether they are the last.
    pub(crate) fn available(&self, max: usize) -> (usize, bool) {
        let bytes = (self.ready - self.sent).min(max as u64);
        (bytes as usize, self.sent + bytes == self.total)
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.sent == self.ready && self.ready < self.total
    }

    /// The next `len` bytes.
    pub(crate) fn read(&mut self, len: usize) -> &'static [u8] {
        let bytes = pattern(self.key, self.sent, len);
        self.sent += len as u64;
        bytes
    }

    /// One step of supply; says when the next is due.
    pub(crate) fn supply(&mut self) -> Option<Duration> {
        let Supply::Steps { period, bytes } = self.supply else { return None };
        self.ready = (self.ready + bytes).min(self.total);
        self.next_supply().map(|_| period)
    }

    pub(crate) fn next_supply(&self) -> Option<Duration> {
        match self.supply {
            Supply::Steps { period, .. } if self.ready < self.total => Some(period),
            _ => None,
        }
    }
}

/// What came in.
#[derive(Debug)]
pub(crate) struct Sink {
    key: u64,
    total: u64,
    pub(crate) received: u64,
    /// Came and has not left.
    pub(crate) held: u64,
    pub(crate) most_held: u64,
    pub(crate) fin: bool,
    pub(crate) first: Option<Instant>,
    pub(crate) reader: Reader,
}

impl Sink {
    pub(crate) fn new(key: u64, half: Half) -> Self {
        Self {
            key,
            total: half.bytes,
            received: 0,
            held: 0,
            most_held: 0,
            fin: false,
            first: None,
            reader: half.reader,
        }
    }

    /// Checks each byte, the order, the end and that nothing follows it.
    pub(crate) fn take(&mut self, now: Instant, bytes: &[u8], fin: bool) {
        assert!(!self.fin, "bytes or a second FIN after FIN");
        let due = pattern(self.key, self.received, bytes.len());
        assert!(bytes == due, "wrong bytes at {} of flow {}", self.received, self.key / 2);
        self.received += bytes.len() as u64;
        self.held += bytes.len() as u64;
        self.most_held = self.most_held.max(self.held);
        self.first.get_or_insert(now);
        self.fin = fin;
        assert!(self.received <= self.total, "more than was sent");
        assert!(!fin || self.received == self.total, "FIN at {} of {}", self.received, self.total);
    }

    /// Lets go of what its reader takes in one go; `None` when it does not read now.
    pub(crate) fn read(&mut self) -> Option<u64> {
        let bytes = match self.reader {
            Reader::Fast => self.held,
            Reader::Slow { bytes, .. } => self.held.min(bytes),
            Reader::Stalled => return None,
        };
        self.held -= bytes;
        Some(bytes)
    }
}
