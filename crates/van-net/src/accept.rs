//! Accepting links and redemptions at a link port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{debug, warn};
use van_pki::{ALPN_JOIN, ALPN_SESSION};

use crate::establish::{Handshake, tune};
use crate::join::{Limiter, answer};
use crate::links::Links;
use crate::tasks::Tasks;

/// Handshakes under way at once; each holds some KiB and may be a slow attacker's.
const HANDSHAKES: usize = 1024;

/// Pause after the process ran out of descriptors, so that others close first.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// One place where links are accepted.
pub struct Acceptor {
    links: Arc<Links>,
    session: Arc<ServerConfig>,
    join: Arc<ServerConfig>,
    limiter: Mutex<Limiter>,
    handshakes: Arc<Semaphore>,
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

    /// Accepts until cancelled.
    pub async fn run(self: Arc<Self>, listener: TcpListener, tasks: Tasks) {
        loop {
            let Ok(permit) = self.handshakes.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((socket, remote)) => {
                    let acceptor = self.clone();
                    tasks.spawn("incoming link", async move {
                        acceptor.serve(socket, remote, permit).await;
                    });
                }
                Err(error) => {
                    warn!(%error, "accepting links pauses");
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
            }
        }
    }

    async fn serve(
        &self,
        socket: TcpStream,
        remote: SocketAddr,
        permit: tokio::sync::OwnedSemaphorePermit,
    ) {
        tune(&socket);
        let choose = |offered: &[&[u8]]| {
            if offered.contains(&ALPN_SESSION) {
                Some((self.session.clone(), "van/1"))
            } else if offered.contains(&ALPN_JOIN) {
                Some((self.join.clone(), "van-join/1"))
            } else {
                None
            }
        };
        let (handshake, alpn) = match Handshake::accept(socket, choose).await {
            Ok(done) => done,
            Err(error) => return self.refused(remote, &error.to_string()),
        };
        if alpn == "van-join/1" {
            return self.join(handshake, remote).await;
        }
        drop(permit);
        let worker = self.links.workers.next();
        if let Err(reason) = self.links.run(worker, handshake, None).await {
            self.refused(remote, &reason.to_string());
        }
    }

    async fn join(&self, mut session: Handshake, remote: SocketAddr) {
        let source = remote.ip().to_canonical();
        let heard = self.limiter.lock().admits(source, Instant::now());
        let chain = session.tls().peer_chain();
        let joiner = match van_pki::check_joiner(&chain, self.links.now()) {
            Ok(joiner) => joiner,
            Err(error) => return self.refused(remote, &error.to_string()),
        };
        let decide = |request: &_| {
            if heard {
                self.links.observer.join(&joiner, request)
            } else {
                Err(crate::join::JoinRefusal::TooMany)
            }
        };
        match answer(&mut session, decide).await {
            Ok(Ok(())) => debug!(%remote, id = %joiner.id, "site admitted"),
            Ok(Err(refusal)) => {
                self.limiter.lock().failed(source, Instant::now());
                self.refused(remote, &format!("site {}: {refusal}", joiner.id.short()));
            }
            Err(error) => {
                self.limiter.lock().failed(source, Instant::now());
                self.refused(remote, &error.to_string());
            }
        }
        session.close().await;
    }

    fn refused(&self, remote: SocketAddr, why: &str) {
        debug!(%remote, why, "refused at the link port");
        self.links.observer.refused(remote, why);
    }
}
