//! Accepts connections and serves them, within limits.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::errno::Errno;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;
use crate::credentials::{Credentials, Policy};
use crate::handler::Session;
use crate::site::SiteApi;
use crate::socket::ApiSocket;

/// Connections at once; each costs a task and a buffer of at most [`HEAD_MAX`].
const CONNECTIONS_MAX: usize = 256;
/// Of these, kept free for root and the daemon's own user.
const CONNECTIONS_RESERVED: usize = 32;
/// How long a request's head may take, and how long a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const HEAD_MAX: usize = 64 << 10;
/// Header lines of a request.
const HEADERS_MAX: usize = 64;
/// File descriptors kept for the API when the process has no more.
const SPARE_FILES: usize = 8;
/// Of these, given up for each connection: one for itself, one to look its user up.
const SPARE_FOR_ONE: usize = 2;
/// How long accepting pauses when it fails.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a failing accept is logged.
const ACCEPT_LOG: Duration = Duration::from_secs(1);
/// How long open requests may take to end at shutdown.
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// How long a new connection may take at shutdown until it asks.
const ASK_TIME: Duration = Duration::from_millis(500);

/// What a peer hears that comes while all connections are taken.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/json\r\nconnection: close\r\ncontent-length: 80\r\n\r\n\
    {\"error\":{\"code\":\"unavailable\",\"message\":\"too many API connections are open\"}}\n\n";

/// Serves the API on one socket.
pub struct Server {
    socket: ApiSocket,
    site: Arc<dyn SiteApi>,
    policy: Arc<Policy>,
    connections: JoinSet<()>,
    spare: Vec<File>,
    accept_logged: Option<Instant>,
    /// The process whose connections are refused.
    refused: Option<i32>,
}

impl Server {
    /// Makes a server; nothing is accepted before [`Server::run`].
    pub fn new(socket: ApiSocket, site: Arc<dyn SiteApi>) -> Self {
        let policy = Arc::new(socket.policy().clone());
        let mut server = Self {
            socket,
            site,
            policy,
            connections: JoinSet::new(),
            spare: Vec::with_capacity(SPARE_FILES),
            accept_logged: None,
            refused: None,
        };
        server.refill();
        server
    }

    /// Refuses connections that this very process makes.
    #[must_use]
    pub fn refusing_itself(mut self) -> Self {
        self.refused = i32::try_from(std::process::id()).ok();
        self
    }

    /// Serves until `stop` is cancelled. Who had come by then is answered too, and open requests have
    /// 2 s to end; who comes later finds no socket, or waits in that of the service manager.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.socket.listener().accept() => match accepted {
                    Ok((stream, _)) => self.admit(stream, &stop),
                    Err(error) => self.accept_failed(&error).await,
                },
                Some(ended) = self.connections.join_next() => {
                    log_end(ended);
                    self.refill();
                }
            }
        }
        for stream in self.socket.waiting() {
            self.admit(stream, &stop);
        }
        let Self { socket, mut connections, .. } = self;
        drop(socket);
        let drained = tokio::time::timeout(DRAIN_TIME, async {
            while let Some(ended) = connections.join_next().await {
                log_end(ended);
            }
        });
        if drained.await.is_err() {
            tracing::debug!(open = connections.len(), "ending API connections that linger");
        }
    }

    fn admit(&mut self, stream: UnixStream, stop: &CancellationToken) {
        let Ok(peer) = stream.peer_cred() else {
            tracing::warn!("dropped an API connection: the kernel doesn't tell who it is");
            return;
        };
        if self.refused.is_some() && peer.pid() == self.refused {
            // A connector with this socket as its target would lend the daemon's rights to clients.
            tracing::warn!("refused an API connection: it came from this daemon itself");
            return;
        }
        let operator = peer.uid() == 0 || peer.uid() == self.policy.own_uid;
        let limit = if operator { CONNECTIONS_MAX } else { CONNECTIONS_MAX - CONNECTIONS_RESERVED };
        if self.connections.len() >= limit {
            tracing::warn!(uid = peer.uid(), limit, "refused an API connection: too many are open");
            // A fresh socket's buffer takes this; where it doesn't, closing says enough.
            let _unsent = stream.try_write(TOO_MANY);
            return;
        }
        let (site, policy, stop) = (Arc::clone(&self.site), Arc::clone(&self.policy), stop.clone());
        self.connections.spawn(async move {
            serve(stream, (peer.uid(), peer.gid()), site, policy, stop).await;
        });
    }

    /// Out of file descriptors: spare ones are given up, so that the next accept can answer.
    async fn accept_failed(&mut self, error: &io::Error) {
        let scarce = matches!(
            error.raw_os_error().map(Errno::from_raw),
            Some(Errno::EMFILE | Errno::ENFILE)
        );
        if self.accept_logged.is_none_or(|last| last.elapsed() >= ACCEPT_LOG) {
            tracing::warn!(%error, "can't accept an API connection");
            self.accept_logged = Some(Instant::now());
        }
        if scarce && !self.spare.is_empty() {
            self.spare.truncate(self.spare.len().saturating_sub(SPARE_FOR_ONE));
        } else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }

    fn refill(&mut self) {
        while self.spare.len() < SPARE_FILES {
            match File::open("/dev/null") {
                Ok(file) => self.spare.push(file),
                Err(_) => break,
            }
        }
    }
}

fn log_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "serving an API connection failed");
    }
}

async fn serve(
    stream: UnixStream,
    (uid, gid): (u32, u32),
    site: Arc<dyn SiteApi>,
    policy: Arc<Policy>,
    stop: CancellationToken,
) {
    // The user database may be on the network: it must not hold up other connections.
    let peer = tokio::task::spawn_blocking(move || Credentials::look_up(uid, gid))
        .await
        .unwrap_or(Credentials { uid, gid, groups: Vec::new(), user: None });
    let connection = Connection::new(stream);
    let session = Arc::new(Session {
        site,
        peer,
        policy,
        connection: connection.clone(),
        stop: stop.clone(),
    });
    let asked = CancellationToken::new();
    let asks = asked.clone();
    let service = service_fn(move |request| {
        let session = Arc::clone(&session);
        asks.cancel();
        async move { Ok::<_, Infallible>(session.answer(request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        // `printf … | vanctl api-proxy` ends its side before it has the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(connection), service);
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            // Who was let in and has not asked yet is about to.
            let asked = tokio::time::timeout(ASK_TIME, asked.cancelled());
            tokio::select! {
                ended = serving.as_mut() => ended,
                _late = asked => {
                    serving.as_mut().graceful_shutdown();
                    serving.await
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, uid, "an API connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_has_the_length_that_it_tells() {
        let text = std::str::from_utf8(TOO_MANY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}
