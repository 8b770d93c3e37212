//! One user connection at one end of a link: its socket and the few bytes that wait.

mod exchange;

use std::io::{self, IoSliceMut};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio_util::sync::DropGuard;
use van_model::api::FlowEnd;
use van_mux::{Kind, Open, ResetCode, StreamId};

use crate::flow_log::Logged;
use crate::meter::{Counted, Meter};
use crate::signal::{ReadyList, Signal};
use crate::socket::{FlowSocket, Read, Socket};

use exchange::Exchange;

/// A client's connection on its way to a target.
#[derive(Debug)]
pub struct NewFlow {
    /// The client's socket.
    pub socket: Socket,
    /// What is wanted.
    pub open: Open,
    /// What was read from the socket already and must be sent first.
    pub read: Vec<u8>,
    /// Whether the socket is at its end.
    pub ended: bool,
    /// Who finds another target.
    pub retry: Arc<dyn Retry>,
    /// Where the flow is counted: the dispatcher adds to `open`, the connection takes away.
    pub meter: Arc<Meter>,
    /// Where else it counts as open until it ends, wherever it is tried.
    pub counted: Counted,
    /// What has been tried, as the owner of `retry` keeps it.
    pub tried: Vec<u64>,
}

/// Takes back flows that no workload has seen a byte of.
pub trait Retry: Send + Sync + std::fmt::Debug {
    /// Finds another target or ends the flow. Must not block.
    fn retry(&self, flow: NewFlow, why: ResetCode);

    /// Hears that a flow has reached the target of this name.
    fn accepted(&self, _target: &str) {}
}

/// A workload's connection, made for a flow that came over a link.
#[derive(Debug)]
pub struct Connected {
    /// The workload's socket.
    pub socket: Socket,
    /// The connector's name.
    pub target: String,
    /// What must be written before the flow's own bytes.
    pub preface: Vec<u8>,
    /// How long it took.
    pub took: Duration,
    /// Where the flow is counted.
    pub meter: Arc<Meter>,
}

/// The most that an ingress keeps of what it sent before ACCEPT.
pub(crate) const MAX_KEPT: usize = 64 * 1024;

/// What a flow still needs at the ingress to be tried elsewhere.
#[derive(Debug)]
struct Unaccepted {
    open: Open,
    kept: Vec<u8>,
    retry: Arc<dyn Retry>,
    tried: Vec<u64>,
}

/// Where the bytes from the network stand.
#[derive(Debug, Default)]
struct Inward {
    /// What the socket did not take yet.
    waiting: Vec<u8>,
    /// How much of `waiting` is gone.
    written: usize,
    /// The network sends no more.
    fin: bool,
    /// FIN was passed on.
    ended: bool,
}

/// One end of a flow.
#[derive(Debug)]
pub(crate) struct Flow {
    /// `None`: the egress is still connecting.
    socket: Option<FlowSocket>,
    signal: Arc<Signal>,
    /// What is to be sent before anything is read from the socket: replayed, or `None`.
    replay: Option<Box<(Vec<u8>, usize)>>,
    /// The socket is at its end.
    ended: bool,
    /// A byte, or FIN, has gone into the session.
    sent: bool,
    unaccepted: Option<Box<Unaccepted>>,
    inward: Inward,
    /// The socket takes no more bytes; what it said before is still to be read.
    deaf: bool,
    /// This end is the ingress's.
    is_client: bool,
    /// What a flow of datagrams has in the place of bytes; `None`: a flow of bytes.
    exchange: Option<Box<Exchange>>,
    /// Ends the connecting of the workload when the flow ends first.
    connecting: Option<DropGuard>,
    pub(crate) meter: Option<Arc<Meter>>,
    counted: Counted,
}

/// What became of delivering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Bytes of the stream that left.
    pub(crate) bytes: usize,
    /// All came and left, FIN included.
    pub(crate) finished: bool,
}

impl Flow {
    /// The ingress's end.
    pub(crate) fn ingress(
        flow: NewFlow,
        stream: StreamId,
        list: &Arc<ReadyList>,
    ) -> io::Result<Self> {
        let NewFlow { socket, open, read, ended, retry, meter, counted, tried } = flow;
        let is_datagrams = open.kind == Kind::Datagrams;
        if let Socket::Datagrams(datagrams) = &socket {
            datagrams.opened(Instant::now());
        }
        Ok(Self {
            socket: Some(FlowSocket::register(socket)?),
            exchange: is_datagrams.then(Box::default),
            signal: Signal::new(stream, list),
            replay: (!read.is_empty()).then(|| Box::new((read, 0))),
            ended,
            sent: false,
            unaccepted: Some(Box::new(Unaccepted { open, kept: Vec::new(), retry, tried })),
            inward: Inward::default(),
            deaf: false,
            is_client: true,
            connecting: None,
            meter: Some(meter),
            counted,
        })
    }

