//! One end of a connection: streams, control frames and life.

mod datagram;
mod life;
mod receive;
mod transmit;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bucket::Bucket;
use crate::error::{GoAwayReason, ResetCode};
use crate::frame::{FrameType, Header, StreamId};
use crate::hello::Hello;
use crate::open::{Accept, Kind, Open};
use crate::schedule::Scheduler;
use crate::stream::{Phase, Stream, StreamMap};
use crate::window::{Budget, ReceiveWindow, WindowLimits};

use datagram::Assembly;
use life::Life;

/// Who dialled the connection; decides the parity of stream ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// This side: it opens odd streams.
    Dialler,
    /// The peer: this side opens even streams.
    Acceptor,
}

/// Limits of a session.
#[derive(Debug, Clone)]
pub struct Config {
    /// The largest receive window of a stream in bytes, at least the HELLO's initial credit.
    pub window_max: u32,
    /// Bytes that this session's windows may have beyond their initial credit in all.
    pub session_budget: u64,
    /// The same for the whole process.
    pub process_budget: Arc<Budget>,
    /// OPENs a second that the peer may send in the long run.
    pub opens_per_second: u32,
    /// OPENs that the peer may send at once.
    pub opens_burst: u32,
}

/// 64 MiB a link: four flows at their largest window, or a thousand at their first growth.
const SESSION_BUDGET: u64 = 64 << 20;

impl Config {
    /// The defaults, with a budget shared by the process.
    pub fn new(process_budget: Arc<Budget>) -> Self {
        Self {
            window_max: 16 << 20,
            session_budget: SESSION_BUDGET,
            process_budget,
            opens_per_second: 50_000,
            opens_burst: 10_000,
        }
    }
}

/// What a frame asks of the caller.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The peer said who it is; streams may be opened now.
    Hello(Box<Hello>),
    /// The peer opens a stream: answer with [`Session::accept`] or [`Session::reset`].
    Open {
        /// Its id.
        stream: StreamId,
        /// What it is for.
        open: Open,
    },
    /// The egress reached its target.
    Accepted {
        /// Which stream.
        stream: StreamId,
        /// Which target.
        accept: Accept,
    },
    /// Bytes, and whether they are the last; call [`Session::delivered`] once they have left.
    Data {
        /// Which stream.
        stream: StreamId,
        /// May be empty with `fin`.
        bytes: &'a [u8],
        /// The peer sends no more.
        fin: bool,
    },
    /// A whole datagram.
    Datagram {
        /// Which stream.
        stream: StreamId,
        /// At most [`crate::MAX_DATAGRAM`] bytes; may be empty.
        bytes: Cow<'a, [u8]>,
    },
    /// The peer ended the stream, which no longer exists.
    Reset {
        /// Which stream.
        stream: StreamId,
        /// Why.
        code: ResetCode,
    },
    /// A whole link-state message.
    Route(Vec<u8>),
    /// A new round-trip time was measured.
    RoundTrip(Duration),
    /// The peer takes no new streams.
    GoAway(GoAwayReason),
}

/// What became of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The source has or may have more.
    More,
    /// The source has nothing now; [`Session::wants_send`] is called when it has.
    Blocked,
    /// The source is at its end, and the last frame carries FIN.
    Finished,
}

/// Why no stream can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The peer has not said HELLO yet.
    #[error("the session is not set up yet")]
    NotReady,
    /// One side said GOAWAY.
    #[error("the session takes no new streams")]
    GoingAway,
    /// The peer's limit of streams is reached.
    #[error("the peer takes no more than {0} streams at once")]
    TooMany(u32),
    /// The peer's version knows no datagrams.
    #[error("the peer's version carries no datagrams")]
    NoDatagrams,
}

/// One end of a connection.
#[derive(Debug)]
pub struct Session {
    side: Side,
    local: Hello,
    peer: Option<Box<Hello>>,
    streams: StreamMap,
    /// The next id that this side opens, and the next that the peer must use.
    next_local: StreamId,
    next_remote: StreamId,
    local_open: u32,
    remote_open: u32,
    scheduler: Scheduler,
    limits: WindowLimits,
    /// Encoded control frames, in order.
    control: Vec<u8>,
    /// Bytes of them that are OPENs, which no peer asked for.
    control_opens: usize,
    /// Encoded ROUTE frames, one message each.
    routes: VecDeque<Vec<u8>>,
    /// The parts of a ROUTE message that came so far.
    route_parts: Vec<u8>,
    /// The datagram whose last fragment has not come.
    assembly: Option<Assembly>,
    opens: Bucket,
    route_messages: Bucket,
    life: Life,
}

/// ROUTE messages a second that the peer may send in the long run: each costs a signature's check.
const ROUTES_PER_SECOND: u32 = 200;

/// ROUTE messages that the peer may send at once: a whole network's records at the start.
const ROUTES_BURST: u32 = 2000;

/// A session ends before its ids do: 2^31 streams, less some that may be under way.
const LAST_ID: StreamId = StreamId::MAX - 4096;

impl Session {
    /// Starts a session by queueing HELLO.
    pub fn new(now: Instant, side: Side, local: Hello, config: &Config) -> Self {
        let mut session = Self {
            side,
            peer: None,
            streams: StreamMap::default(),
            next_local: if side == Side::Dialler { 1 } else { 2 },
            next_remote: if side == Side::Dialler { 2 } else { 1 },
            local_open: 0,
            remote_open: 0,
            scheduler: Scheduler::default(),
            limits: WindowLimits::new(
                local.initial_credit,
                config.window_max.max(local.initial_credit),
                config.session_budget,
                config.process_budget.clone(),
            ),
            control: Vec::new(),
            control_opens: 0,
            routes: VecDeque::new(),
            route_parts: Vec::new(),
            assembly: None,
            opens: Bucket::new(now, config.opens_per_second, config.opens_burst),
            route_messages: Bucket::new(now, ROUTES_PER_SECOND, ROUTES_BURST),
            life: Life::new(now),
            local,
        };
        let hello = session.local.encode();
        session.queue(FrameType::Hello, 0, 0, &hello);
        session
    }

