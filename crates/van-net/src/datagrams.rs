//! The datagrams of one client of a UDP listener on their way into a flow, and the answers back.
//!
//! A listener's task holds the socket and a [`DatagramSource`] for each client; the flow holds the
//! other end, [`Datagrams`], in the place of a socket. What comes waits a short time for the flow's
//! turn and is dropped rather than sent late; answers go straight out by the listener's socket.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socket2::SockRef;

use crate::meter::{Count, Lost, Meter};
use crate::socket::Read;

/// The longest that a datagram waits for its flow's turn; whoever sent it has given it up soon after.
pub(crate) const LATE: Duration = Duration::from_millis(50);

/// Bytes of one client that wait: some 40 ms of 50,000 datagrams of 512 bytes a second.
const MOST_OF_CLIENT: usize = 1 << 20;

/// Bytes of all clients of a listener that wait.
const MOST_OF_PORT: u64 = 8 << 20;

/// What a datagram that waits costs beside its bytes.
const OVERHEAD: usize = 64;

/// What the clients of one listener share.
pub struct DatagramPort {
    /// The listener's: when that is gone, answers have no way back.
    socket: Weak<UdpSocket>,
    meter: Arc<Meter>,
    waiting: Count,
    started: Instant,
}

/// A listener's end: dropping it ends the flow.
pub struct DatagramSource(Arc<Shared>);

/// A flow's end: dropping it tells the listener that the flow is over.
pub struct Datagrams(Arc<Shared>);

struct Shared {
    port: Arc<DatagramPort>,
    client: SocketAddr,
    state: Mutex<State>,
    /// Milliseconds from the port's start to the last answer, plus 1; 0: none.
    answered: AtomicU64,
    /// The flow is over.
    over: AtomicBool,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(Instant, Box<[u8]>)>,
    bytes: usize,
    /// When the flow's stream was opened: what came before waited for it, not for its turn.
    opened: Option<Instant>,
    /// The listener is done with this client.
    ended: bool,
    reader: Option<Waker>,
}

impl DatagramPort {
    /// What the clients of a listener share: its socket, and where their datagrams are counted.
    pub fn new(socket: &Arc<UdpSocket>, meter: Arc<Meter>) -> Arc<Self> {
        let (socket, started) = (Arc::downgrade(socket), Instant::now());
        Arc::new(Self { socket, meter, waiting: Count::default(), started })
    }

    /// Makes both ends for one client.
    pub fn client(self: &Arc<Self>, client: SocketAddr) -> (DatagramSource, Datagrams) {
        let shared = Arc::new(Shared {
            port: self.clone(),
            client,
            state: Mutex::default(),
            answered: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        (DatagramSource(shared.clone()), Datagrams(shared))
    }
}

impl DatagramSource {
    /// Hands a datagram to the flow, or drops it where too much waits.
    pub fn push(&self, now: Instant, datagram: &[u8]) {
        let Shared { port, state, .. } = &*self.0;
        let cost = datagram.len() + OVERHEAD;
        let mut state = state.lock();
        let full = state.bytes + cost > MOST_OF_CLIENT;
        if full || port.waiting.get() + cost as u64 > MOST_OF_PORT {
            drop(state);
            return port.meter.datagrams.lost(Lost::Queue, 1);
        }
        state.bytes += cost;
        port.waiting.add(cost as u64);
        state.queue.push_back((now, datagram.into()));
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// When the service last answered; `None`: it has not yet.
    pub fn answered(&self) -> Option<Instant> {
        let ms = self.0.answered.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.0.port.started + Duration::from_millis(ms))
    }

    /// Whether the flow is over: the client's next datagram needs another.
    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Relaxed)
    }
}

impl Drop for DatagramSource {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.ended = true;
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }
}

impl Datagrams {
    /// From now on what waits too long is dropped.
    pub(crate) fn opened(&self, now: Instant) {
        self.0.state.lock().opened = Some(now);
    }

    /// Takes the next datagram that is not late; the room is for the largest.
    pub fn take(&self, now: Instant, room: &mut [u8]) -> Read {
        let Shared { port, state, .. } = &*self.0;
        let mut state = state.lock();
        let mut late = 0;
        let read = loop {
            let Some((came, datagram)) = state.queue.pop_front() else {
                state.queue = VecDeque::new();
                break if state.ended { Read::End } else { Read::Blocked };
            };
            let cost = datagram.len() + OVERHEAD;
            state.bytes -= cost;
            port.waiting.sub(cost as u64);
            let waits_since = state.opened.map_or(now, |opened| opened.max(came));
            if now.saturating_duration_since(waits_since) > LATE {
                late += 1;
                continue;
            }
            room[..datagram.len()].copy_from_slice(&datagram);
            break Read::Bytes { count: datagram.len(), drained: false };
        };
        drop(state);
        let counts = &port.meter.datagrams;
        if late > 0 {
            counts.lost(Lost::Late, late);
        }
        if matches!(read, Read::Bytes { .. }) {
            counts.sent.add(1);
        }
        read
    }

