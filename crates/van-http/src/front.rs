//! The clients of one listener.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use tracing::debug;
use van_net::{Counted, Meter, Tasks};
use van_trace::Tracer;

use crate::answer;
use crate::body::Lasts;
use crate::exchange::Asker;
use crate::guard::{Guard, IDLE, Spoken, Word};
use crate::message::Caller;
use crate::pool::Pool;
use crate::routes::Routes;
use crate::ways::{Io, Ways};

/// Bytes that a connection keeps at most while it reads or writes; a whole head fits.
const BUFFER: usize = 128 * 1024;

/// Bytes of a request's head in HTTP/2.
const HEAD: u32 = 64 * 1024;

/// Streams of one client at once.
const STREAMS: u32 = 128;

/// Streams that a client may have begun and reset before they are looked at (rapid reset).
const PENDING_RESETS: usize = 20;

/// Streams that may be reset for a client's mistakes before the connection is.
const MISTAKES: usize = 100;

/// Bytes that one stream may send ahead, and all of a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of an answer that wait for a client of HTTP/2.
const SEND_BUFFER: usize = 64 * 1024;

/// Time between two questions whether the other end of HTTP/2 is there, and for the answer.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(30);
pub(crate) const KEEP_ALIVE_PATIENCE: Duration = Duration::from_secs(20);

/// Time for the last answer of a connection that is refused, and for the client to hear it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Bytes of a refused client that are passed over, so that it hears why.
const PASSED_OVER: usize = 256 * 1024;

/// What a listener's targets speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
}

impl Version {
    pub(crate) fn of_http(self) -> http::Version {
        match self {
            Self::Http1 => http::Version::HTTP_11,
            Self::Http2 => http::Version::HTTP_2,
        }
    }
}

/// Serves the clients of one listener.
#[derive(Debug)]
pub struct Front {
    routing: ArcSwap<Routing>,
    pub(crate) version: Version,
    pub(crate) service: String,
    pub(crate) meter: Arc<Meter>,
    pub(crate) pool: Arc<Pool>,
    /// Begins spans; `None`: nobody wants them.
    pub(crate) tracer: Option<Arc<Tracer>>,
}

/// How a listener's requests find their sites; replaced as a whole.
#[derive(Debug)]
pub struct Routing {
    /// Which requests take which route.
    pub routes: Routes,
    /// Chooses sites for them.
    pub ways: Arc<dyn Ways>,
}

/// A client's connection.
pub struct Client {
    /// Its bytes.
    pub io: Box<dyn Io>,
    /// Where it comes from; `None`: not told.
    pub address: Option<SocketAddr>,
    /// Where it counts as open until it ends.
    pub counted: Arc<Counted>,
    /// The worker that it is served on.
    pub worker: usize,
    /// Whether it came over TLS.
    pub secure: bool,
}

/// Runs the tasks of HTTP/2 on one worker.
#[derive(Debug, Clone)]
pub(crate) struct Spawner(pub(crate) Tasks);

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        // It ends with its connection.
        self.0.spawn_to_end("http stream", async move {
            task.await;
        });
    }
}

impl Front {
    /// Makes what serves the listener of `service`, whose targets speak `version`; requests are counted
    /// in `meter`, too, and have spans where there is a `tracer`.
    pub fn new(
        routing: Routing,
        version: Version,
        service: String,
        meter: Arc<Meter>,
        tracer: Option<Arc<Tracer>>,
    ) -> Arc<Self> {
        let routing = ArcSwap::from_pointee(routing);
        Arc::new(Self { routing, version, service, meter, pool: Arc::default(), tracer })
    }

    /// Lets requests to come find their sites in another way; those that were begun go on as they were.
    pub fn change(&self, routing: Routing) {
        self.routing.store(Arc::new(routing));
    }

    pub(crate) fn routing(&self) -> Arc<Routing> {
        self.routing.load_full()
    }

    /// Closes flows that nobody uses, as long as it is polled; all of them when it is dropped.
    pub async fn tend(&self) {
        struct Close<'a>(&'a Pool);
        impl Drop for Close<'_> {
            fn drop(&mut self) {
                self.0.close();
            }
        }
        let close = Close(&self.pool);
        close.0.tend().await;
    }

    /// Serves one client until its connection ends. Once `leaving` is cancelled, requests that were
    /// begun are answered, and then it closes. What it needs runs on `tasks`, as it must itself.
    pub async fn serve(self: Arc<Self>, client: Client, tasks: Tasks, leaving: Tasks) {
        let Client { io, address, counted, worker, secure } = client;
        let word = Arc::<Word>::default();
        let mut guard = Guard::new(io, word.clone());
        let mut spoken = tokio::select! {
            biased;
            () = leaving.cancelled() => Ok(Spoken::Nothing),
            spoken = guard.listen() => spoken,
        };
        let open = Arc::default();
        let client = Caller { address, secure };
        let asker = Arc::new(Asker { front: self, client, word, counted, tasks, worker, open });
        loop {
            // Each in memory of its own: the smaller shall not cost as much as the larger.
            match spoken {
                Ok(Spoken::Http1) => match Box::pin(asker.http1(guard, &leaving)).await {
                    Some(idle) => guard = idle,
                    None => return,
                },
                Ok(Spoken::Http2) => return Box::pin(asker.http2(guard, &leaving)).await,
                Ok(Spoken::Nothing) => {
                    return Box::pin(end(guard.into_io(), &asker.word)).await;
                }
                Err(error) => return debug!(%error, "client's connection failed"),
            }
            spoken = tokio::select! {
                biased;
                () = leaving.cancelled() => Ok(Spoken::Nothing),
                spoken = guard.rest() => spoken,
            };
        }
    }
}