    /// Opens a stream; OPEN goes out with the next control frames.
    pub fn open(&mut self, now: Instant, open: &Open) -> Result<StreamId, OpenError> {
        let peer = self.peer.as_ref().ok_or(OpenError::NotReady)?;
        if self.life.is_going_away() || self.next_local >= LAST_ID {
            return Err(OpenError::GoingAway);
        }
        if open.kind == Kind::Datagrams && !peer.takes_datagrams() {
            return Err(OpenError::NoDatagrams);
        }
        if self.local_open >= peer.max_streams {
            return Err(OpenError::TooMany(peer.max_streams));
        }
        let credit = peer.initial_credit;
        let id = self.next_local;
        self.next_local += 2;
        self.local_open += 1;
        let window = ReceiveWindow::new(now, &self.limits);
        self.streams.insert(id, Stream::new(now, Phase::Opening, open, window, credit));
        let mut payload = Vec::with_capacity(64);
        open.encode(&mut payload);
        let before = self.control.len();
        self.queue(FrameType::Open, 0, id, &payload);
        self.control_opens += self.control.len() - before;
        Ok(id)
    }

    /// Takes a stream that the peer opened.
    pub fn accept(&mut self, stream: StreamId, accept: &Accept) {
        let Some(entry) = self.streams.get_mut(&stream).filter(|s| s.phase == Phase::Offered)
        else {
            return;
        };
        entry.phase = Phase::Open;
        let mut payload = Vec::with_capacity(32);
        accept.encode(&mut payload);
        self.queue(FrameType::Accept, 0, stream, &payload);
        // What the stream had to send before its answer may go now.
        self.enqueue(stream);
    }

    /// Ends a stream at once, both directions; unknown streams are passed over.
    pub fn reset(&mut self, stream: StreamId, code: ResetCode) {
        if self.remove(stream) {
            self.queue(FrameType::Reset, 0, stream, &(code as u32).to_be_bytes());
        }
    }

    /// Counts bytes of DATA that have left towards their reader, and grants more when it is time.
    pub fn delivered(&mut self, now: Instant, stream: StreamId, bytes: usize) {
        let round_trip = self.life.shortest_round_trip();
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        let bytes = u32::try_from(bytes).expect("a window is below 4 GiB");
        let grant = entry.window.delivered(now, bytes, round_trip, &mut self.limits);
        if grant > 0 && !entry.fin_received {
            self.queue(FrameType::Credit, 0, stream, &grant.to_be_bytes());
        }
        if self.limits.reclaims(now) {
            for entry in self.streams.values_mut() {
                entry.window.shrink_if_quiet(now, &mut self.limits);
            }
        }
    }

    /// All bytes of a stream have left and its FIN was passed on. Returns whether the stream is
    /// over, both directions; it then no longer exists.
    pub fn finish_delivered(&mut self, stream: StreamId) -> bool {
        let Some(entry) = self.streams.get_mut(&stream) else { return true };
        entry.fin_delivered = entry.fin_received;
        self.remove_if_done(stream)
    }

    /// Sends a link-state message to the peer, after control frames and before data.
    pub fn send_route(&mut self, message: &[u8]) {
        let mut frames = Vec::with_capacity(message.len() + 64);
        let mut parts = message.chunks(crate::frame::MAX_PAYLOAD).peekable();
        while let Some(part) = parts.next() {
            let flags = if parts.peek().is_some() { crate::frame::FLAG_MORE } else { 0 };
            push_frame(&mut frames, FrameType::Route, flags, 0, part);
        }
        self.routes.push_back(frames);
    }

    /// The peer's HELLO, once it came.
    pub fn peer(&self) -> Option<&Hello> {
        self.peer.as_deref()
    }

    /// Who dialled.
    pub fn side(&self) -> Side {
        self.side
    }

    /// Streams that exist.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Streams that wait for their turn.
    pub fn waiting(&self) -> usize {
        self.scheduler.len()
    }

    fn remove(&mut self, stream: StreamId) -> bool {
        let Some(mut entry) = self.streams.remove(&stream) else { return false };
        entry.window.release(&mut self.limits);
        if self.is_local(stream) {
            self.local_open -= 1;
        } else {
            self.remote_open -= 1;
        }
        true
    }

    fn remove_if_done(&mut self, stream: StreamId) -> bool {
        self.streams.get(&stream).is_some_and(Stream::is_done) && self.remove(stream)
    }

    fn is_local(&self, stream: StreamId) -> bool {
        stream % 2 == self.next_local % 2
    }

    fn queue(&mut self, kind: FrameType, flags: u8, stream: StreamId, payload: &[u8]) {
        push_frame(&mut self.control, kind, flags, stream, payload);
    }
}

fn push_frame(out: &mut Vec<u8>, kind: FrameType, flags: u8, stream: StreamId, payload: &[u8]) {
    let length = u16::try_from(payload.len()).expect("payloads are at most 16368 bytes");
    out.extend_from_slice(&Header::encode(kind, flags, length, stream));
    out.extend_from_slice(payload);
}