    pub(crate) fn poll_ready(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state.lock();
        if state.ended || !state.queue.is_empty() {
            return Poll::Ready(Ok(()));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Waits until there is a datagram, or the client is gone.
    pub async fn ready(&self) {
        // An error can't be: there is no descriptor behind it.
        let _ = poll_fn(|cx| self.poll_ready(cx)).await;
    }

    /// Sends an answer to the client, or drops it where the kernel takes none now. Returns whether it
    /// was sent.
    pub fn answer(&self, datagram: &[u8]) -> bool {
        let Shared { port, client, answered, .. } = &*self.0;
        let ms = u64::try_from(port.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        answered.store(ms + 1, Ordering::Relaxed);
        let sent = port.socket.upgrade().is_some_and(|socket| {
            SockRef::from(&*socket).send_to(datagram, &(*client).into()).is_ok()
        });
        let counts = &port.meter.datagrams;
        if sent {
            counts.received.add(1);
        } else {
            counts.lost(Lost::Socket, 1);
        }
        sent
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
        let mut state = self.0.state.lock();
        self.0.port.waiting.sub(state.bytes as u64);
        state.bytes = 0;
        state.queue = VecDeque::new();
    }
}

impl fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagrams").field("client", &self.0.client).finish_non_exhaustive()
    }
}

impl fmt::Debug for DatagramSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "datagrams from {}", self.0.client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port() -> (Arc<UdpSocket>, Arc<DatagramPort>) {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let port = DatagramPort::new(&socket, Arc::default());
        (socket, port)
    }

    fn all(flow: &Datagrams, now: Instant) -> Vec<usize> {
        let mut room = vec![0; van_mux::MAX_DATAGRAM];
        let mut sizes = Vec::new();
        while let Read::Bytes { count, .. } = flow.take(now, &mut room) {
            sizes.push(count);
        }
        sizes
    }

    #[test]
    fn what_waits_is_bounded_and_never_late() {
        let (_socket, port) = port();
        let (source, flow) = port.client("127.0.0.1:9".parse().unwrap());
        let start = Instant::now();
        for _ in 0..100 {
            source.push(start, &[7; 60_000]);
        }
        let kept = MOST_OF_CLIENT / (60_000 + OVERHEAD);
        assert_eq!(port.meter.datagrams.of(Lost::Queue), 100 - kept as u64);
        // Before the stream is opened nothing is late.
        assert_eq!(all(&flow, start + LATE * 20), vec![60_000; kept]);
        assert_eq!(port.waiting.get(), 0);
        flow.opened(start);
        source.push(start, b"old");
        source.push(start + LATE, b"fresh");
        assert_eq!(all(&flow, start + LATE + Duration::from_millis(1)), [5]);
        assert_eq!(port.meter.datagrams.of(Lost::Late), 1);
        assert_eq!(port.meter.datagrams.sent.get(), kept as u64 + 1);
    }

    #[test]
    fn all_clients_of_a_port_share_a_bound() {
        let (_socket, port) = port();
        let clients: Vec<_> =
            (1..=100).map(|n| port.client(SocketAddr::from(([127, 0, 0, 1], n)))).collect();
        for (source, _) in &clients {
            (0..20).for_each(|_| source.push(Instant::now(), &[0; 50_000]));
        }
        assert!(port.waiting.get() <= MOST_OF_PORT);
        assert!(port.meter.datagrams.of(Lost::Queue) > 1000);
        drop(clients);
        assert_eq!(port.waiting.get(), 0);
    }

    #[test]
    fn each_end_hears_of_the_others() {
        let (socket, port) = port();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (source, flow) = port.client(client.local_addr().unwrap());
        assert!(source.answered().is_none() && !source.is_over());
        assert!(flow.answer(b"hello"));
        let mut room = [0; 16];
        assert_eq!(client.recv(&mut room).unwrap(), 5);
        assert!(source.answered().is_some());
        // The listener is gone: its port must be free at once, whatever flows there are.
        drop(socket);
        assert!(!flow.answer(b"hello"));
        let (other, gone) = port.client(client.local_addr().unwrap());
        drop(gone);
        assert!(other.is_over());
        drop(source);
        assert_eq!(flow.take(Instant::now(), &mut room), Read::End);
    }
}
