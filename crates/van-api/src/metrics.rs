//! The places where Prometheus and health probes ask: a TCP port and a socket of their own, which can
//! read counts and nothing else.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{self, Answer};
use crate::site::SiteApi;
use crate::socket::ApiSocket;

/// Connections open at once; more wait.
const CONNECTIONS: usize = 32;

/// Time for a request's header.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// Time for a whole connection: longer than a scrape's interval usually is.
const CONNECTION_TIME: Duration = Duration::from_secs(300);

/// Pause after a failure to accept, so that descriptors come free.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether traffic may come; the error says what is waited for.
pub type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Answers `/metrics`, `/livez` and `/readyz` until it is stopped.
pub struct MetricsServer {
    site: Arc<dyn SiteApi>,
    slots: Arc<Semaphore>,
    connections: TaskTracker,
    stop: CancellationToken,
    ready: Ready,
}

impl MetricsServer {
    /// Makes a server that serves until `stop` is cancelled.
    pub fn new(site: Arc<dyn SiteApi>, stop: CancellationToken, ready: Ready) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        Arc::new(Self { site, slots, connections: TaskTracker::new(), stop, ready })
    }

    /// Serves at a TCP port.
    pub async fn run_tcp(self: Arc<Self>, listener: TcpListener) {
        let stop = self.stop.clone();
        let accept = async {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => self.take(stream).await,
                    Err(error) => pause(&error).await,
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = accept => {}
        }
    }

    /// Serves at a Unix socket.
    pub async fn run_unix(self: Arc<Self>, socket: ApiSocket) {
        let stop = self.stop.clone();
        let accept = async {
            loop {
                match socket.listener().accept().await {
                    Ok((stream, _)) => self.take(stream).await,
                    Err(error) => pause(&error).await,
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = accept => {}
        }
    }

    async fn take(self: &Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Ok(slot) = self.slots.clone().acquire_owned().await else { return };
        let server = self.clone();
        self.connections.spawn(async move {
            let _slot = slot;
            let stop = server.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                _ = tokio::time::timeout(CONNECTION_TIME, server.serve(stream)) => {}
            }
        });
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let answer = |request: Request<Incoming>| {
            let answer = self.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(16 * 1024);
        let served = http.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection for metrics ended");
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return answer::sentence(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
        }
        match request.uri().path() {
            "/metrics" => answer::metrics(self.site.metrics()),
            "/livez" => answer::sentence(StatusCode::OK, "ok\n"),
            "/readyz" if self.stop.is_cancelled() => {
                answer::sentence(StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
            }
            "/readyz" => match (self.ready)() {
                Ok(()) => answer::sentence(StatusCode::OK, "ready\n"),
                Err(why) => {
                    answer::sentence(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n"))
                }
            },
            _ => {
                answer::sentence(StatusCode::NOT_FOUND, "there are /metrics, /livez and /readyz\n")
            }
        }
    }
}

async fn pause(error: &std::io::Error) {
    tracing::debug!(%error, "accepting a connection for metrics failed");
    tokio::time::sleep(PAUSE).await;
}