    /// The egress's end, whose workload is being connected.
    pub(crate) fn egress(
        stream: StreamId,
        list: &Arc<ReadyList>,
        kind: Kind,
        connecting: DropGuard,
        counted: Counted,
    ) -> Self {
        Self {
            socket: None,
            exchange: (kind == Kind::Datagrams).then(Box::default),
            signal: Signal::new(stream, list),
            replay: None,
            ended: false,
            sent: false,
            unaccepted: None,
            inward: Inward::default(),
            deaf: false,
            is_client: false,
            connecting: Some(connecting),
            meter: None,
            counted,
        }
    }

    /// The workload is there. Its preface goes ahead of what has come so far.
    ///
    /// The preface is no byte of the stream: it must leave at once, which a new socket's empty
    /// buffer allows.
    pub(crate) fn connected(&mut self, connected: Connected) -> io::Result<()> {
        // Before it is registered: the runtime has not heard yet that it can be written.
        let preface = &connected.preface;
        if !preface.is_empty() && connected.socket.write(preface)? < preface.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let socket = FlowSocket::register(connected.socket)?;
        self.connecting.take().map(DropGuard::disarm);
        self.socket = Some(socket);
        self.meter = Some(connected.meter);
        self.send_early()
    }

    /// The egress accepted: nothing needs to be kept any longer, but that datagrams may go elsewhere
    /// at any time.
    pub(crate) fn accepted(&mut self, target: &str) {
        if let Some(unaccepted) = &self.unaccepted {
            unaccepted.retry.accepted(target);
        }
        if self.exchange.is_none() {
            self.unaccepted = None;
        }
    }

    /// Whether ACCEPT is still due at this ingress.
    pub(crate) fn is_unaccepted(&self) -> bool {
        self.unaccepted.is_some()
    }

    /// How much a turn may send, so that what is kept stays within its bound.
    pub(crate) fn turn_limit(&self) -> usize {
        self.unaccepted.as_ref().map_or(usize::MAX, |u| MAX_KEPT - u.kept.len())
    }

    /// Fills `buffers` from what is replayed, then from the socket.
    pub(crate) fn read(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Read> {
        let read = self.read_inner(buffers)?;
        match read {
            Read::Bytes { count, .. } => {
                self.sent = true;
                if let Some(unaccepted) = &mut self.unaccepted {
                    let mut left = count;
                    for buffer in buffers.iter() {
                        let n = left.min(buffer.len());
                        unaccepted.kept.extend_from_slice(&buffer[..n]);
                        left -= n;
                    }
                }
            }
            Read::End => self.sent = true,
            Read::Blocked => {}
        }
        Ok(read)
    }

    fn read_inner(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Read> {
        if let Some(replay) = &mut self.replay {
            let (bytes, position) = &mut **replay;
            let mut count = 0;
            for buffer in buffers {
                let n = buffer.len().min(bytes.len() - *position);
                buffer[..n].copy_from_slice(&bytes[*position..*position + n]);
                *position += n;
                count += n;
            }
            if *position == bytes.len() {
                self.replay = None;
            }
            return Ok(Read::Bytes { count, drained: false });
        }
        if self.ended {
            return Ok(Read::End);
        }
        let Some(socket) = &self.socket else { return Ok(Read::Blocked) };
        let read = socket.read(buffers)?;
        self.ended = read == Read::End;
        Ok(read)
    }

    /// Why the socket has failed, if it has.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        self.socket.as_ref().and_then(FlowSocket::failure)
    }

    /// Asks to be signalled when the socket can be read. Returns whether it can be now.
    pub(crate) fn watch_read(&self) -> bool {
        if self.replay.is_some() || self.ended {
            return true;
        }
        let Some(socket) = &self.socket else { return false };
        let waker = Waker::from(self.signal.clone());
        matches!(socket.poll_read_ready(&mut Context::from_waker(&waker)), Poll::Ready(_))
    }

    /// Bytes from the network: written at once where nothing waits, else kept. What `bytes` holds
    /// afterwards means nothing.
    pub(crate) fn deliver(&mut self, bytes: &mut Vec<u8>, fin: bool) -> io::Result<Delivered> {
        let count = bytes.len();
        self.inward.fin |= fin;
        if self.deaf {
            // Nobody hears it. Once all that was said has been passed on, the peer is told.
            return match self.ended {
                true if bytes.is_empty() && fin => Ok(Delivered { bytes: 0, finished: true }),
                true => Err(io::ErrorKind::BrokenPipe.into()),
                // The credit goes back all the same, else the other end would wait for ever.
                false => Ok(Delivered { bytes: bytes.len(), finished: false }),
            };
        }
        let mut written = 0;
        if self.inward.waiting.is_empty()
            && let Some(socket) = &self.socket
            && !bytes.is_empty()
        {
            written = socket.write_whole(bytes)?;
            if 0 < written && written < count {
                written += write_all_possible(socket, &bytes[written..])?;
            }
        }
        if written < count {
            self.inward.waiting.extend_from_slice(&bytes[written..]);
            self.watch_write();
        }
        Ok(Delivered { bytes: written, finished: self.pass_on_end() })
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) -> io::Result<Delivered> {
        let mut written = 0;
        if let Some(socket) = &self.socket
            && !self.inward.waiting.is_empty()
        {
            let inward = &mut self.inward;
            written = write_all_possible(socket, &inward.waiting[inward.written..])?;
            inward.written += written;
            if inward.written == inward.waiting.len() {
                inward.waiting = Vec::new();
                inward.written = 0;
            } else {
                // What is gone must not pile up before what waits.
                if inward.written > inward.waiting.len() / 2 {
                    inward.waiting.drain(..inward.written);
                    inward.written = 0;
                }
                self.watch_write();
            }
        }
        Ok(Delivered { bytes: written, finished: self.pass_on_end() })
    }

    /// Gives up writing to a socket that failed, so that what it said before can still be read: a
    /// workload may answer and close without reading all. Returns how many waiting bytes are dropped;
    /// `None`: there is nothing to be read.
    pub(crate) fn give_up_writing(&mut self) -> Option<usize> {
        let readable = !self.deaf && !self.ended && self.socket.is_some();
        let dropped = self.inward.waiting.len() - self.inward.written;
        self.deaf = true;
        self.inward.waiting = Vec::new();
        self.inward.written = 0;
        readable.then_some(dropped)
    }

    /// Whether this is a client that takes no more: it is gone, whatever it said before.
    pub(crate) fn is_lost_client(&self) -> bool {
        self.deaf && self.is_client
    }

    /// Whether the socket has said all that it will.
    pub(crate) fn is_at_end(&self) -> bool {
        self.ended
    }

    /// Whether bytes wait for the socket.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.inward.waiting.is_empty()
    }

