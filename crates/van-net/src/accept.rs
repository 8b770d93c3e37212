//! Accepting links and redemptions at a link port.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{debug, warn};
use van_pki::{ALPN_JOIN, ALPN_SESSION};

use crate::establish::{Greeting, Handshake, tune};
use crate::join::{JoinRefusal, Limiter, answer};
use crate::links::{Links, Place};
use crate::tasks::Tasks;
use crate::transport::Transport;

/// Handshakes under way at once; each holds some KiB and may be a slow attacker's.
const HANDSHAKES: usize = 1024;

/// Handshakes under way at once from one source.
const HANDSHAKES_EACH: usize = 128;

/// Refusals told at once; one a second in the long run.
const REFUSALS_TOLD: u32 = 50;

/// Time for a redemption that another replica decides: its handshake, question and answer.
const HANDED_ON: Duration = Duration::from_secs(15);

/// Pause after the process ran out of descriptors, so that others close first.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Time between two lines in the log about one shortage.
const EXHAUSTED_LOG: Duration = Duration::from_secs(1);

/// Who decides on newcomers, of the replicas of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decider {
    /// This one.
    #[default]
    Here,
    /// The one whose link port this is.
    There(SocketAddr),
    /// None at the moment; newcomers try again.
    Nobody,
}

/// One place where links are accepted.
pub struct Acceptor {
    links: Arc<Links>,
    session: Arc<ServerConfig>,
    join: Arc<ServerConfig>,
    limiter: Mutex<Limiter>,
    handshakes: Arc<Semaphore>,
    /// Handshakes under way by source.
    sources: Mutex<BTreeMap<IpAddr, usize>>,
    /// Refusals that may still be told, and since when.
    refusals: Mutex<(Instant, u32)>,
    decider: Mutex<Decider>,
}

/// Who somebody is to the limits: an address, or the network that one IPv6 customer has.
fn source_of(remote: SocketAddr) -> IpAddr {
    match remote.ip().to_canonical() {
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        v4 => v4,
    }
}

impl Acceptor {
    /// Prepares accepting for these links.
    pub fn new(links: Arc<Links>) -> Arc<Self> {
        let (identity, peers, clock) = (&links.identity, &links.peers, &links.clock);
        let session = van_pki::session_server_config(identity, peers.clone(), clock.clone());
        let join = van_pki::join_server_config(identity, clock.clone());
        Arc::new(Self {
            links,
            session,
            join,
            limiter: Mutex::default(),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
            sources: Mutex::default(),
            refusals: Mutex::new((Instant::now(), REFUSALS_TOLD)),
            decider: Mutex::default(),
        })
    }

