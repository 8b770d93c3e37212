//! A listener of datagrams: one socket, a session for each source, a flow for each session.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, sleep_until};
use tracing::{debug, info, warn};
use van_model::Bind;
use van_mux::{MAX_DATAGRAM, Open};
use van_net::{Counted, DatagramPort, DatagramSource, Lost, NewFlow, Socket};

use super::{Release, Shared};
use crate::gate;
use crate::listener_error::ListenerError;
use crate::sessions::{Session, Sessions};

/// Datagrams taken before other tasks of the worker get their turn.
const BATCH: usize = 64;

/// Sessions of one listener: some 100 MB where all have flows.
const MOST_SESSIONS: usize = 16_384;

/// New sessions a second, and at once: each asks a peer for a stream, and a peer takes 50,000 a second
/// of all listeners together.
const NEW_PER_SECOND: f64 = 5000.0;
const NEW_AT_ONCE: f64 = 4000.0;

/// The kernel's buffer that is asked for: what comes while the worker does other things.
const RECEIVE_BUFFER: usize = 2 << 20;

/// Pause before a socket that failed is read again.
const AGAIN: Duration = Duration::from_secs(1);

/// The place and the word that it is free, in the order in which they are dropped.
pub(super) struct Place {
    socket: Arc<UdpSocket>,
    pub(super) bound: String,
}

impl Place {
    pub(super) fn bind(bind: &Bind) -> Result<Self, ListenerError> {
        let Bind::Tcp(place) = bind else {
            let source = io::Error::new(io::ErrorKind::Unsupported, "datagrams need a port");
            return Err(ListenerError::Io { bind: bind.to_string(), source });
        };
        let address = gate::resolve(place)?;
        let failed = |error| ListenerError::udp(&place.to_string(), error);
        let socket = bind_once(address).map_err(failed)?;
        let bound = socket.local_addr().map_err(failed)?.to_string();
        Ok(Self { socket: Arc::new(socket), bound })
    }
}

fn bind_once(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = RawSocket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // The kernel gives what it may; less only loses more of a burst.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

impl Session for DatagramSource {
    fn answered(&self) -> Option<Instant> {
        self.answered()
    }

    fn is_over(&self) -> bool {
        self.is_over()
    }
}

/// Lets so many new sessions in as the bound says.
struct Rate {
    left: f64,
    at: Instant,
}

impl Rate {
    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * NEW_PER_SECOND).min(NEW_AT_ONCE);
        self.at = now;
        let may = self.left >= 1.0;
        self.left -= if may { 1.0 } else { 0.0 };
        may
    }
}

/// What the task of a listener owns.
struct Desk<'a> {
    shared: &'a Shared,
    port: Arc<DatagramPort>,
    sessions: Sessions<DatagramSource>,
    rate: Rate,
    room: Box<[u8]>,
}

/// Takes datagrams until the listener stops.
pub(super) async fn run(shared: &Shared, place: Place, _release: Release) {
    let Place { socket, bound } = place;
    let now = Instant::now();
    let mut desk = Desk {
        port: DatagramPort::new(&socket, shared.meter.clone()),
        sessions: Sessions::new(MOST_SESSIONS, shared.spec.udp_idle()),
        rate: Rate { left: NEW_AT_ONCE, at: now },
        room: vec![0; MAX_DATAGRAM + 1].into(),
        shared,
    };
    let leads = shared.leads.load_full();
    loop {
        match desk.serve(&socket, &leads.changes).await {
            Ok(never) => match never {},
            Err(error) => {
                warn!(listener = %shared.spec.name, bind = bound, %error, "listening failed");
                shared.show(false, Some(format!("listening failed: {error}")));
                sleep(AGAIN).await;
            }
        }
    }
}

impl Desk<'_> {
    async fn serve(
        &mut self,
        socket: &Arc<UdpSocket>,
        changes: &crate::watch::Watch,
    ) -> io::Result<std::convert::Infallible> {
        // The flows answer by the same descriptor, from other workers.
        #[expect(deprecated, reason = "its successor is `unsafe`; a socket keeps its descriptor")]
        let readable = AsyncFd::with_interest(socket.clone(), Interest::READABLE)?;
        info!(listener = %self.shared.spec.name, "taking datagrams");
        loop {
            let accepting = self.shared.has_target();
            self.shared.show(accepting, None);
            loop {
                let due = self.sessions.next_due();
                let expiry = async {
                    match due {
                        Some(due) => sleep_until(due.into()).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    () = changes.changed() => break,
                    () = expiry => self.sessions.expire(Instant::now()),
                    ready = readable.readable() => {
                        let mut ready = ready?;
                        if self.take_some(socket, accepting)? {
                            ready.clear_ready();
                        }
                        drop(ready);
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
    }

    /// Takes a batch of what is there. Returns whether that was all.
    fn take_some(&mut self, socket: &UdpSocket, accepting: bool) -> io::Result<bool> {
        let mut room = std::mem::take(&mut self.room);
        let now = Instant::now();
        let mut result = Ok(false);
        for _ in 0..BATCH {
            match socket.recv_from(&mut room) {
                Ok((count, source)) if accepting => self.take(now, source, &room[..count]),
                Ok(_) => self.lost(Lost::NoTarget),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    result = Ok(true);
                    break;
                }
                // What an earlier answer met.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.room = room;
        result
    }

    fn take(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        if datagram.len() > MAX_DATAGRAM {
            return self.lost(Lost::Socket);
        }
        if let Some(session) = self.sessions.hear(now, source) {
            return session.push(now, datagram);
        }
        if !self.rate.take(now) {
            return self.lost(Lost::Sessions);
        }
        let most = usize::try_from(self.shared.dispatcher.max_flows()).unwrap_or(usize::MAX);
        let has_room = self.sessions.has_room(most) || self.sessions.evict();
        if self.shared.is_full() {
            // Who goes makes room as soon as its flow has ended.
            self.sessions.evict();
            return self.lost(Lost::Sessions);
        }
        if !has_room {
            return self.lost(Lost::Sessions);
        }
        let shared = self.shared;
        let client = SocketAddr::new(source.ip().to_canonical(), source.port());
        let (session, flow) = self.port.client(source);
        session.push(now, datagram);
        self.sessions.insert(now, source, session);
        debug!(listener = %shared.spec.name, %client, "new session");
        let log = shared.dispatcher.flow_log();
        let name = shared.spec.name.as_str();
        let mut counted = Counted::logged(log.ingress(name, &shared.spec.address, Some(client)));
        counted.add(shared.meter.clone());
        counted.add(shared.dispatcher.meter().clone());
        let route = &shared.leads.load().route;
        route.dispatch(
            None,
            NewFlow {
                socket: Socket::Datagrams(flow),
                open: Open::datagrams(shared.spec.address.clone(), client),
                read: Vec::new(),
                ended: false,
                retry: route.clone(),
                meter: shared.meter.clone(),
                counted,
                tried: Vec::new(),
            },
        );
    }

    fn lost(&self, why: Lost) {
        self.shared.meter.datagrams.lost(why, 1);
    }
}