impl Asker {
    /// Serves a client until its connection ends, or there was nothing to do for a while: then it is
    /// given back.
    async fn http1(self: &Arc<Self>, guard: Guard, leaving: &Tasks) -> Option<Guard> {
        let word = &self.word;
        let service = service_fn(|request: Request<Incoming>| {
            let (asker, lasting) = (self.clone(), word.begin());
            // In memory of its own, which an idle connection does not keep.
            Box::pin(async move {
                let answer = asker.answer(request).await;
                Ok::<_, Infallible>(answer.map(|reply| Lasts { reply, _until: lasting }))
            })
        });
        let mut builder = http1::Builder::new();
        builder.half_close(true).max_buf_size(BUFFER);
        let mut connection = builder.serve_connection(TokioIo::new(guard), service).with_upgrades();
        let mut left = false;
        let result = loop {
            tokio::select! {
                biased;
                () = leaving.cancelled(), if !left => {
                    left = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
                result = &mut connection => break Some(result),
                // The guard says so while the connection is polled.
                () = poll_fn(|_| if word.take_rest() { Poll::Ready(()) } else { Poll::Pending }),
                    if !left => break None,
            }
        };
        let parts = connection.into_parts()?;
        let guard = parts.io.into_inner();
        match result {
            None if parts.read_buf.is_empty() => return Some(guard),
            Some(Err(error)) if word.refusal().is_none() => {
                debug!(%error, "client's connection failed");
            }
            // What was cut short must not look whole: dropping it is a reset.
            _ if word.is_truncated() => drop(guard),
            _ => Box::pin(end(guard.into_io(), word)).await,
        }
        None
    }

    async fn http2(self: &Arc<Self>, guard: Guard, leaving: &Tasks) {
        let (open, spawner) = (self.open.clone(), Spawner(self.tasks.clone()));
        let asker = self.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let asker = asker.clone();
            // In memory of its own, which an idle connection does not keep.
            Box::pin(async move { Ok::<_, Infallible>(asker.answer(request).await) })
        });
        let mut builder = http2::Builder::new(spawner);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD)
            .max_pending_accept_reset_streams(PENDING_RESETS)
            .max_local_error_reset_streams(MISTAKES)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_PATIENCE);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(guard), service));
        let mut left = false;
        let idle = async {
            // The one reference is this connection's, the other the asker's.
            let mut was_idle = false;
            loop {
                sleep(IDLE).await;
                let is_idle = Arc::strong_count(&open) <= 2;
                if was_idle && is_idle {
                    return;
                }
                was_idle = is_idle;
            }
        };
        let mut leave = pin!(async {
            tokio::select! {
                () = leaving.cancelled() => {}
                () = idle => {}
            }
        });
        let result = loop {
            tokio::select! {
                biased;
                () = &mut leave, if !left => {
                    left = true;
                    connection.as_mut().graceful_shutdown();
                }
                result = &mut connection => break result,
            }
        };
        if let Err(error) = result {
            debug!(%error, "client's connection failed");
        }
    }
}

/// Ends a connection in order; where its bytes were refused, with the reason.
async fn end(mut io: Box<dyn Io>, word: &Word) {
    let refusal = word.refusal();
    let last = refusal.filter(|_| !word.is_answered()).and_then(answer::last);
    let farewell = async {
        if let Some(last) = last {
            io.write_all(&last).await?;
        }
        io.shutdown().await?;
        // Closing with bytes unread resets the connection, and the answer with it.
        let mut left = if refusal.is_some() { PASSED_OVER } else { 0 };
        let mut room = vec![0; 4096];
        while left > 0 {
            let count = io.read(&mut room).await?;
            left = if count == 0 { 0 } else { left.saturating_sub(count) };
        }
        Ok::<(), std::io::Error>(())
    };
    if !matches!(timeout(LAST_WORDS, farewell).await, Ok(Ok(()))) {
        debug!("client did not wait for the end");
    }
}