    /// Binds an address; both IPv4 and IPv6 where it is `[::]`.
    pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        use socket2::{Domain, Protocol, Socket, Type};
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        TcpListener::from_std(socket.into())
    }

    /// Takes over a socket that listens already.
    pub fn adopt(socket: socket2::Socket) -> io::Result<TcpListener> {
        TcpListener::from_std(socket.into())
    }

    /// Accepts until cancelled.
    pub async fn run(self: Arc<Self>, listener: TcpListener, tasks: Tasks) {
        let mut told = None;
        loop {
            let Ok(permit) = self.handshakes.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((socket, remote)) => {
                    let Some(slot) = Slot::take(&self, source_of(remote)) else { continue };
                    let acceptor = self.clone();
                    tasks.spawn("incoming link", async move {
                        acceptor.serve(socket, remote, (permit, slot)).await;
                    });
                }
                Err(error) => {
                    if is_due(&mut told, Instant::now()) {
                        warn!(%error, "accepting links pauses");
                    }
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
            }
        }
    }

    async fn serve(
        &self,
        socket: TcpStream,
        remote: SocketAddr,
        shaking: (tokio::sync::OwnedSemaphorePermit, Slot),
    ) {
        tune(&socket);
        let greeting = match Greeting::read(Transport::Tcp(socket)).await {
            Ok(greeting) => greeting,
            Err(error) => return self.refused(remote, &error.to_string()),
        };
        if greeting.offers(ALPN_JOIN) && !greeting.offers(ALPN_SESSION) {
            return self.take_join(greeting, remote).await;
        }
        let accepted = Handshake::accept(greeting, self.session.clone(), "van/1").await;
        let handshake = match accepted {
            Ok(handshake) => handshake,
            Err(error) => return self.refused(remote, &error.to_string()),
        };
        drop(shaking);
        let worker = self.links.workers.next();
        if let Err(reason) = self.links.run(worker, handshake, None, Place::Link).await {
            self.refused(remote, &reason.to_string());
        }
    }

    /// Says who decides on newcomers.
    pub fn set_decider(&self, decider: Decider) {
        *self.decider.lock() = decider;
    }

    async fn take_join(&self, greeting: Greeting, remote: SocketAddr) {
        let heard = self.limiter.lock().admits(source_of(remote), Instant::now());
        let decider = *self.decider.lock();
        match decider {
            Decider::Here => {}
            Decider::There(_) | Decider::Nobody if !heard => {
                return self.refused(remote, &JoinRefusal::TooMany.to_string());
            }
            Decider::There(decider) => {
                if let Err(error) = handed_on(greeting, decider).await {
                    let text = format!("{decider}, which decides on newcomers: {error}");
                    self.refused(remote, &text);
                }
                return;
            }
            Decider::Nobody => {
                return self.refused(remote, "no replica of this site leads at the moment");
            }
        }
        match Handshake::accept(greeting, self.join.clone(), "van-join/1").await {
            Ok(session) => self.join(session, remote, heard).await,
            Err(error) => self.refused(remote, &error.to_string()),
        }
    }

    async fn join(&self, mut session: Handshake, remote: SocketAddr, heard: bool) {
        let source = source_of(remote);
        let chain = session.tls().peer_chain();
        let joiner = match van_pki::check_joiner(&chain, self.links.now()) {
            Ok(joiner) => joiner,
            Err(error) => return self.refused(remote, &error.to_string()),
        };
        let decide = |request: &_| {
            if heard {
                self.links.observer.join(&joiner, request)
            } else {
                Err(JoinRefusal::TooMany)
            }
        };
        match answer(&mut session, decide).await {
            Ok(Ok(())) => {
                self.limiter.lock().succeeded(source);
                debug!(%remote, id = %joiner.id, "site admitted");
            }
            Ok(Err(refusal)) => {
                self.refused(remote, &format!("site {}: {refusal}", joiner.id.short()));
            }
            Err(error) => self.refused(remote, &error.to_string()),
        }
        session.close().await;
    }

    /// Tells of a refusal; of very many only the first, and then one a second, so that a stranger can neither
    /// fill the journal nor drive other events out of the ring.
    fn refused(&self, remote: SocketAddr, why: &str) {
        let now = Instant::now();
        let mut refusals = self.refusals.lock();
        let seconds = u32::try_from(now.duration_since(refusals.0).as_secs()).unwrap_or(u32::MAX);
        if seconds > 0 {
            *refusals = (now, refusals.1.saturating_add(seconds).min(REFUSALS_TOLD));
        }
        if refusals.1 == 0 {
            return;
        }
        refusals.1 -= 1;
        drop(refusals);
        debug!(%remote, why, "refused at the link port");
        self.links.observer.refused(remote, why);
    }
}

/// Hands a redemption on as it is to another replica of this site, which has the same key: nothing of it
/// is read here.
async fn handed_on(greeting: Greeting, decider: SocketAddr) -> io::Result<()> {
    let Greeting { transport, mut input, .. } = greeting;
    let Transport::Tcp(mut newcomer) = transport else { return Ok(()) };
    let exchange = async {
        let mut there = TcpStream::connect(decider).await?;
        there.write_all(input.filled()).await?;
        tokio::io::copy_bidirectional(&mut newcomer, &mut there).await
    };
    match tokio::time::timeout(HANDED_ON, exchange).await {
        // Either end may go as soon as it has the answer.
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        Ok(done) => done.map(drop),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Whether it is time to tell of a shortage again; `true` marks that.
fn is_due(told: &mut Option<Instant>, now: Instant) -> bool {
    let due = told.is_none_or(|at| now.saturating_duration_since(at) >= EXHAUSTED_LOG);
    if due {
        *told = Some(now);
    }
    due
}

/// One handshake of a source, counted until it is dropped.
struct Slot {
    acceptor: Arc<Acceptor>,
    source: IpAddr,
}

impl Slot {
    /// `None`: this source has too many under way.
    fn take(acceptor: &Arc<Acceptor>, source: IpAddr) -> Option<Self> {
        let mut sources = acceptor.sources.lock();
        let count = sources.entry(source).or_default();
        if *count >= HANDSHAKES_EACH {
            return None;
        }
        *count += 1;
        Some(Self { acceptor: acceptor.clone(), source })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut sources = self.acceptor.sources.lock();
        if let Some(count) = sources.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                sources.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_told_once_a_second() {
        let (mut told, start) = (None, Instant::now());
        let mut tells = |ms: u64| is_due(&mut told, start + Duration::from_millis(ms));
        assert_eq!((0..30).filter(|pause| tells(pause * 100)).count(), 3);
    }
}