    fn pass_on_end(&mut self) -> bool {
        let inward = &mut self.inward;
        if inward.fin
            && !inward.ended
            && inward.waiting.is_empty()
            && let Some(socket) = &self.socket
        {
            inward.ended = true;
            socket.end_write();
            // Of datagrams neither direction goes on alone.
            self.ended |= self.exchange.is_some();
        }
        inward.ended
    }

    fn watch_write(&self) {
        let Some(socket) = &self.socket else { return };
        let waker = Waker::from(self.signal.clone());
        let mut cx = Context::from_waker(&waker);
        if socket.poll_write_ready(&mut cx).is_ready() {
            waker.wake();
        }
    }

    /// Counts bytes from this end's socket.
    pub(crate) fn count_from_socket(&self, bytes: usize) {
        if let Some(meter) = &self.meter {
            meter.sent.add(bytes as u64);
        }
        if let Some(log) = self.counted.log() {
            let (sent, received) = log.counts();
            (if self.is_client { sent } else { received }).add(bytes as u64);
        }
    }

    /// Counts bytes for this end's socket.
    pub(crate) fn count_for_socket(&self, bytes: usize) {
        if let Some(meter) = &self.meter {
            meter.received.add(bytes as u64);
        }
        if let Some(log) = self.counted.log() {
            let (sent, received) = log.counts();
            (if self.is_client { received } else { sent }).add(bytes as u64);
        }
    }

    /// Notes how the flow ends; the first word counts.
    pub(crate) fn ends(&self, end: FlowEnd) {
        self.counted.ends(end);
    }

    /// Its place in the log.
    pub(crate) fn log(&self) -> Option<&Logged> {
        self.counted.log()
    }

    /// Closes both directions so that the other end sees a reset.
    pub(crate) fn abort(self) {
        if let Some(meter) = &self.meter {
            meter.errors.add(1);
        }
        if let Some(socket) = self.socket {
            socket.abort();
        }
    }

    /// Ends this end of a flow: tried elsewhere if no workload can have seen a byte of it
    /// (`asserted`: the egress said so), else closed with a reset.
    pub(crate) fn back_or_abort(mut self, asserted: bool, why: ResetCode, end: FlowEnd) {
        match self.take_back(asserted) {
            Some(flow) => flow.retry.clone().retry(flow, why),
            None => {
                self.ends(end);
                self.abort();
            }
        }
    }

    /// The flow as it was before it was sent.
    fn take_back(&mut self, asserted: bool) -> Option<NewFlow> {
        if self.sent && !asserted && self.exchange.is_none() {
            return None;
        }
        let unaccepted = self.unaccepted.take()?;
        let meter = self.meter.take()?;
        let socket = self.socket.take()?.unregister().ok()?;
        let Unaccepted { open, kept: mut read, retry, tried } = *unaccepted;
        if let Some((bytes, position)) = self.replay.take().map(|r| *r) {
            read.extend_from_slice(&bytes[position..]);
        }
        let counted = std::mem::take(&mut self.counted);
        Some(NewFlow { socket, open, read, ended: self.ended, retry, meter, counted, tried })
    }
}

impl NewFlow {
    /// Gives the flow back unsent; it no longer counts as open where it was meant to go.
    pub(crate) fn send_back(self, why: ResetCode) {
        self.meter.open.sub(1);
        self.retry.clone().retry(self, why);
    }
}

fn write_all_possible(socket: &FlowSocket, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match socket.write(&bytes[written..])? {
            0 => break,
            n => written += n,
        }
    }
    Ok(written)
}
